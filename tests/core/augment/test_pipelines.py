"""The pipelines: pure functions of picture and seed, always the same size, evaluation as torchvision does it."""

import threading

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from core.augment.catalogue import CUSTOM, PRESETS, TRANSFORMS, default_step
from core.augment.pipelines import EvalPipeline, TrainPipeline, normalise, picture_seed
from core.augment.preprocessing import Preprocessing
from core.settings.schema import AugmentSettings

PREPROCESSING = Preprocessing(
    image_size=64, resize_size=72, interpolation="bicubic", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
ALWAYS = {
    name: {"p": 1.0} if "p" in {number.name for number in spec.parameters} else {} for name, spec in TRANSFORMS.items()
}
"""What spares no picture."""
EXTREMES = [
    pytest.param(name, ALWAYS[name] | {number.name: getattr(number, bound)}, id=f"{name}-{number.name}-{bound}")
    for name, spec in TRANSFORMS.items()
    for number in spec.parameters
    for bound in ("low", "default", "high")
] + [pytest.param(name, {}, id=name) for name, spec in TRANSFORMS.items() if not spec.parameters]


def picture(height: int = 80, width: int = 100, seed: int = 0) -> torch.Tensor:
    """Coarse noise: (3, height, width) uint8, different everywhere, and not mere grain."""
    noise = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.interpolate(noise, (height, width), mode="bilinear")[0] * 255).to(torch.uint8)


def only(name: str, **values: float) -> AugmentSettings:
    return AugmentSettings(preset=CUSTOM, steps=(default_step(name, **values),))


def everything() -> AugmentSettings:
    """All that is random, nothing spared."""
    names = [name for name, spec in TRANSFORMS.items() if spec.is_random]
    return AugmentSettings(preset=CUSTOM, steps=tuple(default_step(name, **ALWAYS[name]) for name in names))


@pytest.mark.parametrize(("name", "values"), EXTREMES)
def test_every_transform_runs_over_its_whole_range(name, values):
    train = TrainPipeline(PREPROCESSING, only(name, **values))

    for seed in range(3):
        seen = train(picture(), seed)
        assert seen.shape == (3, 64, 64) and seen.dtype == torch.uint8


@pytest.mark.parametrize("name", [name for name, spec in TRANSFORMS.items() if spec.is_random])
def test_every_random_transform_changes_the_picture(name):
    plain = TrainPipeline(PREPROCESSING, only("CenterCrop"))(picture(), 0)
    train = TrainPipeline(PREPROCESSING, only(name))

    assert any(not torch.equal(train(picture(), seed), plain) for seed in range(20))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("side", [8, 64, 97])
def test_every_preset_gives_the_network_its_size(preset, side):
    preprocessing = Preprocessing(
        image_size=side, resize_size=side + 5, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
    )

    assert TrainPipeline(preprocessing, AugmentSettings(preset=preset))(picture(), 1).shape == (3, side, side)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (1, 50_000), (2, 3), (64, 64), (500, 90)], ids=str)
@pytest.mark.parametrize(
    "settings", [everything(), *(AugmentSettings(preset=p) for p in PRESETS)], ids=["all", *PRESETS]
)
def test_pictures_of_any_shape_are_taken(shape, settings):
    image = picture(*shape)

    assert TrainPipeline(PREPROCESSING, settings)(image, 5).shape == (3, 64, 64)
    assert EvalPipeline(PREPROCESSING)(image).shape == (3, 64, 64)


def test_blur_fits_a_network_smaller_than_its_kernel():
    tiny = Preprocessing(image_size=4, resize_size=4, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)

    assert TrainPipeline(tiny, only("GaussianBlur", sigma=3.0, p=1.0))(picture(), 0).shape == (3, 4, 4)


@pytest.mark.parametrize("settings", [AugmentSettings(), AugmentSettings(preset="strong"), everything()])
def test_same_seed_same_pixels_whatever_was_done_before(settings):
    first = [TrainPipeline(PREPROCESSING, settings)(picture(), seed) for seed in range(6)]
    train = TrainPipeline(PREPROCESSING, settings)

    torch.manual_seed(99)
    train(picture(50, 60, seed=1), 123)
    again = {seed: train(picture(), seed) for seed in reversed(range(6))}

    assert all(torch.equal(pixels, again[seed]) for seed, pixels in enumerate(first))
    assert len({pixels.numpy().tobytes() for pixels in first}) == 6


