"""Features made once: they are what the CNN gives, stay what they were, and train a head."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from run_folders import history

from sora_tf._keras import keras
from sora_tf.config import ExtractorConfig, RelationConfig, SoraConfig
from sora_tf.data import Augment, clip_dataset, read_index
from sora_tf.models import build_sora
from sora_tf.models.sora import head_of, pooled_features
from sora_tf.models.video_model import VideoModel
from sora_tf.train import Run, RunConfig, TrainConfig, train_classifier
from sora_tf.train.frozen import (
    FeatureKeys,
    FeatureViews,
    feature_batches,
    features_by_clip,
    share_weights,
)
from sora_tf.train.run import load_model

MODEL = SoraConfig(
    frames=8,
    size=(28, 28),
    extractor=ExtractorConfig(
        channels=(8, 16, 32), depths=(1, 1, 1), memory=0.25, change=True, features=0
    ),
    relation=RelationConfig(edges="causal", contrast=4, blocks=0),
    standardise=True,
    dropout=0.0,
)
TRAINING = TrainConfig(epochs=20, batch_size=16, learning_rate=0.03, frozen=True)
LABELS = ["left", "left-fast", "right", "right-fast"]
VARIED = Augment(flip=False, mixup=0.0)


@pytest.fixture(scope="module")
def clips(digits):
    return read_index(digits / "index.csv")


@pytest.fixture(scope="module")
def whole(clips, cache):
    """A random model whose batch norms know the clips: otherwise little is left of them."""
    keras.utils.set_random_seed(0)
    model = build_sora(MODEL, 4)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    shown = clip_dataset(clips[:16], LABELS, frames=8, size=(28, 28), batch_size=16, cache=cache)
    model(next(iter(shown))[0], training=True)
    return model


@pytest.fixture(scope="module")
def extractor(whole):
    return pooled_features(whole)


@pytest.fixture
def batches(clips, cache):
    """Makes the dataset of the first clips anew, as a process started again would."""

    def make(training=True, count=12, seed=0):
        return clip_dataset(
            clips[:count], LABELS, frames=8, size=(28, 28), batch_size=5, training=training,
            augment=VARIED, seed=seed, cache=cache,
        )  # fmt: skip

    return make


@pytest.fixture(scope="module")
def frozen(digits, cache, tmp_path_factory):
    """A finished run on a frozen random CNN."""
    out = tmp_path_factory.mktemp("frozen") / "run"
    return train(digits, out, cache)


def train(digits, out, cache, model=MODEL, callbacks=(), **settings):
    return train_classifier(
        digits / "index.csv", out, model=model, training=replace(TRAINING, **settings),
        augment=VARIED, cache=cache, callbacks=callbacks, verbose=0,
    )  # fmt: skip


def cnn_weights(model):
    """Layer's name → weights, of all layers before the pooled features."""
    layers = pooled_features(model).layers
    return {layer.name: layer.get_weights() for layer in layers if layer.weights}


def features_in(view):
    """The features (N, T, F) of a view's file."""
    with np.load(view) as facts:
        shape = (len(facts["labels"]), *facts["shape_frames"])
    kept = np.fromfile(view.with_name(f"{view.stem}-frames.f16"), np.float16)
    return kept.reshape(shape).astype(np.float32)


def same(one, other):
    assert one.keys() == other.keys()
    for name, values in one.items():
        for old, new in zip(values, other[name], strict=True):
            np.testing.assert_array_equal(old, new)


