"""A backbone handed from one frozen run to the next: the same answers, and never one that has moved."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from core.__main__ import main
from core.data.dataset import Dataset
from core.models.accel import Shelf
from core.models.accel import shelf as module
from core.models.build import build_model
from core.models.freezing import state_hashes
from core.models.network import TransferModel
from core.runs import execute
from core.settings.scenarios import SCENARIOS
from core.settings.schema import ModelSettings, OptimSettings, RunSettings
from core.training import scenarios
from core.training.history import Cancelled
from core.training.scenarios import train_run

pytestmark = pytest.mark.usefixtures("tricks")
FROZEN = ModelSettings(scenario="frozen")


def settings(l2: float | None = None, seed: int = 0, model: ModelSettings = FROZEN) -> RunSettings:
    return RunSettings(
        model=model, optim=OptimSettings(epochs=1, batch_size=8, train_size=96, views=1, l2=l2), seed=seed
    )


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[TransferModel]:
    """Every model that runs have built from a file."""
    models: list[TransferModel] = []

    def build(*given: object, **named: object) -> TransferModel:
        models.append(build_model(*given, **named))
        return models[-1]

    monkeypatch.setattr(scenarios, "build_model", build)
    return models


@pytest.fixture
def model() -> TransferModel:
    return build_model("efficientnet_lite0", 3, start="imagenet", seed=0)


def test_a_frozen_run_serves_the_next_one_and_it_says_the_same(few_dataset: Dataset, built: list[TransferModel]):
    shelf = Shelf()
    train_run(settings(l2=1.0, seed=5), few_dataset, shelf=shelf)
    again = train_run(settings(l2=0.1), few_dataset, shelf=shelf)
    alone = train_run(settings(l2=0.1), few_dataset)

    assert len(built) == 2 and again.model.backbone is built[0].backbone, "once for two, once for the one alone"
    assert torch.equal(again.test.probabilities, alone.test.probabilities)
    assert state_hashes(again.model) == state_hashes(alone.model) and again.head_hash == alone.head_hash
    assert asdict(again.audit) == asdict(alone.audit) and again.audit.bit_identical
    assert again.parameters == alone.parameters and again.model.weights_sha256 == alone.model.weights_sha256


def test_what_trains_the_backbone_has_its_own(few_dataset: Dataset, built: list[TransferModel]):
    shelf = Shelf()
    train_run(settings(), few_dataset, shelf=shelf)
    train_run(settings(model=ModelSettings(scenario="finetuned")), few_dataset, shelf=shelf)
    last = train_run(settings(), few_dataset, shelf=shelf)

    assert len(built) == 2
    assert last.model.backbone is built[0].backbone is not built[1].backbone and last.audit.bit_identical


def test_a_backbone_that_was_changed_in_between_is_told_and_not_kept(few_dataset: Dataset, built: list[TransferModel]):
    shelf = Shelf()
    first = train_run(settings(), few_dataset, shelf=shelf)
    with torch.no_grad():
        next(first.model.backbone.parameters()).add_(1)

    second = train_run(settings(), few_dataset, shelf=shelf)
    third = train_run(settings(), few_dataset, shelf=shelf)

    assert len(second.audit.changed) == 1 and not second.audit.bit_identical
    assert len(built) == 2 and third.audit.bit_identical


def test_a_run_that_was_stopped_keeps_nothing(few_dataset: Dataset, built: list[TransferModel]):
    shelf = Shelf()
    train_run(settings(), few_dataset, shelf=shelf)
    with pytest.raises(Cancelled):
        train_run(settings(), few_dataset, shelf=shelf, should_stop=lambda: True)
    train_run(settings(), few_dataset, shelf=shelf)

    assert len(built) == 2


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "frozen"])
def test_it_is_for_frozen_runs_only(model: TransferModel, scenario: str):
    shelf, other = Shelf(), ModelSettings(scenario=scenario)
    shelf.put(other, model, {})
    assert shelf.take(FROZEN) is None

    shelf.put(FROZEN, model, {})
    assert shelf.take(other) is None and shelf.take(FROZEN) is not None
    assert shelf.take(FROZEN) is None, "nobody else gets it meanwhile"


def test_a_random_start_and_another_backbone_get_nothing(model: TransferModel):
    shelf = Shelf()
    shelf.put(ModelSettings(scenario="frozen", weights="none"), model, {})
    assert shelf.take(FROZEN) is None

    shelf.put(FROZEN, model, {})
    assert shelf.take(ModelSettings(scenario="frozen", weights="none")) is None
    assert shelf.take(ModelSettings(scenario="frozen", backbone="resnet18")) is None
    assert shelf.take(FROZEN) is not None


def test_a_large_one_is_not_kept(model: TransferModel, monkeypatch: pytest.MonkeyPatch):
    size = sum(tensor.nbytes for tensor in model.backbone.state_dict().values())
    for limit, kept in ((size, True), (size - 1, False)):
        monkeypatch.setattr(module, "MOST_BYTES", limit)
        shelf = Shelf()
        shelf.put(FROZEN, model, {})
        assert (shelf.take(FROZEN) is not None) == kept


def test_runs_of_one_process_share_one(
    few_folder: Path, built: list[TransferModel], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(execute, "_shelf", Shelf())
    cheap = ("--views", "1", "--l2", "0.1")

    assert main(["race", "--data", str(few_folder), "--scenarios", "frozen", "--seeds", "0,1,2", *cheap]) == 0

    assert len(built) == 1
