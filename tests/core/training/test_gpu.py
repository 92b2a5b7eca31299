"""On a CUDA card: the same draws, nearly the same pixels, results near those of the processor, and what is said."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from core.augment.pipelines import EvalPipeline, TrainPipeline
from core.augment.preprocessing import Preprocessing
from core.data.dataset import Dataset
from core.errors import TrainingError
from core.machine.devices import devices, prepare_device
from core.machine.speeds import WORKS
from core.settings.schema import AugmentSettings, ModelSettings, OptimSettings, RunSettings
from core.training.probe import measure_speeds
from core.training.scenarios import Trained, build_run_loaders, train_run

pytestmark = pytest.mark.gpu
HAS_CARD = torch.cuda.is_available()  # asked before any test hides the card from what it starts
PREPROCESSING = Preprocessing(
    image_size=224, resize_size=256, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)


@pytest.fixture(autouse=True)
def card() -> Iterator[None]:
    if not HAS_CARD:
        pytest.skip("there is no CUDA card here")
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def settings(scenario: str, device: str, **changes: object) -> RunSettings:
    optim = {"epochs": 2, "batch_size": 8, "device": device, **changes}
    return RunSettings(model=ModelSettings(scenario=scenario), optim=OptimSettings(**optim))


def run(dataset: Dataset, scenario: str, device: str = "cuda", **changes: object) -> Trained:
    return train_run(settings(scenario, device, **changes), dataset)


def photos(count: int = 8) -> list[Tensor]:
    """Smooth pictures with some noise, as photos are: (3, H, W) uint8."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(count):
        coarse = torch.rand(1, 3, 12, 16, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, (256 + 8 * (number % 3), 341), mode="bicubic")[0]
        noisy = 255 * smooth + 4 * torch.randn(smooth.shape, generator=generator)
        found.append(noisy.clamp(0, 255).to(torch.uint8))
    return found


def share_within_one(expected: Tensor, found: Tensor) -> float:
    return float(((expected.int() - found.cpu().int()).abs() <= 1).float().mean())


@pytest.mark.parametrize(("preset", "share"), [("none", 0.995), ("gentle", 0.99), ("tutorial", 0.99), ("strong", 0.9)])
def test_the_same_draws_give_nearly_the_same_pixels(preset: str, share: float):
    pipeline = TrainPipeline(PREPROCESSING, AugmentSettings(preset=preset))

    shares = [
        share_within_one(pipeline(photo, seed), pipeline(photo.cuda(), seed)) for seed, photo in enumerate(photos())
    ]

    assert sum(shares) / len(shares) >= share


def test_what_is_tested_on_is_nearly_the_same_alone_and_together():
    pipeline, stacked = EvalPipeline(PREPROCESSING), torch.stack(photos()[::3])

    together = pipeline(stacked.cuda())

    assert together.device.type == "cuda"
    for photo, found in zip(stacked, together, strict=True):
        assert share_within_one(pipeline(photo), found) >= 0.995


def test_pictures_go_over_once(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch):
    loaders = build_run_loaders(settings("finetuned", "cuda"), tiny_dataset, "cuda")
    first = {int(index) for _, _, indices in loaders.train(1) for index in indices}

    monkeypatch.setattr("core.data.loaders.to_device", lambda *_: pytest.fail("a picture went over again"))

    assert {int(index) for _, _, indices in loaders.train(2) for index in indices} == first
    assert all(images.device.type == "cuda" for images, _, _ in loaders.train(3))


def test_fp32_is_fp32_and_not_tf32():
    images, weights = torch.randn(4, 64, 32, 32), torch.randn(64, 64, 3, 3)
    prepare_device("cuda")

    found = torch.nn.functional.conv2d(images.cuda(), weights.cuda()).cpu()

    exact = torch.nn.functional.conv2d(images.double(), weights.double())
    assert float((found - exact).abs().max() / exact.abs().max()) < 5e-6


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_frozen_run_says_what_it_says_on_the_processor(tiny_dataset: Dataset, precision: str):
    here, there = (run(tiny_dataset, "frozen", device, precision=precision) for device in ("cpu", "cuda"))

    pictures = len(here.split.test)
    assert abs(here.test.accuracy - there.test.accuracy) * pictures <= 2.01
    if precision == "fp32":
        assert float((here.test.probabilities - there.test.probabilities).abs().max()) < 0.02
    else:  # on an H200 an unsure answer moved by 0.13, why is not known; what is answered has to be the same
        assert here.test.probabilities.argmax(1).tolist() == there.test.probabilities.argmax(1).tolist()
    assert there.audit.bit_identical and there.audit.hash_before == here.audit.hash_before
    assert there.head_hash == here.head_hash and there.compute.device == "cuda"
    assert there.test.probabilities.device.type == there.model.head.weight.device.type == "cpu"
    assert there.device.kind == "cuda" and there.device.name == devices()[0].name and there.device.peak_bytes


@pytest.mark.parametrize(
    ("scenario", "changes"),
    [
        ("finetuned", {"precision": "fp32"}),
        ("finetuned", {"precision": "bf16"}),
        ("finetuned", {"ema": 0.5, "class_weights": "balanced", "optimizer": "sgd"}),
        ("probe-then-finetune", {}),
        ("last-stages", {"epochs": 3}),
        ("looks-frozen", {"precision": "bf16"}),
        ("scratch", {"train_size": 96}),
    ],
)
def test_every_way_of_training_goes(tiny_dataset: Dataset, scenario: str, changes: dict[str, object]):
    trained = run(tiny_dataset, scenario, **changes)

    assert all(torch.isfinite(torch.tensor([row.train_loss, row.val_loss])).all() for row in trained.history)
    assert trained.test.probabilities.shape == (len(trained.split.test), 3)
    assert trained.drift.changed_bytes > 0
    assert {parameter.device.type for parameter in trained.model.parameters()} == {"cpu"}
    if scenario == "last-stages":
        assert trained.audit.bit_identical


def test_training_makes_the_loss_small_as_on_the_processor(tiny_dataset: Dataset):
    here, there = (run(tiny_dataset, "finetuned", device, precision="fp32") for device in ("cpu", "cuda"))

    for one, other in zip(here.history, there.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=0.1, abs=0.03)


def test_features_come_back_from_the_cache_and_those_of_the_processor_are_others(tiny_dataset: Dataset):
    first, again = (run(tiny_dataset, "frozen") for _ in range(2))
    assert "pictures_forward" in first.watch.work and "pictures_forward" not in again.watch.work
    assert torch.equal(first.test.probabilities, again.test.probabilities)

    assert "pictures_forward" in run(tiny_dataset, "frozen", "cpu").watch.work


def test_too_little_memory_is_a_sentence_with_what_to_try(tiny_dataset: Dataset):
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(200 * 2**20 / torch.cuda.get_device_properties(0).total_memory)

    with pytest.raises(TrainingError, match=r"not enough for steps of 16 pictures. Try a batch size of 8"):
        run(tiny_dataset, "finetuned", batch_size=16, precision="fp32")


def test_a_card_is_measured_and_then_chosen_by_that(tiny_dataset: Dataset):
    speeds = measure_speeds("efficientnet_lite0", device="cuda")

    assert set(speeds.probed) >= {f"{work}/fp32" for work in WORKS} and set(speeds.engines) == {"torch"}
    assert speeds.rate("forward", "fp32") > 500


def test_auto_takes_the_card(tiny_dataset: Dataset):
    plan = settings("frozen", "auto")
    assert train_run(replace(plan, seed=1), tiny_dataset).compute.device == "cuda"
