"""One seed can mislead: two ways to use the same features, compared on one small draw of pictures, and on many.

A linear probe and the nearest class mean learn from the same few pictures and are asked about the same others. Nothing
goes through the network again.

Legend: M pictures, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.advice.depths import look_settings
from core.data.dataset import Dataset
from core.errors import DatasetError
from core.models.catalogue import get_backbone
from core.settings.schema import RunSettings
from core.training.head import solve_head
from core.training.history import OnProgress, ShouldStop
from core.training.scenarios import begin_session

DRAWS: Final = 50
PER_CLASS: Final = 10
L2: Final = 0.1
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Luck:
    """Accuracies of both on the same pictures, draw by draw: fractions."""

    per_class: int
    """Pictures that were learnt from."""
    probe: tuple[float, ...]
    nearest_mean: tuple[float, ...]

    @property
    def differences(self) -> tuple[float, ...]:
        """How far the linear probe is ahead."""
        return tuple(a - b for a, b in zip(self.probe, self.nearest_mean, strict=True))

    @property
    def mean(self) -> float:
        return float(np.mean(self.differences))

    def disagree(self) -> int:
        """Draws whose winner is not the winner over all."""
        sign = np.sign(self.mean)
        return sum(int(np.sign(one) == -sign) for one in self.differences)


def try_luck(
    settings: RunSettings,
    dataset: Dataset,
    *,
    on_progress: OnProgress = lambda progress: None,
    should_stop: ShouldStop = lambda: False,
) -> Luck:
    """Compare both on many draws from the training pictures; what was drawn is learnt from, the rest is asked about.

    Raises:
        DatasetError: the classes have too few pictures.
        WeightsError: the backbone's weights cannot be had.
        Cancelled: `should_stop` said so.
    """
    threads = torch.get_num_threads()
    try:
        session, _ = begin_session(
            look_settings(settings, dataset), dataset, on_progress=on_progress, should_stop=should_stop, shelf=None
        )
        with torch.inference_mode():
            rows = session.boundaries("train").float().cpu()
        features = rows[:, -get_backbone(settings.model.backbone).features :].clone()
        torch.set_num_threads(1)
        return _drawn(features, session.targets("train").numpy(), session.groups("train").numpy())
    finally:
        torch.set_num_threads(threads)


def _drawn(features: Tensor, targets: Indices, sides: Indices) -> Luck:
    per_class = min(PER_CLASS, int(np.bincount(targets)[np.unique(targets)].min()) // 2)
    if per_class < 1:
        raise DatasetError("For this, each class needs two training pictures; bring more.")
    probe, mean = [], []
    for draw in range(DRAWS):
        learnt = _draw(targets, per_class, np.random.default_rng(draw))
        asked = np.flatnonzero(~np.isin(sides, sides[learnt]))
        if not len(asked):
            raise DatasetError("For this, there must be more pictures than copies of a few; bring more.")
        a, b = _accuracies(features, targets, learnt, asked)
        probe.append(a)
        mean.append(b)
    return Luck(per_class=per_class, probe=tuple(probe), nearest_mean=tuple(mean))


def _draw(targets: Indices, per_class: int, dice: np.random.Generator) -> Indices:
    return np.concatenate([dice.permutation(np.flatnonzero(targets == one))[:per_class] for one in np.unique(targets)])


def _accuracies(features: Tensor, targets: Indices, learnt: Indices, asked: Indices) -> tuple[float, float]:
    """Of a linear probe and of the nearest class mean, on features measured by their deviation."""
    fitted, wanted = features[torch.from_numpy(learnt)], torch.from_numpy(targets[learnt])
    centre, deviation = fitted.mean(0), fitted.std(0).clamp(min=1e-6)
    rows, held = (fitted - centre) / deviation, (features[torch.from_numpy(asked)] - centre) / deviation
    head = solve_head(rows, wanted, torch.arange(len(rows)), int(targets.max()) + 1, l2=L2)
    said = torch.addmm(head.bias, held, head.weight.T).argmax(1).numpy()
    classes = np.unique(targets)
    means = torch.stack([rows[wanted == int(one)].mean(0) for one in classes])
    nearest = classes[torch.cdist(held, means).argmin(1).numpy()]
    return float((said == targets[asked]).mean()), float((nearest == targets[asked]).mean())


def conclusion_of_one(difference: float) -> str:
    """What one draw says, as people say it."""
    if difference == 0:
        return "Both are equally good."
    better, other = ("linear probe", "nearest class mean")[:: 1 if difference > 0 else -1]
    return f"The {better} is better than the {other}."


def spread(differences: Sequence[float]) -> tuple[float, float]:
    """Between which differences nine draws of ten lie."""
    low, high = np.quantile(differences, [0.05, 0.95])
    return float(low), float(high)
