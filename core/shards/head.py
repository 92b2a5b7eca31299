"""The head on features that lie in shards: the answer of `core.training.head`, for any number of pictures.

A solver that fits in memory goes first, on so many pictures as it can take, and chooses the penalty; with fewer than
that it has the answer already. Else the rest is L-BFGS from there over all rows: the problem is convex, so there is one
best head whatever the order of the rows. Each of its steps is a map over the shards, whose sums are added in order.

Legend: M rows (training pictures times views), F features, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from core.models.accel import one_thread
from core.shards.executor import Executor
from core.shards.features import load_features
from core.training.head import FEWEST_GROUPS, FINE, LEAST_DEVIATION, TOO_MANY, Scale, SolvedHead, solve_head
from core.training.lockstep import HISTORY, MAX_ITERATIONS

MOST_NUMBERS = TOO_MANY // 4  # in the features that one machine solves for by itself
BATCH_ROWS = 1024  # 10 MB in double precision
TOGETHER = 8  # shards of one task
LEAST_CHANGE = 1e-9  # of the loss, at which nothing more is to be had


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardRows:
    """The training rows of one shard."""

    features: tuple[str, ...]
    """Names, one for each view."""
    places: np.ndarray
    """Of the training pictures, int32."""
    targets: np.ndarray
    """int16, of each."""
    sides: np.ndarray
    """uint64, of each: the same for pictures that are held out together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadTask:
    """What a pass over some shards needs; none of the numbers that it goes over."""

    shards: tuple[ShardRows, ...]
    counts: tuple[float, ...] | None
    """What a picture of each class counts; None where all count the same."""
    weight: Tensor | None = None
    """(K, F) float32, for features as they come."""
    bias: Tensor | None = None
    smoothing: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums:
    """Of the rows of a task; what is a matter of features in float64."""

    counted: float
    first: Tensor
    second: Tensor
    loss: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class LargeHead:
    """The head, and how it was found."""

    head: SolvedHead
    solved_on: int
    """Training pictures that the solver in memory has seen."""
    passes: int
    """Over all rows; 0 where the solver in memory has seen all of them."""
    gradient: float
    """Largest element of the gradient at the end."""


def tasks_of(shards: Sequence[ShardRows], counts: tuple[float, ...] | None) -> list[HeadTask]:
    """The shards in tasks, always the same ones: so sums have the same bits, however many work."""
    inside = [one for one in shards if len(one.places)]
    return [
        HeadTask(shards=tuple(inside[start : start + TOGETHER]), counts=counts)
        for start in range(0, len(inside), TOGETHER)
    ]


def solve_large(
    shards: Sequence[ShardRows],
    num_classes: int,
    work: Executor,
    *,
    l2: float | None = None,
    label_smoothing: float = 0.0,
    counts: tuple[float, ...] | None = None,
) -> LargeHead:
    """The one best head for the training rows of these shards.

    Args:
        counts: what a picture of each class counts, as for `core.training.head.solve_head`.

    Raises:
        StorageError: features are missing or damaged.
    """
    tasks = tasks_of(shards, counts)
    features, targets, groups, seen, whole = _some(shards)
    with one_thread():
        first = solve_head(
            features, targets, groups, num_classes, l2=l2, label_smoothing=label_smoothing, class_weights=counts
        )
    if whole:
        return LargeHead(head=first, solved_on=seen, passes=0, gradient=FINE)
    del features
    moments = _added(work.map(_moments, tasks))
    return _refined(first, tasks, moments, work, label_smoothing, seen)


