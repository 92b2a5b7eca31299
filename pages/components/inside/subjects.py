"""Which network is looked into, how it is to be trained, and what stands beside it; with bounded caches over `core`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import streamlit as st

from core.data.dataset import Dataset
from core.errors import ThawError
from core.inference.subject import START, Subject, find_subject, of_record
from core.models.catalogue import BACKBONES, get_backbone, not_offered, strategies_of
from core.runs.example import example_runs
from core.runs.experiments import stored_experiments
from core.runs.record import is_recorded
from core.runs.store import Run
from core.settings.scenarios import SCENARIOS
from core.settings.schema import ModelSettings

from .. import chosen
from ..help import option_help
from ..kept import keep, kept
from ..messages import plain
from ..resources import backbone_badges, run_record, run_store, stored_dataset
from ..wording import run_label

if TYPE_CHECKING:
    from core.models.anatomy.layers import Anatomy
    from core.models.anatomy.tensors import TensorChange, TensorRow

NETWORK: Final = "inside.network"


def subject_runs() -> list[Run]:
    """Finished runs that can be looked into, newest first; a recorded one where the address names it."""
    own = [run for one in stored_experiments(run_store(), ("finished",)) for run in one.runs]
    asked = {kept(NETWORK, ""), kept("inside.beside", "")}
    return sorted(own, key=lambda run: -run.number) + [run for run in example_runs() if run.id in asked]


def choose_subject(runs: Sequence[Run]) -> Subject:
    """The inputs: a backbone and how it is to be trained, or a run, which has its own strategy."""
    labels = {name: spec.label for name, spec in BACKBONES.items()} | {run.id: network_label(run) for run in runs}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Network",
            list(labels),
            format_func=labels.__getitem__,
            key=keep(NETWORK, chosen.settings().model.backbone, labels),
            width=420,
            help="A backbone as it is before training, or a run after it.",
        )
        if name not in BACKBONES:
            return of_record(run_record(chosen.home(), name))
        settings = _strategy(name)
    return find_subject(name, settings, len(chosen.dataset().class_names), run_store())


def network_label(run: Run) -> str:
    """A run as lists call it, with what it learnt from."""
    return f"{run_label(run)} · {plain(run.dataset_title, 40)}"


def _strategy(backbone: str) -> ModelSettings:
    usual, offered = chosen.settings().model, strategies_of(get_backbone(backbone))
    scenario = st.selectbox(
        "Training strategy",
        offered,
        format_func=lambda name: SCENARIOS[name].label,
        key=keep("inside.strategy", usual.scenario if usual.scenario in offered else offered[0], offered),
        width=260,
        help=option_help("scenario", f"Which part of the network trains. {not_offered(get_backbone(backbone))}"),
    )
    settings = ModelSettings(backbone=backbone, scenario=scenario)
    if "last_stages" not in settings.row.options:
        return settings
    most = len(get_backbone(backbone).stages)
    last = st.number_input(
        "Stages that train",
        1,
        most,
        key=keep("inside.last", min(usual.last_stages, most), range(1, most + 1)),
        width=150,
    )
    return replace(settings, last_stages=int(last))


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What a network is held against."""

    name: str
    """A run's id, or `START`."""
    label: str


def choose_beside(subject: Subject, runs: Sequence[Run], label: str, nothing: str = "") -> Beside | None:
    """The input: what a run began with, or another run.

    Args:
        label: of the input.
        nothing: what it is called to choose none; empty where something must be chosen.
    """
    options = {"": nothing} if nothing else {}
    options |= {START: "what it began with"} if subject.record else {}
    options |= {run.id: network_label(run) for run in runs if run.id != subject.name}
    if not options:
        return None
    name = st.selectbox(
        label,
        list(options),
        format_func=options.__getitem__,
        key=keep("inside.beside", next(iter(options)), options),
        width=420,
    )
    return Beside(name=name, label=options[name]) if name else None


def own_pictures(subject: Subject) -> Dataset:
    """What a run learnt from; for a backbone the chosen data set.

    Raises:
        ThawError: the run's pictures are not here any more.
    """
    if subject.record is None:
        return chosen.dataset()
    return stored_dataset(chosen.home(), subject.record.dataset.id)


def subject_label(subject: Subject, runs: Sequence[Run]) -> str:
    """What it is called on the page."""
    run = next((run for run in runs if run.id == subject.name), None)
    return run_label(run) if run else f"{subject.spec.label}, {subject.settings.row.label}"


def next_action(subject: Subject) -> None:
    """Train what is shown, or ask the run that is shown."""
    record = subject.record
    if record is not None:
        if has_numbers(subject):
            run = {"run": record.run}
            st.page_link("classify.py", label="Classify with it", icon=":material/image_search:", query_params=run)
        return
    if st.button("Train like this", icon=":material/model_training:", type="tertiary", key="inside.train"):
        now = chosen.settings()
        wanted = subject.settings
        model = replace(
            now.model,
            backbone=wanted.backbone,
            scenario=wanted.scenario,
            last_stages=wanted.last_stages,
            weights=None,
            batchnorm=None,
        )
        chosen.choose(replace(now, model=model))
        st.switch_page("train.py")


def weights_badge(subject: Subject) -> str:
    """Where the numbers that are looked at come from."""
    if subject.record:
        return f"{plain(subject.record.weights.origin)}, then trained"
    if subject.settings.start == "none":
        return "none (random)"
    return backbone_badges(chosen.home())[subject.spec.name]


def has_numbers(subject: Subject) -> bool:
    """Whether its weights may be here; recorded runs have none."""
    return subject.record is None or not is_recorded(subject.record.run)


@st.cache_data(max_entries=100, show_spinner="Counting layer by layer")
def anatomy_of(settings: ModelSettings, classes: int | None) -> "Anatomy":
    """A network layer by layer, and what trains in it."""
    from core.models.anatomy.layers import anatomy

    return anatomy(settings, classes)


@st.cache_data(max_entries=30, show_spinner="Reading the weights")
def tensors_of(home: str, name: str, settings: ModelSettings, classes: int) -> "tuple[list[TensorRow], str]":
    """All parameters and buffers, and why they have no numbers where they have none."""
    from core.inference.subject import state_of
    from core.models.anatomy.tensors import tensor_table

    subject = find_subject(name, settings, classes, run_store())
    try:
        return tensor_table(subject.settings, classes, state_of(subject)), ""
    except ThawError as error:
        return tensor_table(subject.settings, classes), str(error)


@st.cache_data(max_entries=30, show_spinner="Comparing tensor by tensor")
def changes_of(home: str, name: str, settings: ModelSettings, classes: int, beside: str) -> "list[TensorChange]":
    """Two states key by key; before is what stands beside a run, and after the run.

    Raises:
        ThawError: one of the two is not here.
    """
    from core.inference.subject import begun_with, state_of
    from core.models.anatomy.tensors import compare_states

    subject = find_subject(name, settings, classes, run_store())
    other = begun_with(subject) if beside == START else state_of(find_subject(beside, store=run_store()))
    mine = state_of(subject)
    return compare_states(other, mine) if subject.record else compare_states(mine, other)
