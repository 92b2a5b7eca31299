"""The proof that runs survive finds what is wrong with a Thaw that was broken on purpose, and nothing with this one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import REPOSITORY

pytestmark = pytest.mark.slow
BROKEN = {
    "": "",
    "forgets the optimiser": "core.training.checkpoint._parameters = lambda stepper: []",
    "keeps half a checkpoint": "core.training.checkpoint.write_atomically = half",
    "believes a dead worker": "core.runs.healing.is_gone = lambda worker: False",
}
CODE = """
import sys, time
sys.path[:0] = ["benchmarks"]
import proof
import core.runs.healing, core.training.checkpoint
from pathlib import Path
from proving import kills

def half(path, content, while_ours):
    path.write_bytes(content[: len(content) // 2])

place, broken = Path(sys.argv[1]), sys.argv[2]
world = kills.build_world(place, seeds=1)
kills.STUCK_S = 8.0
exec(broken)
tally = kills.resume(world, 2, 0, time.monotonic() + 200)
print(proof.json.dumps([tally.counts, tally.faults]))
"""


@pytest.mark.parametrize("what", BROKEN)
def test_the_proof_finds_what_is_broken(what: str, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), BROKEN[what]],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    counts, faults = json.loads(done.stdout)

    assert counts["kills"] >= 2
    assert bool(faults) == bool(what), faults
