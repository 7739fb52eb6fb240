"""The run folder of a head that answers questions.

config.json, labels.txt (the answers), questions.txt (those that it has learnt), split.csv,
model.keras (the best epoch), history.csv, metrics.json, predictions.csv, curves.png, confusion.png
and checkpoint/.
"""

from dataclasses import dataclass, field
from typing import Any

from sora_tf._files import replacing
from sora_tf.models.answerer import AnswererConfig
from sora_tf.tasks.answer import Head
from sora_tf.tasks.quote import Encode
from sora_tf.train.run import Run, RunError

ANSWERER = "question answerer"


@dataclass(frozen=True)
class AnswerRunConfig:
    """What an answerer's run was asked to do and with what.

    Args:
        model: the head.
        labels: the answers, in the order of the scores.
        clip_seconds: median length of what is asked about, s; long films are looked at in
            stretches of this length.
        training: the settings of `TrainConfig`, as a dict.
        source: the table trained on.
        versions: package → version.
        kind: tells this run from a classifier's.
    """

    model: AnswererConfig
    labels: tuple[str, ...]
    clip_seconds: float
    training: dict[str, Any]
    source: str
    versions: dict[str, str] = field(default_factory=dict)
    kind: str = ANSWERER


class AnswerRun(Run):
    """The folder of the training run of a head that answers questions."""

    def read_config(self) -> AnswerRunConfig:  # type: ignore[override]
        """What the run was asked to do.

        Raises:
            RunError: there is no answerer's run here, or its config does not read.
        """

        def made(values: dict[str, Any]) -> AnswerRunConfig:
            sizes = {**values["model"], "size": tuple(values["model"]["size"])}
            values["model"] = AnswererConfig(**sizes)
            return AnswerRunConfig(**values)

        return self._config(made, "train-answers", ANSWERER)

    def write_questions(self, questions: list[str]) -> None:
        """Keeps the questions that are learnt, a line each."""
        with replacing(self.path / "questions.txt") as beside:
            beside.write_text("".join(f"{one}\n" for one in questions), encoding="utf-8")

    def load_head(self, encode: Encode) -> Head:
        """The head, ready to answer.

        Args:
            encode: N texts to their vectors (N, D), of length 1.
        Raises:
            RunError: there is none, or it does not load.
        """
        config = self.read_config()
        try:
            text = (self.path / "questions.txt").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(
                f"{self.path / 'questions.txt'} does not read: {error}. Train again into another "
                "folder."
            ) from None
        return Head(self.load_model(), config.model, config.labels, encode(text.splitlines()))
