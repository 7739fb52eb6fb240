"""What a model is, as plain data: frozen dataclasses that go to JSON and back, and the presets."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from sora_tf import _checks

BLOCKS = ("conv", "separable", "lite0", "lite1", "lite2")
# The CNNs of keras.applications. ConvNeXt is not among them: as part of a model that is saved, it
# does not load again in tf_keras 2.17.
APPLICATIONS = (
    *(f"DenseNet{layers}" for layers in (121, 169, 201)),
    *(f"EfficientNetB{scale}" for scale in range(8)),
    *(f"EfficientNetV2{scale}" for scale in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    *(
        f"RegNet{kind}{cost:03}"
        for kind in "XY"
        for cost in (2, 4, 6, 8, 16, 32, 40, 64, 80, 120, 160, 320)
    ),
    *(f"ResNet{layers}{version}" for layers in (50, 101, 152) for version in ("", "V2")),
    *(f"ResNetRS{layers}" for layers in (50, 101, 152, 200, 270, 350, 420)),
    "VGG16",
    "VGG19",
    "Xception",
)
POOLINGS = ("mean", "attention")
CELLS = 32  # pixels of a cell of the coarsest maps


@dataclass(frozen=True)
class ExtractorConfig:
    """The spatio-temporal feature extractor: a CNN on every frame with memory of the last one.

    Args:
        block: "conv" (convolution, ReLU, max pool: the paper's case), "separable" (inverted
            residuals with ReLU6, which quantise well), "lite0", "lite1", "lite2"
            (EfficientNet-Lite, which has ImageNet weights; channels, depths and expansion are
            its own), or a CNN of keras.applications by its name there, such as "MobileNetV2"
            (as it is: no memory inside).
        channels: output channels of each stage; every stage halves height and width.
        depths: blocks in each stage; for "conv" all 1.
        expansion: width of a separable block's inside, as a multiple of its input channels.
        memory: share of a convolution's input channels that comes from the previous frame,
            from 0 (no memory) to 0.5.
        peak: add to the pooled features the largest value of each anywhere in the picture, which
            a mean over a large picture hides where things are small.
        change: add to the pooled features how much each changes, at most, between a frame and
            the one before, at any place of the last maps and, but for keras.applications, of
            those at twice their size.
        features: length D of the vector per frame; 0 leaves the pooled features as they are.
        dropout: share of the frame vector dropped in training.
    """

    block: str = "separable"
    channels: tuple[int, ...] = (16, 24, 40, 80, 160)
    depths: tuple[int, ...] = (1, 2, 3, 3, 2)
    expansion: int = 4
    memory: float = 0.25
    peak: bool = False
    change: bool = False
    features: int = 256
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Checks every value, so that a bad config fails where it is written."""
        owner = "ExtractorConfig"
        if self.block not in BLOCKS and self.block not in APPLICATIONS:
            raise ValueError(
                f"{owner}: block must be one of {', '.join(BLOCKS)}, or a CNN of "
                f"keras.applications other than ConvNeXt, got {self.block!r}. Choose one."
            )
        _checks.between(owner, "memory", self.memory, 0.0, 0.5, "0.25 is a good start.")
        if self.memory and self.block in APPLICATIONS:
            raise ValueError(
                f"{owner}: memory must be 0 in {self.block}, got {self.memory!r}. Use change=True "
                "to see motion, or another block."
            )
        _checks.between(owner, "dropout", self.dropout, 0.0, 0.9, "0 turns it off.")
        _checks.at_least(owner, "features", self.features, 0, "channels", "64 is the paper's.")
        _checks.at_least(owner, "expansion", self.expansion, 1, "", "4 is usual.")
        if not self.channels or len(self.channels) != len(self.depths):
            raise ValueError(
                f"{owner}: channels and depths must name the same stages, got "
                f"{self.channels} and {self.depths}. Give one depth for each stage."
            )
        if min(self.channels) < 1 or min(self.depths) < 1:
            raise ValueError(
                f"{owner}: channels and depths must be 1 or more, got {self.channels} and "
                f"{self.depths}. Leave a stage out instead of making it empty."
            )


