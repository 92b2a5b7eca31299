"""Settings: the table of options, its checks, and settings as JSON."""

import json
from dataclasses import MISSING, fields, replace
from typing import Any

import pytest

from core.errors import SettingsError
from core.settings.scenarios import SCENARIO_OPTIONS, SCENARIOS
from core.settings.schema import (
    AugmentSettings,
    AugmentStep,
    DataSettings,
    ModelSettings,
    OptimSettings,
    RunSettings,
    differences,
)
from core.settings.versions import MINOR, VERSION, from_dict, to_dict

PARTS = {"data": DataSettings, "augment": AugmentSettings, "model": ModelSettings, "optim": OptimSettings}
OPTIONS = [(kind, spec) for kind in (*PARTS.values(), RunSettings) for spec in fields(kind) if spec.metadata]
NUMBERS = [(kind, spec) for kind, spec in OPTIONS if spec.metadata["low"] is not None]
CHOICES = [(kind, spec) for kind, spec in OPTIONS if spec.metadata["choices"]]


def named(rows: list[tuple[type, Any]]) -> list[Any]:
    return [pytest.param(kind, spec, id=f"{kind.__name__}.{spec.name}") for kind, spec in rows]


@pytest.mark.parametrize(("kind", "spec"), named(OPTIONS))
def test_every_option_says_what_it_is_and_has_limits_that_hold_its_default(kind: type, spec: Any):
    told = spec.metadata

    assert told["help"].endswith(".")
    assert bool(told["choices"]) != (told["low"] is not None and told["high"] is not None)
    if spec.default is not None:
        assert spec.default in told["choices"] or told["low"] <= spec.default <= told["high"]


def test_only_names_and_parts_have_no_limits():
    free = {spec.name for kind in (*PARTS.values(), RunSettings) for spec in fields(kind) if not spec.metadata}

    assert free == {"dataset", "split_rule", "preset", "steps", "backbone", *PARTS}


BESIDE: dict[str, dict[str, Any]] = {"fold": {"folds": 10}}
"""What a field needs beside it to be allowed."""


@pytest.mark.parametrize(("kind", "spec"), named(NUMBERS))
def test_a_number_may_be_its_limits(kind: type, spec: Any):
    for value in (spec.metadata["low"], spec.metadata["high"]):
        assert getattr(kind(**BESIDE.get(spec.name, {}), **{spec.name: value}), spec.name) == value


@pytest.mark.parametrize("folds", [None, 3])
def test_a_fold_that_there_is_not_is_refused(folds: int | None):
    with pytest.raises(SettingsError, match=f"fold is 4; there are {folds or 'no'} folds"):
        DataSettings(folds=folds, fold=4)


@pytest.mark.parametrize(("kind", "spec"), named(NUMBERS))
def test_a_number_beyond_its_limits_is_refused_with_name_value_and_limits(kind: type, spec: Any):
    low, high = spec.metadata["low"], spec.metadata["high"]
    for value in (low - 1, high + 1):
        with pytest.raises(SettingsError) as refused:
            kind(**{spec.name: value})
        assert f"{spec.name} is {value:g}; it must lie between {low:g} and {high:g}." == str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1e3", [1]], ids=repr)
@pytest.mark.parametrize(("kind", "spec"), named(NUMBERS))
def test_what_is_no_number_is_refused(kind: type, spec: Any, value: object):
    with pytest.raises(SettingsError, match=rf"^{spec.name} is .*must be a (whole )?number\.$"):
        kind(**{spec.name: value})


@pytest.mark.parametrize("name", ["epochs", "batch_size", "views", "train_size"])
def test_half_a_count_is_refused(name: str):
    with pytest.raises(SettingsError, match="whole number"):
        OptimSettings(**{name: 2.5})


def test_none_is_refused_where_it_has_no_meaning():
    with pytest.raises(SettingsError, match="epochs is None"):
        OptimSettings(epochs=None)


@pytest.mark.parametrize(("kind", "spec"), named(CHOICES))
def test_an_unknown_choice_is_answered_with_all_choices(kind: type, spec: Any):
    with pytest.raises(SettingsError) as refused:
        kind(**{spec.name: "best"})

    assert all(choice in str(refused.value) for choice in ("'best'", *spec.metadata["choices"]))


def test_every_scenario_has_a_label_a_help_a_look_of_its_own_and_stated_rates():
    rows = SCENARIOS.values()

    assert [row.name for row in rows] == list(SCENARIOS)
    assert all(row.label and row.help and set(row.rates) == {"adamw", "sgd"} for row in rows)
    for part in ("color", "dash", "symbol"):
        assert len({row.style[part] for row in rows}) == len(rows)
    assert {spec.name for _, spec in OPTIONS} >= SCENARIO_OPTIONS


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("scenario", ["last-stages", "finetuned", "probe-then-finetune"])
def test_a_pretrained_backbone_trains_at_a_tenth_of_the_heads_rate(scenario: str, optimizer: str):
    head, backbone = SCENARIOS[scenario].rates[optimizer]

    assert backbone == pytest.approx(head / 10)


