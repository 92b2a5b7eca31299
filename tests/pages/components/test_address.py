"""The address keeps what was chosen: every field, from every widget, and nothing that is not possible."""

from dataclasses import fields, replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.augment.catalogue import PRESETS, TRANSFORMS, default_step
from core.models.catalogue import BACKBONES
from core.settings.schema import PARTS, AugmentSettings, DataSettings, OptimSettings, RunSettings
from pages.components.address import LONGEST, ROWS, from_address, to_address

FINETUNED = replace(RunSettings(), model=replace(RunSettings().model, scenario="finetuned"))
EVERYTHING = AugmentSettings(
    preset="custom",
    steps=tuple(
        replace(default_step(name), values=tuple((p.name, p.low + (p.high - p.low) / 3) for p in spec.parameters))
        for name, spec in TRANSFORMS.items()
        if name == "RandomResizedCrop" or not spec.sets_size
    ),
)
NOT_CHOSEN = {"split_rule", "fold"}  # the newest, and what a race makes one run of each of
FIELDS = [(part, spec) for part, kind in PARTS.items() for spec in fields(kind) if spec.name not in NOT_CHOSEN]
FIELDS += [("", spec) for spec in fields(RunSettings) if spec.name not in PARTS]


def other_value(spec: Any) -> Any:
    """A value that is allowed and not the default."""
    names = {"dataset": "0123abcd", "backbone": "resnet18"}
    if spec.name in names:
        return names[spec.name]
    if spec.metadata["choices"]:
        return next(choice for choice in spec.metadata["choices"] if choice not in (spec.default, "scratch"))
    low, high = spec.metadata["low"], spec.metadata["high"]
    value = low + (high - low) / 7
    return int(value) if spec.metadata["whole"] else value


def written(settings: RunSettings) -> dict[str, str]:
    return {name: text for name, text in to_address(settings).items() if text is not None}


def change(base: RunSettings, part: str, spec: Any) -> RunSettings:
    if part == "augment":
        return replace(base, augment=EVERYTHING)
    value = {spec.name: other_value(spec)}
    return replace(base, **({part: replace(getattr(base, part), **value)} if part else value))


@pytest.mark.parametrize(("part", "spec"), [pytest.param(*row, id=f"{row[0]}.{row[1].name}") for row in FIELDS])
def test_every_field_of_the_settings_comes_back_from_the_address(part: str, spec: Any):
    changed = change(FINETUNED, part, spec)

    assert changed != FINETUNED
    assert from_address(written(changed)) == (changed, [])


def test_all_fields_at_once_come_back_and_the_address_stays_short():
    changed = FINETUNED
    for part, spec in FIELDS:
        if spec.name != "scenario":
            changed = change(changed, part, spec)

    found = written(changed)

    assert from_address(found) == (changed, [])
    assert len(found) == len(ROWS) and sum(map(len, found.values())) < LONGEST


def test_no_address_asks_for_the_parts_of_an_earlier_version():
    old = replace(RunSettings(), data=DataSettings(split_rule=1))

    assert written(old) == {} and from_address({"split_rule": "1"}) == (RunSettings(), [])


def test_defaults_are_not_written():
    assert written(RunSettings()) == {}
    assert written(replace(RunSettings(), seed=3)) == {"seed": "3"}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_written_by_its_name(preset: str):
    settings = replace(RunSettings(), augment=AugmentSettings(preset=preset))

    assert written(settings).get("augment", "gentle") == preset
    assert from_address(written(settings)) == (settings, [])


def test_a_pipeline_of_ones_own_names_what_it_changes_only():
    steps = (default_step("RandomResizedCrop", scale=0.8), default_step("RandomHorizontalFlip"))
    settings = replace(RunSettings(), augment=AugmentSettings(preset="custom", steps=steps))

    assert written(settings) == {"augment": "custom~RandomResizedCrop,scale=0.8~RandomHorizontalFlip"}


def test_addresses_of_earlier_versions_mean_what_they_meant():
    old = {"data": "0123abcd", "scenario": "finetuned", "backbone": "resnet18", "augment": "strong"}

    found, refused = from_address({**old, "epochs": "7", "seed": "3", "run": "not ours", "band": "2"})

    assert refused == []
    assert (found.data, found.optim) == (DataSettings(dataset="0123abcd"), OptimSettings(epochs=7))
    assert (found.model.scenario, found.model.backbone, found.augment.preset) == ("finetuned", "resnet18", "strong")
    assert found.seed == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("epochs", "many"),
        ("epochs", "2.5"),
        ("epochs", "0"),
        ("epochs", ""),
        ("seed", "9" * 5000),
        ("lr", "nan"),
        ("weight_decay", "inf"),
        ("weight_decay", "-1"),
        ("class_weights", "heavy"),
        ("scenario", "melted"),
        ("backbone", "<script>"),
        ("batchnorm", "adapted"),  # not in the scenario Frozen
        ("augment", "custom~Nonsense"),
        ("augment", "custom~RandomHorizontalFlip,p=2"),
        ("augment", "custom~RandomHorizontalFlip,p"),
        ("augment", "custom~RandomHorizontalFlip,q=0.5"),
        ("augment", "custom~"),
        ("augment", "custom" + "~RandomHorizontalFlip" * 17),
        ("augment", "gentle~RandomHorizontalFlip"),
        ("augment", "custom" + "~" * LONGEST),
    ],
)
def test_what_is_not_possible_is_named_and_left_at_its_default_and_the_rest_is_taken(name: str, text: str):
    rest = {"views": "5"}

    found, refused = from_address({name: text, **rest})

    assert found == replace(RunSettings(), optim=OptimSettings(views=5))
    assert [str(error).startswith(f"The address asks for {name}=") for error in refused] == [True]
    assert "default is used" in str(refused[0]) and len(str(refused[0])) < 600


