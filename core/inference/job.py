"""Work in a thread of its own: it goes on whoever waits, so that nobody who stops waiting loses it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from core.home import within, workspace

T = TypeVar("T")
OnDone = Callable[[int, int], None]
"""Told how much is done, and of how much."""


class Job(Generic[T]):
    """Starts at once, with the files of whoever starts it."""

    def __init__(self, work: Callable[[OnDone], T]) -> None:
        self.done, self.total = 0, 0
        """Of what is at work now; 0 where there is nothing to wait for."""
        self._future: Future[T] = Future()
        threading.Thread(target=self._run, args=(work, workspace()), daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended, well or not, after at most this time."""
        return bool(wait([self._future], timeout_s).done)

    def result(self) -> T:
        """What came out; waits for it, and raises what the work raised."""
        return self._future.result()

    def _run(self, work: Callable[[OnDone], T], whose: str) -> None:
        try:
            with within(whose):
                self._future.set_result(work(self._report))
        except Exception as error:  # the boundary of a thread: raised where somebody asks
            self._future.set_exception(error)

    def _report(self, done: int, total: int) -> None:
        self.done, self.total = done, total