def test_rates_are_the_scenarios_unless_given():
    model = ModelSettings(scenario="finetuned")

    assert RunSettings(model=model).rates == SCENARIOS["finetuned"].rates["adamw"]
    assert RunSettings(model=model, optim=OptimSettings(lr=0.5)).rates == (0.5, 3e-4)
    assert RunSettings(model=model, optim=OptimSettings(backbone_lr=0.5)).rates == (3e-3, 0.5)


def test_a_frozen_backbone_has_no_rate_even_if_one_is_given():
    assert RunSettings(optim=OptimSettings(backbone_lr=0.1)).rates[1] == 0.0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_only_from_scratch_starts_from_nothing_and_only_it_and_looks_frozen_move_statistics(scenario: Any):
    model = ModelSettings(scenario=scenario)

    expected = {"scratch": ("none", "adapted"), "looks-frozen": ("imagenet", "adapted")}
    assert (model.start, model.statistics) == expected.get(scenario, ("imagenet", "kept"))


@pytest.mark.parametrize(
    "values",
    [
        {"scenario": "scratch", "weights": "imagenet"},
        {"scenario": "frozen", "batchnorm": "adapted"},
        {"scenario": "looks-frozen", "batchnorm": "kept"},
    ],
    ids=lambda values: values["scenario"],
)
def test_a_contradiction_is_refused(values: dict[str, Any]):
    with pytest.raises(SettingsError, match=f"scenario is {values['scenario']}"):
        ModelSettings(**values)


def other_value(spec: Any) -> Any:
    """A value that is allowed and is neither the default nor what the default stands for."""
    if spec.name == "steps":
        return (AugmentStep(name="RandomHorizontalFlip", values=(("p", 0.25),)),)
    if not spec.metadata:
        return 1 if spec.name == "split_rule" else "other"
    if spec.metadata["choices"]:
        resolved = {"weights": "imagenet", "batchnorm": "kept"}.get(spec.name, spec.default)
        return next(choice for choice in spec.metadata["choices"] if choice != resolved)
    return next(limit for limit in (spec.metadata["high"], spec.metadata["low"]) if limit != spec.default)


FIELDS = [(name, spec) for name, kind in PARTS.items() for spec in fields(kind)]


@pytest.mark.parametrize(("part", "spec"), [pytest.param(*row, id=f"{row[0]}.{row[1].name}") for row in FIELDS])
def test_a_changed_field_survives_json_and_is_the_only_difference(part: str, spec: Any):
    base = RunSettings(model=ModelSettings(scenario="finetuned"))
    base = replace(base, **{part: replace(getattr(base, part), **BESIDE.get(spec.name, {}))})
    changed = replace(base, **{part: replace(getattr(base, part), **{spec.name: other_value(spec)})})

    assert from_dict(json.loads(json.dumps(to_dict(changed)))) == changed
    rows = [name for name, _, _ in differences(base, changed)]
    assert f"{part}.{spec.name}" in rows
    # the scenario and the optimiser bring their own default rates and statistics along
    assert rows == [f"{part}.{spec.name}"] or spec.name in ("scenario", "optimizer", "weights")


def test_equal_runs_differ_in_nothing_and_seeds_are_told_apart():
    assert differences(RunSettings(), RunSettings()) == []
    assert differences(RunSettings(seed=1), RunSettings(seed=2)) == [("seed", 1, 2)]


def test_a_default_and_the_same_number_written_out_are_no_difference():
    written = RunSettings(model=ModelSettings(weights="imagenet", batchnorm="kept"), optim=OptimSettings(lr=1e-2))

    assert differences(RunSettings(), written) == []


def test_settings_from_another_version_are_refused():
    with pytest.raises(SettingsError, match="version 99"):
        from_dict({**to_dict(RunSettings()), "version": 99})


NEW = ("split_rule", "folds", "fold")
"""Fields of the data that the first four versions did not know."""


def of_version_1(settings: RunSettings) -> dict[str, Any]:
    """Settings as the first version wrote them: without what it did not know, with what is gone."""
    values = json.loads(json.dumps(to_dict(settings)))
    for name in ("l2", "stage_decay", "ema", "train_size", "precision", "class_weights", "device"):
        del values["optim"][name]
    values["optim"]["probe_epochs"] = 20
    for name in NEW:
        del values["data"][name]
    return {**values, "version": 1}


BEFORE = DataSettings(split_rule=1)
"""What every run of the first four versions has: another test part for each seed."""


def test_settings_of_version_1_mean_what_they_meant_then():
    settings = RunSettings(model=ModelSettings(scenario="finetuned"), optim=OptimSettings(epochs=7, lr=0.5), seed=3)

    found = from_dict(of_version_1(settings))

    assert found == replace(settings, data=BEFORE, optim=replace(settings.optim, precision="fp32"))
    assert (found.optim.ema, found.optim.stage_decay, found.optim.l2, found.optim.train_size) == (0.0, 1.0, None, None)
    assert to_dict(found)["version"] == VERSION