@dataclass(frozen=True)
class RelationConfig:
    """The spatio-temporal relation model: rounds of message passing on the frame graph.

    Args:
        alpha: weight of an edge: "uniform", "gcn", "learned", "attention" or "similarity".
        edges: which frames are joined: "full", "window", "causal", "dilated" or "segments".
        window: reach of window, causal and dilated edges, in frames (dilated: in steps).
        dilation: step of dilated edges, in frames.
        segment: frames in a segment.
        heads: attention heads.
        neighbours: neighbours kept by "similarity".
        units: length of the vectors the blocks make.
        contrast: frames that a frame is compared with, in a first round whose messages are the
            differences |h_i - h_t|; they are put beside h_t. 0 leaves that round out.
        blocks: rounds of weighted message passing.
        residual: normalise before each round and add its input after it, which deep stacks
            need; False is the bare formula.
        recurrent: replace message passing by an LSTM over the frames.
        dropout: share of each round's output dropped in training.
    """

    alpha: str = "attention"
    edges: str = "causal"
    window: int = 8
    dilation: int = 2
    segment: int = 16
    heads: int = 4
    neighbours: int = 8
    units: int = 256
    contrast: int = 0
    blocks: int = 2
    residual: bool = True
    recurrent: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Checks what RelationBlock does not check itself."""
        owner = "RelationConfig"
        _checks.at_least(owner, "contrast", self.contrast, 0, "frames", "16 is usual.")
        least = 0 if self.contrast else 1
        remedy = "Use relation=None for none."
        _checks.at_least(owner, "blocks", self.blocks, least, "round", remedy)
        _checks.at_least(owner, "units", self.units, 1, "channel", "64 is the paper's.")
        _checks.between(owner, "dropout", self.dropout, 0.0, 0.9, "0 turns it off.")


@dataclass(frozen=True)
class SoraConfig:
    """A whole model: what it is fed, its extractor, its relation model and its pooling.

    Args:
        frames: frames T taken from a clip.
        size: height and width of a frame, in pixels.
        extractor: the CNN.
        relation: the frame graph; None leaves it out.
        pooling: how frame vectors become the global vector: "mean", or "attention" over the
            regions of all frames.
        standardise: scale each value of the global vector to mean 0 and variance 1 over the
            training clips, so that rare features count as much as common ones.
        dropout: share of the global vector dropped in training, before the classifier.
    """

    frames: int = 16
    size: tuple[int, int] = (112, 112)
    extractor: ExtractorConfig = field(default_factory=ExtractorConfig)
    relation: RelationConfig | None = field(default_factory=RelationConfig)
    pooling: str = "mean"
    standardise: bool = False
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Checks that a frame survives the extractor's halvings."""
        owner = "SoraConfig"
        _checks.at_least(owner, "frames", self.frames, 1, "frame", "16 is usual.")
        _checks.one_of(owner, "pooling", self.pooling, POOLINGS)
        _checks.between(owner, "dropout", self.dropout, 0.0, 0.9, "0 turns it off.")
        smallest = smallest_side(self.extractor)
        if len(self.size) != 2 or min(self.size) < smallest:
            raise ValueError(
                f"{owner}: size must be a height and a width of at least {smallest} pixels, got "
                f"{self.size}. Enlarge it, or drop a stage of the extractor."
            )

    def to_json(self) -> str:
        """The config as indented JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "SoraConfig":
        """The config from `dataclasses.asdict` or parsed JSON.

        Raises:
            ValueError: a name is unknown or a value is out of range.
        """
        values = dict(values)
        try:
            extractor = _extractor(values.pop("extractor", {}))
            relation = values.pop("relation", {})
            if "size" in values:
                values["size"] = tuple(values["size"])
            return cls(
                extractor=extractor,
                relation=None if relation is None else RelationConfig(**relation),
                **values,
            )
        except TypeError as error:
            raise ValueError(
                f"SoraConfig: the config has a name or type this version does not know: {error}. "
                "Compare it with `SoraConfig().to_json()`."
            ) from None

    @classmethod
    def from_json(cls, text: str) -> "SoraConfig":
        """The config from JSON text; raises ValueError where it does not fit."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(
                f"SoraConfig: a config must be a JSON object, got {type(values).__name__}. "
                "Compare it with `SoraConfig().to_json()`."
            )
        return cls.from_dict(values)


