"""Widgets built from the settings' own table: a range, a unit and a help text are written once, in `core.settings`."""

from dataclasses import Field, fields, replace
from typing import Any, get_args

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.augment.catalogue import CUSTOM, PRESETS
from core.comparison.folds import question_of
from core.data.dataset import Dataset
from core.machine.devices import devices
from core.models.catalogue import BACKBONES, BackboneSpec, get_backbone, not_offered, strategies_of
from core.settings.scenarios import SCENARIO_OPTIONS, SCENARIOS
from core.settings.schema import (
    AugmentSettings,
    BatchNorm,
    ClassWeights,
    DataSettings,
    ModelSettings,
    OptimSettings,
    RunSettings,
)
from core.training.weighting import weighting_sentence

from .. import chosen
from ..chosen import own_augment
from ..help import option_help, with_term
from ..messages import LONGEST_MESSAGE, md
from ..resources import model_description, part_counts
from .recipes import choose_recipe
from .stages import what_trains

LABELS = {
    "seed": "Seed",
    "folds": "Folds",
    "epochs": "Epochs",
    "batch_size": "Batch size",
    "optimizer": "Optimiser",
    "lr": "Learning rate, head",
    "backbone_lr": "Learning rate, backbone",
    "schedule": "Schedule",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
    "label_smoothing": "Label smoothing",
    "class_weights": "Class weights",
    "views": "Views per picture",
    "l2": "L2 regularisation",
    "stage_decay": "Layer-wise learning-rate decay",
    "ema": "Averaging of weights",
    "train_size": "Image size",
    "precision": "Precision",
    "device": "Device",
}
MORE = (
    *("optimizer", "schedule", "lr", "backbone_lr", "stage_decay", "weight_decay", "momentum", "ema", "train_size"),
    *("views", "l2", "label_smoothing", "precision", "device"),
)
"""Options under More settings, in their order there."""


def run_form(settings: RunSettings, badges: dict[str, str], dataset: Dataset) -> tuple[RunSettings, DeltaGenerator]:
    """All that a run can be told, beside the data; values are kept in the session's settings, not in the widgets.

    Args:
        badges: backbone name -> where its weights are.

    Returns:
        With the settings, where it goes on: the column that they end in.

    Raises:
        DatasetError: class weights are wanted, and the data cannot be divided.
    """
    left, right = st.columns(2, gap="large")
    with left:
        recipe = st.container()
        model = _model(settings.model, badges)
    with right:
        augment = _augment(settings.augment)
        optim = _main_optim(settings.optim, model)
        what_trains(model, *model_description(model, len(dataset.class_names)))
        with st.expander("More settings", icon=":material/tune:", key="train.more"):
            settings = _more(replace(settings, augment=augment, model=model, optim=optim), dataset)
    with recipe:  # last, since it says what has been chosen
        choose_recipe(settings)
    return settings, right


def _more(settings: RunSettings, dataset: Dataset) -> RunSettings:
    first, second = st.columns(2)
    with first:
        seed = _number(_specs(RunSettings)["seed"], settings.seed)
    with second:
        folds = _number(_specs(DataSettings)["folds"], settings.data.folds, placeholder="one test part")
    if folds:
        st.caption(f":material/splitscreen: {md(question_of(folds), LONGEST_MESSAGE)}")
    model = settings.model
    if model.row.batchnorm is None:
        model = replace(model, batchnorm=_batchnorm(model))
    settings = replace(settings, data=replace(settings.data, folds=folds), seed=seed, model=model)
    optim = replace(settings.optim, class_weights=_class_weights(settings, dataset))
    return replace(settings, optim=_more_optim(optim, replace(settings, optim=optim)))


def _model(model: ModelSettings, badges: dict[str, str]) -> ModelSettings:
    strategy = st.container()
    names = list(BACKBONES)
    backbone = st.selectbox(
        "Backbone",
        names,
        index=_first("train.backbone", names.index(model.backbone) if model.backbone in names else 0),
        format_func=lambda name: f"{BACKBONES[name].label}, {badges.get(name, '')}",
        key="train.backbone",
        help=with_term(
            "The pretrained network. From scratch, all of them work at once; others may need a download first.",
            "Backbone",
            "Pretrained weights",
        ),
    )
    with strategy:  # above, though which are offered is the backbone's to say
        row, last = SCENARIOS[_strategy(get_backbone(backbone), model.scenario)], model.last_stages
    if row.stages == "last":
        most = len(get_backbone(backbone).stages)
        last = st.slider("How many stages at the end train", 1, most, min(last, most), key="train.last_stages")
    kept = None if row.from_nothing else model.weights
    batchnorm = None if row.batchnorm else model.batchnorm
    return ModelSettings(backbone=backbone, scenario=row.name, last_stages=last, weights=kept, batchnorm=batchnorm)


def _strategy(spec: BackboneSpec, usual: str) -> str:
    offered, key = strategies_of(spec), "train.scenario"
    if st.session_state.get(key, offered[0]) not in offered:
        st.session_state[key] = offered[0]
    scenario = st.radio(
        "Training strategy",
        offered,
        index=_first(key, offered.index(usual) if usual in offered else 0),
        format_func=lambda name: SCENARIOS[name].label,
        horizontal=True,
        key=key,
        help=with_term(
            "Which part of the network trains.", "Feature extraction (frozen)", "Fine-tuning", "Linear probe"
        ),
    )
    st.caption(md(f"{SCENARIOS[scenario].help} {not_offered(spec)}", LONGEST_MESSAGE))
    return scenario


