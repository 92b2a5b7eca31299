"""Test pictures with what runs say about them."""

from collections.abc import Sequence, Set

import numpy as np
import streamlit as st

from core.comparison.pictures import PictureKey, common, right_table
from core.comparison.wording import said_probability
from core.runs.store import Run
from core.settings.scenarios import SCENARIOS

from . import chosen
from .cards import record
from .gallery import GalleryItem, gallery
from .resources import run_outcome, thumbnail_or_grey


def sample_pictures(
    runs: Sequence[Run], count: int, key: str, only: Sequence[PictureKey] | None = None, sides: str = ""
) -> None:
    """Test pictures with their true class and what each run says, and how surely.

    Args:
        only: pictures that all runs were tested on; else the ones on which runs are most at odds, then a mix, each
            with the answers of runs that were tested on it.
        sides: a letter for each run, in the place of its scenario's name; then the file's name is shown, too.
    """
    groups = [list(runs)] if only is not None else tested_together(runs)[:count]
    if only is None:
        _say_who_answers(runs, groups)
    share = count // len(groups)
    items: list[GalleryItem] = []
    seen: set[PictureKey] = set()  # test parts overlap
    for group in groups:
        shown = list(only[:count]) if only is not None else _telling(group, share, seen)
        seen.update(shown)
        items += _judged(group, shown, sides, [_tested_by(group[0])] if len(groups) > 1 else [])
    gallery(items, 6, key)


def _tested_by(run: Run) -> str:
    """What tells the test part of a run from those of other runs."""
    fold = run.settings.data.fold
    return f"seed {run.settings.seed}" if fold is None else f"fold {fold}"


def tested_together(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs in groups that were tested on the same pictures; of each training strategy the one with the lowest seed."""
    groups: dict[str, dict[str, Run]] = {}
    for run in sorted(runs, key=lambda run: run.settings.seed):
        groups.setdefault(record(run).test_part, {}).setdefault(run.settings.model.scenario, run)
    return [[group[name] for name in SCENARIOS if name in group] for group in groups.values()]


def _say_who_answers(runs: Sequence[Run], groups: Sequence[Sequence[Run]]) -> None:
    """Which runs the answers are of, where that is not plain."""
    if len(groups) > 1 and groups[0][0].settings.data.fold is not None:
        st.caption("Each fold was tested on its own pictures: every picture has the answers of the fold named below.")
    elif len(groups) > 1:
        st.caption("Each seed was tested on other pictures: every picture has the answers of the seed named below it.")
    elif len(groups[0]) < len(runs):
        seeds = ", ".join(sorted({f"seed {run.settings.seed}" for run in groups[0]}))
        st.caption(f"All seeds were tested on the same pictures; these are the answers of {seeds}.")


def _judged(runs: Sequence[Run], keys: Sequence[PictureKey], sides: str, below: Sequence[str]) -> list[GalleryItem]:
    """Pictures that all of these runs were tested on, with what each run says about each."""
    first = record(runs[0])
    tested = [run_outcome(chosen.home(), run.id).tested for run in runs]
    known = dict(zip(tested[0], zip(first.test_pictures, first.test_names, strict=True), strict=True))
    called_by = list(sides) or _called(runs)
    items = []
    for key in keys:
        index, name = known[key]
        answers = [of[key] for of in tested]
        says = [
            f"{'✓' if said.right else '✗'} {called}: {said.guess} {said_probability(said.probability)}"
            for called, said in zip(called_by, answers, strict=True)
        ]
        items.append(
            GalleryItem(
                image=thumbnail_or_grey(chosen.home(), first.dataset.id, index, key.content),
                title=f"true: {key.truth}",
                captions=(*says, *([name.rsplit("/", 1)[-1]] if sides else []), *below),
                mark=("good" if answers[0].right else "bad") if len(runs) == 1 else None,
            )
        )
    return items


def _called(runs: Sequence[Run]) -> list[str]:
    """Runs by their training strategy, and by their seed where they differ in it."""
    seeds = len({run.settings.seed for run in runs}) > 1
    return [run.settings.model.row.label + (f", seed {run.settings.seed}" if seeds else "") for run in runs]


def _telling(runs: Sequence[Run], count: int, seen: Set[PictureKey]) -> list[PictureKey]:
    """Pictures worth a look: up to half of them such that some run gets wrong, each kind spread over its kind."""
    tested = [run_outcome(chosen.home(), run.id).tested for run in runs]
    keys = [key for key in common(tested) if key not in seen]
    wrong = ~right_table(tested, keys).all(axis=1)
    odd = _spread(np.flatnonzero(wrong), count // 2)
    return [keys[place] for place in [*odd, *_spread(np.flatnonzero(~wrong), count - len(odd))]]


def _spread(positions: np.ndarray, count: int) -> list[int]:
    places = np.linspace(0, len(positions) - 1, min(len(positions), count)).astype(int)
    return [int(positions[place]) for place in places]
