"""What the How much? page says beforehand against what it takes: look, sweep, crossing points, check of the advice.

    python benchmarks/studies.py DATA [--only look,sweep,crossing,check] [--seeds 3]

DATA is `builtin`, `digits`, a zip or a folder. In an empty home the machine is measured first; then each is estimated
as the page does, and done. Run it alone on the machine. A ratio above 1 means that it took longer than was said.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.machine.facts import this_machine
from core.machine.process import keep_freed_memory, prepare_process

if TYPE_CHECKING:  # the home folder is said first
    from core.data.dataset import Dataset
    from core.runs.studies import Kind
    from core.settings.schema import RunSettings

NAMES = ("look", "sweep", "crossing", "check")
PROMISED = 1.5  # an estimate holds within this factor
TOGETHER_S = 600  # for sweep and crossing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    prepare_process()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as home:
        os.environ["THAW_HOME"] = home
        table(arguments.data, arguments.only.split(","), arguments.seeds)


def table(data: str, only: list[str], seeds: int) -> None:
    """Measure the machine, then do and print one after the other."""
    from core.data.ingest import ingest
    from core.runs.engine import preload
    from core.settings.schema import RunSettings
    from core.training.probe import known_peaks, known_speeds

    settings, dataset = RunSettings(), ingest(data).dataset
    preload()  # as the worker does while nobody waits
    known_peaks()
    known_speeds(settings.model.backbone)
    print(f"{date.today()}, {this_machine()}, {dataset.title}, {seeds} seeds.\n")
    print("| | runs | said, s | took, s | ratio | |\n|---|---|---|---|---|---|", flush=True)
    took = {}
    for name in only:
        runs, said, do = WAYS[name](settings, dataset, seeds)
        print(f"{name}: {said:.0f} s are said", file=sys.stderr, flush=True)
        start = time.perf_counter()
        do()
        took[name] = time.perf_counter() - start
        ratio = took[name] / said
        word = "held" if 1 / PROMISED <= ratio <= PROMISED else "NOT HELD"
        print(f"| {name} | {runs} | {said:.0f} | {took[name]:.0f} | {ratio:.2f} | {word} |", flush=True)
    if {"sweep", "crossing"} <= {*took}:
        both = took["sweep"] + took["crossing"]
        print(f"\nSweep and crossing: {both:.0f} s, {'within' if both <= TOGETHER_S else 'NOT within'} {TOGETHER_S} s.")


Said = tuple[int, float, Callable[[], object]]
"""Runs, seconds as the page says them, and what does it."""


def _look(settings: "RunSettings", dataset: "Dataset", seeds: int) -> Said:
    from core.advice.depths import look
    from core.data.labels import check_settings
    from core.training.plan import estimate_look

    pictures = len(dataset.split(settings.seed, settings.data).train)
    expected = estimate_look(check_settings(dataset, settings.model.backbone), pictures)
    assert expected is not None, "the machine has been measured"
    return 0, expected.seconds, lambda: look(settings, dataset)


def _sweep(settings: "RunSettings", dataset: "Dataset", seeds: int) -> Said:
    from core.advice.plans import depths_to_try, plan_sweep

    return _study("sweep", plan_sweep(settings, depths_to_try(settings), range(seeds)), dataset)


def _crossing(settings: "RunSettings", dataset: "Dataset", seeds: int) -> Said:
    from core.advice.plans import plan_crossing, sizes_to_try
    from core.data.parts import class_counts

    counts = class_counts(dataset, dataset.split(settings.seed, settings.data))["train"]
    return _study("crossing", plan_crossing(settings, sizes_to_try(min(counts)), range(seeds), counts), dataset)


def _check(settings: "RunSettings", dataset: "Dataset", seeds: int) -> Said:
    from core.advice.depths import look
    from core.advice.plans import plan_check
    from core.advice.rule import advise

    evidence = look(settings, dataset)
    plans = plan_check(settings, advise(evidence).stages, range(seeds), evidence.pictures)
    return _study("check", plans, dataset)


def _study(kind: "Kind", plans: "Sequence[RunSettings]", dataset: "Dataset") -> Said:
    from core.runs.engine import run_next
    from core.runs.store import RunStore
    from core.runs.studies import estimate_study, start_study

    store, expected = RunStore(), estimate_study(kind, plans, dataset)
    assert expected is not None, "the machine has been measured"

    def do() -> None:
        race = start_study(store, kind, plans, dataset)
        while run_next(store, lambda: False):
            pass
        assert all(run.state == "finished" for run in store.runs(race=race))

    return len(plans), expected.seconds, do


WAYS = {"look": _look, "sweep": _sweep, "crossing": _crossing, "check": _check}

if __name__ == "__main__":
    main()
