"""A data set as everything else sees it: pictures, classes, given splits, a fingerprint; and how it is divided.

Lives in `THAW_HOME/datasets/<id>/`: `manifest.json` beside the decoded pixels. The id is the fingerprint's beginning.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from msgspec import to_builtins

from core.data.pictures import Picture
from core.data.pixels import FILE_NAME, PixelStore, damaged, length_of
from core.data.splits import Parts, divide
from core.errors import DatasetError, shown
from core.home import home_folder, ordinary, sealed, thaw_home, unsealed
from core.objects.cache import fetch_again, forget, here, is_elsewhere, names_in
from core.records import Amount, Count, read_json
from core.settings.schema import DataSettings

SPLITS = ("train", "val", "test")
MANIFEST = "manifest.json"
MANIFEST_VERSION = 3  # raised when older Thaws must not read it
_READABLE = (1, 2, 3)  # earlier ones did not know what has a default below
_ID: Final = re.compile("[0-9A-Za-z]{1,64}")


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
        return PixelStore(here(self.folder, FILE_NAME).parent, places, hashes)

    def split(self, seed: int, settings: DataSettings | None = None) -> Split:
        """Divide into train, val and test, see `core.data.splits`: test by content alone, others by seed, too.

        Raises:
            DatasetError: a part would be empty; it says why.
        """
        parts = divide(self.pictures, self.class_names, bool(self.grouped_by), seed, settings or DataSettings())
        train, val, test = map(tuple, (parts.train, parts.val, parts.test))
        return Split(train=train, val=val, test=test, hash=_hash_of(self, parts), notices=parts.notices)

    def counts(self, split: Split) -> dict[str, dict[str, int]]:
        """Split -> class name -> number of pictures."""
        table = {part: dict.fromkeys(self.class_names, 0) for part in SPLITS}
        for part in SPLITS:
            for index in split.part(part):
                table[part][self.class_names[self.pictures[index].target]] += 1
        return table


def _hash_of(dataset: Dataset, parts: Parts) -> str:
    """Names exactly these parts."""
    pictures, digest = dataset.pictures, hashlib.sha256()
    for name, part in (("train", parts.train), ("val", parts.val), ("test", parts.test)):
        contents = ",".join(sorted(pictures[i].content for i in part))
        digest.update(f"{name}:{contents};".encode("utf-8", "surrogatepass"))
    if dataset.grouped_by:
        together = sorted(f"{picture.content}:{picture.subject}" for picture in pictures)
        digest.update("\n".join(together).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


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
    if not _ID.fullmatch(dataset_id) or not here(dataset_folder(dataset_id), MANIFEST).parent.is_dir():
        raise DatasetError(f"The data set {shown(dataset_id)} is not here any more; add it again on the Data page.")
    try:
        return _load(dataset_id)
    except DatasetError:
        if not fetch_again(dataset_folder(dataset_id)):
            raise
        return _load(dataset_id)


def _load(dataset_id: str) -> Dataset:
    try:
        text, whole = unsealed(ordinary(here(dataset_folder(dataset_id), MANIFEST)).read_bytes())
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
    if is_elsewhere(folder, FILE_NAME):  # whatever is fetched is compared then
        return
    pixels, manifest = (folder / FILE_NAME).stat(), (folder / MANIFEST).stat()
    if dataset.id != folder.name or pixels.st_size < length_of([picture.place for picture in dataset.pictures]):
        raise ValueError("the manifest or the pixels are another data set's, or cut off")
    if pixels.st_mtime_ns > manifest.st_mtime_ns:
        dataset.pixels.check()
        with suppress(OSError):  # then it is looked through again next time
            os.utime(folder / MANIFEST)


def stamp_of(dataset_id: str) -> tuple[int, ...]:
    """Tells the files of a data set from others that took their place; empty where they are not here."""
    folder = thaw_home() / "datasets" / dataset_id  # not made: pages ask this for every picture
    try:
        pixels, manifest = (folder / FILE_NAME).stat(), (folder / MANIFEST).stat()
    except OSError:
        return ()
    # not the manifest's time, which says since when all is known to be well
    return pixels.st_ino, pixels.st_size, pixels.st_mtime_ns, manifest.st_ino, manifest.st_size


def stored_ids() -> list[str]:
    """The ids of all data sets in the store, whether or not they can be read."""
    folder = home_folder("datasets")
    return sorted(names_in(folder, frozenset(path.name for path in folder.glob("[0-9a-f]*") if path.is_dir())))


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
    forget(dataset_folder(dataset_id))
    shutil.rmtree(dataset_folder(dataset_id), ignore_errors=True)
