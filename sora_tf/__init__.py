"""Video in, representation out.

The public names are loaded when first used, so that `import sora_tf` and `sora-tf --help` do not
wait for TensorFlow.
"""

import importlib
import os

# TensorFlow reads these when it is first imported; sora_tf._keras checks the outcome of the first.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up chatter is not ours

__version__ = "0.1.0"

_HOMES = {
    "config": ("DetectorConfig", "ExtractorConfig", "RelationConfig", "SoraConfig"),
    "data": (
        "Augment", "Boxes", "Clip", "MelConfig", "SoundAugment", "box_dataset", "clip_dataset",
        "inspect_clips", "labels_of", "load_clip", "load_sound", "make_digits", "read_boxes",
        "read_index", "sound_dataset", "split", "write_digits",
    ),
    "layers": (
        "FrameGraph", "FrameMemory", "MaskedMeanPool", "RelationBlock", "SpaceTimeAttentionPool",
    ),
    "models": (
        "CocoDetector", "SoundConfig", "Stream", "VideoModel", "build_detector", "build_sora",
        "build_sound_model", "build_spatial_feature_extractor", "build_temporal_relation_model",
        "build_yamnet", "embedder", "layer_costs", "streaming",
    ),
    "tasks": (
        "Pace", "Reading", "StreamingDetector", "Tracker", "TrackerSettings", "classify_files",
        "embed_files", "pseudo_label", "running", "summarize_files", "track_files",
        "tracking_metrics",
    ),
    "train": (
        "DetectorRun", "Run", "TrainConfig", "evaluate_detector", "evaluate_run",
        "train_classifier", "train_detector",
    ),
    "video": ("VideoError", "frames_every", "probe", "read", "read_sound", "sample", "write"),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'sora_tf' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sora_tf.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
