"""Augment: the controls are the settings, the samples are what training draws, the code is what runs."""

from dataclasses import replace

import numpy as np
import pytest

from core.augment.catalogue import PRESETS, TRANSFORMS, steps_of
from core.settings.schema import AugmentSettings, RunSettings


@pytest.fixture
def page(start, tiny_dataset):
    """The page with the drawn pictures chosen."""
    at = start("augment.py", data=tiny_dataset.id)
    assert not at.exception
    return at


def chosen(at) -> RunSettings:
    return at.session_state["chosen.settings"]


def sample_lines(at) -> list[str]:
    """What is told under each sample."""
    if not at.toggle(key="augment.values").value:
        at.toggle(key="augment.values").set_value(True).run()
    return [caption.value for caption in at.caption if "Random crop" in caption.value and "px" in caption.value]


def picture_count(at) -> int:
    return len(at.get("image"))


def test_the_picture_and_what_evaluation_sees_stand_before_the_samples_and_what_was_drawn_is_told_when_asked(page):
    titles = [markdown.value for markdown in page.markdown if markdown.value.startswith("**")]
    captions = len(page.caption)

    assert titles[0].startswith("**Original") and titles[1:3] == ["**Evaluation**", "**Sample 1**"]
    assert picture_count(page) == 2 + 4
    assert len(sample_lines(page)) == 4
    assert len(set(sample_lines(page))) > 1
    assert len(page.caption) == captions + 2 + 4
    assert any("discs/" in caption.value.replace("\\", "") for caption in page.caption)


def test_every_preset_can_be_looked_at_and_is_what_train_will_use(page):
    for preset in PRESETS:
        page.pills(key="augment.preset").set_value(preset).run()

        assert not page.exception and not page.error
        assert chosen(page).augment == AugmentSettings(preset=preset)
        assert picture_count(page) == 6


def test_a_changed_value_makes_the_preset_custom_and_changes_nothing_else_until_a_preset_is_chosen_again(page):
    page.slider(key="augment.RandomResizedCrop.scale").set_value(0.8).run()

    assert page.pills(key="augment.preset").value == "custom"
    expected = replace(PRESETS["gentle"].steps[0], values=(("scale", 0.8), ("ratio", 4 / 3)))
    assert chosen(page).augment == AugmentSettings(preset="custom", steps=(expected, PRESETS["gentle"].steps[1]))
    assert "scale=[0.8, 1.0]" in page.code[0].value

    page.pills(key="augment.preset").set_value("gentle").run()
    assert chosen(page).augment == AugmentSettings()
    assert page.slider(key="augment.RandomResizedCrop.scale").value == 0.35


def test_every_transform_can_be_added_with_a_slider_for_each_number_and_taken_away(page):
    changes = [name for name, spec in TRANSFORMS.items() if not spec.sets_size]
    page.pills(key="augment.changes").set_value(changes[::-1]).run()

    assert not page.exception and not page.error
    steps = steps_of(chosen(page).augment)
    assert [step.name for step in steps] == ["RandomResizedCrop", *changes]
    sliders = {slider.key for slider in page.slider}
    assert sliders == {f"augment.{step.name}.{name}" for step in steps for name, _ in step.values}

    page.pills(key="augment.square").set_value("Resize")
    page.pills(key="augment.changes").set_value([]).run()
    assert [step.name for step in steps_of(chosen(page).augment)] == ["Resize"]
    assert any("Nothing here is drawn at random" in markdown.value for markdown in page.markdown)


def test_the_same_seed_draws_the_same_another_does_not_and_more_samples_leave_the_first_as_they_were(page):
    first = sample_lines(page)
    page.number_input(key="augment.seed").set_value(5).run()
    other = sample_lines(page)
    page.number_input(key="augment.seed").set_value(0).run()
    assert sample_lines(page) == first != other
    assert chosen(page).seed == 0

    page.number_input(key="augment.count").set_value(3).run()
    assert sample_lines(page) == first[:3]


def test_the_samples_are_what_the_epochs_of_training_see(tiny_dataset):
    from core.training.scenarios import build_run_loaders
    from pages.components.augment.samples import training_samples

    settings = RunSettings()
    loaders = build_run_loaders(settings, tiny_dataset)
    trained = [dict(_pictures(loaders.train(epoch))) for epoch in (1, 2)]
    index = loaders.split.train[0]
    place = ("home", tiny_dataset.id, index)
    samples = training_samples(*place, settings.augment, settings.model.backbone, settings.seed, 2, tiny_dataset.stamp)

    for sample, epoch in zip(samples, trained, strict=True):
        assert np.array_equal(sample.pixels, epoch[index])


def _pictures(batches):
    for images, _, indices in batches:
        yield from zip(indices.tolist(), images.permute(0, 2, 3, 1).numpy(), strict=True)


def test_another_picture_is_another_one_and_a_changed_pipeline_survives_a_look_at_another_page(page):
    before = page.number_input(key="augment.picture").value
    page.button(key="augment.another").click().run()
    assert not page.exception
    assert page.number_input(key="augment.picture").value != before

    page.slider(key="augment.RandomHorizontalFlip.p").set_value(1.0).run()
    page.switch_page("classify.py").run()
    page.switch_page("augment.py").run()
    assert page.slider(key="augment.RandomHorizontalFlip.p").value == 1.0
    assert page.pills(key="augment.preset").value == "custom"


def test_an_unknown_preset_in_the_address_is_named_and_the_default_taken(start, tiny_dataset):
    at = start("augment.py", data=tiny_dataset.id, augment="[nonsense](x)")

    assert not at.exception
    assert "nonsense" in at.error[0].value
    assert at.pills(key="augment.preset").value == "gentle"
