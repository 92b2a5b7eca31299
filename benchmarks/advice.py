"""How often the advice is right: it is checked by its own button's runs, on three data sets, few pictures and all.

    python benchmarks/advice.py --photos hymenoptera_data.zip --sizes 10,40,all --seeds 0,1,2

Runs stay in THAW_HOME, and what has been trained is not trained again: it may be stopped and started anew. Every seed
is a check of its own, since another seed draws other training pictures, and may bring another advice.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.machine.process import prepare_process

prepare_process()

from core.advice.depths import look
from core.advice.evidence import load_evidence, save_evidence
from core.advice.plans import plan_check, stages_of, thawed
from core.advice.rule import Check, advise, judge, track_record
from core.comparison.wording import per_cent
from core.data.dataset import Dataset
from core.data.ingest import Ingested, ingest
from core.runs.engine import run_next
from core.runs.race import submit
from core.runs.store import Run, RunStore
from core.settings.schema import RunSettings


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--photos", help="zip of a data set of photos, which is not shipped")
    arguments.add_argument("--sets", default="photos,builtin,digits")
    arguments.add_argument("--sizes", default="10,40,all", help="pictures per class")
    arguments.add_argument("--seeds", default="0,1,2")
    arguments.add_argument("--epochs", type=int, default=RunSettings().optim.epochs)
    options = arguments.parse_args()
    store, checks = RunStore(), []
    for name in options.sets.split(","):
        where = options.photos if name == "photos" else name
        if where is None:
            print("photos: left out, since --photos names none")
            continue
        dataset = ingest(where).dataset
        for title, settings in wanted(dataset, options.sizes, options.seeds, options.epochs):
            checks.append(checked(store, dataset, settings))
            print(f"{name}, {title}: {checks[-1].sentence} {accuracies(checks[-1])}", flush=True)
    found = track_record([check.outcome for check in checks])
    print(
        f"Right in {found.right} of {found.checks}, more than needed in {found.more_than_needed}, "
        f"too little in {found.too_little}."
    )


def wanted(dataset: Dataset, sizes: str, seeds: str, epochs: int) -> Iterator[tuple[str, RunSettings]]:
    """What is checked on a data set, with its name."""
    usual = RunSettings()
    for size in sizes.split(","):
        most = None if size == "all" else int(size)
        for seed in map(int, seeds.split(",")):
            data = replace(usual.data, dataset=dataset.id, train_per_class=most)
            optim = replace(usual.optim, epochs=epochs)
            yield f"{size} per class, seed {seed}", replace(usual, data=data, optim=optim, seed=seed)


def checked(store: RunStore, dataset: Dataset, settings: RunSettings) -> Check:
    """One advice and its runs, of which those that are there already are used."""
    evidence = load_evidence(dataset, settings)
    if evidence is None:
        evidence = look(settings, dataset)
        save_evidence(dataset, evidence)
    advised = advise(evidence).stages
    plans = plan_check(settings, advised, [settings.seed], evidence.pictures)
    there = {run.settings: run for run in store.runs(states=["finished"], limit=5000)}
    missing = [plan for plan in plans if plan not in there]
    if missing:
        ids = submit(store, missing, Ingested(dataset=dataset, decode_s=0.0), as_race=False)
        while run_next(store, lambda: False, ids):
            pass
        there |= {run.settings: run for run in store.runs(ids=ids)}
    found = {thawed(plan): test_accuracy(there[plan]) for plan in plans}
    return judge(advised, found, seeds=1, total=stages_of(settings))


def test_accuracy(run: Run) -> float:
    assert run.summary is not None, f"{run.id} {run.state}: {run.cause}"
    return float(run.summary["test_accuracy"])


def accuracies(check: Check) -> str:
    return ", ".join(f"{depth}: {per_cent(accuracy)}" for depth, accuracy in check.accuracies)


if __name__ == "__main__":
    main()
