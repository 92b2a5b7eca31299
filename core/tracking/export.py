"""Runs that have ended, sent to a tracker: each once, in their order, races as parents. Never within a run."""

import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from core.errors import DatasetError, RunError, StorageError, WeightsError
from core.home import temporary_folder
from core.runs.experiments import experiments_of
from core.runs.exports import Exports
from core.runs.record import RunRecord, load_record
from core.runs.store import Run, RunStore
from core.tracking.address import name_of
from core.tracking.remote import Remote
from core.tracking.values import (
    Measured,
    conclusion_over,
    metrics_of,
    parameters_of,
    race_title_of,
    sentence_of,
    tags_of,
    title_of,
)

STATUS: Final = {"finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
_NOTE: Final = "mlflow.note.content"
_log = logging.getLogger(__name__)
Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What one round has done."""

    exported: tuple[str, ...]
    """Ids of runs."""
    left: int
    """Runs that could not be read, for which no later round is likely to do more."""
    busy: bool = False
    """Somebody else exports at this moment."""


def export_missing(address: str, say: Say = str, should_stop: Callable[[], bool] = lambda: False) -> Sent:
    """Send every ended run that the server lacks.

    Raises:
        TrackerAway: the server does not take them; what was sent is noted.
        SettingsError: MLflow's client is not installed.
        StorageError: the database or the disk refuses.
    """
    exports, done, passed = Exports(name_of(address)), list[str](), set[str]()
    with exports.alone() as mine:
        if not mine:
            return Sent(exported=(), left=0, busy=True)
        exporter: _Exporter | None = None
        while runs := [run for run in exports.missing() if run.id not in passed]:
            exporter = exporter or _Exporter(Remote(address), RunStore())
            for run in runs:
                if should_stop():
                    return Sent(exported=tuple(done), left=len(passed))
                say(f"run {run.id}")
                passed.add(run.id)
                if exporter.export(run, exports):
                    done.append(run.id)
    return Sent(exported=tuple(done), left=len(passed) - len(done))


class _Exporter:
    def __init__(self, remote: Remote, store: RunStore) -> None:
        self._remote, self._store = remote, store

    def export(self, run: Run, exports: Exports) -> bool:
        """Send one run and note it; False where its files cannot be read."""
        try:
            record = load_record(run.id) if run.state == "finished" else None
        except RunError as error:
            _log.warning("run %s is not exported: %s", run.id, error)
            return False
        parent = self._race(run) if run.race else None
        there, ended = self._remote.begin(("thaw.run", run.id), title_of(run), run.started or run.created, parent)
        if not ended:
            self._tell(there, run, record)
        exports.note(run, there)
        if parent and run.race:
            self._sum_up(parent, run.race)
        return True

    def _race(self, run: Run) -> str:
        title = race_title_of(self._store.runs(race=run.race))
        return self._remote.begin(("thaw.parent", str(run.race)), title, run.created)[0]

    def _tell(self, there: str, run: Run, record: RunRecord | None) -> None:
        tags = tags_of(run, record) | {_NOTE: sentence_of(run, record)}
        self._remote.tell(there, parameters_of(run, record), metrics_of(run, record), tags)
        if record is not None:
            self._remote.tell_data(there, record.dataset.title, record.dataset.fingerprint, record.split.hash)
            self._keep_files(there, run)
        self._remote.end(there, STATUS[run.state], run.ended or run.created)

    def _keep_files(self, there: str, run: Run) -> None:
        """Thaw's zip, and of what is in it the ONNX file and the card."""
        from core.takehome.export import export_run  # torch, which takes seconds to load
        from core.takehome.package import CARD, ONNX

        with temporary_folder("tracking") as folder:
            package = folder / f"thaw-{run.id}.zip"
            try:
                export_run(run.id, package)
            except StorageError:
                raise
            except (RunError, WeightsError, DatasetError) as error:
                self._remote.tell(there, {}, [], {"thaw.not_packed": str(error)})
                return
            with zipfile.ZipFile(package) as archive:  # our own, just written
                archive.extractall(folder, [ONNX, CARD])
            for file in (package, folder / ONNX, folder / CARD):
                self._remote.keep(there, file)

    def _sum_up(self, parent: str, race: str) -> None:
        """The mean test accuracy of each strategy so far; the race ends with its last run."""
        runs = self._store.runs(race=race)
        experiments = experiments_of(runs)
        at_s = max(run.ended or run.created for run in runs)
        finished = sum(run.state == "finished" for run in runs)
        means = {f"test_accuracy/{one.settings.model.scenario}": one.test_accuracy for one in experiments}
        metrics = [
            Measured(name=name, value=mean, step=finished, at_s=at_s)
            for name, mean in means.items()
            if mean is not None
        ]
        seeds = {run.settings.seed for run in runs}
        same: dict[str, Any] = {"race": race, "seeds": len(seeds), "strategies": len(experiments)}
        tags = {f"thaw.{name}": str(value) for name, value in same.items()} | {"thaw.data": runs[0].dataset_title}
        ended = not any(run.is_active for run in runs)
        if ended and (said := conclusion_over(runs)):
            tags |= {_NOTE: said}
        self._remote.tell(parent, {}, metrics, tags)
        if ended:
            self._remote.end(parent, "FINISHED" if finished else "FAILED", at_s)
