"""Every way a training picture can be varied, in one table. No torch."""

import math
from collections.abc import Mapping
from typing import Any, Final

from core.augment.preprocessing import Preprocessing
from core.augment.specs import Call, ParameterSpec, TransformSpec


def _square(preprocessing: Preprocessing) -> tuple[int, int]:
    return (preprocessing.image_size, preprocessing.image_size)


def _scaling(preprocessing: Preprocessing) -> dict[str, Any]:
    return {"interpolation": preprocessing.interpolation, "antialias": True}


def _mean_colour(preprocessing: Preprocessing) -> tuple[int, ...]:
    """The colour, as bytes, that normalisation turns into zeros: timm's choice for what a picture does not cover."""
    return tuple(round(255 * min(max(mean, 0.0), 1.0)) for mean in preprocessing.mean)


def _warping(preprocessing: Preprocessing) -> dict[str, Any]:
    return {"interpolation": "bilinear", "fill": _mean_colour(preprocessing)}


def _blur_kernel(sigma: float, side: int) -> int:
    """Pixels across, odd: three standard deviations to each side, as far as a reflected rim of the picture allows."""
    return min(2 * math.ceil(3 * sigma) + 1, 2 * side - 1)


def evaluation_calls(preprocessing: Preprocessing) -> tuple[Call, ...]:
    """What every picture that is not trained on goes through: short side to `resize_size`, then the centre."""
    return (
        Call("Resize", {"size": (preprocessing.resize_size,), **_scaling(preprocessing)}),
        Call("CenterCrop", {"size": _square(preprocessing)}),
    )


def _share(default: float, what: str) -> ParameterSpec:
    help = f"How likely a picture is {what}: 0 is never, 1 is always."
    return ParameterSpec("p", "Share of pictures", 0.0, 1.0, default, 0.05, "", help)


_FACTOR: Final = "Factors are drawn evenly from 1 minus this to 1 plus this."
_ANGLE: Final = "Angles are drawn evenly from minus this to plus this."

