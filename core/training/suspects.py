"""Pictures that may be mislabelled: those that a network, which did not learn them, takes for another class with
confidence.

A frozen backbone's features are enough: a head is solved for on four fifths of the pictures and asked about the last,
five times over. Confident learning (Northcutt, Jiang and Chuang 2021, Journal of Artificial Intelligence Research 70,
1373-1411) decides what is confident: each class has a threshold of its own, so that a class which the network finds
hard does not fill the list.

Legend: M pictures, F features, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.data.dataset import SPLITS, Dataset
from core.data.draw import draw_folds, sides_by_class
from core.data.labels import LabelCheck, Suspect
from core.errors import DatasetError
from core.models.accel import Shelf, one_thread
from core.settings.schema import RunSettings
from core.training.head import ONE_THREAD, held_out_probabilities
from core.training.history import OnProgress, Progress, ShouldStop
from core.training.scenarios import begin_session
from core.training.session import Session

FOLDS: Final = 5
FEWEST: Final = 5
"""Pictures of a class, copies counted once, below which nothing is said about its labels."""
MOST: Final = 20_000
"""Pictures that are looked at; of more, a regular sample: 20,000 with 2,048 features are 160 MB."""


def check_labels(
    settings: RunSettings,
    dataset: Dataset,
    *,
    on_progress: OnProgress = lambda progress: None,
    should_stop: ShouldStop = lambda: False,
    shelf: Shelf | None = None,
) -> LabelCheck:
    """Look through the labels of a data set; what a frozen run has left in the feature cache is not computed again.

    Args:
        settings: of the backbone, its weights, the seed and the parts count; training does not take place.
        on_progress: told of the pictures that go through the backbone.

    Raises:
        DatasetError: the classes have too few pictures, or cannot be divided.
        WeightsError: the backbone's weights cannot be had.
        Cancelled: `should_stop` said so.
    """
    threads = torch.get_num_threads()
    try:
        indices, features, weights = plain_features(settings, dataset, on_progress, should_stop, shelf)
        judged = held_out(dataset, indices, features, should_stop)
    finally:
        torch.set_num_threads(threads)
    return LabelCheck(
        dataset=dataset.id,
        backbone=settings.model.backbone,
        weights=weights,
        accuracy=float((judged.probabilities.argmax(1) == judged.targets).mean()),
        pictures=len(judged.indices),
        suspects=tuple(
            _suspect(dataset, judged, row, suggested)
            for row, suggested in find_suspects(judged.targets, judged.probabilities)
        ),
    )


def find_suspects(targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pictures whose label is doubted, the surest first, and the class that each seems to be.

    A class's threshold is its mean self-confidence: the mean, over the pictures that are labelled as it, of the
    probability of just that. A picture is doubted where another class reaches its threshold, and is more probable than
    the class it is given; of several such classes, the most probable is suggested (Northcutt et al. 2021, equation 1).

    Args:
        targets: (M,) int64.
        probabilities: (M, K), of heads that did not learn from the pictures they are about.

    Returns:
        (position, class) by how much more probable the suggested class is than the given one.
    """
    rows = np.arange(len(targets))
    sums, counts = np.zeros(probabilities.shape[1]), np.bincount(targets, minlength=probabilities.shape[1])
    np.add.at(sums, targets, probabilities[rows, targets])
    thresholds = np.divide(sums, counts, out=np.full(len(counts), np.inf), where=counts > 0)
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    reached[rows, targets] = -1.0
    suggested = reached.argmax(1)
    margins = reached[rows, suggested] - probabilities[rows, targets]
    doubted = np.flatnonzero((reached[rows, suggested] >= 0) & (margins > 0))
    order = doubted[np.argsort(-margins[doubted], kind="stable")]
    return [(int(row), int(suggested[row])) for row in order]


