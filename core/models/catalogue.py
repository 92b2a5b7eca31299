"""The backbones there are: names, stages, cost. No torch: sizes and hashes of weights are in `weights`."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from core.errors import SettingsError
from core.settings.scenarios import SCENARIOS
from core.settings.schema import ModelSettings, RunSettings

Source = Literal["package", "torchvision", "hub"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """What the networks of one kind have in common, by the names that their library gives to their parts."""

    stages: tuple[tuple[str, ...], ...]
    """Stages from input to output, each as dotted prefixes that cover its parameters and buffers.

    The final Linear, which the head replaces, belongs to none.
    """
    steps: tuple[str, ...]
    """What the network's own `forward` does up to the final Linear: parts one after the other. `blocks.*` stands for
    all children of `blocks` in their order; `FLATTEN`, `EMBED` and `CLASS_TOKEN` for what has no name there."""
    classifier: str
    """The final Linear."""
    places_end: str
    """The step before which the network last knows of places in the picture."""
    tokens: bool = False
    """Whether places are tokens (N, 1 + places, C), the class token first, instead of a grid (N, C, H, W)."""
    any_size: bool = True
    """Whether it takes squares of another size than the one its weights were trained on."""


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """One row of the catalogue."""

    name: str
    """How settings and runs call it."""
    label: str
    family: str
    architecture: Architecture
    features: int
    """Numbers per picture that the head gets."""
    forward_gflop: float
    """GFLOP of one forward pass of one 224 px picture, 2 per multiply-add."""
    timm_name: str | None = None
    """How timm calls it; None: torchvision, which calls it as we do."""
    learnt: str = "ImageNet"
    """The pictures that its weights come from."""

    @property
    def source(self) -> Source:
        """`package`: its weights come in an installed package. `torchvision`, `hub`: they are downloaded on demand."""
        if self.learnt != "ImageNet":
            return "hub"
        return "package" if self.timm_name else "torchvision"

    @property
    def frozen_only(self) -> bool:
        """Whether it is offered for its features alone, which it was made to give (Oquab et al. 2024; Tschannen et al.
        2025): it has learnt without classes, and comes without a last layer."""
        return self.source == "hub"

    @property
    def timm_options(self) -> dict[str, Any]:
        """What timm is told beside the name and the classes."""
        return {"img_size": HUB_SIDE} if self.source == "hub" else {}

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """As `Architecture.stages`."""
        return self.architecture.stages

    @property
    def any_size(self) -> bool:
        """As `Architecture.any_size`."""
        return self.architecture.any_size


def _each(prefix: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{prefix}.{number}" for number in numbers)


HUB_SIDE: Final = 224
"""Of the pictures that backbones from the Hub get: DINOv2's was trained at it, and then shortly at 518 (Oquab et al.
2024, section 4), which would take eight times as long."""

# steps that are no modules
FLATTEN: Final = "(flatten)"
EMBED: Final = "(embed)"  # ViT's: patches to tokens, with their places
PATCHES: Final = "(patches)"  # the same, as timm does it
CLASS_TOKEN: Final = "(class token)"
_POOLED: Final = ("features.*", "avgpool", FLATTEN, "classifier.*")

RESNET: Final = Architecture(
    stages=(("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)),
    steps=("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", FLATTEN),
    classifier="fc",
    places_end="avgpool",
)

# timm's; the nine stages of EfficientNet's table 1 (Tan and Le 2019): stem, seven groups of blocks, last convolution
LITE: Final = Architecture(
    stages=(("conv_stem", "bn1"), *(_each("blocks", n) for n in range(7)), ("conv_head", "bn2")),
    steps=("conv_stem", "bn1", "blocks.*", "conv_head", "bn2", "global_pool"),
    classifier="classifier",
    places_end="global_pool",
)
EFFICIENTNET: Final = Architecture(
    stages=tuple(_each("features", n) for n in range(9)),
    steps=_POOLED,
    classifier="classifier.1",
    places_end="avgpool",
)


def _vgg(*groups: tuple[int, ...]) -> Architecture:
    """Groups of convolutions between poolings, then the two fully connected layers before the last one."""
    return Architecture(
        stages=(*(_each("features", *group) for group in groups), _each("classifier", 0, 3)),
        steps=_POOLED,
        classifier="classifier.6",
        places_end=f"features.{groups[-1][-1] + 2}",  # the last pooling, behind a ReLU: twice as many places before it
    )


VGG16: Final = _vgg((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
VGG19: Final = _vgg((0, 2), (5, 7), (10, 12, 14, 16), (19, 21, 23, 25), (28, 30, 32, 34))

# a stage ends where the picture is about to get smaller; the last convolution and projection are a stage
MOBILENET_V3: Final = Architecture(
    stages=(
        _each("features", 0, 1),
        _each("features", 2, 3),
        _each("features", 4, 5, 6),
        _each("features", 7, 8, 9, 10, 11, 12),
        _each("features", 13, 14, 15),
        ("features.16", "classifier.0"),
    ),
    steps=_POOLED,
    classifier="classifier.3",
    places_end="avgpool",
)

# stem and four stages, each with the layer that halves the picture before it and the last one with the final norm
_FOUR: Final = (("features.0",), ("features.1",), _each("features", 2, 3), _each("features", 4, 5))
CONVNEXT: Final = Architecture(
    stages=(*_FOUR, (*_each("features", 6, 7), "classifier.0")),
    steps=("features.*", "avgpool", "classifier.*"),
    classifier="classifier.2",
    places_end="avgpool",
)
SWIN: Final = Architecture(
    stages=(*_FOUR, (*_each("features", 6, 7), "norm")),
    steps=("features.*", "norm", "permute", "avgpool", "flatten"),
    classifier="head",
    places_end="avgpool",
)

_LAYERS: Final = tuple(f"encoder.layers.encoder_layer_{n}" for n in range(12))
VIT: Final = Architecture(
    stages=(
        ("conv_proj", "class_token", "encoder.pos_embedding"),
        *((layer,) for layer in _LAYERS[:-1]),
        (_LAYERS[-1], "encoder.ln"),
    ),
    steps=(EMBED, "encoder.layers.*", "encoder.ln", CLASS_TOKEN),
    classifier="heads.head",
    places_end=_LAYERS[-1],  # only the class token leaves the last layer: the others are read before it
    tokens=True,
    any_size=False,  # learned places of its patches
)


def _timm_vit(first: tuple[str, ...], last: tuple[str, ...], pool: str) -> Architecture:
    """Twelve blocks; what makes tokens of the picture belongs to the first stage, what follows them to the last."""
    return Architecture(
        stages=(("patch_embed", *first), *(_each("blocks", n) for n in range(11)), ("blocks.11", *last)),
        steps=(PATCHES, "blocks.*", "norm", pool),
        classifier="head",
        places_end="blocks.11" if pool == CLASS_TOKEN else pool,
        tokens=True,
        any_size=False,
    )


DINO_V2: Final = _timm_vit(("cls_token", "pos_embed"), ("norm",), CLASS_TOKEN)
SIGLIP: Final = _timm_vit(("pos_embed",), ("norm", "attn_pool"), "attn_pool")


# GFLOP: twice the multiply-adds in torchvision's weights (meta `_ops`); Lite's counted with torch's FlopCounterMode
_VIT: Final = "Vision transformer"
_ROWS: Final = (
    BackboneSpec("efficientnet_lite0", "EfficientNet-Lite0", "EfficientNet", LITE, 1280, 0.77, "tf_efficientnet_lite0"),
    BackboneSpec("efficientnet_lite1", "EfficientNet-Lite1", "EfficientNet", LITE, 1280, 1.0, "tf_efficientnet_lite1"),
    BackboneSpec("efficientnet_lite2", "EfficientNet-Lite2", "EfficientNet", LITE, 1280, 1.15, "tf_efficientnet_lite2"),
    BackboneSpec("mobilenet_v3_large", "MobileNetV3-Large", "MobileNet", MOBILENET_V3, 1280, 0.43),
    BackboneSpec("efficientnet_b0", "EfficientNet-B0", "EfficientNet", EFFICIENTNET, 1280, 0.77),
    BackboneSpec("resnet18", "ResNet-18", "ResNet", RESNET, 512, 3.63),
    BackboneSpec("resnet50", "ResNet-50", "ResNet", RESNET, 2048, 8.18),
    BackboneSpec("convnext_tiny", "ConvNeXt-Tiny", "ConvNeXt", CONVNEXT, 768, 8.9),
    BackboneSpec("swin_t", "Swin-T", _VIT, SWIN, 768, 8.98),
    BackboneSpec(
        "dinov2_vits14", "DINOv2 ViT-S/14", _VIT, DINO_V2, 384, 12.25, "vit_small_patch14_dinov2", learnt="LVD-142M"
    ),
    BackboneSpec("vgg16", "VGG-16", "VGG", VGG16, 4096, 30.9),
    BackboneSpec("vit_b_16", "ViT-B/16", _VIT, VIT, 768, 35.1),
    BackboneSpec(
        "siglip2_vitb16", "SigLIP 2 ViT-B/16", _VIT, SIGLIP, 768, 35.4, "vit_base_patch16_siglip_224", learnt="WebLI"
    ),
    BackboneSpec("vgg19", "VGG-19", "VGG", VGG19, 4096, 39.3),
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


def strategies_of(spec: BackboneSpec) -> tuple[str, ...]:
    """The training strategies that are offered for a backbone, in the usual order."""
    return tuple(name for name, row in SCENARIOS.items() if row.leaves_backbone or not spec.frozen_only)


def not_offered(spec: BackboneSpec) -> str:
    """That a backbone is offered frozen only, and why; empty where all strategies are."""
    if not spec.frozen_only:
        return ""
    return f"{spec.label} is offered frozen only: it is here for the features that it gives as it is."


def check_model(settings: RunSettings) -> None:
    """Whether the backbone can be trained like that, before anything is started.

    Raises:
        SettingsError: no backbone has this name, it is offered frozen only, it has fewer stages than are to train, or
            takes one size only.
    """
    spec = get_backbone(settings.model.backbone)
    if settings.model.scenario not in strategies_of(spec):
        raise SettingsError(f"{not_offered(spec)} {settings.model.row.label} is not.")
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
