"""The head on cached features, solved: multinomial logistic regression with an L2 penalty, by L-BFGS.

The problem is convex, so there is one answer, whatever the start, and no learning rate. How strong the penalty is, is
decided inside the training pictures alone: val and test stay unseen.

Legend: M rows (training pictures times views), F features, K classes, D coordinates the solver works in, T iterations.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from core.training.history import Cancelled, ShouldStop
from core.training.lockstep import HISTORY, Problems, minimise
from core.training.losses import build_loss

L2_PATH: Final = tuple(float(10**exponent) for exponent in np.arange(1.0, -4.1, -0.5))
"""Strengths tried, strong to weak; each solution is the next one's start."""
USUAL_L2: Final = 0.1  # where there is nothing to choose by
PATIENCE: Final = 2  # so many weaker penalties in a row may be worse before the path ends
FOLDS: Final = 5
FEW: Final = 16_000_000  # numbers in the features up to which all folds are tried
TOGETHER: Final = 4_000_000  # numbers of problems that are solved in lock step: more classes are columns enough
ONE_THREAD: Final = 50_000_000
"""Rows times features times classes up to which more threads gain little, and lose much beside other programs."""
TOO_MANY: Final = 150_000_000  # numbers in the features beyond which minibatches take over: 0.6 GB in float32
LEAST_DEVIATION: Final = 1e-6  # a feature that varies less is the same for all pictures and says nothing
BATCH_ROWS, BATCH_PASSES, BATCH_LR, FEWEST_GROUPS = 4096, 3, 3e-3, 1000  # for what is too many
ROUGH, FINE = 1e-3, 1e-6  # largest gradient at which a solution on the path, and the final one, is good enough
REPORT_S: Final = 0.3  # at least so often iterations are reported,
REPORT_COLUMNS: Final = 256  # and before they have so many classes together


@dataclass(frozen=True, kw_only=True)
class SolvedHead:
    """Weights for features as the backbone gives them: standardising is folded in."""

    weight: Tensor
    """(K, F) float32."""
    bias: Tensor
    """(K,) float32."""
    l2: float
    """Strength of the penalty, half of it times the sum of squared weights of standardised features."""
    path: tuple[tuple[float, float], ...]
    """(strength, mean loss on held-out training pictures); empty where the strength was given."""
    iterations: int
    """Of the final solution, each one pass over all rows or a few."""


OnIterations = Callable[[Tensor, Tensor, list[float]], None]
"""(weights (T, K, F), biases (T, K), when in `perf_counter` seconds) of the final solution's iterations, all in turn.

Several at a time: to see how good one head is takes as long as for twenty.
"""
AsTheyCame = Callable[[list[Tensor]], tuple[Tensor, Tensor]]
"""From heads (1, K, D + 1) to weights (T, K, F) and biases (T, K) for features as the backbone gives them."""


def solve_head(
    features: Tensor,
    targets: Tensor,
    groups: Tensor,
    num_classes: int,
    *,
    l2: float | None = None,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    on_iterations: OnIterations | None = None,
    should_stop: ShouldStop = lambda: False,
) -> SolvedHead:
    """The one best head for these features.

    Args:
        features: (M, F), of any float type.
        targets: (M,) int64.
        groups: (M,) int64; rows of one group, the views of one picture, are held out together.
        l2: strength of the penalty; None chooses it by the loss on held-out rows.
        class_weights: (K,), what a row of each class counts, in the fit, in the loss on held-out rows and in how
            features are standardised: a class that counts twice is the same as one whose rows come twice.

    Raises:
        Cancelled: `should_stop` said so, between two solutions.
    """
    counted = _row_weights(targets, class_weights)
    rows, as_they_came = _solver_rows(features, counted)
    wanted = _wanted(targets, num_classes, label_smoothing, counted)
    path: tuple[tuple[float, float], ...] = ()
    if l2 is None:
        path = _try_path(rows, wanted, _folds(targets, groups), should_stop)
        l2 = min(path, key=lambda step: step[1])[0] if path else USUAL_L2
    reports = _Reports(on_iterations, as_they_came, num_classes)
    problem = Problems(rows=rows, wanted=wanted, inside=rows.new_ones(1, len(rows)), l2=l2)
    solution, iterations = minimise(problem, problem.start(), FINE, on_iteration=reports.add, should_stop=should_stop)
    reports.flush()
    weight, bias = as_they_came([solution])
    return SolvedHead(weight=weight[0], bias=bias[0], l2=l2, path=path, iterations=iterations)


