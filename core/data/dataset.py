"""A data set as everything else sees it: pictures, classes, given splits, a fingerprint; and how it is divided.

Lives in `THAW_HOME/datasets/<id>/`: `manifest.json` beside the decoded pixels. The id is the fingerprint's beginning.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from msgspec import to_builtins

from core.data.draw import ALL_PARTS, draw_folds, draw_sides
from core.data.parts import check_enough, check_folds, check_some_left
from core.data.pixels import FILE_NAME, PixelStore, damaged, length_of
from core.errors import DatasetError, shown
from core.home import home_folder, ordinary, sealed, unsealed
from core.records import Amount, Count, Size, read_json
from core.settings.schema import DataSettings

SPLITS = ("train", "val", "test")
TEST_SEED: Final = 0
"""Orders what a test part is drawn from; a constant, so that the part depends on content alone."""
MANIFEST = "manifest.json"
MANIFEST_VERSION = 3  # raised when older Thaws must not read it
_READABLE = (1, 2, 3)  # earlier ones did not know what has a default below
_ID: Final = re.compile("[0-9A-Za-z]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One picture that can be used."""

    name: str
    """As it came, for showing; never a path on this machine."""
    target: Count
    """Index into the data set's class names."""
    given: str | None
    """The split it was brought in, if any."""
    content: str
    """SHA-256 of the file's bytes."""
    group: str
    """SHA-256 of the decoded pixels: exact copies share it and stay on one side of a split."""
    place: tuple[Count, Size, Size]
    """Offset, height and width in the pixel file."""
    family: str = ""
    """Shared by near copies and photos of one burst, which stay on one side of a split; empty: only by exact copies."""
    size: tuple[Count, Count] = (0, 0)
    """Width and height as it came, upright; 0 where not known."""
    file_bytes: Count = 0
    """Size of the file; 0 where not known."""
    taken: str | None = None
    """When a camera says it took the photo (EXIF, as it is written there)."""
    batch: Count = 0
    """0 for the pictures a data set began with, one more for each time some were added."""
    notes: tuple[str, ...] = ()
    """What was done to make it usable: "turned upright", "transparency on white"."""
    subject: str = ""
    """Its group as a person gave it: the patient, place or thing it shows. Empty where none was given."""
    together: str = ""
    """Shared by all that stand with it because of their subject, or of copies in it; empty where no subject counts."""

    @property
    def kin(self) -> str:
        """Shared by copies, near copies and photos of one burst."""
        return self.family or self.group

    @property
    def side(self) -> str:
        """What decides on which side of a split it stands: pictures that share this are never parted."""
        return self.together or self.kin


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A file that was left out, and why."""

    file: str
    reason: str
    code: str = ""
    """Names the kind of reason, for support."""
    content: str = ""
    """SHA-256 of the file's bytes; empty where they were never read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFolder:
    """A folder that was brought as a class, and what became of its files."""

    path: str
    name: str
    """Of the class."""
    files: Count
    used: Count
    reason: str = ""
    """Why none of them is used; empty where some are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Version:
    """All that is read of a manifest before it is known whether it can be read."""

    version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Indices into the pictures for one seed; `hash` names exactly this division."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    hash: str
    notices: tuple[str, ...] = ()

    def part(self, name: str) -> tuple[int, ...]:
        """The indices of `train`, `val` or `test`."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A read-only data set. Pixels are mapped when first asked for."""

    id: str
    title: str
    kind: str
    fingerprint: str
    class_names: tuple[str, ...]
    pictures: tuple[Picture, ...]
    skipped: tuple[Skipped, ...]
    """Meant as pictures but not usable."""
    ignored: tuple[Skipped, ...]
    """Stray files, never meant as pictures of a class."""
    decode_s: Amount
    """Seconds that decoding took when the data set was added."""
    added: str
    """When, as ISO 8601 in UTC."""
    notices: tuple[str, ...] = ()
    """What is odd about what was brought, and was put up with."""
    read_as: str = ""
    """What its folders were understood to be; empty in sets of earlier versions."""
    class_folders: tuple[ClassFolder, ...] = ()
    """Every class folder that was brought, those of which nothing is used included."""
    grouped_by: str = ""
    """Where its pictures' subjects come from, for a person; empty where they have none."""
    stamp: tuple[int, ...] = field(default=(), compare=False, repr=False)
    """Of the files it was read from, see `stamp_of`; empty before it is stored."""

    @property
    def folder(self) -> Path:
        return dataset_folder(self.id)

    @cached_property
    def pixels(self) -> PixelStore:
        places, hashes = [picture.place for picture in self.pictures], [picture.group for picture in self.pictures]
        return PixelStore(self.folder, places, hashes)

    def split(self, seed: int, settings: DataSettings | None = None) -> Split:
        """Divide into train, val and test: test by content alone, the others by content and seed."""
        return split_dataset(self, seed, settings or DataSettings())

    def counts(self, split: Split) -> dict[str, dict[str, int]]:
        """Split -> class name -> number of pictures."""
        table = {part: dict.fromkeys(self.class_names, 0) for part in SPLITS}
        for part in SPLITS:
            for index in split.part(part):
                table[part][self.class_names[self.pictures[index].target]] += 1
        return table


