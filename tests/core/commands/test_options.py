"""Options: read off the settings' own table, told in the help, refused in one line."""

import re
from pathlib import Path

import pytest
from helpers import Refused

from core.__main__ import main
from core.commands.options import run_settings
from core.commands.parser import build_parser
from core.runs.store import RunStore
from core.settings.recipes import RECIPES
from core.settings.scenarios import SCENARIOS
from core.settings.schema import RunSettings

WHAT_IS_WRONG = {
    "": {"": "required: command"},
    "melt": {"": "invalid choice: 'melt'"},
    "data": {
        "": "required: D",
        "nosuch.zip": "There is no file or folder called 'nosuch.zip'",
        "~nobody-of-this-name/x": "There is no file or folder",
        "x" * 5000: "There is no file or folder",
        "EMPTY": "No pictures found",
    },
    "suspects": {
        "--data nosuch": "There is no file or folder called 'nosuch'",
        "--data ~nobody-of-this-name/x": "There is no file or folder",
        f"--data {'x' * 5000}": "There is no file or folder",
    },
    "large": {"add ~nobody-of-this-name/x": "There is no folder or tar called 'x'"},
    "crossing": {"--data TINY --sizes 1000": "no class has more than", "--data TINY --sizes two": "give whole numbers"},
    "lesson": {"--predict frozen": "name it", "--again": "name it", "nosuch": "There is no question 'nosuch'"},
    "import": {"nosuch.zip": "There is no file 'nosuch.zip'", "EMPTY": "'empty' is a folder; name the zip itself"},
    "restore": {"nosuch.zip": "There is no file 'nosuch.zip'", "EMPTY": "'empty' is a folder; name the zip itself"},
    "workspaces": {"--delete nosuch": "There is no workspace 'nosuch'"},
    "backup": {"EMPTY": "'empty' is a folder; name a file in it", "nosuch/a.zip": "There is no folder 'nosuch'"},
    "export nosuch": {"EMPTY": "'empty' is a folder; name a file in it", "nosuch/a.zip": "There is no folder 'nosuch'"},
    "train": {
        "": "required: --data",
        "--data nosuch": "There is no file or folder",
        "--data TINY --folds 5": "say which, from 1 to 5",
    },
    "train --data TINY": {
        "--scenario thawed": "scenario is 'thawed'; choose one of: frozen",
        "--backbone resnet9000": "backbone is 'resnet9000'; choose one of",
        "--recipe slow": "recipe is 'slow'; choose one of: quick, usual",
        "--augment wild": "preset is 'wild'; choose one of",
        "--epochs 0": "epochs is 0; it must lie between 1 and 200",
        "--epochs many": "--epochs: invalid int value: 'many'",
        "--epochs 2.5": "--epochs: invalid int value: '2.5'",
        "--lr nan": "lr is nan; it must be a number",
        "--lr 1000": "lr is 1000; it must lie between",
        "--seed -1": "seed is -1",
        "--val-fraction 0.9": "val_fraction is 0.9",
        "--scenario scratch --weights imagenet": "scenario is scratch",
        "--scenario last-stages --last-stages 12": "last_stages is 12",
        "--backbone vit_b_16 --train-size 160": "ViT-B/16 takes pictures of one size only",
        "--train-size 95": "train_size is 95; it must lie between 96 and 512",
        "--train-size 99.5": "--train-size: invalid int value: '99.5'",
        "--precision fp16": "precision is 'fp16'; choose one of: auto, fp32, bf16",
        "--l2 0": "l2 is 0; it must lie between",
        "--ema 1": "ema is 1; it must lie between",
        "--stage-decay 2": "stage_decay is 2; it must lie between",
        "--probe-epochs 3": "unrecognized arguments: --probe-epochs 3",
    },
    "race --data TINY": {
        "--scenarios frozen,thawed": "no scenario 'thawed'",
        "--scenarios ,": "at least one scenario and one seed",
        "--seeds a": "--seeds is 'a'; give whole numbers",
        "--seeds -5": "seed is -5",
    },
    "compare": {"a b": "There is no run 'a'"},
    "classify": {"nosuch x.jpg": "There is no run 'nosuch'"},
}
"""Of a command, further words and what they are refused with."""


