"""What happens when the n-th write, sync or rename of some work is refused by the system, for every n.

`strace` attaches to a forked process before it begins and lets the n-th call of a kind fail, in each of its threads and
of the processes that it starts: SQLite's calls and those of libraries in Rust and C are among them. Or it lets the
process die there. Whatever comes of it, the work is then done once more without: that must give what it always gives.
"""

import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.data.dataset import load_stored, stored_ids
from core.data.ingest import ingest_files
from core.errors import ThawError
from core.home import sweep_staging
from core.runs import engine, execute
from core.runs.deletion import delete_run
from core.runs.store import RunStore
from core.takehome.backup import back_up, bring_back
from core.takehome.export import export_run
from core.takehome.import_run import import_run
from proving import kills, small
from proving.workers import RAISED, Child, Tally, forked, waiting_for_go

ERRORS: Final = {
    **dict.fromkeys(("write", "pwrite64", "ftruncate", "mkdir", "rename"), "ENOSPC"),
    **dict.fromkeys(("fsync", "fdatasync", "unlink"), "EIO"),
}
"""What each call says when it is refused: the disk is full, or does not do what it should."""
ACT_S: Final = 60.0
_CALL: Final = re.compile(r"^(\d+) +(\w+)\(")


@dataclass(frozen=True, slots=True)
class Story:
    """Some work, from a home that is ready for it to what must be true afterwards."""

    name: str
    prepare: Callable[[kills.World], None]
    act: Callable[[kills.World], object]
    check: Callable[[kills.World, Tally, str], None]
    """Does it again where it was not done, and looks."""


def tell(world: kills.World, story: Story) -> None:
    """The work, in the forked process; what Thaw has a sentence for is told and no fault."""
    waiting_for_go()
    try:
        story.act(world)
    except ThawError as error:
        with suppress(OSError):  # this is refused, too, where its turn has come
            (world.place / "sentence").write_text(str(error))