def test_more_stages_than_the_backbone_has_and_a_size_it_cannot_take_are_refused():
    _, stages = from_address({"scenario": "last-stages", "last_stages": "12"})
    _, size = from_address({"backbone": "vit_b_16", "train_size": "160"})

    assert "has 9 stages" in str(stages[0]) and "one size only" in str(size[0])


def addressed(at: AppTest) -> dict[str, str]:
    """What the address says, as a reload sends it."""
    return {name: value[0] if isinstance(value, list) else value for name, value in at.query_params.items()}


def chosen(at: AppTest) -> RunSettings:
    assert not at.exception and not at.error
    return at.session_state["chosen.settings"]


def set_everything(at: AppTest) -> set[str]:
    """Give every widget of the form a value that it does not have; the names of those that were set.

    In rounds: with what is chosen others appear.
    """
    done: set[str] = set()
    left_alone = {"train.scenario", "train.backbone", "train.repeats"}
    for _ in range(20):
        widgets = [w for w in (*at.selectbox, *at.number_input, *at.slider) if (w.key or "").startswith("train.")]
        widgets = [w for w in widgets if not w.key.startswith("train.recipe.")]  # it would choose another strategy
        new = [widget for widget in widgets if widget.key not in left_alone | done]
        if not new:
            return done
        for widget in new:
            if widget.type == "selectbox":
                widget.select_index(((widget.index or 0) + 1) % len(widget.options))
            else:
                value = widget.min + (widget.max - widget.min) / 3
                widget.set_value(round(value) if isinstance(widget.min, int) else value)
        done |= {widget.key for widget in new}
        at.run()
    raise AssertionError("the form has no end")


# between them they show every widget of the form
@pytest.mark.parametrize("scenario", ["frozen", "last-stages", "probe-then-finetune"])
def test_a_reload_keeps_whatever_train_can_change(start, tiny_dataset, scenario: str):
    at = start("train.py", data=tiny_dataset.id)
    at.radio(key="train.scenario").set_value(scenario).run()
    names = set_everything(at)
    wanted = chosen(at)

    again = start("train.py", **addressed(at))

    assert chosen(again) == wanted != RunSettings(data=wanted.data)
    assert {"train.seed", "train.class_weights", "train.label_smoothing", "train.precision"} <= names
    assert ("train.weight_decay" in names) == (scenario != "frozen")


def test_a_reload_keeps_a_pipeline_of_ones_own(start, tiny_dataset):
    at = start("augment.py", data=tiny_dataset.id)
    at.pills(key="augment.changes").set_value(["RandomHorizontalFlip", "ColorJitter", "RandomErasing"]).run()
    at.slider(key="augment.RandomResizedCrop.scale").set_value(0.8).run()
    wanted = chosen(at).augment
    assert wanted.preset == "custom" and len(wanted.steps) == 4

    for page in ("augment.py", "train.py", "home.py"):
        assert chosen(start(page, **addressed(at))).augment == wanted


def test_another_page_of_the_same_session_has_it_in_its_address_too(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id, scenario="finetuned")
    at.number_input(key="train.weight_decay").set_value(0.2).run()

    at.query_params.clear()  # as Streamlit does on the way to another page
    at.switch_page("data.py").run()

    assert addressed(at) == {"data": tiny_dataset.id, "scenario": "finetuned", "weight_decay": "0.2"}


def test_a_choice_that_a_scenario_cannot_have_goes_with_it(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id, scenario="finetuned", batchnorm="adapted")
    assert at.selectbox(key="train.batchnorm").value == "adapted"

    at.radio(key="train.scenario").set_value("frozen").run()

    assert chosen(at).model.batchnorm is None and "batchnorm" not in addressed(at)


def test_a_training_size_goes_with_a_backbone_that_has_only_one(start, tiny_dataset):
    assert not BACKBONES["vit_b_16"].any_size
    at = start("train.py", data=tiny_dataset.id, scenario="scratch", train_size="160")

    at.selectbox(key="train.backbone").set_value("vit_b_16").run()

    assert chosen(at).optim.train_size is None and "train_size" not in addressed(at)


def test_what_an_address_asks_for_in_vain_is_said_once_on_the_page(start, tiny_dataset):
    at = start("train.py", data=tiny_dataset.id, epochs="0", weight_decay="lots", scenario="finetuned")

    said = [error.value for error in at.error]
    assert len(said) == 2 and "epochs" in said[0] and "decay" in said[1]
    assert addressed(at) == {"data": tiny_dataset.id, "scenario": "finetuned"}
    at.run()
    assert not at.error
