"""The records that the catalogue is made of. No torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.augment.preprocessing import Preprocessing
from core.settings.schema import AugmentStep


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """One number of a transform, with everything a slider needs. Positional, so that a row of the table is a row."""

    name: str
    label: str
    low: float
    high: float
    default: float
    step: float
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class Call:
    """A class of torchvision.transforms.v2 and its arguments: plain values, or a tuple of calls."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformSpec:
    """One row of the catalogue. The name is the transform's class in torchvision.transforms.v2."""

    name: str
    label: str
    help: str
    parameters: tuple[ParameterSpec, ...] = ()
    calls: Callable[[Mapping[str, float], Preprocessing], tuple[Call, ...]]
    """From the parameters' values to what is built: one source for the pipeline that runs and the code to copy."""
    sets_size: bool = False
    """Turns a picture of any size into the square the network takes. The first step does that, and only the first."""
    is_random: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PresetSpec:
    """A pipeline with a name."""

    name: str
    label: str
    help: str
    steps: tuple[AugmentStep, ...]
