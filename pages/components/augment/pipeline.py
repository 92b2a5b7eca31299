"""Controls for the pipeline of training pictures, built from the catalogue. The chosen settings are the only truth:
every change becomes new settings at once, and every widget shows what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import streamlit as st

from core.augment.catalogue import CUSTOM, PRESETS, TRANSFORMS, ParameterSpec, TransformSpec, default_step, steps_of
from core.errors import SettingsError
from core.settings.schema import AugmentSettings, AugmentStep

from .. import chosen
from ..messages import show_error

SQUARES: Final = tuple(name for name, spec in TRANSFORMS.items() if spec.sets_size)
CHANGES: Final = tuple(name for name, spec in TRANSFORMS.items() if not spec.sets_size)
_PRESET, _SQUARE, _CHANGES = "augment.preset", "augment.square", "augment.changes"


def chosen_steps() -> tuple[AugmentStep, ...]:
    """The steps chosen now; the default's, with a word, where the chosen ones cannot be."""
    try:
        return steps_of(chosen.settings().augment)
    except SettingsError as error:
        show_error(error)
        _choose(AugmentSettings())
        return steps_of(AugmentSettings())


def preset_control() -> None:
    """A named pipeline, or one of one's own."""
    labels = {name: preset.label for name, preset in PRESETS.items()} | {CUSTOM: "Custom"}
    st.pills(
        "Preset",
        tuple(labels),
        required=True,
        wrap=True,
        format_func=labels.__getitem__,
        key=_shown(_PRESET, chosen.settings().augment.preset),
        on_change=_take_preset,
        help="Where to start. Changing any control below makes it a pipeline of your own.",
    )
    preset = PRESETS.get(chosen.settings().augment.preset)
    st.caption(preset.help if preset else "A pipeline of your own.")


def step_controls(steps: Sequence[AugmentStep]) -> None:
    """Which transforms there are, and a slider for every number they have."""
    st.pills(
        "How a picture becomes a square",
        SQUARES,
        required=True,
        wrap=True,
        format_func=_label,
        key=_shown(_SQUARE, steps[0].name),
        on_change=_take_transforms,
        help=_explained(SQUARES),
    )
    st.pills(
        "What else is done",
        CHANGES,
        selection_mode="multi",
        wrap=True,
        format_func=_label,
        key=_shown(_CHANGES, [step.name for step in steps[1:]]),
        on_change=_take_transforms,
        help="Done in this order.  \n" + _explained(CHANGES),
    )
    for step in steps:
        spec, values = TRANSFORMS[step.name], dict(step.values)
        if spec.parameters:
            st.markdown(f"**{spec.label}**", help=spec.help)
        for parameter in spec.parameters:
            _slider(spec, parameter, values)


def with_value(steps: Sequence[AugmentStep], name: str, parameter: str, value: float) -> tuple[AugmentStep, ...]:
    """The same steps with one number changed."""
    return tuple(
        replace(step, values=tuple((n, value if n == parameter else v) for n, v in step.values))
        if step.name == name
        else step
        for step in steps
    )


def with_transforms(steps: Sequence[AugmentStep], square: str, changes: Sequence[str]) -> tuple[AugmentStep, ...]:
    """Steps of these transforms, in the catalogue's order; those that were there keep their numbers."""
    known = {step.name: step for step in steps}
    names = [square, *(name for name in CHANGES if name in changes)]
    return tuple(known.get(name) or default_step(name) for name in names)


def _slider(spec: TransformSpec, parameter: ParameterSpec, values: Mapping[str, float]) -> None:
    unit = parameter.unit if parameter.unit in ("", "°") else f" {parameter.unit}"
    decimals = 0 if parameter.step >= 1 else 1 if parameter.step >= 0.1 else 2
    st.slider(
        parameter.label,
        min_value=parameter.low,
        max_value=parameter.high,
        step=parameter.step,
        format=f"%.{decimals}f{unit}",
        key=_shown(f"augment.{spec.name}.{parameter.name}", values[parameter.name]),
        on_change=_take_value,
        args=(spec.name, parameter.name),
        help=parameter.help,
    )


def _shown(key: str, value: Any) -> str:
    """The widget's key, after making the widget show the settings' value."""
    if st.session_state.get(key) != value:
        st.session_state[key] = value
    return key


def _take_preset() -> None:
    preset = st.session_state[_PRESET]
    own = chosen.own_augment() or AugmentSettings(preset=CUSTOM, steps=chosen_steps())
    _choose(own if preset == CUSTOM else AugmentSettings(preset=preset))


def _take_transforms() -> None:
    steps = with_transforms(chosen_steps(), st.session_state[_SQUARE], st.session_state[_CHANGES])
    _choose(AugmentSettings(preset=CUSTOM, steps=steps))


def _take_value(name: str, parameter: str) -> None:
    value = float(st.session_state[f"augment.{name}.{parameter}"])
    _choose(AugmentSettings(preset=CUSTOM, steps=with_value(chosen_steps(), name, parameter, value)))


def _choose(augment: AugmentSettings) -> None:
    chosen.choose(replace(chosen.settings(), augment=augment))


def _label(name: str) -> str:
    return TRANSFORMS[name].label


def _explained(names: Sequence[str]) -> str:
    return "  \n".join(f"**{TRANSFORMS[name].label}**: {TRANSFORMS[name].help}" for name in names)
