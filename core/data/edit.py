"""Changing a data set without decoding anything anew. A data set never changes: an edit makes another one.

Where all pictures stay, both share one file of pixels; else those that stay are copied. An edit names the data set it
starts from; if that one is gone, it was changed elsewhere in the meantime. Adding pictures keeps every old one on its
side of the splits.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core.data.copies import burst_pairs, name_families, name_together, near_pairs, small_squares
from core.data.dataset import (
    MANIFEST,
    Dataset,
    dataset_folder,
    delete_stored,
    is_readable,
    load_stored,
    manifest_of,
)
from core.data.fingerprint import fingerprint_of
from core.data.groups import Grouping
from core.data.labels import take_along
from core.data.parts import alike_classes
from core.data.pictures import Picture
from core.data.pixels import FILE_NAME, PixelWriter, share_pixels
from core.data.reading.class_names import check_class_name
from core.data.reading.limits import MIN_CLASSES
from core.errors import DatasetError
from core.home import folder_in_the_making, write_atomically
from core.objects.cache import here, share

ID_LENGTH = 16
MAX_TITLE = 200


def drop_pictures(dataset: Dataset, indices: Iterable[int]) -> Dataset:
    """A data set without these pictures.

    Raises:
        DatasetError: too little would be left, or the data set was changed meanwhile.
    """
    gone = set(indices)
    return _stored_as(dataset, [(dataset, index) for index in range(len(dataset.pictures)) if index not in gone])


def move_pictures(dataset: Dataset, indices: Iterable[int], class_name: str) -> Dataset:
    """A data set in which these pictures belong to another class, new or old."""
    check_class_name(class_name)
    moved = set(indices)
    names = [class_name if i in moved else _class_of(dataset, i) for i in range(len(dataset.pictures))]
    return _stored_as(dataset, _all_of(dataset), names)


def mend_labels(dataset: Dataset, classes: Mapping[int, str], gone: Collection[int] = ()) -> Dataset:
    """A data set in which pictures, by their index, belong to other classes, and some are dropped: in one edit.

    Raises:
        DatasetError: too little would be left, or the data set was changed meanwhile.
    """
    kept = [row for row in _all_of(dataset) if row[1] not in gone]
    return _stored_as(dataset, kept, [classes.get(index, _class_of(dataset, index)) for _, index in kept])


def rename_class(dataset: Dataset, old: str, new: str) -> Dataset:
    """A data set in which a class has another name; the name of another class merges the two."""
    if old not in dataset.class_names:
        raise DatasetError(f"There is no class {old!r} (any more).")
    check_class_name(new)
    return _with_names(dataset, {old: new})


def merge_alike(dataset: Dataset) -> Dataset:
    """A data set in which classes whose names are one to a person are one; the largest gives its name."""
    sizes = Counter(_class_of(dataset, index) for index in range(len(dataset.pictures)))
    name_of = {
        name: max(names, key=sizes.__getitem__) for names in alike_classes(dataset.class_names) for name in names
    }
    return _with_names(dataset, name_of)


def _with_names(dataset: Dataset, new: Mapping[str, str]) -> Dataset:
    """A data set whose classes are called otherwise: what is known about their labels goes with them."""
    classes = [_class_of(dataset, index) for index in range(len(dataset.pictures))]
    return _stored_as(dataset, _all_of(dataset), [new.get(name, name) for name in classes], new)


def remove_class(dataset: Dataset, name: str) -> Dataset:
    """A data set without a class."""
    return remove_classes(dataset, [name])


def remove_classes(dataset: Dataset, names: Collection[str]) -> Dataset:
    """A data set without these classes."""
    unknown = sorted(set(names) - set(dataset.class_names))
    if unknown:
        raise DatasetError(f"There is no class {unknown[0]!r} (any more).")
    return drop_pictures(dataset, [i for i in range(len(dataset.pictures)) if _class_of(dataset, i) in names])


def draw_val(dataset: Dataset) -> Dataset:
    """A data set whose val part is drawn from the pictures that were brought in train and val."""
    changed = with_val_drawn(dataset)
    return _stored_as(changed, _all_of(changed))


def with_val_drawn(dataset: Dataset) -> Dataset:
    """The same, not stored."""
    return _given_as(dataset, {"train": "train", "val": "train", "test": "test"})


def draw_all(dataset: Dataset) -> Dataset:
    """A data set whose parts are all drawn, whatever parts it was brought in."""
    changed = with_all_drawn(dataset)
    return _stored_as(changed, _all_of(changed))


def with_all_drawn(dataset: Dataset) -> Dataset:
    """The same, not stored."""
    return _given_as(dataset, {})


def set_groups(dataset: Dataset, grouping: Grouping | None) -> Dataset:
    """A data set whose pictures stand together by their group; None gives groups up.

    Raises:
        DatasetError: the groups cannot be divided, or the data set was changed meanwhile.
    """
    groups = grouping.groups if grouping else ("",) * len(dataset.pictures)
    pictures = tuple(
        replace(picture, subject=group, together="") for picture, group in zip(dataset.pictures, groups, strict=True)
    )
    pictures = tuple(_standing_together(pictures))
    changed = replace(dataset, pictures=pictures, grouped_by=grouping.said if grouping else "")
    return _stored_as(changed, _all_of(changed))


def _standing_together(pictures: Sequence[Picture]) -> list[Picture]:
    together = name_together(pictures)
    return [replace(picture, together=name) for picture, name in zip(pictures, together, strict=True)]


def _given_as(dataset: Dataset, parts: Mapping[str, str]) -> Dataset:
    """The pictures in other parts; those of parts that are not named are left to the draw."""
    pictures = (replace(picture, given=parts.get(picture.given or "")) for picture in dataset.pictures)
    return replace(dataset, pictures=tuple(pictures))


def _all_of(dataset: Dataset) -> list[tuple[Dataset, int]]:
    return [(dataset, index) for index in range(len(dataset.pictures))]


def rename(dataset: Dataset, title: str) -> Dataset:
    """The same data set under another title, in place: nothing depends on what it is called."""
    title = title.strip()
    if not title or len(title) > MAX_TITLE:
        raise DatasetError(f"A title needs 1 to {MAX_TITLE} characters.")
    here = _still_here(dataset)
    renamed = replace(here, title=title)
    write_atomically(dataset.folder / MANIFEST, manifest_of(renamed))
    share(dataset.folder, MANIFEST)
    return load_stored(dataset.id)


def add_pictures(dataset: Dataset, added: Dataset) -> Dataset:
    """Both data sets' pictures as one; the added ones are divided among themselves, so no old one moves.

    Exact copies of what is there already, in the same class, are left out.

    Raises:
        DatasetError: nothing would be added, or only one of the two brings parts, or has groups.
    """
    known = {(_class_of(dataset, i), p.group) for i, p in enumerate(dataset.pictures)}
    rows = _all_of(dataset)
    rows += [(added, i) for i, p in enumerate(added.pictures) if (_class_of(added, i), p.group) not in known]
    if len(rows) == len(dataset.pictures):
        raise DatasetError("All of these pictures are in the data set already; nothing was added.")
    given = {picture.given for picture in dataset.pictures} | {picture.given for picture in added.pictures}
    if None in given and len(given) > 1:
        raise DatasetError("One of the two brings its own train and val parts, the other does not; bring both alike.")
    if bool(dataset.grouped_by) != bool(added.grouped_by):
        with_groups, without = (dataset, added) if dataset.grouped_by else (added, dataset)
        raise DatasetError(
            f"{with_groups.title} has groups and {without.title} has none, so pictures of one group could come to "
            f"stand in two parts. Set the groups of {without.title} first."
        )
    return _stored_as(dataset, rows)


def delete(dataset: Dataset) -> None:
    """Remove a data set with its files. Runs keep their numbers and lose the sight of their pictures."""
    _still_here(dataset)
    delete_stored(dataset.id)


def _class_of(dataset: Dataset, index: int) -> str:
    return dataset.class_names[dataset.pictures[index].target]


def _still_here(dataset: Dataset) -> Dataset:
    try:
        return load_stored(dataset.id)
    except DatasetError as error:
        raise DatasetError(f"{dataset.title} was changed or deleted in another window; reload the page.") from error


def _stored_as(
    dataset: Dataset,
    rows: Sequence[tuple[Dataset, int]],
    names: Sequence[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Dataset:
    """Write the data set that these pictures make, in these classes, and give it."""
    _still_here(dataset)
    names = names or [_class_of(source, index) for source, index in rows]
    classes = tuple(sorted(set(names)))
    if len(classes) < MIN_CLASSES:
        raise DatasetError(f"At least {MIN_CLASSES} classes are needed; this would leave {len(classes)}.")
    pictures = _in_classes(dataset, rows, [classes.index(name) for name in names])
    fingerprint = _edited_fingerprint(pictures, classes)
    final = dataset_folder(fingerprint[:ID_LENGTH])
    if is_readable(final.name):
        return load_stored(final.name)
    delete_stored(final.name)  # damaged, if there is one
    with folder_in_the_making(final) as folder:
        if rows == _all_of(dataset):
            share_pixels(here(dataset.folder, FILE_NAME).parent, folder)
        else:
            pictures = _with_pixels(folder, pictures, rows)
        if any(source is not dataset for source, _ in rows):
            pictures = _with_families(pictures, rows)
        edited = replace(
            dataset,
            id=final.name,
            kind="edited",
            grouped_by=next((source.grouped_by for source, _ in rows if source.grouped_by), ""),
            fingerprint=fingerprint,
            class_names=classes,
            pictures=tuple(pictures),
            added=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        edited.split(0)  # refuse now what could not be divided later
        take_along(dataset.folder, folder, renamed or {})
        write_atomically(folder / MANIFEST, manifest_of(edited))
    share(final)
    return load_stored(final.name)


def _in_classes(dataset: Dataset, rows: Sequence[tuple[Dataset, int]], targets: Sequence[int]) -> list[Picture]:
    """The pictures with these classes; those of another data set came in batches after all of this one's."""
    later = 1 + _last_batch(dataset)
    found = [(source.pictures[index], 0 if source is dataset else later) for source, index in rows]
    return [
        replace(picture, target=target, batch=picture.batch + more)
        for (picture, more), target in zip(found, targets, strict=True)
    ]


