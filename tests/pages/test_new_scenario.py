"""A scenario is a row of a table: one that is added here trains, compares, exports, and can be chosen."""

import io
import json
import runpy
import sys
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
from helpers import FinishedRace, home_at
from safetensors.torch import load_model

from core.__main__ import main
from core.data.dataset import Dataset
from core.models.build import build_model
from core.runs.record import load_record, run_folder
from core.runs.store import RunStore
from core.settings.scenarios import SCENARIOS, Scenario
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training.scenarios import train_run

BIAS_ONLY = Scenario(
    name="bias-only",
    label="Bias only",
    help="Only biases and the head train (Ben Zaken et al. 2022).",
    way="network",
    stages="all",
    parameters="bias",
    batchnorm="kept",
    rates={"adamw": (3e-3, 1e-3), "sgd": (3e-2, 1e-2)},
    style={"color": "#8a6d3b", "dash": "longdashdot", "symbol": "star"},
)


@pytest.fixture(scope="module", autouse=True)
def one_more() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCENARIOS, BIAS_ONLY.name, BIAS_ONLY)
        yield


@pytest.fixture(scope="module")
def raced(one_more: None, tmp_path_factory: pytest.TempPathFactory, few_folder: Path) -> FinishedRace:
    """It against Frozen, as the command line races them."""
    home, printed = tmp_path_factory.mktemp("bias") / "home", io.StringIO()
    options = ["--epochs", "1", "--batch-size", "5", "--train-size", "96", "--json"]
    with home_at(home), redirect_stdout(printed):
        assert main(["race", "--data", str(few_folder), "--scenarios", "frozen,bias-only", *options]) == 0
    return FinishedRace(home=home, folder=few_folder, values=json.loads(printed.getvalue()))


@pytest.fixture
def run(raced: FinishedRace, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of its run; Thaw's home is where it lies."""
    monkeypatch.setenv("THAW_HOME", str(raced.home))
    return raced.run("bias-only")


def test_it_trains_biases_and_the_head_and_nothing_else(run: str):
    model = build_model("efficientnet_lite0", 3, start="imagenet", seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_model(model, str(run_folder(run) / "weights.safetensors"))
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}

    biases = {name for name, _ in model.backbone.named_parameters(prefix="backbone") if name.endswith("bias")}
    assert changed == {*biases, "head.weight", "head.bias"}
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert load_record(run).parameters.trained == sum(sizes[name] for name in changed)


def test_its_audit_is_about_all_that_did_not_train(run: str):
    audit = load_record(run).freeze_audit
    backbone = build_model("efficientnet_lite0", 3, start="none", seed=0).backbone

    weights = [name for name, _ in backbone.named_parameters() if not name.endswith("bias")]
    assert audit.bit_identical and audit.checked == len(weights) > 0


def test_its_pace_is_not_taken_for_that_of_a_whole_network(few_dataset: Dataset):
    settings = RunSettings(model=ModelSettings(scenario="bias-only"), optim=OptimSettings(epochs=1, train_size=96))

    paces = train_run(settings, few_dataset).watch.paces

    assert {work for work, _ in paces} == {"forward"}


def test_it_is_compared_with_frozen(raced: FinishedRace):
    (pair,) = raced.values["verdict"]["pairs"]

    assert {pair["label_a"], pair["label_b"]} == {"Frozen", "Bias only"}
    assert pair["outcome"] != "not-comparable"


def test_it_goes_home_with_a_script_that_trains_the_same(
    run: str, tmp_path: Path, quick_translation: None, monkeypatch: pytest.MonkeyPatch
):
    assert main(["export", run, str(tmp_path / "run.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        archive.extractall(tmp_path / "run")
    monkeypatch.syspath_prepend(tmp_path / "run")
    monkeypatch.delitem(sys.modules, "predict", raising=False)
    script = runpy.run_path(str(tmp_path / "run" / "train.py"))
    network = script["build_network"]()
    rates = {id(p): group["lr"] for group in script["build_optimizer"](network).param_groups for p in group["params"]}
    monkeypatch.delitem(sys.modules, "predict")

    head, trained = f"{script['HEAD']}.", {n: rates[id(p)] for n, p in network.named_parameters() if id(p) in rates}
    wanted = {n for n, _ in network.named_parameters() if n.startswith(head) or n.endswith("bias")}
    assert trained == {name: 3e-3 if name.startswith(head) else 1e-3 for name in wanted}
    assert BIAS_ONLY.help in (tmp_path / "run" / "train.py").read_text()
    assert main(["import", str(tmp_path / "run.zip")]) == 0


def test_it_can_be_chosen_in_the_forms(start, tiny_dataset):
    assert BIAS_ONLY.label in start("home.py", data=tiny_dataset.id).pills(key="home.scenarios").options
    at = start("train.py", data=tiny_dataset.id)
    assert BIAS_ONLY.label in at.radio(key="train.scenario").options

    at.radio(key="train.scenario").set_value("bias-only").run()
    assert at.number_input(key="train.backbone_lr") and not [b for b in at.selectbox if b.key == "train.batchnorm"]
    at.button(key="train.start").click().run()

    assert RunStore().runs()[0].settings.rates == (3e-3, 1e-3)


def test_its_run_is_shown(start, raced: FinishedRace, run: str):
    at = start("train.py", run=run, data=raced.values["runs"][0]["dataset"]["id"])
    at.session_state["train.evidence.format_list_numbered"] = True
    at.run()

    assert not at.exception
    assert any("frozen weights bit-identical" in markdown.value for markdown in at.markdown)


def test_the_command_line_knows_it(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["train", "--help"])

    assert "bias-only" in " ".join(capsys.readouterr().out.split())
