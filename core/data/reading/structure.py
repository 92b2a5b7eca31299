"""What folders within folders mean: parts, sources or wrappers around classes, by how they are built and then by name.

Folders side by side with (nearly) the same folders in them hold parts, or sources, and the inner folders are the
classes; names decide which is which. A single folder, and a folder within itself, is a wrapper. What is left over is
named, never made a class. Where two readings are possible both are given.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from core.data.reading.folder_names import (
    Part,
    are_numbered,
    are_sources,
    common,
    holds_masks,
    is_source,
    listed,
    may_be_class,
    only_masks,
    part_and_rest,
    part_of,
    parts_of,
    says_nothing,
    stand_around_pictures,
    stands_beside,
    text_of,
)
from core.data.reading.tree import Folder

FOLDERS: Final = "folders"
SUBFOLDERS: Final = "subfolders"
LABELLED: Final = "labelled"
LIKELY: Final = 0.2
"""Share of the pictures from which a neighbour is no stray: it may be a class."""
ALIKE: Final = 0.5
"""Share of a folder's inner folders that its neighbours must have, too, for them to be built alike."""
OUTSIDE_PARTS: Final = "outside train, val and test"
OUTSIDE_CLASSES: Final = "beside the class folders"
OUTSIDE_SOURCES: Final = "beside the folders that hold the classes"
A_COPY: Final = "in a copy of the folder within itself"
A_MASK: Final = "in a folder of masks or annotations"
UNLABELLED: Final = "in a folder without class folders"
OTHER_CLASSES: Final = "in none of the classes that train has"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFolder:
    """A folder whose pictures are of one class."""

    folder: Folder
    name: str
    part: Part | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One way to read a tree."""

    layout: str
    """What it is called: `folders`, `subfolders` or `labelled`."""
    classes: tuple[ClassFolder, ...]
    within: tuple[Folder, ...]
    """The folders that class folders lie in, for finding those without a picture."""
    left_out: tuple[tuple[Folder, str], ...] = ()
    """Folders with pictures that are of no class, and why."""
    parts: tuple[tuple[Part, str], ...] = ()
    """Parts, each with the name of its folder."""
    sources: tuple[str, ...] = ()
    notices: tuple[str, ...] = field(default=())

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted({found.name for found in self.classes}))


def readings_of(root: Folder) -> tuple[Reading, ...]:
    """How a tree can be read, the likelier way first; none where no folder can be a class."""
    folder = _unwrapped(root)
    for rule in (_by_parts, _by_names_of_both, _parts_within_classes, _one_leads, _by_sources, _one_wraps, _by_classes):
        found = rule(folder)
        if found:
            return found
    return ()


def read_as(root: Folder, layout: str) -> Reading | None:
    """The tree in the way that was asked for; None where that gives no class."""
    folder = _unwrapped(root)
    if layout == FOLDERS:
        return _classes_of(folder, folder.filled) if folder.filled else None
    offered = next((reading for reading in readings_of(root) if reading.layout == layout), None)
    deep = [kid for kid in folder.filled if kid.is_deep]
    return offered or (_merged(folder, deep) if deep and layout == SUBFOLDERS else None)


def _unwrapped(folder: Folder) -> Folder:
    """What lies within folders that stand around everything; the only class folder and a train part stay."""
    while len(folder.filled) == 1 and (only := folder.filled[0]).is_deep:
        if part_of(only.name) == "train" and not parts_of([kid.name for kid in only.filled if kid.is_deep]):
            only_inner = only.filled
            if not (len(only_inner) == 1 and text_of(only_inner[0].name) == text_of(only.name)):
                break
        folder = only
    return folder


# -- rules, from the surest to the weakest: each gives no reading, one, or two between which a person has to choose


def _by_parts(folder: Folder) -> tuple[Reading, ...]:
    """Folders named for parts, with class folders in them."""
    kids = folder.filled
    deep = {kid.name for kid in kids if kid.is_deep}
    parts = {name: part for name, part in parts_of([kid.name for kid in kids]).items() if name in deep}
    if not parts:
        return ()
    holders = [kid for kid in kids if kid.name in parts]
    others = [kid for kid in kids if kid.name not in parts]
    if "train" not in parts.values():
        if len(holders) < 2:
            return ()
        alike = [kid for kid in others if kid.is_deep and all(_share(kid, holder) for holder in holders)]
        if len(alike) == 1:  # in another language
            parts |= {alike[0].name: "train"}
            return (_parted(folder, [*holders, *alike], parts, [kid for kid in others if kid not in alike]),)
        said = f"There is no train folder: the pictures of {listed(kid.name for kid in holders)} are divided by Thaw."
        return (replace(_merged(folder, holders), notices=(said,)),)
    reading = _parted(folder, holders, parts, others)
    unnamed = sum(kid.pictures for kid in others if not part_and_rest(kid.name)[0])
    alone = len(holders) == 1 and unnamed > LIKELY * folder.pictures
    return (reading, _classes_of(folder, kids)) if alone else (reading,)


def _parted(folder: Folder, holders: list[Folder], parts: dict[str, Part], others: list[Folder]) -> Reading:
    """Parts in `holders`; one whose folders are none of train's classes is left out."""
    insides = dict(zip([holder.path for holder in holders], _insides(holders), strict=True))
    trained = {
        name
        for holder in holders
        if parts[holder.name] == "train"
        for name in common(kid.name for kid in insides[holder.path].filled)
    }
    left_out = [(kid, OUTSIDE_PARTS if kid.is_deep else UNLABELLED) for kid in others]
    classes, within = [], []
    for holder in holders:
        part, inside = parts[holder.name], insides[holder.path]
        names = [kid.name for kid in inside.filled]
        if part != "train" and len(trained) > 1 and trained.isdisjoint(common(names)):
            left_out.append((holder, OTHER_CLASSES))
            continue
        copies, mine = _without_copies(inside)
        left_out += copies
        classes += [ClassFolder(folder=kid, name=kid.name, part=part) for kid in mine]
        within.append(inside)
    return Reading(
        layout=SUBFOLDERS,
        classes=tuple(classes),
        within=tuple(within),
        left_out=tuple(left_out),
        parts=tuple((parts[holder.name], holder.name) for holder in holders if insides[holder.path] in within),
    )


