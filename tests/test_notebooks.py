"""The notebooks run from top to bottom, as a reader would run them."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    text = str([output.get("data", {}).get("text/plain") for output in outputs])
    accuracy = float(text.split("'accuracy': ")[1].split("}")[0].split(",")[0])
    assert accuracy > 0.6  # chance is 0.25


def test_there_is_a_notebook():
    assert NOTEBOOKS