def _first(key: str, index: int) -> int:
    """The option that a select begins with; where the session has its value, nothing is to be said against that."""
    return 0 if key in st.session_state else index


def _batchnorm(model: ModelSettings) -> BatchNorm | None:
    """What happens to the running statistics where something trains."""
    options = [None, *get_args(BatchNorm)]
    labels = {None: "by scenario", "kept": "kept as they came", "adapted": "adapted to these pictures"}
    picked: BatchNorm | None = st.selectbox(
        "BatchNorm statistics",
        options,
        index=_first("train.batchnorm", options.index(model.batchnorm)),
        format_func=labels.__getitem__,
        key="train.batchnorm",
        help=option_help("batchnorm", "By scenario: kept with pretrained weights, adapted from scratch."),
    )
    return picked


def _augment(augment: AugmentSettings) -> AugmentSettings:
    own = own_augment()
    names = [*PRESETS, *([CUSTOM] if own else [])]
    preset = st.selectbox(
        "Augmentation",
        names,
        index=_first("train.augment", names.index(augment.preset)),
        format_func=lambda name: "Custom, from the Augment page" if name == CUSTOM else PRESETS[name].label,
        key="train.augment",
        help=option_help(
            "augment", "How training pictures are varied; the Augment page shows it. Evaluation never is."
        ),
    )
    if preset == augment.preset:
        return augment
    return own if own and preset == CUSTOM else AugmentSettings(preset=preset)


def _class_weights(settings: RunSettings, dataset: Dataset) -> ClassWeights:
    """Whether rare classes count more, and what that does on these pictures."""
    spec = _specs()["class_weights"]
    options = list(spec.metadata["choices"])
    picked: ClassWeights = st.selectbox(
        LABELS[spec.name],
        options,
        index=_first(f"train.{spec.name}", options.index(settings.optim.class_weights)),
        format_func={"none": "None: every picture counts the same", "balanced": "Balanced"}.__getitem__,
        key=f"train.{spec.name}",
        help=option_help(spec.name, spec.metadata["help"]),
    )
    if picked != "none":
        counts = part_counts(chosen.home(), dataset.id, settings.seed, settings.data)
        st.caption(f":material/balance: {md(weighting_sentence(picked, counts), LONGEST_MESSAGE)}")
    return picked


def _main_optim(optim: OptimSettings, model: ModelSettings) -> OptimSettings:
    if not model.row.takes_steps:
        return optim  # the head is solved for: no epochs, no batches
    spec = _specs()
    first, second = st.columns(2)
    with first:
        epochs = _number(spec["epochs"], optim.epochs)
    with second:
        batch_size = _number(spec["batch_size"], optim.batch_size)
    return replace(optim, epochs=epochs, batch_size=batch_size)


def _more_optim(optim: OptimSettings, settings: RunSettings) -> OptimSettings:
    spec, values = _specs(), {}
    grid = st.grid(3, min_column_width=200)
    rates = (f"{rate:g}, by scenario" for rate in settings.rates)
    empty = dict(zip(("lr", "backbone_lr"), rates, strict=True))
    empty |= {"l2": "chosen on held-out pictures", "train_size": "the network's own"}
    for name in _more_names(settings):
        with grid.cell():
            value = getattr(optim, name)
            if spec[name].metadata["choices"]:
                options = list(spec[name].metadata["choices"])
                if name == "device":  # those that are here, and what the settings say, should it not be
                    here = {"auto", value, *(device.kind for device in devices())}
                    options = [option for option in options if option in here]
                values[name] = st.selectbox(
                    LABELS[name],
                    options,
                    _first(f"train.{name}", options.index(value)),
                    key=f"train.{name}",
                    help=option_help(name, spec[name].metadata["help"]),
                )
            else:
                values[name] = _number(spec[name], value, placeholder=empty.get(name))
    if not get_backbone(settings.model.backbone).any_size:
        values["train_size"] = None  # chosen for another backbone, and not to be seen here
    return replace(optim, **values)


def _more_names(settings: RunSettings) -> list[str]:
    """The options that change something in this scenario."""
    without = set() if settings.optim.optimizer == "sgd" else {"momentum"}
    without |= set() if get_backbone(settings.model.backbone).any_size else {"train_size"}
    shown = settings.model.row.options - without
    hidden = {"device"} if len(devices()) == 1 and settings.optim.device == "auto" else set()
    return [name for name in MORE if (name in shown or name not in SCENARIO_OPTIONS) and name not in hidden]


def _specs(kind: type = OptimSettings) -> dict[str, Field[Any]]:
    return {spec.name: spec for spec in fields(kind)}


def _number(spec: Field[Any], value: float | None, placeholder: str | None = None) -> Any:
    """A number field with the limits that the settings check; empty means the scenario's default."""
    kind = int if spec.metadata["whole"] else float
    limits: dict[str, Any] = {"min_value": kind(spec.metadata["low"]), "max_value": kind(spec.metadata["high"])}
    return st.number_input(
        LABELS[spec.name],
        **limits,
        value=_begin(f"train.{spec.name}", value, spec),
        step=1 if kind is int else None,
        format=None if kind is int else "%g",
        placeholder=placeholder,
        key=f"train.{spec.name}",
        help=option_help(spec.name, spec.metadata["help"]),
    )


def _begin(key: str, value: float | None, spec: Field[Any]) -> Any:
    """What a number begins with, as `_first`: none where it may be empty."""
    return value if key not in st.session_state else None if spec.default is None else "min"