def _insides(holders: Sequence[Folder]) -> list[Folder]:
    """Where the class folders of each part or source lie, see `_inside`."""
    known = common(kid.name for holder in holders for kid in holder.filled if len(holder.filled) > 1)
    return [_inside(holder, known) for holder in holders]


def _inside(holder: Folder, known: Container[str]) -> Folder:
    """Where the class folders of a part or source lie: below itself once more, or below a folder around them all.

    Args:
        known: names of folders that stand beside others in it or its neighbours: those may be classes.
    """
    inside = holder
    while len(inside.filled) == 1 and (only := inside.filled[0]).is_deep:
        itself = text_of(only.name) == text_of(inside.name)
        if only.name.casefold() in known or not (itself or len(only.filled) > 1 or says_nothing(only.name)):
            break
        inside = only
    return inside


def _by_names_of_both(folder: Folder) -> tuple[Reading, ...]:
    """Folders named for part and class at once: train_cats, train_dogs, test_cats, test_dogs."""
    kids = folder.filled
    named = [(kid, *part_and_rest(kid.name)) for kid in kids if not kid.is_deep]
    both = [(kid, part, rest) for kid, part, rest in named if part and rest]
    per_part = [{rest for _, other, rest in both if other == part} for part in {part for _, part, _ in both}]
    is_train = any(part == "train" for _, part, _ in both)
    if len(both) < len(kids) or not is_train or len(per_part) < 2 or len(set.intersection(*per_part)) < 2:
        return ()
    return (
        Reading(
            layout=SUBFOLDERS,
            classes=tuple(ClassFolder(folder=kid, name=rest, part=part) for kid, part, rest in both),
            within=(),
            parts=tuple(sorted({(part, part) for _, part, _ in both if part})),
        ),
    )


