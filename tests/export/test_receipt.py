"""The receipt: what is measured, what is refused, what is found out later."""

import errno
import json
import shutil

import numpy as np
import pytest

from sora_tf.export import publish, receipt, tflite
from sora_tf.export.clips import gather
from sora_tf.export.errors import ExportError
from sora_tf.export.publish import FORMATS, export_run, formats_named
from sora_tf.export.receipt import Bound, check, compare
from sora_tf.export.verify import verify
from sora_tf.train.run import Run, RunError

PATHS = {
    "serving/sora/1", "clip.onnx", "step.onnx", "float32.tflite", "float16.tflite",
    "dynamic.tflite", "int8.tflite", "int16x8.tflite",
}  # fmt: skip


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_everything_is_exported_and_measured(exported):
    out, result = exported
    assert result["failed"] == {}
    assert set(result["artefacts"]) == PATHS
    found = json.loads((out / "receipt.json").read_text())
    assert {"machine", "versions", "clips", "artefacts"} <= set(found)
    for path, entry in found["artefacts"].items():
        assert entry["bytes"] > 0, path
        assert len(entry["sha256"]) == 64, path
        assert entry["operations"], path
        assert entry["clips"] == (8 if path == "step.onnx" else 32), path
        assert entry["peak_memory_bytes"] > 0, path
        assert set(entry["latency_ms"]) == {"1 thread", "2 threads"}, path
    text = (out / "receipt.md").read_text()
    assert all(path in text for path in PATHS)


def test_float_formats_are_the_model_to_1e_4(exported):
    _, result = exported
    for path in PATHS - {"float16.tflite", "dynamic.tflite", "int8.tflite", "int16x8.tflite"}:
        gaps = result["artefacts"][path]["difference"]
        assert max(gap["max"] for gap in gaps.values()) < 1e-4, path


def test_difference_and_accuracy_by_hand():
    truth = {
        "scores": np.array([[0.9, 0.1], [0.4, 0.6]]),
        "global_vector": np.array([[2.0, 0.0], [0.0, 4.0]]),
        "frame_vectors": np.array([[[4.0], [0.0]], [[2.0], [2.0]]]),
    }
    answers = {
        "clip_scores": np.array([[0.8, 0.2], [0.7, 0.3]]),
        "clip_global_vector": np.array([[2.0, 0.0], [3.0, 4.0]]),
        "clip_frame_vectors": np.array([[[4.0], [9.0]], [[2.0], [3.0]]]),
        "step_scores": np.array([[0.9, 0.1]]),
    }
    mask = np.array([[True, False], [True, True]])
    found = compare(answers, truth, mask, np.array([0, 1]))
    gaps = found["difference"]
    assert gaps["clip_scores"]["max"] == pytest.approx(0.3)
    assert gaps["clip_scores"]["mean"] == pytest.approx(0.2)  # 0.1, 0.1, 0.3, 0.3
    assert gaps["clip_global_vector"]["max"] == pytest.approx(3 / 4)
    # The 9 is padding; of the three real frames one is off by 1, and the largest value is 4.
    assert gaps["clip_frame_vectors"] == pytest.approx({"max": 1 / 4, "mean": 1 / 12})
    assert gaps["step_scores"]["max"] == 0.0
    assert (found["agreement"], found["accuracy"], found["accuracy_change"]) == (0.5, 0.5, -0.5)
    assert found["cosine"] == pytest.approx(4 / 5)


def measured(**changes):
    gaps = {"clip_scores": {"max": 1e-5, "mean": 1e-6}}
    found = {"clips": 200, "difference": gaps, "agreement": 1.0, "accuracy_change": 0.0}
    return {**found, "cosine": 1.0, **changes}


