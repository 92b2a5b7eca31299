"""Experiments: what belongs together, and what it is called beside others."""

from dataclasses import replace

import pytest

from core.comparison.experiments import experiment_key, experiment_of, labels_in_list, labels_of, shared_settings
from core.settings.schema import AugmentSettings, DataSettings, ModelSettings, OptimSettings, RunSettings


def settings(scenario: str = "finetuned", **optim) -> RunSettings:
    return RunSettings(model=ModelSettings(scenario=scenario), optim=OptimSettings(**optim))


@pytest.mark.parametrize(
    "other",
    [
        replace(settings(), seed=7),
        replace(settings(), data=DataSettings(folds=5, fold=2)),
        settings(lr=3e-3, backbone_lr=3e-4),
        settings(momentum=0.5),
        settings(l2=0.1, views=9),
        settings(device="cpu"),
        replace(
            settings(), model=ModelSettings(scenario="finetuned", weights="imagenet", batchnorm="kept", last_stages=3)
        ),
    ],
    ids=[
        "seed",
        "fold",
        "rates written out",
        "momentum without SGD",
        "of a solved head",
        "device",
        "model written out",
    ],
)
def test_what_changes_nothing_in_the_recipe_is_the_same_experiment(other):
    folds = replace(settings(), data=DataSettings(folds=other.data.folds))
    assert experiment_key(other) == experiment_key(folds)
    assert experiment_of(experiment_of(other)) == experiment_of(other)


@pytest.mark.parametrize(
    "other",
    [
        settings("frozen"),
        settings(epochs=9),
        settings(optimizer="sgd"),
        replace(settings(), augment=AugmentSettings(preset="strong")),
        replace(settings(), data=DataSettings(dataset="mine")),
        replace(settings(), data=DataSettings(folds=5)),
    ],
    ids=["strategy", "epochs", "optimizer", "augmentation", "data", "folds"],
)
def test_whatever_changes_the_recipe_is_another_experiment(other):
    assert experiment_key(other) != experiment_key(settings())


def test_a_key_is_the_same_in_every_version():
    """Names, notes and addresses hold it."""
    assert experiment_key(RunSettings()) == experiment_key(replace(RunSettings(), seed=3)) == "4f53cda18c"
    assert experiment_key(settings(epochs=9, train_size=96)) == "438ea6e3c6"


def test_strategies_at_their_defaults_are_called_by_their_names_alone():
    several = [settings(name) for name in ("frozen", "finetuned", "scratch", "looks-frozen")]
    assert labels_of(several) == ["Frozen", "Fine-tuned", "From scratch", "Frozen, BatchNorm updating"]


def test_what_else_differs_is_part_of_the_name_where_it_has_an_effect():
    quick, usual, frozen = settings(epochs=2, train_size=96), settings(), settings("frozen", epochs=2)
    assert labels_of([frozen, quick, usual]) == [
        "Frozen",
        "Fine-tuned (2 epochs, 96 px)",
        "Fine-tuned (5 epochs, full size)",
    ]
    assert labels_of([settings("last-stages"), settings(epochs=1)]) == [
        "Last stages (5 epochs)",
        "Fine-tuned (1 epoch)",
    ]


def test_what_most_have_alike_is_left_out():
    """With five side by side, names would be lists of settings."""
    several = [settings("frozen"), settings(), settings("scratch"), settings(epochs=2), settings(weight_decay=0.1)]
    assert labels_of(several) == [
        "Frozen",
        "Fine-tuned",
        "From scratch",
        "Fine-tuned (2 epochs)",
        "Fine-tuned (weight decay 0.1)",
    ]


def test_who_stands_alone_or_is_listed_is_held_against_what_is_usual():
    quick = [settings("frozen", train_size=96), settings(epochs=2, train_size=96)]

    assert labels_of([settings()]) == ["Fine-tuned"]
    assert labels_of(quick[1:]) == ["Fine-tuned (2 epochs, 96 px)"]
    assert labels_of(quick) == ["Frozen", "Fine-tuned"], "short where each says what the other has, too"
    assert labels_in_list([settings(), *quick[1:]]) == ["Fine-tuned", "Fine-tuned (2 epochs, 96 px)"]
    assert shared_settings(quick[1:] * 2) == "2 epochs, 96 px"
    assert shared_settings(quick) == "2 epochs, 96 px", "a head that is solved for has neither"
    assert shared_settings([settings(), *quick]) == shared_settings([settings()]) == ""


@pytest.mark.parametrize(
    ("changed", "said", "usual"),
    [
        ({"ema": 0.99}, "weights averaged, 0.99", "weights not averaged"),
        ({"class_weights": "balanced"}, "balanced class weights", "classes unweighted"),
        ({"optimizer": "sgd"}, "SGD", "AdamW"),
        ({"weight_decay": 0.0}, "weight decay 0", "weight decay 0.01"),
    ],
    ids=["average", "class weights", "optimizer", "zero"],
)
def test_settings_are_said_in_words(changed, said, usual):
    assert labels_of([settings(**changed), settings()]) == [f"Fine-tuned ({said})", f"Fine-tuned ({usual})"]


def test_networks_are_told_apart_by_their_names():
    other = replace(settings("frozen"), model=ModelSettings(backbone="resnet18"))
    assert labels_of([settings("frozen"), other]) == ["Frozen (EfficientNet-Lite0)", "Frozen (ResNet-18)"]