def held_out_probabilities(
    features: Tensor,
    targets: Tensor,
    fold_of: Tensor,
    num_classes: int,
    should_stop: ShouldStop = lambda: False,
) -> Tensor:
    """What heads say about rows that they were not fitted on: probabilities (M, K) float32.

    There is a head for each fold, fitted on all others, as `solve_head` fits one; all have the penalty that is best on
    what they hold out. They are solved for together.

    Args:
        fold_of: (M,) int64, from 0; rows of one fold are held out together. There are at least two folds.

    Raises:
        Cancelled: `should_stop` said so, between two solutions.
    """
    rows, _ = _solver_rows(features, None)
    wanted = _wanted(targets, num_classes, 0.0, None)
    l2, _ = min(_try_path(rows, wanted, fold_of, should_stop), key=lambda step: step[1])
    inside = fold_of != torch.arange(int(fold_of.max()) + 1)[:, None]
    problems = Problems(rows=rows, wanted=wanted, inside=inside.float(), l2=l2)
    heads, _ = minimise(problems, problems.start(), FINE, should_stop=should_stop)
    return problems.scores(heads).softmax(1)[fold_of, :, torch.arange(len(rows))]


def fit_head_in_batches(
    features: Tensor,
    targets: Tensor,
    groups: Tensor,
    num_classes: int,
    *,
    l2: float | None = None,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    on_iterations: OnIterations | None = None,
    should_stop: ShouldStop = lambda: False,
) -> SolvedHead:
    """As `solve_head`, close to its answer, for features that are too many to be held in float32.

    The penalty is chosen, and the start solved for, on as many groups as the solver can take; then AdamW goes over all
    rows in batches, with a rate that falls to nothing.

    Raises:
        Cancelled: `should_stop` said so, before a batch.
    """
    chosen = _some_groups(groups, features.shape[1])
    first = solve_head(
        features[chosen],
        targets[chosen],
        groups[chosen],
        num_classes,
        l2=l2,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        should_stop=should_stop,
    )
    counted = _row_weights(targets, class_weights)
    loss_fn = build_loss(_mean_of_one(class_weights, counted), label_smoothing)
    for weight, bias in _passes(features, targets, first, _scale_of(features, counted).float(), loss_fn, should_stop):
        if on_iterations:
            on_iterations(weight[None], bias[None], [time.perf_counter()])
    return SolvedHead(weight=weight, bias=bias, l2=first.l2, path=first.path, iterations=BATCH_PASSES)


