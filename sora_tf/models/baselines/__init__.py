"""Models to measure ours against: same clips in, same scores out, same CNN for single pictures.

Every builder takes (config, num_classes) and gives a model from {"frames": (B, T, H, W, 3), values
0 to 255, "mask": (B, T) bool} to scores (B, num_classes) that sum to 1, with a layer named
`GLOBAL_VECTOR` and, where a frame has a vector, one named `FRAME_VECTORS`, as `build_sora` has.
All raise ValueError for fewer than 2 classes.
"""

from collections.abc import Callable

from sora_tf.config import SoraConfig
from sora_tf.models.baselines.ablations import build_frame_mean, build_relation, build_shift
from sora_tf.models.baselines.c3d import build_c3d
from sora_tf.models.baselines.cnn_bilstm_attention import build_cnn_bilstm_attention
from sora_tf.models.baselines.cnn_lstm import build_cnn_lstm
from sora_tf.models.baselines.single_frame import build_single_frame
from sora_tf.models.baselines.slowfast import build_slowfast
from sora_tf.models.baselines.transformer import build_transformer
from sora_tf.models.video_model import VideoModel

BASELINES: dict[str, Callable[[SoraConfig, int], VideoModel]] = {
    "single_frame": build_single_frame,
    "frame_mean": build_frame_mean,
    "cnn_lstm": build_cnn_lstm,
    "cnn_bilstm_attention": build_cnn_bilstm_attention,
    "c3d": build_c3d,
    "slowfast": build_slowfast,
    "shift": build_shift,
    "relation": build_relation,
    "transformer": build_transformer,
}

__all__ = [
    "BASELINES",
    "build_c3d",
    "build_cnn_bilstm_attention",
    "build_cnn_lstm",
    "build_frame_mean",
    "build_relation",
    "build_shift",
    "build_single_frame",
    "build_slowfast",
    "build_transformer",
]
