"""The proof that runs survive finds what is wrong with a Thaw that was broken on purpose, and nothing with this one."""

import json
import os
import subprocess
import sys

import pytest
from helpers import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.takes(10)]  # the first of them, for all
BROKEN = {
    "": "",
    "forgets the optimiser": "core.training.checkpoint._parameters = lambda stepper: []",
    "keeps half a checkpoint": "core.training.checkpoint.write_atomically = half",
    "believes a dead worker": "core.runs.healing.is_gone = lambda worker: False; kills.STUCK_S = 3.0",
}
CODE = """
import os, sys, time
sys.path[:0] = ["benchmarks"]
import proof
import core.runs.healing, core.training.checkpoint
from dataclasses import replace
from pathlib import Path
from proving import kills

def half(path, content, while_ours):
    path.write_bytes(content[: len(content) // 2])

def tell(number, change):
    (folder := place / str(number)).mkdir()
    exec(change, globals())
    tally = kills.resume(replace(world, place=folder), 2, 0, time.monotonic() + 200)
    (folder / "told.json").write_text(proof.json.dumps([tally.counts, tally.faults]))
    os._exit(0)

place, changes = Path(sys.argv[1]), sys.argv[2:]
world = kills.build_world(place, seeds=1)
kills.STUCK_S = 20.0
begun = [os.fork() or tell(number, change) for number, change in enumerate(changes)]
assert not any(os.waitpid(pid, 0)[1] for pid in begun)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, int], list[str]]]:
    """What the proof counts and finds, of each: in one world, and side by side, for all of them wait a lot."""
    place = tmp_path_factory.mktemp("proof")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(place), *BROKEN.values()],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return {what: json.loads((place / str(number) / "told.json").read_text()) for number, what in enumerate(BROKEN)}


@pytest.mark.parametrize("what", BROKEN)
def test_the_proof_finds_what_is_broken(what: str, told: dict[str, tuple[dict[str, int], list[str]]]):
    counts, faults = told[what]

    assert counts["kills"] >= 2
    assert bool(faults) == bool(what), faults