@pytest.mark.parametrize("name", [name for name, spec in TRANSFORMS.items() if spec.is_random])
def test_no_transform_touches_the_global_random_state(name):
    train = TrainPipeline(PREPROCESSING, only(name))
    before = torch.get_rng_state()

    for seed in range(20):
        train(picture(), seed)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_picture_given_is_not_changed():
    image = picture()
    before = image.clone()

    for seed in range(5):
        TrainPipeline(PREPROCESSING, everything())(image, seed)

    assert torch.equal(image, before)


def test_threads_do_not_disturb_each_other():
    """The loader's thread draws while dropout draws in the training thread: neither may see the other."""
    train = TrainPipeline(PREPROCESSING, AugmentSettings(preset="strong"))
    alone = [train(picture(), seed) for seed in range(100)]

    together: list[torch.Tensor] = []
    loader = threading.Thread(target=lambda: together.extend(train(picture(), seed) for seed in range(100)))
    torch.manual_seed(7)
    loader.start()
    dropout = []
    while loader.is_alive():
        dropout.append(torch.rand(1))
    loader.join()

    torch.manual_seed(7)
    assert all(map(torch.equal, together, alone))
    assert all(torch.equal(drawn, torch.rand(1)) for drawn in dropout)


def test_picture_seed_is_the_same_in_every_process():
    """Written down once: Python's own hash of a text is another one in every process."""
    assert picture_seed(3, 4, "ant.jpg") == 4_933_823_216_555_740_878


def test_picture_seeds_differ_by_seed_epoch_and_picture():
    seeds = {picture_seed(s, e, k) for s in (0, 1, 11) for e in (0, 1, 11) for k in ("a", "b", "1:a", "", "ä")}

    assert len(seeds) == 3 * 3 * 5
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("shape", [(80, 100), (300, 200), (30, 40), (64, 64), (72, 72)], ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_evaluation_is_torchvisions_own(shape, interpolation):
    preprocessing = Preprocessing(
        image_size=64, resize_size=72, interpolation=interpolation, mean=PREPROCESSING.mean, std=PREPROCESSING.std
    )
    theirs = ImageClassification(
        crop_size=64,
        resize_size=72,
        mean=PREPROCESSING.mean,
        std=PREPROCESSING.std,
        interpolation=InterpolationMode(interpolation),
    )

    ours = normalise(EvalPipeline(preprocessing)(picture(*shape))[None], preprocessing)

    # theirs resizes bytes by way of floats, ours in whole numbers: at most one level of 255 apart
    torch.testing.assert_close(ours[0], theirs(picture(*shape)), rtol=0, atol=1.01 / 255 / min(PREPROCESSING.std))


def test_far_ends_of_a_strip_do_not_change_its_middle():
    strip = picture(20, 1000)
    theirs = ImageClassification(crop_size=64, resize_size=72, interpolation=InterpolationMode.BICUBIC)(strip)

    ours = normalise(EvalPipeline(PREPROCESSING)(strip)[None], PREPROCESSING)[0]

    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.05)


def test_centre_crop_training_sees_what_evaluation_sees():
    train = TrainPipeline(PREPROCESSING, AugmentSettings(preset="centre-crop"))

    assert torch.equal(train(picture(), 8), EvalPipeline(PREPROCESSING)(picture()))


def test_uncovered_corners_have_the_mean_colour():
    """Zero after normalisation: a corner that was turned in says nothing. White or black would be 2 away."""
    train = TrainPipeline(PREPROCESSING, only("RandomRotation", degrees=180.0))
    white = torch.full((3, 64, 64), 255, dtype=torch.uint8)

    turned = normalise(torch.stack([train(white, seed) for seed in range(8)]), PREPROCESSING)

    assert turned[:, :, 0, 0].abs().amax(1).median() < 0.01


def test_normalise_is_per_channel_float_and_channels_last():
    batch = torch.stack([picture(64, 64, seed=seed) for seed in range(3)])

    normalised = normalise(batch, PREPROCESSING)

    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (PREPROCESSING.mean, PREPROCESSING.std))
    torch.testing.assert_close(normalised, (batch / 255 - mean) / std, rtol=0, atol=1e-5)
    assert normalised.dtype == torch.float32 and normalised.is_contiguous(memory_format=torch.channels_last)
    assert batch.dtype == torch.uint8
