"""The command line: the same calls as the pages, JSON on standard output, one clear line on bad input."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import (
    KINDS,
    REPOSITORY,
    FinishedRace,
    drawn,
    drawn_classes,
    files_no_longer_than,
    noise,
    write_files,
    write_zip,
)
from PIL import Image

from core import commands
from core.__main__ import build_parser, main
from core.data.dataset import Dataset, stored_datasets
from core.data.ingest import ingest
from core.machine.devices import Device
from core.machine.speeds import WORKS, Peaks, load_speeds, save_peaks, save_speeds
from core.models.catalogue import BACKBONES
from core.runs.example import example_runs
from core.runs.record import load_predictions, load_record
from core.runs.results import load_outcome
from core.runs.store import Run, RunStore
from core.settings.scenarios import SCENARIOS
from core.settings.schema import RunSettings
from core.storage import FULL_SENTENCE

RUN_FIELDS = {
    "run",
    "scenario",
    "backbone",
    "seed",
    "test_accuracy",
    "val_accuracy",
    "duration_s",
    "timings",
    "freeze_audit",
    "parameters",
}


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What a command prints with --json; nothing may go to standard error."""
    code = main([*arguments, "--json"])
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    return json.loads(printed.out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command says before it ends with exit code 2."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert printed.err.endswith("\n") and printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    return printed.err


def test_data_describes_a_data_set(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    files = {**drawn_classes(10), "discs/broken.jpg": b"", "discs/a.gif": b"GIF89a", "notes.txt": b"hello"}
    values = asked(capsys, "data", str(write_zip(tmp_path / "tiny.zip", files)))

    assert values["classes"] == ["discs", "squares", "stripes"]
    assert values["counts"]["test"] == {"discs": 2, "squares": 2, "stripes": 2}
    assert sum(sum(part.values()) for part in values["counts"].values()) == 30
    assert list(values["counts"]) == ["train", "val", "test"]
    assert values["skipped"] == [{"file": "discs/broken.jpg", "reason": "is empty (0 bytes)"}]
    assert len(values["ignored"]) == 2 and len(values["fingerprint"]) == 64


def test_data_tells_a_person_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    folder = write_files(tmp_path / "tiny", {**drawn_classes(10), "discs/broken.jpg": b"", "notes.txt": b"hello"})

    assert main(["data", str(folder)]) == 0

    printed = capsys.readouterr().out
    assert "tiny: 30 pictures, 3 classes" in printed
    assert "skipped discs/broken.jpg: is empty" in printed and "ignored 1 (not a picture)" in printed


def test_a_race_gives_its_runs_and_a_verdict(finished_race: FinishedRace):
    values = finished_race.values
    runs = values["runs"]

    assert set(values) == {"race", "runs", "verdict"}
    assert [(run["scenario"], run["state"], run["seed"]) for run in runs] == [
        ("frozen", "finished", 0),
        ("finetuned", "finished", 0),
    ]
    assert all(set(run) >= RUN_FIELDS for run in runs)
    assert values["verdict"]["sentence"]
    assert [pair["outcome"] for pair in values["verdict"]["pairs"]] == ["cannot-tell"]  # six test pictures, one seed
    assert len({run["split"]["hash"] for run in runs}) == 1


def test_a_run_says_what_it_did(finished_race: FinishedRace):
    frozen, tuned = finished_race.values["runs"]

    assert 0 <= frozen["test_accuracy"] <= 1 and 0 <= frozen["val_accuracy"] <= 1
    assert sum(frozen["timings"].values()) == pytest.approx(frozen["duration_s"])
    assert frozen["timings"]["decode"] > 0 and tuned["timings"]["decode"] == 0
    assert frozen["freeze_audit"]["bit_identical"] and not tuned["freeze_audit"]["bit_identical"]
    assert frozen["parameters"]["trained"] < 0.01 * frozen["parameters"]["total"]
    assert tuned["parameters"]["trained"] == tuned["parameters"]["total"]
    assert frozen["work"]["pictures_forward"] == 2 * frozen["split"]["train"] + sum(
        frozen["split"][part] for part in ("val", "test")
    )


def test_train_gives_one_run(capsys: pytest.CaptureFixture[str], tiny_folder: Path):
    options = ["--scenario", "frozen", "--seed", "4", "--epochs", "2", "--backbone", "efficientnet_lite0"]
    values = asked(capsys, "train", "--data", str(tiny_folder), *options)

    assert set(values) >= RUN_FIELDS
    record = load_record(values["run"])
    assert (values["scenario"], values["seed"], values["epochs"]) == ("frozen", 4, len(record.history))
    assert record.settings.optim.epochs == 2 and values["precision"] == record.precision
    assert asked(capsys, "runs")["runs"][0]["run"] == values["run"]


def test_classify_gives_the_stored_test_predictions(capsys: pytest.CaptureFixture[str], finished_race: FinishedRace):
    for scenario in ("frozen", "finetuned"):
        run = finished_race.run(scenario)
        stored = load_predictions(run).probabilities
        files = [str(finished_race.folder / name) for name in load_record(run).test_names]

        values = asked(capsys, "classify", run, *files)

        names = values["class_names"]
        given = np.array([[row["probabilities"][name] for name in names] for row in values["pictures"]])
        assert np.abs(given - stored).max() <= 1e-5
        assert [row["predicted"] for row in values["pictures"]] == [names[i] for i in stored.argmax(1)]
        assert [row["file"] for row in values["pictures"]] == files


def test_classify_names_what_it_cannot_read_and_answers_the_rest(
    capsys: pytest.CaptureFixture[str], finished_race: FinishedRace, tmp_path: Path
):
    (tmp_path / "letter.jpg").write_text("dear aunt, this is a letter")
    files = [str(finished_race.folder / "discs" / "0.png"), str(tmp_path / "letter.jpg"), "nosuch.jpg"]
    values = asked(capsys, "classify", finished_race.run("frozen")[:6], *files, "--top", "1")

    first, second, third = values["pictures"]
    assert len(first["top"]) == 1 and first["top"][0]["class"] == first["predicted"]
    assert second["error"] == "is not a picture (text file)" and "is not there" in third["error"]


def test_compare_gives_a_verdict(capsys: pytest.CaptureFixture[str], finished_race: FinishedRace):
    values = asked(capsys, "compare", finished_race.run("frozen"), finished_race.run("finetuned"))

    assert values["verdict"] == values["outcome"]
    assert values["sentence"]


def test_runs_lists_all_newest_first(capsys: pytest.CaptureFixture[str], finished_race: FinishedRace):
    values = asked(capsys, "runs")

    assert [run["scenario"] for run in values["runs"]] == ["finetuned", "frozen"]
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.count("test accuracy") == 2


def test_without_runs_there_is_a_hint(capsys: pytest.CaptureFixture[str]):
    assert asked(capsys, "runs") == {"runs": []}
    assert main(["runs"]) == 0
    assert "python -m core train" in capsys.readouterr().out


def test_backbones_lists_all_with_where_their_weights_are(capsys: pytest.CaptureFixture[str]):
    rows = {row["name"]: row for row in asked(capsys, "backbones")["backbones"]}

    assert list(rows) == list(BACKBONES)
    assert rows["efficientnet_lite0"]["available"] and rows["efficientnet_lite0"]["weights"] == "ImageNet, packaged"
    assert not rows["resnet18"]["available"] and "not here" in rows["resnet18"]["weights"]


TRAIN = ("train", "--data", "TINY")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required: command"),
        (("melt",), "invalid choice: 'melt'"),
        (("data",), "required: D"),
        (("data", "nosuch.zip"), "There is no file or folder called 'nosuch.zip'"),
        (("data", "~nobody-of-this-name/x"), "There is no file or folder"),
        (("data", "x" * 5000), "There is no file or folder"),
        (("data", "EMPTY"), "No pictures found"),
        (("train",), "required: --data"),
        (("train", "--data", "nosuch"), "There is no file or folder"),
        ((*TRAIN, "--scenario", "thawed"), "scenario is 'thawed'; choose one of: frozen"),
        ((*TRAIN, "--backbone", "resnet9000"), "backbone is 'resnet9000'; choose one of"),
        ((*TRAIN, "--augment", "wild"), "preset is 'wild'; choose one of"),
        ((*TRAIN, "--epochs", "0"), "epochs is 0; it must lie between 1 and 200"),
        ((*TRAIN, "--epochs", "many"), "--epochs: invalid int value: 'many'"),
        ((*TRAIN, "--epochs", "2.5"), "--epochs: invalid int value: '2.5'"),
        ((*TRAIN, "--lr", "nan"), "lr is nan; it must be a number"),
        ((*TRAIN, "--lr", "1000"), "lr is 1000; it must lie between"),
        ((*TRAIN, "--seed", "-1"), "seed is -1"),
        ((*TRAIN, "--val-fraction", "0.9"), "val_fraction is 0.9"),
        ((*TRAIN, "--scenario", "scratch", "--weights", "imagenet"), "scenario is scratch"),
        ((*TRAIN, "--scenario", "last-stages", "--last-stages", "12"), "last_stages is 12"),
        ((*TRAIN, "--backbone", "vit_b_16", "--train-size", "160"), "ViT-B/16 takes pictures of one size only"),
        ((*TRAIN, "--train-size", "95"), "train_size is 95; it must lie between 96 and 512"),
        ((*TRAIN, "--train-size", "99.5"), "--train-size: invalid int value: '99.5'"),
        ((*TRAIN, "--precision", "fp16"), "precision is 'fp16'; choose one of: auto, fp32, bf16"),
        ((*TRAIN, "--l2", "0"), "l2 is 0; it must lie between"),
        ((*TRAIN, "--ema", "1"), "ema is 1; it must lie between"),
        ((*TRAIN, "--stage-decay", "2"), "stage_decay is 2; it must lie between"),
        ((*TRAIN, "--probe-epochs", "3"), "unrecognized arguments: --probe-epochs 3"),
        (("race", "--data", "TINY", "--scenarios", "frozen,thawed"), "no scenario 'thawed'"),
        (("race", "--data", "TINY", "--scenarios", ","), "at least one scenario and one seed"),
        (("race", "--data", "TINY", "--seeds", "a"), "--seeds is 'a'; give whole numbers"),
        (("race", "--data", "TINY", "--seeds", "-5"), "seed is -5"),
        (("compare", "a", "b"), "There is no run 'a'"),
        (("classify", "nosuch", "x.jpg"), "There is no run 'nosuch'"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_bad_input_ends_with_one_clear_line_and_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_folder: Path, arguments: tuple[str, ...], message: str
):
    (tmp_path / "empty").mkdir()
    places = {"TINY": str(tiny_folder), "EMPTY": str(tmp_path / "empty")}

    assert message in refused(capsys, *(places.get(word, word) for word in arguments))
    assert RunStore().runs() == []


def test_classify_refuses_what_makes_no_sense(capsys: pytest.CaptureFixture[str], finished_race: FinishedRace):
    run, picture = finished_race.run("frozen"), str(finished_race.folder / "discs" / "0.png")

    assert "nosuch.jpg: skipped, it is not there" in refused(capsys, "classify", run, "nosuch.jpg")
    for top in ("0", "-1"):
        assert "top" in refused(capsys, "classify", run, picture, "--top", top)


def test_a_run_that_has_not_finished_cannot_be_used(capsys: pytest.CaptureFixture[str]):
    from core.settings.schema import RunSettings

    (run,) = RunStore().submit([RunSettings()], "pictures")

    assert f"The run {run} is queued; only finished runs can be used" in refused(capsys, "classify", run, "x.jpg")
    assert "is queued" in refused(capsys, "compare", run, run)


def test_a_run_that_fails_ends_with_its_cause_and_code_2(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path, monkeypatch
):
    monkeypatch.setenv("THAW_OFFLINE", "1")

    message = refused(capsys, "train", "--data", str(tiny_folder), "--backbone", "resnet18")

    assert "ResNet-18" in message and "EfficientNet-Lite0" in message and "From scratch" in message


def started_training(folder: Path, seen: Callable[[Run], object]) -> "subprocess.Popen[bytes]":
    """A race on the command line, of which the first run is at work and the second one waits."""
    options = ["--scenarios", "finetuned,scratch", "--epochs", "200", "--batch-size", "8"]
    command = [sys.executable, "-m", "core", "race", "--data", str(folder), *options]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    deadline = time.monotonic() + 150
    while not any(seen(run) for run in RunStore().runs()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    return process


def ends(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str | None]]:
    return [(run["state"], run["cause"]) for run in asked(capsys, "runs")["runs"]]


GONE = ("cancelled", "The command that trained it was ended, and the run with it.")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_that_is_killed_has_ended_and_is_nobody_elses_to_do(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path, number: signal.Signals
):
    with started_training(tiny_folder, lambda run: run.state == "running" and run.progress) as process:
        process.send_signal(number)

    assert ends(capsys) == [GONE, GONE]
    assert RunStore().claim() is None


def test_an_interrupted_training_is_cancelled(capsys: pytest.CaptureFixture[str], tiny_folder: Path):
    with started_training(tiny_folder, lambda run: run.state == "running" and run.progress) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)

    assert process.returncode == 130 and b"Traceback" not in said
    assert [(run.state, run.cause) for run in RunStore().runs()] == [("cancelled", None)] * 2


def test_what_an_apps_worker_trains_for_a_command_ends_when_the_command_is_killed(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path
):
    worker = RunStore()
    (busy,) = worker.submit([RunSettings()], "pictures")
    ours = worker.claim()
    assert ours is not None and ours.id == busy
    with started_training(tiny_folder, lambda run: run.state == "queued") as process:
        worker.end(ours, "finished", summary={})
        while (taken := worker.claim()) is None:  # the command may have been faster
            (running,) = worker.runs(states=("running",))
            worker.give_back(running)
        assert worker.report(taken)
        process.kill()
    worker.heal()

    assert not worker.report(taken), "the worker learns at its next report"
    worker.end(taken, "cancelled")
    states = [(run.state, run.cause) for run in worker.runs()]
    assert states == [GONE, GONE, ("finished", None)]


def test_runs_tells_how_things_really_are(capsys: pytest.CaptureFixture[str]):
    code = (
        "from core.runs.store import RunStore; from core.settings.schema import RunSettings\n"
        "RunStore().submit([RunSettings()], 'pictures'); assert RunStore().claim()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)

    ((state, cause),) = ends(capsys)
    assert state == "queued" and cause is not None and "ended unexpectedly" in cause


def test_every_option_of_a_run_is_told_in_its_help(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args(["train", "--help"])

    printed = capsys.readouterr().out
    assert end.value.code == 0
    named = ("epochs", "batch-size", "lr", "backbone-lr", "schedule", "views", "val-fraction")
    for option in (*named, "l2", "stage-decay", "ema", "train-size", "precision"):
        assert f"--{option} " in printed
    assert "(default: by scenario)" in printed


def test_the_defaults_of_the_command_line_are_those_of_the_settings(tiny_folder: Path):
    from core.__main__ import _settings
    from core.settings.schema import RunSettings

    arguments = build_parser().parse_args(["train", "--data", str(tiny_folder)])

    assert _settings(arguments) == RunSettings()
    for scenario in SCENARIOS:
        arguments = build_parser().parse_args(["train", "--data", "x", "--scenario", scenario])
        assert _settings(arguments).model.scenario == scenario


def test_the_ways_to_be_faster_reach_the_settings_as_what_they_are():
    from core.__main__ import _settings

    given = ["--l2", "0.5", "--ema", "0.9", "--train-size", "160", "--stage-decay", "0.8", "--precision", "bf16"]
    optim = _settings(build_parser().parse_args(["train", "--data", "x", *given])).optim

    assert (optim.l2, optim.ema, optim.stage_decay, optim.precision) == (0.5, 0.9, 0.8, "bf16")
    assert optim.train_size == 160 and isinstance(optim.train_size, int)


def test_machine_tells_what_was_measured(capsys: pytest.CaptureFixture[str]):
    save_peaks(Peaks(matmul_fp32=111.0, matmul_bf16=222.0, conv_fp32=333.0, conv_bf16=444.0, memory=5.0, decode=6.0))
    values = asked(capsys, "machine")
    lite0 = values["backbones"]["efficientnet_lite0"]

    assert values["peaks"]["matmul_bf16"] == 222.0 and values["machine"]["torch"]
    assert lite0["precision"] == dict.fromkeys(WORKS, "fp32") and lite0["probed"]["forward/fp32"] == 50.0
    assert main(["machine"]) == 0
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("222 GFLOP/s", "6 photos/s", "train-kept    fp32 50, bf16 40: fp32"))


def test_machine_tells_which_engine_was_faster(capsys: pytest.CaptureFixture[str]):
    save_peaks(Peaks(matmul_fp32=111.0, matmul_bf16=222.0, conv_fp32=333.0, conv_bf16=444.0, memory=5.0, decode=6.0))
    speeds = load_speeds("efficientnet_lite0")
    assert speeds is not None
    save_speeds("efficientnet_lite0", replace(speeds, engines={"torch": 50.0, "onnxruntime": 77.0}))

    assert asked(capsys, "machine")["backbones"]["efficientnet_lite0"]["engine"] == "onnxruntime"
    assert main(["machine"]) == 0
    printed = capsys.readouterr().out
    assert "forward fp32, torch: 50" in printed and "forward fp32, onnxruntime: 77" in printed


def test_machine_lists_each_card_with_its_speeds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    card = Device(kind="cuda", name="A card", memory_bytes=8 * 1024**3)
    monkeypatch.setattr("core.machine.devices._may_have_more", lambda: True)
    monkeypatch.setattr("core.machine.devices._accelerators", lambda: (card,))
    save_peaks(Peaks(matmul_fp32=111.0, matmul_bf16=222.0, conv_fp32=333.0, conv_bf16=444.0, memory=5.0, decode=6.0))
    speeds = load_speeds("efficientnet_lite0")
    assert speeds is not None
    probed = {name: 100 * rate for name, rate in speeds.probed.items()}
    save_speeds("efficientnet_lite0", replace(speeds, probed=probed), "cuda")

    found = asked(capsys, "machine")["devices"]

    assert [(row["kind"], row["name"]) for row in found] == [("cuda", "A card")]
    assert found[0]["backbones"]["efficientnet_lite0"]["probed"] == probed
    assert main(["machine"]) == 0
    assert "A card, 8 GB (cuda)" in (printed := capsys.readouterr().out) and "fp32 5000, bf16 4000: fp32" in printed


def test_a_device_that_is_not_here_is_refused_before_anything_is_queued(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path
):
    assert main(["train", "--data", str(tiny_folder), "--device", "cuda"]) == 2
    assert "device is cuda; this machine has no graphics card" in capsys.readouterr().err
    assert RunStore().runs() == []


def run_command(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The real thing, with warnings as errors."""
    environment = {**os.environ, "THAW_HOME": str(home), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-W", "error", "-m", "core", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment, timeout=300)


def test_a_real_process_trains_and_classifies(tmp_path: Path, tiny_folder: Path):
    done = run_command("train", "--data", str(tiny_folder), "--epochs", "1", "--json", home=tmp_path / "home")
    assert (done.returncode, done.stderr) == (0, "")
    run = json.loads(done.stdout)["run"]

    answer = run_command("classify", run, str(tiny_folder / "discs" / "0.png"), home=tmp_path / "home")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(str(tiny_folder / "discs" / "0.png"))


def test_what_trains_is_loaded_while_pictures_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    loading, read, patience_s = threading.Event(), list[bool](), 60.0
    monkeypatch.setattr("core.__main__.preload", loading.set)
    monkeypatch.setattr(
        commands, "ingest", lambda where, layout: read.append(loading.wait(patience_s)) or ingest(where)
    )

    for command in ("train", "race"):
        loading.clear()
        assert main([command, "--data", str(tmp_path)]) == 2
    assert read == [True, True]

    loading.clear()
    patience_s = 0.5
    assert main(["data", str(tmp_path)]) == 2
    assert not loading.is_set()


def test_a_real_process_ends_with_its_error_whatever_is_still_being_loaded(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    code = (
        "import time; from core import __main__ as command_line\n"
        "command_line.preload = lambda: time.sleep(3600)\n"
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
    command = [sys.executable, "-m", "core", "backbones"]
    environment = {**os.environ, "THAW_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    process.stdout.close()

    assert process.communicate(timeout=300)[1] == b"" and process.returncode == 1


def test_a_real_process_refuses_with_one_line(tmp_path: Path):
    done = run_command("data", "nosuch.zip", home=tmp_path / "home")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "python -m core data: There is no file or folder called 'nosuch.zip'. Give `builtin`, a zip or a folder.\n"
    )


def test_names_that_a_terminal_cannot_show_do_not_stop_anything(tmp_path: Path):
    files = {f"{kind}/{n}.png": data for kind, n, data in _odd_files()}
    folder = tmp_path / "b\udce9ld"
    write_files(folder, files)

    done = run_command("data", str(folder), home=tmp_path / "home")

    assert (done.returncode, done.stderr) == (0, "")
    assert "12 pictures, 3 classes" in done.stdout


def _odd_files() -> list[tuple[str, int, bytes]]:
    """The drawn classes under names in Chinese, with an emoji, and of bytes that are no UTF-8."""
    odd = {"discs": "蚂蚁", "squares": "bee 🐝", "stripes": "caf\udce9"}
    return [(odd[name.split("/")[0]], int(name.split("/")[1][:-4]), data) for name, data in drawn_classes(4).items()]


def test_a_comparison_is_printed_as_a_report_or_a_table_of_pictures(finished_race, capsys: pytest.CaptureFixture[str]):
    runs = [run["run"] for run in finished_race.values["runs"]]

    assert main(["compare", *runs, "--report", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("# Frozen against Fine-tuned")
    assert main(["compare", *runs, "--report", "csv"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("picture,true,A says")
    assert len(lines) - 1 == finished_race.values["runs"][0]["split"]["test"]


def test_a_race_is_printed_as_a_report_or_a_table_of_pairs(capsys: pytest.CaptureFixture[str]):
    recorded = [run.id for run in example_runs()]
    verdict = asked(capsys, "compare", *recorded)

    assert main(["compare", *recorded, "--report", "markdown"]) == 0
    assert verdict["sentence"] in capsys.readouterr().out
    assert main(["compare", *recorded, "--report", "csv"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 1 + len(verdict["pairs"]) and lines[0].startswith("first,second,seeds")
    assert main(["compare", *recorded]) == 0
    assert capsys.readouterr().out.count("for new seeds and new pictures") == len(verdict["arms"])


def test_classify_names_classes_for_a_coverage_and_says_what_it_promises(
    capsys: pytest.CaptureFixture[str], finished_race: FinishedRace
):
    run, picture = finished_race.run("frozen"), str(finished_race.folder / "discs" / "0.png")
    val = load_record(run).split["val"]

    (answer,) = (told := asked(capsys, "classify", run, picture, "--coverage", "0.5"))["pictures"]
    impossible = asked(capsys, "classify", run, picture, "--coverage", "0.99")

    assert told["sets"] == {"coverage": 0.5, "possible": True, "val_pictures": val}
    assert set(answer["named"]) <= set(told["class_names"])
    assert not impossible["sets"]["possible"] and set(impossible["pictures"][0]["named"]) == set(told["class_names"])
    assert main(["classify", run, picture, "--coverage", "0.99"]) == 0
    assert f"With {val} val pictures no coverage of 99% can be promised" in capsys.readouterr().out
    assert "between 0 and 1" in refused(capsys, "classify", run, picture, "--coverage", "90")


def test_classify_writes_a_heat_map_for_each_picture_it_can_read(
    capsys: pytest.CaptureFixture[str], finished_race: FinishedRace, tmp_path: Path
):
    folder, broken = tmp_path / "new" / "maps", tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    pictures = [str(finished_race.folder / kind / "0.png") for kind in ("discs", "squares")]  # of the same name
    command = ("classify", finished_race.run("finetuned"), pictures[0], str(broken), pictures[1], "--explain")

    told = asked(capsys, *command, str(folder))["pictures"]

    assert sorted(path.name for path in folder.iterdir()) == ["001-0.png", "003-0.png"]
    assert [row.get("heat_map") for row in told] == [str(folder / "001-0.png"), None, str(folder / "003-0.png")]
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert image.size == (224, 224)
    assert "no picture can be written there (File exists)." in refused(capsys, *command, str(broken))


def test_a_folder_is_classified_picture_by_picture(
    capsys: pytest.CaptureFixture[str], finished_race: FinishedRace, tmp_path: Path
):
    folder = write_files(
        tmp_path / "new", {"a/1.png": drawn("discs", 70), "2": drawn("squares", 71), "notes.txt": b"x"}
    )

    values = asked(capsys, "classify", finished_race.run("frozen"), str(folder))

    assert [row["file"] for row in values["pictures"]] == [str(folder / "2"), str(folder / "a/1.png")]
    (tmp_path / "empty").mkdir()
    assert "There is no picture in 'empty'" in refused(
        capsys, "classify", finished_race.run("frozen"), str(tmp_path / "empty")
    )
    assert "empty name" in refused(capsys, "classify", finished_race.run("frozen"), "")


def test_a_layout_can_be_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    folders = ("ants/day", "ants/night", "bees/day", "bees/night")
    files = {
        f"{folder}/{n}.png": drawn("discs", 10 * place + n) for place, folder in enumerate(folders) for n in range(6)
    }
    path = str(write_files(tmp_path / "set", files))

    said = refused(capsys, "data", path)
    assert (
        "give --layout subfolders (classes day and night" in said and "--layout folders (classes ants and bees)" in said
    )
    assert asked(capsys, "data", path, "--layout", "folders")["classes"] == ["ants", "bees"]
    assert asked(capsys, "data", path, "--layout", "subfolders")["read_as"].startswith("classes day and night")
    assert "There is no layout 'sideways'" in refused(capsys, "data", path, "--layout", "sideways")


def lacking(tmp_path: Path) -> Path:
    """Stripes are in val alone, which is the test part here."""
    files = {f"train/{name}": data for name, data in drawn_classes(6).items() if not name.startswith("stripes")}
    return write_files(tmp_path / "lacking", files | drawn_classes(4, prefix="val/", first=20))


def test_a_class_that_is_not_in_train_is_said_beside_every_accuracy_and_verdict(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    train = (
        "The class stripes has no picture in train: it can never be named, and all of its 4 test pictures count as "
        "wrong."
    )
    val = (
        "The class stripes has no picture in val: what is chosen there, like the best epoch and the temperature, "
        "is chosen without it."
    )
    folder = str(lacking(tmp_path))

    assert main(["data", folder]) == 0
    told = capsys.readouterr().out
    assert f"warning: {train}" in told and f"warning: {val}" in told
    assert main(["race", "--data", folder, "--scenarios", "frozen", "--seeds", "0,1"]) == 0
    raced = capsys.readouterr().out
    assert raced.count(f"\n  warning: {train}\n  warning: {val}") == 2, "beside both accuracies"
    assert f"nothing to be compared with. {train} {val}" in raced
    runs = asked(capsys, "runs")["runs"]
    assert [run["lacks"] for run in runs] == [[train, val]] * 2
    assert asked(capsys, "compare", *(run["run"] for run in runs))["sentence"].endswith(f"{train} {val}")


def test_one_class_in_train_is_refused_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    files = {name: data for name, data in drawn_classes(6, "train/").items() if "discs" in name}
    files |= {name: data for name, data in drawn_classes(6, "test/", 20).items() if "squares" in name}
    folder = str(write_files(tmp_path / "apart", files))

    assert main(["data", folder]) == 0, "it can be looked at and mended"
    capsys.readouterr()
    for command in (["train"], ["race", "--seeds", "0,1"]):
        assert "Only the class discs has pictures in train" in refused(capsys, *command, "--data", folder)
    assert RunStore().runs() == []


def bursts(sizes: list[int]) -> dict[str, bytes]:
    """Of each class so many different pictures, each so many times: the same picture as different files."""
    return {
        f"{kind}/{number}-{copy}.png": drawn(kind, number) + b"\0" * copy
        for kind in ("discs", "squares")
        for number, size in enumerate(sizes)
        for copy in range(size)
    }


@pytest.mark.parametrize("sizes", [[1, 1, 1, 8], [1, 1, 6]], ids=str)
def test_no_seed_of_a_race_is_lost_to_a_burst(capsys: pytest.CaptureFixture[str], tmp_path: Path, sizes: list[int]):
    folder = write_files(tmp_path / "bursts", bursts(sizes))

    values = asked(capsys, "race", "--data", str(folder), "--scenarios", "frozen", "--seeds", "3,4,5,8,11")

    assert [run["state"] for run in values["runs"]] == ["finished"] * 5
    assert all(min(run["split"][part] for part in ("train", "val", "test")) >= 2 for run in values["runs"])
    assert all(run["lacks"] == [] for run in values["runs"])


def test_what_no_seed_can_divide_is_refused_on_taking_in(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    reason = refused(capsys, "data", str(write_files(tmp_path / "one", bursts([12]))))

    assert "The 12 pictures of discs are all copies of one" in reason
    assert asked(capsys, "runs") == {"runs": []} and not list(stored_datasets())


@pytest.mark.parametrize(
    "arguments",
    [
        ("data", "{}"),
        ("train", "--data", "{}"),
        ("classify", "{}", "a.png"),
        ("compare", "{}", "recorded-{}"),
        ("export", "{}", "a.zip"),
        ("export", "a", "{}.zip"),
        ("import", "{}"),
        ("publish", "{}", "a/b"),
    ],
    ids=" ".join,
)
def test_names_of_3000_characters_are_one_short_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
):
    monkeypatch.setattr("core.__main__.preload", lambda: None)

    refused(capsys, *(argument.format("x" * 3000) for argument in arguments))


@pytest.mark.parametrize("command", [["data"], ["train", "--data"]], ids=" ".join)
def test_a_damaged_data_set_is_named_and_adding_its_pictures_again_mends_it(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tiny_dataset: Dataset,
    tiny_folder: Path,
    command: list[str],
):
    monkeypatch.setattr("core.__main__.preload", lambda: None)
    path = tiny_dataset.folder / "pixels.u8"
    path.write_bytes(path.read_bytes()[:-1])

    assert f"The files of data set '{tiny_dataset.id}' are damaged" in refused(capsys, *command, tiny_dataset.id)
    assert asked(capsys, "data", str(tiny_folder))["dataset"] == tiny_dataset.id
    assert asked(capsys, "data", tiny_dataset.id)["fingerprint"] == tiny_dataset.fingerprint


def python(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "core", *arguments],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        **options,
    )


def test_a_result_that_cannot_be_printed_is_one_line():
    with open("/dev/full", "w") as full:
        done = python(["runs"], stdout=full)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "could not be printed (No space left on device)" in done.stderr


def test_a_quota_that_is_too_small_for_weights_is_one_line_and_the_runs_cause(tiny_dataset: Dataset):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000_000, 9_000_000))  # of 16

    done = python(["train", "--data", tiny_dataset.id], stdout=subprocess.PIPE, preexec_fn=limit)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"python -m core train: {FULL_SENTENCE}\n"
    assert [(run.state, run.cause) for run in RunStore().runs()] == [("failed", FULL_SENTENCE)]


def test_a_zip_that_does_not_fit_is_named_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], finished_race: FinishedRace, tmp_path: Path
):
    target = tmp_path / "run.zip"

    with files_no_longer_than(20_000_000):  # of 33, and the network alone is 16
        said = refused(capsys, "export", finished_race.run("frozen"), str(target))

    assert "no room left for 'run.zip'; nothing was written" in said and list(tmp_path.iterdir()) == []


def test_groups_are_told_and_are_what_a_race_divides_by(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    files = {
        f"{kind}/patient{n}_{view}.png": noise(place, n, view)
        for place, kind in enumerate(KINDS)
        for n in range(6)
        for view in range(3)
    }
    folder = str(write_files(tmp_path / "patients", files))
    how = ("--groups", "name:(patient#)_*")

    values = asked(capsys, "data", folder, *how)
    plain = asked(capsys, "data", folder)
    assert main(["data", folder, *how]) == 0
    printed = capsys.readouterr().out

    assert (values["groups"]["groups"], values["groups"]["grouped"], plain["groups"]["groups"]) == (6, 54, 0)
    assert values["dataset"] != plain["dataset"] and values["split"] != plain["split"]
    assert "groups by the pattern (patient#)_*: 6 groups of 54 pictures, the largest patient0 with 9" in printed
    assert [finding["kind"] for finding in plain["findings"]] == ["looks-grouped"] and not values["findings"]
    plans = ("--scenarios", "frozen", "--seeds", "0,1", "--weights", "none")
    runs = asked(capsys, "race", "--data", folder, *how, *plans)["runs"]
    assert {run["dataset"]["id"] for run in runs} == {values["dataset"]}
    for run in runs:
        record = load_record(run["run"])
        named = [name.split("/")[1].split("_")[0] for name in record.test_names]
        assert len(set(zip(named, record.test_groups, strict=True))) == len(set(named)) == len(set(record.test_groups))
        assert not any("patient" in group for group in record.test_groups)
        assert load_outcome(run["run"]).groups == record.test_groups
    tested = {tuple(sorted(load_record(run["run"]).test_names)) for run in runs}
    assert len(tested) == 1 and len({name.split("/")[1].split("_")[0] for name in tested.pop()}) == 2


@pytest.mark.parametrize("how", ["name:patient", "name:(#)_*", "folder", "table:nosuch.csv", "patients"])
def test_groups_that_are_none_are_refused_in_one_line(capsys: pytest.CaptureFixture[str], tiny_folder: Path, how: str):
    said = refused(capsys, "data", str(tiny_folder), "--groups", how)

    assert len(said) < 250 and str(tiny_folder) not in said


def test_a_race_over_folds_tests_every_picture_once_and_says_which_question_that_answers(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path
):
    options = ("--scenarios", "frozen", "--seeds", "0,1", "--folds", "3", "--weights", "none")

    values = asked(capsys, "race", "--data", str(tiny_folder), *options)

    records = [load_record(run["run"]) for run in values["runs"]]
    assert [(record.settings.seed, record.settings.data.fold) for record in records] == [
        (seed, fold) for seed in (0, 1) for fold in (1, 2, 3)
    ]
    for seed in (0, 1):
        names = [name for record in records if record.settings.seed == seed for name in record.test_names]
        assert len(names) == len(set(names)) == 30
    assert "Over 3 folds every picture was tested once" in values["verdict"]["question"]
    (arm,) = values["verdict"]["arms"]
    right = [sum(np.trace(r.confusion) for r in records if r.settings.seed == seed) / 30 for seed in (0, 1)]
    assert arm["accuracies"] == pytest.approx(right)


def test_one_run_of_folds_must_say_which(capsys: pytest.CaptureFixture[str], tiny_folder: Path):
    assert "say which, from 1 to 5" in refused(capsys, "train", "--data", str(tiny_folder), "--folds", "5")