@dataclass(frozen=True)
class DetectorConfig:
    """A detector: an extractor, and a head that says where things of which class are.

    Args:
        frames: frames T of a stretch that it is trained on.
        step: time from frame to frame, s; 0 takes every frame of the video.
        size: height and width of a frame in pixels, multiples of 32.
        extractor: the CNN; its last stages are not of keras.applications.
        stride: pixels of a cell of the map of centres, 4, 8 or 16.
        channels: width of the head.
        blocks: inverted residuals of the head on its finest map.
        memory: whether the head sees the maps of the frame before, and the share of channels of
            each of its blocks that comes from there; 0 sees single frames.
        remember: share of what was known of a thing on the frame before that stays: its name, its
            score and its size are means over time; 0 knows what is on this frame alone.
        most: boxes a frame.
        temperature: by which the logits of names are divided: a detector that learnt from few films
            is too sure of them (Guo et al., "On Calibration of Modern Neural Networks", 2017).
        dropout: share of what is seen in the whole picture that is dropped in training.
        refine: side in pixels to which the likeliest boxes are enlarged for a second stage, which
            says where they are, and what they show, once more; 0 does without.
        refined: how many boxes of a frame it looks at.
    """

    frames: int = 3
    step: float = 0.2
    size: tuple[int, int] = (512, 640)
    extractor: ExtractorConfig = field(default_factory=lambda: lite().extractor)
    stride: int = 8
    channels: int = 64
    blocks: int = 3
    memory: float = 0.25
    remember: float = 0.95
    most: int = 50
    temperature: float = 2.5
    dropout: float = 0.3
    refine: int = 0
    refined: int = 4

    def __post_init__(self) -> None:
        """Checks the ranges."""
        owner = "DetectorConfig"
        _checks.at_least(owner, "refined", self.refined, 1, "box", "4 is a good start.")
        if self.refine and (self.refine < CELLS or self.refine % CELLS):
            raise ValueError(
                f"{owner}: refine must be 0 or a multiple of {CELLS} pixels, got {self.refine}. "
                "128 is a good start."
            )
        _checks.at_least(owner, "frames", self.frames, 1, "frame", "3 is a good start.")
        _checks.at_least(owner, "step", self.step, 0.0, "s", "0 takes every frame.")
        _checks.at_least(owner, "channels", self.channels, 8, "channels", "64 is a good start.")
        _checks.at_least(owner, "blocks", self.blocks, 1, "block", "3 is a good start.")
        _checks.at_least(owner, "most", self.most, 1, "box", "50 is a good start.")
        _checks.between(owner, "memory", self.memory, 0.0, 0.5, "0.25 is a good start.")
        _checks.between(owner, "remember", self.remember, 0.0, 0.99, "0.95 is a good start.")
        _checks.above(
            owner, "temperature", self.temperature, 0.0, "", "1 leaves names as they are."
        )
        _checks.between(owner, "dropout", self.dropout, 0.0, 0.9, "0 turns it off.")
        if self.extractor.block not in ("separable", "lite0", "lite1", "lite2"):
            raise ValueError(
                f"{owner}: block must be separable, lite0, lite1 or lite2, got "
                f"{self.extractor.block!r}. Choose one."
            )
        if len(self.size) != 2 or min(self.size) < CELLS or any(n % CELLS for n in self.size):
            raise ValueError(
                f"{owner}: size must be a height and a width in multiples of {CELLS} pixels, got "
                f"{self.size}. Round them."
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "DetectorConfig":
        """The config from `dataclasses.asdict` or parsed JSON.

        Raises:
            ValueError: a name is unknown or a value is out of range.
        """
        values = dict(values)
        try:
            if "extractor" in values:
                values["extractor"] = _extractor(values["extractor"])
            if "size" in values:
                values["size"] = tuple(values["size"])
            return cls(**values)
        except TypeError as error:
            raise ValueError(
                f"DetectorConfig: the config has a name or type this version does not know: "
                f"{error}. Compare it with `DetectorConfig()`."
            ) from None


def _extractor(values: dict[str, Any]) -> ExtractorConfig:
    given = dict(values)
    for name in ("channels", "depths"):
        if name in given:
            given[name] = tuple(given[name])
    return ExtractorConfig(**given)


def smallest_side(extractor: ExtractorConfig) -> int:
    """The smallest height or width, in pixels, that leaves one value after all stages."""
    side = 1
    if extractor.block != "conv":
        return side  # strided convolutions pad, so that any size leaves something
    for _ in extractor.channels:
        side = 2 * side + 2  # a 3x3 convolution without padding, then a pool of 2
    return side


def micro() -> SoraConfig:
    """The paper's case: two 3x3 convolutions, every edge weighs 1, a 64-d mean vector."""
    return SoraConfig(
        frames=8,
        size=(28, 28),
        extractor=ExtractorConfig(
            block="conv", channels=(32, 64), depths=(1, 1), memory=0.5, features=64
        ),
        relation=RelationConfig(alpha="uniform", edges="full", units=64, blocks=1, residual=False),
        pooling="mean",
        dropout=0.0,
    )


def small() -> SoraConfig:
    """About 1 M parameters, trained from scratch, causal so that it streams, quantises well."""
    return SoraConfig()


def lite() -> SoraConfig:
    """EfficientNet-Lite0 with ImageNet weights, motion seen before pooling; causal.

    What it compares, it compares without weights of its own, so that a few hundred clips are
    enough to train it.
    """
    return SoraConfig(
        frames=16,
        size=(320, 320),
        extractor=ExtractorConfig(block="lite0", memory=0.0, change=True, features=0),
        relation=RelationConfig(edges="causal", contrast=16, blocks=0),
        standardise=True,
        dropout=0.0,
    )


PRESETS = {"micro": micro, "small": small, "lite": lite}


def resolve(config: SoraConfig | str) -> SoraConfig:
    """A config as it is, or the preset of that name.

    Raises:
        ValueError: there is no such preset.
    """
    if isinstance(config, SoraConfig):
        return config
    _checks.one_of("sora_tf", "preset", config, PRESETS)
    return PRESETS[config]()
