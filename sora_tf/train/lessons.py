"""What a student is taught besides labels, each a term of the loss on an output of its own."""

import logging
from dataclasses import dataclass

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.data import Augment
from sora_tf.layers.frame_relations import FrameRelations
from sora_tf.models.sora import FRAME_VECTORS, GLOBAL_VECTOR, SCORES
from sora_tf.models.video_model import MASK, VideoModel
from sora_tf.train.answers import Answers
from sora_tf.train.teacher import RELATIONS

LOG = logging.getLogger(__name__)
LOGITS = "logits"
VECTOR = "teacher_vector"
FEATURES_OF_FRAMES = "teacher_features"


@dataclass(frozen=True)
class Lesson:
    """How much each thing a student is taught counts; 0 leaves it out.

    Args:
        labels: cross-entropy with the clip's label, where it has one.
        scores: divergence from the teacher's softened scores.
        vector: distance between the teacher's global vector and a linear map of the student's.
            The map is thrown away afterwards.
        relations: difference between how alike the student finds every two frames of a clip and
            how alike the teacher does.
        features: mean squared difference between the teacher's frame vectors, in the 256
            directions in which they differ most, and a linear map of the student's. Worth its
            price where there are many clips, with or without labels.
        temperature: logits are divided by it before the softmax, so that small scores count too.
        distance: of the vectors: "cosine" or "squared".
        views: variations of every clip that the teacher is asked about, an epoch each in turn, in
            which the student then sees the very same; 0 asks about the clips as they are.
    Reference: scores: Hinton, Vinyals, Dean 2015; vector, features: Romero et al. 2015
        (FitNets);
        relations: Tung and Mori 2019 and Park et al. 2019, between the frames of one clip;
        views: Beyer et al. 2022 (consistent teaching).
    """

    labels: float = 1.0
    scores: float = 1.0
    vector: float = 1.0
    relations: float = 1.0
    features: float = 0.0
    temperature: float = 4.0
    distance: str = "cosine"
    views: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        weights = {name: getattr(self, name) for name in ("labels", *TERMS)}
        for name, weight in weights.items():
            _checks.between("Lesson", name, weight, 0.0, 1e6, "1 is usual, 0 leaves it out.")
        if not any(weights[name] for name in TERMS):
            raise ValueError(
                f"Lesson: one of {', '.join(TERMS)} must be above 0, got none. Train without a "
                "teacher instead."
            )
        _checks.above("Lesson", "temperature", self.temperature, 0.0, "", "4 is usual.")
        _checks.at_least("Lesson", "views", self.views, 0, "", "0 takes the clips as they are.")
        _checks.one_of("Lesson", "distance", self.distance, DISTANCES)


def possible(lesson: Lesson, answers: Answers, augment: Augment) -> dict[str, float]:
    """The terms with a weight that the teacher can teach; the log says why others cannot.

    Args:
        lesson: what was asked for.
        answers: the teacher's.
        augment: how the student's clips are varied.
    """
    reasons = {
        "scores": None if answers.scores is not None else "the teacher names no classes",
        "vector": None if answers.vectors is not None else "the teacher gives no global vector",
        "relations": _no_relations(answers, augment, lesson.views),
        "features": (
            "the teacher's frame vectors are too many to keep"
            if answers.features is None
            else _no_relations(answers, augment, lesson.views)
        ),
    }
    for name, reason in reasons.items():
        if reason and getattr(lesson, name):
            LOG.warning("not taught: %s, for %s", name, reason)
    return {
        name: getattr(lesson, name)
        for name in TERMS
        if getattr(lesson, name) and reasons[name] is None
    }


def _no_relations(answers, augment, views):
    if answers.relations is None:
        return "the teacher gives no frame vectors"
    if augment.mixup:
        return "mixup shows the student two clips at once"
    if augment.speed and not views:
        return "speed shows the student other moments than the teacher"
    return None


