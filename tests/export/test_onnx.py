"""ONNX files, run by ONNX Runtime with batches of any size."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from sora_tf.export.errors import ExportError
from sora_tf.export.onnx import OPSET, onnx_operations

RNG = np.random.default_rng(0)


def session(exported, part):
    path = exported[0] / f"{part}.onnx"
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(session, **inputs):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


@pytest.mark.parametrize("batch", [1, 3])
def test_clips_of_any_batch(exported, deployable, batch):
    x = RNG.integers(0, 256, (batch, 8, 28, 28, 3)).astype("uint8")
    mask = np.arange(8)[None] < RNG.integers(3, 9, (batch, 1))
    wanted = deployable.clip({"frames": x.astype("float32"), "mask": mask})
    found = run(session(exported, "clip"), frames=x, mask=mask)
    assert set(found) == {"scores", "global_vector", "frame_vectors"}
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-4)


def test_steps_of_three_streams(exported, deployable):
    x = RNG.integers(0, 256, (3, 8, 28, 28, 3)).astype("uint8")
    step = session(exported, "step")
    states = {n: np.zeros((3, *s.shape[1:]), np.float32) for n, s in deployable.states.items()}
    for t in range(8):
        found = run(step, frames=x[:, t : t + 1], **states)
        states = {name: found[f"next_{name}"] for name in states}
    wanted = deployable.clip({"frames": x.astype("float32"), "mask": np.ones((3, 8), bool)})
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-5)


def test_opset_metadata_and_operations(exported, deployable):
    model = onnx.load(exported[0] / "clip.onnx")
    assert {o.domain: o.version for o in model.opset_import}[""] == OPSET == 17
    props = {p.key: p.value for p in model.metadata_props}
    assert props["labels"].split("\n") == list(deployable.labels)
    assert json.loads(props["sora_tf"])["frames"] == 8
    assert onnx_operations(exported[0] / "clip.onnx")["Conv"] > 0


def test_foreign_operations_are_refused(exported, tmp_path):
    model = onnx.load(exported[0] / "clip.onnx")
    model.graph.node[0].domain = "com.example"
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ExportError, match=r"uses com.example:"):
        onnx_operations(tmp_path / "foreign.onnx")
