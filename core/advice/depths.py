"""Looks at the training pictures through an untrained backbone: seconds, since it goes forward once and trains heads
only. What it finds is `core.advice.evidence`.

Legend: M pictures, W numbers of all stages together, F of one, K classes.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.advice.evidence import Called, Depth, Ends, Evidence
from core.comparison.crossed import grouped_difference, grouped_share
from core.comparison.statistics import paired_difference, wilson
from core.data.dataset import Dataset
from core.data.draw import draw_folds, sides_by_class
from core.data.labels import check_settings
from core.data.pictures import Picture
from core.errors import DatasetError
from core.models.accel import Shelf, one_thread
from core.models.boundaries import stage_widths
from core.models.catalogue import get_backbone
from core.models.weights import load_weights
from core.settings.schema import RunSettings
from core.training.head import ONE_THREAD, held_out_probabilities
from core.training.history import Cancelled, OnProgress, Progress, ShouldStop
from core.training.scenarios import begin_session

FOLDS: Final = 5
NEIGHBOURS: Final = 5
MOST_NAMES: Final = 3
Right = npt.NDArray[np.bool_]
"""(M,): which pictures are named rightly."""


def look_settings(settings: RunSettings, dataset: Dataset) -> RunSettings:
    """What a look is computed with: the backbone as it comes and plain pictures, of this draw of the training part."""
    plain = check_settings(dataset, settings.model.backbone)
    data = replace(settings.data, dataset=dataset.id)
    return RunSettings(data=data, augment=plain.augment, model=plain.model, seed=settings.seed)


def look(
    settings: RunSettings,
    dataset: Dataset,
    *,
    on_progress: OnProgress = lambda progress: None,
    should_stop: ShouldStop = lambda: False,
    shelf: Shelf | None = None,
) -> Evidence:
    """Measure what can be known before anything is trained. Validation and test pictures are not looked at.

    Raises:
        DatasetError: a class has fewer than two different training pictures.
        WeightsError: the backbone's weights cannot be had.
        Cancelled: `should_stop` said so.
    """
    settings, threads = look_settings(settings, dataset), torch.get_num_threads()
    try:
        session, hashes = begin_session(
            settings, dataset, on_progress=on_progress, should_stop=should_stop, shelf=shelf
        )
        with torch.inference_mode():
            rows = session.boundaries("train").float().cpu()
        if shelf:
            shelf.put(settings.model, session.model.to("cpu"), hashes)
        on_progress(Progress(phase="head"))
        start = time.perf_counter()
        found = _Look(dataset, session.loaders.split.train, rows, settings, should_stop)
        depths, lead, lead_interval = found.depths()
        called, names_alone = found.names()
    finally:
        torch.set_num_threads(threads)
    return Evidence(
        dataset=dataset.id,
        backbone=settings.model.backbone,
        weights=session.model.weights_sha256,
        split=session.loaders.split.hash,
        pictures=len(rows),
        per_class=tuple(np.bincount(found.targets, minlength=len(dataset.class_names)).tolist()),
        depths=depths,
        lead=lead,
        lead_interval=lead_interval,
        called=called,
        names_alone=names_alone,
        seconds=time.perf_counter() - start,
    )


class _Look:
    """Training pictures, their numbers (M, W), and the folds that are held out."""

    def __init__(
        self, dataset: Dataset, indices: Sequence[int], rows: Tensor, settings: RunSettings, should_stop: ShouldStop
    ) -> None:
        self._dataset, self._rows, self._should_stop = dataset, rows, should_stop
        self._name = settings.model.backbone
        self._pictures = [dataset.pictures[index] for index in indices]
        self.targets = np.array([picture.target for picture in self._pictures])
        self._folds = _folds(self._pictures)
        self._groups = [picture.side for picture in self._pictures] if dataset.grouped_by else []

    def depths(self) -> tuple[tuple[Depth, ...], float, tuple[float, float] | None]:
        """Stage by stage, and how far the best probe is ahead of the last one."""
        stages, found, rights = get_backbone(self._name).stages, list[Depth](), list[Right]()
        for stage, rows in enumerate(torch.split(self._rows, list(stage_widths(self._name)), dim=1), start=1):
            if self._should_stop():
                raise Cancelled
            right = self._probe(rows)
            found.append(
                Depth(
                    stage=stage,
                    name=", ".join(stages[stage - 1]),
                    numbers=rows.shape[1],
                    nearest_mean=self._share(nearest_mean(rows, self.targets, self._folds)),
                    neighbours=self._share(neighbours(rows, self.targets, self._folds)),
                    probe=self._share(right),
                    interval=self._interval(right),
                )
            )
            rights.append(right)
        best = max(range(len(found)), key=lambda place: (found[place].probe, place))
        return (tuple(found), *self._lead(rights[best], rights[-1], best == len(found) - 1))

    def _probe(self, rows: Tensor) -> Right:
        """A linear probe, as a frozen run solves for one."""
        classes, targets = len(self._dataset.class_names), torch.from_numpy(self.targets)
        with one_thread(when=rows.numel() * classes <= ONE_THREAD):
            said = held_out_probabilities(rows, targets, torch.from_numpy(self._folds), classes, self._should_stop)
        right: Right = said.argmax(1).numpy() == self.targets
        return right

    def _share(self, right: Right) -> float:
        return float(right.mean())

    def _interval(self, right: Right) -> Ends:
        found = grouped_share(right, self._groups) if self._groups else wilson(int(right.sum()), len(right))
        return Ends(low=max(found.low, 0.0), high=min(found.high, 1.0))

    def _lead(self, best: Right, last: Right, is_last: bool) -> tuple[float, tuple[float, float] | None]:
        if is_last:
            return 0.0, None
        if self._groups:
            grouped = grouped_difference(best, last, self._groups)
            return float(best.mean() - last.mean()), (grouped.interval.low, grouped.interval.high) if grouped else None
        counts = [int((a & b).sum()) for a in (best, ~best) for b in (last, ~last)]  # both, best, last, neither
        gap, ends = paired_difference(*counts)
        return gap, (ends.low, ends.high)

    def names(self) -> tuple[tuple[Called, ...], float | None]:
        """What ImageNet's own classifier says, class by class, and how far its names alone would get one."""
        said = imagenet_probabilities(self._name, self._rows[:, -get_backbone(self._name).features :])
        if said is None:
            return (), None
        sure, named = (part.numpy() for part in said.max(1))
        words = imagenet_names()
        rows = []
        for target, name in enumerate(self._dataset.class_names):
            here = self.targets == target
            counts = np.bincount(named[here], minlength=len(words))
            top = [place for place in np.argsort(-counts, kind="stable")[:MOST_NAMES] if counts[place]]
            shares = tuple((words[place], float(counts[place] / max(here.sum(), 1))) for place in top)
            mean = float(sure[here].mean()) if here.any() else 0.0
            rows.append(Called(name=name, pictures=int(here.sum()), names=shares, sure=mean))
        return tuple(rows), self._share(self._by_name(named))

    def _by_name(self, named: npt.NDArray[np.int64]) -> Right:
        """Each picture's class by the name it is given: the class that most others with this name have."""
        said = np.empty_like(self.targets)
        for fold in range(int(self._folds.max()) + 1):
            out = self._folds == fold
            counts = np.zeros((int(named.max()) + 1, len(self._dataset.class_names)))
            np.add.at(counts, (named[~out], self.targets[~out]), 1)
            usual = counts.sum(0)
            # a name that no other picture has: the commonest class, which also decides between equals
            said[out] = (counts[named[out]] + 1e-6 * usual / max(usual.sum(), 1)).argmax(1)
        right: Right = said == self.targets
        return right


