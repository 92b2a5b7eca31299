"""What runs say about test pictures, by picture: test parts differ in order, and in older runs with the seed, so a
place in one means nothing in another. The only way from one run's answers to another's is `common` and its keys.

N pictures, K classes, R runs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.comparison.metrics import Array


class PictureKey(NamedTuple):
    """Names a picture wherever it is tested, whatever its file is called and wherever it stands."""

    content: str
    """SHA-256 of the file."""
    truth: str
    """Its class: the same file may stand in two."""
    copy: int
    """How many files of the same content and class come before it in the test part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What one run says about one test picture."""

    guess: str
    """Name of the predicted class."""
    probability: float
    right: bool


class PictureAnswers(Mapping[PictureKey, Said]):
    """One run's answers about its test pictures, in the order of its test part."""

    def __init__(
        self, contents: Sequence[str], class_names: Sequence[str], targets: Array, probabilities: Array
    ) -> None:
        """`contents` and `targets` (N,), `probabilities` (N, K), in the same order."""
        self._class_names = class_names
        self._probabilities = probabilities
        self._guesses = probabilities.argmax(axis=1)
        self._right: Array = self._guesses == targets
        self._places: dict[PictureKey, int] = {}
        seen: Counter[tuple[str, str]] = Counter()
        for place, (content, target) in enumerate(zip(contents, targets.tolist(), strict=True)):
            truth = class_names[target]
            self._places[PictureKey(content, truth, seen[content, truth])] = place
            seen[content, truth] += 1

    def __getitem__(self, key: PictureKey) -> Said:
        place = self._places[key]
        guess = int(self._guesses[place])
        return Said(
            guess=self._class_names[guess],
            probability=float(self._probabilities[place, guess]),
            right=bool(self._right[place]),
        )

    def __iter__(self) -> Iterator[PictureKey]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def right(self, keys: Sequence[PictureKey]) -> Array:
        """On which of these pictures the run is right, (N,) bool.

        Raises:
            KeyError: it was not tested on one of them.
        """
        return self._right[self.places(keys)].astype(bool)

    def places(self, keys: Sequence[PictureKey]) -> list[int]:
        """Where these pictures stand in the run's test part.

        Raises:
            KeyError: it was not tested on one of them.
        """
        return [self._places[key] for key in keys]


def common(runs: Sequence[PictureAnswers]) -> tuple[PictureKey, ...]:
    """The pictures that all of these runs were tested on, in the order of the first one's test part."""
    first, *others = runs
    return tuple(key for key in first if all(key in other for other in others))


def right_table(runs: Sequence[PictureAnswers], keys: Sequence[PictureKey]) -> Array:
    """Who is right on what, (N, R) bool: a row for each of these pictures, a column for each run."""
    return np.stack([run.right(keys) for run in runs], axis=1)