# a parameter's columns: name, label, low, high, default, step, unit, help
_ROWS: Final = (
    TransformSpec(
        name="RandomResizedCrop",
        label="Random crop",
        help="A random part of the picture, of random shape, scaled to the square the network takes.",
        parameters=(
            ParameterSpec(
                *("scale", "Smallest share of the area", 0.01, 1.0, 0.35, 0.01, ""),
                "A crop keeps at least this share of the picture. Small shares enlarge what is shown.",
            ),
            ParameterSpec(
                *("ratio", "Widest shape", 1.0, 2.0, 4 / 3, 0.01, ""),
                "Largest width to height of a crop, and height to width; at 1 every crop is a square.",
            ),
        ),
        calls=lambda v, p: (
            Call(
                "RandomResizedCrop",
                {"size": _square(p), "scale": (v["scale"], 1.0), "ratio": (1 / v["ratio"], v["ratio"]), **_scaling(p)},
            ),
        ),
        sets_size=True,
    ),
    TransformSpec(
        name="CenterCrop",
        label="Centre crop",
        help="The middle of the picture, exactly as in evaluation. The same every time.",
        calls=lambda v, p: evaluation_calls(p),
        sets_size=True,
        is_random=False,
    ),
    TransformSpec(
        name="Resize",
        label="Whole picture",
        help="The whole picture pressed into the square: nothing is cut off, but proportions change.",
        calls=lambda v, p: (Call("Resize", {"size": _square(p), **_scaling(p)}),),
        sets_size=True,
        is_random=False,
    ),
    TransformSpec(
        name="RandomHorizontalFlip",
        label="Mirror left to right",
        help="Swaps left and right. Wrong only where sides matter, as in writing.",
        parameters=(_share(0.5, "mirrored"),),
        calls=lambda v, p: (Call("RandomHorizontalFlip", dict(v)),),
    ),
    TransformSpec(
        name="RandomVerticalFlip",
        label="Mirror top to bottom",
        help="Swaps top and bottom. Right for pictures taken from above, wrong where up is up.",
        parameters=(_share(0.5, "mirrored"),),
        calls=lambda v, p: (Call("RandomVerticalFlip", dict(v)),),
    ),
    TransformSpec(
        name="RandomRotation",
        label="Rotation",
        help="Turns the picture about its centre.",
        parameters=(ParameterSpec("degrees", "Largest angle", 0.0, 180.0, 15.0, 1.0, "°", _ANGLE),),
        calls=lambda v, p: (Call("RandomRotation", {**v, **_warping(p)}),),
    ),
    TransformSpec(
        name="RandomAffine",
        label="Shift and slant",
        help="Moves the picture within its frame and slants it.",
        parameters=(
            ParameterSpec(
                *("translate", "Largest shift", 0.0, 0.5, 0.1, 0.01, ""), "As a share of the side, in both directions."
            ),
            ParameterSpec("shear", "Largest slant", 0.0, 45.0, 10.0, 1.0, "°", _ANGLE),
        ),
        calls=lambda v, p: (
            Call(
                "RandomAffine",
                {
                    "degrees": 0.0,
                    "translate": (v["translate"], v["translate"]),
                    "shear": (-v["shear"], v["shear"]),
                    **_warping(p),
                },
            ),
        ),
    ),
    TransformSpec(
        name="RandomPerspective",
        label="Perspective",
        help="Pulls the corners inwards, as if the picture were seen from the side.",
        parameters=(
            ParameterSpec(
                # towards 1 corners can meet, and the picture collapses to a line
                *("distortion_scale", "Strength", 0.0, 0.7, 0.3, 0.05, ""),
                "How far a corner may move, as a share of half the side.",
            ),
            _share(0.5, "distorted"),
        ),
        calls=lambda v, p: (Call("RandomPerspective", {**v, **_warping(p)}),),
    ),
    TransformSpec(
        name="ColorJitter",
        label="Colour",
        help="Other light: brightness, contrast, saturation and hue, in random order.",
        parameters=(
            ParameterSpec("brightness", "Brightness", 0.0, 1.0, 0.2, 0.05, "", _FACTOR),
            ParameterSpec("contrast", "Contrast", 0.0, 1.0, 0.2, 0.05, "", _FACTOR),
            ParameterSpec("saturation", "Saturation", 0.0, 1.0, 0.2, 0.05, "", _FACTOR),
            ParameterSpec(
                *("hue", "Hue", 0.0, 0.5, 0.0, 0.01, "turns"),
                "Largest turn of the colour circle, either way. By far the slowest of the four.",
            ),
        ),
        calls=lambda v, p: (Call("ColorJitter", dict(v)),),
    ),
    TransformSpec(
        name="RandomGrayscale",
        label="Grey",
        help="Takes the colour away, so that shape has to do.",
        parameters=(_share(0.1, "made grey"),),
        calls=lambda v, p: (Call("RandomGrayscale", dict(v)),),
    ),
    TransformSpec(
        name="GaussianBlur",
        label="Blur",
        help="Out of focus, by a random amount.",
        parameters=(
            _share(0.5, "blurred"),
            ParameterSpec(
                *("sigma", "Strongest blur", 0.2, 3.0, 2.0, 0.1, "px"),
                "Standard deviation in pixels of the network's input, drawn evenly from 0.1 to this.",
            ),
        ),
        calls=lambda v, p: (
            Call(
                "RandomApply",
                {
                    "transforms": (
                        Call(
                            "GaussianBlur",
                            {"kernel_size": _blur_kernel(v["sigma"], p.image_size), "sigma": (0.1, v["sigma"])},
                        ),
                    ),
                    "p": v["p"],
                },
            ),
        ),
    ),
    TransformSpec(
        name="TrivialAugmentWide",
        label="One random operation",
        help="One of 14 operations at a random strength (TrivialAugment, Müller and Hutter 2021).",
        calls=lambda v, p: (Call("TrivialAugmentWide", _warping(p)),),
    ),
    TransformSpec(
        name="RandomErasing",
        label="Erased patch",
        help="Covers a random rectangle, so that no single part decides (Zhong et al. 2020).",
        parameters=(
            _share(0.25, "partly covered"),
            ParameterSpec(
                *("scale", "Largest share of the area", 0.03, 0.5, 0.33, 0.01, ""),
                "The patch covers from 0.02 of the picture up to this.",
            ),
        ),
        calls=lambda v, p: (
            Call("RandomErasing", {"p": v["p"], "scale": (0.02, v["scale"]), "value": _mean_colour(p)}),
        ),
    ),
)

TRANSFORMS: Final[Mapping[str, TransformSpec]] = {row.name: row for row in _ROWS}
"""By name, in the order in which a form shows them."""
