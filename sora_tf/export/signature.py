"""What an exported model answers: functions of raw frames, with the preprocessing inside."""

import contextlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tensorflow as tf

from sora_tf import __version__
from sora_tf._keras import keras
from sora_tf.config import DetectorConfig, SoraConfig
from sora_tf.models.sora import FRAME_VECTORS, GLOBAL_VECTOR, SCORES, build_sora, embedder
from sora_tf.models.streaming import streaming
from sora_tf.models.video_model import FRAMES, MASK
from sora_tf.train.fake_quant import copy_weights
from sora_tf.train.fit import precision
from sora_tf.train.run import Run
from sora_tf.train.settings import TrainConfig

Tensors = dict[str, tf.Tensor]
LABELS = "labels"
ASKED, FACTS = "asked", "facts"


class Steps:
    """What is exported and may run frame by frame.

    Attributes:
        model: the network.
        config: what it was built from.
        labels: class names, by whose place answers are numbered.
    """

    model: keras.Model
    config: SoraConfig | DetectorConfig
    labels: tuple[str, ...]

    def facts_json(self, **more: Any) -> str:
        """What a user of an exported file has to know to feed it, as JSON text."""
        raise NotImplementedError

    @property
    def step(self) -> keras.Model | None:
        """The model frame by frame; None where it looks into the future."""
        return self._streamed[0]

    @property
    def why_no_step(self) -> str:
        """What there is no `step` for; nothing where there is one."""
        return self._streamed[1]

    @cached_property
    def _streamed(self):
        try:
            return streaming(self.model), ""
        except ValueError as error:
            return None, str(error)

    @property
    def networks(self) -> list[keras.Model]:
        """All that holds weights."""
        return [self.model]

    @property
    def states(self) -> dict[str, tf.TensorSpec]:
        """The states of `step`, (None, ...) each; none where there is no `step`."""
        if self.step is None:
            return {}
        named = zip(self.step.input_names, self.step.inputs, strict=True)
        return {n: tf.TensorSpec(t.shape, t.dtype, n) for n, t in named if n != FRAMES}

    def taken(self, batch: int | None) -> dict[str, tf.TensorSpec]:
        """What a step of this many clips takes once it is exported, frame and states."""
        return step_spec(self, batch)

    @property
    def labels_text(self) -> str:
        """The class names as text, a line each."""
        return "".join(f"{label}\n" for label in self.labels)


@dataclass(frozen=True)
class Deployable(Steps):
    """A trained classifier with all that its users need to know.

    Args:
        model: from `build_sora`, with classes.
        config: what it was built from.
        labels: class names, in the order of the scores.
        fit: how frames of another size are made to fit: "stretch", "cover" or "contain".
        clip_seconds: length of the clips it was trained on, s.
    """

    model: keras.Model
    config: SoraConfig
    labels: tuple[str, ...]
    fit: str
    clip_seconds: float

    @classmethod
    def of(cls, run: Run) -> "Deployable":
        """The best model of a run.

        Raises:
            RunError: there is no run, or no model in it.
        """
        config = run.read_config()
        model = in_float32(run, lambda: build_sora(config.model, len(config.labels)))
        return cls(model, config.model, config.labels, config.fit, config.clip_seconds)

    @cached_property
    def clip(self) -> keras.Model:
        """The model with all its answers: {"scores", "global_vector", "frame_vectors"}."""
        vectors = embedder(self.model)
        outputs = {SCORES: self.model.output, **vectors.output}
        return keras.Model(vectors.input, outputs, name="clip")

    def facts_json(self, **more: Any) -> str:
        """See `Steps`."""
        return facts_text(
            labels=list(self.labels),
            frames=self.config.frames,
            size=list(self.config.size),
            fit=self.fit,
            frame_rate=round(self.config.frames / self.clip_seconds, 3),
            **more,
        )


def in_float32(run: Run, build: Callable[[], keras.Model]) -> keras.Model:
    """The best model of a run; of one trained in mixed precision, built anew around its weights.

    TFLite has no kernels for float16. The weights are float32 all along.
    """
    trained = run.load_model()
    if not run.read_config().training.get("mixed_precision"):
        return trained
    with precision(TrainConfig()):
        model = build()
    copy_weights(trained, model)
    return model


