"""What may be compared, and which differences are red: python -m pytest tests/core/comparison/test_fairness.py"""

import numpy as np
import pytest

from core.augment.catalogue import PRESETS
from core.comparison.fairness import MIXED_RULES, check_fairness, mixed_rules
from core.errors import RunError
from core.settings.schema import AugmentStep

RIGHT = "RRRRWR"


def uncontrolled(a, b) -> list[str]:
    return sorted(row.field for row in check_fairness(a, b).uncontrolled)


def expected(a, b) -> list[str]:
    return sorted(row.field for row in check_fairness(a, b).differences if row.expected)


@pytest.mark.parametrize("scenario", ["last-stages", "finetuned", "probe-then-finetune", "scratch"])
def test_scenarios_at_their_defaults_are_fair(outcome, scenario):
    fairness = check_fairness(outcome(RIGHT, "frozen"), outcome(RIGHT, scenario))

    assert fairness.comparable and not fairness.reasons and not fairness.chips
    assert "model.scenario" in [row.field for row in fairness.differences]
    assert all(row.expected for row in fairness.differences)


def test_a_run_is_fair_to_itself_and_differs_in_nothing(outcome):
    one = outcome(RIGHT)

    assert check_fairness(one, one).comparable
    assert check_fairness(one, one).differences == ()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"fingerprint": "other"}, "different data sets"),
        ({"split_hash": "other"}, "divided differently"),
        ({"class_names": ("bee", "ant")}, "classes differ: ant, bee against bee, ant"),
        ({"pictures": tuple("abcdef")}, "same pictures: 6 against 6, 0 in common"),
        ({"targets": np.array([1, 1, 0, 1, 0, 1])}, "different labels"),
    ],
    ids=["data", "split", "classes", "pictures", "labels"],
)
def test_hard_conditions_are_named_in_a_sentence(outcome, changed, says):
    fairness = check_fairness(outcome(RIGHT), outcome(RIGHT, "finetuned", changed=changed))

    assert not fairness.comparable and not fairness.comparable
    assert any(says in reason for reason in fairness.reasons)


def test_runs_of_both_rules_are_not_comparable_and_the_reason_is_said(outcome):
    old = outcome(RIGHT, "frozen", 1, data__split_rule=1, changed={"split_hash": "its own"})
    new = outcome(RIGHT, "finetuned", 1, changed={"pictures": tuple("abcdef")})

    assert check_fairness(old, new).reasons[0] == MIXED_RULES == mixed_rules([old, new])
    assert not any("divided differently" in reason for reason in check_fairness(old, new).reasons)


def test_old_runs_are_comparable_among_themselves(outcome):
    old, other = (outcome(RIGHT, name, 1, data__split_rule=1) for name in ("frozen", "finetuned"))

    assert check_fairness(old, other).comparable and mixed_rules([old, other]) == ""


def test_where_both_rules_gave_the_same_parts_the_rule_is_no_difference(outcome):
    """As where a data set brings its own test part."""
    old, new = outcome(RIGHT, "frozen", data__split_rule=1), outcome(RIGHT, "finetuned")

    assert check_fairness(old, new).comparable and not check_fairness(old, new).uncontrolled
    assert mixed_rules([old, new]) == ""


def test_a_race_that_mixes_the_rules_across_its_seeds_is_known(outcome):
    """Each pair shares its test part; the seeds do not."""
    own = {"pictures": tuple("abcdef")}
    runs = [outcome(RIGHT, name, 0) for name in ("frozen", "scratch")]
    runs += [outcome(RIGHT, name, 1, changed=own, data__split_rule=1) for name in ("frozen", "scratch")]

    assert mixed_rules(runs) == MIXED_RULES
    assert all(check_fairness(a, b).comparable for a, b in (runs[:2], runs[2:]))


def test_runs_without_test_pictures_are_not_comparable(outcome):
    assert check_fairness(outcome(""), outcome("", "finetuned")).reasons == ("There are no test pictures.",)


