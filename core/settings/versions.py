"""Settings as JSON values, and settings that earlier versions of Thaw wrote."""

from dataclasses import asdict, fields
from typing import Any, Final

from core.errors import SettingsError
from core.settings.schema import MOST_EPOCHS, PARTS, AugmentStep, RunSettings

VERSION: Final = 6
MINOR: Final = 1
"""Written beside the version, as `minor`, since there are fields that older Thaws can do without."""


def to_dict(settings: RunSettings) -> dict[str, Any]:
    """Settings as plain JSON values."""
    return {"version": VERSION, "minor": MINOR, **asdict(settings)}


def from_dict(values: dict[str, Any], epochs: int | None = None) -> RunSettings:
    """Settings from `to_dict`'s result, or from an earlier version's.

    Args:
        epochs: done in a run that had a number of seconds instead, which version 6 has no more.

    Raises:
        SettingsError: the version is another, a field is unknown, or a value is not allowed.
    """
    version, later = values.get("version"), values.get("minor", 0) > MINOR
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise SettingsError(f"settings have version {version!r}; this Thaw reads version {VERSION}.")
    if lacks := sorted({"seed", *PARTS} - set(values)):
        raise SettingsError(f"settings lack {lacks}.")
    _check_names("settings", values, {"version", "minor", "seed", *PARTS}, later)
    parts = {name: _fields_of(values[name], name) for name in PARTS}
    if version < 6:
        parts["optim"] = _in_epochs(parts["optim"], epochs)
    if version < 5:
        parts["data"] = {"split_rule": 1, **parts["data"]}
    if version == 1:  # its heads were trained for some epochs, not solved
        parts["optim"].pop("probe_epochs", None)
        parts["optim"].setdefault("precision", "fp32")
    read = {name: _read(kind, parts[name], name, later) for name, kind in PARTS.items()}
    return RunSettings(**read, seed=values["seed"])


def _fields_of(part: Any, where: str) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise SettingsError(f"{where} is not a part of settings.")
    return part


def _in_epochs(optim: dict[str, Any], done: int | None) -> dict[str, Any]:
    rest = {name: value for name, value in optim.items() if name != "seconds"}
    return {**rest, "epochs": min(done, MOST_EPOCHS)} if done and optim.get("seconds") is not None else rest


def _read(kind: type, values: dict[str, Any], where: str, later: bool) -> Any:
    """What was added since these were written takes its default."""
    known = {spec.name for spec in fields(kind)}
    _check_names(where, values, known, later)
    values = {name: value for name, value in values.items() if name in known}
    if "steps" in values:
        values["steps"] = tuple(
            AugmentStep(name=step["name"], values=tuple((str(n), float(v)) for n, v in step["values"]))
            for step in values["steps"]
        )
    return kind(**values)


def _check_names(where: str, values: dict[str, Any], known: set[str], later: bool) -> None:
    """Refuse fields that this Thaw does not know, unless a later minor version wrote them."""
    if (unknown := sorted(set(values) - known)) and not later:
        raise SettingsError(f"{where} has unknown fields {unknown}.")
