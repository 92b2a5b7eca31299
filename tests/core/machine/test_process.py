"""How a process of Thaw's own is set up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import REPOSITORY

from core import NOTHING_REPORTED
from core.machine.process import KEPT_AT_HOME, forget_peak_memory, keep_freed_memory, peak_memory, prepare_process


def test_freed_memory_is_kept_in_a_process_of_its_own_and_nothing_breaks():
    code = "from core.machine.process import keep_freed_memory as keep; keep(); keep(); print(len(bytes(10**8)))"

    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "100000000"


def test_peak_memory_is_counted_anew():
    held = bytearray(b"x" * 300 * 1024**2)
    before = peak_memory()
    del held
    forget_peak_memory()

    assert peak_memory() < before - 200 * 1024**2


def test_without_glibc_memory_is_left_to_the_system(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.machine.process.ctypes.CDLL", lambda name: object())

    keep_freed_memory()


def test_what_is_left_out_of_garbage_collection_is_no_leak_when_the_process_ends(tricks: None):
    code = """
import gc
from core.machine.process import imports_exempt_from_gc
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


@pytest.mark.parametrize("name", ["core", "core.models.accel.compiled", "core.__main__", "core.runs.worker"])
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
