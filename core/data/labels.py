"""What is known about a data set's labels: which pictures may be mislabelled, and which a person says are right.

A data set never changes, and what is known about it does: so it lies in files of its own beside the manifest. Pictures
are named there by content and class, and an edit takes the files along: what was not changed is not asked about again.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from msgspec import to_builtins

from core.data.dataset import Dataset
from core.errors import DatasetError
from core.home import ordinary, sealed, unsealed, write_atomically
from core.objects.cache import here, share
from core.records import Count, Share, read_json
from core.settings.schema import AugmentSettings, DataSettings, ModelSettings, RunSettings

CHECK: Final = "labels.json"
RIGHT: Final = "labels-right.json"
_VERSION: Final = 1
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """A picture that a network, which did not learn it, takes for another class with confidence."""

    picture: Count
    """Index into the data set's pictures."""
    content: str
    """SHA-256 of its file's bytes."""
    given: str
    """Its class."""
    suggested: str
    """The class that the network would give it."""
    given_probability: Share
    suggested_probability: Share

    @property
    def margin(self) -> float:
        """How much more probable the suggested class is: a fraction, more than 0."""
        return self.suggested_probability - self.given_probability


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCheck:
    """What a look for wrong labels has found."""

    version: int = _VERSION
    dataset: str
    """Id of the data set that was looked through; of an edited one, that of the one before."""
    backbone: str
    weights: str | None
    """SHA-256 of the backbone's weights; None for a random start."""
    accuracy: Share
    """Of the networks on the pictures that each of them did not learn from, by the labels as they are."""
    pictures: Count
    """How many were judged."""
    suspects: tuple[Suspect, ...]
    """The surest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Right:
    version: int = _VERSION
    labels: tuple[tuple[str, str], ...] = ()
    """(content, class) of pictures whose label a person has kept."""


def check_settings(dataset: Dataset, backbone: str) -> RunSettings:
    """What labels are looked through with where no frozen run has been: a backbone as it comes, and plain pictures."""
    return RunSettings(
        data=DataSettings(dataset=dataset.id),
        augment=AugmentSettings(preset="centre-crop"),
        model=ModelSettings(backbone=backbone),
    )


def load_check(dataset: Dataset) -> LabelCheck | None:
    """The last look for wrong labels, its pictures by their places here; None if there was none.

    Pictures that were dropped since, or have another class now, are suspected no more.
    """
    check = _read(dataset.folder / CHECK, LabelCheck)
    if check is None or check.version != _VERSION:
        return None
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, picture in enumerate(dataset.pictures):
        places[picture.content, dataset.class_names[picture.target]].append(index)
    here = []
    for suspect in check.suspects:
        left = places[suspect.content, suspect.given]
        if left and suspect.suggested in dataset.class_names:
            place = suspect.picture if suspect.picture in left else left[0]
            left.remove(place)
            here.append(replace(suspect, picture=place))
    return replace(check, suspects=tuple(here))


def save_check(dataset: Dataset, check: LabelCheck) -> None:
    """Keep what a look for wrong labels has found.

    Raises:
        DatasetError: the data set is not here any more.
        StorageError: it cannot be written.
    """
    _write(dataset.folder / CHECK, check)
    share(dataset.folder, CHECK)


def open_suspects(dataset: Dataset) -> tuple[Suspect, ...]:
    """Pictures that may be mislabelled and that nobody has decided about, the surest first."""
    check = load_check(dataset)
    if check is None:
        return ()
    right = set(_right(dataset.folder).labels)
    return tuple(suspect for suspect in check.suspects if (suspect.content, suspect.given) not in right)


def kept_suspects(dataset: Dataset) -> tuple[Suspect, ...]:
    """Pictures that may be mislabelled and whose label a person has kept."""
    asked, check = open_suspects(dataset), load_check(dataset)
    return tuple(suspect for suspect in check.suspects if suspect not in asked) if check else ()


def keep_labels(dataset: Dataset, indices: Iterable[int]) -> None:
    """Remember that a person finds the labels of these pictures right."""
    said = {(dataset.pictures[index].content, _class_of(dataset, index)) for index in indices}
    _write(dataset.folder / RIGHT, _Right(labels=tuple(sorted(said | set(_right(dataset.folder).labels)))))
    share(dataset.folder, RIGHT)


def ask_again(dataset: Dataset) -> None:
    """Forget which labels were found right."""
    (dataset.folder / RIGHT).unlink(missing_ok=True)
    share(dataset.folder, RIGHT)


def take_along(before: Path, after: Path, renamed: Mapping[str, str]) -> None:
    """Write what is known about labels in a data set's folder into that of an edited one.

    Args:
        renamed: classes by their old names. Two that have become one are not mistaken for each other any more.
    """

    def now(name: str) -> str:
        return renamed.get(name, name)

    check, right = _read(before / CHECK, LabelCheck), _read(before / RIGHT, _Right)
    if check:
        named = (replace(one, given=now(one.given), suggested=now(one.suggested)) for one in check.suspects)
        _write(after / CHECK, replace(check, suspects=tuple(one for one in named if one.given != one.suggested)))
    if right:
        _write(after / RIGHT, replace(right, labels=tuple((content, now(name)) for content, name in right.labels)))


def _class_of(dataset: Dataset, index: int) -> str:
    return dataset.class_names[dataset.pictures[index].target]


def _right(folder: Path) -> _Right:
    return _read(folder / RIGHT, _Right) or _Right()


def _read(path: Path, kind: type[T]) -> T | None:
    """What lies there; None where nothing does, or it is damaged: then labels are looked through anew."""
    try:
        return read_json(unsealed(ordinary(here(path.parent, path.name)).read_bytes())[0], kind)
    except (OSError, ValueError, RecursionError):
        return None


def _write(path: Path, record: LabelCheck | _Right) -> None:
    if not path.parent.is_dir():
        raise DatasetError("This data set was deleted in another window; reload the page.")
    write_atomically(path, sealed(json.dumps(to_builtins(record)).encode()))