def test_settings_of_version_2_knew_no_class_weights():
    values = json.loads(json.dumps(to_dict(RunSettings(seed=3))))
    del values["optim"]["class_weights"]
    for name in NEW:
        del values["data"][name]

    assert from_dict({**values, "version": 2}) == RunSettings(data=BEFORE, seed=3)


def with_seconds(seconds: float | None, scenario: str = "finetuned") -> dict[str, Any]:
    """Settings as version 5 wrote them: it could be told to train for so long, and not for a number of epochs."""
    values = json.loads(json.dumps(to_dict(RunSettings(model=ModelSettings(scenario=scenario), seed=3))))
    del values["optim"]["device"]
    return {**values, "version": 5, "optim": {**values["optim"], "seconds": seconds}}


@pytest.mark.parametrize(
    ("seconds", "done", "expected"), [(9.0, 17, 17), (9.0, 5000, 200), (9.0, None, 5), (9.0, 0, 5), (None, 17, 5)]
)
def test_a_run_that_had_seconds_has_the_epochs_that_it_did_in_them(seconds: Any, done: int | None, expected: int):
    found = from_dict(with_seconds(seconds), done)

    assert found == RunSettings(model=ModelSettings(scenario="finetuned"), optim=OptimSettings(epochs=expected), seed=3)
    assert from_dict(to_dict(found)) == found


def test_settings_of_version_3_had_seconds_and_no_class_weights():
    values = with_seconds(9.0)
    del values["optim"]["class_weights"]
    for name in NEW:
        del values["data"][name]

    found = from_dict({**values, "version": 3})

    assert found == RunSettings(data=BEFORE, model=ModelSettings(scenario="finetuned"), seed=3)
    assert found.optim.class_weights == "none"


def test_runs_of_version_4_keep_the_rule_they_were_divided_by():
    values = json.loads(json.dumps(to_dict(RunSettings())))
    for name in NEW:
        del values["data"][name]

    assert from_dict({**values, "version": 4}).data == BEFORE
    assert RunSettings().data.split_rule == 2


@pytest.mark.parametrize("rule", [0, 3, "1", None])
def test_a_rule_of_a_later_version_is_refused(rule: Any):
    with pytest.raises(SettingsError, match=r"split_rule is .*knows the rules 1 to 2"):
        DataSettings(split_rule=rule)


@pytest.mark.parametrize(
    ("change", "named"), [({"colour": 1}, "colour"), ({"epochs": 0}, "epochs is 0")], ids=["unknown", "not allowed"]
)
def test_settings_of_version_1_are_checked_like_any_others(change: dict[str, Any], named: str):
    values = of_version_1(RunSettings())
    values["optim"].update(change)

    with pytest.raises(SettingsError, match=named):
        from_dict(values)


@pytest.mark.parametrize("part", [*PARTS, "seed"])
def test_a_part_that_version_1_had_is_missed_by_name(part: str):
    values = of_version_1(RunSettings())
    del values[part]

    with pytest.raises(SettingsError, match=part):
        from_dict(values)


@pytest.mark.parametrize("part", PARTS)
def test_an_unknown_field_in_a_file_is_named(part: str):
    values = to_dict(RunSettings())
    values[part]["colour"] = 1

    with pytest.raises(SettingsError, match=rf"{part}.*colour"):
        from_dict(values)


def test_what_a_later_minor_version_tells_beside_what_we_know_is_not_looked_at():
    values = {**to_dict(RunSettings(seed=3)), "minor": MINOR + 1, "energy": "green"}
    values["optim"]["colour"] = 1

    assert from_dict(values) == RunSettings(seed=3)
    with pytest.raises(SettingsError, match=r"settings has unknown fields \['energy'\]"):
        from_dict({**values, "minor": 0})


@pytest.mark.parametrize(("part", "spec"), [pytest.param(*row, id=f"{row[0]}.{row[1].name}") for row in FIELDS])
def test_a_field_that_was_added_since_takes_its_default(part: str, spec: Any):
    values = to_dict(RunSettings())
    del values[part][spec.name]

    assert from_dict(values) == RunSettings()


@pytest.mark.parametrize("name", [*PARTS, "seed"])
def test_a_missing_part_in_a_file_is_named(name: str):
    values = to_dict(RunSettings())
    del values[name]

    with pytest.raises(SettingsError, match=name):
        from_dict(values)


def test_values_in_a_file_are_checked_like_any_others():
    values = to_dict(RunSettings())
    values["optim"]["epochs"] = 0

    with pytest.raises(SettingsError, match="epochs is 0"):
        from_dict(values)


def test_settings_can_be_keys_of_a_cache():
    assert len({RunSettings(), RunSettings(), RunSettings(seed=1)}) == 2
    assert all(spec.default is not MISSING for _, spec in OPTIONS)
