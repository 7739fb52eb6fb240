"""From the terminal on real clips: the whole way, and every odd file there is."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import pyarrow.parquet as parquet
import pytest

from sora_tf.config import SoraConfig, resolve

# A process's largest size, which Linux keeps; `ru_maxrss` would be that of this one where larger.
RUN = """
import sys
from sora_tf.cli import main
code = main()
print(*(line for line in open("/proc/self/status") if "VmHWM" in line), file=sys.stderr)
sys.exit(code)
"""


def sora_tf(*arguments):
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def peak_bytes(stderr):
    """The largest size of a `sora_tf` process."""
    (line,) = [line for line in stderr.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def fights(shared_data, tmp_path_factory):
    """A table of 24 real clips."""
    path = tmp_path_factory.mktemp("fights") / "index.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        for label in ("fight", "noFight"):
            for clip in sorted((shared_data / "fight" / label).glob("*.mp4"))[:12]:
                writer.writerow([clip, label])
    return path


@pytest.fixture(scope="module")
def trained(fights, tmp_path_factory):
    """A run on them, made by the terminal's `train`, with what it printed."""
    folder = tmp_path_factory.mktemp("real")
    small = resolve("small")
    extractor = replace(small.extractor, channels=(8, 12, 16), depths=(1, 1, 1), features=32)
    relation = replace(small.relation, units=32)
    config = SoraConfig(8, (64, 64), extractor, relation)
    (folder / "model.json").write_text(config.to_json())
    done = sora_tf("train", fights, "--out", folder / "run", "--config", folder / "model.json",
                   "--epochs", 2)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "run", done.stdout


def test_train_and_evaluate(trained):
    run, text = trained
    assert "Epoch 2/2" in text
    assert "clips right" in text
    done = sora_tf("evaluate", run, "--json")
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)
    assert metrics == json.loads((run / "metrics.json").read_text())
    assert sum(map(sum, metrics["confusion"])) == metrics["clips"]


def test_classify_a_long_film(trained, shared_data):
    run, _ = trained
    done = sora_tf("classify", run, shared_data / "pets09" / "vtest.avi", "--window", 20, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    # 795 frames at 10 a second: three windows of 20 s and the last moved back to the end.
    starts = [window["start"] for window in answer["windows"]]
    assert starts == pytest.approx([0, 20, 40, 59.5], abs=0.2)


def test_every_odd_file_reads_or_fails_in_one_line(trained, shared_data, tmp_path):
    run, _ = trained
    files = sorted(p for p in (shared_data / "odd-videos").iterdir() if p.name != "LICENSE")
    done = sora_tf("embed", run, *files, "-o", tmp_path / "odd.parquet", "--json")
    assert done.returncode == 3, done.stderr
    answers = {a["path"]: a for a in json.loads(done.stdout)["files"]}
    assert set(answers) == set(map(str, files))
    failed = {path for path, answer in answers.items() if not answer["windows"]}
    lines = [line for line in done.stderr.splitlines() if line.startswith("sora-tf: ")]
    assert sorted(line.split(": ")[1] for line in lines) == sorted(failed)
    assert "Traceback" not in done.stderr
    paths = parquet.read_table(tmp_path / "odd.parquet")["path"].to_pylist()
    assert set(paths) == set(answers) - failed
    # Where another decoder saw a frame, so do we; one encrypted file shows others a broken frame.
    with open(shared_data / "odd-videos" / "cases.csv") as file:
        seen = {row["file"] for row in csv.DictReader(file)
                if int(row["decoded_frames_up_to_400"] or 0) > 0}  # fmt: skip
    missed = {path.rsplit("/", 1)[1] for path in failed} & seen
    assert missed <= {"short-vp9-encrypted-video.mp4"}
    assert peak_bytes(done.stderr) < 1.5e9


def test_probing_every_odd_file(shared_data):
    files = sorted(p for p in (shared_data / "odd-videos").iterdir() if p.suffix != ".csv")
    done = sora_tf("probe", *files)
    assert done.returncode == 3
    failures = [line for line in done.stderr.splitlines() if line.startswith("sora-tf: ")]
    assert len(done.stdout.splitlines()) + len(failures) == len(files)
    assert "Traceback" not in done.stderr
