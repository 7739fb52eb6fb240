"""A package imports only from those above it; nothing but the switch picks Keras."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sora_tf

ROOT = Path(sora_tf.__file__).parent
RANKS = [
    *("_checks", "_files", "_keras", "_progress", "config"),
    *("video", "data", "layers", "models", "tasks", "train", "export", "cli"),
]
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top names under sora_tf that a file imports, relative imports included."""
    package = ("sora_tf", *path.parent.parts)
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            modules = [module] + [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            parts = module.split(".")
            if parts[0] == "sora_tf" and len(parts) > 1:
                found.add(parts[1])
    return {name for name in found if name in RANKS}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_run_downhill(path):
    if path.name == "__init__.py" and len(path.parts) == 1:
        return
    own = path.parts[0].removesuffix(".py")
    for name in imported(path):
        assert RANKS.index(name) <= RANKS.index(own), f"{path} imports {name}"


def test_the_ranks_would_notice():
    assert imported(Path("train/fit.py")) >= {"data", "models", "video"}
    assert RANKS.index("train") > RANKS.index("data")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_one_keras_switch(path):
    text = (ROOT / path).read_text()
    if path.name != "_keras.py":
        assert "import tf_keras" not in text
        assert "tf.keras" not in text
        assert not re.search(r"^\s*import keras\b", text, re.MULTILINE)
        assert not re.search(r"^\s*from keras\b", text, re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_one_idea_a_file(path):
    assert len((ROOT / path).read_text().splitlines()) <= 400


def run(code: str) -> subprocess.CompletedProcess:
    """Runs code in a Python whose Keras nobody has chosen yet."""
    env = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)


def test_the_package_alone_does_not_import_tensorflow():
    code = "import sys, sora_tf, sora_tf.cli; sys.exit('tensorflow' in sys.modules)"
    assert run(code).returncode == 0


@pytest.mark.parametrize("first", ["import tensorflow as tf", "import sora_tf"])
def test_import_order_does_not_matter(first):
    rest = "from sora_tf import build_sora\nimport tensorflow as tf\nprint(tf.keras.Model)"
    done = run(f"{first}\n{rest}")
    assert "tf_keras" in done.stdout, done.stderr


def test_keras_3_in_use_is_one_clear_line():
    code = "import tensorflow as tf\ntf.keras.Model\nfrom sora_tf import build_sora"
    (line,) = [line for line in run(code).stderr.splitlines() if line.startswith("ImportError")]
    assert line.startswith("ImportError: sora_tf needs Keras 2")
    assert "TF_USE_LEGACY_KERAS=1" in line


def test_every_public_name_is_there():
    for name in sora_tf.__all__:
        assert getattr(sora_tf, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sora_tf.nothing
    assert "build_sora" in dir(sora_tf)


def test_layers_are_built_after_seeding_on_every_python():
    from sora_tf._keras import keras

    made = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        made.append(keras.layers.Dense(3, kernel_initializer="glorot_uniform"))
        made[-1].build((None, 4))
    assert (made[0].kernel.numpy() == made[1].kernel.numpy()).all()
    assert made[0].kernel.numpy().any()