def traced(world: kills.World, story: Story, options: list[str]) -> Child:
    """Do a story's work under strace, to its end."""
    (world.place / "sentence").unlink(missing_ok=True)
    (world.place / "act.log").unlink(missing_ok=True)
    child = forked(lambda: tell(world, story), world.place / "act.log")
    command = ["strace", "-f", "-qq", "-o", str(world.place / "trace"), *options, "-p", str(child.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        time.sleep(0.03)
        while b"TracerPid:\t0\n" in Path(f"/proc/{child.pid}/status").read_bytes():
            time.sleep(0.005)
        child.go()
        if not child.wait(ACT_S):
            child.kill()
            tracer.kill()
    return child


def calls_of(world: kills.World, story: Story) -> dict[str, int]:
    """How often each call is made where nothing fails, at most by one thread."""
    story.prepare(world)
    traced(world, story, ["-e", f"trace={','.join(ERRORS)}"])
    found: Counter[tuple[str, str]] = Counter()
    for line in (world.place / "trace").read_text(errors="replace").splitlines():
        if match := _CALL.match(line):
            found[match[1], match[2]] += 1
    return {name: max((n for (_, call), n in found.items() if call == name), default=0) for name in ERRORS}


def cases_of(calls: dict[str, int], mode: str) -> list[tuple[str, int, str]]:
    return [(call, number, mode) for call, count in calls.items() for number in range(1, count + 1)]


def injection(call: str, number: int, mode: str) -> list[str]:
    what = "signal=KILL" if mode == "killed" else f"error={ERRORS[call]}"
    when = f"{number}+" if mode == "from then on" else str(number)
    return ["-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}"]


def one(tally: Tally, world: kills.World, story: Story, call: str, number: int, mode: str) -> None:
    """One case from start to end."""
    where = f"{story.name}, {call} {number} {mode}"
    story.prepare(world)
    child = traced(world, story, injection(call, number, mode))
    tally.add(f"{story.name}, {mode}")
    if child.code == RAISED:
        last = (world.place / "act.log").read_text(errors="replace").strip().splitlines()[-1:]
        tally.add("without a sentence")
        tally.faults.append(f"{where}: {last}")
    if child.was_killed and mode != "killed":
        tally.add("stuck")
        tally.faults.append(f"{where}: it did not end")
    try:
        story.check(world, tally, where)
    except Exception as error:  # whatever it is, it is counted
        tally.add("corrupt")
        tally.faults.append(f"{where}: {type(error).__name__}: {error}")
    sweep_staging()
    for name in kills.left_behind(small.here()):
        tally.add("left behind")
        tally.faults.append(f"{where}: {name} was left behind")


# -- a run


def _run_prepare(world: kills.World) -> None:
    world.home()
    kills.queue(world, [("probe-then-finetune", 0)])


def _run_act(world: kills.World) -> None:
    execute.RETRY_S = 0.05  # type: ignore[misc]
    engine.run_next(RunStore(), lambda: False, patience_s=0.5)


def _run_check(world: kills.World, tally: Tally, where: str) -> None:
    (run,) = RunStore().runs()
    if run.is_active and not kills.drain(world):
        tally.add("stuck")
        tally.faults.append(f"{where}: the run is stuck")
    (run,) = kills.look_through(tally, [run.id], where)
    if run.state == "finished":
        if small.essence(run.id) != world.reference["probe-then-finetune", 0]:
            tally.add("corrupt")
            tally.faults.append(f"{where}: the run gave something else")
    else:
        tally.add("ended with a sentence")
        if run.state != "failed" or not run.cause or "did not expect" in run.cause:
            tally.add("without a sentence")
            tally.faults.append(f"{where}: {run.state}, {run.cause}")
    kills.drain(world)  # whose start sweeps


# -- taking pictures in


def _take_in_prepare(world: kills.World) -> None:
    world.home()


def _take_in(world: kills.World) -> str:
    return ingest_files(small.pictures(1), "More").dataset.id


def _taken_in(world: kills.World, tally: Tally, where: str) -> None:
    before = set(stored_ids())
    for dataset in before:
        load_stored(dataset).pixels.check()
    again = _take_in(world)
    load_stored(again).pixels.check()
    if set(stored_ids()) != {world.dataset, again} or len(load_stored(again).pictures) != 24:
        raise AssertionError("other pictures than were brought")


# -- what leaves and comes back


def _finished(world: kills.World) -> None:
    """A home with a finished run."""
    if not (world.place / "finished").exists():
        world.home()
        kills.queue(world, [("finetuned", 0)])
        kills.drain(world)
        (run,) = RunStore().runs()
        export_run(run.id, world.place / "run.zip")
        back_up(world.place / "all.zip")
        shutil.copytree(small.here(), world.place / "finished")
    shutil.rmtree(world.place / "home", ignore_errors=True)
    shutil.rmtree(world.place / "out", ignore_errors=True)
    (world.place / "out").mkdir()
    small.copied(world.place / "finished", world.place / "home")


def _only_run(world: kills.World, tally: Tally, where: str) -> None:
    (run,) = kills.look_through(tally, [run.id for run in RunStore().runs()], where)
    if run.state != "finished" or small.essence(run.id)["history"] != world.reference["finetuned", 0]["history"]:
        raise AssertionError("another run than before")
    if extra := [path.name for path in (small.here() / "runs" / run.id).iterdir() if path.is_dir()]:
        raise AssertionError(f"left behind in the run's folder: {extra}")


def _export_check(world: kills.World, tally: Tally, where: str) -> None:
    target = world.place / "out" / "run.zip"
    if not target.exists():
        export_run(RunStore().runs()[0].id, target)
    if target.read_bytes() != (world.place / "run.zip").read_bytes():
        raise AssertionError("another zip")
    _only_run(world, tally, where)


def _import_prepare(world: kills.World) -> None:
    _finished(world)
    world.home()


def _import_check(world: kills.World, tally: Tally, where: str) -> None:
    import_run(RunStore(), world.place / "run.zip")
    _only_run(world, tally, where)


def _backup_check(world: kills.World, tally: Tally, where: str) -> None:
    target = world.place / "out" / "all.zip"
    if not target.exists():
        back_up(target)
    if target.read_bytes() != (world.place / "all.zip").read_bytes():
        raise AssertionError("another backup")
    _only_run(world, tally, where)


def _restore_prepare(world: kills.World) -> None:
    _finished(world)
    shutil.rmtree(small.here())


def _restore_check(world: kills.World, tally: Tally, where: str) -> None:
    bring_back(world.place / "all.zip")
    load_stored(world.dataset).pixels.check()
    _only_run(world, tally, where)


def _delete_check(world: kills.World, tally: Tally, where: str) -> None:
    for run in RunStore().runs():
        delete_run(RunStore(), run.id)
    kills.look_through(tally, [], where)


STORIES: Final = (
    Story("a run", _run_prepare, _run_act, _run_check),
    Story("taking in", _take_in_prepare, _take_in, _taken_in),
    Story(
        "export", _finished, lambda w: export_run(RunStore().runs()[0].id, w.place / "out" / "run.zip"), _export_check
    ),
    Story("import", _import_prepare, lambda w: import_run(RunStore(), w.place / "run.zip"), _import_check),
    Story("backup", _finished, lambda w: back_up(w.place / "out" / "all.zip"), _backup_check),
    Story("restore", _restore_prepare, lambda w: bring_back(w.place / "all.zip"), _restore_check),
    Story("delete", _finished, lambda w: delete_run(RunStore(), RunStore().runs()[0].id), _delete_check),
)


def refuse(world: kills.World, share: float, modes: tuple[str, ...], seed: int, until: float) -> Tally:
    """Every case of every story, or a share of them that is drawn; as many as there is time for."""
    tally, dice = Tally(), random.Random(seed)
    cases: list[tuple[Story, str, int, str]] = []
    for story in STORIES:
        calls = calls_of(world, story)
        tally.add(f"calls of {story.name}", sum(calls.values()))
        cases += [(story, *case) for mode in modes for case in cases_of(calls, mode)]
    wanted = dice.sample(cases, len(cases) if share >= 1 else round(share * len(cases)))
    wanted.sort(key=lambda case: (modes.index(case[3]), case[0].name == "export"))  # what takes longest comes last
    tally.add("cases", len(cases))
    tally.add("wanted", len(wanted))
    for story, call, number, mode in wanted:
        if time.monotonic() > until:
            break
        one(tally, world, story, call, number, mode)
        tally.add("tried")
    return tally
