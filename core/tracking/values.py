"""What a tracker is told of a run: parameters, metrics with their steps and times, and tags. Knows no tracker."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from core.comparison.conclusion import conclusion_of
from core.comparison.experiments import experiment_of
from core.comparison.folds import gather_folds
from core.comparison.race_verdict import race_verdict
from core.comparison.wording import counted, per_cent
from core.data.reading.folder_names import listed
from core.errors import RunError
from core.runs.experiments import experiments_of, kind_of, names_of
from core.runs.record import RunRecord
from core.runs.results import load_outcome
from core.runs.store import Run
from core.settings.scenarios import SCENARIO_OPTIONS, SCENARIOS
from core.training.history import EpochRecord

_MEGABYTE: Final = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One value of a metric."""

    name: str
    value: float
    step: int = 0
    at_s: float
    """Seconds since the epoch: the same whenever it is told, so that telling twice adds nothing."""


def title_of(run: Run) -> str:
    """What a run is called beside the others of its race."""
    data = run.settings.data
    fold = f", fold {data.fold} of {data.folds}" if data.fold is not None else ""
    return f"{SCENARIOS[run.settings.model.scenario].label}, seed {run.settings.seed}{fold}"


def race_title_of(runs: Sequence[Run]) -> str:
    """What a race is called: what it compares, on what, over how many seeds."""
    names, kind = names_of(experiments_of(runs)[::-1]), kind_of(runs[0].race)
    compared = listed(names) if len(names) <= 4 else f"{len(names)} strategies"
    seeds = counted(len({run.settings.seed for run in runs}), "seed")
    return f"{f'{kind.capitalize()}: ' if kind else ''}{compared} on {runs[0].dataset_title}, {seeds}"


def conclusion_over(runs: Sequence[Run]) -> str:
    """What a race has shown, as Markdown; empty where it compares nothing, or its files cannot be read any more."""
    finished = [run.id for run in runs if run.state == "finished"]
    try:
        outcomes = gather_folds([load_outcome(run) for run in finished])
        found = conclusion_of(race_verdict(outcomes)) if len(finished) > 1 else None
    except RunError:
        return ""
    return "\n\n".join(filter(None, (f"**{found.headline}**", found.numbers, found.advice))) if found else ""


def parameters_of(run: Run, record: RunRecord | None) -> dict[str, str]:
    """Settings that have an effect, defaults written out, and the hashes of data, split and weights."""
    settings = asdict(experiment_of(run.settings)) | {"seed": run.settings.seed}
    settings["data"]["fold"] = run.settings.data.fold
    idle = SCENARIO_OPTIONS - run.settings.model.row.options
    flat = ((name, value) for name, value in _flat(settings) if name.rpartition(".")[2] not in idle)
    found = {name: _text(value) for name, value in flat if value is not None}
    if record is None:
        return found
    more = {"data.fingerprint": record.dataset.fingerprint, "data.classes": len(record.dataset.class_names)}
    more |= {f"split.{name}": value for name, value in asdict(record.split).items()}
    more |= {"weights.sha256": record.weights.sha256, "head.sha256_at_start": record.head_hash}
    more |= {"parameters.total": record.parameters.total, "parameters.trained": record.parameters.trained}
    return found | {name: _text(value) for name, value in more.items() if value is not None}


def metrics_of(run: Run, record: RunRecord | None) -> list[Measured]:
    """Epoch by epoch, what came out, and what it took."""
    start, end = run.started or run.created, run.ended or run.created
    epochs = record.history if record else run.epochs or ()
    found = [one for epoch in epochs for one in _of_epoch(epoch, start)]
    if record is None:
        return found
    return [*found, *(Measured(name=name, value=float(value), at_s=end) for name, value in _of_end(run, record))]


def tags_of(run: Run, record: RunRecord | None) -> dict[str, str]:
    """What a person may look for, in words."""
    found = {"thaw.run": run.id, "thaw.race": run.race, "thaw.data": run.dataset_title, "thaw.cause": run.cause}
    if record is not None:
        precision = f"{record.precision.train} (features {record.precision.features}), engine {record.engine}"
        found |= {"thaw.machine": str(record.machine), "thaw.device": str(record.device), "thaw.precision": precision}
        found |= {"thaw.weights": record.weights.origin, "thaw.frozen": record.freeze_audit.sentence}
        found |= {"thaw.imported": "yes" if record.imported else None}
    return {name: value for name, value in found.items() if value}


def sentence_of(run: Run, record: RunRecord | None) -> str:
    """The answer first, and what is to be known beside it."""
    if record is None:
        return run.cause or f"The run was {run.state}."
    said = f"Test accuracy {per_cent(record.test_accuracy)} on {record.split.test} test pictures."
    return " ".join([said, *record.lacks])


def _of_epoch(epoch: EpochRecord, start: float) -> Iterator[Measured]:
    for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr"):
        value = getattr(epoch, name)
        if value is not None:
            yield Measured(name=name, value=float(value), step=epoch.epoch, at_s=start + epoch.elapsed_s)


def _of_end(run: Run, record: RunRecord) -> Iterator[tuple[str, float]]:
    yield "test_accuracy", record.test_accuracy
    yield "best_epoch", record.best_epoch
    yield "best_val_accuracy", record.val_accuracy
    balanced = (run.summary or {}).get("balanced_accuracy")
    sizes = {"process_peak": record.costs.peak_memory_bytes, "device_peak": record.device.peak_bytes}
    sizes |= {"memory": record.machine.memory_bytes, "changed_weights": record.costs.changed_bytes}
    maybe = {"test_accuracy_balanced": balanced, "prediction_ms": record.costs.prediction_ms}
    # MLflow shows what begins like this as metrics of the system
    maybe |= {f"system/{name}_megabytes": size and size / _MEGABYTE for name, size in sizes.items()}
    yield from ((name, value) for name, value in maybe.items() if value is not None)
    yield "system/threads", record.threads
    yield "system/cores", record.machine.cores
    yield "time/total_s", record.duration_s
    yield from ((f"time/{name}_s", seconds) for name, seconds in asdict(record.timings).items())


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple) else str(value)