def _some_groups(groups: Tensor, size: int) -> Tensor:
    """Which rows (M,) belong to every n-th group, so that the solver can take them with their `size` features."""
    count = max(FEWEST_GROUPS, TOO_MANY // 4 // size)
    return torch.isin(groups, torch.unique(groups)[:: max(1, -(-len(groups) // count))])


def _passes(
    features: Tensor, targets: Tensor, first: SolvedHead, scale: "Scale", loss_fn: nn.Module, should_stop: ShouldStop
) -> Iterator[tuple[Tensor, Tensor]]:
    """Weight and bias after each pass over all rows, from the first head on."""
    weight, bias = (tensor.requires_grad_() for tensor in scale.standardised(first.weight, first.bias))
    optimizer = torch.optim.AdamW([weight, bias], lr=BATCH_LR, weight_decay=0.0, fused=True)
    steps = BATCH_PASSES * -(-len(features) // BATCH_ROWS)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(BATCH_PASSES):
        for positions in torch.split(torch.randperm(len(features), generator=generator), BATCH_ROWS):
            if should_stop():
                raise Cancelled
            logits = torch.addmm(bias, scale.rows(features[positions]), weight.T)
            loss = loss_fn(logits, targets[positions])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss + first.l2 / 2 * weight.square().sum())
            optimizer.step()
            schedule.step()
        yield scale.as_they_came(weight.detach(), bias.detach())


def _row_weights(targets: Tensor, class_weights: Sequence[float] | None) -> Tensor | None:
    """What each row (M,) counts; None where all count the same."""
    return None if class_weights is None else torch.tensor(class_weights)[targets]


def _mean_of_one(class_weights: Sequence[float] | None, counted: Tensor | None) -> list[float] | None:
    """Class weights whose mean over the rows is 1: the penalty stands beside a mean loss."""
    if class_weights is None or counted is None:
        return None
    return [weight / float(counted.mean()) for weight in class_weights]


@dataclass(frozen=True)
class Scale:
    """How features are standardised: mean and deviation (F,) of each, infinite where nothing varies."""

    mean: Tensor
    deviation: Tensor

    def float(self) -> "Scale":
        return Scale(self.mean.float(), self.deviation.float())

    def rows(self, features: Tensor) -> Tensor:
        """Standardised features (M, F) float32."""
        return (features.float() - self.mean.float()).div_(self.deviation.float())

    def as_they_came(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (..., K, F) and biases (..., K) for features as they came, of those for standardised ones."""
        weight = weight / self.deviation
        return weight, bias - weight @ self.mean

    def standardised(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The way back."""
        return torch.where(self.deviation.isinf(), 0.0, weight * self.deviation), bias + weight @ self.mean


def _scale_of(features: Tensor, counted: Tensor | None) -> Scale:
    """In float64, piece by piece."""
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    counted = torch.ones(len(features), dtype=torch.float64) if counted is None else counted.double()
    for some, piece in zip(torch.split(counted, BATCH_ROWS), torch.split(features, BATCH_ROWS), strict=True):
        rows = piece.double()
        total += some @ rows
        squares += some @ rows.square()
    mean = total / counted.sum()
    deviation = (squares / counted.sum() - mean.square()).clamp_(min=0).sqrt_()
    deviation[deviation < LEAST_DEVIATION] = torch.inf
    return Scale(mean, deviation)


def _solver_rows(features: Tensor, counted: Tensor | None) -> tuple[Tensor, AsTheyCame]:
    """Rows (M, D) as the solver works on them, and the way back for its heads."""
    scale = _scale_of(features, counted)
    rows, back = _fewer_coordinates(scale.rows(features))

    def as_they_came(heads: list[Tensor]) -> tuple[Tensor, Tensor]:
        flat = torch.cat(heads)  # (T, K, D + 1)
        weight = back(flat[..., :-1].flatten(0, 1)).view(*flat.shape[:2], -1)
        weight, bias = scale.as_they_came(weight, flat[..., -1])
        return weight.float(), bias.float()

    return rows, as_they_came


def _fewer_coordinates(rows: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Rows in an orthonormal basis of their span (M, D), where there are far fewer than features, and the way back.

    The best weights lie in that span, and lengths in it stay what they are, so the problem is the same and smaller. The
    way back takes weights (n, D) to (n, F). The basis itself is never written down: that would double the time. With
    more than half as many rows as features, finding it takes longer than it saves.
    """
    count, size = rows.shape
    if 2 * count > size:
        return rows, lambda weights: weights
    reflectors, scales = torch.geqrf(rows.T)

    def back(weights: Tensor) -> Tensor:
        return torch.ormqr(reflectors, scales, nn.functional.pad(weights, (0, size - count)).T).T

    return reflectors[:count].triu().T.contiguous(), back


def _wanted(targets: Tensor, num_classes: int, smoothing: float, counted: Tensor | None) -> Tensor:
    """The probabilities (K, M) float32 that are wanted of each row, times what it counts."""
    wanted = nn.functional.one_hot(targets, num_classes).T.float()
    wanted = (wanted * (1 - smoothing) + smoothing / num_classes).contiguous()
    return wanted if counted is None else wanted.mul_(counted)


def _try_path(
    rows: Tensor, wanted: Tensor, fold_of: Tensor, should_stop: ShouldStop
) -> tuple[tuple[float, float], ...]:
    """Mean loss on held-out groups by strength, from the strongest until it has only become worse.

    Empty where every class is a single group, of which nothing can be held out.
    """
    dealt = int(fold_of.max()) + 1
    if dealt < 2:
        return ()
    tried = torch.arange(dealt if rows.numel() <= FEW else 1)
    path: list[tuple[float, float]] = []
    starts: Tensor | None = None
    for l2 in L2_PATH:
        loss, starts = _held_out_loss(rows, wanted, fold_of != tried[:, None], l2, starts, should_stop)
        path.append((l2, loss))
        best = min(range(len(path)), key=lambda place: path[place][1])
        if len(path) - 1 - best >= PATIENCE:
            break
    return tuple(path)


def _held_out_loss(
    rows: Tensor, wanted: Tensor, inside: Tensor, l2: float, starts: Tensor | None, should_stop: ShouldStop
) -> tuple[float, Tensor]:
    """Mean loss over what folds hold out, and their heads (folds, K, D + 1), the next penalty's start.

    Args:
        inside: (folds, M) bool, the rows that a fold does not hold out.
    """
    together = max(1, TOGETHER // (len(wanted) * max(len(rows), 2 * HISTORY * rows.shape[1])))
    losses, heads = list[Tensor](), list[Tensor]()
    for place, some in zip(range(0, len(inside), together), torch.split(inside.float(), together), strict=True):
        problems = Problems(rows=rows, wanted=wanted, inside=some, l2=l2)
        start = problems.start() if starts is None else starts[place : place + together]
        found, _ = minimise(problems, start, ROUGH, should_stop=should_stop)
        heads.append(found)
        losses.append(problems.losses(found, 1 - some))
    return float(torch.cat(losses).mean()), torch.cat(heads)


def _folds(targets: Tensor, groups: Tensor) -> Tensor:
    """Fold (M,) of each row: the groups of every class dealt out in turn, so that folds have all classes."""
    fold_of_group: dict[int, int] = {}
    dealt: dict[int, int] = {}
    for target, group in zip(targets.tolist(), groups.tolist(), strict=True):
        if group not in fold_of_group:
            fold_of_group[group] = dealt.get(target, 0) % FOLDS
            dealt[target] = dealt.get(target, 0) + 1
    return torch.tensor([fold_of_group[group] for group in groups.tolist()])


class _Reports:
    """Iterations of a solution, told several at a time."""

    def __init__(self, tell: OnIterations | None, as_they_came: AsTheyCame, num_classes: int) -> None:
        self._tell, self._as_they_came, self._most = tell, as_they_came, REPORT_COLUMNS // num_classes
        self._heads, self._moments = list[Tensor](), list[float]()

    def add(self, head: Tensor) -> None:
        """The head (1, K, D + 1) after an iteration."""
        self._heads.append(head)
        self._moments.append(time.perf_counter())
        if len(self._heads) >= self._most or self._moments[-1] - self._moments[0] > REPORT_S:
            self.flush()

    def flush(self) -> None:
        """Tell what has not been told."""
        if self._tell and self._heads:
            self._tell(*self._as_they_came(self._heads), self._moments)
        self._heads, self._moments = [], []
