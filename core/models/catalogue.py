"""The backbones there are: names, stages, cost. No torch: sizes and hashes of weights are in `weights`."""

from dataclasses import dataclass
from typing import Final, Literal

from core.errors import SettingsError
from core.settings.schema import ModelSettings, RunSettings

Source = Literal["package", "torchvision"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneSpec:
    """One row of the catalogue."""

    name: str
    """How settings and runs call it; for torchvision also the name of its builder."""
    label: str
    family: str
    source: Source
    """`package`: ImageNet weights are installed with Thaw. `torchvision`: they are downloaded on demand."""
    stages: tuple[tuple[str, ...], ...]
    """Stages from input to output, each as dotted prefixes that cover its parameters and buffers.

    The final Linear, which the head replaces, belongs to none.
    """
    features: int
    """Numbers per picture that the head gets."""
    forward_gflop: float
    """GFLOP of one forward pass of one 224 px picture, 2 per multiply-add."""
    any_size: bool = True
    """Whether it takes squares of another size than the one its weights were trained on."""


def _each(prefix: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{prefix}.{number}" for number in numbers)


RESNET: Final = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))

# the nine stages of EfficientNet's table 1 (Tan and Le 2019): stem, seven groups of blocks, last convolution
EFFICIENTNET_LITE: Final = (("conv_stem", "bn1"), *(_each("blocks", n) for n in range(7)), ("conv_head", "bn2"))
EFFICIENTNET: Final = tuple(_each("features", n) for n in range(9))

# five groups of convolutions between poolings, then the two fully connected layers before the last one
VGG_DENSE: Final = _each("classifier", 0, 3)
VGG16: Final = (
    _each("features", 0, 2),
    _each("features", 5, 7),
    _each("features", 10, 12, 14),
    _each("features", 17, 19, 21),
    _each("features", 24, 26, 28),
    VGG_DENSE,
)
VGG19: Final = (
    _each("features", 0, 2),
    _each("features", 5, 7),
    _each("features", 10, 12, 14, 16),
    _each("features", 19, 21, 23, 25),
    _each("features", 28, 30, 32, 34),
    VGG_DENSE,
)

# a stage ends where the picture is about to get smaller; the last convolution and projection are a stage
MOBILENET_V3: Final = (
    _each("features", 0, 1),
    _each("features", 2, 3),
    _each("features", 4, 5, 6),
    _each("features", 7, 8, 9, 10, 11, 12),
    _each("features", 13, 14, 15),
    ("features.16", "classifier.0"),
)

# stem and four stages, each with the layer that halves the picture before it and the last one with the final norm
CONVNEXT: Final = (
    ("features.0",),
    ("features.1",),
    _each("features", 2, 3),
    _each("features", 4, 5),
    (*_each("features", 6, 7), "classifier.0"),
)
SWIN: Final = (*CONVNEXT[:4], (*_each("features", 6, 7), "norm"))

VIT_LAYERS: Final = tuple(f"encoder.layers.encoder_layer_{n}" for n in range(12))
VIT: Final = (
    ("conv_proj", "class_token", "encoder.pos_embedding"),
    *((layer,) for layer in VIT_LAYERS[:-1]),
    (VIT_LAYERS[-1], "encoder.ln"),
)


def _row(
    name: str,
    label: str,
    family: str,
    stages: tuple[tuple[str, ...], ...],
    features: int,
    forward_gflop: float,
    source: Source = "torchvision",
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        label=label,
        family=family,
        source=source,
        stages=stages,
        features=features,
        forward_gflop=forward_gflop,
        any_size=name != "vit_b_16",  # learned places of its patches
    )


# GFLOP: twice the multiply-adds in torchvision's weights (meta `_ops`); Lite0 counted with torch's FlopCounterMode
_ROWS: Final = (
    _row("efficientnet_lite0", "EfficientNet-Lite0", "EfficientNet", EFFICIENTNET_LITE, 1280, 0.77, "package"),
    _row("mobilenet_v3_large", "MobileNetV3-Large", "MobileNet", MOBILENET_V3, 1280, 0.43),
    _row("efficientnet_b0", "EfficientNet-B0", "EfficientNet", EFFICIENTNET, 1280, 0.77),
    _row("resnet18", "ResNet-18", "ResNet", RESNET, 512, 3.63),
    _row("resnet50", "ResNet-50", "ResNet", RESNET, 2048, 8.18),
    _row("convnext_tiny", "ConvNeXt-Tiny", "ConvNeXt", CONVNEXT, 768, 8.9),
    _row("swin_t", "Swin-T", "Vision transformer", SWIN, 768, 8.98),
    _row("vgg16", "VGG-16", "VGG", VGG16, 4096, 30.9),
    _row("vit_b_16", "ViT-B/16", "Vision transformer", VIT, 768, 35.1),
    _row("vgg19", "VGG-19", "VGG", VGG19, 4096, 39.3),
)

BACKBONES: Final[dict[str, BackboneSpec]] = {row.name: row for row in _ROWS}
"""All backbones by name: the default first, then from cheap to dear."""


def get_backbone(name: str) -> BackboneSpec:
    """The row called `name`.

    Raises:
        SettingsError: there is none; the message lists the names there are.
    """
    if name not in BACKBONES:
        raise SettingsError(f"backbone is {name!r}; choose one of: {', '.join(BACKBONES)}.")
    return BACKBONES[name]


def starts_with(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the prefixes or lies below one (`layer1.0` below `layer1`, `layer10` not)."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def check_model(settings: RunSettings) -> None:
    """Whether the backbone can be trained like that, before anything is started.

    Raises:
        SettingsError: no backbone has this name, it has fewer stages than are to train, or takes one size only.
    """
    spec = get_backbone(settings.model.backbone)
    count_frozen_stages(settings.model, spec)
    if settings.optim.train_size is not None and not spec.any_size:
        raise SettingsError(f"train_size is {settings.optim.train_size}; {spec.label} takes pictures of one size only.")


def count_frozen_stages(settings: ModelSettings, spec: BackboneSpec) -> int:
    """How many stages, from the input, a scenario leaves as they are.

    Raises:
        SettingsError: more last stages are to train than the backbone has.
    """
    stages = len(spec.stages)
    if settings.row.stages != "last":
        return stages if settings.row.stages == "none" else 0
    if settings.last_stages > stages:
        raise SettingsError(f"last_stages is {settings.last_stages}; {spec.label} has {stages} stages.")
    return stages - settings.last_stages