def test_the_help_lists_every_command_and_the_console_script_is_called_with_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.argv", ["thaw", "--help"])

    with pytest.raises(SystemExit) as end:
        main()

    listed = re.findall(r"^    (\w+)  ", capsys.readouterr().out, re.MULTILINE)
    assert end.value.code == 0
    assert listed == [
        *["data", "suspects", "advise", "sweep", "crossing", "train", "race", "compare", "classify", "inside"],
        *["anatomy", "large", "machine", "export", "publish", "import", "track", "runs", "label", "lesson"],
        *["backup", "restore", "store", "workspaces", "backbones"],
    ]


def test_every_option_of_a_run_is_told_in_its_help(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args(["train", "--help"])

    printed = capsys.readouterr().out
    assert end.value.code == 0
    named = ("epochs", "batch-size", "lr", "backbone-lr", "schedule", "views", "val-fraction")
    for option in (*named, "l2", "stage-decay", "ema", "train-size", "precision"):
        assert f"--{option} " in printed
    assert "(default: by scenario)" in printed


def test_the_defaults_of_the_command_line_are_those_of_the_settings():
    arguments = build_parser().parse_args(["train", "--data", "x"])

    assert run_settings(arguments) == RunSettings()
    for scenario in SCENARIOS:
        arguments = build_parser().parse_args(["train", "--data", "x", "--scenario", scenario])
        assert run_settings(arguments).model.scenario == scenario


def test_the_ways_to_be_faster_reach_the_settings_as_what_they_are():
    given = ["--l2", "0.5", "--ema", "0.9", "--train-size", "160", "--stage-decay", "0.8", "--precision", "bf16"]
    optim = run_settings(build_parser().parse_args(["train", "--data", "x", *given])).optim

    assert (optim.l2, optim.ema, optim.stage_decay, optim.precision) == (0.5, 0.9, 0.8, "bf16")
    assert optim.train_size == 160 and isinstance(optim.train_size, int)


def test_a_recipe_changes_what_it_names_and_leaves_the_other_options():
    given = ["train", "--data", "x", "--recipe", "layer-wise", "--epochs", "9", "--seed", "3"]
    settings = run_settings(build_parser().parse_args(given))

    assert (settings.model.scenario, settings.optim.epochs, settings.seed) == ("finetuned", 9, 3)
    assert settings == RECIPES["layer-wise"].apply(settings) != RunSettings()


@pytest.mark.parametrize("command", WHAT_IS_WRONG)
def test_bad_input_ends_with_one_clear_line_and_code_2(
    refused: Refused, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    monkeypatch.setattr("core.commands.train.preload", lambda: None)
    (tmp_path / "empty").mkdir()
    places = {"TINY": str(tiny_folder), "EMPTY": str(tmp_path / "empty")}

    for words, message in WHAT_IS_WRONG[command].items():
        assert message in refused(*(places.get(word, word) for word in f"{command} {words}".split()))
    assert RunStore().runs() == []


@pytest.mark.parametrize(
    "given", ["data builtin --draw", "classify nosuch x.jpg --explain", "inside nosuch x.jpg --out"]
)
def test_an_empty_folder_is_not_the_one_that_one_stands_in(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
):
    monkeypatch.chdir(tmp_path)

    assert "is empty; name a folder" in refused(*given.split(), "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["import", "restore", "backup", "export nosuch"])
def test_a_file_without_a_name_is_refused(refused: Refused, given: str):
    assert "The file's name is empty." in refused(*given.split(), "")


def test_a_large_data_set_without_a_name_is_not_the_folder_that_one_stands_in(refused: Refused):
    assert "No large data set was named" in refused("large", "add", "")
