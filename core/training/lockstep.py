"""Several multinomial logistic regressions over the same rows at once, by L-BFGS in lock step.

One product with the rows serves all problems. That matters more than anything else: a product with two columns waits
for memory, one with ten computes. Along a direction scores change linearly, so that a step is searched for without
another product: two of them per iteration, whatever the search asks.

Legend: P problems, M rows, D coordinates, K classes.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.training.history import Cancelled, ShouldStop

HISTORY = 10  # pairs of steps and changes of the gradient that curvature is known from
MAX_ITERATIONS = 200
MAX_TRIALS = 20  # of steps along one direction; one or two are usual
ROUNDING = 1e-6  # share of the loss by which a sum in single precision may seem to rise
STILL = 5  # iterations in a row without a lower loss after which it is as low as its digits can tell
GENTLE = 0.5  # share of the slope at the start of a direction that may be left at the end of the step
LEAST = 1e-30  # what is divided by


@dataclass(frozen=True, kw_only=True)
class Problems:
    """Minimise the mean cross-entropy over a problem's rows, plus half of `l2` times the sum of squared weights."""

    rows: Tensor
    """(M, D)."""
    wanted: Tensor
    """(K, M): the probabilities that are wanted of a row, times what the row counts."""
    inside: Tensor
    """(P, M): 1 where a row belongs to the problem, else 0."""
    l2: float

    def start(self) -> Tensor:
        """Weights, and biases behind them: (P, K, D + 1), all 0."""
        return self.rows.new_zeros(len(self.inside), len(self.wanted), self.rows.shape[1] + 1)

    def scores(self, heads: Tensor) -> Tensor:
        """(P, K, M), of heads (P, K, D + 1)."""
        flat = heads.flatten(0, 1)
        return torch.addmm(flat[:, -1:], flat[:, :-1], self.rows.T).view(*heads.shape[:2], -1)

    def losses(self, heads: Tensor, inside: Tensor) -> Tensor:
        """Mean cross-entropy (P,) of each problem's head over the rows that are `inside` (P, M), without penalty."""
        losses = -(self.scores(heads).log_softmax(1) * self.wanted).sum(1)  # (P, M)
        return (losses * inside).sum(1) / (inside * self.wanted.sum(0)).sum(1)


def minimise(
    problems: Problems,
    start: Tensor,
    tolerance: float,
    *,
    on_iteration: Callable[[Tensor], None] = lambda heads: None,
    should_stop: ShouldStop = lambda: False,
) -> tuple[Tensor, int]:
    """Heads (P, K, D + 1), and how many iterations the last problem to arrive took.

    Args:
        start: heads (P, K, D + 1) to begin with.
        tolerance: largest element of a gradient at which a head is good enough.

    Raises:
        Cancelled: `should_stop` said so, before an iteration.
    """
    objective = _Objective(problems)
    heads, here = start, objective.at(problems.scores(start), _squares(start, start))
    gradient = objective.gradient(here, heads)
    curvature = _Curvature()
    still = torch.zeros(len(heads), dtype=torch.int64)
    for iteration in range(MAX_ITERATIONS):
        if should_stop():
            raise Cancelled
        at_work = (gradient.abs().amax((1, 2)) > tolerance) & (still < STILL)
        if not at_work.any():
            return heads, iteration
        direction = curvature.direction(gradient) * at_work[:, None, None]
        there, steps = _search(_Line(objective, heads, direction, here), at_work)
        moved = heads + steps[:, None, None] * direction
        changed = objective.gradient(there, moved)
        curvature.learn(moved - heads, changed - gradient)
        still = torch.where(there.loss < here.loss, 0, still + 1)
        heads, gradient, here = moved, changed, there
        on_iteration(heads)
    return heads, MAX_ITERATIONS


@dataclass(frozen=True, kw_only=True, slots=True)
class _Point:
    """What is known about some heads, all that a product with the rows was needed for."""

    scores: Tensor
    """(P, K, M)."""
    squares: Tensor
    """(P,) float64: of the weights, summed."""
    loss: Tensor
    """(P,) float64, penalty included."""
    probabilities: Tensor
    """(P, K, M)."""
    errors: Tensor
    """(P, K, M): how the loss changes with each score."""


class _Objective:
    def __init__(self, problems: Problems) -> None:
        counts = problems.inside * problems.wanted.sum(0)  # (P, M)
        totals = counts.sum(1, keepdim=True)
        self.problems = problems
        self.counted = (counts / totals)[:, None]  # (P, 1, M)
        self.wanted = problems.wanted * (problems.inside / totals)[:, None]  # (P, K, M)

    def at(self, scores: Tensor, squares: Tensor) -> _Point:
        logs = scores.log_softmax(1)
        loss = self.problems.l2 / 2 * squares - (logs * self.wanted).sum((1, 2), dtype=torch.float64)
        probabilities = logs.exp_()
        errors = torch.addcmul(-self.wanted, probabilities, self.counted)
        return _Point(scores=scores, squares=squares, loss=loss, probabilities=probabilities, errors=errors)

    def gradient(self, point: _Point, heads: Tensor) -> Tensor:
        """(P, K, D + 1)."""
        weights = torch.addmm(
            heads[..., :-1].flatten(0, 1), point.errors.flatten(0, 1), self.problems.rows, beta=self.problems.l2
        )
        biases = point.errors.sum(2, keepdim=True)
        return torch.cat([weights.view_as(heads[..., :-1]), biases], 2)


