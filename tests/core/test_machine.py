"""What the machine is, and what of it may be used."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from helpers import REPOSITORY

from core import NOTHING_REPORTED, machine
from core.machine import (
    KEPT_AT_HOME,
    forget_peak_memory,
    keep_freed_memory,
    peak_memory,
    prepare_process,
    this_machine,
    usable_cores,
    usable_memory,
)


@pytest.fixture(autouse=True)
def threads_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")


def set_cgroup(monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """The container's limits, as the kernel's files would say them."""
    found = {f"/sys/fs/cgroup/{name.replace('_', '.')}": text for name, text in files.items()}
    monkeypatch.setattr(machine, "_read", lambda path: found.get(path, ""))


def test_the_machine_is_described_by_what_decides_speed_and_numbers():
    found = this_machine()

    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert 0 < found.memory_bytes <= psutil.virtual_memory().total
    assert f"{found.cores} cores" in str(found)
    assert found.torch[0].isdigit() and found.torchvision[0].isdigit()


@pytest.mark.parametrize(("quota", "cores"), [("100000 100000", 1), ("250000 100000", 2), ("50000 100000", 1)])
def test_a_containers_quota_of_processor_time_counts(monkeypatch: pytest.MonkeyPatch, quota: str, cores: int):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    set_cgroup(monkeypatch, cpu_max=quota)

    assert usable_cores() == cores


@pytest.mark.parametrize("quota", ["max 100000", "", "nonsense"])
def test_without_a_quota_the_affinity_counts(monkeypatch: pytest.MonkeyPatch, quota: str):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(3)), raising=False)
    set_cgroup(monkeypatch, cpu_max=quota)

    assert usable_cores() == 3


@pytest.mark.parametrize(("wanted", "cores"), [("1", 1), ("2", 2), ("99", 3), ("0", 1), ("many", 3), ("", 3)])
def test_whoever_shares_the_machine_can_ask_for_fewer(monkeypatch: pytest.MonkeyPatch, wanted: str, cores: int):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(3)), raising=False)
    set_cgroup(monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)

    assert usable_cores() == cores


def test_a_containers_memory_limit_counts_if_it_is_lower(monkeypatch: pytest.MonkeyPatch):
    total = psutil.virtual_memory().total

    for limit, expected in (("1000000", 1_000_000), ("max", total), (str(2 * total), total)):
        set_cgroup(monkeypatch, memory_max=limit)
        assert usable_memory() == expected


def test_freed_memory_is_kept_in_a_process_of_its_own_and_nothing_breaks():
    code = "from core.machine import keep_freed_memory as keep; keep(); keep(); print(len(bytes(10**8)))"

    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "100000000"


def test_peak_memory_is_counted_anew():
    held = bytearray(b"x" * 300 * 1024**2)
    before = peak_memory()
    del held
    forget_peak_memory()

    assert peak_memory() < before - 200 * 1024**2


def test_without_glibc_memory_is_left_to_the_system(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.machine.ctypes.CDLL", lambda name: object())

    keep_freed_memory()


def test_what_is_left_out_of_garbage_collection_is_no_leak_when_the_process_ends():
    code = """
import gc
from core.machine import imports_exempt_from_gc
with imports_exempt_from_gc():
    import torch, torchvision
    while_at_it = gc.isenabled()
print(gc.get_freeze_count(), len(gc.get_objects()), while_at_it, gc.isenabled())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    exempt, left, while_at_it, afterwards = done.stdout.split()
    assert int(exempt) > 100_000 and int(left) < 10_000
    assert (while_at_it, afterwards) == ("False", "True")
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["core", "core.models.compiled", "core.__main__", "core.runs.worker"])
def test_whatever_is_imported_first_nothing_is_reported_to_makers_of_libraries(name: str):
    unset = {key: value for key, value in os.environ.items() if key not in NOTHING_REPORTED}
    code = f"import os, {name}\nprint([os.environ[key] for key in {list(NOTHING_REPORTED)}])"
    asked_for = {"ORT_DISABLE_TELEMETRY": ""}  # as left by a shell that has it set to nothing
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env={**unset, **asked_for}, capture_output=True, text=True
    )

    assert done.stdout.strip() == str(list(NOTHING_REPORTED.values())), done.stderr


def test_what_libraries_keep_is_kept_below_thaws_home(thaw_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in KEPT_AT_HOME:
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))

    prepare_process()

    assert all(Path(os.environ[name]).is_relative_to(thaw_home) for name in KEPT_AT_HOME)
    assert not (tmp_path / "elsewhere").exists()