def _parts_within_classes(folder: Folder) -> tuple[Reading, ...]:
    """Class folders with parts in each: cats/train, cats/test, dogs/train, dogs/test."""
    kids = folder.filled
    deep = [kid for kid in kids if kid.is_deep]
    insides = [_around_parts(kid) for kid in deep]
    if len(deep) < 2 or not all(_holds_only_parts(inside) for inside in insides):
        return ()
    inner = {inside.path: parts_of([part.name for part in inside.filled]) for inside in insides}
    if "train" not in {part for parts in inner.values() for part in parts.values()}:
        return ()
    if all(part.is_deep for inside in insides for part in inside.filled):  # sources that hold parts that hold classes
        held = [_parted(inside, inside.filled, inner[inside.path], []) for inside in insides]
        flat = [(kid, OUTSIDE_SOURCES) for kid in kids if not kid.is_deep]
        together = _together(held, [kid.name for kid in deep], flat)
        are_alike = _alike([common(reading.class_names) for reading in held])
        return (together,) if are_alike else (together, _classes_of(folder, kids))
    if insides != deep:
        return ()
    rows = [(part, kid.name, inner[kid.path][part.name]) for kid in deep for part in kid.filled]
    found = [ClassFolder(folder=part, name=name, part=which) for part, name, which in rows]
    found += [ClassFolder(folder=kid, name=kid.name, part="train") for kid in kids if not kid.is_deep]
    parts = tuple(sorted({(which, part.name) for part, _, which in rows}))
    return (Reading(layout=FOLDERS, classes=tuple(found), within=(folder,), parts=parts),)


def _around_parts(folder: Folder) -> Folder:
    """What lies within folders that stand around everything, as far as a part."""
    while len(folder.filled) == 1 and (only := folder.filled[0]).is_deep and not part_of(only.name):
        folder = only
    return folder


def _holds_only_parts(folder: Folder) -> bool:
    return all(part_of(kid.name) for kid in folder.filled)


def _together(held: Sequence[Reading], sources: Sequence[str], left_out: Iterable[tuple[Folder, str]]) -> Reading:
    first = held[0]
    return replace(
        first,
        classes=tuple(found for reading in held for found in reading.classes),
        within=tuple(inside for reading in held for inside in reading.within),
        left_out=(*(row for reading in held for row in reading.left_out), *left_out),
        parts=tuple(dict.fromkeys(row for reading in held for row in reading.parts)),
        notices=tuple(dict.fromkeys(said for reading in held for said in reading.notices)),
        sources=tuple(sources),
    )


def _one_leads(folder: Folder) -> tuple[Reading, ...]:
    """One folder of several holds parts: it is the data, and what lies beside it is not."""
    leading = [kid for kid in folder.filled if _leads_to_parts(kid)]
    if len(leading) != 1 or len(folder.filled) == 1:
        return ()
    others = [(kid, OUTSIDE_PARTS) for kid in folder.filled if kid is not leading[0]]
    return tuple(replace(reading, left_out=(*reading.left_out, *others)) for reading in readings_of(leading[0]))


def _leads_to_parts(folder: Folder) -> bool:
    inside = _unwrapped(folder)
    parts = parts_of([kid.name for kid in inside.filled if kid.is_deep])
    return "train" in parts.values() and len(parts) > 1


