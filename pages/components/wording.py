"""Numbers and states as a person reads them."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

from core.comparison.metrics import Rate
from core.comparison.wording import per_cent as per_cent
from core.data.dataset import Dataset
from core.models.catalogue import BACKBONES
from core.runs.record import RunRecord, is_recorded
from core.runs.store import Run
from core.settings.schema import ModelSettings
from core.training.plan import Estimate

BadgeColor = Literal["red", "orange", "green", "blue", "gray"]

STATES: Final[dict[str, tuple[str, str, BadgeColor]]] = {
    "queued": ("waiting", ":material/hourglass_empty:", "gray"),
    "running": ("training", ":material/autorenew:", "blue"),
    "finished": ("finished", ":material/check:", "green"),
    "failed": ("failed", ":material/error:", "red"),
    "cancelled": ("stopped", ":material/stop_circle:", "orange"),
}
PHASES = {
    "cluster": "looking for the cluster",
    "torch": "starting PyTorch",
    "timing": "timing this machine",
    "pictures": "reading pictures",
    "build": "building the network",
    "download": "downloading weights",
    "features": "computing features",
    "head": "solving for the head",
    "train": "training",
    "val": "validating",
    "test": "testing",
}


def seconds(value: float) -> str:
    """A duration: `0.4 s`, `12 s`, `2 min 05 s`, `25 min`, `3.5 h`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    if value >= 5400:
        return f"{value / 3600:.1f} h"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s" if minutes < 10 else f"{minutes} min"


def rough_time(value: float) -> str:
    """A time to wait, no more exact than it is known: `a few seconds`, `about 40 s`, `about 3 min`, `about 2 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if value >= 1.5 * size:
            return f"about {value / size:.0f} {unit}"
    return f"about {10 * round(value / 10)} s" if value >= 10 else "a few seconds"


def expected_time(expected: Estimate | None, times: int = 1) -> str:
    """An estimate with what it is worth: measured with this backbone here, scaled from another, or still to come."""
    if expected is None:
        return ":material/timer: this machine is timed as soon as nothing trains; from then on an estimate stands here"
    worth = "about" if expected.measured else "very roughly"
    return f":material/timer: {worth} **{seconds(expected.seconds * times)}** on this machine"


def how_chosen(record: RunRecord) -> str:
    """What decided which state of the network is reported, in a sentence."""
    if record.head is None or record.settings.model.row.takes_steps:
        return (
            f"Best of {len(record.history)} epochs: epoch {record.best_epoch}, by validation loss{_weighing(record)}, "
            f"where validation accuracy is {per_cent(record.val_accuracy)}."
        )
    chosen = "chosen on held-out training pictures" if record.head.path else "as given"
    return (
        f"The head was solved for in {record.head.iterations} iterations, with a penalty (L2) of "
        f"{record.head.l2:.3g}, {chosen}{_weighing(record)}. "
        f"The validation part chose nothing; accuracy there is {per_cent(record.val_accuracy)}."
    )


def _weighing(record: RunRecord) -> str:
    return " with all classes weighing the same" if record.settings.optim.class_weights == "balanced" else ""


def place_of(wanted: str, ids: list[str]) -> int:
    """Where an id is in a list; the first place for one that is not."""
    return ids.index(wanted) if wanted in ids else 0


def counted(number: int, noun: str) -> str:
    """`1 picture was`, `3 pictures were`."""
    return f"1 {noun} was" if number == 1 else f"{number:,} {noun}s were"


def percentage(fraction: float | None) -> float | None:
    """A fraction as a table's column of per cents takes it."""
    return None if fraction is None else 100 * fraction


def interval(of: Rate | None) -> str:
    """A rate's interval in per cent."""
    return f"{100 * of.low:.1f} to {per_cent(of.high)}" if of else "-"


def backbone_label(name: str) -> str:
    """What a run's backbone is called; its plain name where this Thaw has it no more."""
    return BACKBONES[name].label if name in BACKBONES else name


def run_label(run: Run) -> str:
    """How a run is called in lists: number, scenario, backbone where it is not the usual one, seed."""
    model = run.settings.model
    network = "" if model.backbone == ModelSettings().backbone else f", {backbone_label(model.backbone)}"
    number = "Recorded" if is_recorded(run.id) else f"#{run.number}"
    imported = ", imported" if (run.summary or {}).get("imported") else ""
    data = run.settings.data
    fold = f", fold {data.fold} of {data.folds}" if data.fold is not None else ""
    return f"{number} {model.row.label}{network}, seed {run.settings.seed}{fold}{imported}"


def dataset_labels(stored: Mapping[str, Dataset]) -> dict[str, str]:
    """How data sets are called in lists, by id; no two alike, for a list takes what is called alike for the same.

    Args:
        stored: all there are, oldest first: those that are called alike are numbered in this order.
    """
    short = {key: f"{dataset.title} ({len(dataset.pictures)} pictures)" for key, dataset in stored.items()}
    shared, numbers = Counter(short.values()), Counter[str]()
    labels = {}
    for key, label in short.items():
        numbers[label] += 1
        edited = ", edited" if stored[key].kind == "edited" else ""
        labels[key] = label if shared[label] == 1 else f"{label}, version {numbers[label]}{edited}"
    return labels


def age(moment: float) -> str:
    """How long ago, roughly."""
    passed = time.time() - moment
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if passed >= size:
            number = int(passed // size)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"
