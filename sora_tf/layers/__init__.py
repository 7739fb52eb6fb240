"""Keras layers: memory between frames, the frame graph, pooling."""

from sora_tf.layers.change import FrameChange
from sora_tf.layers.contrast import FrameContrast
from sora_tf.layers.frames import AllFrames, FoldFrames, UnfoldFrames
from sora_tf.layers.graph import FrameGraph
from sora_tf.layers.memory import FrameMemory
from sora_tf.layers.norm import FrameNorm
from sora_tf.layers.pooling import MaskedMeanPool, RecentMeanPool, SpaceTimeAttentionPool
from sora_tf.layers.relation import RelationBlock
from sora_tf.layers.statistics import CepstrumStatistics

__all__ = [
    "AllFrames",
    "CepstrumStatistics",
    "FoldFrames",
    "FrameChange",
    "FrameContrast",
    "FrameGraph",
    "FrameMemory",
    "FrameNorm",
    "MaskedMeanPool",
    "RecentMeanPool",
    "RelationBlock",
    "SpaceTimeAttentionPool",
    "UnfoldFrames",
]
