"""Training on top of a frozen extractor: its features are made once, the rest learns in seconds."""

import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf.data import Clip
from sora_tf.data.cache import clip_key
from sora_tf.models.video_model import FRAMES, MASK
from sora_tf.train.run import RunConfig


class FeatureViews:
    """What a frozen CNN makes of a dataset of clips, kept in a folder, some files for each view.

    A view is one epoch of the dataset: of training clips, each in a variation of its own. A view
    that is there is not made again, so a killed run goes on with the next. Half precision.

    Args:
        folder: made where it is missing; named by what the features depend on.
        extractor: clips to features (B, T, ...), from `pooled_features`, or to a dict of several.
        clips: gives batches of ({"frames", "mask"}, labels), such as `clip_dataset` with a cache
            makes; asked only where a view is missing.
        views: epochs taken of it.
        progress: called with (batches done, batches in all).
        labels: of the clips, (N, ...), where those kept with the features may be of another run.
    Raises:
        ValueError: there is not one batch.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        extractor: keras.Model,
        clips: Callable[[], tf.data.Dataset],
        views: int = 1,
        progress: Callable[[int, int], None] | None = None,
        labels: np.ndarray | None = None,
    ):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.paths = [_facts(self.folder, view) for view in range(views)]
        if not all(path.is_file() for path in self.paths):
            self._make(extractor, clips(), progress)
        self._known = [_read(path) for path in self.paths]
        if labels is not None:
            self._known = [replace(view, labels=labels) for view in self._known]

    def _make(self, extractor, clips, progress):
        batches, views = int(clips.cardinality()), len(self.paths)
        for view, path in enumerate(self.paths):
            if path.is_file():
                # Epochs differ by number, so that one which is there must be counted off.
                next(iter(clips), None)
                continue
            told = progress and partial(_tell, progress, view * batches, views * batches)
            made = ((_named(extractor.predict_on_batch(c)), c[MASK], label) for c, label in clips)
            _write(path, made, told)

    def __len__(self) -> int:
        """Clips in a view."""
        return len(self._known[0].labels)

    def rows(
        self, view: int, numbers: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Features, mask and labels of some clips of a view, by their numbers, as float32."""
        kept = self._known[view]
        found = {}
        for name, shape in kept.shapes.items():
            place = _place(self.paths[view], name)
            whole = np.memmap(place, np.float16, "r", shape=(len(kept.labels), *shape))
            found[name] = whole[numbers].astype(np.float32)
        return found, kept.mask[numbers], kept.labels[numbers]

    def dataset(
        self, batch_size: int, *, training: bool = False, seed: int = 0, behind: int = 0
    ) -> tf.data.Dataset:
        """`feature_batches` of this one."""
        return feature_batches([self], batch_size, training=training, seed=seed, behind=behind)


