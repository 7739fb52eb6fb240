"""CentreLoss: numbers done by hand, and what it leads to."""

import numpy as np
import pytest
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.data.boxes import NOTHING, UNSEEN
from sora_tf.layers.peaks import SIZES, best_cells
from sora_tf.train.centre_loss import CentreLoss, generalised_iou


def rows(*boxes, most=2):
    """(1, 1, most, 5) of boxes (x, y, w, h, class)."""
    given = [*boxes, *[(0, 0, 0, 0, NOTHING)] * (most - len(boxes))]
    return np.array(given, np.float32)[None, None]


def test_generalised_iou_by_hand():
    # Squares of 4 that share 2: 2/6. Their hull of 6 is all theirs. Apart by one cell: 0 - 4/12.
    one = np.float32([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2]])
    other = np.float32([[1, 0, 2, 2], [4, 0, 2, 2], [0, 0, 2, 2]])
    np.testing.assert_allclose(generalised_iou(one, other), [1 / 3, -1 / 3, 1], rtol=1e-6)


def test_a_frame_without_boxes_by_hand():
    # All 6 cells wrong by p = ½: ½²·ln 2 each; no box, so divided by 1.
    loss = CentreLoss(stride=8)(rows(), np.zeros((1, 1, 2, 3, 6), np.float32))
    assert float(loss) == pytest.approx(6 * 0.25 * np.log(2), rel=1e-5)


def test_one_box_by_hand():
    # A box of 32 × 32 at the centre of cell (1, 1) of 8 pixels; the map says it exactly, p = ½.
    maps = np.zeros((1, 1, 3, 3, 6), np.float32)
    given = rows((12 - 16, 12 - 16, SIZES * 8, SIZES * 8, 0))
    spread = 4 * 0.09  # cells
    bell = np.exp(-(np.array([[2, 1, 2], [1, 0, 1], [2, 1, 2]]) / spread**2) / 2)
    weight = (1 - bell) ** 4
    weight[1, 1] = 1  # the centre
    # Bells of neighbours are below `NEAR`, so the centre alone learns the box, which is right.
    assert bell[0, 1] < 0.3
    expected = 0.25 * np.log(2) * weight.sum()
    assert float(CentreLoss(stride=8)(given, maps)) == pytest.approx(expected, rel=1e-5)
    # Moved by half its side across: IoU 1/3, and the hull is full.
    maps[0, 0, 1, 1, 2] = 2.0
    moved = CentreLoss(stride=8, shape=3.0)(given, maps)
    assert float(moved) == pytest.approx(expected + 3 * (1 - 1 / 3), rel=1e-5)


def test_a_frame_nobody_looked_at_teaches_nothing():
    unseen = rows()
    unseen[..., 4] = UNSEEN
    assert CentreLoss()(unseen, np.zeros((1, 1, 2, 3, 6), np.float32)) == 0


def test_the_class_by_hand():
    # Shares of 1/4 and 3/4 at the centre, which alone learns: -ln of that of the class given.
    maps = np.zeros((1, 1, 3, 3, 7), np.float32)
    maps[0, 0, 1, 1, 2] = np.log(3)
    box = (12 - 16, 12 - 16, SIZES * 8, SIZES * 8)
    found = [float(CentreLoss(8, naming=2.0)(rows((*box, label)), maps)) for label in (0, 1)]
    assert found[0] - found[1] == pytest.approx(2 * np.log(3), rel=1e-5)


def test_it_leads_to_the_boxes_given():
    boxes = [(3, 5, 20, 14, 0), (40, 30, 9, 12, 1)]
    loss, maps = CentreLoss(stride=8), tf.Variable(np.zeros((1, 1, 8, 8, 7), np.float32))
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(150):
        with tf.GradientTape() as tape:
            value = loss(rows(*boxes), maps)
        optimizer.apply_gradients([(tape.gradient(value, maps), maps)])
    there, named, shapes = tf.split(maps[0], [1, 2, 4], axis=-1)
    found, sure, names = (value.numpy()[0] for value in best_cells(there, named, shapes, 8, 3))
    order = np.argsort(names[:2].argmax(axis=-1))
    np.testing.assert_allclose(found[:2][order], [b[:4] for b in boxes], atol=0.7)
    assert sure[1] > 0.7
    assert sure[2] < 0.2


def test_config():
    loss = CentreLoss(4, 1.5, 0.5)
    assert CentreLoss.from_config(loss.get_config()).get_config() == loss.get_config()