def _some(shards: Sequence[ShardRows]) -> tuple[Tensor, Tensor, Tensor, int, bool]:
    """Features, targets and groups of every n-th group's rows, how many pictures they are of, and whether of all."""
    size = load_features(shards[0].features[0]).shape[1]
    sides = np.unique(np.concatenate([one.sides for one in shards]))
    step = max(1, -(-len(sides) // max(FEWEST_GROUPS, MOST_NUMBERS // size)))
    chosen = sides[::step]
    features, targets, groups = list[Tensor](), list[Tensor](), list[Tensor]()
    for one in shards:
        mine = np.flatnonzero(np.isin(one.sides, chosen))
        for name in one.features:
            features.append(load_features(name, check=step == 1)[torch.from_numpy(one.places[mine]).long()])
            targets.append(torch.from_numpy(one.targets[mine]).long())
            groups.append(torch.from_numpy(np.searchsorted(chosen, one.sides[mine])))
    seen = sum(map(len, targets)) // len(shards[0].features)
    return torch.cat(features), torch.cat(targets), torch.cat(groups), seen, step == 1


def _batches(task: HeadTask, check: bool = False) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows (n, F) float32, targets (n,), and what each counts (n,) float64; never more than `BATCH_ROWS`."""
    for one in task.shards:
        # copies: what Ray brings cannot be written to, which torch warns of
        places, targets = (torch.from_numpy(row.astype(np.int64)) for row in (one.places, one.targets))
        for name in one.features:
            features = load_features(name, check)
            for some, wanted in zip(torch.split(places, BATCH_ROWS), torch.split(targets, BATCH_ROWS), strict=True):
                counted = torch.ones(len(wanted), dtype=torch.float64)
                if task.counts is not None:
                    counted = torch.tensor(task.counts, dtype=torch.float64)[wanted]
                yield features[some].float(), wanted, counted


def _moments(task: HeadTask) -> Sums:
    """A task: sums of features and of their squares."""
    first = second = torch.zeros(1, dtype=torch.float64)
    total = 0.0
    with one_thread():
        for rows, _, counted in _batches(task, check=True):
            exact = rows.double()
            first, second = first + counted @ exact, second + counted @ exact.square()
            total += float(counted.sum())
    return Sums(counted=total, first=first, second=second)


def _slopes(task: HeadTask) -> Sums:
    """A task: the loss, summed, and how it changes with weights (K, F) and biases (K,)."""
    assert task.weight is not None and task.bias is not None
    weight, bias, classes = task.weight, task.bias, len(task.bias)
    first, second = torch.zeros(weight.shape, dtype=torch.float64), torch.zeros(classes, dtype=torch.float64)
    loss = total = 0.0
    with one_thread():
        for rows, targets, counted in _batches(task):
            logs = torch.addmm(bias, rows, weight.T).log_softmax(1)
            wanted = nn.functional.one_hot(targets, classes).float()
            wanted = wanted * (1 - task.smoothing) + task.smoothing / classes
            loss -= float(((logs * wanted).double().sum(1) * counted).sum())
            errors = (logs.exp() - wanted) * counted.float()[:, None]
            first += errors.T @ rows
            second += errors.double().sum(0)
            total += float(counted.sum())
    return Sums(counted=total, first=first, second=second, loss=loss)


def _added(sums: Iterator[Sums]) -> Sums:
    total = next(sums)
    for one in sums:
        total = Sums(
            counted=total.counted + one.counted,
            first=total.first + one.first,
            second=total.second + one.second,
            loss=total.loss + one.loss,
        )
    return total


def _refined(
    start: SolvedHead, tasks: Sequence[HeadTask], moments: Sums, work: Executor, smoothing: float, seen: int
) -> LargeHead:
    """The best head for all rows, from one for some: L-BFGS in coordinates in which all features vary by 1."""
    mean = moments.first / moments.counted
    deviation = (moments.second / moments.counted - mean.square()).clamp_(min=0).sqrt_()
    deviation[deviation < LEAST_DEVIATION] = torch.inf
    scale, passes = Scale(mean, deviation), 0
    weight, bias = (one.requires_grad_() for one in scale.standardised(start.weight.double(), start.bias.double()))
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MAX_ITERATIONS,
        history_size=HISTORY,
        tolerance_grad=FINE,
        tolerance_change=LEAST_CHANGE,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        nonlocal passes
        passes += 1
        raw, shift = scale.as_they_came(weight.detach(), bias.detach())
        with_head = (
            HeadTask(shards=one.shards, counts=one.counts, weight=raw.float(), bias=shift.float(), smoothing=smoothing)
            for one in tasks
        )
        sums = _added(work.map(_slopes, with_head))
        first, second = sums.first / sums.counted, sums.second / sums.counted
        weight.grad = (first - second[:, None] * mean) / deviation + start.l2 * weight.detach()
        bias.grad = second
        return sums.loss / sums.counted + start.l2 / 2 * float(weight.detach().square().sum())

    solver.step(closure)  # type: ignore[no-untyped-call]
    left = max(float(one.grad.abs().max()) for one in (weight, bias) if one.grad is not None)
    raw, shift = scale.as_they_came(weight.detach(), bias.detach())
    iterations = int(next(islice(solver.state.values(), 1))["n_iter"])
    head = SolvedHead(weight=raw.float(), bias=shift.float(), l2=start.l2, path=start.path, iterations=iterations)
    return LargeHead(head=head, solved_on=seen, passes=passes, gradient=left)
