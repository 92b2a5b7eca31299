"""Large sets, shard by shard: time per picture and memory per task, with one and with two at work.

`python benchmarks/shards.py [--short] [--pictures N] [--size N] [--arms 1,2,ray1,ray2] [--work DIR] [--within S]`

Pictures are generated (JPEG, 32 to 64 pixels on a side, ten classes). Every arm takes them in and computes features of
one view, in a home of its own; the first arm trains a head, too. `1` and `2` are processes, `ray1` and `ray2` raylets
of one core each on this machine. Prints Markdown: wall time per picture; for the first and the last third of the shards
a task's own time per picture, its processor time and its largest memory; the ratio of one to two; and what 100 million
pictures take at these rates.

With --work DIR what is done is kept there (4 GB for 100,000 pictures and four arms), and with --within S no task is
handed out after so many seconds, once the pictures are there: the same command goes on where it stopped. Where it is
killed, the tasks since the last phase are done and have no figures. Only arms that are done as a whole have a ratio.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from core.machine.facts import this_machine
from core.machine.process import keep_freed_memory, peak_memory, prepare_process

PHASES = ("take_in", "features")
CLASSES = 10
MILLION = 10**6
MB = 1024**2


def generate(folder: Path, count: int) -> None:
    """Coloured noise, smoothed, around the colour of the picture's class, if they are not there yet."""
    done = folder / "count.txt"
    if done.exists() and int(done.read_text()) == count:
        return
    with multiprocessing.Pool() as pool:
        jobs = [(folder, start, min(start + 500, count)) for start in range(0, count, 500)]
        pool.starmap(_generate, jobs)
    done.write_text(str(count))


def _generate(folder: Path, start: int, end: int) -> None:
    import numpy as np
    from PIL import Image

    for number in range(start, end):
        dice = np.random.default_rng(number)
        name = number % CLASSES
        place = folder / "pictures" / f"class-{name}"
        place.mkdir(parents=True, exist_ok=True)
        tint = 40 * np.cos(2 * np.pi * (name / CLASSES + np.array([0, 1 / 3, 2 / 3])))
        small = (dice.integers(0, 256, (5, 5, 3)) + tint).clip(0, 255).astype(np.uint8)
        width, height = (int(pixels) for pixels in dice.integers(32, 65, 2))
        Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(
            place / f"{number:08}.jpg", quality=80
        )


