"""What was understood and what was skipped, in sentences."""

from dataclasses import replace

import pytest

from core.data.dataset import ClassFolder, Skipped
from core.data.summary import empty_classes_sentence, short_reason, skipped_sentence, used_sentence


def files(*reasons: str) -> tuple[Skipped, ...]:
    return tuple(Skipped(file=f"{number}.jpg", reason=reason) for number, reason in enumerate(reasons))


def test_pictures_are_counted_by_class_and_many_classes_are_not_all_named(tiny_dataset):
    assert used_sentence(tiny_dataset) == "30 pictures of 3 classes: discs 10, squares 10, stripes 10."

    many = replace(tiny_dataset, class_names=tuple(f"c{number}" for number in range(9)))
    assert used_sentence(many).endswith("c5 0 and 3 more.")


def test_what_was_skipped_is_summed_by_reason(tiny_dataset):
    assert skipped_sentence(tiny_dataset) == ""

    cut = "is cut off (the file is incomplete); re-export or download it again"
    told = replace(tiny_dataset, skipped=files(cut), ignored=files("not a picture", "is not a picture (text file)"))
    assert skipped_sentence(told) == "3 files skipped: not a picture (2), cut off."
    large = replace(tiny_dataset, skipped=files("is 63 megapixels; the limit is 50: resize it"))
    assert skipped_sentence(large) == "1 file skipped: 63 megapixels."
    four = replace(tiny_dataset, ignored=files("is a", "is b", "is c", "is d"))
    assert skipped_sentence(four) == "4 files skipped: a, b, c, 1 for other reasons."


@pytest.mark.parametrize(
    ("reason", "short"),
    [
        ("is JPEG 2000, which is not read; export as PNG or JPEG", "JPEG 2000"),
        ("is a table of numbers (NumPy), not a picture file; export it as PNG", "a table of numbers"),
        ("cannot be opened", "cannot be opened"),
    ],
)
def test_a_reason_is_said_without_its_advice(reason, short):
    assert short_reason(reason) == short


def test_a_class_of_which_nothing_could_be_used_is_named(tiny_dataset):
    folder = ClassFolder(path="worms", name="worms", files=3, used=0, reason="3 files: not a picture")

    assert empty_classes_sentence(tiny_dataset) == ""
    told = replace(tiny_dataset, class_folders=(folder,))
    assert empty_classes_sentence(told) == "The class worms had no usable picture."
