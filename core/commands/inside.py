"""`inside`: what a network sees in a picture, as PNG files."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from core.commands.command import Commands, Result, Say, cannot_write, named_folder, progress_of
from core.data.dataset import Dataset, load_stored
from core.errors import SettingsError, ThawError
from core.machine.process import imports_exempt_from_gc

if TYPE_CHECKING:  # they bring torch
    from core.inference.sight import Peaks, Sight, StageMap

CHANNELS: Final = 8
PATCHES: Final = 9


def register(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add("inside", "Show what a network sees in a picture: filters, feature maps, patches.", _run)
    command.add_argument("network", metavar="RUN", help="a finished run, or a backbone of `backbones`")
    command.add_argument("picture", metavar="PICTURE", help="a picture file")
    command.add_argument("--out", required=True, metavar="FOLDER", help="where the PNG files are written")
    command.add_argument("--channels", type=int, default=CHANNELS, help="channels of each stage, the strongest first")
    command.add_argument("--patches", type=int, default=PATCHES, help="patches of each channel; 0 for none")
    command.add_argument(
        "--beside", metavar="RUN", help="another run beside it, on one scale, or `start`: what it began with"
    )


def _run(a: argparse.Namespace) -> Result:
    return look_inside(
        a.network, a.picture, named_folder("--out", a.out), a.channels, a.patches, a.beside, progress_of(a)
    )


def look_inside(
    name: str,
    picture: str,
    out: Path,
    channels: int = CHANNELS,
    patches: int = PATCHES,
    beside: str | None = None,
    say: Say = lambda text: None,
) -> Result:
    """What a network sees in a picture, written into a folder.

    Args:
        patches: of the run's own pictures, for each channel; a backbone has none.
        beside: a run of the same backbone, or `start`.
    """
    with imports_exempt_from_gc():
        from core.inference.sight import sight_beside, sight_of
    from core.commands.classify import read_picture
    from core.inference.subject import find_subject

    if not (1 <= channels <= 64 and 0 <= patches <= 64):
        raise SettingsError("channels must lie between 1 and 64, patches between 0 and 64.")
    subject, pixels = find_subject(name), read_picture(picture)
    sights = [sight_of(subject)] + ([sight_beside(subject, beside)] if beside is not None else [])
    written = _write_filters(sights, out)
    dataset, why = _pictures(subject.record.dataset.id if subject.record and patches else None)
    peaks = None
    if dataset is not None:
        peaks = sights[0].peaks(dataset, lambda done, total: say(f"Pictures: {done} of {total}"))
    stages = []
    for views in zip(*(sight.look(pixels) for sight in sights), strict=True):
        rows = [_channel(views, channel, out) for channel in views[0].strongest(channels)]
        if peaks is not None and dataset is not None:
            for row in rows:
                row["patches"] = _patches(sights[0], peaks, dataset, views[0], row["channel"], patches, out)
        stages.append(_stage(views[0], rows))
    values = {"network": name, "picture": picture, "beside": beside, "filters": written, "stages": stages}
    return {**values, "no_patches": why or None}, _text(values, why, out)


def _pictures(dataset_id: str | None) -> tuple[Dataset | None, str]:
    """A run's own pictures, or why there are none."""
    if dataset_id is None:
        return None, ""
    try:
        return load_stored(dataset_id), ""
    except ThawError as error:
        return None, f"No patches: {error}"


def _stage(view: "StageMap", rows: list[dict[str, Any]]) -> dict[str, Any]:
    from core.inference.sight import LEVELS

    count, side = view.values.shape[:2]
    named = {"level": LEVELS[view.level], "stage": view.stage + 1}
    return {**named, "channels": count, "side": side, "strongest": rows}


def _write_filters(sights: "Sequence[Sight]", out: Path) -> list[str]:
    from core.inference.seen import filter_picture

    pictures = filter_picture([sight.filters() for sight in sights])
    names = ["filters.png", "filters-beside.png"]
    return [_write(picture, out / name) for picture, name in zip(pictures, names, strict=False)]


def _channel(views: "Sequence[StageMap]", channel: int, out: Path) -> dict[str, Any]:
    """One channel of all networks, on one scale."""
    from core.inference.seen import map_picture
    from core.inference.sight import LEVELS

    maps = [view.values[channel] for view in views]
    path = out / f"{LEVELS[views[0].level]}-{channel}.png"
    strongest = [float(one.max()) for one in maps]
    return {"channel": channel, "response": strongest, "file": _write(map_picture(maps), path)}


def _patches(
    sight: "Sight", peaks: "Peaks", dataset: Dataset, view: "StageMap", channel: int, count: int, out: Path
) -> list[dict[str, Any]]:
    """The pictures that excite a channel most, and where."""
    from core.inference.sight import LEVELS

    rows = []
    for place, patch in enumerate(sight.patches(peaks, view.level, channel, count), 1):
        received = sight.input_of(dataset.pixels[patch.picture])
        cut = received[patch.top : patch.top + patch.side, patch.left : patch.left + patch.side]
        path = out / f"{LEVELS[view.level]}-{channel}-patch-{place}.png"
        picture = dataset.pictures[patch.picture]
        row = {"picture": picture.name, "class": dataset.class_names[picture.target], "response": patch.value}
        rows.append({**row, "file": _write(cut, path)})
    return rows


def _text(values: dict[str, Any], why: str, out: Path) -> str:
    lines = [f"{values['network']} looked at {Path(values['picture']).name}; pictures are in {out}"]
    for stage in values["stages"]:
        channels = ", ".join(str(row["channel"]) for row in stage["strongest"])
        size = f"{stage['channels']} channels of {stage['side']} x {stage['side']}"
        lines.append(f"{stage['level']:6} stage {stage['stage']}, {size}: strongest {channels}")
    return "\n".join(lines + ([why] if why else []))


def _write(picture: np.ndarray, path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    except OSError as error:
        raise cannot_write("--out", "no picture", path.parent, error) from error
    return str(path)
