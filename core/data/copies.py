"""Near copies: a picture resized, recompressed, brightened, or one of a burst; a split must not part them.

Candidates come from a perceptual hash and are verified by pixels, so that pictures that merely look alike stay apart.
Mirror images, rotations and crops are not found.

Legend: N pictures, S the side of the small square that everything is judged on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.data.pictures import Picture
from core.data.squares import SIDE, square_of
from core.machine.facts import usable_cores
from core.machine.streams import in_streams

HASH_SIDE: Final = 8
MOST_BITS_APART: Final = 10
"""Of 63. The threshold of imagededup, a well-kept library for this; what it lets through is verified."""
ALIKE: Final = 0.85
"""Correlation of two small pictures, brightness and contrast taken out, from which they count as copies; chosen by
benchmarks/near_copies.py."""
FLAT: Final = 3.0  # standard deviation of grey levels (of 255) below which there is nothing to compare
BURST_S: Final = 2.0
_BLOCK: Final = 256  # rows of the table of distances that are looked at together
_TILE: Final = 1024  # columns of it that are: 256 x 1024 distances fit the processor's cache

_WAVES: Final = np.cos(np.pi / SIDE * np.outer(np.arange(HASH_SIDE), np.arange(SIDE) + 0.5))
"""(HASH_SIDE, S): the lowest waves of the cosine transform (DCT-II, Ahmed 1974), all of one length but for a factor. A
library's transform is as exact, and takes longer to import than most commands take."""
_WAVES[0] /= 2**0.5

Indices = npt.NDArray[np.int64]
Squares = npt.NDArray[np.uint8]
"""(..., S, S, 3)."""


def small_square(pixels: np.ndarray) -> Squares:
    """What is kept of a picture (H, W, 3) uint8 to compare it with others: (S, S, 3) uint8."""
    return np.asarray(square_of(Image.fromarray(pixels)))


def small_squares(pictures: Iterable[np.ndarray]) -> Squares:
    """The same of several pictures: (N, S, S, 3)."""
    return np.stack([small_square(pixels) for pixels in pictures])


def read_squares(path: Path) -> Squares:
    """Squares (N, S, S, 3) from a file that has nothing else in it."""
    return np.fromfile(path, dtype=np.uint8).reshape(-1, SIDE, SIDE, 3)


def perceptual_hashes(squares: Squares) -> npt.NDArray[np.uint64]:
    """Signs of the lowest frequencies of the grey pictures (Zauner 2010), for squares (N, S, S, 3): (N,)."""
    hashes = in_streams(lambda block: _hashes_of(squares[block]), _blocks(len(squares)), usable_cores())
    return np.concatenate([np.empty(0, np.uint64), *hashes])


def _hashes_of(squares: Squares) -> npt.NDArray[np.uint64]:
    # three times as bright as the mean, which changes no sign, and exact
    grey = squares[..., 0].astype(np.float64) + squares[..., 1] + squares[..., 2]
    low = _WAVES @ grey @ _WAVES.T
    low = low.reshape(len(low), -1)[:, 1:]  # without the mean brightness
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def correlations(a: Squares, b: Squares) -> npt.NDArray[np.float64]:
    """How alike squares (N, S, S, 3) are to others, pair by pair (N,): 1 the same but for brightness and contrast.

    0 where one of the two is flat: there is nothing in it to recognise.
    """
    found = [np.empty(0)]
    for block in _blocks(len(a)):
        first, second = (squares[block].reshape(-1, SIDE * SIDE * 3).astype(np.float32) for squares in (a, b))
        first, second = (flat - flat.mean(axis=1, keepdims=True) for flat in (first, second))
        lengths = [np.linalg.norm(flat, axis=1) for flat in (first, second)]
        dull = np.minimum(*lengths) < FLAT * SIDE * 3**0.5
        found.append(
            np.where(dull, 0.0, np.einsum("ij,ij->i", first, second) / np.maximum(1e-6, np.multiply(*lengths)))
        )
    return np.concatenate(found)


