"""Whether runs survive: `make proof`, or `python benchmarks/proof.py [--short]`. Prints one page of figures.

Workers are killed at named points and at random times, go on, wake as zombies, meet full disks, are asked to stop in
every phase; what strangers send is read. Each figure has its command, seed, machine and date; failures are listed.
Sections may be run one at a time (`--only kills,resumes`) and are kept in a file (`--keep`), of which the page is made.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: processes that are forked must not miss its threads
os.environ["CUDA_VISIBLE_DEVICES"] = ""
PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "benchmarks")]

from proving.page import Section, told, written

Work = Callable[[Path, bool, int, float], Section]


def kills(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import kills as campaign

    tally = campaign.kill_workers(campaign.build_world(place), 100 if short else 1000, seed, until)
    points = sum(count for name, count in tally.counts.items() if name.startswith("at: "))
    return Section(
        title="Workers killed (SIGKILL), at named points and at random times, also during recovery",
        tried=tally.of("kills"),
        wanted=100 if short else 1000,
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
    )


def resumes(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import kills as campaign

    wanted = 20 if short else 200
    tally = campaign.resume(campaign.build_world(place), wanted, seed, until)
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
    )


def servers(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import kills as campaign
    from proving import servers

    wanted = 3 if short else 30
    tally = servers.kill_servers(campaign.build_world(place, runs=False), wanted, seed, until)
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
    from proving import kills as campaign
    from proving import zombies

    wanted = 4 if short else 60
    tally = zombies.halt(campaign.build_world(place), wanted, seed, until)
    return Section(
        title="Workers halted (SIGSTOP), given up, and woken before, beside or after their successor",
        tried=tally.of("halted"),
        wanted=wanted,
        figures={name: tally.of(name) for name in ("stale writes tried", "halted while it wrote", "finished")},
        zeros={name: tally.of(name) for name in ("stale writes accepted", "lost", "different")},
        faults=tally.faults,
        counts=tally.counts,
    )


def refused(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import kills as campaign
    from proving import refused

    share, modes = (0.01, ("once",)) if short else (1.0, ("once", "killed", "from then on"))
    tally = refused.refuse(campaign.build_world(place), share, modes, seed, until)
    figures = {name: count for name, count in tally.counts.items() if name.endswith(modes)}
    return Section(
        title="The n-th write, sync, rename, mkdir, truncate or unlink refused (disk full, I/O error), or deadly",
        tried=tally.of("tried"),
        wanted=tally.of("wanted"),
        figures={"cases there are, for every n": tally.of("cases"), **figures},
        zeros={name: tally.of(name) for name in ("corrupt", "stuck", "lost", "without a sentence", "left behind")},
        faults=tally.faults,
        counts=tally.counts,
    )


def cancels(place: Path, short: bool, seed: int, until: float) -> Section:
    from proving import cancels

    wanted = 8 if short else 200
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


SECTIONS: Final[dict[str, Work]] = {
    "kills": kills,
    "resumes": resumes,
    "servers": servers,
    "zombies": zombies,
    "refused": refused,
    "cancels": cancels,
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
    for name in filter(None, given.only.split(",")):
        place = Path(tempfile.mkdtemp(prefix="thaw-proof-"))
        start = time.monotonic()
        try:
            section = SECTIONS[name](place, given.short, given.seed, until)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        command = f"python benchmarks/proof.py{' --short' * given.short} --only {name} --seed {given.seed}"
        kept[name] = written(section, command, given.seed, time.monotonic() - start)
        if given.keep:
            given.keep.write_text(json.dumps(kept, indent=1))
    print(told(kept, list(SECTIONS)))
    return int(any(row["faults"] or any(row["zeros"].values()) for row in kept.values()))


if __name__ == "__main__":
    raise SystemExit(main())