def test_one_other_setting_besides_the_scenario_is_a_red_chip(outcome):
    fairness = check_fairness(outcome(RIGHT, "last-stages"), outcome(RIGHT, "finetuned", optim__epochs=9))

    assert fairness.comparable
    assert [row.field for row in fairness.uncontrolled] == ["optim.epochs"]
    assert [(chip.text, chip.affects) for chip in fairness.chips] == [
        ("Not held equal: 5 epochs against 9 epochs.", "accuracy")
    ]


def test_two_other_settings_besides_the_scenario_are_two_chips(outcome):
    changed = outcome(RIGHT, "finetuned", optim__epochs=9, optim__batch_size=32)
    fairness = check_fairness(outcome(RIGHT, "last-stages"), changed)

    assert fairness.comparable and not fairness.reasons
    assert [chip.field for chip in fairness.chips] == ["optim.epochs", "optim.batch_size"]


def test_the_only_setting_that_differs_within_a_scenario_is_what_is_compared(outcome):
    a, b = outcome(RIGHT, "finetuned"), outcome(RIGHT, "finetuned", optim__epochs=9)

    assert (expected(a, b), uncontrolled(a, b)) == (["optim.epochs"], [])


def test_two_settings_within_a_scenario_are_both_uncontrolled(outcome):
    a, b = outcome(RIGHT, "finetuned"), outcome(RIGHT, "finetuned", optim__epochs=9, optim__weight_decay=0.1)

    assert uncontrolled(a, b) == ["optim.epochs", "optim.weight_decay"]


def test_rates_that_follow_from_another_optimizer_do_not_count_again(outcome):
    a, b = outcome(RIGHT, "finetuned"), outcome(RIGHT, "finetuned", optim__optimizer="sgd", optim__momentum=0.5)

    assert uncontrolled(a, b) == []
    assert expected(a, b) == ["optim.backbone_lr", "optim.lr", "optim.momentum", "optim.optimizer"]