def split_dataset(dataset: Dataset, seed: int, settings: DataSettings) -> Split:
    """Epochs are chosen on val and results reported on test, so all three must exist.

    Given parts are respected. With `train` and `val` only, the given val becomes test, since it must not be used for
    choosing, and a val part is drawn from train. With class folders only, val and test are drawn. Drawing orders the
    pictures of a class by a hash of (seed, pixels or family), and those that were added later are drawn on their own:
    so adding pictures never moves an old one to another part. Whether it can be done does not depend on the seed.

    There is one test part for all seeds: it is always drawn with `TEST_SEED`. Rule 1 of the settings, by which runs of
    earlier versions were made, drew one for each seed; both divide alike for `TEST_SEED`.

    Raises:
        DatasetError: a part would be empty; it says why.
    """
    if settings.folds is not None:
        return _split_by_folds(dataset, seed, settings.folds, settings.fold or 1, settings.val_fraction)
    pictures = dataset.pictures
    given = {picture.given for picture in pictures}
    test_name = "test" if "test" in given else "val" if "val" in given else None
    test = [i for i, picture in enumerate(pictures) if test_name and picture.given == test_name]
    rest = [i for i, picture in enumerate(pictures) if not (test_name and picture.given == test_name)]
    notices = []
    kept = _apart_from(pictures, rest, test)
    copies, grouped = left_out_of(dataset, rest, test)
    if copies:
        notices.append(f"{len(copies)} training pictures are copies of test pictures and were left out.")
    if grouped:
        notices.append(f"{len(grouped)} training pictures are of groups that stand in test, too, and were left out.")
    if test_name == "test" and "val" in given:
        train, val = _given_parts(dataset, rest, kept)
    else:
        check_some_left("train", len(rest), len(kept), ["test"], bool(dataset.grouped_by))
        needed, left_out = 2 if test_name else ALL_PARTS, len(rest) - len(kept)
        check_enough(dataset.class_names, [pictures[i] for i in kept], needed, left_out, bool(dataset.grouped_by))
        if test_name is None:
            test_seed = seed if settings.split_rule == 1 else TEST_SEED
            test, kept = _draw(pictures, kept, test_seed, settings.test_fraction, "test")
        val, train = _draw(pictures, kept, seed, settings.val_fraction, "val")
    return _split_of(dataset, train, val, test, notices)


def _split_by_folds(dataset: Dataset, seed: int, folds: int, fold: int, val_fraction: float) -> Split:
    """One fold of all pictures is test, whatever parts they came in; val is drawn from the others."""
    pictures, everything = dataset.pictures, list(range(len(dataset.pictures)))
    fold_of = draw_folds(pictures, folds)
    rests = [[i for i in everything if fold_of[pictures[i].side] != number] for number in range(folds)]
    check_folds(dataset.class_names, pictures, folds, [[pictures[i] for i in rest] for rest in rests])
    rest = rests[fold - 1]
    test = sorted(set(everything) - set(rest))
    val, train = _draw(pictures, rest, seed, val_fraction, "val")
    given = {picture.given for picture in pictures} - {None}
    notices = [f"Fold {fold} of {folds}: over all folds, every picture is tested once."]
    notices += ["The parts that the pictures came in are not used: folds are of all of them."] if given else []
    return _split_of(dataset, train, val, test, notices)


def _split_of(dataset: Dataset, train: list[int], val: list[int], test: list[int], notices: list[str]) -> Split:
    """These parts with the hash that names them."""
    pictures, digest = dataset.pictures, hashlib.sha256()
    for name, part in (("train", train), ("val", val), ("test", test)):
        digest.update(f"{name}:{','.join(sorted(pictures[i].content for i in part))};".encode())
    if dataset.grouped_by:
        together = sorted(f"{picture.content}:{picture.subject}" for picture in pictures)
        digest.update("\n".join(together).encode("utf-8", "surrogatepass"))
    return Split(train=tuple(train), val=tuple(val), test=tuple(test), hash=digest.hexdigest(), notices=tuple(notices))


def left_out_of(dataset: Dataset, pool: Sequence[int], test: Sequence[int]) -> tuple[list[int], list[int]]:
    """Pictures of a pool that must not stand beside these test pictures: copies of them, and others of their groups."""
    kin, sides = ({of(dataset.pictures[index]) for index in test} for of in (_kin_of, _side_of))
    out = [index for index in pool if dataset.pictures[index].side in sides]
    copies = [index for index in out if dataset.pictures[index].kin in kin]
    return copies, sorted(set(out) - set(copies))


def _kin_of(picture: Picture) -> str:
    return picture.kin


def _side_of(picture: Picture) -> str:
    return picture.side