def test_bounds():
    int8 = receipt.BOUNDS["int8"]
    check("x", measured(), receipt.EXACT)
    check("x", measured(accuracy_change=-0.01), int8)
    check("x", measured(clips=10, accuracy_change=-0.1), int8)  # one clip of ten
    check("x", measured(accuracy_change=0.3), int8)
    far = {"clip_scores": {"max": 2e-4, "mean": 1e-4}}
    with pytest.raises(ExportError, match=r"differs from its model by 0.0002 in clip_scores"):
        check("x", measured(difference=far), receipt.EXACT)
    with pytest.raises(ExportError, match=r"loses 1.5% of accuracy on 200 clips"):
        check("x", measured(accuracy_change=-0.015), int8)
    with pytest.raises(ExportError, match=r"agreement of 0.800"):
        check("x", measured(agreement=0.8), int8)
    with pytest.raises(ExportError, match=r"cosine of 0.100"):
        check("x", measured(cosine=0.1), int8)
    broken = {"clip_scores": {"max": float("nan"), "mean": float("nan")}}
    with pytest.raises(ExportError, match="no numbers"):
        check("x", measured(difference=broken), Bound())


def test_what_disagrees_leaves_nothing_behind(causal_run, tmp_path, monkeypatch):
    plain = tflite.clip_function

    def wrong(what):
        clip = plain(what)
        return lambda frames, mask: {
            **clip(frames, mask),
            "scores": 1.0 - clip(frames, mask)["scores"],
        }

    monkeypatch.setattr(tflite, "clip_function", wrong)
    result = export_run(causal_run, ["float32"], tmp_path / "out")
    assert result["artefacts"] == {}
    assert "differs from its model" in result["failed"]["float32.tflite"]
    assert files(tmp_path / "out") == []


def test_a_full_disk_leaves_nothing_behind(causal_run, tmp_path, monkeypatch):
    def full(what, flavour, path, clips):
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(publish, "write_tflite", full)
    with pytest.raises(OSError, match="No space left on device"):
        export_run(causal_run, ["float32"], tmp_path / "out")
    assert files(tmp_path / "out") == []


def test_formats_by_name():
    assert formats_named(["all"]) == FORMATS
    assert formats_named(["int8", "tflite"])[0] == "int8"
    assert len(formats_named(["int8", "tflite"])) == 5
    with pytest.raises(ExportError, match=r"there is no format 'coreml'. Choose from all, tflite,"):
        formats_named(["coreml"])


def test_no_run_no_model_no_clip(causal_run, deployable, tmp_path, caplog):
    with pytest.raises(RunError, match="there is no run in"):
        export_run(Run(tmp_path / "none"), ["int8"], tmp_path / "out")
    shutil.copytree(causal_run.path, tmp_path / "run")
    moved = Run(tmp_path / "run")
    table = (moved.path / "split.csv").read_text().splitlines()
    lost = [",".join(["/no/such/clip.mp4", *line.split(",")[1:]]) for line in table[1:]]
    (moved.path / "split.csv").write_text("\n".join([table[0], *lost]) + "\n")
    with pytest.raises(ExportError, match=r"not one of .* clips of the run in .* can be read"):
        gather(moved, deployable, calibrate=True)
    assert not caplog.messages  # one line says it all, not one for each clip
    moved.model_path.unlink()
    with pytest.raises(RunError, match=r"has no model.keras yet"):
        export_run(moved, ["int8"], tmp_path / "out")
    assert files(tmp_path / "out") == []


def test_verify_again_and_after_a_change(exported, tmp_path):
    out, _ = exported
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("receipt.json", "reference.npz", "float32.tflite", "int8.tflite"):
        shutil.copy(out / name, copy / name)
    (good,) = verify(copy / "float32.tflite")
    assert "error" not in good
    assert good["agreement"] == 1.0
    content = bytearray((copy / "int8.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "int8.tflite").write_bytes(content)
    (bad,) = verify(copy / "int8.tflite")
    assert "is not the file of the receipt" in bad["error"]
    gone = [entry for entry in verify(copy) if entry["path"] == "clip.onnx"]
    assert "is not there any more" in gone[0]["error"]
    with pytest.raises(ExportError, match="there is no receipt for"):
        next(verify(tmp_path / "elsewhere.tflite"))