class _Line:
    """Heads along one direction each."""

    def __init__(self, objective: _Objective, heads: Tensor, direction: Tensor, start: _Point) -> None:
        self.objective, self.start = objective, start
        self.change = objective.problems.scores(direction)  # of the scores, per step of 1
        self._mixed, self._square = _squares(heads, direction), _squares(direction, direction)

    def at(self, steps: Tensor) -> _Point:
        squares = self.start.squares + 2 * steps * self._mixed + steps.square() * self._square
        scores = torch.addcmul(self.start.scores, self.change, steps.to(self.change.dtype)[:, None, None])
        return self.objective.at(scores, squares)

    def slope(self, point: _Point, steps: Tensor) -> Tensor:
        """How the loss changes with the step, (P,) float64."""
        penalty = self.objective.problems.l2 * (self._mixed + steps * self._square)
        return (point.errors * self.change).sum((1, 2), dtype=torch.float64) + penalty

    def bend(self, point: _Point) -> Tensor:
        """How the slope changes with the step, (P,) float64."""
        mean = (point.probabilities * self.change).sum(1, keepdim=True)
        spread = self.objective.counted * point.probabilities * (self.change - mean).square()
        return spread.sum((1, 2), dtype=torch.float64) + self.objective.problems.l2 * self._square


def _search(line: _Line, wanted: Tensor) -> tuple[_Point, Tensor]:
    """Steps (P,) after which the loss is lower and most of the slope is gone, by Newton's method kept in bounds.

    Args:
        wanted: (P,) the problems that still move; the others' steps do not matter.
    """
    steps = torch.ones(len(wanted), dtype=torch.float64)
    low, high = torch.zeros_like(steps), torch.full_like(steps, math.inf)
    first = line.slope(line.start, torch.zeros_like(steps)).abs()
    allowed = line.start.loss + ROUNDING * line.start.loss.abs()
    for _ in range(MAX_TRIALS):
        point = line.at(steps)
        slope = line.slope(point, steps)
        good = (slope.abs() <= GENTLE * first) & (point.loss <= allowed) | ~wanted
        if good.all():
            break
        low, high = torch.where(slope < 0, steps, low), torch.where(slope < 0, high, steps)
        newton = steps - slope / line.bend(point).clamp(min=LEAST)
        middle = torch.where(high.isinf(), 2 * steps, (low + high) / 2)
        inside = (newton > low) & (newton < high) & (newton < 4 * steps)
        steps = torch.where(good, steps, torch.where(inside, newton, middle))
    return point, steps.to(point.scores.dtype)


class _Curvature:
    """The inverse of each problem's second derivatives, as past steps tell it (Nocedal and Wright, algorithm 7.4)."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=HISTORY)
        self._size: Tensor | None = None

    def learn(self, steps: Tensor, changes: Tensor) -> None:
        """Steps and what they changed in the gradient, both (P, K, D + 1)."""
        products = _dot(steps, changes)
        sound = products > LEAST  # a problem that did not move teaches nothing
        inverse = torch.where(sound, 1 / products.clamp(min=LEAST), 0)
        size = products / _dot(changes, changes).clamp(min=LEAST)
        self._size = size if self._size is None else torch.where(sound, size, self._size)
        self._pairs.append((steps, changes, inverse))

    def direction(self, gradient: Tensor) -> Tensor:
        """Downhill, (P, K, D + 1); of length 1 as long as nothing is known."""
        if self._size is None:
            return -gradient / _dot(gradient, gradient).sqrt().clamp(min=LEAST)[:, None, None]
        direction, shares = -gradient, list[Tensor]()
        for steps, changes, inverse in reversed(self._pairs):
            shares.append(inverse * _dot(steps, direction))
            direction = direction - shares[-1][:, None, None] * changes
        direction = direction * self._size[:, None, None]
        for (steps, changes, inverse), share in zip(self._pairs, reversed(shares), strict=True):
            direction = direction + (share - inverse * _dot(changes, direction))[:, None, None] * steps
        return direction


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """(P,), of (P, K, D + 1) each."""
    return (a * b).sum((1, 2))


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """Sums (P,) float64 of products of weights, biases left out."""
    return (a[..., :-1] * b[..., :-1]).sum((1, 2), dtype=torch.float64)
