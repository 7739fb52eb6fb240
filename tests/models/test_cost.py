import numpy as np
import pytest

from sora_tf.config import micro
from sora_tf.models import build_sora, build_spatial_feature_extractor, layer_costs
from sora_tf.models.baselines import BASELINES


def test_micro_by_hand():
    costs = {cost.name: cost for cost in layer_costs(build_sora(micro(), 4))}
    # 8 frames; 26·26 places of 3·3·6 by 32, then 11·11 places of 3·3·64 by 64, then 1600 by 64.
    assert costs["stage0_block0_conv"].macs == 8 * 26 * 26 * 54 * 32
    assert costs["stage1_block0_conv"].macs == 8 * 11 * 11 * 576 * 64
    assert costs["projection"].macs == 8 * 1600 * 64
    assert costs["logits"].macs == 64 * 4
    assert costs["logits"].parameters == 64 * 4 + 4
    assert costs["stage0_pool"].macs == 0


def test_convolutions_over_time_by_hand():
    costs = {cost.name: cost.macs for cost in layer_costs(BASELINES["c3d"](micro(), 4))}
    # 8 frames of 28·28 places, 3·3·3·3 by 12; a pool leaves the frames and 14·14 places.
    assert costs["stage0_block0_conv"] == 8 * 28 * 28 * 81 * 12
    assert costs["stage1_block0_conv"] == 8 * 14 * 14 * (27 * 12) * 24


def test_small_agrees_with_the_profiler_of_tensorflow():
    import tensorflow as tf

    model = build_sora("small", 4)
    ours = sum(cost.macs for cost in layer_costs(model))
    spec = [tf.TensorSpec([1, *t.shape[1:]], t.dtype) for t in model.inputs]
    function = tf.function(lambda *x: model(dict(zip(model.input_names, x, strict=True))))
    graph = function.get_concrete_function(*spec).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    profile = tf.compat.v1.profiler.profile(graph, options=options)
    # It counts two operations a multiply-accumulate, and norms and activations besides.
    assert ours == pytest.approx(profile.total_float_ops / 2, rel=0.1)


def test_open_sizes_are_refused():
    with pytest.raises(ValueError, match="must have known sizes"):
        layer_costs(build_spatial_feature_extractor((28, 28, 3)))


def test_costs_cover_every_layer():
    model = build_sora("micro", 4)
    costs = layer_costs(model)
    assert [cost.name for cost in costs] == [layer.name for layer in model.layers]
    assert np.sum([cost.parameters for cost in costs]) == model.count_params()
