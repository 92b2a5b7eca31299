"""How good the estimates are, over every scenario: `python benchmarks/estimates.py DATA`.

DATA is `builtin`, a zip or a folder. In an empty home the machine is measured, then each scenario is estimated as the
app does before anything has run, and run. Prints a Markdown table; a ratio above 1 means that it took longer.
"""

import argparse
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.machine.process import keep_freed_memory, prepare_process


def main() -> None:
    """Estimate all, then run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--scenarios", default="frozen,last-stages,finetuned,probe-then-finetune,scratch")
    arguments = parser.parse_args()
    prepare_process()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as home:
        os.environ["THAW_HOME"] = home
        from core.data.ingest import ingest
        from core.settings.schema import ModelSettings, RunSettings
        from core.training.plan import estimate, plan_run
        from core.training.probe import known_speeds
        from core.training.scenarios import train_run

        known_speeds(arguments.backbone)
        dataset = ingest(arguments.data).dataset
        split = dataset.split(0)
        rows = []
        for scenario in arguments.scenarios.split(","):
            settings = RunSettings(model=ModelSettings(backbone=arguments.backbone, scenario=scenario))
            plan = plan_run(settings, len(split.train), len(split.val), len(split.test))
            expected = estimate(plan, settings)
            assert expected is not None
            rows.append((settings, expected.seconds))
        print(f"{date.today()}, {this_machine()}, torch {this_machine().torch}.\n")
        print("| scenario | estimated, s | took, s | ratio |\n|---|---|---|---|")
        for settings, expected_s in rows:
            cache = Path(home) / "cache"
            if cache.exists():
                cache.rename(Path(home) / f"cache-{time.time()}")  # each run pays for its own features
            start = time.perf_counter()
            train_run(settings, dataset)
            took = time.perf_counter() - start
            row = (f"{expected_s:.1f}", f"{took:.1f}", f"{took / expected_s:.2f}")
            print(f"| {settings.model.scenario} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
