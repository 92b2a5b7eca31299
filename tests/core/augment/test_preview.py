"""The preview: the pixels that training sees, and words that are true of them."""

import re

import numpy as np
import pytest
import torch

from core.augment.catalogue import CUSTOM, PRESETS, TRANSFORMS, default_step
from core.augment.pipelines import TrainPipeline, picture_seed
from core.augment.preprocessing import Preprocessing
from core.augment.preview import draw_samples
from core.errors import SettingsError
from core.settings.schema import AugmentSettings

PREPROCESSING = Preprocessing(image_size=48, resize_size=56, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
IMAGE = torch.randint(0, 256, (3, 60, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def only(name: str, **values: float) -> AugmentSettings:
    return AugmentSettings(preset=CUSTOM, steps=(default_step(name, **values),))


def words(settings: AugmentSettings, count: int = 12) -> list[str]:
    """What the last step drew, sample by sample."""
    return [sample.drawn[-1][1] for sample in draw_samples(IMAGE, settings, PREPROCESSING, seed=0, count=count)]


@pytest.mark.parametrize(
    "settings",
    [*(AugmentSettings(preset=name) for name in PRESETS), *(only(name) for name in TRANSFORMS)],
    ids=[*PRESETS, *TRANSFORMS],
)
def test_samples_are_what_training_sees_in_its_epochs(settings):
    samples = draw_samples(IMAGE, settings, PREPROCESSING, seed=5, count=4, key="ant")

    train = TrainPipeline(PREPROCESSING, settings)
    for epoch, sample in enumerate(samples, start=1):
        seen = train(IMAGE, picture_seed(5, epoch, "ant"))
        assert np.array_equal(sample.pixels, seen.permute(1, 2, 0).numpy())
        assert len(sample.drawn) == len(train.steps)
        assert all(label and text for label, text in sample.drawn)


@pytest.mark.parametrize("name", ["RandomHorizontalFlip", "RandomVerticalFlip", "RandomGrayscale", "RandomPerspective"])
def test_spared_and_changed_pictures_are_told_apart(name):
    plain = draw_samples(IMAGE, only("CenterCrop"), PREPROCESSING, seed=0, count=1)[0].pixels
    samples = draw_samples(IMAGE, only(name, p=0.5), PREPROCESSING, seed=0, count=12)

    for sample in samples:
        assert sample.drawn[-1][1] == ("no" if np.array_equal(sample.pixels, plain) else "yes")
    assert {sample.drawn[-1][1] for sample in samples} == {"yes", "no"}


def test_crop_words_name_the_crop():
    settings = only("RandomResizedCrop", scale=0.2)
    for sample in draw_samples(IMAGE, settings, PREPROCESSING, seed=2, count=8):
        numbers = re.fullmatch(r"(\d+) x (\d+) px from \((\d+), (\d+)\), ([\d.]+) % of the area", sample.drawn[0][1])
        width, height, left, top = map(int, numbers.groups()[:4])

        crop = IMAGE[:, top : top + height, left : left + width]
        resized = torch.nn.functional.interpolate(crop[None], (48, 48), mode="bilinear", antialias=True)[0]
        assert np.array_equal(sample.pixels, resized.permute(1, 2, 0).numpy())
        assert numbers[5] == f"{100 * width * height / (60 * 90):.1f}"


def test_erased_patch_is_where_the_words_say():
    for sample in draw_samples(IMAGE, only("RandomErasing", p=1.0), PREPROCESSING, seed=0, count=8):
        numbers = re.fullmatch(r"(\d+) x (\d+) px from \((\d+), (\d+)\)", sample.drawn[-1][1])
        width, height, left, top = map(int, numbers.groups())

        assert (sample.pixels[top : top + height, left : left + width] == 128).all()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("RandomRotation", r"[+-]\d+\.\d°"),
        ("RandomAffine", r"right [+-]\d px, down [+-]\d px, slant [+-]\d\.\d°"),
        ("ColorJitter", r"(brightness|contrast|saturation) x [01]\.\d\d(, \w+ x [01]\.\d\d){2}"),
        ("GaussianBlur", r"no|[012]\.\d\d px"),
        ("TrivialAugmentWide", r"Identity|AutoContrast|Equalize|[A-Z]\w+, strength -?\d+\.\d\d"),
    ],
)
def test_values_drawn_are_put_in_words_with_units(name, pattern):
    drawn = words(only(name))

    assert all(re.fullmatch(pattern, text) for text in drawn), drawn
    assert len(set(drawn)) > 1


def test_operation_is_honest_when_torchvision_hides_it(monkeypatch):
    from torchvision.transforms import v2

    class Hidden(torch.nn.Module):
        def __init__(self, **_):
            super().__init__()

        def forward(self, image):
            return image

    monkeypatch.setattr(v2, "TrivialAugmentWide", Hidden)

    assert words(only("TrivialAugmentWide"), count=1) == ["a random operation"]


def test_colour_without_strength_says_so():
    assert words(only("ColorJitter", brightness=0.0, contrast=0.0, saturation=0.0), count=1) == ["no change"]
    assert re.fullmatch(
        r"hue [+-]0\.\d{3} turns", words(only("ColorJitter", brightness=0, contrast=0, saturation=0, hue=0.1))[0]
    )


def test_what_is_not_random_draws_nothing():
    assert words(AugmentSettings(preset="none"), count=2) == ["nothing is drawn"] * 2


@pytest.mark.parametrize("count", [0, -1, 65])
def test_too_few_and_too_many_samples_are_refused(count):
    with pytest.raises(SettingsError, match=f"count is {count}; it must lie between 1 and 64"):
        draw_samples(IMAGE, AugmentSettings(), PREPROCESSING, seed=0, count=count)