def _given_parts(dataset: Dataset, rest: list[int], kept: list[int]) -> tuple[list[int], list[int]]:
    """Train and val as they were brought, of what is kept: what stands with val pictures is not trained on, either."""
    pictures, grouped = dataset.pictures, bool(dataset.grouped_by)
    brought = sum(pictures[index].given == "val" for index in rest)
    val = [index for index in kept if pictures[index].given == "val"]
    unseen = [index for index in kept if pictures[index].given != "val"]
    train = _apart_from(pictures, unseen, val)
    copied = ["test"] * (len(unseen) < len(rest) - brought) + ["val"] * (len(train) < len(unseen))
    check_some_left("train", len(rest) - brought, len(train), copied, grouped)
    check_some_left("val", brought, len(val), ["test"], grouped)
    return train, val


def _apart_from(pictures: Sequence[Picture], indices: list[int], of: list[int]) -> list[int]:
    sides = {pictures[index].side for index in of}
    return [index for index in indices if pictures[index].side not in sides]


def _draw(
    pictures: Sequence[Picture], pool: list[int], seed: int, fraction: float, purpose: str
) -> tuple[list[int], list[int]]:
    """Take about `fraction` of each class, and leave something for train, and for val where that is drawn next.

    Returns:
        Those taken and those left, both in picture order.
    """
    keep = ALL_PARTS - 1 if purpose == "test" else 1
    taken = draw_sides([pictures[index] for index in pool], purpose, seed, fraction, keep)
    # a copy in another class goes along, so that no picture stands on both sides
    first = [index for index in pool if pictures[index].side in taken]
    return first, [index for index in pool if pictures[index].side not in taken]


def dataset_folder(dataset_id: str) -> Path:
    return home_folder("datasets") / dataset_id


def manifest_of(dataset: Dataset) -> bytes:
    """The data set's description as JSON."""
    names = [spec.name for spec in fields(dataset) if spec.name != "stamp"]
    values = {"version": MANIFEST_VERSION, **{name: to_builtins(getattr(dataset, name)) for name in names}}
    return sealed(json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def load_stored(dataset_id: str) -> Dataset:
    """A data set that was added before.

    Sizes are compared each time; every pixel only where the file was touched since the manifest was written, and else
    when a picture is first read.

    Raises:
        DatasetError: it is unknown or its files are damaged.
    """
    if not _ID.fullmatch(dataset_id) or not dataset_folder(dataset_id).is_dir():
        raise DatasetError(f"The data set {shown(dataset_id)} is not here any more; add it again on the Data page.")
    try:
        text, whole = unsealed(ordinary(dataset_folder(dataset_id) / MANIFEST).read_bytes())
        if read_json(text, _Version).version not in _READABLE:
            raise DatasetError(f"The data set {dataset_id!r} was stored by another version of Thaw; add it again.")
        dataset = replace(read_json(text, Dataset), stamp=stamp_of(dataset_id))
        if not whole and any(picture.target >= len(dataset.class_names) for picture in dataset.pictures):
            raise ValueError("a picture is of no class that there is")
        _check_pixels(dataset, dataset_folder(dataset_id))
        return dataset
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(damaged(dataset_id)) from error


def _check_pixels(dataset: Dataset, folder: Path) -> None:
    """Compare what lies there with the manifest, and remember by its time that all was well."""
    pixels, manifest = (folder / FILE_NAME).stat(), (folder / MANIFEST).stat()
    if dataset.id != folder.name or pixels.st_size < length_of([picture.place for picture in dataset.pictures]):
        raise ValueError("the manifest or the pixels are another data set's, or cut off")
    if pixels.st_mtime_ns > manifest.st_mtime_ns:
        dataset.pixels.check()
        with suppress(OSError):  # then it is looked through again next time
            os.utime(folder / MANIFEST)


def stamp_of(dataset_id: str) -> tuple[int, ...]:
    """Tells the files of a data set from others that took their place; empty where they are not here."""
    try:
        pixels, manifest = ((dataset_folder(dataset_id) / name).stat() for name in (FILE_NAME, MANIFEST))
    except OSError:
        return ()
    # not the manifest's time, which says since when all is known to be well
    return pixels.st_ino, pixels.st_size, pixels.st_mtime_ns, manifest.st_ino, manifest.st_size


def stored_ids() -> list[str]:
    """The ids of all data sets in the store, whether or not they can be read."""
    return sorted(path.name for path in home_folder("datasets").glob("[0-9a-f]*") if path.is_dir())


def stored_datasets() -> Iterator[Dataset]:
    """All data sets that can be read, oldest first."""
    found = []
    for dataset_id in stored_ids():
        try:
            found.append(load_stored(dataset_id))
        except DatasetError:
            continue
    yield from sorted(found, key=lambda dataset: dataset.added)


def is_readable(dataset_id: str) -> bool:
    """Whether a data set is here and whole, as far as can be told without reading every pixel."""
    try:
        load_stored(dataset_id)
    except DatasetError:
        return False
    return True


def delete_stored(dataset_id: str) -> None:
    """Remove a data set's folder, whatever is in it. Runs keep their numbers and lose the sight of their pictures.

    Raises:
        DatasetError: this is no data set's id.
    """
    if not _ID.fullmatch(dataset_id):
        raise DatasetError(f"There is no data set {shown(dataset_id)}.")
    shutil.rmtree(dataset_folder(dataset_id), ignore_errors=True)
