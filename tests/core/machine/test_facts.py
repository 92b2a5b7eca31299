"""What the machine is, and what of it may be used."""

import os

import psutil
import pytest

from core.machine import facts as machine
from core.machine.facts import this_machine, usable_cores, usable_memory


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
    assert f", {found.cores} core" in str(found)
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
