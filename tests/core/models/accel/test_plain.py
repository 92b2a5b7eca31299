"""THAW_PLAIN: nothing but torch as it comes, and the same answers up to rounding."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import REPOSITORY, know_speeds

from core.data.dataset import Dataset
from core.machine import process
from core.machine.process import PROCESS_ENVIRONMENT, imports_exempt_from_gc, keep_freed_memory, prepare_process
from core.machine.speeds import load_speeds
from core.models.accel import Shelf, engines_of, is_plain, one_thread, standing_still
from core.models.build import build_model
from core.models.catalogue import BACKBONES
from core.models.network import TransferModel, build_network
from core.models.weights import preprocessing_of
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training import features
from core.training.probe import choose_compute, measure_speeds
from core.training.scenarios import train_run

PICTURES = torch.linspace(-2, 2, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64).sin()


@pytest.fixture
def plain(tricks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_PLAIN", "1")


def built(name: str = "efficientnet_lite0") -> TransferModel:
    return build_model(name, 2, start="none", seed=0)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "convnext_tiny"])
@torch.no_grad()
def test_a_model_is_what_its_library_builds(name: str):
    model = built(name).eval()
    torch.manual_seed(0)
    network = build_network(name).eval()
    network.load_state_dict(model.backbone.state_dict(), strict=False)
    network.set_submodule(model.spec.architecture.classifier, torch.nn.Identity())
    network.to(memory_format=torch.channels_last)

    assert not any("forward" in vars(module) for module in model.modules())
    assert standing_still(model.backbone, name, "onnxruntime", side=64) is model.backbone
    assert torch.equal(model.backbone(PICTURES), network(PICTURES))


@pytest.mark.parametrize("name", ["convnext_tiny", "efficientnet_lite0", "resnet18", "swin_t"])
@torch.no_grad()
def test_features_are_kept_apart_where_they_differ_and_only_there(name: str, monkeypatch: pytest.MonkeyPatch):
    said, apart = [], []
    for value in ("0", "1"):
        monkeypatch.setenv("THAW_PLAIN", value)
        said.append(built(name).backbone.eval()(PICTURES))
        apart.append(is_plain(name))

    assert apart == [False, not torch.equal(*said)]
    assert (said[0] - said[1]).abs().max() <= 1e-5 * said[1].abs().max()


@pytest.mark.parametrize("scenario", ["frozen", "finetuned"])
def test_a_run_says_what_computed_it_and_agrees_with_a_quick_one(
    scenario: str, few_dataset: Dataset, tricks: None, monkeypatch: pytest.MonkeyPatch
):
    optim = OptimSettings(epochs=1, batch_size=8, train_size=96)
    settings = RunSettings(model=ModelSettings(scenario=scenario), optim=optim)
    quick = train_run(settings, few_dataset)
    monkeypatch.setenv("THAW_PLAIN", "1")
    slow = train_run(settings, few_dataset)

    assert (slow.compute.engine, slow.compute.features, slow.compute.train) == ("torch", "fp32", "fp32")
    assert not slow.watch.work.get("features_from_cache"), "features that round in another way are not taken for these"
    assert (slow.test.probabilities - quick.test.probabilities).abs().max() < 2e-3


@pytest.mark.usefixtures("plain")
def test_no_engine_is_asked_and_nothing_measured_with_tricks_counts():
    assert {engines_of(name) for name in BACKBONES} == {("torch",)}
    speeds = measure_speeds("efficientnet_lite0")

    assert set(speeds.engines) == {"torch"} and set(speeds.by_precision("forward")) == {"fp32"}
    assert load_speeds("efficientnet_lite0") is None, "what is known was measured with tricks"
    assert choose_compute(RunSettings()).engine == "torch"


@pytest.mark.usefixtures("plain")
def test_process_threads_and_shelf_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    for name in PROCESS_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(process.ctypes, "CDLL", None)  # to be called would be an error
    frozen, threads = gc.get_freeze_count(), torch.get_num_threads()

    prepare_process()
    keep_freed_memory()
    with imports_exempt_from_gc(), one_thread():
        assert gc.isenabled() and torch.get_num_threads() == threads
    shelf = Shelf()
    shelf.put(ModelSettings(scenario="frozen"), built(), {})

    assert not set(PROCESS_ENVIRONMENT) & set(os.environ) and gc.get_freeze_count() == frozen
    assert shelf.take(ModelSettings(scenario="frozen")) is None


def test_nobody_looks_behind_the_door():
    sources = [path for folder in ("core", "pages") for path in (REPOSITORY / folder).rglob("*.py")]
    looking = {path for path in sources if "core.models.accel." in path.read_text("utf-8")}

    assert {path.parent for path in looking} == {REPOSITORY / "core" / "models" / "accel"}


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_command_line_says_so(value: str, thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THAW_PLAIN", value)
    know_speeds(thaw_home)
    code = "import sys; from core.__main__ import main; sys.exit(main(['machine']))"

    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert (process.PLAIN in done.stdout) == (value == "1")


def test_the_recipe_of_features_names_it(monkeypatch: pytest.MonkeyPatch, tricks: None):
    def recipe(backbone: str) -> dict[str, object]:
        settings = RunSettings(model=ModelSettings(backbone=backbone))
        return features.feature_recipe(settings, "ab", preprocessing_of(backbone), features.WHOLE, "fp32", "torch")

    quick = {name: recipe(name) for name in ("resnet18", "swin_t")}
    monkeypatch.setenv("THAW_PLAIN", "1")

    assert recipe("swin_t") == quick["swin_t"] and recipe("resnet18") == quick["resnet18"] | {"plain": True}
    assert "plain" not in quick["resnet18"], "what was kept by earlier versions is found"
