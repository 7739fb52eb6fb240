import json

import numpy as np
import pyarrow.parquet as parquet
import pytest

from sora_tf.cli import main
from sora_tf.train.case_study import cifar10, moving_digits
from sora_tf.train.demo import demo


def test_the_demo_learns_what_a_frame_average_cannot(tmp_path):
    counts = {"train": 160, "val": 32, "test": 80}
    result = demo(tmp_path / "demo", counts, epochs=6, verbose=0)
    # Four labels alike in every frame: a frame average is at 25 %, and 80 clips stray by 5 %.
    assert result["accuracy"] > 0.8
    assert result["baseline_accuracy"] < 0.4
    assert result == json.loads((tmp_path / "demo" / "demo.json").read_text())
    (row,) = parquet.read_table(result["embedding"]).to_pylist()
    assert len(row["global_vector"]) == 64
    assert len(row["frame_vectors"]) == 8
    # Once more changes nothing and trains nothing.
    before = (tmp_path / "demo" / "run" / "model.keras").stat().st_mtime_ns
    assert demo(tmp_path / "demo", counts, epochs=6, verbose=0) == result
    assert (tmp_path / "demo" / "run" / "model.keras").stat().st_mtime_ns == before


def test_the_papers_case():
    result = moving_digits(clips=96, epochs=2, verbose=0)
    assert (result["frames"], result["vector_length"]) == (100, 64)
    # 24 held-out clips at a chance of 25 % stray by 9 %.
    assert result["svm_accuracy"] > 0.5


@pytest.fixture
def images(shared_data, tmp_path):
    """A tenth of the CIFAR-10 subset as a file of its own."""
    with np.load(shared_data / "cifar10" / "cifar10_subset.npz") as file:
        part = {name: file[name][: 500 if "train" in name else 200] for name in file}
    np.savez(tmp_path / "images.npz", **part)
    return str(tmp_path / "images.npz")


def test_the_papers_listing(images):
    result = cifar10(images, epochs=4, verbose=0)
    assert (result["train_images"], result["test_images"]) == (500, 200)
    # 200 images at a chance of 10 % stray by 2 %.
    assert result["test_accuracy"] > 0.18


def test_the_listing_from_the_terminal(images, capsys):
    assert main(["case-study", "--cifar10", "--data", images, "--epochs", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chance"] == 0.1


def test_a_file_that_is_no_cifar10(tmp_path):
    np.savez(tmp_path / "other.npz", x_train=np.zeros(3))
    with pytest.raises(ValueError, match=r"must be an \.npz with x_train"):
        cifar10(tmp_path / "other.npz")