def learner(student: keras.Model, answers: Answers, terms: dict[str, float]) -> VideoModel:
    """The student with an output for each term; its layers are shared, not copied.

    Args:
        student: from `build_sora`, with a classifier.
        answers: the teacher's, for the length of its vectors.
        terms: from `possible`.

    Returns:
        A model from clips to {"scores": (B, C)} and of "logits" (B, C), "teacher_vector"
        (B, teacher's D), "relations" (B, T, T) and "teacher_features" (B, T, K) those that are
        taught.
    """
    clip = dict(zip(student.input_names, student.inputs, strict=True))
    outputs = {SCORES: student.output}
    if "scores" in terms:
        outputs[LOGITS] = student.get_layer(LOGITS).output
    if "vector" in terms and answers.vectors is not None:
        linear = keras.layers.Dense(answers.vectors.shape[1], name=VECTOR, dtype="float32")
        outputs[VECTOR] = linear(student.get_layer(GLOBAL_VECTOR).output)
    vectors = student.get_layer(FRAME_VECTORS).output
    if "relations" in terms:
        outputs[RELATIONS] = FrameRelations(name=RELATIONS, dtype="float32")([vectors, clip[MASK]])
    if "features" in terms and answers.features is not None:
        length = answers.features.shape[-1]
        linear = keras.layers.Dense(length, name=FEATURES_OF_FRAMES, dtype="float32")
        outputs[FEATURES_OF_FRAMES] = linear(vectors)
    return VideoModel(clip, outputs, name="learner")


def compile_learner(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    lesson: Lesson,
    terms: dict[str, float],
    label_smoothing: float = 0.0,
    xla: bool = False,
) -> None:
    """Compiles a learner: the loss is the weighted sum of cross-entropy and the terms.

    Args:
        model: from `learner`.
        optimizer: what to learn with.
        lesson: temperature, distance and the weight of the labels.
        terms: from `possible`.
        label_smoothing: share of a label spread over all classes.
        xla: compile with XLA.
    """
    losses = {
        "scores": (LOGITS, SoftenedScores(lesson.temperature)),
        "vector": (VECTOR, DISTANCES[lesson.distance]),
        "relations": (RELATIONS, relation_distance),
        "features": (FEATURES_OF_FRAMES, keras.losses.MeanSquaredError()),
    }
    taught = {name: losses[name] for name in terms}
    model.compile(
        optimizer,
        loss={
            SCORES: keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
            **dict(taught.values()),
        },
        loss_weights={
            SCORES: lesson.labels,
            **{output: terms[name] for name, (output, _) in taught.items()},
        },
        weighted_metrics={SCORES: "accuracy"},  # clips without a label weigh nothing
        jit_compile=xla,
    )


@keras.utils.register_keras_serializable(package="sora_tf")
class SoftenedScores(keras.losses.Loss):
    """Divergence of the student's softened scores from the teacher's.

    τ²·Σ_c q_c·(log q_c - log p_c), q = softmax(teacher/τ), p = softmax(student/τ). The factor τ²
    keeps the size of the gradients whatever the temperature.

    Args:
        temperature: τ, above 0.
    Call arguments:
        y_true: (B, C), the teacher's logits.
        y_pred: (B, C), the student's logits.
    Output: (B,), reduced as in Keras.
    Reference: Hinton, Vinyals, Dean 2015, section 2.
    """

    def __init__(self, temperature=4.0, name="softened_scores", **kwargs):
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        """The divergence of each clip; see the class."""
        teacher = tf.nn.log_softmax(y_true / self.temperature)
        student = tf.nn.log_softmax(y_pred / self.temperature)
        return self.temperature**2 * tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "temperature": self.temperature}


@keras.utils.register_keras_serializable(package="sora_tf")
def cosine_distance(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """1 - cos of two vectors, (B, D) and (B, D) to (B,)."""
    true, given = tf.math.l2_normalize(y_true, axis=-1), tf.math.l2_normalize(y_pred, axis=-1)
    return 1.0 - tf.reduce_sum(true * given, axis=-1)


@keras.utils.register_keras_serializable(package="sora_tf")
def squared_distance(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """The mean squared difference of two vectors, (B, D) and (B, D) to (B,)."""
    return tf.reduce_mean(tf.math.squared_difference(y_true, y_pred), axis=-1)


@keras.utils.register_keras_serializable(package="sora_tf")
def relation_distance(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """The mean squared difference of the pairs of real frames, (B, T, T) and (B, T, T) to (B,).

    A relation of a frame to itself is 1 where it is real, so the diagonal counts the frames.
    """
    frames = tf.linalg.trace(y_true)
    total = tf.reduce_sum(tf.math.squared_difference(y_true, y_pred), axis=(1, 2))
    return total / tf.maximum(frames * (frames - 1.0), 1.0)


TERMS = ("scores", "vector", "relations", "features")
DISTANCES = {"cosine": cosine_distance, "squared": squared_distance}