def near_pairs(squares: Squares) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of pictures that are near copies. Memory grows with N, not with its square."""
    hashes, pairs = perceptual_hashes(squares), []
    candidates = in_streams(partial(_candidates, hashes), _blocks(len(hashes)), usable_cores())
    for first, second in candidates:
        alike = correlations(squares[first], squares[second]) >= ALIKE
        pairs += list(zip(first[alike].tolist(), second[alike].tolist(), strict=True))
    return pairs


def _candidates(hashes: npt.NDArray[np.uint64], block: slice) -> tuple[Indices, Indices]:
    """Places (i, j), i < j, i in the block, whose hashes differ in a few bits, in order."""
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(block.start, len(hashes), _TILE):
        close = np.bitwise_count(hashes[block, None] ^ hashes[None, start : start + _TILE]) <= MOST_BITS_APART
        if close.any():  # rare, and quicker to ask than where
            found = np.nonzero(close)
            rows.append(found[0] + block.start)
            columns.append(found[1] + start)
    first, second = np.concatenate(rows), np.concatenate(columns)
    later = second > first
    order = np.lexsort((second[later], first[later]))
    return first[later][order], second[later][order]


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(count, start + _BLOCK)) for start in range(0, count, _BLOCK))


def burst_pairs(taken: Sequence[str | None]) -> list[tuple[int, int]]:
    """Pairs of neighbours in time: photos taken within two seconds of each other, by EXIF ("2024:05:01 12:00:00")."""
    moments = sorted((moment, index) for index, text in enumerate(taken) if (moment := _moment(text)) is not None)
    return [
        (min(i, j), max(i, j))
        for (before, i), (after, j) in pairwise(moments)
        if (after - before).total_seconds() <= BURST_S
    ]


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def name_families(pictures: Sequence[Picture], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """The family of each picture; empty for one that is alone, exact copies aside.

    A family is called after what its oldest members were called, so that a picture added later never moves those that
    were here before to another part. Where it joins two old families, they become the older one's.
    """
    kin = [(picture.kin, picture.group) for picture in pictures]
    return _named(pictures, _joined(kin, pairs), lambda picture: picture.kin, _is_no_family)


def name_together(pictures: Sequence[Picture]) -> list[str]:
    """What each picture must not be parted from, copies and subjects taken together; empty where no subject counts.

    Two patients of whom one photo shows both, or whose photos are copies of each other, are one side of a split. It
    is called as `name_families` calls a family, for the same reason.
    """
    marks = [(picture.kin, f"subject {picture.subject}" if picture.subject else "") for picture in pictures]
    return _named(pictures, _joined(marks, ()), lambda picture: picture.side, _has_no_subject)


def _joined(marks: Sequence[tuple[str, ...]], pairs: Iterable[tuple[int, int]]) -> list[int]:
    """A number for each place: the same for places that share a mark, and for pairs of places."""
    parent = list(range(len(marks)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[str, int] = {}
    for index, own in enumerate(marks):
        for mark in filter(None, own):
            parent[root(index)] = root(first.setdefault(mark, index))
    for one, other in pairs:
        parent[root(one)] = root(other)
    return [root(index) for index in range(len(marks))]


def _named(
    pictures: Sequence[Picture],
    joined: Sequence[int],
    called: Callable[[Picture], str],
    is_nothing: Callable[[Sequence[Picture]], bool],
) -> list[str]:
    """What each picture's company is called: as its oldest member was; empty where it is nothing to speak of."""
    members: dict[int, list[Picture]] = {}
    for picture, number in zip(pictures, joined, strict=True):
        members.setdefault(number, []).append(picture)
    names = {
        number: "" if is_nothing(company) else min((picture.batch, called(picture)) for picture in company)[1]
        for number, company in members.items()
    }
    return [names[number] for number in joined]


def _is_no_family(company: Sequence[Picture]) -> bool:
    return len({picture.group for picture in company}) == 1 and not any(picture.family for picture in company)


def _has_no_subject(company: Sequence[Picture]) -> bool:
    return not any(picture.subject for picture in company)
