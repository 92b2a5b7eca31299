"""Large sets: time per picture and memory from 1,000 to 100,000 pictures: `python benchmarks/large.py [--sizes N,...]`.

Pictures are generated (JPEG, 96 to 160 pixels on a side, two classes). Each size is a fresh process with an empty home:
taken in, features of all of them computed once, a head solved for. Prints Markdown: milliseconds per picture by phase,
the largest resident memory, and how often progress was reported.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.machine.process import keep_freed_memory, prepare_process
from core.settings.schema import Weights

MB = 1024**2


def generate(folder: Path, count: int) -> None:
    """Pictures that differ: coloured noise, smoothed, of one of two tints."""
    import io

    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / ("warm" if number % 2 else "cold") / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        small = rng.integers(0, 256, (6, 6, 3)) + np.array([60, 0, -60]) * (1 if number % 2 else -1)
        image = Image.fromarray(small.clip(0, 255).astype(np.uint8))
        file = io.BytesIO()
        image.resize(tuple(rng.integers(96, 160, 2)), Image.Resampling.BICUBIC).save(file, "JPEG", quality=80)
        place.write_bytes(file.getvalue())


def arm(folder: Path, backbone: str, weights: Weights) -> dict[str, Any]:
    """One size, in this process."""
    prepare_process()
    keep_freed_memory()
    from core.data.ingest import ingest
    from core.settings.schema import AugmentSettings, DataSettings, ModelSettings, RunSettings
    from core.training.probe import known_speeds
    from core.training.scenarios import train_run

    known_speeds(backbone)
    reports: Counter[str] = Counter()
    start = time.perf_counter()
    dataset = ingest(folder, on_progress=lambda progress: reports.update([progress.stage])).dataset
    ingest_s, ingest_mb = time.perf_counter() - start, _peak_mb()
    settings = RunSettings(
        data=DataSettings(dataset=dataset.id),
        model=ModelSettings(backbone=backbone, weights=weights),
        augment=AugmentSettings(preset="none"),
    )
    run = train_run(settings, dataset, on_progress=lambda progress: reports.update([progress.phase]))
    return {
        "pictures": len(dataset.pictures),
        "train": len(run.split.train),
        "ingest_s": ingest_s,
        "features_s": run.watch.seconds["features"],
        "head_s": run.watch.seconds["train"],
        "ingest_mb": ingest_mb,
        "peak_mb": _peak_mb(),
        "accuracy": run.test.accuracy,
        "reports": dict(reports),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Every size in turn; a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet", choices=("imagenet", "none"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--arm", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        print(json.dumps(arm(arguments.arm, arguments.backbone, arguments.weights)))
        return
    rows = []
    print(f"{date.today()}, {this_machine()}, torch {this_machine().torch}, {arguments.backbone}.\n")
    print("| pictures | ingest, ms each | features, ms each | head, ms each | peak memory, MB | after ingest, MB |")
    print("|---|---|---|---|---|---|", flush=True)
    for size in map(int, arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "pictures"
            generate(folder, size)
            env = {**os.environ, "THAW_HOME": str(Path(place) / "home")}
            command = [sys.executable, __file__, "--arm", str(folder), "--backbone", arguments.backbone]
            command += ["--weights", arguments.weights]
            row = json.loads(subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout)
        rows.append(row)
        each = [1000 * row[f"{phase}_s"] / row["pictures"] for phase in ("ingest", "features", "head")]
        times = " | ".join(f"{value:.2f}" for value in each)
        print(f"| {row['pictures']:,} | {times} | {row['peak_mb']:,.0f} | {row['ingest_mb']:,.0f} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