def feature_batches(
    parts: Sequence[FeatureViews],
    batch_size: int,
    *,
    training: bool = False,
    seed: int = 0,
    behind: int = 0,
) -> tf.data.Dataset:
    """Batches of ({name: features (B, T, ...) float32, "mask": (B, T)}, labels), view by view.

    The one output of an extractor goes by the name "frames".

    Args:
        parts: clips from one or more places, with as many views each; read when they are wanted.
        batch_size: clips in a batch.
        training: give the views in turn, an epoch each, and shuffle; otherwise the first alone.
        seed: of the order.
        behind: epochs of training already done, with which views and orders go on.
    """
    ends = np.cumsum([len(part) for part in parts])
    epoch = itertools.count(behind)

    def together(view, chosen):
        owner = np.searchsorted(ends, chosen, side="right")
        order, found = [], []
        for number in np.unique(owner):
            mine = np.flatnonzero(owner == number)
            order.append(mine)
            begin = ends[number] - len(parts[number])
            found.append(parts[number].rows(view, chosen[mine] - begin))
        back = np.argsort(np.concatenate(order))
        features = {
            name: np.concatenate([one[name] for one, _, _ in found])[back] for name in found[0][0]
        }
        mask, labels = (np.concatenate([one[n] for one in found])[back] for n in (1, 2))
        return {**features, MASK: mask}, labels

    def rows():
        number = next(epoch) if training else 0
        order = np.arange(ends[-1])
        if training:
            np.random.default_rng((seed, number)).shuffle(order)
        for start in range(0, len(order), batch_size):
            yield together(number % len(parts[0].paths), order[start : start + batch_size])

    batch, labels = together(0, np.arange(1))
    signature = (
        {
            name: tf.TensorSpec([None, *kept.shape[1:]], tf.as_dtype(kept.dtype))
            for name, kept in batch.items()
        },
        tf.TensorSpec([None, *labels.shape[1:]], tf.float32),
    )
    dataset = tf.data.Dataset.from_generator(rows, output_signature=signature)
    batches = -(-int(ends[-1]) // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return dataset.prefetch(tf.data.AUTOTUNE)


def features_by_clip(
    folders: Sequence[Path],
    labels: np.ndarray,
    extractor: keras.Model,
    clips: Callable[[list[int]], tf.data.Dataset],
    progress: Callable[[int, int], None] | None = None,
) -> list[FeatureViews]:
    """What a frozen CNN makes of clips as they are, each kept by itself.

    Those that are missing are made together, and each is there once it is made: a killed run goes
    on with the next, and clips that are added cost no more than themselves.

    Args:
        folders: one for each clip, named by what its features depend on.
        labels: (N, ...), of the clips.
        extractor: as in `FeatureViews`.
        clips: gives batches of the clips of some numbers, in that order.
        progress: called with (clips done, clips in all).
    """
    missing = [n for n, folder in enumerate(folders) if not _facts(folder, 0).is_file()]
    done = 0
    for clip, truth in clips(missing) if missing else ():
        features = _named(extractor.predict_on_batch(clip))
        for row in range(len(truth)):
            one = slice(row, row + 1)
            folder = folders[missing[done]]
            folder.mkdir(parents=True, exist_ok=True)
            own = {name: values[one] for name, values in features.items()}
            _write(_facts(folder, 0), [(own, clip[MASK][one], truth[one])], None)
            done += 1
        if progress:
            progress(len(folders) - len(missing) + done, len(folders))
    return [
        FeatureViews(folder, extractor, partial(clips, [n]), labels=labels[n : n + 1])
        for n, folder in enumerate(folders)
    ]


class FeatureKeys:
    """Names features by all that decides them: CNN, clips, and how they are read and varied.

    What stands behind the pooled features decides nothing, so that many heads share them.

    Args:
        extractor: what makes them.
        config: of the run that wants them.
    """

    def __init__(self, extractor: keras.Model, config: RunConfig):
        self._config = config
        self._cnn = hashlib.sha256()
        # Memory and changes have no weights of their own.
        self._cnn.update(f"{replace(config.model.extractor, features=0, dropout=0.0)}".encode())
        self._cnn.update(f"{config.training.get('mixed_precision', False)}".encode())
        for weight in extractor.get_weights():
            self._cnn.update(weight.tobytes())

    def of_clip(self, clip: Clip) -> str:
        """The name of what is made of one clip as it is, whatever its label."""
        digest = self._cnn.copy()
        digest.update(self._read(clip))
        return digest.hexdigest()[:40]

    def of_varied(self, clips: Sequence[Clip]) -> str:
        """The name of what is made of clips in variations, which come with their labels."""
        digest = self._cnn.copy()
        for clip in clips:
            digest.update(self._read(clip) + clip.label.encode())
        varied = (self._config.labels, self._config.augment, self._config.training["seed"])
        digest.update(repr(varied).encode())
        return digest.hexdigest()[:40]

    def _read(self, clip):
        model = self._config.model
        key = clip_key(clip.path, model.frames, model.size, clip.start, clip.end, self._config.fit)
        return key.encode()


def share_weights(source: keras.Model, target: keras.Model) -> keras.Model:
    """Copies the weights of all layers that both models have, by name; returns the target."""
    names = {layer.name for layer in target.layers}
    for layer in source.layers:
        if layer.weights and layer.name in names:
            target.get_layer(layer.name).set_weights(layer.get_weights())
    return target


def _named(outputs):
    return outputs if isinstance(outputs, dict) else {FRAMES: outputs}


def _tell(progress, behind, total, done):
    progress(behind + done, total)


def _write(path, batches, told):
    """Writes the features of a view batch by batch, then what says that they are all there."""
    shapes: dict[str, tuple[int, ...]] = {}
    rows = []
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for done, (features, mask, labels) in enumerate(batches, 1):
            for name, values in features.items():
                if name not in files:
                    beside = stack.enter_context(replacing(_place(path, name)))
                    files[name] = stack.enter_context(open(beside, "wb"))
                    shapes[name] = values.shape[1:]
                files[name].write(np.asarray(values).astype(np.float16).tobytes())
            rows.append((mask.numpy(), labels.numpy()))
            if told:
                told(done)
        if not rows:
            raise ValueError(
                "FeatureViews: clips must hold one batch or more, got none. Check that the clips "
                "can be read."
            )
    masks, labels = (np.concatenate(column) for column in zip(*rows, strict=True))
    with replacing(path) as beside, open(beside, "wb") as file:
        shapes_of = {f"shape_{name}": np.array(shape) for name, shape in shapes.items()}
        np.savez(file, mask=masks, labels=labels, **shapes_of)


@dataclass(frozen=True)
class _View:
    """What is known of a view without reading its features."""

    mask: np.ndarray
    labels: np.ndarray
    shapes: dict[str, tuple[int, ...]]


def _read(path):
    with np.load(path, allow_pickle=False) as view:
        shapes = {key[6:]: tuple(view[key]) for key in view.files if key.startswith("shape_")}
        return _View(view["mask"], view["labels"], shapes)


def _facts(folder, view):
    """The file of a view that is written last."""
    return folder / f"view{view}.npz"


def _place(path, name):
    return path.with_name(f"{path.stem}-{name}.f16")
