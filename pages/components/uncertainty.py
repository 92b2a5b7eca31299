"""What a run may not be sure of: which classes it has to name, and whether a picture is like what it learnt from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.comparison.temperature import temperature_sentence
from core.errors import ThawError
from core.inference.prediction_sets import SetRule, fit_sets, set_sentence
from core.inference.values import answer_values, run_answers
from core.runs.record import RunRecord

from . import chosen
from .answers import Answer
from .messages import LONGEST_MESSAGE, md
from .resources import predictor, run_memory, run_predictions

if TYPE_CHECKING:
    from core.inference.strangers import StrangerLimit

TURNED_AWAY = 0.05  # share of known pictures


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """One run's rules. None where a rule was not asked for or cannot be had."""

    rule: SetRule | None = None
    limit: "StrangerLimit | None" = None
    run: str = ""

    def named(self, answer: Answer, place: int) -> tuple[int, ...] | None:
        """Classes in the answer's set, the run being the answer's `place`-th; None without a rule."""
        possible = self.rule is not None and self.rule.is_possible
        return self.rule.names(answer.raw[place]) if self.rule is not None and possible else None

    def is_stranger(self, answer: Answer, place: int) -> bool | None:
        """Whether the picture is unlike all training pictures; None without a limit."""
        if self.limit is None:
            return None
        from core.inference.evidence import strangeness
        from core.inference.strangers import NEIGHBOURS

        memory = run_memory(chosen.home(), self.run, "train")
        return self.limit.is_beyond(float(strangeness(memory, answer.features[place][None], NEIGHBOURS)[0]))


def asked_doubt(records: Sequence[RunRecord]) -> tuple[float, bool]:
    """The inputs: the coverage wanted (fraction 0-1), and whether strangers are looked out for."""
    coverage = st.slider(
        "True class among those named",
        50,
        99,
        90,
        format="%d %%",
        key="classify.coverage",
        persist_state="session",
        width=240,
    )
    ready = all(record.settings.model.scenario == "frozen" for record in records)  # their features are kept already
    strangers = st.toggle(
        "Look out for strangers",
        value=ready,
        key="classify.strangers",
        persist_state="session",
        help="Compares with the pictures a network learnt from. A fine-tuned network looks at them once for this.",
    )
    return coverage / 100, strangers


def doubts(records: Sequence[RunRecord], coverage: float, strangers: bool) -> list[Doubt]:
    """The rules of each run, and in words what they and its probabilities are worth."""
    found: list[Doubt] = []
    sentences: list[tuple[int, str]] = []
    for number, record in enumerate(records, 1):
        rule, said = _rule(record, coverage)
        limit, why = _limit(record) if strangers else (None, "")
        found.append(Doubt(rule=rule, limit=limit, run=record.run))
        worth = temperature_sentence(record.temperature, record.split.val)
        sentences += [(number, text) for text in (worth, said, why) if text]
    for text in dict.fromkeys(text for _, text in sentences):  # what holds for both is said once
        which = [number for number, said in sentences if said == text]
        beginning = f"Network {which[0]}: " if len(which) < len(records) else ""
        st.caption(md(beginning + text, LONGEST_MESSAGE))
    return found


def _rule(record: RunRecord, coverage: float) -> tuple[SetRule | None, str]:
    said = run_predictions(chosen.home(), record.run)
    if said.val_probabilities is None or said.val_targets is None:
        return None, "An earlier version of Thaw trained it and kept nothing about val, so no coverage can be promised."
    rule = fit_sets(said.val_targets, said.val_probabilities, coverage)
    return rule, set_sentence(rule)


def _limit(record: RunRecord) -> "tuple[StrangerLimit | None, str]":
    from core.inference.prediction_sets import fewest_pictures
    from core.inference.strangers import fit_limit

    home = chosen.home()
    try:
        predictor(home, record.run)  # before the spinner below: it has one of its own
        train, val = (run_memory(home, record.run, part) for part in ("train", "val"))
    except ThawError as error:
        return None, str(error)
    limit = fit_limit(train, val, TURNED_AWAY)
    if limit.val_pictures < fewest_pictures(1 - TURNED_AWAY):
        need = fewest_pictures(1 - TURNED_AWAY)
        return None, f"No picture can be turned away: val has {limit.val_pictures} pictures, and {need} are needed."
    return limit, (
        f"A picture farther from the training pictures than {1 - TURNED_AWAY:.0%} of val gets the badge “none of "
        f"these?”. So do about {TURNED_AWAY:.0%} of pictures of known classes, and strangers that look familiar do not."
    )


def doubt_badges(doubt: Doubt, answer: Answer, place: int, names: Sequence[str]) -> None:
    """The classes that had to be named, and whether it may be none of them."""
    if doubt.is_stranger(answer, place):
        st.badge("none of these?", icon=":material/help:", color="orange")
    named = doubt.named(answer, place)
    if named is None or doubt.rule is None:
        return
    level = f"{doubt.rule.coverage:.0%}"
    if not named:
        st.badge(f"{level}: no class is likely enough", icon=":material/rule:", color="orange")
    elif len(named) == 1:
        st.badge(f"{level}: {md(names[named[0]], 40)}", icon=":material/rule:", color="gray")
    else:
        listed = " or ".join(md(names[index], 40) for index in named[:4])
        more = f" or {len(named) - 4} more" if len(named) > 4 else ""
        st.badge(f"{level}: {listed}{more}", icon=":material/rule:", color="violet")


def doubt_cells(
    doubts: Sequence[Doubt], class_names: Sequence[Sequence[str]], answer: Answer, place: int
) -> dict[str, Any]:
    """The same as cells of a table: the classes named, and whether it may be none of these."""
    named, stranger = doubts[place].named(answer, place), doubts[place].is_stranger(answer, place)
    cells: dict[str, Any] = {}
    if named is not None:
        cells["named"] = " or ".join(class_names[place][index] for index in named)
    if stranger is not None:
        cells["none of these?"] = "yes" if stranger else "no"
    return cells


def as_json(given: Sequence[Answer], records: Sequence[RunRecord], doubts: Sequence[Doubt], top: int) -> bytes:
    """What the command line prints, for each run."""
    unread = [{"file": one.asked.name, "error": one.unreadable} for one in given if one.unreadable]
    values = []
    for place, (record, doubt) in enumerate(zip(records, doubts, strict=True)):
        rule = doubt.rule if doubt.rule and doubt.rule.is_possible else None
        rows = [
            answer_values(
                record, one.asked.name, one.raw[place], top=top, rule=rule, stranger=doubt.is_stranger(one, place)
            )
            for one in given
            if not one.unreadable
        ]
        values.append(run_answers(record, rows + unread, doubt.rule))
    return json.dumps({"runs": values}, ensure_ascii=True, indent=1, allow_nan=False).encode()
