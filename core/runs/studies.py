"""Runs that answer one question together: a check of an advice, a sweep over depths, a curve over pictures.

A study is a race with its kind in its name, so that it survives whatever a race does, and lists of races know it.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from core.advice.plans import thawed
from core.advice.rule import Check, TrackRecord, judge, track_record
from core.data.dataset import Dataset
from core.data.ingest import Ingested
from core.errors import SettingsError
from core.models.catalogue import count_frozen_stages, get_backbone
from core.runs.experiments import Kind as Kind
from core.runs.experiments import kind_of as kind_of
from core.runs.life import Identity
from core.runs.race import submit
from core.runs.store import Run, RunStore
from core.settings.schema import RunSettings
from core.training.plan import Estimate, Plan, estimate, plan_run

MOST_RUNS: Final = 120
SHIFT_S: Final = 0.004  # to shift a picture, the mean over shifts: 3.2 ms on one core of an EPYC; and to read it


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A question and the runs that answer it."""

    race: str
    kind: Kind
    runs: tuple[Run, ...]
    """Oldest first."""

    @property
    def is_active(self) -> bool:
        return any(run.is_active for run in self.runs)

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.state == "finished"]

    @property
    def settings(self) -> RunSettings:
        """Of its first run."""
        return self.runs[0].settings


def start_study(
    store: RunStore,
    kind: Kind,
    plans: Sequence[RunSettings],
    dataset: Dataset,
    about: int | None = None,
    owner: Identity | None = None,
) -> str:
    """Queue its runs; what names them.

    Args:
        about: what a check is about: the stages that were advised.
        owner: the process that waits for them, if they are to end with it.

    Raises:
        SettingsError, DatasetError: they cannot run, see `core.runs.race.submit`; or they are too many.
    """
    if not plans or len(plans) > MOST_RUNS:
        raise SettingsError(f"{len(plans)} runs are {'more' if plans else 'fewer'} than there may be ({MOST_RUNS}).")
    number = "" if about is None else f"{about}-"
    race = f"{kind}-{number}{uuid.uuid4().hex[:10]}"
    submit(store, plans, Ingested(dataset=dataset, decode_s=0.0), as_race=True, race=race, owner=owner)
    return race


def studies(store: RunStore, kind: Kind, dataset: str | None = None, backbone: str | None = None) -> list[Study]:
    """The studies of a kind, newest first; of one data set and one backbone where these are named."""
    found: dict[str, list[Run]] = {}
    for run in reversed(store.runs(study=kind)):
        model, data = run.settings.model, run.settings.data
        if dataset in (None, data.dataset) and backbone in (None, model.backbone):
            found.setdefault(str(run.race), []).append(run)
    rows = [Study(race=race, kind=kind, runs=tuple(runs)) for race, runs in found.items()]
    return sorted(rows, key=lambda study: -study.runs[-1].number)


def checks_here(store: RunStore) -> TrackRecord:
    """Of all checks of this home, whatever their pictures."""
    return track_record([check.outcome for check in map(check_of, studies(store, "check")) if check])


def check_of(study: Study) -> Check | None:
    """How an advice has fared; None until every seed has been trained at every depth."""
    advised = int(study.race.split("-")[1])
    found: dict[int, dict[int, float]] = {}
    for run in study.finished:
        if run.summary:
            found.setdefault(thawed(run.settings), {})[run.settings.seed] = run.summary["test_accuracy"]
    seeds = set.intersection(*(set(one) for one in found.values())) if found else set()
    if advised not in found or len(found) < len({thawed(run.settings) for run in study.runs}) or not seeds:
        return None
    means = {depth: sum(one[seed] for seed in seeds) / len(seeds) for depth, one in found.items()}
    total = len(get_backbone(study.settings.model.backbone).stages)
    return judge(advised, means, len(seeds), total)


def estimate_study(kind: Kind, plans: Sequence[RunSettings], dataset: Dataset) -> Estimate | None:
    """What these runs take together; features that several of them need are counted once, and a sweep's runs look at
    shifted test pictures, too, of which what frozen stages say is kept.

    None as long as nothing was measured on this machine.
    """
    sizes: dict[object, tuple[int, int, int]] = {}
    counted: dict[object, Plan] = {}
    asked: set[object] = set()
    seconds, measured = 0.0, True
    for settings in plans:
        data = replace(settings.data, dataset=dataset.id)
        if data not in sizes:
            split = dataset.split(settings.seed, data)
            sizes[data] = len(split.train), len(split.val), len(split.test)
        plan = plan_run(settings, *sizes[data])
        if plan.feature_pictures:
            plan, cut = _only_new(plan, counted.get(_cut(settings)), sizes[data][2]), _cut(settings)
            counted[cut] = _larger(plan_run(settings, *sizes[data]), counted.get(cut))
        shifted = _shifted(sizes[data][2]) if kind == "sweep" else 0
        known = _frozen_share(settings) if _cut(settings) in asked else 0.0
        asked.add(_cut(settings))
        found = estimate(replace(plan, eval_pictures=plan.eval_pictures + round((1 - known) * shifted)), settings)
        if found is None:
            return None
        seconds, measured = seconds + found.seconds + SHIFT_S * shifted * (known == 0), measured and found.measured
    return Estimate(seconds=seconds, measured=measured)


def _shifted(test: int) -> int:
    """Shifted pictures that a run of a sweep looks at."""
    from core.training.shifts import MOST, SHIFTS  # brings torch

    return len(SHIFTS) * -(-test // -(-test // MOST))


def _frozen_share(settings: RunSettings) -> float:
    """Share of the backbone's arithmetic that no training changes."""
    from core.models.splitting import stage_costs  # brings torch

    spec = get_backbone(settings.model.backbone)
    return sum(stage_costs(spec.name)[: count_frozen_stages(settings.model, spec)])


def _cut(settings: RunSettings) -> tuple[str, int]:
    """What cached features depend on beside the picture, as far as studies vary it."""
    return settings.model.backbone, thawed(settings)


def _only_new(plan: Plan, before: Plan | None, test: int) -> Plan:
    """Without what an earlier run leaves in the cache: features of all its parts where it is nothing but a head."""
    if before is None:
        return plan
    new = max(plan.feature_pictures - before.feature_pictures, 0)
    evaluated = test if plan.train_pictures else 0
    return replace(plan, feature_pictures=new, eval_pictures=evaluated)


def _larger(plan: Plan, before: Plan | None) -> Plan:
    return plan if before is None or plan.feature_pictures > before.feature_pictures else before