def test_statistics_that_follow_from_random_weights_do_not_count_again(outcome):
    a, b = outcome(RIGHT, "finetuned"), outcome(RIGHT, "finetuned", model__weights="none")

    assert expected(a, b) == ["model.batchnorm", "model.weights"]
    assert check_fairness(a, b).comparable


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"optim__lr": 0.5}, "optim.lr"),
        ({"optim__backbone_lr": 0.5}, "optim.backbone_lr"),
        ({"model__batchnorm": "adapted"}, "model.batchnorm"),
        ({"augment__preset": "strong"}, "augment.preset"),
        ({"model__backbone": "resnet18"}, "model.backbone"),
        ({"optim__stage_decay": 0.5}, "optim.stage_decay"),
        ({"optim__ema": 0.9}, "optim.ema"),
        ({"optim__train_size": 160}, "optim.train_size"),
        ({"optim__precision": "fp32"}, "optim.precision"),
        ({"optim__class_weights": "balanced"}, "optim.class_weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_choice_away_from_the_scenarios_default_is_uncontrolled(outcome, change, field):
    assert uncontrolled(outcome(RIGHT, "last-stages"), outcome(RIGHT, "finetuned", **change)) == [field]


def test_a_default_written_out_is_still_the_default(outcome):
    written = outcome(RIGHT, "finetuned", optim__lr=3e-3, optim__backbone_lr=3e-4, model__batchnorm="kept")

    assert uncontrolled(outcome(RIGHT, "last-stages"), written) == []


def test_same_rate_on_purpose_is_no_difference_in_rates(outcome):
    a = outcome(RIGHT, optim__lr=1e-3)
    b = outcome(RIGHT, "scratch", optim__lr=1e-3, optim__backbone_lr=1e-3)

    assert "optim.lr" not in [row.field for row in check_fairness(a, b).differences]


SOLVED_FOR = {
    "optim__epochs": 9,
    "optim__batch_size": 32,
    "optim__optimizer": "sgd",
    "optim__schedule": "constant",
    "optim__lr": 0.5,
    "optim__backbone_lr": 0.5,
    "optim__momentum": 0.5,
    "optim__weight_decay": 0.1,
    "optim__ema": 0.9,
    "optim__train_size": 160,
    "optim__stage_decay": 0.5,
}
"""Settings that say nothing about a head that is solved for."""


@pytest.mark.parametrize("name", SOLVED_FOR)
def test_how_a_network_is_trained_means_nothing_where_the_head_is_solved_for(outcome, name):
    change = {name: SOLVED_FOR[name]}
    sgd = {"optim__optimizer": "sgd"} if name == "optim__momentum" else {}

    assert check_fairness(outcome(RIGHT), outcome(RIGHT, **change)).differences == ()
    tuned = check_fairness(outcome(RIGHT, "finetuned", **sgd), outcome(RIGHT, "finetuned", **sgd | change))
    assert name.replace("__", ".") in [row.field for row in tuned.differences]


def test_all_of_that_beside_a_trained_network_belongs_to_its_scenario(outcome):
    fairness = check_fairness(outcome(RIGHT), outcome(RIGHT, "finetuned", **SOLVED_FOR))

    assert fairness.comparable and fairness.uncontrolled == ()


@pytest.mark.parametrize("scenario", ["frozen", "probe-then-finetune", "last-stages", "finetuned", "scratch"])
def test_a_penalty_counts_only_where_a_head_is_solved_for(outcome, scenario):
    found = check_fairness(outcome(RIGHT, scenario), outcome(RIGHT, scenario, optim__l2=0.1)).differences

    assert [row.field for row in found] == (["optim.l2"] if scenario in ("frozen", "probe-then-finetune") else [])


def test_two_solved_heads_with_other_penalties_are_not_held_equal(outcome):
    frozen, probed = outcome(RIGHT), outcome(RIGHT, "probe-then-finetune", optim__l2=0.1)

    assert uncontrolled(frozen, probed) == ["optim.l2"]
    assert uncontrolled(frozen, outcome(RIGHT, "finetuned", optim__l2=0.1)) == []


@pytest.mark.parametrize("scenario", ["frozen", "probe-then-finetune", "last-stages", "finetuned", "scratch"])
def test_views_count_only_where_features_may_be_cached(outcome, scenario):
    found = check_fairness(outcome(RIGHT, scenario), outcome(RIGHT, scenario, optim__views=8)).differences

    assert [row.field for row in found] == ([] if scenario in ("finetuned", "scratch") else ["optim.views"])


@pytest.mark.parametrize("scenario", ["frozen", "probe-then-finetune", "last-stages", "finetuned", "looks-frozen"])
def test_class_weights_are_a_difference_wherever_something_is_trained_or_solved_for(outcome, scenario):
    plain, balanced = outcome(RIGHT, scenario), outcome(RIGHT, scenario, optim__class_weights="balanced")

    assert [row.field for row in check_fairness(plain, balanced).differences] == ["optim.class_weights"]
    assert check_fairness(plain, balanced).comparable, "it is the thing compared"


def test_another_precision_is_a_difference_even_of_solved_heads(outcome):
    fairness = check_fairness(outcome(RIGHT), outcome(RIGHT, optim__precision="bf16"))

    assert [row.field for row in fairness.differences] == ["optim.precision"]


@pytest.mark.parametrize(
    "change",
    [
        {"model__last_stages": 3},
        {"optim__momentum": 0.5},
        {"augment__steps": (AugmentStep(name="flip"),)},
        {"data__dataset": "another-name-of-the-same"},
        {"data__test_fraction": 0.3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_difference_without_effect_is_left_out(outcome, change):
    assert check_fairness(outcome(RIGHT), outcome(RIGHT, **change)).differences == ()


def test_a_pipeline_is_what_it_does_whatever_it_is_called(outcome):
    gentle = outcome(RIGHT, "finetuned")
    same, other = (
        outcome(RIGHT, "finetuned", augment__preset="custom", augment__steps=PRESETS[name].steps)
        for name in ("gentle", "strong")
    )

    assert check_fairness(gentle, same).differences == ()
    assert {row.field for row in check_fairness(gentle, other).differences} == {"augment.preset", "augment.steps"}


def test_what_only_one_scenario_has_belongs_to_that_scenario(outcome):
    frozen = outcome(RIGHT, optim__views=8)
    last = outcome(RIGHT, "last-stages", model__last_stages=3, optim__views=8)
    finetuned = outcome(RIGHT, "finetuned")

    assert "optim.views" in expected(frozen, finetuned)
    assert "model.last_stages" in expected(last, finetuned)
    assert uncontrolled(frozen, finetuned) == uncontrolled(last, finetuned) == []


def test_effective_fractions_are_seen_when_the_split_differs(outcome):
    b = outcome(RIGHT, "finetuned", changed={"split_hash": "other"}, data__test_fraction=0.3)

    assert uncontrolled(outcome(RIGHT), b) == ["data.test_fraction"]


@pytest.mark.parametrize(
    ("changed", "field", "affects"),
    [
        ({"head_hash": "other"}, "head", "accuracy"),
        ({"weights_hash": "other-file"}, "weights", "accuracy"),
        ({"machine": "eight cores"}, "machine", "timing"),
        ({"threads": 8}, "threads", "timing"),
        ({"cached_features": 90}, "cache", "timing"),
    ],
)
def test_what_is_no_setting_has_a_chip_too(outcome, changed, field, affects):
    fairness = check_fairness(outcome(RIGHT), outcome(RIGHT, "finetuned", changed=changed))

    assert fairness.comparable
    assert [(chip.field, chip.affects) for chip in fairness.chips] == [(field, affects)]


HALF = {"precision": {"features": "bf16", "train": "bf16"}}
WHOLE = {"precision": {"features": "fp32", "train": "fp32"}}


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("frozen", "last-stages", ["Features were computed in fp32 against bf16."]),
        ("finetuned", "scratch", ["They were trained in fp32 against bf16."]),
        ("frozen", "finetuned", []),  # nothing that both did was done differently
    ],
)
def test_what_both_did_in_another_precision_is_said(outcome, a, b, said):
    chips = check_fairness(outcome(RIGHT, a, changed=WHOLE), outcome(RIGHT, b, changed=HALF)).chips

    assert [chip.text for chip in chips if chip.field == "precision"] == said
    assert all(chip.affects == "timing" for chip in chips if chip.field == "precision")


def test_another_seed_or_backbone_explains_another_head(outcome):
    a = outcome(RIGHT)
    other_backbone = outcome(RIGHT, changed={"head_hash": "other"}, model__backbone="resnet18")

    assert "head" not in [chip.field for chip in check_fairness(a, outcome(RIGHT, seed=1)).chips]
    assert "head" not in [chip.field for chip in check_fairness(a, other_backbone).chips]


def test_fairness_does_not_depend_on_which_run_is_named_first(outcome):
    a = outcome(RIGHT, optim__views=8)
    b = outcome(RIGHT, "finetuned", optim__epochs=9, augment__preset="strong", changed={"threads": 4})
    one, other = check_fairness(a, b), check_fairness(b, a)

    assert one.comparable == other.comparable
    assert [(r.field, r.a, r.b, r.expected) for r in one.differences] == [
        (r.field, r.b, r.a, r.expected) for r in other.differences
    ]


@pytest.mark.parametrize(
    "changed",
    [{"pictures": ("a", "b")}, {"class_names": ("ant",)}, {"targets": np.array([0, 1])}],
    ids=["pictures", "classes", "targets"],
)
def test_a_run_whose_predictions_do_not_fit_is_refused(outcome, changed):
    with pytest.raises(RunError):
        outcome(RIGHT, changed=changed)


def test_another_device_is_a_red_chip_and_what_was_asked_for_is_none(outcome):
    card = outcome(RIGHT, changed={"device": "A card"}, optim__device="cuda")
    chips = check_fairness(outcome(RIGHT), card).chips

    assert [(chip.field, chip.affects) for chip in chips] == [("device", "accuracy")]
    assert "the processor against A card" in chips[0].text
    assert check_fairness(outcome(RIGHT), outcome(RIGHT, optim__device="cpu")).chips == ()
