"""What was measured on the training pictures of a data set before anything is trained: how near it is to ImageNet, and
how well its classes are told apart at every depth of a backbone. No torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec import to_builtins

from core.data.dataset import Dataset
from core.data.kept import read_kept, write_kept
from core.records import Amount, Count, Number, Share
from core.settings.schema import RunSettings

FILE: Final = "advice.json"
_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """A 95 % interval of a share."""

    low: Share
    high: Share


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """How often pictures are named rightly by what a backbone says after so many stages. Accuracies are fractions of
    training pictures, each judged by what was learnt from others."""

    stage: Count
    """Counted from 1, next to the input."""
    name: str
    """The stage's, within the backbone."""
    numbers: Count
    """Per picture."""
    nearest_mean: Share
    neighbours: Share
    probe: Share
    """Of a linear probe."""
    interval: Ends
    """The probe's, over new pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Called:
    """What a network that has only seen ImageNet calls the pictures of a class."""

    name: str
    """The class."""
    pictures: Count
    names: tuple[tuple[str, Share], ...]
    """ImageNet's names for them, the commonest first, and the share of pictures that each is given to."""
    sure: Share
    """Mean probability of the name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """All of it, for one backbone and one draw of the training part."""

    version: int = _VERSION
    dataset: str
    backbone: str
    weights: str | None
    """SHA-256 of the backbone's weights."""
    split: str
    """Names the division whose training part was looked at. Neither validation nor test pictures were."""
    pictures: Count
    per_class: tuple[Count, ...]
    """In the order of the class names."""
    depths: tuple[Depth, ...]
    """From input to output."""
    lead: Number
    """Of the best depth's probe before the last one's; 0 where the last is the best."""
    lead_interval: tuple[Number, Number] | None
    """95 %; None where the last is the best."""
    called: tuple[Called, ...]
    """Class by class; empty where the backbone's weights name nothing."""
    names_alone: Share | None
    """How often the class is right that most pictures with the same ImageNet name have; None as above."""
    seconds: Amount
    """That this took after the features."""

    @property
    def best(self) -> Depth:
        """Where a linear probe is right most often; of several, the last."""
        return max(self.depths, key=lambda depth: (depth.probe, depth.stage))

    @property
    def last(self) -> Depth:
        """What a head on the whole backbone gets."""
        return self.depths[-1]

    @property
    def fewest(self) -> int:
        """Training pictures of the smallest class."""
        return min(self.per_class)

    @property
    def sure(self) -> float | None:
        """How sure the untrained network is of the names it gives: mean probability over pictures."""
        count = sum(row.pictures for row in self.called)
        return sum(row.sure * row.pictures for row in self.called) / count if count else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """The looks at a data set that are kept, the newest last."""

    version: int = _VERSION
    looks: tuple[Evidence, ...] = ()


MOST_KEPT: Final = 12


def load_evidence(dataset: Dataset, settings: RunSettings) -> Evidence | None:
    """What was measured for this backbone and this draw; None if it was not."""
    split = dataset.split(settings.seed, settings.data).hash
    wanted = (dataset.id, settings.model.backbone, split)
    return next((one for one in _kept(dataset).looks if (one.dataset, one.backbone, one.split) == wanted), None)


def save_evidence(dataset: Dataset, evidence: Evidence) -> None:
    """Keep it with the data set, in the place of an earlier one of the same kind.

    Raises:
        DatasetError: the data set is not here any more.
        StorageError: it cannot be written.
    """
    same: Callable[[Evidence], bool] = lambda one: (one.backbone, one.split) == (evidence.backbone, evidence.split)  # noqa: E731
    looks = [*(one for one in _kept(dataset).looks if not same(one)), evidence]
    write_kept(dataset, FILE, to_builtins(_Kept(looks=tuple(looks[-MOST_KEPT:]))))


def _kept(dataset: Dataset) -> _Kept:
    found = read_kept(dataset, FILE, _Kept)
    return found if found and found.version == _VERSION else _Kept()
