"""Answers drawn: the class first and largest, or that it is none of them; what else is possible in one line."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import streamlit as st

from core.comparison.wording import ROUNDS_AWAY, said_probability
from core.data.reading.folder_names import listed
from core.runs.record import RunRecord

from ..messages import LONGEST_MESSAGE, md, plain, whole_numbers
from .answers import Answer
from .explanations import Explanations, show_explanations
from .uncertainty import UncertaintyRules

PER_PAGE: Final = 24
_MOST_NAMED: Final = 20
_MOST_COUNTED: Final = 6
NONE: Final = "none of these"
NOTHING: Final = Explanations()


@dataclass(frozen=True, kw_only=True, slots=True)
class Speaker:
    """A run that answers, as it is called here, with its rules."""

    label: str
    record: RunRecord
    rules: UncertaintyRules

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.record.dataset.class_names


def verdict_of(answer: Answer, place: int, speaker: Speaker) -> str | None:
    """The class that a run, the answer's `place`-th, names; None where it is none of these."""
    if speaker.rules.is_unknown(answer):
        return None
    return speaker.class_names[int(answer.probabilities[place].argmax())]


def are_comparable(speakers: Sequence[Speaker]) -> bool:
    """Whether there are two, of the same classes, in whatever order."""
    return len(speakers) == 2 and set(speakers[0].class_names) == set(speakers[1].class_names)


def at_odds(answer: Answer, speakers: Sequence[Speaker]) -> bool:
    """Whether two runs that can be compared say different things."""
    verdicts = {verdict_of(answer, place, speaker) for place, speaker in enumerate(speakers)}
    return are_comparable(speakers) and len(verdicts) > 1


def in_order(given: Sequence[Answer], speakers: Sequence[Speaker]) -> list[Answer]:
    """What was answered, where two runs are at odds first."""
    return sorted((one for one in given if not one.unreadable), key=lambda one: not at_odds(one, speakers))


def show_answers(
    shown: Sequence[Answer],
    given: Sequence[Answer],
    speakers: Sequence[Speaker],
    top: int,
    wanted: Explanations = NOTHING,
) -> None:
    """The answer about one picture; of several their counts, and a card for each.

    Args:
        shown: the answered ones on this page of the list.
        given: all of them, unreadable ones too.
        top: how many classes are named for each run.
        wanted: what is shown with each of several answers.
    """
    answered = [one for one in given if not one.unreadable]
    if len(answered) == 1:
        _one(answered[0], speakers, top)
    elif answered:
        st.header(md(counts(answered, speakers[0]), LONGEST_MESSAGE), anchor=False)
        _say_disagreements(answered, speakers)
        for speaker in speakers:
            named = f"{md(speaker.label)}: " if len(speakers) > 1 else ""
            st.caption(named + _sentences(*_worth(speaker)))
    _unreadable([one for one in given if one.unreadable])
    if len(answered) > 1:
        grid = st.grid(2 if len(speakers) == 1 else 1, min_column_width=230)
        for answer in shown:
            with grid.cell(), st.container(border=True, height="stretch"):
                _card(answer, speakers, top)
                if wanted:
                    show_explanations(wanted, answer, [speaker.record for speaker in speakers])


def counts(answered: Sequence[Answer], speaker: Speaker) -> str:
    """`12 pictures: bees 7, ants 4, none of these 1`, the most frequent first and "none of these" last."""
    found = Counter(verdict_of(one, 0, speaker) for one in answered)
    none = found.pop(None, 0)
    if none == len(answered):
        return f"{none} pictures: {NONE}"
    most = found.most_common(_MOST_COUNTED)
    rest = found.total() - sum(number for _, number in most)
    parts = [f"{plain(str(name), 40)} {number}" for name, number in most]
    parts += [f"other classes {rest}"] * bool(rest) + [f"{NONE} {none}"] * bool(none)
    return f"{len(answered)} pictures: {', '.join(parts)}"


def _say_disagreements(answered: Sequence[Answer], speakers: Sequence[Speaker]) -> None:
    if are_comparable(speakers):
        odd = sum(at_odds(one, speakers) for one in answered)
        first = ", shown first" if odd else ""
        st.markdown(f"The two networks disagree on **{odd} of {len(answered)}** pictures{first}.")
    elif len(speakers) == 2:
        st.markdown("The two networks know different classes, so they can neither agree nor disagree.")


def _one(answer: Answer, speakers: Sequence[Speaker], top: int) -> None:
    first = speakers[0]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.image(answer.thumbnail, width=128, alt=plain(answer.picture.name))
            with st.container(gap="xsmall", width="stretch"):
                st.header(_headline(answer, 0, first), anchor=False)
                _judged(answer, 0, first)
                if are_comparable(speakers):
                    _agreement(answer, speakers)
        _line(answer, 0, first, top)
        for place, speaker in enumerate(speakers[1:], 1):
            st.markdown(f"**{md(speaker.label)}**: {_headline(answer, place, speaker)}")
            _judged(answer, place, speaker)
            _line(answer, place, speaker, top)