def _by_sources(folder: Folder) -> tuple[Reading, ...]:
    """Folders with (nearly) the same folders in them, whose names say nothing of parts: sources, folds, or classes."""
    deep = [kid for kid in folder.filled if kid.is_deep]
    insides = _insides(deep)
    if len(deep) < 2 or not _alike([common(k.name for k in _telling(inside)) for inside in insides]):
        return ()
    merged = _merged(folder, deep)
    names = [kid.name for kid in deep]
    if not are_sources(names) and all(is_source(kid.name) for inside in insides for kid in inside.filled):
        return ()  # classes with their sources in them
    if are_sources(names) or all(says_nothing(name) or stands_beside(name) for name in names):
        return (merged,)
    return (merged, _classes_of(folder, folder.filled))


def _telling(folder: Folder) -> list[Folder]:
    """Folders that could be classes: neither masks nor one that could stand around any pictures."""
    return [kid for kid in folder.filled if not (says_nothing(kid.name) or holds_masks(kid.name))]


def _alike(inner: Sequence[set[str]]) -> bool:
    counts = Counter(name for names in inner for name in names)
    shared = {name for name, count in counts.items() if count > 1}
    return len(shared) > 1 and all(names and len(names & shared) >= ALIKE * len(names) for names in inner)


def _merged(folder: Folder, holders: Sequence[Folder]) -> Reading:
    """The inner folders of these are the classes, whichever they come from."""
    insides = _insides(holders)
    held = {holder.path for holder in holders}
    beside = [(kid, OUTSIDE_SOURCES) for kid in folder.filled if kid.path not in held]
    found = [ClassFolder(folder=kid, name=kid.name) for inside in insides for kid in inside.filled]
    return Reading(
        layout=SUBFOLDERS,
        classes=tuple(found),
        within=tuple(insides),
        left_out=tuple(beside),
        sources=tuple(holder.name for holder in holders),
    )


def _one_wraps(folder: Folder) -> tuple[Reading, ...]:
    """One folder of several holds class folders and nothing else; is it a class, or are the others strays?"""
    kids = folder.filled
    wrapping = [kid for kid in kids if not kid.files and len(kid.filled) > 1]
    if len(kids) < 2 or len(wrapping) != 1:
        return ()
    (wrapper,) = wrapping
    others = [kid for kid in kids if kid is not wrapper]
    if _repeats(wrapper, common(kid.name for kid in others)):
        return ()
    within = tuple(
        replace(reading, left_out=(*reading.left_out, *((kid, OUTSIDE_CLASSES) for kid in others)), layout=SUBFOLDERS)
        for reading in readings_of(wrapper)[:1]
    )
    if says_nothing(wrapper.name) or part_of(wrapper.name) or all(stands_beside(kid.name) for kid in others):
        return within
    if sum(kid.pictures for kid in others) > LIKELY * folder.pictures:
        return ()
    return (*within, _classes_of(folder, kids))


def _by_classes(folder: Folder) -> tuple[Reading, ...]:
    """Every folder is a class; what it holds in folders belongs to it."""
    kids = folder.filled
    names = [kid.name for kid in kids]
    if not kids or len(parts_of(names)) == len(names) or are_numbered(names):
        return ()
    if len(kids) > 1 and stand_around_pictures(names, folder.name):
        return ()
    strays = [kid for kid in kids if not kid.is_deep and _may_be_a_stray(kid, kids)]
    if strays and len(kids) - len(strays) > 1:
        mine = [kid for kid in kids if kid not in strays]
        reading = _classes_of(folder, mine)
        unlabelled = tuple((kid, UNLABELLED) for kid in strays)
        return (replace(reading, left_out=(*reading.left_out, *unlabelled), layout=LABELLED), _classes_of(folder, kids))
    finer = _finer(folder, kids)
    return (_classes_of(folder, kids), *finer)


def _may_be_a_stray(kid: Folder, kids: Sequence[Folder]) -> bool:
    """Whether a folder among these is perhaps no class: a part without labels, masks, or a few samples."""
    if part_of(kid.name) in ("val", "test"):
        return True
    if only_masks(kid.name):
        return not any(holds_masks(other.name) for other in kids if other is not kid)
    if not stands_beside(kid.name) or may_be_class(kid.name):
        return False
    return 2 * kid.pictures < min((other.pictures for other in kids if other is not kid), default=0)


