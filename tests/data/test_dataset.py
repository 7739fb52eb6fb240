import logging

import numpy as np
import pytest
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.data import (
    Augment,
    Clip,
    ClipCache,
    Problems,
    clip_dataset,
    labels_of,
    load_clip,
    read_index,
)
from sora_tf.video import write

ASK = {"frames": 4, "size": (16, 16), "batch_size": 3}
LABELS = ("dark", "light")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Seven films of noise, 3 to 15 frames long, of which number 3 does not read."""
    folder = tmp_path_factory.mktemp("films")
    found = []
    for number in range(7):
        rng = np.random.default_rng(number)
        path = folder / f"{number}.mp4"
        write(path, rng.integers(0, 256, (3 + 2 * number, 16, 16, 3), np.uint8), 10.0)
        found.append(Clip(str(path), LABELS[number % 2]))
    (folder / "3.mp4").write_bytes(b"no film")
    return found


def epochs(dataset, count=1):
    """All arrays of `count` passes, batch by batch."""
    return [
        [tuple(part.numpy() for part in (x["frames"], x["mask"], y)) for x, y in dataset]
        for _ in range(count)
    ]


def same(a, b):
    return all(
        np.array_equal(one, other)
        for epoch_a, epoch_b in zip(a, b, strict=True)
        for batch_a, batch_b in zip(epoch_a, epoch_b, strict=True)
        for one, other in zip(batch_a, batch_b, strict=True)
    )


def test_evaluation_is_load_clip_in_order(clips):
    problems = Problems()
    dataset = clip_dataset(clips, LABELS, problems=problems, **ASK)
    spec, label_spec = dataset.element_spec
    assert spec["frames"] == tf.TensorSpec((None, 4, 16, 16, 3), tf.uint8)
    assert spec["mask"] == tf.TensorSpec((None, 4), tf.bool)
    assert label_spec == tf.TensorSpec((None, 2), tf.float32)
    (batches,) = epochs(dataset)
    assert [len(frames) for frames, _, _ in batches] == [3, 3]
    frames, masks, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    good = [clip for clip in clips if "3.mp4" not in clip.path]
    assert labels.tolist() == [[c.label == name for name in LABELS] for c in good]
    for clip, pictures, mask in zip(good, frames, masks, strict=True):
        expected, expected_mask, _ = load_clip(clip.path, 4, (16, 16))
        np.testing.assert_array_equal(pictures, expected)
        np.testing.assert_array_equal(mask, expected_mask)
    assert masks[0].tolist() == [True, True, True, False]  # film 0 has 3 frames
    np.testing.assert_array_equal(frames[0, 3], frames[0, 2])
    assert problems.names() == {clips[3].name}


@pytest.mark.parametrize("cached", [False, True])
def test_a_bad_clip_is_named_once(clips, cached, tmp_path, caplog):
    problems = Problems()
    cache = tmp_path if cached else None
    with caplog.at_level(logging.WARNING, "sora_tf.data.problems"):
        dataset = clip_dataset(clips, LABELS, cache=cache, problems=problems, **ASK)
        assert [sum(len(y) for _, _, y in epoch) for epoch in epochs(dataset, 2)] == [6, 6]
    (line,) = problems.lines()
    assert line.startswith(f"{clips[3].path}: cannot open")
    assert len(problems) == 1
    assert [record.message for record in caplog.records] == [f"skipped: {line}"]


def test_with_a_cache_the_number_of_batches_is_known(clips, tmp_path):
    seen = []
    cache = ClipCache(tmp_path)
    dataset = clip_dataset(
        clips, LABELS, cache=cache, progress=lambda *done: seen.append(done), **ASK
    )
    assert dataset.cardinality().numpy() == 2
    assert seen == [(i, 7) for i in range(1, 8)]
    assert (cache.hits, cache.misses) == (0, 7)
    assert same(epochs(dataset), epochs(clip_dataset(clips, LABELS, **ASK)))
    assert cache.hits == 6
    unknown = clip_dataset(clips, LABELS, **ASK).cardinality()
    assert unknown == tf.data.UNKNOWN_CARDINALITY


def test_a_clip_that_goes_bad_after_the_promise_is_a_loud_error(clips, tmp_path):
    path = tmp_path / "a.mp4"
    write(path, np.zeros((5, 16, 16, 3), np.uint8), 10.0)
    dataset = clip_dataset([Clip(str(path), "dark")], LABELS, cache=tmp_path / "c", **ASK)
    path.unlink()
    with pytest.raises(tf.errors.OpError, match="no such file"):
        epochs(dataset)


def test_training_depends_on_the_seed_alone(clips, tmp_path):
    ask = {"training": True, "augment": Augment(mixup=0.4, erase=0.3), **ASK}
    first = epochs(clip_dataset(clips, LABELS, seed=1, workers=1, **ask), 2)
    tf.random.set_seed(1234)
    again = epochs(clip_dataset(clips, LABELS, seed=1, workers=4, cache=tmp_path, **ask), 2)
    assert same(first, again)
    assert not same(first[:1], first[1:])
    assert not same(first, epochs(clip_dataset(clips, LABELS, seed=2, **ask), 2))
    labels = np.concatenate([batch[2] for batch in first[0]])
    assert labels.shape == (6, 2)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    assert ((labels > 0) & (labels < 1)).any()  # mixed


def test_training_draws_frames_of_each_segment(tmp_path):
    # Film of 16 greys, 10 levels apart: 8 candidates are the frames 1, 3, 5 ... and of each
    # pair one is drawn. (The middle of [2k, 2k + 2) in frames is 2k + 1.)
    path = tmp_path / "a.mp4"
    levels = (10 * np.arange(16))[:, None, None, None]
    write(path, np.broadcast_to(levels, (16, 16, 16, 3)).astype(np.uint8), 10.0)
    dataset = clip_dataset([Clip(str(path), "dark")], LABELS, training=True, **ASK)
    drawn = set()
    for ((frames, mask, _),) in epochs(dataset, 12):
        assert mask.all()
        drawn.add(tuple((frames[0].mean(axis=(1, 2, 3)) / 10).round().astype(int)))
    pairs = [{1, 3}, {5, 7}, {9, 11}, {13, 15}]
    assert [set(column) for column in zip(*drawn, strict=True)] == pairs
    plain = clip_dataset(
        [Clip(str(path), "dark")], LABELS, training=True, augment=Augment.none(), **ASK
    )
    assert same(epochs(plain), epochs(plain))


def test_every_clip_is_seen_once_an_epoch_in_new_order(clips):
    good = [clip for clip in clips if "3.mp4" not in clip.path]
    one_hot = tuple(clip.path for clip in good)
    relabelled = [Clip(clip.path, clip.path) for clip in good]
    dataset = clip_dataset(relabelled, one_hot, training=True, **ASK)
    orders = [
        np.concatenate([batch[2] for batch in epoch]).argmax(axis=1).tolist()
        for epoch in epochs(dataset, 3)
    ]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_two_clips_of_a_batch_change_each_in_its_way(clips):
    dataset = clip_dataset([clips[0]] * 3, LABELS, training=True, augment=Augment(), **ASK)
    ((frames, _, _),) = epochs(dataset)[0]
    assert len({clip.tobytes() for clip in frames}) == 3


@pytest.mark.parametrize("cached", [False, True])
def test_fit_takes_it_and_gives_the_same_twice(clips, cached, tmp_path):
    losses = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        frames = keras.Input((4, 16, 16, 3), name="frames")
        mask = keras.Input((4,), name="mask", dtype=tf.bool)
        mean = tf.reduce_mean(tf.cast(frames, tf.float32) / 255, axis=(2, 3))
        mean = keras.layers.GlobalAveragePooling1D()(mean, mask=mask)
        model = keras.Model([frames, mask], keras.layers.Dense(2, activation="softmax")(mean))
        model.compile("sgd", "categorical_crossentropy")
        ask = {**ASK, "cache": tmp_path if cached else None}
        training = clip_dataset(clips, LABELS, training=True, augment=Augment(), **ask)
        validation = clip_dataset(clips, LABELS, **ask)
        history = model.fit(training, validation_data=validation, epochs=3, verbose=0).history
        losses.append(history["loss"] + history["val_loss"])
    assert len(losses[0]) == 6
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_nothing_readable_is_an_empty_dataset(clips, tmp_path):
    for cache in (None, tmp_path):
        problems = Problems()
        dataset = clip_dataset([clips[3]], LABELS, cache=cache, problems=problems, **ASK)
        assert epochs(dataset) == [[]]
        assert len(problems) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": []}, "clips must not be empty"),
        ({"labels": ("dark",)}, r"the label of .*1\.mp4 must be one of dark, got 'light'"),
        ({"labels": ("dark", "dark", "light")}, "labels must differ"),
        ({"frames": 0}, "frames must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"oversample": 0}, "oversample must be at least 1"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_bad_arguments(clips, change, message):
    ask = {"clips": clips, "labels": LABELS, **ASK, **change}
    with pytest.raises(ValueError, match=message):
        clip_dataset(**ask)


def test_real_clips(shared_data, tmp_path):
    index = read_index(shared_data / "fight")
    labels = labels_of(index)
    clips = [next(clip for clip in index if clip.label == label) for label in labels]
    ask = {"frames": 8, "size": (56, 56), "batch_size": 2}
    ((frames, mask, truth),) = epochs(clip_dataset(clips, labels, cache=tmp_path, **ask))[0:1][0]
    assert mask.all()
    assert truth.tolist() == np.eye(len(labels)).tolist()
    np.testing.assert_array_equal(frames[1], load_clip(clips[1].path, 8, (56, 56))[0])
    training = clip_dataset(clips, labels, training=True, augment=Augment(), **ask)
    ((changed, mask, _),) = epochs(training)[0]
    assert changed.shape == frames.shape
    assert mask.all()
    assert 5 < changed.std() < 120
