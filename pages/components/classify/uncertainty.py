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

from .. import chosen
from ..help import with_term
from ..messages import LONGEST_MESSAGE, md
from ..resources import predictor, reference_features, run_predictions
from .answers import Answer

if TYPE_CHECKING:
    from core.inference.out_of_distribution import OodLimit

FLAGGED = 0.05  # fraction of known pictures that are taken for unknown ones


@dataclass(frozen=True, kw_only=True, slots=True)
class UncertaintyRules:
    """One run's rules. None where a rule was not asked for or cannot be had."""

    rule: SetRule | None = None
    limit: "OodLimit | None" = None
    run: str = ""

    def named(self, answer: Answer, place: int) -> tuple[int, ...] | None:
        """Classes in the answer's set, the run being the answer's `place`-th; None without a rule."""
        possible = self.rule is not None and self.rule.is_possible
        return self.rule.names(answer.raw[place]) if self.rule is not None and possible else None

    def is_unknown(self, answer: Answer, place: int) -> bool | None:
        """Whether the picture is unlike all training pictures; None without a limit."""
        if self.limit is None:
            return None
        from core.inference.evidence import ood_score
        from core.inference.out_of_distribution import NEIGHBOURS

        reference = reference_features(chosen.home(), self.run, "train")
        return self.limit.is_beyond(float(ood_score(reference, answer.features[place][None], NEIGHBOURS)[0]))


def uncertainty_controls(records: Sequence[RunRecord]) -> tuple[float, bool]:
    """The inputs: the coverage wanted (fraction 0-1), and whether unknown images are detected."""
    coverage = st.slider(
        "Prediction-set coverage",
        50,
        99,
        90,
        format="%d %%",
        key="classify.coverage",
        persist_state="session",
        width=240,
        help=with_term("How often the true class is to be among those that are named.", "Prediction set"),
    )
    ready = all(record.settings.model.row.leaves_backbone for record in records)  # their features are kept already
    detect = st.toggle(
        "Detect unknown images",
        value=ready,
        key="classify.strangers",
        persist_state="session",
        help=with_term(
            "Compares with the pictures a network learnt from. A fine-tuned network looks at them once for this.",
            "Out-of-distribution",
        ),
    )
    return coverage / 100, detect


def uncertainty_rules(records: Sequence[RunRecord], coverage: float, detect: bool) -> list[UncertaintyRules]:
    """The rules of each run, and in words what they and its probabilities are worth."""
    found: list[UncertaintyRules] = []
    sentences: list[tuple[int, str]] = []
    for number, record in enumerate(records, 1):
        rule, said = _rule(record, coverage)
        limit, why = _limit(record) if detect else (None, "")
        found.append(UncertaintyRules(rule=rule, limit=limit, run=record.run))
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


def _limit(record: RunRecord) -> "tuple[OodLimit | None, str]":
    from core.inference.out_of_distribution import fit_limit
    from core.inference.prediction_sets import fewest_pictures

    home = chosen.home()
    try:
        predictor(home, record.run)  # before the spinner below: it has one of its own
        train, val = (reference_features(home, record.run, part) for part in ("train", "val"))
    except ThawError as error:
        return None, str(error)
    limit = fit_limit(train, val, FLAGGED)
    if limit.val_pictures < fewest_pictures(1 - FLAGGED):
        need = fewest_pictures(1 - FLAGGED)
        return None, f"No picture can be turned away: val has {limit.val_pictures} pictures, and {need} are needed."
    return limit, (
        f"A picture farther from the training pictures than {1 - FLAGGED:.0%} of val gets the badge “none of "
        f"these?”. So do about {FLAGGED:.0%} of pictures of known classes, and unknown images that look "
        "familiar do not."
    )


def uncertainty_badges(of_run: UncertaintyRules, answer: Answer, place: int, names: Sequence[str]) -> None:
    """The classes that had to be named, and whether it may be none of them."""
    if of_run.is_unknown(answer, place):
        st.badge("none of these?", icon=":material/help:", color="orange")
    named = of_run.named(answer, place)
    if named is None or of_run.rule is None:
        return
    level = f"{of_run.rule.coverage:.0%}"
    if not named:
        st.badge(f"{level}: no class is likely enough", icon=":material/rule:", color="orange")
    elif len(named) == 1:
        st.badge(f"{level}: {md(names[named[0]], 40)}", icon=":material/rule:", color="gray")
    else:
        listed = " or ".join(md(names[index], 40) for index in named[:4])
        more = f" or {len(named) - 4} more" if len(named) > 4 else ""
        st.badge(f"{level}: {listed}{more}", icon=":material/rule:", color="violet")


def uncertainty_cells(
    rules: Sequence[UncertaintyRules], class_names: Sequence[Sequence[str]], answer: Answer, place: int
) -> dict[str, Any]:
    """The same as cells of a table: the classes named, and whether it may be none of these."""
    named, unknown = rules[place].named(answer, place), rules[place].is_unknown(answer, place)
    cells: dict[str, Any] = {}
    if named is not None:
        cells["named"] = " or ".join(class_names[place][index] for index in named)
    if unknown is not None:
        cells["none of these?"] = "yes" if unknown else "no"
    return cells


def as_json(
    given: Sequence[Answer], records: Sequence[RunRecord], rules: Sequence[UncertaintyRules], top: int
) -> bytes:
    """What the command line prints, for each run."""
    unread = [{"file": one.picture.name, "error": one.unreadable} for one in given if one.unreadable]
    values = []
    for place, (record, of_run) in enumerate(zip(records, rules, strict=True)):
        rule = of_run.rule if of_run.rule and of_run.rule.is_possible else None
        rows = [
            answer_values(
                record, one.picture.name, one.raw[place], top=top, rule=rule, stranger=of_run.is_unknown(one, place)
            )
            for one in given
            if not one.unreadable
        ]
        values.append(run_answers(record, rows + unread, of_run.rule))
    return json.dumps({"runs": values}, ensure_ascii=True, indent=1, allow_nan=False).encode()
