"""Drawing a part: about a share of each class, by hash, and never so much that a class is missing in another part.

What is drawn are sides: all copies and near copies of a picture together. Whether a pool can be divided depends on how
many sides its classes have, never on the seed.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from core.data.pictures import Picture

ALL_PARTS = 3
"""Sides that a class needs to stand in train, val and test."""


def sides_by_class(pool: Iterable[Picture]) -> dict[int, Counter[str]]:
    """Class -> side -> how many of its pictures it holds."""
    found: dict[int, Counter[str]] = {}
    for picture in pool:
        found.setdefault(picture.target, Counter())[picture.side] += 1
    return found


def draw_sides(pool: Sequence[Picture], purpose: str, seed: int, fraction: float, keep: int) -> set[str]:
    """The sides to take out of a pool.

    The sides of a class are ordered by a hash of (purpose, seed, side) and taken until `fraction` of its pictures are
    drawn, at least one side where there are two. One is passed over where some class in it would be left with too few.
    What was added later is drawn on its own, after what was there before: so it never moves an old picture.

    Args:
        keep: how many sides of a class the other parts need. Something is taken from every pool in which one class
            has more, and that class keeps as many.
    """
    drawing = _Drawing(keep, lambda side: hash_of(f"{purpose}:{seed}:{side}"))
    batches: dict[int, list[Picture]] = {}
    for picture in pool:
        batches.setdefault(picture.batch, []).append(picture)
    for batch in sorted(batches):
        drawing.add(batches[batch], fraction)
    return drawing.taken


def draw_folds(pictures: Sequence[Picture], folds: int) -> dict[str, int]:
    """Side -> fold, from 0: a stratified division into folds of about one size, by content alone.

    Sides go, the largest first, where pictures of their classes are fewest so far, each class measured by its own size
    (as scikit-learn's StratifiedGroupKFold does it). What was added later is divided after what was there before.
    """
    sizes: dict[str, Counter[int]] = {}  # of each side, by class
    since: dict[str, int] = {}
    for picture in sorted(pictures, key=lambda picture: picture.batch):
        if picture.batch == since.setdefault(picture.side, picture.batch):
            sizes.setdefault(picture.side, Counter())[picture.target] += 1
    in_all = Counter(picture.target for picture in pictures)
    held = [Counter[int]() for _ in range(folds)]
    fold_of: dict[str, int] = {}
    for side in sorted(sizes, key=lambda side: (since[side], -sizes[side].total(), _fold_rank(side))):
        mine = sizes[side]
        loads = [sum(n * (2 * fold[c] + n) / in_all[c] ** 2 for c, n in mine.items()) for fold in held]
        fold_of[side] = min(range(folds), key=lambda place: (loads[place], held[place].total(), place))
        held[fold_of[side]].update(mine)
    return fold_of


def _fold_rank(side: str) -> bytes:
    return hash_of(f"fold:{side}")


class _Drawing:
    """What has been taken so far, and how many sides of each class have not."""

    def __init__(self, keep: int, rank: Callable[[str], bytes]) -> None:
        self.taken: set[str] = set()
        self._keep, self._rank = keep, rank
        self._classes: dict[str, set[int]] = {}  # of each side so far
        self._got: Counter[int] = Counter()  # sides by class, those taken
        self._left: Counter[int] = Counter()  # and those not
        self._needed: dict[int, int] = {}

    def add(self, pictures: Sequence[Picture], fraction: float) -> None:
        """Draw among pictures that came together. Copies of earlier ones stand where these stand."""
        earlier = set(self._classes)
        new = sides_by_class(picture for picture in pictures if picture.side not in earlier)
        for picture in pictures:
            self._count(picture.side, picture.target)
        # one side is needed to be drawn, where none is yet; a single one stays in train
        self._needed = {c: max(1, min(self._keep, self._left[c] - (not self._got[c]))) for c in new}
        for target in sorted(new, key=lambda c: (sum(len(self._classes[side]) == 1 for side in new[c]), c)):
            self._draw(target, new[target], fraction)
        self._draw_anything()

    def _count(self, side: str, target: int) -> None:
        classes = self._classes.setdefault(side, set())
        if target not in classes:
            classes.add(target)
            (self._got if side in self.taken else self._left)[target] += 1

    def _draw(self, target: int, sides: Counter[str], fraction: float) -> None:
        """Take of one class what is its share; a copy in another class goes along."""
        first = not self._got[target] and self._left[target] > 1
        quota = max(1, round(fraction * sides.total())) if first or len(sides) > 1 else 0
        drawn = 0  # pictures; to count them anew for each side took 20 s for 100,000 of them
        for side in sorted(sides, key=self._rank):
            if drawn >= quota:
                break
            if side in self.taken or all(self._left[c] > self._needed[c] for c in self._classes[side]):
                self._take(side)
                drawn += sides[side]

    def _draw_anything(self) -> None:
        """Where every side holds some class's last, the class that has most gives one all the same."""
        most = max(self._left, key=lambda c: (self._left[c], -c))
        if not self.taken and self._left[most] > self._keep:
            self._take(min((side for side, held in self._classes.items() if most in held), key=self._rank))

    def _take(self, side: str) -> None:
        if side not in self.taken:
            self.taken.add(side)
            self._got.update(self._classes[side])
            self._left.subtract(self._classes[side])


def hash_of(text: str) -> bytes:
    """What draws are ordered by: the same on every machine, and like chance."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