def _headline(answer: Answer, place: int, speaker: Speaker) -> str:
    verdict = verdict_of(answer, place, speaker)
    if verdict is None:
        return f":material/help: {NONE.capitalize()}"
    return f"{md(verdict, 60)} {_unbroken(answer.probabilities[place].max())}"


def _unbroken(probability: float) -> str:
    return whole_numbers(said_probability(float(probability)))


def _judged(answer: Answer, place: int, speaker: Speaker) -> None:
    """Right or wrong, where the true class is known, to the network too."""
    truth = answer.picture.truth
    if truth is None:
        return
    if truth not in speaker.class_names:  # it could not be right
        st.markdown(f"True class: {md(truth, 60)}")
        return
    right = verdict_of(answer, place, speaker) == truth
    if right:
        st.badge(f"right, true class: {md(truth, 60)}", icon=":material/check:", color="green")
    else:
        st.badge(f"wrong, true class: {md(truth, 60)}", icon=":material/close:", color="red")


def _agreement(answer: Answer, speakers: Sequence[Speaker]) -> None:
    if at_odds(answer, speakers):
        st.badge("disagree", icon=":material/call_split:", color="orange")
    else:
        st.badge("agree", icon=":material/handshake:", color="blue")


def _line(answer: Answer, place: int, speaker: Speaker, top: int) -> None:
    """What else is possible, and what the numbers are worth; of none of these, what it comes closest to, folded."""
    if speaker.rules.is_unknown(answer):
        st.markdown(f"Unlike all it learnt from: {md(listed(speaker.class_names, _MOST_COUNTED), LONGEST_MESSAGE)}.")
        with st.expander("Closest class", type="compact"):
            st.markdown(", ".join(_ranked(answer.probabilities[place], speaker, 0, top)))
        return
    st.markdown(_sentences(*_possible(answer, place, speaker, top), *_worth(speaker)))


def _worth(speaker: Speaker) -> tuple[str, str]:
    """What the probabilities are worth, and that nothing can be told to be none of the classes, where it cannot."""
    worth = "Calibrated" if speaker.record.temperature is not None else "Not calibrated"
    return worth, "Unknown images not detected" if speaker.rules.undetected else ""


def _possible(answer: Answer, place: int, speaker: Speaker, top: int) -> tuple[str, str]:
    others = _ranked(answer.probabilities[place], speaker, 1, top)
    return f"Also possible: {', '.join(others)}" if others else "", _unsure(answer, place, speaker)


def _sentences(*parts: str) -> str:
    return whole_numbers(" ".join(f"{part}." for part in parts if part))


def _ranked(row: np.ndarray, speaker: Speaker, first: int, last: int) -> list[str]:
    """Classes by rank, as core.inference.predictor orders them, without those that would be shown as 0.0 %."""
    order = np.argsort(-row, kind="stable")[first:last]
    return [f"{md(speaker.class_names[at], 40)} {_unbroken(row[at])}" for at in order if row[at] >= ROUNDS_AWAY]


def _unsure(answer: Answer, place: int, speaker: Speaker) -> str:
    """The prediction set, where it is not just the class that is named."""
    named, rule = speaker.rules.named(answer, place), speaker.rules.rule
    if named is None or rule is None or list(named) == [int(answer.probabilities[place].argmax())]:
        return ""
    if not named:
        return f"Not sure: no class is likely enough for {100 * rule.coverage:.0f} % coverage"
    names = " or ".join(md(speaker.class_names[index], 40) for index in named[:4])
    more = f" or {len(named) - 4} more" if len(named) > 4 else ""
    return f"Not sure: {names}{more} for {100 * rule.coverage:.0f} % coverage"


def _card(answer: Answer, speakers: Sequence[Speaker], top: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.image(answer.thumbnail, width=64, alt=plain(answer.picture.name))
        with st.container(gap="xxsmall", width="stretch"):
            st.markdown(f"**{_headline(answer, 0, speakers[0])}**")
            st.caption(md(answer.picture.name, 60))
            _judged(answer, 0, speakers[0])
            if at_odds(answer, speakers):
                _agreement(answer, speakers)
    _say_possible(answer, 0, speakers[0], top)
    for place, speaker in enumerate(speakers[1:], 1):
        st.markdown(f"{md(speaker.label)}: **{_headline(answer, place, speaker)}**")
        _judged(answer, place, speaker)
        _say_possible(answer, place, speaker, top)


def _say_possible(answer: Answer, place: int, speaker: Speaker, top: int) -> None:
    if verdict_of(answer, place, speaker) is None:
        closest = _ranked(answer.probabilities[place], speaker, 0, 1)
        st.caption(f"closest: {closest[0]}")
    elif said := _sentences(*_possible(answer, place, speaker, top)):
        st.caption(said)


def _unreadable(failed: Sequence[Answer]) -> None:
    if failed:
        lines = [f"- **{md(answer.picture.name)}** {md(answer.unreadable)}" for answer in failed[:_MOST_NAMED]]
        if len(failed) > _MOST_NAMED:
            lines.append(f"- and {len(failed) - _MOST_NAMED} more; the table below names them all")
        word = "1 file" if len(failed) == 1 else f"{len(failed)} files"
        st.warning("\n".join(lines), title=f"{word} could not be read", icon=":material/warning:")
