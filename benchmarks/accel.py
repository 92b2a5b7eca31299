"""What each trick that makes the processor quicker is worth: `python benchmarks/accel.py [--pairs N] [--isa AVX2]`.

A fresh process does what people do, one thing after the other: it loads torch, trains frozen with nothing cached,
trains another head on the cached features, fine-tunes for an epoch, and classifies one picture, on the built-in set.
With everything on against everything on but one trick; the two take turns. Prints how many times as long each of these
takes without the trick; the last row is THAW_PLAIN=1, without any. `--isa` caps what oneDNN may use of the processor.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "benchmarks")]

from paired import ratios, spoken

from core.machine import process
from core.machine.facts import this_machine

RUNS = ("imports", "frozen, cold", "another head", "fine-tuned, 1 epoch", "one picture")
PLAIN = "all of them"


def replace(where: Any, name: str, value: Any) -> None:
    """Put something in the place of what a module or a class has by this name."""
    setattr(where, name, value)


def without_settings() -> None:
    """Huge pages and short spinning."""
    process.PROCESS_ENVIRONMENT.clear()


def without_kept_memory() -> None:
    """Freed memory that is kept."""
    import core.__main__ as command_line

    replace(command_line, "keep_freed_memory", lambda: None)


def without_exempt_imports() -> None:
    """Imports that garbage collection does not walk through."""
    from core.runs import worker

    replace(worker, "imports_exempt_from_gc", nullcontext)


def without_folding() -> None:
    """BatchNorm folded into the convolution before it."""
    from core.models import accel

    replace(accel, "fold_batchnorm", lambda network, kind: 0)


def without_operators() -> None:
    """oneDNN's own operators: the activation in the same pass, depthwise gradients."""
    from core.models.accel import convolution

    replace(convolution, "_has_onednn", lambda inputs: False)


def without_engine() -> None:
    """ONNX Runtime."""
    from core.machine.speeds import Speeds

    replace(Speeds, "engine", property(lambda speeds: "torch"))


def without_shelf() -> None:
    """A backbone kept for the next frozen run."""
    from core.models.accel import Shelf

    replace(Shelf, "put", lambda shelf, *given: None)


def without_one_thread() -> None:
    """One thread for what is small."""
    from core.models.accel import threads

    replace(threads, "tricks_wanted", lambda: False)


TRICKS: tuple[Callable[[], None], ...] = (
    without_settings,
    without_kept_memory,
    without_exempt_imports,
    without_folding,
    without_operators,
    without_engine,
    without_shelf,
    without_one_thread,
)


def seconds_here(without: str) -> list[float]:
    """Seconds of each of `RUNS` in this process."""
    early = {trick.__name__: trick for trick in (without_settings, without_exempt_imports)}
    late = {trick.__name__: trick for trick in TRICKS if trick.__name__ not in early}
    early.get(without, lambda: None)()
    process.prepare_process()
    start = time.perf_counter()
    from core.__main__ import main
    from core.runs.engine import preload

    preload()
    import core.inference.predictor  # noqa: F401

    taken = [time.perf_counter() - start]
    late.get(without, lambda: None)()
    train = ["train", "--data", "builtin", "--json"]

    def ask(*words: str) -> Any:
        printed, begin = io.StringIO(), time.perf_counter()
        with redirect_stdout(printed):
            assert main(words) == 0, words
        taken.append(time.perf_counter() - begin)
        return json.loads(printed.getvalue())

    run = ask(*train, "--scenario", "frozen")["run"]
    ask(*train, "--scenario", "frozen", "--l2", "0.37")
    ask(*train, "--scenario", "finetuned", "--epochs", "1")
    ask("classify", run, str(next(Path(os.environ["THAW_HOME"], "pictures").rglob("*.jpg"))), "--json")
    return taken


def seconds_of(home: Path, without: str, isa: str | None) -> list[float]:
    """Seconds of each of `RUNS` in a process of its own, with a copy of this home."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(home, folder, dirs_exist_ok=True)
        return list(json.loads(child(Path(folder), isa, "--here", without, plain=without == PLAIN)))


def child(home: Path, isa: str | None, *words: str, plain: bool = False) -> str:
    """What this script prints in a process that works in a home."""
    clean = {key: value for key, value in os.environ.items() if key not in process.PROCESS_ENVIRONMENT}
    clean |= {"THAW_HOME": str(home), "THAW_PLAIN": "1" if plain else "0"}
    clean |= {"ONEDNN_MAX_CPU_ISA": isa} if isa else {}
    done = subprocess.run([sys.executable, __file__, *words], env=clean, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def prepare(home: Path) -> None:
    """What was there before: the built-in set, in the store and as files, and what this machine was measured to do."""
    process.prepare_process()
    from core.__main__ import main

    with redirect_stdout(io.StringIO()):
        assert main(["data", "builtin", "--draw", str(home / "pictures")]) == 0
        assert main(["machine"]) == 0
    print("prepared")


def main() -> None:
    """Take turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--isa", help="what oneDNN may use: AVX2, AVX512_CORE")
    parser.add_argument("--only", help="some of the tricks, by their functions, comma-separated")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here is not None:
        print(json.dumps(seconds_here(arguments.here)))
        return
    if arguments.prepare:
        prepare(arguments.prepare)
        return
    tricks = {trick.__name__: str(trick.__doc__).rstrip(".") for trick in TRICKS} | {PLAIN: "All of them"}
    chosen = arguments.only.split(",") if arguments.only else list(tricks)
    print(
        f"{this_machine()}, torch {this_machine().torch}, {arguments.isa or 'all instructions'}, built-in set; ", end=""
    )
    print(f"times as long without it, {arguments.pairs} pairs\n")
    print(f"| without | {' | '.join(RUNS)} |\n|---|{'---|' * len(RUNS)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home, everything = Path(folder), []
        child(home, arguments.isa, "--prepare", folder)
        for name in chosen:
            quick, slow = [], []
            for _ in range(arguments.pairs):
                quick.append(seconds_of(home, "", arguments.isa))
                slow.append(seconds_of(home, name, arguments.isa))
            columns = [
                spoken(ratios(longer, shorter)) for longer, shorter in zip(turned(slow), turned(quick), strict=True)
            ]
            print(f"| {tricks[name]} | {' | '.join(columns)} |", flush=True)
            everything += quick
    print(f"| nothing, fastest | {' | '.join(f'{min(column):.2f} s' for column in turned(everything))} |")


def turned(rows: list[list[float]]) -> list[tuple[float, ...]]:
    """Rows as columns."""
    return list(zip(*rows, strict=True))


if __name__ == "__main__":
    main()