def facts_text(**facts: Any) -> str:
    """What is told of an exported file, with what is true of all, as JSON text."""
    common = {"channels": "RGB", "values": "uint8 0 to 255", "sora_tf": __version__}
    return json.dumps(facts | common, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Endpoint:
    """A signature of a SavedModel: a function and what it takes."""

    function: Callable[..., Tensors]
    signature: list[Any]


def facts_endpoint(what: Steps) -> Endpoint:
    """What a client asks first: "asked" (B,), any texts, to "facts" (B,) and "labels" (B, C).

    The former is `facts_json`.
    """
    told, names = tf.constant(what.facts_json()), tf.constant(what.labels)

    def facts(asked: tf.Tensor) -> Tensors:
        batch = tf.shape(asked)
        return {FACTS: tf.fill(batch, told), LABELS: tf.tile(names[None], [batch[0], 1])}

    return Endpoint(facts, [tf.TensorSpec((None,), tf.string, ASKED)])


def clip_function(what: Deployable) -> Callable[..., Tensors]:
    """(frames (B, T, H, W, 3) uint8, mask (B, T) bool) to scores, global and frame vectors."""

    def clip(frames, mask):
        return dict(what.clip({FRAMES: tf.cast(frames, tf.float32), MASK: mask}, training=False))

    return clip


def step_function(what: Steps) -> Callable[[Tensors], Tensors]:
    """{frames (B, 1, H, W, 3) uint8, states} to the answers so far and the new states."""
    model = what.step
    assert model is not None, "only causal models have a step"

    def step(inputs):
        given = {**inputs, FRAMES: tf.cast(inputs[FRAMES], tf.float32)}
        return dict(model(given, training=False))

    return step


def clip_spec(what: Deployable, batch: int | None) -> list[tf.TensorSpec]:
    """What `clip_function` takes."""
    length = what.config.frames
    return [
        tf.TensorSpec((batch, length, *what.config.size, 3), tf.uint8, FRAMES),
        tf.TensorSpec((batch, length), tf.bool, MASK),
    ]


def step_spec(what: Steps, batch: int | None) -> dict[str, tf.TensorSpec]:
    """What `step_function` takes."""
    frames = tf.TensorSpec((batch, 1, *what.config.size, 3), tf.uint8, FRAMES)
    return {FRAMES: frames, **of_batch(what.states, batch)}


def of_batch(specs: Mapping[str, tf.TensorSpec], batch: int | None) -> dict[str, tf.TensorSpec]:
    """The same of that many clips, (B, ...) each."""
    return {n: tf.TensorSpec((batch, *s.shape[1:]), s.dtype, n) for n, s in specs.items()}


def write_endpoints(
    networks: Sequence[keras.Model],
    found: Mapping[str, Endpoint],
    folder: str | Path,
    assets: Sequence[Path] = (),
) -> None:
    """Writes a SavedModel of these signatures, of these networks, with files that it carries."""
    archive = keras.export.ExportArchive()
    for network in networks:
        archive.track(network)
    for name, endpoint in found.items():
        archive.add_endpoint(name, endpoint.function, input_signature=endpoint.signature)
    archive.assets = [tf.saved_model.Asset(str(path)) for path in assets]
    with contextlib.redirect_stdout(io.StringIO()):  # a page about every variable
        archive.write_out(str(folder))


def endpoints(what: Deployable) -> dict[str, Endpoint]:
    """The signatures for a server, every one with an open batch dimension.

    serving_default: frames (B, t, h, w, 3) uint8 of any t, h and w to scores (B, C), labels (B, C)
    and global_vector (B, D). embed: the same to frame_vectors and global_vector. jpeg: frames
    (B, t) of JPEG or PNG bytes, "" past a clip's end, to what serving_default gives. classify:
    tf.Examples with the pictures of a clip in "frames" to classes and scores. step, for causal
    models: see `models.streaming`. facts: see `facts_endpoint`.
    """
    pictures = tf.TensorSpec((None, None, None, None, 3), tf.uint8, FRAMES)
    encoded = tf.TensorSpec((None, None), tf.string, FRAMES)
    examples = tf.TensorSpec((None,), tf.string, "inputs")
    names = tf.constant(what.labels)
    clip = clip_function(what)
    size, length = what.config.size, what.config.frames

    def of_pictures(frames):
        count = tf.fill(tf.shape(frames)[:1], tf.shape(frames)[1])
        places, mask = _places(count, length)
        chosen = tf.gather(frames, places, batch_dims=1)  # (B, T, h, w, 3)
        shape = tf.shape(chosen)
        flat = tf.reshape(chosen, tf.concat([[-1], shape[2:]], 0))  # (B·T, h, w, 3)
        fitted = tf.reshape(fitted_frames(flat, size, what.fit), [-1, length, *size, 3])
        return clip(fitted, mask)

    def of_encoded(frames):
        count = tf.reduce_sum(tf.cast(frames != "", tf.int32), axis=1)
        places, mask = _places(count, length)
        chosen = tf.reshape(tf.gather(_not_empty(frames), places, batch_dims=1), [-1])
        fitted, _ = decoded_frames(chosen, size, what.fit)
        return clip(tf.reshape(fitted, [-1, length, *size, 3]), mask)

    def named(scores):
        return tf.tile(names[None], [tf.shape(scores)[0], 1])

    def answer(found):
        scores = found[SCORES]
        return {SCORES: scores, LABELS: named(scores), GLOBAL_VECTOR: found[GLOBAL_VECTOR]}

    def serving_default(frames):
        return answer(of_pictures(frames))

    def jpeg(frames):
        return answer(of_encoded(frames))

    def embed(frames):
        found = of_pictures(frames)
        real = tf.minimum(tf.shape(frames)[1], length)
        return {
            GLOBAL_VECTOR: found[GLOBAL_VECTOR],
            FRAME_VECTORS: found[FRAME_VECTORS][:, :real],
        }

    def classify(inputs):
        kind = tf.io.FixedLenSequenceFeature((), tf.string, allow_missing=True, default_value="")
        frames = tf.io.parse_example(inputs, {FRAMES: kind})[FRAMES]
        scores = of_encoded(frames)[SCORES]
        return {"classes": named(scores), SCORES: scores}

    found = {
        "serving_default": Endpoint(serving_default, [pictures]),
        "embed": Endpoint(embed, [pictures]),
        "jpeg": Endpoint(jpeg, [encoded]),
        "classify": Endpoint(classify, [examples]),
        FACTS: facts_endpoint(what),
    }
    if what.step is not None:
        found["step"] = Endpoint(step_function(what), [step_spec(what, None)])
    return found


def _places(count, length):
    """Which of `count` (B,) frames to take, (B, T): all and padding, or `length` spread evenly."""
    slots = tf.range(length)[None]  # (1, T)
    count = count[:, None]
    evenly = (2 * slots + 1) * count // (2 * length)  # the middle of each of T equal segments
    first = tf.minimum(slots, tf.maximum(count - 1, 0))
    return tf.where(count > length, evenly, first), slots < count


def _not_empty(frames):
    """(B, t) to (B, max(t, 1)), so that a clip without frames has one to point at."""
    return tf.pad(frames, [[0, 0], [0, tf.cast(tf.shape(frames)[1] == 0, tf.int32)]])


def decoded_frames(
    texts: tf.Tensor, size: tuple[int, int], fit: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """JPEG or PNG pictures (N,) as frames (N, H, W, 3) uint8, and as high and wide as they came.

    The latter is (N, 2) float32. "" is a black picture of `size`.
    """

    def decode(text):
        # Reads PNG as well. The default is a faster transform, up to several grey levels off.
        picture = tf.io.decode_jpeg(text, channels=3, dct_method="INTEGER_ACCURATE")
        return fitted_frames(picture[None], size, fit)[0], tf.cast(tf.shape(picture)[:2], "float32")

    def one(text):
        nothing = tf.zeros((*size, 3), tf.uint8), tf.constant(size, tf.float32)
        return tf.cond(tf.strings.length(text) > 0, lambda: decode(text), lambda: nothing)

    kinds = tf.TensorSpec((*size, 3), tf.uint8), tf.TensorSpec((2,), tf.float32)
    frames, shown = tf.map_fn(one, texts, fn_output_signature=kinds)
    return frames, shown


def fitted_frames(frames: tf.Tensor, size: tuple[int, int], fit: str) -> tf.Tensor:
    """(N, h, w, 3) uint8 to (N, H, W, 3) uint8; frames of that size stay as they are."""
    height, width = tf.shape(frames)[1], tf.shape(frames)[2]

    def change():
        return tf.cast(tf.round(RESIZES[fit](frames, size)), tf.uint8)

    same = (height == size[0]) & (width == size[1])
    return tf.ensure_shape(tf.cond(same, lambda: frames, change), (None, *size, 3))


def _stretch(frames, size):
    return tf.clip_by_value(tf.image.resize(frames, size, antialias=True), 0.0, 255.0)


def _contain(frames, size):
    shape = tf.cast(tf.shape(frames)[1:3], tf.float32)
    inside = tf.cast(tf.maximum(tf.round(shape * tf.reduce_min(size / shape)), 1.0), tf.int32)
    inside = tf.minimum(inside, size)
    before = (tf.constant(size) - inside) // 2
    after = tf.constant(size) - inside - before
    paddings = tf.pad(tf.stack([before, after], axis=1), [[1, 1], [0, 0]])
    return tf.pad(_stretch(frames, inside), paddings)


def _cover(frames, size):
    shape = tf.cast(tf.shape(frames)[1:3], tf.float32)
    outside = tf.cast(tf.round(shape * tf.reduce_max(size / shape)), tf.int32)
    outside = tf.maximum(outside, size)
    top, left = tf.unstack((outside - size) // 2)
    return _stretch(frames, outside)[:, top : top + size[0], left : left + size[1]]


RESIZES = {"stretch": _stretch, "contain": _contain, "cover": _cover}
