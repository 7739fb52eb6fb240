"""One way to run an exported file, whatever its format: a clip, or a frame and states."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sora_tf.export.errors import ExportError

Arrays = dict[str, np.ndarray]
STATE = "state_"
NEXT = "next_"  # ONNX: what a new state's name begins with


class Runtime(Protocol):
    """A loaded artefact.

    Attributes:
        clip: {"frames" (1, T, H, W, 3) uint8, "mask" (1, T) bool} to the answers; None where the
            file has no such part.
        step: {"frames" (1, 1, H, W, 3) uint8, "state_…"} to the answers and the new states; None
            where there is none.
        start: the states before the first frame, zeros.
    """

    clip: Callable[[Arrays], Arrays] | None
    step: Callable[[Arrays], Arrays] | None
    start: Arrays


def open_runtime(path: Path, threads: int = 1) -> Runtime:
    """Loads an artefact.

    Args:
        path: a .tflite or .onnx file, or the version folder of a SavedModel.
        threads: threads within an operation.
    Raises:
        ExportError: the path is nothing of these, or does not load.
    """
    kind = "saved_model" if (path / "saved_model.pb").is_file() else path.suffix
    if kind not in RUNTIMES:
        raise ExportError(
            f"{path} is no exported model. Give a .tflite or .onnx file, or the version folder of "
            "a SavedModel."
        )
    try:
        return RUNTIMES[kind](path, threads)
    except ImportError as error:
        raise ExportError(
            f"{path} needs {error.name}. Install it with pip install 'sora_tf[export]'."
        ) from None
    except Exception as error:  # every runtime has exceptions of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportError(f"{path} does not load: {reason}") from error


class TFLiteRuntime:
    """A .tflite file in TensorFlow Lite's interpreter."""

    def __init__(self, path: Path, threads: int):
        import tensorflow as tf

        self._interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
        signatures = self._interpreter.get_signature_list()
        self.clip = self._runner("clip") if "clip" in signatures else None
        self.step = self._runner("step") if "step" in signatures else None
        self.start = {}
        if self.step:
            details = self._interpreter.get_signature_runner("step").get_input_details()
            self.start = {
                name: np.zeros(detail["shape"], detail["dtype"])
                for name, detail in details.items()
                if name.startswith(STATE)
            }

    def _runner(self, signature: str) -> Callable[[Arrays], Arrays]:
        runner = self._interpreter.get_signature_runner(signature)
        return lambda inputs: runner(**inputs)


class OnnxRuntime:
    """An .onnx file in ONNX Runtime."""

    def __init__(self, path: Path, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.start = {
            value.name: np.zeros((1, *value.shape[1:]), np.float32)
            for value in self._session.get_inputs()
            if value.name.startswith(STATE)
        }
        whole = any(value.name == "mask" for value in self._session.get_inputs())
        self.clip = self._run if whole else None
        self.step = None if whole else self._run

    def _run(self, inputs: Arrays) -> Arrays:
        values = self._session.run(None, inputs)
        return dict(zip((n.removeprefix(NEXT) for n in self._outputs), values, strict=True))


class SavedModelRuntime:
    """A SavedModel in TensorFlow."""

    def __init__(self, path: Path, threads: int):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._signatures = tf.saved_model.load(str(path)).signatures
        self.clip = self._clip if "embed" in self._signatures else None
        self.step = None
        self.start = {}
        if "step" in self._signatures:
            self.step = self._step
            _, specs = self._signatures["step"].structured_input_signature
            self.start = {
                name: np.zeros((1, *spec.shape[1:]), np.float32)
                for name, spec in specs.items()
                if name.startswith(STATE)
            }

    def _clip(self, inputs: Arrays) -> Arrays:
        """The signatures take no mask, but clips of any length."""
        import tensorflow as tf

        frames = tf.constant(inputs["frames"][:, : int(inputs["mask"].sum())])
        found = {
            **self._signatures["serving_default"](frames=frames),
            **self._signatures["embed"](frames=frames),
        }
        vectors = found["frame_vectors"].numpy()
        short = inputs["frames"].shape[1] - vectors.shape[1]
        return {
            "scores": found["scores"].numpy(),
            "global_vector": found["global_vector"].numpy(),
            "frame_vectors": np.pad(vectors, [(0, 0), (0, short), (0, 0)]),
        }

    def _step(self, inputs: Arrays) -> Arrays:
        import tensorflow as tf

        given = {name: tf.constant(value) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in self._signatures["step"](**given).items()}


RUNTIMES: dict[str, Callable[[Path, int], Any]] = {
    ".tflite": TFLiteRuntime,
    ".onnx": OnnxRuntime,
    "saved_model": SavedModelRuntime,
}