def _with_pixels(folder: Path, pictures: Sequence[Picture], rows: Sequence[tuple[Dataset, int]]) -> list[Picture]:
    """The pictures, each where its pixels are now: copied, one after the other."""
    placed = []
    with closing(PixelWriter(folder)) as writer:
        for picture, (source, index) in zip(pictures, rows, strict=True):
            offset = writer.append(source.pixels[index].data)
            placed.append(replace(picture, place=(offset, *picture.place[1:])))
    return placed


def _last_batch(dataset: Dataset) -> int:
    return max(picture.batch for picture in dataset.pictures)


def _with_families(pictures: Sequence[Picture], rows: Sequence[tuple[Dataset, int]]) -> list[Picture]:
    squares = small_squares(source.pixels[index] for source, index in rows)
    pairs = [*near_pairs(squares), *burst_pairs([picture.taken for picture in pictures])]
    families = name_families(pictures, pairs)
    return _standing_together(
        [replace(picture, family=family) for picture, family in zip(pictures, families, strict=True)]
    )


def _edited_fingerprint(pictures: Sequence[Picture], classes: Sequence[str]) -> str:
    """As for a set that came like that; when pictures were added, and what group they are of, counts, too."""
    rows = [(picture.given, classes[picture.target], picture.content) for picture in pictures]
    plain = fingerprint_of(rows)
    more = sorted(f"{picture.content}:{picture.batch}" for picture in pictures if picture.batch)
    more += sorted(f"{picture.content}:group {picture.subject}" for picture in pictures if picture.subject)
    if not more:
        return plain
    return hashlib.sha256(f"{plain}\n{chr(10).join(more)}".encode("utf-8", "surrogatepass")).hexdigest()
