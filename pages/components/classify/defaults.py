"""The network that Classify opens with: the best on val."""

import math
from collections.abc import Sequence

from core.comparison.metrics import log_loss
from core.errors import ThawError
from core.runs.store import Run

from .. import chosen
from ..resources import run_predictions


def networks_of_one_data_set(finished: Sequence[Run]) -> list[Run]:
    """The runs on the chosen pictures; where there are none, those on the pictures of the newest run."""
    here = [run for run in finished if run.settings.data.dataset == chosen.settings().data.dataset]
    return here or [run for run in finished if run.settings.data.dataset == finished[0].settings.data.dataset]


def best_on_val(runs: Sequence[Run]) -> Run:
    """The run with the highest accuracy on val; of several, the one that was surest of the truth there.

    Test is for reporting: who chooses by it, reports too much.
    """
    highest = max(_val_accuracy(run) for run in runs)
    return min((run for run in runs if _val_accuracy(run) == highest), key=lambda run: (_val_loss(run), run.number))


def _val_accuracy(run: Run) -> float:
    return float((run.summary or {})["val_accuracy"])


def _val_loss(run: Run) -> float:
    """Mean over val, in nats; infinite where it is not known."""
    try:
        said = run_predictions(chosen.home(), run.id)
    except ThawError:
        return math.inf
    if said.val_targets is None or said.val_probabilities is None:
        return math.inf
    loss = log_loss(said.val_targets, said.val_probabilities)
    return math.inf if loss is None else loss