def _finer(folder: Folder, kids: Sequence[Folder]) -> tuple[Reading, ...]:
    """The kinds within the classes as classes, where all of several folders hold nothing but named ones."""
    sorted_ = [kid for kid in kids if not kid.files and _are_kinds([inner.name for inner in _telling(kid)])]
    copies, _ = _without_copies(folder, kids)
    if len(sorted_) < 2 or copies or sum(kid.pictures for kid in sorted_) <= folder.pictures / 2:
        return ()
    reading = _merged(folder, sorted_)
    flat = tuple(ClassFolder(folder=kid, name=kid.name) for kid in kids if kid not in sorted_)
    return (replace(reading, classes=(*reading.classes, *flat), left_out=()),)


def _are_kinds(names: Sequence[str]) -> bool:
    """Whether folders in a class have names of their own, not only numbers or dates."""
    return len({text_of(name) for name in names}) > 1 and not are_sources(names) and not all(map(part_of, names))


def _classes_of(folder: Folder, kids: Sequence[Folder]) -> Reading:
    copies, mine = _without_copies(folder, kids)
    return Reading(
        layout=FOLDERS,
        classes=tuple(ClassFolder(folder=kid, name=kid.name) for kid in mine),
        within=(folder,),
        left_out=tuple(copies),
    )


def _without_copies(folder: Folder, kids: Sequence[Folder] = ()) -> tuple[list[tuple[Folder, str]], list[Folder]]:
    """Folders that hold their own neighbours once more, and the others."""
    kids = kids or folder.filled
    names = common(kid.name for kid in kids)
    copies = [kid for kid in kids if kid.is_deep and _repeats(kid, names)]
    copies = copies if len(copies) < len(kids) else []  # each in all others: none is the copy
    return [(kid, A_COPY) for kid in copies], [kid for kid in kids if not kid.is_deep or kid not in copies]


def _repeats(folder: Folder, neighbours: Container[str]) -> bool:
    """Whether most of what a folder holds stands beside it, too.

    Args:
        neighbours: the names beside it and perhaps its own, see `common`.
    """
    inner = common(kid.name for kid in folder.filled)
    beside = [name for name in inner if name in neighbours and name != folder.name.casefold()]
    return len(inner) > 1 and len(beside) > ALIKE * len(inner)


def masks_beside(root: Folder) -> list[Folder]:
    """Folders of masks or annotations that stand beside a folder of pictures, or of the classes that they repeat."""
    masks = [kid for kid in root.filled if only_masks(kid.name)]
    others = [kid for kid in root.filled if kid not in masks]
    if any(holds_masks(kid.name) for kid in others):  # mask and no_mask: it is what the pictures show
        masks = []
    found = [mask for mask in masks if any(says_nothing(kid.name) or _share(mask, kid) for kid in others)]
    return [*found, *(mask for kid in root.filled if kid not in found for mask in masks_beside(kid))]


def _share(one: Folder, other: Folder) -> bool:
    """Whether two folders hold the same folders, below those that stand around everything."""
    return (
        len(common(kid.name for kid in _unwrapped(one).filled) & common(k.name for k in _unwrapped(other).filled)) > 1
    )


def masks_in(folder: Folder) -> list[Folder]:
    """Folders of masks or annotations in a class folder that has others for its pictures."""
    masks = [kid for kid in folder.filled if holds_masks(kid.name)]
    return masks if folder.files or len(masks) < len(folder.filled) else []


def flattened(reading: Reading) -> list[str]:
    """Names of folders below class folders whose pictures were taken for the class's."""
    inner = {kid.name for found in reading.classes for kid in found.folder.filled}
    return sorted(inner - {kid.name for found in reading.classes for kid in masks_in(found.folder)})
