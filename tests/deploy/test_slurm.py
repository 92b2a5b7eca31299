"""`deploy/slurm.sh`, with stand-ins for Slurm's own programs: the job's machines are this one."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import REPOSITORY

SCRIPT = REPOSITORY / "deploy" / "slurm.sh"
SRUN = """#!/bin/sh
# runs what it is given here, on one core of a node that asks for no more, as srun does
while [ "${1#-}" != "$1" ]; do if [ "$1" = -w ]; then shift; fi; shift; done
echo "${SRUN_CPUS_PER_TASK:-1} $*" >> "$CALLS"
exec "$@"
"""
SCONTROL = """#!/bin/sh
[ "$1 $2" = "show hostnames" ] && echo "$3" | tr , '\\n'
"""


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The environment of a batch script."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "submitted").mkdir()
    for name in ("core", ".venv"):
        (tmp_path / "submitted" / name).symlink_to(REPOSITORY / name if name == "core" else Path(sys.prefix))
    slurm = {"SUBMIT_DIR": tmp_path / "submitted", "JOB_ID": os.getpid(), "JOB_NODELIST": "one,two", "CPUS_PER_TASK": 1}
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "CALLS": str(tmp_path / "calls"),
        **{f"SLURM_{name}": str(value) for name, value in slurm.items()},
    }


def run(job: dict[str, str], script: Path, pictures: Path, timeout: float) -> "subprocess.CompletedProcess[str]":
    """A script, and the end of all that it has begun, as at the end of a job."""
    process = subprocess.Popen(
        ["bash", str(script), str(pictures)],
        env=job,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        process.wait(timeout)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, said)


def test_a_job_ends_where_its_first_node_does(job: dict[str, str], tmp_path: Path):
    """Else it would wait until its time is up."""
    ray = tmp_path / "programs" / "ray"
    ray.write_text("#!/bin/sh\necho no room; exit 1\n")
    ray.chmod(0o755)
    activate = tmp_path / "submitted" / ".venv" / "bin" / "activate"
    activate.parent.parent.unlink()
    activate.parent.mkdir(parents=True)
    activate.write_text("")  # our `ray` comes first

    done = run({**job, "THAW_DATABASE": "sqlite://"}, SCRIPT, tmp_path, timeout=60)

    assert done.returncode == 1 and "no room" in done.stdout
    assert not list(tmp_path.glob(".thaw-ray-*")), "the token is gone"


@pytest.mark.slow
@pytest.mark.takes(40)
def test_a_race_trains_on_the_jobs_machines(job: dict[str, str], tiny_folder: Path, tmp_path: Path):
    pytest.importorskip("ray", reason="the extra `ray` is not installed: pip install 'thaw-lab[ray]'")
    if not Path(sys.prefix, "bin", "activate").exists():
        pytest.skip("the tests are not run from a virtual environment, which the script takes")
    short = tmp_path / "short.sh"
    text = SCRIPT.read_text()
    assert "--seeds 0,1,2,3,4" in text
    short.write_text(text.replace("--seeds 0,1,2,3,4", "--seeds 0 --epochs 1"))

    done = run({**job, "THAW_DATABASE": f"sqlite:///{tmp_path}/runs.db"}, short, tiny_folder, timeout=400)

    assert done.returncode == 0, done.stdout[-3000:]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["1", "1", "1"]
    assert sum("ray start --head" in call for call in calls) == 1
