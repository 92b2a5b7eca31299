"""The head on cached features, solved: multinomial logistic regression with an L2 penalty, by L-BFGS (SciPy).

The problem is convex, so there is one answer, whatever the start, and no learning rate. How strong the penalty is, is
decided inside the training pictures alone: val and test stay unseen.

Legend: M rows (training pictures times views), F features, K classes, D coordinates the solver works in, T iterations.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from core.training.history import Cancelled, ShouldStop
from core.training.losses import build_loss

L2_PATH: Final = tuple(float(10**exponent) for exponent in np.arange(1.0, -4.1, -0.5))
"""Strengths tried, strong to weak; each solution is the next one's start."""
USUAL_L2: Final = 0.1  # where there is nothing to choose by
PATIENCE: Final = 2  # so many weaker penalties in a row may be worse before the path ends
FOLDS: Final = 5
FEW: Final = 4_000_000  # numbers in the features up to which all folds are tried, and in float64
TOO_MANY: Final = 150_000_000  # numbers in the features beyond which minibatches take over: 0.6 GB in float32
LEAST_DEVIATION: Final = 1e-6  # a feature that varies less is the same for all pictures and says nothing
MAX_ITERATIONS: Final = 200
BATCH_ROWS, BATCH_PASSES, BATCH_LR, FEWEST_GROUPS = 4096, 3, 3e-3, 1000  # for what is too many
ROUGH, FINE = 1e-3, 1e-5  # largest gradient at which a solution on the path, and the final one, is good enough
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
    dtype = torch.float64 if features.numel() <= FEW else torch.float32
    rows = features.to(dtype, copy=True)
    counted = _row_weights(targets, class_weights, dtype)
    mean, deviation = _standardise(rows, counted)
    rows, back = _fewer_coordinates(rows)
    wanted = _one_hot(targets, num_classes, label_smoothing, dtype)
    if counted is not None:
        wanted *= counted[:, None]

    def unfold(flats: list[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Weights (T, K, F) and biases (T, K) for the features as they came."""
        inner, bias = (torch.from_numpy(part).to(dtype) for part in _parts(np.stack(flats), num_classes))
        weight = back(inner.flatten(0, 1)).reshape(*bias.shape, -1) / deviation
        return weight.float(), (bias - weight @ mean).float()

    path: tuple[tuple[float, float], ...] = ()
    numbers, one_hot = rows.numpy(), wanted.numpy()
    if l2 is None:
        path = _try_path(numbers, one_hot, _folds(targets, groups).numpy(), should_stop)
        l2 = min(path, key=lambda step: step[1])[0] if path else USUAL_L2
    reports = None
    if on_iterations:
        reports = _Reports(lambda flats, moments: on_iterations(*unfold(flats), moments), REPORT_COLUMNS // num_classes)
    solution, iterations = _solve(numbers, one_hot, l2, None, FINE, reports, should_stop)
    if reports:
        reports.flush()
    weight, bias = unfold([solution])
    return SolvedHead(weight=weight[0], bias=bias[0], l2=l2, path=path, iterations=iterations)


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
    count = max(FEWEST_GROUPS, TOO_MANY // 4 // features.shape[1])
    chosen = torch.isin(groups, torch.unique(groups)[:: max(1, -(-len(groups) // count))])
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
    counted = _row_weights(targets, class_weights, torch.float64)
    mean, deviation = _moments(features, counted)
    weight = torch.where(deviation.isinf(), 0.0, first.weight * deviation).requires_grad_()
    bias = (first.bias + first.weight @ mean).requires_grad_()
    optimizer = torch.optim.AdamW([weight, bias], lr=BATCH_LR, weight_decay=0.0, fused=True)
    steps = BATCH_PASSES * -(-len(features) // BATCH_ROWS)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(0)
    loss_fn = build_loss(_mean_of_one(class_weights, counted), label_smoothing)
    for _ in range(BATCH_PASSES):
        for positions in torch.split(torch.randperm(len(features), generator=generator), BATCH_ROWS):
            if should_stop():
                raise Cancelled
            rows = (features[positions].float() - mean) / deviation
            loss = loss_fn(torch.addmm(bias, rows, weight.T), targets[positions])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss + first.l2 / 2 * weight.square().sum())
            optimizer.step()
            schedule.step()
        plain = (weight / deviation).detach()
        folded = (bias - plain @ mean).detach()
        if on_iterations:
            on_iterations(plain[None], folded[None], [time.perf_counter()])
    return SolvedHead(weight=plain, bias=folded, l2=first.l2, path=first.path, iterations=BATCH_PASSES)


def _row_weights(targets: Tensor, class_weights: Sequence[float] | None, dtype: torch.dtype) -> Tensor | None:
    """What each row (M,) counts; None where all count the same."""
    return None if class_weights is None else torch.tensor(class_weights, dtype=dtype)[targets]


def _mean_of_one(class_weights: Sequence[float] | None, counted: Tensor | None) -> list[float] | None:
    """Class weights whose mean over the rows is 1: the penalty stands beside a mean loss."""
    if class_weights is None or counted is None:
        return None
    return [weight / float(counted.mean()) for weight in class_weights]


def _standardise(rows: Tensor, counted: Tensor | None) -> tuple[Tensor, Tensor]:
    """Changes rows (M, F) to mean 0 and deviation 1 and returns what these were, (F,); infinite where nothing varies.

    Args:
        counted: what each row (M,) counts; None: all the same.
    """
    mean = rows.mean(0) if counted is None else counted @ rows / counted.sum()
    rows -= mean
    if counted is None:
        deviation = torch.linalg.vector_norm(rows, dim=0) / len(rows) ** 0.5
    else:
        pieces = zip(torch.split(counted, BATCH_ROWS), torch.split(rows, BATCH_ROWS), strict=True)
        deviation = (torch.stack([some @ piece.square() for some, piece in pieces]).sum(0) / counted.sum()).sqrt()
    deviation[deviation < LEAST_DEVIATION] = torch.inf
    rows /= deviation
    return mean, deviation


def _moments(features: Tensor, counted: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and deviation (F,) float32 of each feature, piece by piece; infinite where nothing varies."""
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    counted = torch.ones(len(features), dtype=torch.float64) if counted is None else counted
    for some, piece in zip(torch.split(counted, BATCH_ROWS), torch.split(features, BATCH_ROWS), strict=True):
        rows = piece.double()
        total += some @ rows
        squares += some @ rows.square()
    mean = total / counted.sum()
    deviation = (squares / counted.sum() - mean.square()).clamp_(min=0).sqrt_()
    deviation[deviation < LEAST_DEVIATION] = torch.inf
    return mean.float(), deviation.float()


def _fewer_coordinates(rows: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Rows in an orthonormal basis of their span (M, D), where there are fewer rows than features, and the way back.

    The best weights lie in that span, and lengths in it stay what they are, so the problem is the same and smaller. The
    way back takes weights (n, D) to (n, F). The basis itself is never written down: that would double the time.
    """
    count, size = rows.shape
    if count >= size:
        return rows, lambda weights: weights
    reflectors, scales = torch.geqrf(rows.T)

    def back(weights: Tensor) -> Tensor:
        return torch.ormqr(reflectors, scales, nn.functional.pad(weights, (0, size - count)).T).T

    return reflectors[:count].triu().T.contiguous(), back


def _one_hot(targets: Tensor, num_classes: int, smoothing: float, dtype: torch.dtype) -> Tensor:
    wanted = nn.functional.one_hot(targets, num_classes).to(dtype)
    return wanted * (1 - smoothing) + smoothing / num_classes


def _try_path(
    rows: np.ndarray, wanted: np.ndarray, fold_of: np.ndarray, should_stop: ShouldStop
) -> tuple[tuple[float, float], ...]:
    """Mean loss on held-out groups by strength, from the strongest until it has only become worse.

    Empty where every class is a single group, of which nothing can be held out.
    """
    dealt = int(fold_of.max()) + 1
    if dealt < 2:
        return ()
    tried = range(dealt if rows.size <= FEW else 1)
    starts: list[np.ndarray | None] = [None] * FOLDS
    path: list[tuple[float, float]] = []
    parts = [(rows[fold_of != fold], wanted[fold_of != fold]) for fold in tried]
    for l2 in L2_PATH:
        loss = 0.0
        for fold in tried:
            solution, _ = _solve(*parts[fold], l2, starts[fold], ROUGH, None, should_stop)
            starts[fold], held_out = solution, fold_of == fold
            loss += _loss(rows[held_out], wanted[held_out], solution) / len(tried)
        path.append((l2, loss))
        best = min(range(len(path)), key=lambda place: path[place][1])
        if len(path) - 1 - best >= PATIENCE:
            break
    return tuple(path)


def _folds(targets: Tensor, groups: Tensor) -> Tensor:
    """Fold (M,) of each row: the groups of every class dealt out in turn, so that folds have all classes."""
    fold_of_group: dict[int, int] = {}
    dealt: dict[int, int] = {}
    for target, group in zip(targets.tolist(), groups.tolist(), strict=True):
        if group not in fold_of_group:
            fold_of_group[group] = dealt.get(target, 0) % FOLDS
            dealt[target] = dealt.get(target, 0) + 1
    return torch.tensor([fold_of_group[group] for group in groups.tolist()])


def _solve(
    rows: np.ndarray,
    wanted: np.ndarray,
    l2: float,
    start: np.ndarray | None,
    tolerance: float,
    reports: "_Reports | None",
    should_stop: ShouldStop,
) -> tuple[np.ndarray, int]:
    """Minimise the mean cross-entropy plus the penalty: (weights and biases, flat float64; iterations).

    A row counts as much as what is wanted of it sums to. In NumPy: most problems are small, and torch would wake all
    its threads for each of thousands of tiny products.
    """
    if should_stop():
        raise Cancelled
    num_classes = wanted.shape[1]
    counted = wanted.sum(1, keepdims=True)  # (M, 1)
    count = float(counted.sum())

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = _parts(flat.astype(rows.dtype, copy=False), num_classes)
        log_probabilities = _log_softmax(rows @ weight.T + bias)
        loss = -np.vdot(log_probabilities, wanted) / count + l2 / 2 * np.vdot(weight, weight)
        error = (np.exp(log_probabilities) * counted - wanted) / count  # (M, K)
        gradient = np.concatenate([(error.T @ rows + l2 * weight).ravel(), error.sum(0)])
        return float(loss), gradient.astype(np.float64, copy=False)

    size = num_classes * (rows.shape[1] + 1)
    found = minimize(
        objective,
        np.zeros(size) if start is None else start,
        jac=True,
        method="L-BFGS-B",
        callback=reports.add if reports else None,
        options={"maxiter": MAX_ITERATIONS, "gtol": tolerance, "ftol": 1e-9},
    )
    return found.x, int(found.nit)


class _Reports:
    """Iterations of a solution, told several at a time."""

    def __init__(self, tell: Callable[[list[np.ndarray], list[float]], None], most: int) -> None:
        """`most`: so many are told together, or one."""
        self._tell, self._most = tell, most
        self._flats, self._moments = list[np.ndarray](), list[float]()

    def add(self, flat: np.ndarray) -> None:
        """Weights and biases after an iteration."""
        self._flats.append(flat.copy())
        self._moments.append(time.perf_counter())
        if len(self._flats) >= self._most or self._moments[-1] - self._moments[0] > REPORT_S:
            self.flush()

    def flush(self) -> None:
        """Tell what has not been told."""
        if self._flats:
            self._tell(self._flats, self._moments)
            self._flats, self._moments = [], []


def _loss(rows: np.ndarray, wanted: np.ndarray, flat: np.ndarray) -> float:
    weight, bias = _parts(flat.astype(rows.dtype), wanted.shape[1])
    return -float(np.vdot(_log_softmax(rows @ weight.T + bias), wanted)) / float(wanted.sum())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted: np.ndarray = logits - logits.max(1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(1, keepdims=True))
    return shifted


def _parts(flat: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight (..., K, D) and bias (..., K)."""
    weight, bias = np.split(flat, [-num_classes], axis=-1)
    return weight.reshape(*bias.shape, -1), bias
