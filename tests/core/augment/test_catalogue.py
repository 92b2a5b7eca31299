"""The catalogue: every row complete, every preset possible, everything else refused by name."""

import subprocess
import sys

import pytest

from core.augment.catalogue import (
    CUSTOM,
    MAX_STEPS,
    PRESETS,
    TRANSFORMS,
    check_steps,
    default_step,
    is_random,
    steps_of,
    training_calls,
)
from core.augment.preprocessing import Preprocessing
from core.errors import SettingsError
from core.settings.schema import AugmentSettings, AugmentStep, RunSettings
from core.settings.versions import from_dict, to_dict

PREPROCESSING = Preprocessing(image_size=32, resize_size=40, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
NUMBERS = [(spec, number) for spec in TRANSFORMS.values() for number in spec.parameters]


def custom(*steps: AugmentStep) -> AugmentSettings:
    return AugmentSettings(preset=CUSTOM, steps=steps)


@pytest.mark.parametrize("module", ["catalogue", "transforms", "specs", "code"])
def test_module_is_read_without_torch(module):
    script = f"import sys, core.augment.{module}; assert not {{'torch', 'torchvision', 'streamlit'}} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("spec", TRANSFORMS.values(), ids=TRANSFORMS)
def test_every_transform_explains_itself(spec):
    assert spec.label and spec.help.endswith(".")
    assert len({parameter.name for parameter in spec.parameters}) == len(spec.parameters)
    assert len({other.label for other in TRANSFORMS.values()}) == len(TRANSFORMS)


@pytest.mark.parametrize(("spec", "number"), NUMBERS, ids=[f"{s.name}-{n.name}" for s, n in NUMBERS])
def test_every_parameter_has_a_range_its_default_lies_in(spec, number):
    assert number.low <= number.default <= number.high and number.low < number.high
    assert 0 < number.step <= number.high - number.low
    assert number.label and number.help.endswith(".")


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_preset_is_complete_and_explains_itself(preset):
    assert preset.label and preset.help.endswith(".")
    assert check_steps(preset.steps) == preset.steps == steps_of(AugmentSettings(preset=preset.name))


def test_the_default_settings_are_a_preset():
    assert steps_of(AugmentSettings()) == PRESETS["gentle"].steps


def test_presets_differ():
    assert len({preset.steps for preset in PRESETS.values()}) == len(PRESETS)


def test_tutorial_preset_is_what_torchvision_does_by_default():
    from torchvision.transforms import v2

    ((_, (crop,)), (_, (flip,))) = training_calls(AugmentSettings(preset="tutorial"), PREPROCESSING)
    usual = v2.RandomResizedCrop(224)

    assert crop.arguments["scale"] == usual.scale
    assert crop.arguments["ratio"] == usual.ratio
    assert flip.arguments["p"] == v2.RandomHorizontalFlip().p


def test_steps_left_out_of_a_step_have_their_default():
    (step,) = check_steps(
        (
            AugmentStep(
                name="ColorJitter",
                values=(("hue", 0.1), ("brightness", 0)),
            ),
        )
    )

    assert step == default_step("ColorJitter", brightness=0.0, hue=0.1)


def test_custom_steps_without_a_crop_begin_as_evaluation_does():
    steps = steps_of(custom(default_step("RandomRotation")))

    assert [step.name for step in steps] == ["CenterCrop", "RandomRotation"]
    assert [step.name for step in steps_of(custom())] == ["CenterCrop"]


def test_custom_steps_with_a_crop_stay_as_they_are():
    steps = (default_step("Resize"), default_step("RandomRotation"), default_step("RandomRotation"))

    assert steps_of(custom(*steps)) == steps


def test_steps_survive_being_written_down():
    settings = RunSettings(augment=custom(default_step("RandomResizedCrop"), default_step("GaussianBlur", sigma=1.5)))

    assert steps_of(from_dict(to_dict(settings)).augment) == steps_of(settings.augment)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (AugmentSettings(preset="wild"), "preset is 'wild'; choose one of: none, .*custom"),
        (AugmentSettings(preset="none", steps=(default_step("Resize"),)), "preset is none, .* choose custom"),
        (custom(AugmentStep(name="Swirl")), "transform 'Swirl' is unknown; choose one of: RandomResizedCrop, "),
        (custom(default_step("RandomRotation"), default_step("CenterCrop")), "CenterCrop is step 2; .* must be first"),
        (custom(AugmentStep(name="RandomRotation", values=(("p", 1.0),))), "no parameter 'p'; it has: degrees"),
        (custom(AugmentStep(name="CenterCrop", values=(("p", 1.0),))), "no parameter 'p'; it has: none"),
        (custom(AugmentStep(name="RandomGrayscale", values=(("p", 1.0), ("p", 0.0)))), "a parameter twice: p, p"),
        (custom(*[default_step("RandomGrayscale")] * (MAX_STEPS + 1)), f"steps are 17; .* at most {MAX_STEPS}"),
    ],
    ids=["preset", "preset-with-steps", "transform", "late-crop", "parameter", "no-parameters", "twice", "too-many"],
)
def test_what_is_not_in_the_catalogue_is_refused_by_name(settings, message):
    with pytest.raises(SettingsError, match=message):
        steps_of(settings)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5", None, True], ids=str)
def test_what_is_not_a_number_is_refused(value):
    with pytest.raises(SettingsError, match=r"RandomGrayscale: p is .*; it must be a number"):
        check_steps((AugmentStep(name="RandomGrayscale", values=(("p", value),)),))


@pytest.mark.parametrize(("spec", "number"), NUMBERS, ids=[f"{s.name}-{n.name}" for s, n in NUMBERS])
def test_values_outside_the_range_are_refused_with_the_range(spec, number):
    for value in (number.low - 0.01, number.high + 0.01):
        with pytest.raises(SettingsError) as refused:
            check_steps((AugmentStep(name=spec.name, values=((number.name, value),)),))
        for part in (spec.name, number.name, f"{value:g}", f"{number.low:g}", f"{number.high:g}"):
            assert part in str(refused.value)


@pytest.mark.parametrize(
    ("preset", "random"), [("none", False), ("centre-crop", False), ("gentle", True), ("strong", True)]
)
def test_only_pipelines_that_draw_count_as_random(preset, random):
    assert is_random(AugmentSettings(preset=preset)) is random
