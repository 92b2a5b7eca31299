"""The seam between the queue and what trains: this process (`Local`), or many machines (`core.runs.on_ray`).

The database alone says what is so. An engine is handed runs that were claimed, and tells which of them it saw end;
whatever it believes, leases and attempts decide.
"""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from traceback import clear_frames
from typing import ClassVar, Final, Protocol

from core.machine.process import imports_exempt_from_gc
from core.runs.everybody import Everybody
from core.runs.healing import DRIVER_GONE, has_begun
from core.runs.life import BEAT_S, GRACE_S
from core.runs.store import Run, RunStore
from core.settings.schema import RunSettings

LEAVES_WITHIN_S: Final = 2 * GRACE_S  # a process whose run was taken away leaves by itself; then it is ended


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """That nothing works on a run any more."""

    run: Run
    """As it was claimed."""
    loss: str | None = None
    """Why, where it did not end by itself."""


class Engine(Protocol):
    """Whatever trains claimed runs, and writes down itself how they end."""

    alone: ClassVar[bool]
    """Whether no other run may be at work anywhere beside its own."""

    def capacity(self, settings: RunSettings) -> int:
        """How many more runs like this one could begin now."""

    def submit(self, run: Run, own: RunStore) -> None:
        """Train a run that was claimed in its store `own`."""

    def cancel(self, run: Run) -> None:
        """End whatever still works on a run that is not its any more; nothing, where nothing does."""

    def poll(self) -> Iterable[Ended]:
        """The runs that nothing works on any more, each told once."""

    def close(self) -> None:
        """End everything at once."""


class Local:
    """This process, one run after the other: `submit` comes back when a run has ended."""

    alone: ClassVar[bool] = True

    def __init__(
        self,
        stores: RunStore | Everybody,
        should_stop: Callable[[], bool],
        when_lost: Callable[[], None] = lambda: None,
        **options: float,
    ) -> None:
        """All but `stores` as `core.runs.execute.execute` takes them."""
        self._stores, self._should_stop, self._when_lost, self._options = stores, should_stop, when_lost, options
        self._train = _training()  # seconds, the first time: before a run waits for it

    def capacity(self, settings: RunSettings) -> int:
        """One: nothing is asked while a run is at work."""
        return 1

    def submit(self, run: Run, own: RunStore) -> None:
        """Train it, here and now."""
        with self._stores.at_home(run) as store:
            try:
                self._train(store, run, self._should_stop, when_lost=self._when_lost, **self._options)
            except KeyboardInterrupt as stopped:
                clear_frames(stopped.__traceback__)  # it may have come while the database was held, and would hold it
                store.end(run, "cancelled")
                raise

    def cancel(self, run: Run) -> None:
        """Nothing: a run hears of it from the database."""

    def poll(self) -> Iterable[Ended]:
        """None: a run has ended when `submit` comes back."""
        return ()

    def close(self) -> None:
        """Nothing is left to end."""


@dataclass(slots=True)
class _Flight:
    """A run that an engine was handed."""

    run: Run
    own: RunStore
    ended: Ended | None = None
    taken_s: float = 0.0
    """For so long it has been another attempt's, or ended, in the database."""


class Dispatcher:
    """Claims what can begin, hands it to an engine, and sees to it that the database and the engine agree."""

    def __init__(self, stores: RunStore | Everybody, engine: Engine) -> None:
        self._stores, self._engine, self._looked = stores, engine, 0.0
        self._flights: list[_Flight] = []

    @property
    def is_busy(self) -> bool:
        """Whether the engine still has a run."""
        return bool(self._flights)

    def step(self, only: Collection[str] | None = None) -> bool:
        """Note what has ended, look after what has not, and hand out what can begin; whether anything has begun."""
        self._settle()
        self._look_after()
        began = False
        while self._hand_out(only):
            began = True
            if self._engine.alone:
                break
        return began

    def close(self) -> None:
        """Give back what is at work, and end it: whoever comes next goes on with it."""
        for flight in self._flights:
            if flight.own.report(flight.run, stopping=True) is False:
                flight.own.end(flight.run, "cancelled")
            else:
                flight.own.give_back(flight.run)
        self._flights = []
        self._engine.close()

    def _hand_out(self, only: Collection[str] | None) -> bool:
        beside = None if self._engine.alone else self._can_begin
        run = self._stores.claim(only, beside)
        if run is None:
            return False
        own = self._stores.own
        if not self._engine.alone:
            flight = _Flight(run, own, ended=Ended(run=run, loss=DRIVER_GONE))  # until it has really been handed out
            self._flights.append(flight)
            own.hand_over(run)
            flight.ended = None
        self._engine.submit(run, own)
        return True

    def _can_begin(self, settings: RunSettings) -> bool:
        return self._engine.capacity(settings) > 0

    def _settle(self) -> None:
        """What the engine saw end has ended for the database, too; if not, its worker is lost."""
        ended = {(one.run.id, one.run.attempt): one for one in self._engine.poll()}
        for flight in self._flights:
            flight.ended = flight.ended or ended.get((flight.run.id, flight.run.attempt))
        self._flights = [
            flight
            for flight in self._flights
            if flight.ended is None or not flight.own.lose(flight.run, flight.ended.loss)
        ]

    def _look_after(self) -> None:
        """A sign of life for those that have not begun; an end for those that were taken away and still go on."""
        passed, now = time.monotonic() - self._looked, time.monotonic()
        if passed < BEAT_S:
            return
        self._looked = now
        for flight in self._flights:
            for row in flight.own.runs(ids=[flight.run.id]):
                self._look_at(flight, row, passed)

    def _look_at(self, flight: _Flight, row: Run, passed: float) -> None:
        if row.state == "running" and row.attempt == flight.run.attempt:
            if not has_begun(row) and flight.own.report(flight.run) is False:
                flight.own.end(flight.run, "cancelled")
                self._engine.cancel(flight.run)
        elif row.state != "finished":  # what is done after a good end is no business of ours
            flight.taken_s += min(passed, LEAVES_WITHIN_S / 2)
            if flight.taken_s > LEAVES_WITHIN_S:
                self._engine.cancel(flight.run)


def run_next(
    store: RunStore | Everybody,
    should_stop: Callable[[], bool],
    only: Collection[str] | None = None,
    when_lost: Callable[[], None] = lambda: None,
    **options: float,
) -> bool:
    """Train the next queued run in this process, if there is one and nothing else is at work; whether there was.

    Args:
        when_lost, options: as `core.runs.execute.execute` takes them.
    """
    return Dispatcher(store, Local(store, should_stop, when_lost, **options)).step(only)


def preload() -> None:
    """Load what trains, once, for as long as the process lives."""
    with imports_exempt_from_gc():
        _training()


def _training() -> Callable[..., None]:
    """What trains a run; the first call takes seconds, since it brings torch and the networks' libraries."""
    import timm  # noqa: F401  # the default backbone asks for it

    from core.runs.execute import execute

    return execute
