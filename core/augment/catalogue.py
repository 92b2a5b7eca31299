"""Presets of training augmentation, and settings turned into checked steps. No torch."""

import math
from collections.abc import Mapping
from typing import Final

from core.augment.preprocessing import Preprocessing
from core.augment.specs import Call, ParameterSpec, PresetSpec, TransformSpec
from core.augment.transforms import TRANSFORMS, evaluation_calls
from core.errors import SettingsError
from core.settings.schema import AugmentSettings, AugmentStep

__all__ = [
    "CUSTOM",
    "MAX_STEPS",
    "PRESETS",
    "TRANSFORMS",
    "ParameterSpec",
    "PresetSpec",
    "TransformSpec",
    "check_steps",
    "default_step",
    "evaluation_calls",
    "is_random",
    "steps_of",
    "training_calls",
]

CUSTOM: Final = "custom"
MAX_STEPS: Final = 16
"""More than there are transforms: enough for any use, and a bound on what settings from outside can ask for."""


def default_step(name: str, **changed: float) -> AugmentStep:
    """A step with the catalogue's defaults, but for the values given."""
    return AugmentStep(
        name=name, values=tuple((p.name, changed.get(p.name, p.default)) for p in TRANSFORMS[name].parameters)
    )


PRESETS: Final[Mapping[str, PresetSpec]] = {
    preset.name: preset
    for preset in (
        PresetSpec(
            name="none",
            label="None",
            help="The whole picture pressed into the square, the same every time. Evaluation also cuts off the rim, "
            "so training sees things a little smaller.",
            steps=(default_step("Resize"),),
        ),
        PresetSpec(
            name="centre-crop",
            label="Centre crop",
            help="The middle of the picture, exactly what evaluation sees, the same every time.",
            steps=(default_step("CenterCrop"),),
        ),
        PresetSpec(
            name="gentle",
            label="Gentle",
            # smaller crops show things larger than evaluation does (FixRes, Touvron et al. 2019)
            help="Random crops of at least 35 % of the area, mirrored half of the time. The default.",
            steps=(default_step("RandomResizedCrop"), default_step("RandomHorizontalFlip")),
        ),
        PresetSpec(
            name="tutorial",
            label="As in the tutorial",
            help="The PyTorch tutorial's: crops of 8 to 100 % of the area, mirrored half of the time.",
            steps=(default_step("RandomResizedCrop", scale=0.08), default_step("RandomHorizontalFlip")),
        ),
        PresetSpec(
            name="strong",
            label="Strong",
            help="The tutorial's, then one random operation, then at times an erased patch. For long training.",
            steps=(
                default_step("RandomResizedCrop", scale=0.08),
                default_step("RandomHorizontalFlip"),
                default_step("TrivialAugmentWide"),
                default_step("RandomErasing"),
            ),
        ),
    )
}


def steps_of(settings: AugmentSettings) -> tuple[AugmentStep, ...]:
    """The steps that are really done: checked, complete, the one that sets the size first.

    A custom pipeline that does not say how a picture becomes a square starts with evaluation's centre crop.

    Raises:
        SettingsError: the preset is unknown, brings its own steps beside given ones, or a step is not possible.
    """
    if settings.preset == CUSTOM:
        steps = check_steps(settings.steps)
        given = bool(steps) and TRANSFORMS[steps[0].name].sets_size
        return steps if given else (default_step("CenterCrop"), *steps)
    if settings.preset not in PRESETS:
        raise SettingsError(f"preset is {settings.preset!r}; choose one of: {', '.join([*PRESETS, CUSTOM])}.")
    if settings.steps:
        raise SettingsError(f"preset is {settings.preset}, which has steps of its own; to give steps choose {CUSTOM}.")
    return PRESETS[settings.preset].steps


def check_steps(steps: tuple[AugmentStep, ...]) -> tuple[AugmentStep, ...]:
    """The same steps with every parameter there, in the catalogue's order; those not given have their default.

    Raises:
        SettingsError: a transform or parameter is unknown, a value is out of range, or the order is not possible.
    """
    if len(steps) > MAX_STEPS:
        raise SettingsError(f"steps are {len(steps)}; a pipeline has at most {MAX_STEPS}.")
    for position, step in enumerate(steps):
        if step.name not in TRANSFORMS:
            raise SettingsError(f"transform {step.name!r} is unknown; choose one of: {', '.join(TRANSFORMS)}.")
        if position and TRANSFORMS[step.name].sets_size:
            raise SettingsError(f"{step.name} is step {position + 1}; it sets the picture's size, so it must be first.")
    return tuple(_complete(step) for step in steps)


def _complete(step: AugmentStep) -> AugmentStep:
    known = {spec.name: spec for spec in TRANSFORMS[step.name].parameters}
    given = dict(step.values)
    if len(given) != len(step.values):
        raise SettingsError(f"{step.name} has a parameter twice: {', '.join(name for name, _ in step.values)}.")
    for name, value in given.items():
        if name not in known:
            raise SettingsError(f"{step.name} has no parameter {name!r}; it has: {', '.join(known) or 'none'}.")
        _check_value(step.name, known[name], value)
    return AugmentStep(
        name=step.name, values=tuple((name, float(given.get(name, known[name].default))) for name in known)
    )


def _check_value(transform: str, spec: ParameterSpec, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SettingsError(f"{transform}: {spec.name} is {value!r}; it must be a number.")
    if not spec.low <= value <= spec.high:
        allowed = f"between {spec.low:g} and {spec.high:g}{' ' * bool(spec.unit)}{spec.unit}"
        raise SettingsError(f"{transform}: {spec.name} is {value:g}; it must lie {allowed}.")


def is_random(settings: AugmentSettings) -> bool:
    """Whether two epochs can see the same picture differently; if not, one cached view is as good as many."""
    return any(TRANSFORMS[step.name].is_random for step in steps_of(settings))


def training_calls(settings: AugmentSettings, preprocessing: Preprocessing) -> tuple[tuple[str, tuple[Call, ...]], ...]:
    """What is built for training pictures: for each step its transform's name and the calls that make it."""
    return tuple(
        (step.name, TRANSFORMS[step.name].calls(dict(step.values), preprocessing)) for step in steps_of(settings)
    )
