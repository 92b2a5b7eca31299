"""Large sets, shard by shard: time per picture and memory per task, with one and with two at work.

`python benchmarks/shards.py [--short] [--pictures N] [--size N] [--turn N] [--arms 1,2,ray1,ray2] [--work DIR]
                             [--within S]`

Pictures are generated (JPEG, 32 to 64 pixels on a side, ten classes). Every arm takes them in and computes features of
one view, in a home of its own; the first arm trains a head, too. `1` and `2` are processes, `ray1` and `ray2` raylets
of one core each on this machine. The arms take turns, a few shards each, the same ones, so that what disturbs the
machine disturbs all: the ratio is that of the turns, pair by pair, with its 95 % interval. Prints Markdown: wall time
per picture; for the first and the last third of the shards a task's own time per picture, its processor time and its
largest memory; the ratio of one to two; and what 100 million pictures take at these rates.

With --work DIR what is done is kept there (4 GB for 100,000 pictures and four arms), and with --within S no round is
begun that would, judging by the last one, not end within so many seconds, once the pictures are there: the same command
goes on where it stopped. Where it is killed, that turn's shards are done and have no figures.
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
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "benchmarks")]

from paired import spoken

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


class Turns:
    """An arm, in a process of its own: so many tasks at a time, and what they cost, into what is kept of it."""

    def __init__(self, kept: Path, source: Path, size: int, work: Any) -> None:
        from core.settings.schema import AugmentSettings, RunSettings
        from core.shards.listing import list_source
        from core.shards.taking_in import take_in_piece

        self._kept, self._source, self._size, self._work = kept, source, size, work
        self.report = kept_of(kept)
        self._settings = RunSettings(augment=AugmentSettings(preset="centre-crop"))
        self._recipe: Any = None
        list(work.map(_awake, range(2 * work.hands)))  # processes have begun
        self._pieces = list(list_source(str(source), size, work).pieces)
        earlier = work.map(take_in_piece, self._pieces[: self._done("take_in")])
        self._shards: list[str] = [one.receipt.shard for one in earlier]

    @property
    def left(self) -> dict[str, int]:
        """Tasks that are to be done, by phase."""
        return {phase: len(self._pieces) - self._done(phase) for phase in PHASES}

    def take(self, phase: str, count: int) -> float:
        """The phase's next tasks; seconds they took all together."""
        task, items = self._tasks(phase, self._done(phase), count)
        began = time.perf_counter()
        found = list(self._work.map(task, items))
        wall_s = time.perf_counter() - began
        rows = [[getattr(one, "receipt", one).pictures, one.seconds, one.peak_bytes, one.cpu_s] for one in found]
        fresh = all(row[0] and not getattr(one, "done_before", False) for row, one in zip(rows, found, strict=True))
        self.report[phase].append({"wall_s": wall_s, "tasks": rows, "fresh": fresh})
        if phase == "take_in":
            self._shards += [one.receipt.shard for one in found]
        self._keep()
        return wall_s

    def warm(self) -> None:
        """The network is loaded wherever it will be needed."""
        from core.shards.features import recipe_of

        self._recipe = recipe_of(self._settings)
        list(self._work.map(_warm, [self._recipe] * 2 * self._work.hands))

    def head(self) -> None:
        """Train one."""
        self.report["head"] = _head(self._source, self._size, self._work, self._settings)
        self._keep()

    def _tasks(self, phase: str, start: int, count: int) -> tuple[Callable[[Any], Any], list[Any]]:
        from core.shards.features import Job, compute_shard
        from core.shards.taking_in import take_in_piece

        if phase == "take_in":
            return take_in_piece, self._pieces[start : start + count]
        return compute_shard, [Job(shard=one, recipe=self._recipe) for one in self._shards[start : start + count]]

    def _done(self, phase: str) -> int:
        return sum(len(turn["tasks"]) for turn in self.report[phase])

    def _keep(self) -> None:
        self._kept.write_text(json.dumps(self.report))


def serve(arm: str, kept: Path, source: Path, size: int) -> None:
    """Commands on standard input, answers on standard output, a line each."""
    prepare_process()
    keep_freed_memory()
    with at_work(arm) as work:
        turns = Turns(kept, source, size, work)
        _answer(turns.left)
        for line in sys.stdin:
            what, *values = line.split()
            if what == "warm":
                turns.warm()
            elif what == "head":
                turns.head()
            else:
                turns.take(what, int(values[0]))
            _answer(turns.left)


def _answer(value: object) -> None:
    print(json.dumps({"answer": value}), flush=True)


class Arm:
    """The same from outside."""

    def __init__(self, name: str, work: Path, size: int) -> None:
        command = [sys.executable, __file__, "--arm", name, "--work", str(work), "--size", str(size)]
        mine = {"THAW_HOME": str(work / f"home-{name}"), "THAW_STORE": "", "THAW_ENGINE": "local"}
        self._kept = work / f"report-{name}.json"
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **mine, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.left: dict[str, int] = self._heard()

    @property
    def report(self) -> dict[str, Any]:
        """What is known of it."""
        return kept_of(self._kept)

    def ask(self, *words: object) -> None:
        """Have something done."""
        assert self._process.stdin
        print(*words, file=self._process.stdin, flush=True)
        self.left = self._heard()

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()

    def _heard(self) -> Any:
        assert self._process.stdout
        for line in self._process.stdout:
            with suppress(ValueError, KeyError, TypeError):  # whatever libraries print
                return json.loads(line)["answer"]
        raise SystemExit("An arm ended before it was done.")


