"""Whether runs survive: `make proof`, or `python benchmarks/proof.py [--short]`. Prints one page of figures.

Workers are killed at named points and at random times, go on, wake as zombies, meet full disks, are asked to stop in
every phase; what strangers send is read. Each figure has its command, seed, machine and date; failures are listed.
Sections may be run one at a time (`--only kills,resumes`) and are kept in a file (`--keep`), of which the page is made.
"""

import argparse
import atexit
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: processes that are forked must not miss its threads
os.environ["CUDA_VISIBLE_DEVICES"] = ""
PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "benchmarks")]

from proving.page import Section, told, written
from proving.workers import Tally

if TYPE_CHECKING:
    from proving.kills import World

Work = Callable[[Path, bool, int, float], Section | None]
FORKED: Final = (
    "Workers are forked from a process in which torch is loaded, train a network of two convolutions on 24 pictures, "
    "and keep a checkpoint after every epoch, not every 20 s. All else is what a server's worker does."
)


@cache
def _world(place: Path, short: bool) -> "World":
    """Where forked workers live, made once for all sections."""
    from proving import kills

    return kills.build_world(place, seeds=1 if short else 3)


def kills(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import kills as campaign

    tally = campaign.kill_workers(_world(place, short), 70 if short else 1000, seed, until)
    points = sum(count for name, count in tally.counts.items() if name.startswith("at: "))
    return Section(
        title="Workers killed (SIGKILL), at named points and at random times, also during recovery",
        tried=tally.of("kills"),
        wanted=70 if short else 1000,
        figures={
            "at named points": points,
            "at random times": tally.of("at a random time"),
            "while a lost run was taken up": sum(n for name, n in tally.counts.items() if "a lost run" in name),
            "runs finished, as if undisturbed": tally.of("finished") - tally.of("different"),
            "runs ended with their cause, killed three times without getting further": tally.of("ended with its cause"),
        },
        zeros={name: tally.of(name) for name in ("lost", "stuck", "unreadable", "different")},
        faults=tally.faults,
        counts=tally.counts,
        remarks=FORKED,
    )


def resumes(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import kills as campaign

    wanted = 12 if short else 200
    tally = campaign.resume(_world(place, short), wanted, seed, until)
    return Section(
        title="Runs killed after an epoch and taken up from their checkpoint, against runs that nobody disturbed",
        tried=tally.of("finished"),
        wanted=wanted,
        figures={
            "kills": tally.of("kills"),
            "taken up": tally.of("resumed"),
            "bit-identical": tally.of("resumed, identical"),
        },
        zeros={name: tally.of(name) for name in ("lost", "different")},
        faults=tally.faults,
        counts=tally.counts,
        remarks=FORKED,
    )


def servers(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import servers

    wanted = 1 if short else 30
    tally = servers.kill_servers(_world(place, short), wanted, seed, until)
    return Section(
        title="Servers and their workers killed as users have them: new processes, the default backbone",
        tried=tally.of("kills"),
        wanted=wanted,
        figures={name: tally.of(f"killed: {name}") for name in servers.TARGETS},
        zeros={name: tally.of(name) for name in ("lost", "stuck", "different")},
        faults=tally.faults,
        counts=tally.counts,
    )


def zombies(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import zombies

    wanted = 3 if short else 60
    tally = zombies.halt(_world(place, short), wanted, seed, until)
    return Section(
        title="Workers halted (SIGSTOP), given up, and woken before, beside or after their successor",
        tried=tally.of("halted"),
        wanted=wanted,
        figures={name: tally.of(name) for name in ("stale writes tried", "halted while it wrote", "finished")},
        zeros={name: tally.of(name) for name in ("stale writes accepted", "lost", "different")},
        faults=tally.faults,
        counts=tally.counts,
        remarks=FORKED,
    )


def refused(place: Path, short: bool, seed: int, until: float) -> Section | None:
    from proving import refused

    if shutil.which("strace") is None:
        return None
    share, modes = (0.01, ("once",)) if short else (1.0, ("once", "killed", "from then on"))
    tally = refused.refuse(_world(place, short), share, modes, seed, until)
    figures = {name: count for name, count in tally.counts.items() if name.endswith(modes)}
    return Section(
        title="The n-th write, sync, rename, mkdir, truncate or unlink refused (disk full, I/O error), or deadly",
        tried=tally.of("tried"),
        wanted=tally.of("wanted"),
        figures={"cases there are, for every n": tally.of("cases"), **figures},
        zeros={name: tally.of(name) for name in ("corrupt", "stuck", "lost", "without a sentence", "left behind")},
        faults=tally.faults,
        counts=tally.counts,
        remarks=FORKED,
    )


def cancels(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import cancels

    wanted = 9 if short else 200
    tally = cancels.cancel(place, wanted * 9 // 10, seed, until)
    cancels.cancel_at_start(tally, place, 1 if short else wanted // 20, seed, until)
    cancels.interrupt_taking_in(tally, place, 1 if short else wanted // 20, seed, until)
    return Section(
        title="Runs stopped at random moments of every phase: acknowledged within 1 s, ended within 10 s",
        tried=tally.of("stopped"),
        wanted=wanted,
        figures={name: count for name, count in tally.counts.items() if name != "stopped" and " late" not in name},
        zeros={name: tally.of(name) for name in ("acknowledged late", "ended late", "ended otherwise")},
        faults=tally.faults,
        counts=tally.counts,
    )


def inputs(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import inputs

    tally = Tally()
    inputs.try_archives(tally, place, 0.15 if short else 1.0, seed)
    table = inputs.try_files(tally, *(["--flips", "150", "--random", "100", "--many", "300"] if short else ()))
    tried = tally.of("files") + tally.of("archives and bombs")
    return Section(
        title="Bad archives, bombs and pictures: read, or refused with a reason",
        tried=tried,
        wanted=tried,
        figures={name: tally.of(name) for name in ("archives and bombs", "files")},
        zeros={name: tally.of(name) for name in ("otherwise than promised", "neither read nor named")},
        faults=tally.faults,
        counts=tally.counts,
        remarks=table,
    )


def _beside(script: str, title: str, *options: str) -> Work:
    """A section that another script is, where it is here; it is no part of the short version."""

    def work(place: Path, short: bool, seed: int, until: float) -> Section | None:
        from proving import inputs

        if short or not (PROJECT / "benchmarks" / script).exists():
            return None
        told, faults, _ = inputs.beside(script, *options)
        return Section(title=title, tried=1, wanted=1, figures={}, zeros={}, faults=faults, remarks=told)

    return work


SECTIONS: Final[dict[str, Work]] = {
    "kills": kills,
    "resumes": resumes,
    "servers": servers,
    "zombies": zombies,
    "refused": refused,
    "cancels": cancels,
    "inputs": inputs,
    "canaries": _beside("canaries.py", "Canaries: does anything of one visitor reach another?"),
    "load": _beside("load.py", "Fifty visitors on one server for ten minutes"),
}


def main() -> int:
    """Run the sections that are asked for, keep them, print the page; 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="about 100 kills, within two minutes")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma-separated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=240.0, help="no section begins or goes on after that")
    parser.add_argument("--keep", type=Path, help="a JSON file of sections, to which these are added")
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.minutes
    kept = json.loads(given.keep.read_text()) if given.keep and given.keep.exists() else {}
    place = Path(tempfile.mkdtemp(prefix="thaw-proof-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    for name in filter(None, given.only.split(",")):
        start = time.monotonic()
        section = SECTIONS[name](place, given.short, given.seed, until)
        if section is None:
            continue
        command = f"python benchmarks/proof.py{' --short' * given.short} --only {name} --seed {given.seed}"
        kept[name] = written(section, command, given.seed, time.monotonic() - start)
        if given.keep:
            given.keep.write_text(json.dumps(kept, indent=1))
    print(told(kept, list(SECTIONS)))
    return int(any(row["faults"] or any(row["zeros"].values()) for row in kept.values()))


if __name__ == "__main__":
    raise SystemExit(main())
