"""What the name of a folder says: a part of the data, a source, nothing at all, or a class.

Digits, spaces and `_-.` do not count: `training_set`, `Train (1)` and `train_data_256` are all train.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

Part = Literal["train", "val", "test"]
PART_WORDS: Final[dict[str, Part]] = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "eval": "val",
    "evaluation": "val",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FILLING: Final = _words(
    "all archive augmented cropped data database dataset datasets digits "
    "download extracted file files final folder folders full image images img imgs input jpeg jpegs jpg jpgs "
    "main new original part parts photo photos pic pics picture pictures png pngs raw resized samples set sets single "
    "small sorted split splits the with"
)
"""Words that say nothing about what is in the pictures."""
_PIECES: Final = _words("archive chunk folder images imgs part parts photos pics pictures set split vol volume")
_SOURCES: Final = _words(
    "batch batches camera cameras center centre domain fold folds hospital location run session site source "
    "sources subset version view"
)
_MASKS: Final = _words(
    "annotation annotations bbox bboxes gt groundtruth label labels mask masks seg segmentation segmentations "
    "trimap trimaps truth xml"
)
_BESIDE: Final = _words(
    "asset assets demo demos doc docs documentation example examples extra extras fig figs figure figures logo "
    "logos misc other others paper plot plots pred predict prediction predictions preview previews sample "
    "samples screenshot screenshots thumbs thumbnails unknown unlabeled unlabelled"
)
_PERHAPS_CLASSES: Final = _words("misc other others unknown")
_WORD: Final = re.compile(r"[^\W\d_]+")
_PLAIN: Final = re.compile(r"[\w ().-]+")
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def words_of(name: str) -> list[str]:
    """The words of a name in lower case, without digits and signs: "TrainSet_2" -> ["train", "set"]."""
    return [word.casefold() for word in _as_written(name)]


def _as_written(name: str) -> list[str]:
    return [word for run in _WORD.findall(name) for piece in _HUMP.split(run) for word in _apart(piece)]


def _apart(word: str) -> list[str]:
    """ "trainset" and "imagesval" in two: a part's word with a filling one."""
    lower = word.casefold()
    for known in sorted(PART_WORDS, key=len, reverse=True):
        for rest in (lower.removeprefix(known), lower.removesuffix(known)):
            if rest != lower and rest in _FILLING:
                return [known, rest] if lower.startswith(known) else [rest, known]
    return [word]


def text_of(name: str) -> str:
    """A name's letters alone, in lower case: what "fold 1" and "Fold_2" have in common."""
    return "".join(_WORD.findall(name)).casefold()


def part_and_rest(name: str) -> tuple[Part | None, str]:
    """The part that a name names, if it names just one, and what else it says: "seg_train" -> ("train", "seg")."""
    words = _as_written(name)
    named = {PART_WORDS[word.casefold()] for word in words if word.casefold() in PART_WORDS}
    rest = " ".join(word for word in words if word.casefold() not in PART_WORDS and word.casefold() not in _FILLING)
    return (named.pop() if len(named) == 1 else None), rest


def part_of(name: str) -> Part | None:
    """The part that a name names and nothing beside it."""
    part, rest = part_and_rest(name)
    return None if rest or not _PLAIN.fullmatch(name) else part


def parts_of(names: Sequence[str]) -> dict[str, Part]:
    """Which of these folders, side by side, are parts: by name alone, or with a rest that several parts share."""
    parted = {name: part_and_rest(name) for name in names}
    shared: dict[str, set[Part]] = {}
    for part, rest in parted.values():
        if part:
            shared.setdefault(rest.casefold(), set()).add(part)
    return {n: part for n, (part, rest) in parted.items() if part and (not rest or len(shared[rest.casefold()]) > 1)}


def says_nothing(name: str) -> bool:
    """Whether a name could stand around any pictures: "data", "images_256"; one of digits alone could be a class."""
    words = words_of(name)
    return bool(words) and all(word in _FILLING for word in words)


def are_sources(names: Sequence[str]) -> bool:
    """Whether folders of these names are where pictures come from, not what they show: "fold1", "fold2"; "camera a"."""
    texts = {text_of(name) for name in names}
    if len(names) > 1 and len(texts) == 1 and texts != {""}:
        return True
    return all(map(is_source, names))


def is_source(name: str) -> bool:
    """Whether a word in a name says where pictures come from: "session 1", "front camera"."""
    return bool(_SOURCES & set(words_of(name)))


def are_numbered(names: Sequence[str]) -> bool:
    """Whether folders are one thing cut into pieces: "images_part_1", "images_part_2"; "s1" and "s2" may be classes."""
    texts = {text_of(name) for name in names}
    return len(names) > 1 and len(texts) == 1 and any(word in _PIECES | _SOURCES for word in words_of(names[0]))


def holds_masks(name: str) -> bool:
    """Whether a folder holds what belongs to pictures and is none of them: masks, annotations."""
    return bool(_MASKS & set(words_of(name)))


def only_masks(name: str) -> bool:
    """Whether a name says that masks or annotations are there, and nothing else."""
    words = set(words_of(name))
    return bool(_MASKS & words) and words <= _MASKS | _FILLING


def stand_around_pictures(names: Sequence[str], home: str) -> bool:
    """Whether folders of these names, all there are in the folder `home`, only sort its pictures from its masks.

    So does one that is called like `home`: archives that are unpacked twice have train/train and test1/test1.
    """
    around = [name for name in names if says_nothing(name) or _is_called_like(name, home)]
    return not names or (bool(around) and all(name in around or only_masks(name) for name in names))


def _is_called_like(name: str, home: str) -> bool:
    part = part_of(name)
    return (text_of(name) != "" and text_of(name) == text_of(home)) or (part is not None and part == part_of(home))


def stands_beside(name: str) -> bool:
    """Whether a folder is usually found beside the classes and is none: figures, samples, pictures to predict."""
    words = words_of(name)
    known = _BESIDE | _FILLING | set(PART_WORDS)
    return words != ["single"] and bool(words) and all(word in known for word in words)


def may_be_class(name: str) -> bool:
    """Whether what stands beside classes is often one: the pictures of none of the others."""
    return bool(_PERHAPS_CLASSES & set(words_of(name)))


def common(names: Iterable[str]) -> set[str]:
    """Names without regard to case, as folders on some systems are."""
    return {name.casefold() for name in names}


def listed(names: Iterable[str], most: int = 5) -> str:
    """ "a, b and c" for a sentence; of many the first, and how many more there are."""
    found = list(names)
    if len(found) > most:
        return f"{', '.join(found[:most])} and {len(found) - most:,} more"
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))
