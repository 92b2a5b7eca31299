"""Whole processes: what they print, what they leave, how they end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import REPOSITORY, FinishedRace, Refused, drawn_classes, files_no_longer_than, write_files

from core.__main__ import main
from core.data.dataset import Dataset
from core.runs.store import RunStore
from core.storage import FULL_SENTENCE


def run_command(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The real thing, with warnings as errors."""
    environment = {**os.environ, "THAW_HOME": str(home), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-W", "error", "-m", "core", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment, timeout=300)


def test_a_real_process_trains(thaw_home: Path, few_folder: Path):
    options = ["--scenario", "frozen", "--views", "1", "--l2", "0.1", "--json"]
    done = run_command("train", "--data", str(few_folder), *options, home=thaw_home)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["run"] == RunStore().runs()[0].id


def test_a_real_process_ends_with_its_error_whatever_is_still_being_loaded(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    code = (
        "import time; from core import __main__ as command_line; from core.commands import train\n"
        "train.preload = lambda: time.sleep(3600)\n"
        f"command_line.run_and_leave(['train', '--data', {str(tmp_path / 'empty')!r}])"
    )
    environment = {**os.environ, "THAW_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, env=environment, timeout=300
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and "python -m core train: " in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are other things there")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_traceback(tmp_path: Path, unbuffered: str):
    command = [sys.executable, "-m", "core", "runs"]
    environment = {**os.environ, "THAW_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    process.stdout.close()

    assert process.communicate(timeout=300)[1] == b"" and process.returncode == 1


def test_whoever_interrupts_before_anything_was_imported_gets_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    class Interrupted:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "core.commands.parser":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "core.commands.parser", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted, *sys.meta_path])

    assert main(["runs"]) == 130
    assert capsys.readouterr().err == "python -m core: stopped.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are other things there")
@pytest.mark.parametrize("closed", [1, 2])
def test_an_output_that_is_closed_is_no_traceback(tmp_path: Path, closed: int):
    done = subprocess.run(
        [sys.executable, "-m", "core", "runs"],
        cwd=REPOSITORY,
        capture_output=True,
        env={**os.environ, "THAW_HOME": str(tmp_path / "home")},
        preexec_fn=lambda: os.close(closed),
        timeout=300,
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_names_that_a_terminal_cannot_show_do_not_stop_anything(tmp_path: Path):
    odd = {"discs": "蚂蚁", "squares": "bee 🐝", "stripes": "caf\udce9"}  # the last one is no UTF-8
    files = {
        name.replace(kind, odd[kind]): data for name, data in drawn_classes(4).items() for kind in odd if kind in name
    }

    done = run_command("data", str(write_files(tmp_path / "b\udce9ld", files)), home=tmp_path / "home")

    assert (done.returncode, done.stderr) == (0, "")
    assert "12 pictures, 3 classes" in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("asked_for", ["runs", "--help", "race --help", "--version"])
def test_a_result_that_cannot_be_printed_is_one_line(asked_for: str, unbuffered: str):
    command = [sys.executable, "-m", "core", *asked_for.split()]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300
        )

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "could not be printed (No space left on device)" in done.stderr


def test_a_quota_that_is_too_small_for_weights_is_one_line_and_the_runs_cause(refused: Refused, tiny_dataset: Dataset):
    with files_no_longer_than(9_000_000):  # of 16
        said = refused("train", "--data", tiny_dataset.id, "--epochs", "1")

    assert said == f"python -m core train: {FULL_SENTENCE}\n"
    assert [(run.state, run.cause) for run in RunStore().runs()] == [("failed", FULL_SENTENCE)]


def test_a_zip_that_does_not_fit_is_named_and_leaves_nothing(
    refused: Refused, finished_race: FinishedRace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    target, network = tmp_path / "run.zip", os.urandom(16_000_000)  # what a translation has, in no time
    monkeypatch.setattr("core.takehome.export._save_onnx", lambda *made: made[-1].write_bytes(network))

    with files_no_longer_than(20_000_000):  # of 33, and the network alone is 16
        said = refused("export", finished_race.run("frozen"), str(target))

    assert "no room left for 'run.zip'; nothing was written" in said and list(tmp_path.iterdir()) == []


def test_names_of_3000_characters_are_refused_in_one_line(refused: Refused, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.commands.train.preload", lambda: None)

    for command in (
        "data {}",
        "train --data {}",
        "classify {} a.png",
        "compare {} recorded-{}",
        "export {} a.zip",
        "export a {}.zip",
        "import {}",
        "publish {} a/b",
    ):
        refused(*command.format("x" * 3000, "x" * 3000).split())
