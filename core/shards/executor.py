"""Who does the tasks: processes of this machine, or a Ray cluster. All that is asked of either is `map`.

Tasks are functions of a module with plain values, and may be done twice: whoever loses one has it done again. The
results come in the order of the items, and only a few items more than there are hands are asked for at a time, so that
neither tasks nor results of a large set are ever in memory together.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from core.errors import SettingsError, ThawError
from core.machine.cluster import connect, engine_name, environment, nodes
from core.machine.facts import usable_cores
from core.machine.process import prepare_process
from core.objects.store import store_here
from core.storage import home_path

T = TypeVar("T")
R = TypeVar("R")

WAITING: Final = 2  # tasks per hand that are begun or done and not yet asked for
TRIES: Final = 3  # of a task whose process ended under it, for want of memory, say
PROJECT: Final = Path(__file__).resolve().parents[2]


class Executor(Protocol):
    """Does tasks."""

    hands: int
    """So many at a time."""

    def map(self, task: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """The task's results, in the items' order. What a task raises is raised here."""

    def close(self) -> None:
        """Let everything go."""


def executor(processes: int | None = None) -> Executor:
    """The one that `THAW_ENGINE` names: this machine's cores, or Ray's.

    Args:
        processes: at most so many tasks at a time; None for one per core.

    Raises:
        SettingsError: there is no such engine, or it cannot be used.
    """
    if processes is not None and processes < 1:
        raise SettingsError(f"processes is {processes}; at least 1 is needed.")
    if engine_name() == "ray":
        return RayTasks(processes)
    hands = processes or usable_cores()
    return Here() if hands == 1 else Processes(hands)


class Here:
    """One task after the other, in this process."""

    hands = 1

    def map(self, task: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """As `Executor.map`."""
        return map(task, items)

    def close(self) -> None:
        """Nothing is held."""


class Processes:
    """Processes of this machine, each with one task at a time; they end with this one."""

    def __init__(self, hands: int) -> None:
        self.hands = hands
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # a fork would inherit threads that torch has begun
        return ProcessPoolExecutor(self.hands, context, initializer=_begin)

    def map(self, task: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """As `Executor.map`.

        Raises:
            ThawError: the process of a task ended again and again.
        """
        begun: deque[tuple[T, Future[R]]] = deque()
        for item in items:
            begun.append((item, self._submit(task, item)))
            if len(begun) == WAITING * self.hands:
                yield self._first(task, begun)
        while begun:
            yield self._first(task, begun)

    def _submit(self, task: Callable[[T], R], item: T) -> "Future[R]":
        try:
            return self._pool.submit(task, item)
        except BrokenProcessPool:
            self._renew()
            return self._pool.submit(task, item)

    def _first(self, task: Callable[[T], R], begun: "deque[tuple[T, Future[R]]]") -> R:
        """The result of the task that was begun first; where its process has ended, all that were begun anew."""
        for _ in range(TRIES):
            try:
                result = begun[0][1].result()
                begun.popleft()
                return result
            except BrokenProcessPool:
                self._renew()
                again = [(item, self._submit(task, item)) for item, _ in begun]
                begun.clear()
                begun.extend(again)
        raise ThawError(
            f"A process ended {TRIES} times in the middle of a task, probably for want of memory. What was done is "
            "kept: try again with fewer processes."
        )

    def _renew(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._new()

    def close(self) -> None:
        """End the processes; tasks that nobody waits for are not begun."""
        self._pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Set up a process for tasks: one core, and its parent's end is its own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    prepare_process()
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))  # it goes to all of a terminal's processes
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)


class RayTasks:
    """Tasks of a Ray cluster, one core each; a lost one is done again elsewhere."""

    def __init__(self, most: int | None = None) -> None:
        """`most`: at most so many tasks at a time; None for one per core of the cluster.

        Raises:
            SettingsError: Ray is not installed, or no cluster answers.
        """
        connect()
        import ray

        self._ray: Any = ray
        cores = sum(node.cores for node in nodes())
        self.hands = max(1, min(cores, most or cores))

    def map(self, task: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """As `Executor.map`."""
        there = environment(1)
        there["env_vars"] |= _settings()
        remote = self._ray.remote(task).options(num_cpus=1, max_retries=TRIES, runtime_env=there)
        begun: deque[Any] = deque()
        for item in items:
            begun.append(remote.remote(item))
            if len(begun) == WAITING * self.hands:
                yield self._result(begun.popleft())
        while begun:
            yield self._result(begun.popleft())

    def _result(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, ThawError) else error from None

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


def _settings() -> dict[str, str]:
    """What tasks elsewhere must know: where things lie, and where the code is, should it not be installed."""
    store = store_here()  # with one each machine has a home of its own
    where = {"THAW_STORE": store.address} if store else {"THAW_HOME": str(home_path())}
    same = {name: os.environ[name] for name in ("THAW_OFFLINE", "THAW_WEIGHTS_URL") if name in os.environ}
    code = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    return {**where, **same, "PYTHONPATH": code}