def in_turns(arms: list[Arm], turn: int, within_s: float) -> bool:
    """Rounds, every other one backwards, until all is done or the time is up; whether all is done."""
    end = time.monotonic() + within_s
    for phase in PHASES:
        if phase == "features" and any(arm.left[phase] for arm in arms):
            for arm in arms:
                arm.ask("warm")
        longest = 0.0
        while any(arm.left[phase] for arm in arms):
            began, most = time.monotonic(), max(arm.left[phase] for arm in arms)
            if began + longest > end:
                return False
            behind = [arm for arm in arms if arm.left[phase] == most]  # after a kill in the middle of a round
            for arm in behind if len(arms[0].report[phase]) % 2 else reversed(behind):
                arm.ask(phase, turn)
            longest = max(longest, time.monotonic() - began)
    if time.monotonic() < end and "head" not in arms[0].report:
        arms[0].ask("head")
    return "head" in arms[0].report


def kept_of(path: Path) -> dict[str, Any]:
    """What is known of an arm: its turns, phase by phase."""
    return json.loads(path.read_text()) if path.exists() else {phase: [] for phase in PHASES}


def tasks_of(report: dict[str, Any], phase: str) -> list[list[float]]:
    """Pictures, seconds, bytes and processor seconds of each task that has figures."""
    return [task for turn in report[phase] if turn["fresh"] for task in turn["tasks"]]


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
            if tasks := tasks_of(report, phase):
                lines.append(_row(arm, words, tasks, wall(report, phase)))
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
    for kind, one, two in (("processes", "1", "2"), ("raylets", "ray1", "ray2")):
        if has_rates(reports.get(one)) and has_rates(reports.get(two)):
            take_in, features, both = (pairs(reports[one], reports[two], of) for of in (PHASES[:1], PHASES[1:], PHASES))
            longer = sum(each(reports[two], processor)) / sum(each(reports[one], processor))
            lines.append(
                f"Two {kind} against one, pair by pair: taking in {spoken(take_in)}, features "
                f"{spoken(features)}, both {spoken(both)}; {len(both)} pairs. Tasks computed {longer:.2f} "
                f"times as long in all: with two cores to themselves {2 / longer:.2f} at best."
            )
    return lines


def pairs(one: dict[str, Any], two: dict[str, Any], phases: Iterable[str]) -> list[float]:
    """How many times as fast the second was, turn by turn, where both have figures of the same shards."""
    found = []
    for turns in zip(*(report[phase] for report in (one, two) for phase in phases), strict=False):
        if all(turn["fresh"] for turn in turns):
            half = len(turns) // 2
            found.append(sum(turn["wall_s"] for turn in turns[:half]) / sum(turn["wall_s"] for turn in turns[half:]))
    return found


def has_rates(report: dict[str, Any] | None) -> bool:
    """Whether tasks of both phases were measured."""
    return report is not None and all(tasks_of(report, phase) for phase in PHASES)


def each(report: dict[str, Any], of: Callable[[dict[str, Any], str], float]) -> list[float]:
    """Seconds for a picture, in each phase."""
    return [of(report, phase) / sum(row[0] for row in tasks_of(report, phase)) for phase in PHASES]


def wall(report: dict[str, Any], phase: str) -> float:
    """Seconds that the phase's turns took."""
    return float(sum(turn["wall_s"] for turn in report[phase] if turn["fresh"]))


def processor(report: dict[str, Any], phase: str) -> float:
    """Seconds that tasks computed."""
    return float(sum(row[3] for row in tasks_of(report, phase)))


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
    """The arms in turns; Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="4,000 pictures in shards of 500")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=2_500)
    parser.add_argument("--turn", type=int, default=4, help="shards of a turn")
    parser.add_argument("--arms", default="1,2")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--within", type=float, default=10**9, metavar="S")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.pictures, arguments.size = 4_000, 500
    if arguments.arm:
        kept, source = arguments.work / f"report-{arguments.arm}.json", arguments.work / "pictures"
        serve(arguments.arm, kept, source, arguments.size)
        return
    with tempfile.TemporaryDirectory() as place:
        _all_arms(arguments, (arguments.work or Path(place)) / f"{arguments.pictures}-in-{arguments.size}")


def _all_arms(arguments: argparse.Namespace, work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    generate(work, arguments.pictures)
    machine = this_machine()
    print(f"{date.today()}, {machine}, torch {machine.torch}. {arguments.pictures:,} pictures, shards of "
          f"{arguments.size:,}, {arguments.turn} in a turn.\n")  # fmt: skip
    names, began = arguments.arms.split(","), time.monotonic()
    arms = [Arm(name, work, arguments.size) for name in names]
    is_done = in_turns(arms, arguments.turn, arguments.within - (time.monotonic() - began))
    for arm in arms:
        arm.close()
    reports = {name: arm.report for name, arm in zip(names, arms, strict=True)}
    print("\n".join([*told(reports), "", *ratios(reports)]))
    first = reports[names[0]]
    if has_rates(first):
        print("\n" + "\n\n".join(on_paper(first)))
    if not is_done:
        print("\nNot all is done: the same command goes on.")


if __name__ == "__main__":
    main()
