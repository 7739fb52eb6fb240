"""Functional Keras models: extractor, relation model, the whole, and its step by step twin."""

from sora_tf.models.coco_detector import CocoDetector
from sora_tf.models.cost import LayerCost, layer_costs
from sora_tf.models.detector import build_detector
from sora_tf.models.extractor import build_spatial_feature_extractor
from sora_tf.models.relation import build_temporal_relation_model
from sora_tf.models.sora import build_sora, embedder
from sora_tf.models.sound import SoundConfig, build_sound_model, encode_sound
from sora_tf.models.streaming import Stream, streaming
from sora_tf.models.video_model import VideoModel
from sora_tf.models.yamnet import build_yamnet

__all__ = [
    "CocoDetector",
    "LayerCost",
    "SoundConfig",
    "Stream",
    "VideoModel",
    "build_detector",
    "build_sora",
    "build_sound_model",
    "build_spatial_feature_extractor",
    "build_temporal_relation_model",
    "build_yamnet",
    "embedder",
    "encode_sound",
    "layer_costs",
    "streaming",
]