def plain_features(
    settings: RunSettings,
    dataset: Dataset,
    on_progress: OnProgress = lambda progress: None,
    should_stop: ShouldStop = lambda: False,
    shelf: Shelf | None = None,
) -> tuple[list[int], Tensor, str | None]:
    """Indices of the pictures in all parts, their features (M, F) without augmentation, and the weights' SHA-256."""
    told = _Told(on_progress)
    session, hashes = begin_session(settings, dataset, on_progress=told, should_stop=should_stop, shelf=shelf)
    split = session.loaders.split
    told.total = sum(len(split.part(part)) for part in SPLITS)
    try:
        with torch.inference_mode():
            features = torch.cat([_of_part(session, part, told) for part in SPLITS])
    finally:
        if shelf:
            shelf.put(settings.model, session.model.to("cpu"), hashes)
    return [index for part in SPLITS for index in split.part(part)], features, session.model.weights_sha256


def _of_part(session: Session, part: str, told: "_Told") -> Tensor:
    found = session.features(part).float().cpu()
    told.before += len(found)
    return found


class _Told:
    """Progress over all parts, of which a session counts each by itself."""

    def __init__(self, tell: OnProgress) -> None:
        self._tell, self.before, self.total = tell, 0, 0

    def __call__(self, progress: Progress) -> None:
        if progress.phase == "features":
            progress = replace(progress, done=self.before + progress.done, total=self.total)
        self._tell(progress)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeldOut:
    """What heads say about pictures that they did not learn from."""

    indices: tuple[int, ...]
    """(M,) of the pictures, in their data set."""
    class_names: tuple[str, ...]
    """(K,): of the classes that have enough pictures."""
    targets: npt.NDArray[np.int64]
    """(M,): the classes that the pictures are given."""
    probabilities: npt.NDArray[np.float32]
    """(M, K)."""


def held_out(
    dataset: Dataset, indices: Sequence[int], features: Tensor, should_stop: ShouldStop = lambda: False
) -> HeldOut:
    """What heads on these features (M, F), of the pictures at `indices`, say: copies and groups are held out together.

    Raises:
        DatasetError: the classes have too few pictures.
        Cancelled: `should_stop` said so.
    """
    rows = _judged(dataset, indices)
    pictures = [dataset.pictures[indices[row]] for row in rows]
    classes = sorted({picture.target for picture in pictures})
    targets = torch.tensor([classes.index(picture.target) for picture in pictures])
    fold_of_side = draw_folds(pictures, FOLDS)
    fold_of = torch.tensor([fold_of_side[picture.side] for picture in pictures])
    with one_thread(when=len(rows) * features.shape[1] * len(classes) <= ONE_THREAD):
        said = held_out_probabilities(features[torch.tensor(rows)], targets, fold_of, len(classes), should_stop)
    return HeldOut(
        indices=tuple(indices[row] for row in rows),
        class_names=tuple(dataset.class_names[target] for target in classes),
        targets=targets.numpy(),
        probabilities=said.numpy(),
    )


def _judged(dataset: Dataset, indices: Sequence[int]) -> list[int]:
    """Positions in `indices` of pictures of classes that have enough of them, and not too many in all."""
    sides = sides_by_class(dataset.pictures[index] for index in indices)
    enough = {target for target, held in sides.items() if len(held) >= FEWEST}
    if len(enough) < 2:
        raise DatasetError(
            f"To check labels, two classes need {FEWEST} different pictures each, or groups; bring more."
        )
    rows = [row for row, index in enumerate(indices) if dataset.pictures[index].target in enough]
    return rows[:: -(-len(rows) // MOST)]


def _suspect(dataset: Dataset, judged: HeldOut, row: int, suggested: int) -> Suspect:
    index, given = judged.indices[row], int(judged.targets[row])
    return Suspect(
        picture=index,
        content=dataset.pictures[index].content,
        given=judged.class_names[given],
        suggested=judged.class_names[suggested],
        given_probability=float(judged.probabilities[row, given]),
        suggested_probability=float(judged.probabilities[row, suggested]),
    )
