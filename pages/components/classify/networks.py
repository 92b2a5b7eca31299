"""Which network is asked: of an experiment the seed that is best on validation, or the run that the address names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from core.comparison.metrics import log_loss
from core.comparison.wording import per_cent
from core.errors import ThawError
from core.runs.experiments import Experiment, names_in_list
from core.runs.store import Run

from .. import chosen
from ..kept import keep
from ..messages import md, plain, whole_numbers
from ..resources import run_predictions
from .picture_input import forget_example


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """An experiment with its finished runs, and what it is called here."""

    key: str
    label: str
    runs: tuple[Run, ...]


def networks_of(experiments: Sequence[Experiment]) -> list[Network]:
    """Experiments of finished runs, in the same order; no two are called alike."""
    titles = {one.settings.data.dataset: plain(one.newest.dataset_title, 40) for one in experiments}
    found: dict[str, str] = {}
    for place, (dataset, title) in enumerate(titles.items(), 1):
        here = [one for one in experiments if one.settings.data.dataset == dataset]
        twin = f" ({place})" if [*titles.values()].count(title) > 1 else ""
        where = f" · {title}{twin}" if len(titles) > 1 else ""
        found |= {one.key: label + where for one, label in zip(here, names_in_list(here), strict=True)}
    return [
        Network(
            key=one.key,
            label=found[one.key] + (", imported" if all(map(_is_imported, one.runs)) else ""),
            runs=tuple(sorted(one.runs, key=lambda run: (run.settings.seed, run.settings.data.fold or 0, run.number))),
        )
        for one in experiments
    ]


def network_of(networks: Sequence[Network], run_id: str) -> Network:
    """The one that a run belongs to."""
    return next(one for one in networks if any(run.id == run_id for run in one.runs))


def run_name(run: Run, network: Network) -> str:
    """A run by its experiment and its seed, which is left out where there is no other."""
    return f"{network.label}, {seed_name(run, network)}" if len(network.runs) > 1 else network.label


def seed_name(run: Run, network: Network) -> str:
    """A run among those of its experiment."""
    data = run.settings.data
    name = f"seed {run.settings.seed}" + (f", fold {data.fold} of {data.folds}" if data.fold is not None else "")
    places = [(one.settings.seed, one.settings.data.fold) for one in network.runs]
    return f"{name}, run {run.number}" if places.count((run.settings.seed, data.fold)) > 1 else name


def rivals_of(networks: Sequence[Network]) -> list[Network]:
    """Those on the chosen pictures; where there are none, those on the pictures of the newest run."""

    def on(dataset: str) -> list[Network]:
        return [one for one in networks if one.runs[0].settings.data.dataset == dataset]

    return on(chosen.settings().data.dataset) or on(networks[0].runs[0].settings.data.dataset)


def best_on_val(runs: Sequence[Run]) -> Run:
    """The run with the highest validation accuracy; of several, the one that was surest of the truth there.

    Test is for reporting: who chooses by it, reports too much.
    """
    highest = max(map(val_accuracy, runs))
    return min((run for run in runs if val_accuracy(run) == highest), key=lambda run: (_val_loss(run), run.number))


def val_accuracy(run: Run) -> float:
    """Fraction 0-1."""
    return float((run.summary or {})["val_accuracy"])


def choice_sentence(run: Run, networks: Sequence[Network], rivals: Sequence[Network]) -> str:
    """What is asked and why, in one line of Markdown.

    Args:
        rivals: the networks that it is the best of; empty where somebody chose it.
    """
    network, count = network_of(networks, run.id), sum(len(one.runs) for one in rivals)
    name = network.label if rivals else run_name(run, network)
    best = f", the best of {count} networks" if count > 1 else ""
    other = run.settings.data.dataset != chosen.settings().data.dataset and run.dataset_title not in network.label
    # nobody has to take a network of other pictures for one of those that are chosen
    of = f", trained on {md(run.dataset_title)}" if other else ""
    return f"**{md(name)}**{best}, validation accuracy {whole_numbers(per_cent(val_accuracy(run)))}{of}"


@st.cache_data(max_entries=500, show_spinner=False)
def _loss(home: str, run_id: str) -> float:
    said = run_predictions(home, run_id)
    if said.val_targets is None or said.val_probabilities is None:
        return math.inf
    loss = log_loss(said.val_targets, said.val_probabilities)
    return math.inf if loss is None else loss


def _val_loss(run: Run) -> float:
    """Mean over val, in nats; infinite where it is not known."""
    try:
        return _loss(chosen.home(), run.id)
    except ThawError:
        return math.inf


def _is_imported(run: Run) -> bool:
    return bool((run.summary or {}).get("imported"))


def asked_run(networks: Sequence[Network], best: Run) -> tuple[Run, bool]:
    """The run of the address, or the one chosen last, or the best; and whether one that was asked for is gone."""
    wanted = [st.query_params.get("run"), st.session_state.get("classify.remembered")]
    runs = {run.id: run for one in networks for run in one.runs}
    lost = any(wanted) and next(filter(None, wanted)) not in runs
    return next((runs[run_id] for run_id in wanted if run_id in runs), best), lost


def choose_network(networks: Sequence[Network], run: Run) -> None:
    """The inputs: an experiment, and a seed of it where it has several. The address keeps what is chosen."""
    network = network_of(networks, run.id)
    keys = {one.key: one for one in networks}
    st.session_state["classify.network"], st.session_state["classify.run"] = network.key, run.id
    st.selectbox(
        "Network",
        list(keys),
        format_func=lambda key: _with_accuracy(keys[key].label, keys[key].runs),
        key="classify.network",
        on_change=_take_network,
        args=(keys,),
    )
    if len(network.runs) > 1:
        of = {one.id: one for one in network.runs}
        st.selectbox(
            "Seed",
            list(of),
            format_func=lambda run_id: _with_accuracy(seed_name(of[run_id], network), [of[run_id]]),
            key="classify.run",
            on_change=_take_run,
        )


def choose_second(networks: Sequence[Network], first: Run) -> Run | None:
    """The input: another network beside the first, or another seed of the same one."""
    own = network_of(networks, first.id)
    others = {run.id: (run_name(run, own), run) for run in own.runs if run.id != first.id}
    bests = [(one.label, best_on_val(one.runs)) for one in networks if one.key != own.key]
    bests.sort(key=lambda one: -val_accuracy(one[1]))
    options = {run.id: (label, run) for label, run in bests} | others
    chosen_id = st.selectbox(
        "Second network",
        list(options),
        format_func=lambda run_id: _with_accuracy(options[run_id][0], [options[run_id][1]]),
        key=keep("classify.second", next(iter(options), None), options),
    )
    return options[chosen_id][1] if chosen_id in options else None


def _with_accuracy(label: str, runs: Sequence[Run]) -> str:
    return f"{label} · validation accuracy {per_cent(max(map(val_accuracy, runs)))}"


def _take_network(networks: dict[str, Network]) -> None:
    take_run(best_on_val(networks[st.session_state["classify.network"]].runs).id)


def _take_run() -> None:
    take_run(st.session_state["classify.run"])


def take_run(run_id: str) -> None:
    """The address keeps the chosen run, so that a reload and a link show the same."""
    st.query_params["run"] = st.session_state["classify.remembered"] = run_id
    forget_example()
