"""What this machine is and what it may use, as its container allows."""

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# psutil and importlib.metadata only where they are needed: whoever waits for pictures waits for this module, too


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Processor, cores and memory that this process may use, and the versions that decide what it computes."""

    processor: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    torch: str
    torchvision: str

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{self.processor}, {cores}, {self.memory_bytes / 1024**3:.0f} GB"


@cache
def this_machine() -> Machine:
    """The machine, read once."""
    from importlib.metadata import version

    return Machine(
        processor=_processor(),
        cores=usable_cores(),
        memory_bytes=usable_memory(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=version("torch"),
        torchvision=version("torchvision"),
    )


def usable_cores() -> int:
    """Whole cores, at least 1: the affinity mask, cut by the container's quota (cgroup v2 `cpu.max`).

    Whoever sets `OMP_NUM_THREADS`, as on a machine shared with other work, gets at most so many.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = min(cores, max(1, int(quota) // int(period)))
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, max(1, int(wanted))) if wanted.isdecimal() else cores


def usable_memory() -> int:
    """Bytes: the machine's memory, cut by the container's limit (cgroup v2 `memory.max`)."""
    import psutil

    total = int(psutil.virtual_memory().total)
    limit = _read("/sys/fs/cgroup/memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _processor() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
