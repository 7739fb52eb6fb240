"""The run folder of a model that tells what is felt in utterances.

config.json, labels.txt, split.csv, bag.json and words.txt (the terms of its bags of words and of
its encoder of words, where it has them), model.keras (the best epoch), history.csv, metrics.json,
predictions.csv, curves.png, confusion.png.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sora_tf.data.words import BagOfWords
from sora_tf.models.dialogue import DialogueConfig
from sora_tf.models.text import Vocabulary
from sora_tf.tasks.sentiment import Sentiment
from sora_tf.train.run import Made, Run, RunError

SENTIMENT = "sentiment model"
BAG, VOCABULARY = "bag.json", "words.txt"
VERB = "train-text"


@dataclass(frozen=True)
class SentimentRunConfig:
    """What the run was asked to do and with what.

    Args:
        model: the model.
        name: of what it tells, by the column of the labels: "sentiment" or "emotion", say.
        labels: class names, in the order of the scores.
        training: the settings of `TrainConfig`, as a dict.
        source: the table trained on.
        columns: names that columns have in it.
        versions: package → version.
        kind: tells this run from a classifier's of clips.
    """

    model: DialogueConfig
    name: str
    labels: tuple[str, ...]
    training: dict[str, Any]
    source: str
    columns: dict[str, str]
    versions: dict[str, str] = field(default_factory=dict)
    kind: str = SENTIMENT


class SentimentRun(Run):
    """The folder of the training run of such a model."""

    def read_config(self) -> SentimentRunConfig:  # type: ignore[override]
        """What the run was asked to do.

        Raises:
            RunError: there is no such run here, or its config does not read.
        """

        def made(values: dict[str, Any]) -> SentimentRunConfig:
            values["model"] = DialogueConfig.from_dict(values["model"])
            return SentimentRunConfig(**values)

        return self._config(made, VERB, SENTIMENT)

    def sentiment(self) -> Sentiment:
        """The trained model with all that it needs.

        Raises:
            RunError: there is none, or it does not load.
        """
        config = self.read_config()
        asked = config.model
        bag = self._read(BagOfWords.read, BAG) if asked.bag else None
        vocabulary = self._read(Vocabulary.read, VOCABULARY) if asked.words else None
        return Sentiment(config.name, self.load_model(), asked, config.labels, bag, vocabulary)

    def _read(self, read: Callable[[Path], Made], name: str) -> Made:
        try:
            return read(self.path / name)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.path / name} does not read: {error}. Train again into another folder."
            ) from None
