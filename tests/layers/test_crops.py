"""Crops: squares of pictures at one size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_tf.layers.crops import crops_of


def by_hand(picture, left, top, side, size):
    """The same by NumPy's own interpolation, along rows and then along columns."""
    steps = (np.arange(size) + 0.5) / size * side - 0.5
    across = [np.interp(left + steps, np.arange(picture.shape[1]), row) for row in picture]
    down = np.stack(across).T  # a column of the crop is a row here
    return np.stack([np.interp(top + steps, np.arange(picture.shape[0]), col) for col in down]).T


def test_a_window_of_the_crops_own_size_is_the_picture_itself():
    picture = np.random.default_rng(0).integers(0, 256, (1, 9, 7, 3), dtype=np.uint8)
    crop = crops_of(picture, np.float32([[[2, 3, 4]]]), 4).numpy()
    np.testing.assert_array_equal(crop[0, 0], picture[0, 3:7, 2:6])


def test_outside_a_picture_is_its_edge():
    picture = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    crop = crops_of(picture, np.float32([[[-10, -10, 2], [10, 10, 2]]]), 2).numpy()
    assert (crop[0, 0] == 0).all()
    assert (crop[0, 1] == 3).all()


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-6, 12), st.floats(-6, 12), st.floats(0.5, 20), st.integers(1, 9), st.integers(0, 99)
)
def test_it_is_what_numpy_interpolates(left, top, side, size, seed):
    picture = np.random.default_rng(seed).uniform(0, 255, (1, 6, 8, 1)).astype(np.float32)
    crop = crops_of(picture, np.float32([[[left, top, side]]]), size).numpy()[0, 0, ..., 0]
    np.testing.assert_allclose(crop, by_hand(picture[0, ..., 0], left, top, side, size), atol=0.05)


def test_each_picture_has_windows_of_its_own():
    pictures = np.stack([np.full((5, 5, 3), value, np.uint8) for value in (10, 20, 30)])
    crops = crops_of(pictures, np.float32([[[0, 0, 2], [1, 1, 3]]] * 3), 4).numpy()
    assert crops.shape == (3, 2, 4, 4, 3)
    for crop, value in zip(crops, (10, 20, 30), strict=True):
        assert crop == pytest.approx(value)
