"""A SavedModel with the signatures of an export, small enough to do its sums by hand.

A frame's vector is its mean colour, 0 to 1; a clip's is the mean over its frames; the scores are
the softmax of `sharpness` times it, so the labels are the colours.
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

LABELS = ["red", "green", "blue"]
FRAMES, SIZE = 6, (12, 10)  # T and H, W
TOLD = {"labels": LABELS, "frames": FRAMES, "size": SIZE, "fit": "stretch", "frame_rate": 3.0}


class Tiny(tf.Module):
    """The signatures of an export."""

    def __init__(self, sharpness: float):
        super().__init__()
        self.sharpness = tf.Variable(sharpness, trainable=False)

    def scores(self, vectors):
        """(B, 3) to (B, 3)."""
        return tf.nn.softmax(self.sharpness * vectors)

    def vectors(self, frames):
        """(B, t, h, w, 3) uint8 to (B, min(t, T), 3)."""
        count = tf.shape(frames)[1]
        places = (2 * tf.range(FRAMES) + 1) * count // (2 * FRAMES)
        places = tf.cond(count > FRAMES, lambda: places, lambda: tf.range(count))
        return tf.reduce_mean(tf.cast(tf.gather(frames, places, axis=1), tf.float32) / 255, [2, 3])

    def answer(self, vector):
        """(B, 3) to what serving_default gives."""
        labels = tf.tile(tf.constant([LABELS]), [tf.shape(vector)[0], 1])
        return {"scores": self.scores(vector), "labels": labels, "global_vector": vector}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, None, 3], tf.uint8, "frames")])
    def serving_default(self, frames):
        """Raw frames to names."""
        return self.answer(tf.reduce_mean(self.vectors(frames), 1))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, None, 3], tf.uint8, "frames")])
    def embed(self, frames):
        """Raw frames to vectors."""
        vectors = self.vectors(frames)
        return {"frame_vectors": vectors, "global_vector": tf.reduce_mean(vectors, 1)}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, "frames")])
    def jpeg(self, frames):
        """Encoded frames to names; "" is padding."""

        def colour(text):
            picture = tf.io.decode_jpeg(text, channels=3, dct_method="INTEGER_ACCURATE")
            return tf.reduce_mean(tf.cast(picture, tf.float32) / 255, [0, 1])

        def clip(texts):
            real = tf.boolean_mask(texts, texts != "")
            spec = tf.TensorSpec([3], tf.float32)
            return tf.reduce_mean(tf.map_fn(colour, real, fn_output_signature=spec), 0)

        spec = tf.TensorSpec([3], tf.float32)
        return self.answer(tf.map_fn(clip, frames, fn_output_signature=spec))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(self, inputs):
        """tf.Examples to names."""
        kind = tf.io.FixedLenSequenceFeature((), tf.string, allow_missing=True, default_value="")
        found = self.jpeg(tf.io.parse_example(inputs, {"frames": kind})["frames"])
        return {"classes": found["labels"], "scores": found["scores"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "asked")])
    def facts(self, asked):
        """What it says of itself."""
        batch = tf.shape(asked)
        labels = tf.tile(tf.constant([LABELS]), [batch[0], 1])
        return {"facts": tf.fill(batch, json.dumps(TOLD)), "labels": labels}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 1, *SIZE, 3], tf.uint8, "frames"),
            tf.TensorSpec([None, 3], tf.float32, "state_sum"),
            tf.TensorSpec([None, 1], tf.float32, "state_count"),
            tf.TensorSpec([None, FRAMES, 4], tf.float32, "state_last"),
        ]
    )
    def step(self, frames, state_sum, state_count, state_last):
        """One more frame; `state_last` holds the last T vectors, each with a 1 where it is one."""
        vectors = self.vectors(frames)  # (B, 1, 3)
        state_sum, state_count = state_sum + vectors[:, 0], state_count + 1
        newest = tf.concat([vectors, tf.ones_like(vectors[..., :1])], -1)
        state_last = tf.concat([state_last[:, 1:], newest], 1)
        overall = state_sum / state_count
        recent = tf.reduce_sum(state_last[..., :3], 1) / tf.reduce_sum(state_last[..., 3:], 1)
        return {
            "scores": self.scores(overall),
            "global_vector": overall,
            "recent_scores": self.scores(recent),
            "recent_vector": recent,
            "frame_vectors": vectors,
            "state_sum": state_sum,
            "state_count": state_count,
            "state_last": state_last,
        }


STATES = {
    "state_sum": np.zeros((1, 3), np.float32),
    "state_count": np.zeros((1, 1), np.float32),
    "state_last": np.zeros((1, FRAMES, 4), np.float32),
}
FRAME = np.zeros((1, 1, *SIZE, 3), np.uint8)
SIGNATURES = ("serving_default", "embed", "jpeg", "classify", "step", "facts")


def write_tiny(folder: Path, sharpness: float = 4.0) -> Path:
    """Writes the SavedModel of a version, with a warmup request."""
    tiny = Tiny(sharpness)
    signatures = {name: getattr(tiny, name) for name in SIGNATURES}
    tf.saved_model.save(tiny, str(folder), signatures=signatures)
    write_warmup(folder, "serving_default", {"frames": np.zeros((1, 2, *SIZE, 3), np.uint8)})
    return folder


def write_warmup(folder: Path, signature: str, inputs: dict[str, np.ndarray]) -> None:
    """Writes one warmup request."""
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    (folder / "assets.extra").mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / "assets.extra/tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


def vectors_of(clip: np.ndarray) -> np.ndarray:
    """The sum by hand: (t, h, w, 3) to (t, 3)."""
    return clip.reshape(len(clip), -1, 3).mean(1) / 255


def scores_of(vector: np.ndarray, sharpness: float = 4.0) -> dict[str, float]:
    """The sum by hand: (3,) to {label: score}."""
    powers = np.exp(sharpness * vector)
    return dict(zip(LABELS, powers / powers.sum(), strict=True))


def clip_of(seed: int, frames: int = FRAMES, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A noisy clip whose colours drift, (t, h, w, 3) uint8."""
    rng = np.random.default_rng(seed)
    colours = rng.uniform(20, 230, (frames, 1, 1, 3))
    return (colours + rng.uniform(-20, 20, (frames, *size, 3))).astype(np.uint8)


def check(prediction, clip, sharpness=4.0, atol=1e-5):
    """A prediction against the sum by hand."""
    vector = vectors_of(clip).mean(0)
    scores = scores_of(vector, sharpness)
    np.testing.assert_allclose(prediction.global_vector, vector, atol=atol)
    assert list(prediction.scores) == LABELS
    np.testing.assert_allclose(
        list(prediction.scores.values()), list(scores.values()), atol=atol * sharpness
    )
    assert prediction.label == max(prediction.scores, key=prediction.scores.get)
