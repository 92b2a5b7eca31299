"""What was understood of what somebody brought, in sentences: used, read as, skipped."""

import re
from collections import Counter
from typing import Final

from core.data.dataset import Dataset
from core.data.reading.folder_names import listed

CLASSES_SHOWN: Final = 6
REASONS_SHOWN: Final = 3


def used_sentence(dataset: Dataset) -> str:
    """How many pictures of which classes: "470 pictures of 2 classes: ants 235, bees 235."."""
    sizes = Counter(picture.target for picture in dataset.pictures)
    classes = [f"{name} {sizes[target]:,}" for target, name in enumerate(dataset.class_names)]
    more = len(classes) - CLASSES_SHOWN
    told = ", ".join(classes[:CLASSES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"{len(dataset.pictures):,} pictures of {len(classes)} classes: {told}."


def skipped_sentence(dataset: Dataset) -> str:
    """How many files were left out, and why: "3 files skipped: not a picture (2), cut off."; empty if none was."""
    left_out = (*dataset.skipped, *dataset.ignored)
    if not left_out:
        return ""
    reasons = Counter(short_reason(file.reason) for file in left_out)
    told = [f"{reason} ({count:,})" if count > 1 else reason for reason, count in reasons.most_common(REASONS_SHOWN)]
    others = len(left_out) - sum(count for _, count in reasons.most_common(REASONS_SHOWN))
    told += [f"{others:,} for other reasons"] if others else []
    return f"{len(left_out):,} file{'s' * (len(left_out) != 1)} skipped: {', '.join(told)}."


def short_reason(reason: str) -> str:
    """A reason without its verb and its advice: "is cut off (the file is incomplete); re-export it" is "cut off"."""
    return re.split(r"[;:(,]", reason.removeprefix("is "), maxsplit=1)[0].strip()


def empty_classes_sentence(dataset: Dataset) -> str:
    """Which classes were brought without a usable picture; empty if none was."""
    gone = [row.name for row in dataset.class_folders if not row.used and row.name not in dataset.class_names]
    if not gone:
        return ""
    return f"The class{'es' * (len(gone) > 1)} {listed(gone, REASONS_SHOWN)} had no usable picture."
