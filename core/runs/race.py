"""Several scenarios, several seeds, the same data: runs that are comparable by construction, queued as one group."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

from core.augment.catalogue import steps_of
from core.data.dataset import load_stored
from core.data.ingest import Ingested
from core.data.parts import check_trainable
from core.errors import SettingsError
from core.models.catalogue import check_model
from core.runs.experiments import Experiment
from core.runs.life import Identity
from core.runs.store import RunStore
from core.settings.scenarios import SCENARIOS
from core.settings.schema import DataSettings, ModelSettings, RunSettings
from core.training.plan import device_for

MAX_RUNS = 60


def plan_race(base: RunSettings, scenarios: Sequence[str], seeds: Sequence[int]) -> list[RunSettings]:
    """The runs of a race, seed by seed: they differ from `base` in scenario and seed and nothing else.

    Where `base` has folds and says none of them, there is a run for each fold, too.

    Raises:
        SettingsError: a scenario is unknown, nothing is left to race, or there would be too many runs.
    """
    unknown = [name for name in scenarios if name not in SCENARIOS]
    if unknown:
        raise SettingsError(f"There is no scenario {unknown[0]!r}; choose from: {', '.join(SCENARIOS)}.")
    chosen = [name for name in SCENARIOS if name in scenarios]
    wanted = sorted(set(seeds))
    if not chosen or not wanted:
        raise SettingsError("A race needs at least one scenario and one seed.")
    per_fold = every_fold(base.data)
    if len(chosen) * len(wanted) * len(per_fold) > MAX_RUNS:
        folds = f" x {len(per_fold)} folds" if len(per_fold) > 1 else ""
        raise SettingsError(
            f"{len(chosen)} scenarios x {len(wanted)} seeds{folds} are more than {MAX_RUNS} runs (limit)."
        )
    return [
        replace(base, data=data, model=_with_scenario(base, name), seed=seed)
        for seed in wanted
        for data in per_fold
        for name in chosen
    ]


def run_more_seeds(store: RunStore, experiments: Sequence[Experiment], seeds: int) -> list[str]:
    """Queue the same experiments with so many more seeds, the same for all, and with those that only others have.

    They join the race of the experiments, where all are of one. Returns the runs' ids.

    Raises:
        SettingsError, DatasetError: they cannot run any more, see `submit`; the data set is gone, say.
    """
    done = {one.key: {run.settings.seed for run in one.runs if run.is_active} | {*one.seeds} for one in experiments}
    known = {seed for seeds_done in done.values() for seed in seeds_done}
    wanted = sorted(known | {*range(max(known) + 1, max(known) + 1 + seeds)})
    plans = [
        replace(one.newest.settings, data=data, seed=seed)
        for seed in wanted
        for one in experiments
        if seed not in done[one.key]
        for data in every_fold(one.settings.data)
    ]
    races = {run.race for one in experiments for run in one.runs}
    dataset = load_stored(experiments[0].settings.data.dataset)
    race = races.pop() if len(races) == 1 else None
    return submit(store, plans, Ingested(dataset=dataset, decode_s=0.0), as_race=True, race=race)


def every_fold(data: DataSettings) -> list[DataSettings]:
    """The settings of each fold where there are folds and none is said; else these."""
    if data.folds is None or data.fold is not None:
        return [data]
    return [replace(data, fold=fold) for fold in range(1, data.folds + 1)]


def _with_scenario(base: RunSettings, scenario: str) -> ModelSettings:
    row = SCENARIOS[scenario]
    weights = None if row.from_nothing else base.model.weights
    batchnorm = None if row.batchnorm else base.model.batchnorm
    return replace(base.model, scenario=scenario, weights=weights, batchnorm=batchnorm)


def submit(
    store: RunStore,
    plans: Sequence[RunSettings],
    ingested: Ingested,
    *,
    as_race: bool,
    race: str | None = None,
    owner: Identity | None = None,
) -> list[str]:
    """Check that every run can start, then queue them. Returns the runs' ids.

    Args:
        race: the one that they join, if it is an earlier one.
        owner: the process that waits for them, if they are to end with it.

    Raises:
        SettingsError: a backbone or an augmentation is unknown, the backbone cannot be trained like that, or the device
            is not here.
        DatasetError: the data set cannot be divided, or has only one class in train.
    """
    for plan in plans:
        if plan.data.folds is not None and plan.data.fold is None:
            raise SettingsError(
                f"A run is about one fold: say which, from 1 to {plan.data.folds}, or race all of them."
            )
        check_model(plan)
        device_for(plan)
        steps_of(plan.augment)
        check_trainable(ingested.dataset, ingested.dataset.split(plan.seed, plan.data))
    plans = [replace(plan, data=replace(plan.data, dataset=ingested.dataset.id)) for plan in plans]
    race = race or (uuid.uuid4().hex[:10] if as_race else None)
    return store.submit(plans, ingested.dataset.title, race=race, decode_s=ingested.decode_s, owner=owner)
