"""A head that answers questions about a clip: a question looks at its frames and its sentences.

What is seen and said are nodes with their times: for each frame one of where things are and where
they go, and one of what they look like; for each sentence one. The question's vector says what of
each frame counts and looks at all nodes (cross-attention); the answer is chosen from what it saw,
and where it looked are the moments that support it.
"""

from dataclasses import dataclass

import numpy as np

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.asked import QueryPool, Trend
from sora_tf.layers.first_values import FirstValues
from sora_tf.models.video_model import MASK

layers = keras.layers

QUESTION, PLACES, WHOLE, TIMES = "question", "places", "whole", "times"
SAID, SAID_TIMES, SAID_MASK = "said", "said_times", "said_mask"
SCORES, ATTENTION = "scores", "attention"
KNOWN_PLACES, KNOWN_WHOLE = "known_places", "known_whole"
FACTS = 5  # of a place, before its features: across, down, how much differs, width and height
QUIET = 0.3  # of features: so many of them would drown the few facts
BLIND = 0.5  # of training clips are answered without a look at what things look like


@dataclass(frozen=True)
class AnswererConfig:
    """A head that answers questions about clips.

    Args:
        frames: frames T of a clip.
        size: height and width of a frame in pixels, as the CNN is shown it.
        places: places of a frame.
        place_features: values of a place, its 5 facts first.
        whole_features: features of a whole picture.
        sentences: most sentences of a clip.
        text: length of a sentence's vector.
        units: length of a node.
        heads: of the attention; divides `units`.
        dropout: share of features dropped in training.
    """

    frames: int = 16
    size: tuple[int, int] = (320, 320)
    places: int = 4
    place_features: int = 117
    whole_features: int = 2672
    sentences: int = 32
    text: int = 384
    units: int = 64
    heads: int = 4
    dropout: float = 0.3

    def __post_init__(self) -> None:
        """Checks the ranges."""
        owner = "AnswererConfig"
        for name in ("frames", "places", "whole_features", "sentences", "text", "heads"):
            _checks.at_least(owner, name, getattr(self, name), 1, "", "Use 1 or more.")
        _checks.at_least(owner, "place_features", self.place_features, 5, "", "5 are its facts.")
        _checks.between(owner, "dropout", self.dropout, 0.0, 0.9, "0.3 is usual.")
        if self.units % self.heads or self.units < 2 * self.heads:
            raise ValueError(
                f"{owner}: units must be a multiple of heads ({self.heads}), twice it or more, got "
                f"{self.units}. Use 64 and 4."
            )


def build_answerer(config: AnswererConfig, num_answers: int) -> keras.Model:
    """Builds the head.

    Args:
        config: what to build.
        num_answers: answers A to choose from.

    Returns:
        A model from {"question": (B, Q); "places": (B, T, K, P), the first 5 of P being facts as
        in `Seen`; "whole": (B, T, F); "times": (B, T), share of the clip from 0 to 1; "mask":
        (B, T) bool; "said": (B, S, Q), vectors of sentences; "said_times": (B, S); "said_mask":
        (B, S) bool} to {"scores": (B, A), which sum to 1; "attention": (B, T + S), which sums to 1
        over the frames and sentences that are there}.

    Raises:
        ValueError: there are fewer than 2 answers.
    Reference: Vaswani et al., "Attention is all you need", NeurIPS 2017 (cross-attention); Neverova
        et al., "ModDrop", TPAMI 2016 (what is dropped whole, so that the rest learns as well).
    """
    _checks.at_least("build_answerer", "num_answers", num_answers, 2, "answers", "Give more.")
    shapes = {
        QUESTION: (config.text,),
        PLACES: (config.frames, config.places, config.place_features),
        WHOLE: (config.frames, config.whole_features),
        TIMES: (config.frames,),
        MASK: (config.frames,),
        SAID: (config.sentences, config.text),
        SAID_TIMES: (config.sentences,),
        SAID_MASK: (config.sentences,),
    }
    given = {
        name: keras.Input(shape, name=name, dtype="bool" if name in (MASK, SAID_MASK) else None)
        for name, shape in shapes.items()
    }
    question = layers.Dense(config.units, activation="relu", name="asked")(given[QUESTION])
    nodes = [*_frames(given, question, config), _sentences(given, config)]
    there = [given[MASK], given[MASK], given[SAID_MASK]]
    context, attention = _look(question, nodes, there, config)
    # Linear in what is seen: a few dozen clips are too few for more.
    wanted = layers.Dense(config.units, name="wanted")(question)
    matched = layers.Multiply(name="matched")([context, wanted])
    x = layers.Concatenate(name="matched_and_asked")([matched, question])
    x = layers.Dropout(config.dropout, name="answer_dropout")(x)
    logits = layers.Dense(num_answers, name="logits", dtype="float32")(x)
    outputs = {
        SCORES: layers.Softmax(name=SCORES, dtype="float32")(logits),
        ATTENTION: layers.Activation("linear", name=ATTENTION, dtype="float32")(attention),
    }
    return keras.Model(given, outputs, name="answerer")


