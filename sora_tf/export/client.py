"""A client of TensorFlow Serving: clips in, names and vectors out, over REST or gRPC.

    client = Client("http://localhost:8501", model="sora")
    for answer in client.predict(["a.mp4", "b.mp4"]):
        print(answer.label, answer.scores, answer.global_vector.shape)

REST needs nothing but this package and does not load TensorFlow; "grpc://localhost:8500" needs
the extra `serving`.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from sora_tf import _checks
from sora_tf.export import answers
from sora_tf.export.answers import (
    Classification,
    Detection,
    DetectorFacts,
    Embedding,
    Facts,
    Prediction,
    StreamAnswer,
)
from sora_tf.export.encoding import FORMATS, encode, padded, request_bytes
from sora_tf.export.transport import (
    Metadata,
    ServingError,
    Target,
    Transport,
    VersionStatus,
    patiently,
)
from sora_tf.video import frames_of, sample

Clip = str | os.PathLike[str] | np.ndarray
Value = TypeVar("Value")
Understood = TypeVar("Understood")

FRAMES = "frames"
STATE = "state_"  # how the names of a stream's states begin
MESSAGE_BYTES = 64 * 2**20  # about 100 clips of 16 frames of 112 by 112


class Client:
    """Asks a model on a TensorFlow Serving. Safe in threads: one client will do for all.

    Args:
        server: "http://host:8501" or "https://…" for REST, "grpc://host:8500" or "grpcs://…" (TLS)
            for gRPC.
        model: its name on the server.
        version: its version; None is the newest, or what `label` points at.
        label: a version label, "stable" say.
        timeout: s for a call, repetitions included.
        retries: most repetitions of a call while the server is unavailable.
        batch: most clips in one request; no more than the server's max_batch_size.
        message_bytes: largest message sent or taken; many clips are sent in several.
        pictures: how encoded frames are sent: "jpeg", or "png", which is exact.
    Raises:
        ServingError: gRPC, and the extra "serving" is not installed.
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        server: str,
        model: str = "sora",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        batch: int = 16,
        message_bytes: int = MESSAGE_BYTES,
        pictures: str = "jpeg",
    ):
        _checks.above("Client", "timeout", timeout, 0.0, "s", "30 is usual.")
        _checks.at_least("Client", "retries", retries, 0, "", "0 asks once.")
        _checks.at_least("Client", "batch", batch, 1, "clip", "16 is usual.")
        _checks.above("Client", "message_bytes", message_bytes, 0, "bytes", "Leave it out.")
        _checks.one_of("Client", "pictures", pictures, FORMATS)
        self.server = server
        self.target = Target(model, version, label)
        self._timeout, self._retries = timeout, retries
        self._batch, self._message_bytes = batch, message_bytes
        self._pictures = pictures
        self._facts: Facts | None = None
        self._transport = _transport(server, message_bytes)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._transport.close()

    def predict(
        self, clips: Clip | Sequence[Clip], *, signature: str | None = None
    ) -> list[Prediction]:
        """Names clips and gives their global vectors.

        Args:
            clips: one or more files, or (t, h, w, 3) uint8 arrays of any t, h and w.
            signature: "jpeg" sends encoded pictures, "serving_default" raw ones; None is "jpeg"
                over REST, where a raw clip is four times its size, and raw over gRPC.

        Returns:
            One for each clip, in order.

        Raises:
            ServingError: the server does not answer, or refuses.
            VideoError: a file does not read.
            ValueError: an array is not a clip.
        """
        arrays = self._read(clips)
        signature = signature or self._transport.signature
        if signature != "jpeg":
            return self._raw(signature, arrays, answers.predictions)
        return [
            prediction
            for group in self._parts(self._encoded(arrays), request_bytes)
            for prediction in self._understood(
                answers.predictions, self.ask("jpeg", {FRAMES: self._padded(group)})
            )
        ]

    def embed(self, clips: Clip | Sequence[Clip]) -> list[Embedding]:
        """Vectors of clips; frames travel raw, so gRPC is quicker by far.

        Args, Raises: as `predict`.
        """
        return self._raw("embed", self._read(clips), answers.embeddings)

    def classify(self, clips: Clip | Sequence[Clip]) -> list[Classification]:
        """Names clips through the Classify API, which takes tf.Examples of encoded pictures.

        Args, Raises: as `predict`.
        """
        return [
            answers.classification(row)
            for group in self._parts(self._encoded(self._read(clips)), request_bytes)
            for row in self._patiently(self._classify, group)
        ]

    def detect(
        self, frames: np.ndarray, *, threshold: float | None = None
    ) -> list[list[Detection]]:
        """Finds things on the frames of a clip, by a detector.

        The clip stands alone: what is on its first frames is said without those before. Where a
        video is sent in parts, `ServedDetector` sees to that.

        Args:
            frames: (t, h, w, 3) uint8 of any t, h and w, `facts().frame_rate` a second.
            threshold: smallest score of a box; None is what the model says.

        Returns:
            For each frame its things, the surest first.

        Raises:
            ServingError: as `predict`; or the model is no detector.
            ValueError: `frames` is not a clip.
        """
        facts = self.detector_facts()
        least = facts.threshold if threshold is None else threshold
        signature = self._transport.signature
        (frames,) = self._read(frames)
        sent = self._padded(self._encoded([frames])) if signature == "jpeg" else frames[None]
        return answers.detections(self.ask(signature, {FRAMES: sent}), least)

    def stream(
        self, frames: str | os.PathLike[str] | Iterable[np.ndarray]
    ) -> Iterator[StreamAnswer]:
        """Follows a video frame by frame; this side carries the states between the calls.

        The version is settled at the first frame, so that states never meet another model.

        Args:
            frames: (H, W, 3) uint8 each, of the model's size; or a file, whose every frame is
                taken.

        Yields:
            What is known after each frame.

        Raises:
            ServingError: as `predict`; or the model cannot run frame by frame.
            ValueError: a frame is not of the model's size.
        """
        found = self.metadata()
        takes = found.inputs.get("step", {})
        if not takes:
            raise ServingError(
                self.server, "not found", f"{self.target.model} has no signature 'step'",
                "Train a causal model, or send whole clips.",
            )  # fmt: skip
        target = Target(self.target.model, found.version)
        facts = self._ask_facts(target)
        states = {
            name: np.zeros([1, *(side or 0 for side in info.shape[1:])], np.float32)
            for name, info in takes.items()
            if name.startswith(STATE)
        }
        if isinstance(frames, (str, os.PathLike)):
            frames = (frame for _, frame in frames_of(frames, size=facts.size, fit=facts.fit))
        for frame in frames:
            if frame.shape != (*facts.size, 3) or frame.dtype != np.uint8:
                raise ValueError(
                    f"Client.stream: a frame must be {(*facts.size, 3)} uint8, got {frame.shape} "
                    f"{frame.dtype}. Resize the frames first, or give the file."
                )
            outputs = self.ask("step", {FRAMES: frame[None, None], **states}, target)
            states = {name: outputs[name] for name in states}
            yield self._understood(partial(answers.stream_answer, facts.labels), outputs)

    def facts(self) -> Facts:
        """What the model says of itself, asked once.

        Raises:
            ServingError: the server does not answer, or the model does not say.
        """
        if self._facts is None:
            self._facts = self._ask_facts(self.target)
        return self._facts

    def status(self) -> list[VersionStatus]:
        """The versions of the model on the server; of one version where the client has one.

        Raises:
            ServingError: the server does not answer, or has no such model.
        """
        target = Target(self.target.model, self.target.version)
        return self._patiently(self._transport.status, target)

    def metadata(self) -> Metadata:
        """The version that answers now, and what its signatures take.

        Raises:
            ServingError: the server does not answer, or has no such model.
        """
        return self._patiently(self._transport.metadata, self.target)

    def ask(
        self, signature: str, inputs: Mapping[str, np.ndarray], target: Target | None = None
    ) -> dict[str, np.ndarray]:
        """Runs any signature.

        Args:
            signature: its name.
            inputs: {input: array}, an object array of bytes where the signature takes strings.
            target: the model; None is the client's.

        Returns:
            {output: array}, an object array of str where the signature gives strings.

        Raises:
            ServingError: the server does not answer, or refuses.
        """
        return self._patiently(self._transport.predict, target or self.target, signature, inputs)

    def detector_facts(self) -> DetectorFacts:
        """What a detector says of itself.

        Raises:
            ServingError: as `facts`; or the model is no detector.
        """
        found = self.facts()
        if not isinstance(found, DetectorFacts):
            raise ServingError(
                self.server, "not found", f"{self.target.model} is no detector",
                "Give the name of one.",
            )  # fmt: skip
        return found

    def _ask_facts(self, target: Target) -> Facts:
        try:
            return answers.facts(self.ask("facts", {"asked": np.array([b""], object)}, target))
        except ServingError as error:
            if error.kind != "bad input":
                raise
            raise ServingError(
                self.server, "not found", f"{target.model} cannot say what it is: {error.detail}",
                "Export it anew.",
            ) from None  # fmt: skip
        except (LookupError, TypeError, ValueError) as error:
            raise ServingError(
                self.server, "server failed", f"{target.model} says of itself {error}",
                "Export it anew.",
            ) from None  # fmt: skip

    def _read(self, clips: Clip | Sequence[Clip]) -> list[np.ndarray]:
        if isinstance(clips, (str, os.PathLike)) or (
            isinstance(clips, np.ndarray) and clips.ndim == 4
        ):
            clips = [clips]
        return [self._read_one(clip) for clip in clips]

    def _read_one(self, clip: Clip) -> np.ndarray:
        if isinstance(clip, (str, os.PathLike)):
            facts = self.facts()
            return sample(clip, facts.frames, size=facts.size, fit=facts.fit).frames
        if clip.ndim != 4 or clip.shape[3] != 3 or clip.dtype != np.uint8 or not clip.size:
            raise ValueError(
                f"Client: a clip must be (t, h, w, 3) uint8, got {clip.shape} {clip.dtype}. "
                "Convert the frames first."
            )
        return clip

    def _raw(
        self,
        signature: str,
        arrays: list[np.ndarray],
        understand: Callable[[dict[str, np.ndarray]], list[Value]],
    ) -> list[Value]:
        """Clips of one shape go together; the answers come in the clips' order."""
        places: dict[tuple[int, ...], list[int]] = {}
        for place, array in enumerate(arrays):
            places.setdefault(array.shape, []).append(place)
        found: dict[int, Value] = {}
        wide = self._transport.byte_size
        for alike in places.values():
            for part in self._parts(alike, lambda place: arrays[place].nbytes * wide):
                stacked = np.stack([arrays[place] for place in part])
                outputs = self.ask(signature, {FRAMES: stacked})
                found |= zip(part, self._understood(understand, outputs), strict=True)
        return [found[place] for place in range(len(arrays))]

    def _understood(
        self,
        understand: Callable[[dict[str, np.ndarray]], Understood],
        outputs: dict[str, np.ndarray],
    ) -> Understood:
        """What an answer says, where the model is of the kind that gives such answers."""
        try:
            return understand(outputs)
        except KeyError as missing:
            raise ServingError(
                self.server, "not found",
                f"{self.target.model} gives no {missing.args[0]}, but "
                + ", ".join(name for name in sorted(outputs) if not name.startswith(STATE)),
                "Ask as its kind is asked: `detect` for a detector.",
            ) from None  # fmt: skip

    def _parts(self, items: list[Value], size: Callable[[Value], int]) -> Iterator[list[Value]]:
        """Requests of at most `batch` clips that keep within the message."""
        part: list[Value] = []
        room = self._message_bytes * 0.9
        for item in items:
            if part and (len(part) == self._batch or room < size(item)):
                yield part
                part, room = [], self._message_bytes * 0.9
            part.append(item)
            room -= size(item)
        if part:
            yield part

    def _encoded(self, arrays: list[np.ndarray]) -> list[list[bytes]]:
        return [[encode(frame, self._pictures) for frame in array] for array in arrays]

    def _padded(self, clips: list[list[bytes]]) -> np.ndarray:
        return padded(clips, self._facts.frames if self._facts else 0)

    def _classify(self, clips: list[list[bytes]], seconds: float) -> list[list[tuple[str, float]]]:
        return self._transport.classify(self.target, clips, seconds)

    def _patiently(self, call: Callable[..., Value], *args: Any) -> Value:
        return patiently(lambda left: call(*args, left), self._timeout, self._retries)


def _transport(server: str, message_bytes: int) -> Transport:
    """REST or gRPC, by the address; each is imported where it is used."""
    scheme = urlsplit(server).scheme
    if scheme in ("http", "https"):
        from sora_tf.export.transport_rest import RestTransport

        return RestTransport(server, message_bytes)
    if scheme in ("grpc", "grpcs"):
        from sora_tf.export.transport_grpc import GrpcTransport

        return GrpcTransport(server, message_bytes)
    raise ValueError(
        "Client: server must begin with http://, https://, grpc:// or grpcs://, got "
        f"{server!r}. Write http://localhost:8501, say."
    )
