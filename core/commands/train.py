"""`train` and `race`: runs from data to record, trained here or watched while a running app's worker trains them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Thread

from core.commands.command import Commands, Result, Say, progress_of
from core.commands.compare import race_result
from core.commands.data import bring
from core.commands.options import add_run_options, names_in, run_settings, seeds_in
from core.commands.runs import finished, run_line, run_values
from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.data.reading.layout import AUTO
from core.machine.cluster import engine_name
from core.machine.speeds import load_speeds
from core.runs.engine import Dispatcher, preload, run_next
from core.runs.life import identity, repeated
from core.runs.on_ray import ray_engine
from core.runs.race import plan_race, submit
from core.runs.store import Run, RunStore
from core.settings.scenarios import SCENARIOS, USUAL, USUAL_RACE
from core.settings.schema import RunSettings
from core.training.plan import device_for
from core.training.weighting import weighting_sentence

POLL_S = 0.3
OWNER_BEAT_S = 10.0
PATIENCE_S = 60.0  # with a database's server that is started anew: what was trained so far ends with this command


def register(commands: Commands) -> None:
    """Add the commands to the command line."""
    one = commands.add(
        "train",
        "Train one scenario with one seed.",
        lambda a: train(a.data, run_settings(a), progress_of(a), a.layout, a.groups),
    )
    add_run_options(one)
    one.add_argument("--scenario", default=USUAL, help=f"which part of the network trains: {', '.join(SCENARIOS)}")
    one.add_argument("--seed", type=int, default=0)
    several = commands.add(
        "race",
        "Train several scenarios with several seeds on the same data, and say which is better.",
        lambda a: race(
            a.data, run_settings(a), names_in(a.scenarios), seeds_in(a.seeds), progress_of(a), a.layout, a.groups
        ),
    )
    add_run_options(several)
    several.add_argument("--scenarios", default=",".join(USUAL_RACE), help="comma-separated")
    several.add_argument("--seeds", default="0", help="comma-separated")


def train(where: str, settings: RunSettings, say: Say, layout: str = AUTO, groups: str | None = None) -> Result:
    """One run, from data to record."""
    runs, ingested = _trained(where, [settings], say, layout, groups, as_race=False)
    values = run_values(runs[0])
    return values, "\n".join([run_line(values), *_weighting(settings, ingested.dataset)])


def race(
    where: str,
    settings: RunSettings,
    scenarios: Sequence[str],
    seeds: Sequence[int],
    say: Say,
    layout: str = AUTO,
    groups: str | None = None,
) -> Result:
    """Several runs on the same data, and the verdict."""
    from core.comparison.verdict import BAND
    from core.runs.results import load_outcome

    plans = plan_race(settings, scenarios, seeds)
    runs, ingested = _trained(where, plans, say, layout, groups, as_race=True)
    verdict, text = race_result([load_outcome(run.id) for run in runs], BAND)
    rows = [run_values(run) for run in runs]
    lines = [*map(run_line, rows), *_weighting(plans[0], ingested.dataset), text]
    return {"race": runs[0].race, "runs": rows, "verdict": verdict}, "\n".join(lines)


def _trained(
    where: str, plans: Sequence[RunSettings], say: Say, layout: str, groups: str | None, *, as_race: bool
) -> tuple[list[Run], Ingested]:
    """Finished runs, and the data they were trained on. They are this command's: whoever ends it ends them."""
    if engine_name() == "local":
        Thread(target=preload).start()  # beside reading the pictures, which is another process's work
    store, ingested = RunStore(patience_s=PATIENCE_S), bring(where, layout, groups)
    ids = submit(store, plans, ingested, as_race=as_race, owner=identity())
    return [finished(run) for run in train_all(store, ids, say)], ingested


def _weighting(settings: RunSettings, dataset: Dataset) -> list[str]:
    """What class weights did, where they were asked for."""
    if settings.optim.class_weights == "none":
        return []
    counts = dataset.counts(dataset.split(settings.seed, settings.data))
    return [f"Class weights: {weighting_sentence(settings.optim.class_weights, counts)}"]


def train_all(store: RunStore, ids: list[str], say: Say) -> list[Run]:
    """Train these runs here, or watch while a running app's worker does; whatever ends us cancels what is left."""
    planned = [store.get(run).settings for run in ids]
    if any(load_speeds(one.model.backbone, device_for(one).kind) is None for one in planned):
        say("not measured here yet, so computed in a way that is safe everywhere: `machine` looks for a faster one")
    try:
        with _owning(store, ids), _trainer(store, ids, say) as train_more:
            while any(store.get(run).is_active for run in ids):
                train_more()
    except BaseException:
        with suppress(Exception):  # what cannot be written now is healed: they belong to us
            for run in ids:
                store.cancel(run)
        raise
    return [store.get(run) for run in ids]


@contextmanager
def _trainer(store: RunStore, ids: list[str], say: Say) -> Iterator[Callable[[], None]]:
    """What trains some of these runs, or waits a moment: in this process, or on the cluster."""
    if engine_name() == "local":

        def train_one() -> None:
            if not run_next(store, lambda: False, ids):
                say("waiting for another run on this machine to end")
                time.sleep(POLL_S)

        yield train_one
        return
    dispatcher = Dispatcher(store, ray_engine(store))

    def hand_out() -> None:
        dispatcher.step(ids)
        time.sleep(POLL_S)

    try:
        yield hand_out
    finally:
        dispatcher.close()


def _owning(store: RunStore, ids: list[str]) -> AbstractContextManager[None]:
    """Signs of life of this process, which these runs belong to, for those who cannot look it up: other machines."""

    def beat() -> None:
        with suppress(Exception):  # the next one may go through
            store.beat_owner(ids)

    return repeated(beat, OWNER_BEAT_S)
