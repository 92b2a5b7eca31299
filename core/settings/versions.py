"""Settings as JSON values, and settings that earlier versions of Thaw wrote."""

from dataclasses import asdict, fields
from typing import Any, Final

from core.errors import SettingsError
from core.settings.schema import MOST_EPOCHS, PARTS, AugmentStep, RunSettings

VERSION: Final = 6
MINOR: Final = 0
"""Written beside the version, as `minor`, from the first field on that older Thaws can do without."""
_NO_FOLDS: Final = {"folds": None, "fold": None}


def to_dict(settings: RunSettings) -> dict[str, Any]:
    """Settings as plain JSON values."""
    return {"version": VERSION, **asdict(settings)}


def from_dict(values: dict[str, Any], epochs: int | None = None) -> RunSettings:
    """Settings from `to_dict`'s result, or from an earlier version's.

    Args:
        epochs: done in a run that had a number of seconds instead, which version 6 has no more.

    Raises:
        SettingsError: the version is another, a field is unknown or missing, or a value is not allowed.
    """
    if values.get("version") == 1:
        values = _from_version_1(values)
    if values.get("version") in (2, 3):
        values = {**values, "version": 4, "optim": {"class_weights": "none", **values.get("optim", {})}}
    if values.get("version") == 4:
        values = {**values, "version": 5, "data": {"split_rule": 1, **_NO_FOLDS, **values.get("data", {})}}
    if values.get("version") == 5:
        values = {**values, "version": 6, "optim": {"device": "auto", **_in_epochs(values.get("optim", {}), epochs)}}
    if values.get("version") != VERSION:
        raise SettingsError(f"settings have version {values.get('version')!r}; this Thaw reads version {VERSION}.")
    later = values.get("minor", 0) > MINOR
    values = _named("settings", values, {"version", "seed", *PARTS} | ({"minor"} & set(values)), later)
    parts = {name: _read(kind, values[name], name, later) for name, kind in PARTS.items()}
    return RunSettings(**parts, seed=values["seed"])


def _from_version_1(values: dict[str, Any]) -> dict[str, Any]:
    """What the first version knew, with what it did written out. Its heads were trained for some epochs, not solved."""
    optim = {name: value for name, value in values.get("optim", {}).items() if name != "probe_epochs"}
    added = {"l2": None, "stage_decay": 1.0, "ema": 0.0, "train_size": None, "precision": "fp32"}
    return {**values, "version": 2, "optim": {**optim, **added}}


def _in_epochs(optim: dict[str, Any], done: int | None) -> dict[str, Any]:
    rest = {name: value for name, value in optim.items() if name != "seconds"}
    return {**rest, "epochs": min(done, MOST_EPOCHS)} if done and optim.get("seconds") is not None else rest


def _read(kind: type, values: Any, where: str, later: bool) -> Any:
    if not isinstance(values, dict):
        raise SettingsError(f"{where} is not a part of settings.")
    values = _named(where, values, {spec.name for spec in fields(kind)}, later)
    if "steps" in values:
        values["steps"] = tuple(
            AugmentStep(name=step["name"], values=tuple((str(n), float(v)) for n, v in step["values"]))
            for step in values["steps"]
        )
    return kind(**values)


def _named(where: str, values: dict[str, Any], known: set[str], later: bool) -> dict[str, Any]:
    """The values of the fields there are: all of them, and no others unless a later minor version wrote them."""
    unknown, missing = sorted(set(values) - known), sorted(known - set(values))
    if missing or (unknown and not later):
        raise SettingsError(f"{where} has unknown fields {unknown} and lacks {missing}.")
    return {name: values[name] for name in known}
