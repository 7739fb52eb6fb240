"""The contract notices layers that break it, and no layer of the project is without its test."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from contract import check_config, check_layer

import sora_tf
from sora_tf._keras import keras
from sora_tf.config import DetectorConfig, small
from sora_tf.layers import FrameMemory
from sora_tf.models.refiner import FoundBoxes, build_refiner
from sora_tf.models.streaming import Step

TESTS = Path(__file__).parents[1]


@keras.utils.register_keras_serializable(package="sora_tf_tests")
class Scale(keras.layers.Layer):
    """x·by with one fault, or none."""

    def __init__(self, by=2.0, fault=None, **kwargs):
        super().__init__(**kwargs)
        self.by = by
        self.fault = fault

    def call(self, inputs):
        x, mask = inputs
        real = tf.cast(mask, x.dtype)[..., None]
        return x * self.by + (tf.reduce_sum(x) if self.fault == "mask" else 0.0 * real)

    def compute_output_shape(self, input_shape):
        return input_shape[1] if self.fault == "shape" else input_shape[0]

    def get_config(self):
        config = {**super().get_config(), "fault": self.fault}
        if self.fault == "twin":
            return {**config, "by": 1.0}
        return config if self.fault == "config" else {**config, "by": self.by}


@pytest.mark.parametrize("fault", [None, "config", "twin", "shape", "mask"])
def test_faults_are_found(fault):
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    mask = np.array([[True, True, False], [True, True, True]])
    if fault is None:
        check_layer(Scale(3.0), [x, mask])
        return
    with pytest.raises(AssertionError):
        check_layer(Scale(3.0, fault), [x, mask])


def layers_of_the_project():
    """The names of all classes of layers under sora_tf."""
    for module in pkgutil.walk_packages(sora_tf.__path__, "sora_tf."):
        if module.name.startswith(("sora_tf.layers", "sora_tf.models")):
            importlib.import_module(module.name)
    waiting, found = [keras.layers.Layer], set()
    while waiting:
        for child in waiting.pop().__subclasses__():
            waiting.append(child)
            if child.__module__.startswith("sora_tf.") and not issubclass(child, keras.Model):
                found.add(child)
    return found


def names_in_contract_tests():
    """Names used in tests, fixtures and marks that run `check_layer` or `check_config`."""
    names = set()
    for path in TESTS.rglob("test_*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            if used & {"check_layer", "check_config"}:
                names |= used
    return names


def test_every_layer_is_held_to_the_contract():
    layers = layers_of_the_project()
    assert {layer.__name__ for layer in layers} >= {"FrameMemory", "RelationBlock", "Step"}
    lacking = {layer.__name__ for layer in layers} - names_in_contract_tests()
    assert not lacking, f"no test runs check_layer or check_config on {sorted(lacking)}"


def test_every_layer_is_registered_under_its_own_name():
    # `safe_mode` loads nothing else.
    for layer in layers_of_the_project():
        assert keras.utils.get_registered_name(layer) == f"sora_tf>{layer.__name__}"
        assert inspect.getdoc(layer)


def test_a_step_around_a_layer():
    check_config(Step(FrameMemory(0.25, name="memory"), name="step"))


def test_boxes_with_and_without_a_second_stage():
    config = DetectorConfig(extractor=small().extractor, size=(64, 64), refine=32)
    check_config(FoundBoxes(config))
    check_config(FoundBoxes(config, build_refiner(config, 2), name="found"))