def _frames(given, question, config):
    """Two nodes a frame, (B, T, U) each: where what is asked about is and goes; how it looks."""
    places = layers.Normalization(name=KNOWN_PLACES)(given[PLACES])
    asked = QueryPool(config.units, name="asked_places")([places, question])  # (B, T, P)
    first = layers.Cropping2D(((0, 0), (0, config.places - 1)), name="first_place")(places)
    first = layers.Reshape((config.frames, config.place_features), name="first_of_frame")(first)
    facts = layers.Concatenate(name="facts")(
        [FirstValues(FACTS, name=f"facts_{n}")(x) for n, x in enumerate((asked, first))]
    )
    trend = Trend(name="trend")([facts, given[TIMES], given[MASK]])
    when = layers.Reshape((config.frames, 1), name="when")(given[TIMES])
    where = layers.Concatenate(name="where")([facts, trend, when])
    whole = layers.Normalization(name=KNOWN_WHOLE)(given[WHOLE])
    looks = []
    for name, x in (("asked", asked), ("whole", whole)):
        x = layers.Dropout(config.dropout, name=f"{name}_dropout")(x)
        x = layers.Rescaling(QUIET, name=f"{name}_quiet")(x)
        looks.append(layers.Dense(config.units, activation="relu", name=f"{name}_looks")(x))
    looks = layers.Concatenate(name="looks")(looks)
    looks = layers.Dropout(BLIND, noise_shape=(None, 1, 1), name="blind")(looks)
    looks = layers.Concatenate(name="looks_and_when")([looks, when])
    return (
        layers.Dense(config.units, name="where_nodes")(where),
        layers.Dense(config.units, activation="relu", name="looks_nodes")(looks),
    )


def _sentences(given, config):
    """A node a sentence (B, S, U)."""
    when = layers.Reshape((config.sentences, 1), name="said_when")(given[SAID_TIMES])
    said = layers.Concatenate(name="sentence")([given[SAID], when])
    return layers.Dense(config.units, activation="relu", name="sentence_nodes")(said)


def _look(question, nodes, there, config):
    """What the question sees (B, U), and how much it looks at each frame and sentence."""
    t, s = config.frames, config.sentences
    context, attention = layers.MultiHeadAttention(
        config.heads, config.units // config.heads, name="look"
    )(
        layers.Reshape((1, config.units), name="query")(question),
        layers.Concatenate(axis=1, name="nodes")(nodes),
        attention_mask=layers.Reshape((1, 2 * t + s), name="there_for_all")(
            layers.Concatenate(axis=1, name="there")(there)
        ),
        return_attention_scores=True,
    )
    heads = layers.Reshape((config.heads, 2 * t + s), name="attention_of_heads")(attention)
    line = layers.GlobalAveragePooling1D(name="attention_of_nodes")(heads)
    line = layers.Reshape((2 * t + s, 1), name="attention_line")(line)
    parts = [
        layers.Cropping1D(crop, name=f"attention_{name}")(line)
        for name, crop in (("where", (0, t + s)), ("looks", (t, s)), ("said", (2 * t, 0)))
    ]
    frames = layers.Add(name="attention_frames")(parts[:2])
    line = layers.Concatenate(axis=1, name="attention_all")([frames, parts[2]])
    return (
        layers.Reshape((config.units,), name="seen")(context),
        layers.Reshape((t + s,), name="attention_of_all")(line),
    )


def acquaint_answerer(model: keras.Model, places: np.ndarray, whole: np.ndarray) -> None:
    """Tells a head how what it is shown spreads; what never varies stays as it is.

    Args:
        model: from `build_answerer`.
        places: (N, P), places of some real frames.
        whole: (N, F), the whole of some real frames.
    """
    for name, rows in ((KNOWN_PLACES, places), (KNOWN_WHOLE, whole)):
        rows = np.asarray(rows, np.float64)
        variance = rows.var(axis=0)
        layer = model.get_layer(name)
        layer.set_weights([rows.mean(axis=0), np.where(variance > 1e-8, variance, 1.0), len(rows)])
        layer.finalize_state()
