"""Numbers and states as a person reads them."""

import time

from core.models.catalogue import BACKBONES
from core.runs.record import RunRecord
from core.runs.store import Run
from core.settings import SCENARIO_LABELS, ModelSettings
from core.training.plan import Estimate

STATES = {
    "queued": ("waiting", ":material/hourglass_empty:", "gray"),
    "running": ("training", ":material/autorenew:", "blue"),
    "finished": ("finished", ":material/check:", "green"),
    "failed": ("failed", ":material/error:", "red"),
    "cancelled": ("stopped", ":material/stop_circle:", "orange"),
}
PHASES = {
    "build": "building the network",
    "download": "downloading weights",
    "features": "computing features, once",
    "train": "training",
    "val": "checking on val",
    "test": "testing",
}


def seconds(value: float) -> str:
    """A duration: `0.4 s`, `12 s`, `2 min 05 s`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s"


def expected_time(expected: Estimate | None, times: int = 1) -> str:
    """An estimate with what it is worth: measured with this backbone here, scaled from another, or none at all."""
    if expected is None:
        return ":material/timer: not timed on this machine yet"
    worth = "about" if expected.measured else "very roughly"
    return f":material/timer: {worth} **{seconds(expected.seconds * times)}** on this machine"


def how_chosen(record: RunRecord) -> str:
    """What decided which state of the network is reported, in a sentence."""
    if record.head is None or record.settings.model.scenario != "frozen":
        return (
            f"Best of {len(record.history)} epochs: epoch {record.best_epoch}, by loss on val, "
            f"where its accuracy is {record.val_accuracy:.1%}."
        )
    chosen = "chosen on held-out training pictures" if record.head["path"] else "as given"
    return (
        f"The head was solved for in {record.head['iterations']} iterations, with a penalty (L2) of "
        f"{record.head['l2']:.3g}, {chosen}. Val chose nothing; accuracy there is {record.val_accuracy:.1%}."
    )


def counted(number: int, noun: str) -> str:
    """`1 picture was`, `3 pictures were`."""
    return f"1 {noun} was" if number == 1 else f"{number:,} {noun}s were"


def per_cent(fraction: float) -> str:
    return f"{fraction:.1%}"


def run_label(run: Run) -> str:
    """How a run is called in lists: number, scenario, backbone where it is not the usual one, seed."""
    model = run.settings.model
    network = "" if model.backbone == ModelSettings().backbone else f", {BACKBONES[model.backbone].label}"
    return f"#{run.number} {SCENARIO_LABELS[model.scenario]}{network}, seed {run.settings.seed}"


def age(moment: float) -> str:
    """How long ago, roughly."""
    passed = time.time() - moment
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if passed >= size:
            number = int(passed // size)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"


def time_left(run: Run) -> str:
    """What is left of a running run, from the share of its work that is done."""
    fraction = (run.progress or {}).get("fraction", 0.0)
    if not run.started or fraction < 0.03:
        return ""
    passed = time.time() - run.started
    return f"about {seconds(passed * (1 - fraction) / fraction)} left"
