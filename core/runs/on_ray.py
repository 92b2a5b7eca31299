"""Runs as tasks of Ray, many at once: the engine that hands them out, and what one does on the machine it comes to.

Ray starts each task once (`max_retries=0`): whether a run is tried again is the database's to say. If the process that
handed a run out ends, Ray ends the task with it.
"""

import logging
import os
import socket
from collections.abc import Iterable
from functools import cache
from math import inf
from typing import Any, ClassVar

from core.errors import RunError, SettingsError, ThawError
from core.machine.cluster import Node, connect, cores_of_a_run, environment, nodes
from core.runs.engine import Ended, preload
from core.runs.everybody import Everybody, stores_of_all
from core.runs.healing import OUT_OF_MEMORY
from core.runs.store import Run, RunStore
from core.settings.schema import RunSettings

_log = logging.getLogger(__name__)


def ray_engine(stores: RunStore | Everybody) -> "OnRay":
    """A connection to the cluster; this process computes like one of its tasks from now on.

    Raises:
        SettingsError: there is no cluster, or it has several machines and no database that all of them reach.
    """
    engine = OnRay(is_file=stores.is_file if isinstance(stores, RunStore) else True)
    os.environ["OMP_NUM_THREADS"] = str(cores_of_a_run())
    return engine


class OnRay:
    """A connection to a cluster, and the runs that were handed to it."""

    alone: ClassVar[bool] = False

    def __init__(self, is_file: bool) -> None:
        """`is_file`: whether the runs' database is a file, which one machine can use."""
        connect()
        self._cores, self._is_file = cores_of_a_run() or 1, is_file
        self._tasks: dict[Any, tuple[Run, bool]] = {}  # by what Ray calls them; with whether it has a card
        self._nodes()

    def capacity(self, settings: RunSettings) -> int:
        """By cores and cards that are there, and what our own runs take of them."""
        here = self._nodes()
        free = sum(node.cores // self._cores for node in here) - len(self._tasks)
        if not _wants_card(settings, here):
            return free
        return min(free, sum(node.cards for node in here) - sum(has_card for _, has_card in self._tasks.values()))

    def submit(self, run: Run, own: RunStore) -> None:
        """Queue its task."""
        import ray

        has_card = _wants_card(run.settings, self._nodes())
        task = ray.remote(train_here).options(
            name=f"run {run.id}",
            num_cpus=self._cores,
            num_gpus=int(has_card),
            max_retries=0,
            scheduling_strategy="SPREAD",
            runtime_env=environment(self._cores),
        )
        self._tasks[task.remote(run.id, run.attempt, own.workspace)] = run, has_card

    def cancel(self, run: Run) -> None:
        """End its process."""
        import ray

        for task, (other, _) in self._tasks.items():
            if (other.id, other.attempt) == (run.id, run.attempt):
                ray.cancel(task, force=True)

    def poll(self) -> Iterable[Ended]:
        """What Ray says of the tasks that have ended."""
        import ray

        if not self._tasks:
            return []
        ended, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        return [Ended(run=self._tasks.pop(task)[0], loss=_loss_of(task)) for task in ended]

    def close(self) -> None:
        """Leave the cluster, which ends our tasks."""
        import ray

        ray.shutdown()

    def _nodes(self) -> list[Node]:
        here = nodes()
        if self._is_file and {node.host for node in here} - {socket.gethostname()}:
            raise SettingsError(
                "The Ray cluster has several machines, and the database of runs is a file on this one. "
                "Set THAW_DATABASE to the address of a PostgreSQL database, here and on all of them."
            )
        if here and max(node.cores for node in here) < self._cores:
            raise SettingsError(f"THAW_RAY_CORES is {self._cores}; no machine of the Ray cluster has so many.")
        return here


def _wants_card(settings: RunSettings, here: list[Node]) -> bool:
    """A run that may choose gets a card where the cluster has one, so that all runs of a race are computed alike.

    One that must have a card where there is none begins without, and ends in a sentence.
    """
    return settings.optim.device in ("auto", "cuda") and any(node.cards for node in here)


def _loss_of(task: Any) -> str | None:
    """Why a task did not end by itself, in words."""
    import ray

    try:
        ray.get(task)
    except ray.exceptions.OutOfMemoryError:
        return OUT_OF_MEMORY
    except ThawError as error:  # Ray raises what a task raised
        return str(error).rstrip(".")
    except Exception as error:  # the process, its machine or the way to it is lost
        _log.warning("a run's task was lost: %s", str(error).partition("\n")[0])
    return None


def train_here(run_id: str, attempt: int, workspace: str) -> None:
    """Train a run that was handed out, on the machine that this process is on; nothing, if it was taken away since.

    Raises:
        RunError: this machine sees another database than the one that handed it out.
        StorageError: how it ended could not be written down.
    """
    _set_up()
    stores = stores_of_all()
    if isinstance(stores, Everybody):
        stores.serving = workspace
    try:
        run = stores.own.get(run_id)
    except RunError as error:
        host = socket.gethostname()
        raise RunError(f"{host} does not find the run: it has another THAW_DATABASE or THAW_HOME") from error
    if run.attempt == attempt and stores.own.take_over(run):
        from core.runs.execute import execute

        with stores.at_home(run) as own:
            execute(own, run, lambda: False, when_lost=_leave, patience_s=inf)


@cache
def _set_up() -> None:
    """Once for each process: it trains one run after the other."""
    from core.machine.process import keep_freed_memory, prepare_process

    prepare_process()
    keep_freed_memory()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s worker %(levelname)s %(message)s")
    preload()


def _leave() -> None:
    """End here and now: the run was given up or stopped, and its place is wanted."""
    _log.warning("the run at work was taken away and does not end; its process does")
    os._exit(1)