class StopAfter(keras.callbacks.Callback):
    """Interrupts a training in the batch after an epoch."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_train_batch_end(self, batch, logs=None):
        if len(self.model.history.epoch) == self.epochs:
            raise KeyboardInterrupt


# Features.


def test_features_are_what_the_extractor_gives(tmp_path, extractor, batches):
    views = FeatureViews(tmp_path, extractor, lambda: batches(training=False))
    found = list(views.dataset(5))
    expected = list(batches(training=False))
    assert len(found) == len(expected) == 3  # 12 clips in batches of 5
    for (features, labels), (clip, truth) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(labels, truth)
        np.testing.assert_array_equal(features["mask"], clip["mask"])
        exact = extractor(clip, training=False).numpy()
        assert np.abs(exact).max() > 0.1
        # Half precision has 11 bits.
        np.testing.assert_allclose(features["frames"], exact, rtol=2**-11, atol=1e-6)


def test_views_differ_and_stay_the_same_after_a_kill(tmp_path, extractor, batches):
    views = FeatureViews(tmp_path, extractor, batches, views=3)
    names = [f"view{view}{ending}" for view in range(3) for ending in ("-frames.f16", ".npz")]
    before = {name: (tmp_path / name).read_bytes() for name in names}
    features = [features_in(path) for path in views.paths]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(features[one].mean((0, 1)) - features[other].mean((0, 1))).max() > 1e-3
    # A kill in the second view leaves its features without their labels.
    for name in (*names[4:], "view1.npz"):
        (tmp_path / name).unlink()
    (tmp_path / "view1-frames.f16").write_bytes(b"half")
    kept = (tmp_path / "view0-frames.f16").stat().st_mtime_ns
    FeatureViews(tmp_path, extractor, batches, views=3)
    assert (tmp_path / "view0-frames.f16").stat().st_mtime_ns == kept
    assert {name: (tmp_path / name).read_bytes() for name in names} == before
    assert {path.name for path in tmp_path.iterdir()} == set(names)


def test_views_come_in_turn_and_go_on_where_training_stopped(tmp_path, extractor, batches):
    views = FeatureViews(tmp_path, extractor, batches, views=2)
    rows = [features_in(path) for path in views.paths]

    def epochs(count, **settings):
        dataset = views.dataset(5, training=True, seed=3, **settings)
        return [np.concatenate([x["frames"] for x, _ in dataset]) for _ in range(count)]

    four = epochs(4)
    for number, epoch in enumerate(four):
        assert not np.array_equal(epoch, rows[number % 2])  # shuffled
        ordered = (sorted(map(bytes, features)) for features in (epoch, rows[number % 2]))
        assert next(ordered) == next(ordered)
    assert not np.array_equal(four[0], four[2])  # another order of the same view
    for again, epoch in zip(epochs(2, behind=2), four[2:], strict=True):
        np.testing.assert_array_equal(again, epoch)
    # Not for training: the first view, in its own order.
    plain = np.concatenate([x["frames"] for x, _ in views.dataset(5)])
    np.testing.assert_array_equal(plain, rows[0])


def test_parts_are_batched_as_one(tmp_path, extractor, batches):
    parts = [
        FeatureViews(tmp_path / str(count), extractor, lambda n=count: batches(count=n), views=2)
        for count in (5, 1, 3)
    ]
    assert [len(part) for part in parts] == [5, 1, 3]
    for epoch, training in enumerate((False, True, True, True)):
        view = max(0, epoch - 1) % 2
        wanted = np.concatenate([features_in(part.paths[view]) for part in parts])
        labels = np.concatenate([part.rows(view, np.arange(len(part)))[2] for part in parts])
        dataset = feature_batches(parts, 4, training=training, seed=1, behind=view)
        read = [(x["frames"], y) for x, y in dataset]
        assert [len(y) for _, y in read] == [4, 4, 1]
        found, truth = (np.concatenate(column) for column in zip(*read, strict=True))
        if not training:
            np.testing.assert_array_equal(found, wanted)
        # Whatever the order, every clip is there once, with its own label.
        rows = {x.tobytes(): y.tolist() for x, y in zip(wanted, labels, strict=True)}
        assert len(rows) == 9
        again = {x.tobytes(): y.tolist() for x, y in zip(found, truth, strict=True)}
        assert again == rows


def test_several_outputs_go_by_their_names(tmp_path, whole, batches):
    clip = dict(zip(whole.input_names, whole.inputs, strict=True))
    pooled = pooled_features(whole).output
    both = VideoModel(clip, {"one": pooled, "two": pooled[..., :2] * 2})
    views = FeatureViews(tmp_path, both, lambda: batches(training=False))
    (features, _), *_ = views.dataset(12)
    assert features.keys() == {"one", "two", "mask"}
    np.testing.assert_allclose(features["two"], features["one"][..., :2] * 2, rtol=1e-3)


def test_no_clips_that_read_is_one_line(tmp_path, extractor, batches):
    with pytest.raises(ValueError, match="clips must hold one batch or more, got none"):
        FeatureViews(tmp_path, extractor, lambda: batches().take(0))


def test_each_clip_is_kept_by_itself(tmp_path, extractor, clips, cache):
    """After a kill, and where clips are added, those that are there are not made again."""
    shown = []

    def batches(numbers):
        shown.append(list(numbers))
        return clip_dataset(
            [clips[n] for n in numbers], LABELS, frames=8, size=(28, 28), batch_size=2, cache=cache
        )

    folders = [tmp_path / str(number) for number in range(7)]
    truth = np.eye(4, dtype=np.float32)[[LABELS.index(clip.label) for clip in clips[:7]]]
    told = []
    with pytest.raises(FileNotFoundError):  # two batches were made, then it ended
        features_by_clip(folders[:5], truth[:5], FailingAfter(extractor, 2), batches)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3"]
    features_by_clip(folders[:5], truth[:5], extractor, batches, lambda *done: told.append(done))
    parts = features_by_clip(folders, truth, extractor, batches)
    assert told == [(5, 5)]
    (found, labels), *_ = feature_batches(parts, 7)
    (clip, expected), *_ = batches(range(7)).unbatch().batch(7)
    np.testing.assert_array_equal(labels, expected)
    exact = extractor(clip, training=False).numpy()
    np.testing.assert_allclose(found["frames"], exact, rtol=2**-11, atol=1e-6)
    assert shown == [[0, 1, 2, 3, 4], [4], [5, 6], list(range(7))]  # the last by this test
    # Labels are those of whoever asks.
    (_, labels), *_ = feature_batches(features_by_clip(folders, truth[::-1], extractor, batches), 7)
    np.testing.assert_array_equal(labels, expected[::-1])


class FailingAfter:
    """An extractor that fails after some batches."""

    def __init__(self, extractor, batches):
        self.extractor, self.left = extractor, batches

    def predict_on_batch(self, clip):
        if not self.left:
            raise FileNotFoundError
        self.left -= 1
        return self.extractor.predict_on_batch(clip)


def test_names_change_with_all_that_decides_features(whole, extractor, clips):
    config = RunConfig(
        MODEL, tuple(LABELS), "stretch", 1.0, asdict(TRAINING), VARIED.to_dict(), "clips"
    )

    def keys(extractor=extractor, clips=clips[:4], config=config, **model):
        """Of the last clip as it is, and of all in variations."""
        made = FeatureKeys(extractor, replace(config, model=replace(config.model, **model)))
        return made.of_clip(clips[-1]), made.of_varied(clips)

    def changed(**training):
        return replace(config, training={**config.training, **training})

    assert keys() == keys()
    # What stands behind the features, and how it is trained, may change.
    head = replace(MODEL.extractor, features=9, dropout=0.5)
    longer = changed(epochs=99, learning_rate=9.0)
    assert keys() == keys(config=longer) == keys(pooling="attention", dropout=0.5)
    shorter = replace(config, model=replace(MODEL, extractor=head, relation=None))
    assert keys() == keys(config=shorter)
    other_weights = build_sora(MODEL, 4)
    values = whole.get_weights()
    other_weights.set_weights([values[0] + 1e-3, *values[1:]])
    both = [
        keys(extractor=pooled_features(other_weights)),
        keys(clips=[*clips[:3], clips[5]]),
        keys(clips=[*clips[:3], replace(clips[3], start=0.1)]),
        keys(config=changed(mixed_precision=True)),
        keys(config=replace(config, fit="cover")),
        keys(frames=7),
        keys(size=(28, 32)),
    ]
    # These have no weights.
    for change in ({"memory": 0.0}, {"memory": 0.125}, {"change": False}):
        model = replace(MODEL, extractor=replace(MODEL.extractor, **change))
        both.append(keys(config=replace(config, model=model)))
    assert len({key for pair in (keys(), *both) for key in pair}) == 2 * (1 + len(both))
    # A clip as it is depends on none of these; variations, which come with labels, on all.
    varied = [
        keys(clips=clips[1:4]),
        keys(clips=[*clips[:3], replace(clips[3], label="up")]),
        keys(config=replace(config, augment=Augment.none().to_dict())),
        keys(config=changed(seed=1)),
        keys(config=replace(config, labels=(*LABELS, "up"))),
    ]
    assert {plain for plain, _ in varied} == {keys()[0]}
    assert len({keys()[1], *(many for _, many in varied)}) == 1 + len(varied)


# Runs.


def test_a_frozen_run_trains_its_head_alone(frozen, digits, clips, cache):
    keras.utils.set_random_seed(TRAINING.seed)
    begun = build_sora(MODEL, 4)
    model = frozen.load_model()
    same(cnn_weights(begun), cnn_weights(model))
    assert len(cnn_weights(model)) > 10
    assert np.abs(model.get_layer("logits").kernel).max() > 0.1
    # Chance is a quarter; fast and slow can be told by a random CNN.
    assert frozen.read_metrics()["accuracy"] >= 0.45
    assert float(history(frozen)[-1]["accuracy"]) > 0.5
    # The files of any run.
    assert frozen.finished
    assert frozen.read_config().training["frozen"] is True
    assert len(history(frozen)) == TRAINING.epochs


def test_the_whole_is_head_on_features(frozen, clips, cache, tmp_path):
    model = frozen.load_model()
    test = [clip for clip in clips if clip.split == "test"]
    dataset = clip_dataset(test, LABELS, frames=8, size=(28, 28), batch_size=16, cache=cache)
    exact = model.predict(dataset, verbose=0)
    assert np.ptp(exact, axis=0).min() > 0.05
    features = FeatureViews(tmp_path, pooled_features(model), lambda: dataset).dataset(16)
    found = head_of(model).predict(features, verbose=0)
    np.testing.assert_allclose(found, exact, atol=5e-3)
    # The checkpoint is a head of its own, of the last epoch.
    path, rows = frozen.checkpoint()
    best = max(range(len(rows)), key=lambda n: (rows[n]["val_accuracy"], -rows[n]["val_loss"]))
    last = load_model(path)
    assert last.count_params() < model.count_params()
    again = share_weights(last, build_sora(MODEL, 4)).get_layer("logits").get_weights()
    assert np.array_equal(again[0], model.get_layer("logits").kernel) == (best == len(rows) - 1)


def test_views_of_training_clips(digits, cache, tmp_path):
    run = train(digits, tmp_path / "run", cache / "views", epochs=3, views=2)
    assert run.finished
    assert len(history(run)) == 3
    folders = list((cache / "views" / "features").iterdir())
    counts = sorted(len(list(folder.glob("view*.npz"))) for folder in folders)
    held = [clip for clip in read_index(digits / "index.csv") if clip.split == "val"]
    assert counts == [1] * len(held) + [2]  # of each clip held out, and of those that are varied
    (varied,) = (folder for folder in folders if (folder / "view1.npz").is_file())
    one, two = (features_in(varied / f"view{n}.npz") for n in range(2))
    assert one.shape == two.shape == (64, 8, one.shape[2])
    assert np.abs(one.mean((0, 1)) - two.mean((0, 1))).max() > 0.01 * one.mean((0, 1)).max()


def test_an_interrupted_run_comes_to_its_end(digits, cache, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(digits, tmp_path / "run", cache, epochs=4, views=2, callbacks=[StopAfter(2)])
    run = Run(tmp_path / "run")
    path, before = run.checkpoint()
    assert len(before) == 2
    assert not run.finished
    assert int(load_model(path).optimizer.iterations) == 8  # 64 clips in batches of 16
    kept = cnn_weights(run.load_model())
    run = train(digits, tmp_path / "run", cache, epochs=4, views=2)
    assert run.finished
    rows = history(run)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [float(row["loss"]) for row in rows[:2]] == [row["loss"] for row in before]
    assert int(load_model(run.checkpoint()[0]).optimizer.iterations) == 16
    same(kept, cnn_weights(run.load_model()))


def test_attention_over_regions_is_refused_in_one_line(digits, cache, tmp_path):
    regions = replace(MODEL, pooling="attention")
    with pytest.raises(
        ValueError, match=r"must need no more of the CNN.*Use mean pooling"
    ) as error:
        train(digits, tmp_path / "run", cache, model=regions)
    assert "\n" not in str(error.value)