def timed(work: Any, within_s: float) -> Any:
    """The same executor, which hands out no task when the time is up."""
    end, plain = time.monotonic() + within_s, work.map

    def until(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            if time.monotonic() > end:
                return
            yield item

    work.map = lambda task, items: plain(task, until(items))
    return work


@contextmanager
def at_work(arm: str) -> Iterator[Any]:
    """Processes, or raylets of a core each."""
    from proving.raylets import Raylets

    from core.shards.executor import Processes, RayTasks

    with ExitStack() as until_the_end:
        if arm.startswith("ray"):
            cluster = until_the_end.enter_context(Raylets(int(arm[3:])))
            os.environ["THAW_RAY_ADDRESS"] = cluster.address
        work = RayTasks() if arm.startswith("ray") else Processes(int(arm))
        until_the_end.callback(work.close)
        yield work


def run_arm(arm: str, kept: Path, source: Path, size: int, within_s: float, with_head: bool) -> None:
    """One arm, in this process: what was done now is added to what is kept of earlier pieces, phase by phase."""
    prepare_process()
    keep_freed_memory()
    from core.settings.schema import AugmentSettings, RunSettings
    from core.shards.features import Job, compute_shard, recipe_of
    from core.shards.listing import list_source
    from core.shards.taking_in import take_in_piece

    settings = RunSettings(augment=AugmentSettings(preset="centre-crop"))
    report = kept_of(kept)
    with at_work(arm) as work:
        list(work.map(_awake, range(2 * work.hands)))  # processes have begun
        timed(work, within_s)
        listed = list_source(str(source), size, work)
        taken = _measured(report, "take_in", work.map(take_in_piece, listed.pieces))
        kept.write_text(json.dumps(report))
        if len(taken) < listed.count:
            return
        recipe = recipe_of(settings)
        list(work.map(_warm, [recipe] * 2 * work.hands))
        jobs = (Job(shard=one.receipt.shard, recipe=recipe) for one in taken)
        done = _measured(report, "features", work.map(compute_shard, jobs))
        report["whole"] = len(done) == listed.count
        kept.write_text(json.dumps(report))
        del work.map  # the whole executor again
        if report["whole"] and with_head:
            report["head"] = _head(source, size, work, settings)
            kept.write_text(json.dumps(report))


def kept_of(path: Path) -> dict[str, Any]:
    """What is known of an arm."""
    empty: dict[str, Any] = {"whole": False, "take_in": [], "take_in_s": 0.0, "features": [], "features_s": 0.0}
    return json.loads(path.read_text()) if path.exists() else empty


def _measured(report: dict[str, Any], phase: str, done: Iterable[Any]) -> list[Any]:
    """What tasks say, and into the report what they cost that did something: pictures, seconds, bytes."""
    began = time.perf_counter()
    found = list(done)
    rows = [(getattr(one, "receipt", one).pictures, one) for one in found if not getattr(one, "done_before", False)]
    rows = [(pictures, one) for pictures, one in rows if pictures]
    report[phase] += [[pictures, one.seconds, one.peak_bytes, one.cpu_s] for pictures, one in rows]
    report[f"{phase}_s"] += (time.perf_counter() - began) * bool(rows)
    return found


def _head(source: Path, size: int, work: Any, settings: Any) -> dict[str, Any]:
    from core.data.reading.layout import AUTO
    from core.shards.large_set import add
    from core.shards.train import train_large

    began = time.perf_counter()
    data = add(str(source), work, size=size, layout=AUTO, on_progress=lambda done, total: None).data
    set_s = time.perf_counter() - began
    result = train_large(data, settings, work)
    return {
        "seconds": {**result.seconds, "set": set_s},
        "accuracy": [result.test.value, result.test.low, result.test.high],
        "passes": result.passes,
        "solved_on": result.solved_on,
        "train": sum(result.counts["train"]),
        "peak": peak_memory(),
    }


def _awake(number: int) -> int:
    time.sleep(0.2)
    return number


def _warm(recipe: Any) -> None:
    """Loads the network where it will be needed."""
    from core.shards.features import _backbone

    _backbone(recipe)
    time.sleep(0.5)


def told(reports: dict[str, dict[str, Any]]) -> list[str]:
    """The tables."""
    columns = (
        "at work",
        "phase",
        "pictures",
        "wall, ms a picture",
        "a task's ms a picture",
        "its processor ms",
        "memory, MB",
    )
    lines = [f"| {' | '.join(columns)} |", "|---|---|---|---|---|---|---|"]
    for arm, report in reports.items():
        for phase, words in (("take_in", "taking in"), ("features", "features")):
            if report[phase]:
                lines.append(_row(arm, words, report[phase], report[f"{phase}_s"]))
    return lines


def _row(arm: str, words: str, tasks: list[list[float]], wall_s: float) -> str:
    third = max(1, len(tasks) // 3)
    pictures = sum(row[0] for row in tasks)
    each, cpu = (
        [median(1000 * row[column] / row[0] for row in some) for some in (tasks[:third], tasks[-third:])]
        for column in (1, 3)
    )
    peak = [max(row[2] for row in some) / MB for some in (tasks[:third], tasks[-third:])]
    name = arm.replace("ray", "raylets: ") if arm.startswith("ray") else f"processes: {arm}"
    return (
        f"| {name} | {words} | {pictures:,.0f} | {1000 * wall_s / pictures:.2f} | {each[0]:.2f} and {each[1]:.2f} "
        f"| {cpu[0]:.2f} and {cpu[1]:.2f} "
        f"| {peak[0]:,.0f} and {peak[1]:,.0f} |"
    )


def ratios(reports: dict[str, dict[str, Any]]) -> list[str]:
    """How many times as fast two are."""
    lines = []
    for one, two in (("1", "2"), ("ray1", "ray2")):
        if all(has_rates(reports.get(arm)) and reports[arm]["whole"] for arm in (one, two)):
            walls, cpus = ([each(reports[arm], of) for arm in (one, two)] for of in (wall, processor))
            kind = "raylets" if one.startswith("ray") else "processes"
            longer = sum(cpus[1]) / sum(cpus[0])
            lines.append(
                f"Two {kind} against one: taking in {walls[0][0] / walls[1][0]:.2f} times as fast, features "
                f"{walls[0][1] / walls[1][1]:.2f}, both {sum(walls[0]) / sum(walls[1]):.2f}. Tasks computed "
                f"{longer:.2f} times as long in all: with two cores to themselves {2 / longer:.2f} at best."
            )
    return lines


def has_rates(report: dict[str, Any] | None) -> bool:
    """Whether tasks of both phases were measured."""
    return report is not None and all(report[phase] for phase in PHASES)


def each(report: dict[str, Any], of: Callable[[dict[str, Any], str], float]) -> list[float]:
    """Seconds for a picture, in each phase."""
    return [of(report, phase) / sum(row[0] for row in report[phase]) for phase in PHASES]


def wall(report: dict[str, Any], phase: str) -> float:
    """Seconds from the phase's beginning to its end."""
    return float(report[f"{phase}_s"])


def processor(report: dict[str, Any], phase: str) -> float:
    """Seconds that tasks computed."""
    return float(sum(row[3] for row in report[phase]))


def on_paper(report: dict[str, Any]) -> list[str]:
    """100 million pictures at what one process computed for each: what else the machine did does not count."""
    take_in, features = each(report, processor)
    core_h = 100 * MILLION * (take_in + features) / 3600
    lines = [
        f"On paper, 100 million such pictures, one view: {core_h:,.0f} hours of one core (taking in "
        f"{1000 * take_in:.2f} ms, features {1000 * features:.2f} ms a picture), on 100 machines with two cores "
        f"each {core_h / 200:.1f}. Features, 1,280 numbers in half precision: {100 * MILLION * 2560 / 1e9:,.0f} GB."
    ]
    return lines + ([_about_head(report["head"])] if "head" in report else [])


def _about_head(found: dict[str, Any]) -> str:
    seconds, (value, low, high) = found["seconds"], (100 * share for share in found["accuracy"])
    return (
        f"Head: {found['train']:,} training pictures, {found['solved_on']:,} of them solved for in memory, then "
        f"{found['passes']} passes over all; {seconds['head']:.1f} s, putting the set together {seconds['set']:.1f} s, "
        f"parts {seconds['parts']:.1f} s, test {seconds['test']:.1f} s; the asking process held "
        f"{found['peak'] / MB:,.0f} MB. Test accuracy {value:.1f} % ({low:.1f} to {high:.1f} %)."
    )


def main() -> None:
    """Every arm in turn; Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="4,000 pictures in shards of 500")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=5_000)
    parser.add_argument("--arms", default="1,2")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--within", type=float, default=10**9, metavar="S")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.pictures, arguments.size = 4_000, 500
    if arguments.arm:
        kept, source = _report(arguments.work, arguments.arm), arguments.work / "pictures"
        with_head = arguments.arm == arguments.arms.split(",")[0]
        run_arm(arguments.arm, kept, source, arguments.size, arguments.within, with_head)
        return
    with tempfile.TemporaryDirectory() as place:
        _all_arms(arguments, (arguments.work or Path(place)) / f"{arguments.pictures}-in-{arguments.size}")


def _report(work: Path, arm: str) -> Path:
    return work / f"report-{arm}.json"


def _all_arms(arguments: argparse.Namespace, work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    generate(work, arguments.pictures)
    machine = this_machine()
    print(f"{date.today()}, {machine}, torch {machine.torch}. {arguments.pictures:,} pictures, shards of "
          f"{arguments.size:,}.\n")  # fmt: skip
    end, reports = time.monotonic() + arguments.within, {}
    for number, arm in enumerate(arguments.arms.split(",")):
        reports[arm], left = kept_of(_report(work, arm)), end - time.monotonic()
        is_done = reports[arm]["whole"] and (number > 0 or "head" in reports[arm])
        if not is_done and left > 0:
            _arm(arguments, work, arm, left)
            reports[arm] = kept_of(_report(work, arm))
    print("\n".join([*told(reports), "", *ratios(reports)]))
    first = next(iter(reports.values()))
    if has_rates(first):
        print("\n" + "\n\n".join(on_paper(first)))
    if not all(report["whole"] for report in reports.values()) or "head" not in first:
        print("\nNot all is done: the same command goes on.")


def _arm(arguments: argparse.Namespace, work: Path, arm: str, within_s: float) -> None:
    command = [sys.executable, __file__, "--arm", arm, "--arms", arguments.arms, "--work", str(work)]
    command += ["--size", str(arguments.size), "--within", str(within_s)]
    mine = {"THAW_HOME": str(work / f"home-{arm}"), "THAW_STORE": "", "THAW_ENGINE": "local", "OMP_NUM_THREADS": "1"}
    if subprocess.run(command, env={**os.environ, **mine}, stdout=sys.stderr).returncode:
        print(f"The arm {arm} ended before it was done.\n")


if __name__ == "__main__":
    main()