def nearest_mean(rows: Tensor, targets: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]) -> Right:
    """Which pictures (M, F) are nearest to the mean of their own class, each feature measured by its deviation."""
    found = np.empty(len(targets), np.int64)
    for out, fitted, held in _held_out(rows, folds):
        classes = np.unique(targets[~out])
        means = torch.stack([fitted[torch.from_numpy(targets[~out] == one)].mean(0) for one in classes])
        found[out] = classes[torch.cdist(held, means).argmin(1).numpy()]
    right: Right = found == targets
    return right


def neighbours(rows: Tensor, targets: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]) -> Right:
    """Which pictures' most similar others, by cosine, have their class; the more similar count more."""
    found = np.empty(len(targets), np.int64)
    for out, fitted, held in _held_out(rows, folds):
        known = torch.from_numpy(targets[~out])
        alike = torch.nn.functional.normalize(held) @ torch.nn.functional.normalize(fitted).T
        near = alike.topk(min(NEIGHBOURS, len(known)), dim=1)
        votes = torch.zeros(len(held), int(targets.max()) + 1)
        votes.scatter_add_(1, known[near.indices], near.values.clamp(min=0) + 1e-6)
        found[out] = votes.argmax(1).numpy()
    right: Right = found == targets
    return right


def _held_out(rows: Tensor, folds: npt.NDArray[np.int64]) -> list[tuple[Right, Tensor, Tensor]]:
    """Fold by fold: which pictures it holds out, all others, and those, standardised by the others."""
    found = []
    for fold in range(int(folds.max()) + 1):
        out: Right = folds == fold
        fitted = rows[torch.from_numpy(~out)]
        mean, deviation = fitted.mean(0), fitted.std(0).clamp(min=1e-6)
        found.append((out, (fitted - mean) / deviation, (rows[torch.from_numpy(out)] - mean) / deviation))
    return found


def imagenet_probabilities(name: str, features: Tensor) -> Tensor | None:
    """What a backbone's own ImageNet classifier says about features (M, F): (M, 1000), or None where it has none."""
    state, classifier = load_weights(name).state, get_backbone(name).architecture.classifier
    weight, bias = state.get(f"{classifier}.weight"), state.get(f"{classifier}.bias")
    if weight is None or bias is None or len(weight) != len(imagenet_names()):
        return None
    return torch.addmm(bias.float(), features.float(), weight.float().T).softmax(1)


def imagenet_names() -> Sequence[str]:
    """ImageNet's 1,000 classes in their order, as torchvision has them beside its weights."""
    from torchvision.models import ResNet18_Weights

    names: Sequence[str] = ResNet18_Weights.DEFAULT.meta["categories"]
    return names


def _folds(pictures: Sequence[Picture]) -> npt.NDArray[np.int64]:
    """The fold (M,) that each picture is held out in; copies and groups go together."""
    fewest = min(len(sides) for sides in sides_by_class(pictures).values())
    if fewest < 2:
        raise DatasetError("To be advised, each class needs two different training pictures, or groups; bring more.")
    fold_of = draw_folds(pictures, min(FOLDS, fewest))
    return np.array([fold_of[picture.side] for picture in pictures])
