"""A detector on a TensorFlow Serving, for all that takes one: `sora-tf detect`, `sora-tf track`.

detector = ServedDetector(client_at("http://localhost:8501/v1/models/sora/labels/stable"))
boxes = detector.detect(frames)
"""

import re
from urllib.parse import unquote, urlsplit, urlunsplit

import numpy as np

from sora_tf.data.boxes import Boxes
from sora_tf.export.client import Client
from sora_tf.models.detector import FAINT
from sora_tf.tasks.thing_memory import ThingMemory

MODEL = re.compile(
    r"/v1/models/(?P<model>[^/]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/]+))?/?$"
)
SCHEMES = ("http", "https", "grpc", "grpcs")


class ServedDetector:
    """A detector on a server as those who use one want it (`tasks.detector.Detector`).

    The server remembers nothing: the last frames, as many as have a say, are sent again with the
    next, so any of several servers may answer. Things are remembered on this side.

    Args:
        client: of the detector's server.
        threshold: from how likely on a thing counts, all its names together; None is what the
            model says.
    Attributes:
        labels, threshold: as the model says, or as given.
        size: (H, W) of frames that need not be scaled.
        step: time between frames that it was trained on, s.
    Raises:
        ServingError: the server does not answer, or the model is no detector.
    """

    def __init__(self, client: Client, threshold: float | None = None):
        facts = client.detector_facts()
        self.labels = facts.labels
        self.threshold = facts.threshold if threshold is None else threshold
        self.size = facts.size
        self.step = 1 / facts.frame_rate
        self._client, self._past = client, facts.past
        self._before: np.ndarray | None = None  # the last frames shown
        self._things = ThingMemory(facts.remember, len(facts.labels), self.threshold)

    def detect(self, frames: np.ndarray, first: int = 0) -> Boxes:
        """The boxes on the next frames of a video.

        Args:
            frames: (T, H, W, 3) uint8, of any size.
            first: the number of the first; 0 begins another video.

        Returns:
            Boxes in pixels of the frames given, one for every name of a thing.

        Raises:
            ServingError: the server does not answer, or refuses.
        """
        if first == 0:
            self._things.forget()
        before = frames[:0] if first == 0 or self._before is None else self._before
        shown = np.concatenate([before, frames])
        self._before = shown[max(0, len(shown) - self._past) :]
        found = self._client.detect(shown, threshold=FAINT)[len(before) :]
        rows = [(first + n, thing) for n, things in enumerate(found) for thing in things]
        boxes = Boxes(
            np.array([number for number, _ in rows]),
            np.array([(box.left, box.top, box.width, box.height) for _, box in rows]),
            np.array([self.labels.index(box.label) for _, box in rows]),
            np.array([box.score for _, box in rows]),
        )
        boxes = self._things.known(boxes, range(first, first + len(frames)))
        return boxes.clipped(*frames.shape[2:0:-1])


def client_at(address: str) -> Client:
    """A client of the model at an address as TensorFlow Serving's REST API has it.

    Args:
        address: http://HOST:8501/v1/models/NAME, with /versions/N or /labels/NAME behind it where
            wanted; the same with https, grpc or grpcs.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(address)
    named = MODEL.search(parts.path)
    if parts.scheme not in SCHEMES or not named:
        raise ValueError(
            f"client_at: the address must be like http://HOST:8501/v1/models/NAME, got {address!r}."
            " Write the model's name behind the server's."
        )
    server = urlunsplit((parts.scheme, parts.netloc, parts.path[: named.start()], "", ""))
    version, label = named["version"], named["label"]
    return Client(
        server,
        unquote(named["model"]),
        version=int(version) if version else None,
        label=unquote(label) if label else None,
    )
