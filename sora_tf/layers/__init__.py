"""Keras layers: memory between frames, the frame graph, pooling, fusion.

All of them are imported here, so that a `.keras` file that holds any of them loads.
"""

from sora_tf.layers.asked import QueryPool, Trend
from sora_tf.layers.change import FrameChange
from sora_tf.layers.clipped_norm import ClippedNorm
from sora_tf.layers.contrast import FrameContrast
from sora_tf.layers.cross_attention import CrossAttention
from sora_tf.layers.fake_quant import FakeQuantized
from sora_tf.layers.first_values import FirstValues
from sora_tf.layers.frame_relations import FrameRelations
from sora_tf.layers.frames import AllFrames, FoldFrames, UnfoldFrames
from sora_tf.layers.fusion import FusionBlock, ModalityDropout
from sora_tf.layers.graph import FrameGraph
from sora_tf.layers.memory import FrameMemory
from sora_tf.layers.norm import FrameNorm
from sora_tf.layers.pooling import MaskedMeanPool, RecentMeanPool, SpaceTimeAttentionPool
from sora_tf.layers.relation import RelationBlock
from sora_tf.layers.statistics import CepstrumStatistics
from sora_tf.layers.text_scores import TextScores
from sora_tf.layers.tokens import RealTokens, TokenVectors
from sora_tf.layers.voices import Voices, VoicesJoined, VoicesThere

__all__ = [
    "AllFrames",
    "CepstrumStatistics",
    "ClippedNorm",
    "CrossAttention",
    "FakeQuantized",
    "FirstValues",
    "FoldFrames",
    "FrameChange",
    "FrameContrast",
    "FrameGraph",
    "FrameMemory",
    "FrameNorm",
    "FrameRelations",
    "FusionBlock",
    "MaskedMeanPool",
    "ModalityDropout",
    "QueryPool",
    "RealTokens",
    "RecentMeanPool",
    "RelationBlock",
    "SpaceTimeAttentionPool",
    "TextScores",
    "TokenVectors",
    "Trend",
    "UnfoldFrames",
    "Voices",
    "VoicesJoined",
    "VoicesThere",
]
