"""Settings in a page's address, so that a reload, a second tab and a restarted server keep what was chosen.

One row per field of the settings, made from the table in `core.settings.schema`; only what differs from the defaults is
written. A field that is added there is kept here without a word.
"""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields, replace
from typing import Any, Final

from core.augment.catalogue import CUSTOM, TRANSFORMS, steps_of
from core.errors import SettingsError
from core.models.catalogue import check_model
from core.settings.schema import PARTS, AugmentSettings, AugmentStep, RunSettings

LONGEST: Final = 2000
"""Characters of one value; the longest pipeline there can be has fewer."""
_SHOWN: Final = 60
_STEP, _VALUE, _IS = "~", ",", "="  # signs that an address shows as they are


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A name in the address: how its value is read from the settings, and put into them."""

    name: str
    text: Callable[[RunSettings], str | None]
    """None where there is nothing to say."""
    change: Callable[[RunSettings, str], RunSettings]
    """Raises ValueError where the text is no number, SettingsError where the value is not possible."""
    wanted: str


def to_address(now: RunSettings) -> dict[str, str | None]:
    """A text for every name of the address; None for what is at its default."""
    default = RunSettings()
    texts = {row.name: (row.text(now), row.text(default)) for row in ROWS}
    return {name: None if text == usual else text for name, (text, usual) in texts.items()}


def from_address(values: Mapping[str, str]) -> tuple[RunSettings, list[SettingsError]]:
    """The settings an address asks for, and what it asks for that is not possible and was left at its default."""
    chosen, refused = RunSettings(), []
    for row in ROWS:
        if row.name not in values:
            continue
        asked = values[row.name]
        try:
            chosen = _changed(chosen, row, asked)
        except SettingsError as error:
            refused.append(_refusal(row.name, asked, str(error)))
        except ValueError:
            refused.append(_refusal(row.name, asked, f"It must be {row.wanted}."))
    return chosen, refused


def _changed(chosen: RunSettings, row: Row, asked: str) -> RunSettings:
    if len(asked) > LONGEST:
        raise SettingsError(f"It has {len(asked):,} characters; {LONGEST:,} are the most.")
    changed = row.change(chosen, asked)
    check_model(changed)
    return changed


def _refusal(name: str, asked: str, why: str) -> SettingsError:
    shown = asked if len(asked) <= _SHOWN else f"{asked[: _SHOWN - 1]}…"
    return SettingsError(f"The address asks for {name}{_IS}{shown}. {why} The default is used instead.")


def _row(part: str, spec: Field[Any]) -> Row:
    """The row of a field; `part` is empty for what belongs to the run itself."""

    def text(now: RunSettings) -> str | None:
        value = getattr(getattr(now, part) if part else now, spec.name)
        return None if value is None else str(value)

    def change(now: RunSettings, asked: str) -> RunSettings:
        value = {spec.name: kind(asked)}
        return replace(now, **({part: replace(getattr(now, part), **value)} if part else value))

    numeric = spec.metadata and spec.metadata["low"] is not None
    kind = (int if spec.metadata["whole"] else float) if numeric else str
    wanted = {int: "a whole number", float: "a number", str: "a name"}[kind]
    return Row(name=_NAMES.get(spec.name, spec.name), text=text, change=change, wanted=wanted)


def _is_chosen(spec: Field[Any]) -> bool:
    return spec.name not in {"split_rule", "fold"}  # new runs have the newest; of folds, all are run


def _augment_text(now: RunSettings) -> str:
    """A preset's name, or the steps with unusual numbers: `custom~Resize~ColorJitter,hue=0.1`."""
    if now.augment.preset != CUSTOM:
        return now.augment.preset
    return _STEP.join([CUSTOM, *map(_step_text, now.augment.steps)])


def _step_text(step: AugmentStep) -> str:
    usual = {spec.name: spec.default for spec in TRANSFORMS[step.name].parameters}
    values = [f"{name}{_IS}{value!r}" for name, value in step.values if value != usual[name]]
    return _VALUE.join([step.name, *values])


def _with_augment(now: RunSettings, asked: str) -> RunSettings:
    preset, *steps = asked.split(_STEP)
    augment = AugmentSettings(preset=preset, steps=tuple(map(_step_from, steps)))
    checked = steps_of(augment)  # complete, or refused
    return replace(now, augment=replace(augment, steps=checked) if preset == CUSTOM else augment)


def _step_from(text: str) -> AugmentStep:
    name, *values = text.split(_VALUE)
    pairs = (value.partition(_IS) for value in values)
    return AugmentStep(name=name, values=tuple((parameter, float(number)) for parameter, _, number in pairs))


_NAMES: Final = {"dataset": "data"}  # as addresses have called it since the first
ROWS: Final = (
    *(
        _row(part, spec)
        for part, kind in PARTS.items()
        if part != "augment"
        for spec in fields(kind)
        if _is_chosen(spec)
    ),
    Row(name="augment", text=_augment_text, change=_with_augment, wanted="a preset, or steps with numbers"),
    *(_row("", spec) for spec in fields(RunSettings) if spec.name not in PARTS),
)
