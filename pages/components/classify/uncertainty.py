"""What a run may not be sure of: which classes it has to name, and whether a picture is like what it learnt from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.comparison.temperature import temperature_sentence
from core.errors import ThawError
from core.inference.prediction_sets import SetRule, fit_sets, set_sentence
from core.inference.values import answer_values, run_answers
from core.runs.record import RunRecord

from .. import chosen
from ..messages import LONGEST_MESSAGE, md
from ..resources import known, known_job, run_predictions
from .answers import Answer

if TYPE_CHECKING:
    from core.inference.out_of_distribution import Detector

_LOOK_S = 0.3  # between two looks at how far a thread is


@dataclass(frozen=True, kw_only=True, slots=True)
class UncertaintyRules:
    """One run's rules. None where a rule was not asked for or cannot be had."""

    rule: SetRule | None = None
    detector: "Detector | None" = None
    unknown: frozenset[str] = frozenset()
    """Contents of the pictures that the detector takes for something else."""
    sentences: tuple[str, ...] = ()
    """What its probabilities and rules are worth, for a person."""
    undetected: str = ""
    """Why there is no detector although one was asked for."""

    def named(self, answer: Answer, place: int) -> tuple[int, ...] | None:
        """Classes in the answer's set, the run being the answer's `place`-th; None without a rule."""
        possible = self.rule is not None and self.rule.is_possible
        return self.rule.names(answer.raw[place]) if self.rule is not None and possible else None

    def is_unknown(self, answer: Answer) -> bool | None:
        """Whether the picture is unlike all training pictures; None without a detector."""
        return None if self.detector is None else answer.picture.content in self.unknown


def wait_until_known(records: Sequence[RunRecord]) -> None:
    """Until the runs have looked at what they learnt from; says how far they are. Whoever leaves loses nothing."""
    bar = st.empty()
    for record in records:
        if is_known(record):
            continue
        job = known_job(chosen.home(), record.run)
        while not job.wait(_LOOK_S):
            looked = f": {job.done} of {job.total} training pictures looked at, once for this network"
            share = job.done / job.total if job.total else 0.0
            bar.progress(share, text=f"Is it any of these classes?{looked if job.total else ''}")
    bar.empty()


def is_known(record: RunRecord) -> bool:
    """Whether nobody has to wait for what the run learnt from; also where that is not to be had."""
    try:
        return known_job(chosen.home(), record.run).wait(0)
    except ThawError:
        return True


def uncertainty_rules(
    records: Sequence[RunRecord], given: Sequence[Answer], coverage: float, detect: bool
) -> list[UncertaintyRules]:
    """The rules of each run, and what they say about the answers; to detect, waits for what the runs learnt from."""
    return [_rules(record, place, given, coverage, detect) for place, record in enumerate(records)]


def _rules(record: RunRecord, place: int, given: Sequence[Answer], coverage: float, detect: bool) -> UncertaintyRules:
    rule, said = _rule(record, coverage)
    detector, worth = _detector(record) if detect else (None, "")
    return UncertaintyRules(
        rule=rule,
        detector=detector,
        unknown=_unknown(detector, [one for one in given if not one.unreadable], place),
        sentences=tuple(filter(None, (temperature_sentence(record.temperature, record.split.val), said, worth))),
        undetected=worth if detect and detector is None else "",
    )


def _unknown(detector: "Detector | None", answered: Sequence[Answer], place: int) -> frozenset[str]:
    """All at once: one by one it would take seconds."""
    if detector is None or not answered:
        return frozenset()
    beyond = detector.are_unknown(np.stack([one.features[place] for one in answered]))
    return frozenset(one.picture.content for one, is_beyond in zip(answered, beyond, strict=True) if is_beyond)


def _rule(record: RunRecord, coverage: float) -> tuple[SetRule | None, str]:
    said = run_predictions(chosen.home(), record.run)
    if said.val_probabilities is None or said.val_targets is None:
        return None, "An earlier version of Thaw trained it and kept nothing about val, so no coverage can be promised."
    rule = fit_sets(said.val_targets, said.val_probabilities, coverage)
    return rule, set_sentence(rule)


def _detector(record: RunRecord) -> "tuple[Detector | None, str]":
    try:
        found = known(chosen.home(), record.run)
    except ThawError as error:
        return None, f"Unknown images are not detected: {error}"
    return found.detector, found.sentence


def show_worth(rules: Sequence[UncertaintyRules]) -> None:
    """What the runs' probabilities and rules are worth; what holds for both is said once."""
    told = [(number, text) for number, of_run in enumerate(rules, 1) for text in of_run.sentences]
    for text in dict.fromkeys(text for _, text in told):
        which = [number for number, said in told if said == text]
        beginning = f"Network {which[0]}: " if len(which) < len(rules) else ""
        st.markdown(md(beginning + text, LONGEST_MESSAGE))


def uncertainty_cells(
    rules: Sequence[UncertaintyRules], class_names: Sequence[Sequence[str]], answer: Answer, place: int
) -> dict[str, Any]:
    """The same as cells of a table: the classes named, and whether it is none of these."""
    named, unknown = rules[place].named(answer, place), rules[place].is_unknown(answer)
    cells: dict[str, Any] = {}
    if named is not None:
        cells["named"] = " or ".join(class_names[place][index] for index in named)
    if unknown is not None:
        cells["none of these"] = "yes" if unknown else "no"
    return cells


def as_json(
    given: Sequence[Answer], records: Sequence[RunRecord], rules: Sequence[UncertaintyRules], top: int, detect: bool
) -> bytes:
    """What the command line prints, for each run."""
    from core.inference.out_of_distribution import detection_values

    unread = [{"file": one.picture.name, "error": one.unreadable} for one in given if one.unreadable]
    values = []
    for place, (record, of_run) in enumerate(zip(records, rules, strict=True)):
        rule = of_run.rule if of_run.rule and of_run.rule.is_possible else None
        rows = [
            answer_values(record, one.picture.name, one.raw[place], top=top, rule=rule, unknown=of_run.is_unknown(one))
            for one in given
            if not one.unreadable
        ]
        detection = detection_values(of_run.detector, of_run.undetected) if detect else None
        values.append(run_answers(record, rows + unread, of_run.rule, detection))
    return json.dumps({"runs": values}, ensure_ascii=True, indent=1, allow_nan=False).encode()
