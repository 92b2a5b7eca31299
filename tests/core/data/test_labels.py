"""What is known about labels is kept beside a data set, and goes along where it is edited."""

import pytest
from helpers import doubt

from core.data.dataset import Dataset
from core.data.edit import delete, mend_labels, move_pictures, rename_class
from core.data.labels import (
    CHECK,
    RIGHT,
    ask_again,
    keep_labels,
    kept_suspects,
    load_check,
    open_suspects,
    save_check,
)
from core.errors import DatasetError


def asked_about(dataset: Dataset) -> list[int]:
    return [suspect.picture for suspect in open_suspects(dataset)]


def test_a_label_that_was_kept_is_not_asked_about_again_until_all_are(tiny_dataset):
    save_check(tiny_dataset, doubt(tiny_dataset, 3, 12, 5))

    keep_labels(tiny_dataset, [12])
    keep_labels(tiny_dataset, [3])
    assert asked_about(tiny_dataset) == [5]
    assert [suspect.picture for suspect in kept_suspects(tiny_dataset)] == [3, 12]
    save_check(tiny_dataset, doubt(tiny_dataset, 12, 14))  # another network doubts it, too
    assert asked_about(tiny_dataset) == [14]

    ask_again(tiny_dataset)
    assert asked_about(tiny_dataset) == [12, 14]


def test_an_edit_takes_along_what_is_left_to_decide(tiny_dataset):
    save_check(tiny_dataset, doubt(tiny_dataset, 3, 12, 5, 14))
    keep_labels(tiny_dataset, [5])

    edited = mend_labels(tiny_dataset, {3: "stripes"}, gone=[12])

    assert len(edited.pictures) == 29 and asked_about(tiny_dataset) == [3, 12, 14], "the old set stays as it was"
    (left,) = open_suspects(edited)
    assert edited.pictures[left.picture].content == tiny_dataset.pictures[14].content
    assert [suspect.given for suspect in kept_suspects(edited)] == ["discs"]
    mended = [row for row in edited.pictures if row.content == tiny_dataset.pictures[3].content]
    assert [edited.class_names[picture.target] for picture in mended] == ["stripes"]


def test_a_picture_that_has_another_class_now_is_suspected_no_more(tiny_dataset):
    save_check(tiny_dataset, doubt(tiny_dataset, 3))

    assert asked_about(move_pictures(tiny_dataset, [3], "stripes")) == []


def test_a_class_that_is_called_otherwise_takes_what_is_known_about_its_labels_with_it(tiny_dataset):
    save_check(tiny_dataset, doubt(tiny_dataset, 3, 12, 5))
    keep_labels(tiny_dataset, [5])
    given, suggested = open_suspects(tiny_dataset)[0].given, open_suspects(tiny_dataset)[0].suggested

    renamed = rename_class(rename_class(tiny_dataset, given, "Aa"), suggested, "Zz")
    merged = rename_class(renamed, "Aa", "Zz")

    contents = [one.content for one in open_suspects(tiny_dataset)]
    assert [one.content for one in open_suspects(renamed)] == contents
    assert (open_suspects(renamed)[0].given, open_suspects(renamed)[0].suggested) == ("Aa", "Zz")
    assert [one.content for one in kept_suspects(renamed)] == [one.content for one in kept_suspects(tiny_dataset)]
    assert all(one.given != one.suggested for one in open_suspects(merged)), "they are one class now"


@pytest.mark.parametrize("name", [CHECK, RIGHT])
def test_what_is_damaged_is_as_if_it_never_was(tiny_dataset, name):
    save_check(tiny_dataset, doubt(tiny_dataset, 3))
    keep_labels(tiny_dataset, [3])
    path = tiny_dataset.folder / name
    path.write_bytes(path.read_bytes().replace(tiny_dataset.pictures[3].content.encode(), b"0" * 64))

    assert load_check(tiny_dataset) is None if name == CHECK else asked_about(tiny_dataset) == [3]


def test_a_data_set_that_was_deleted_takes_no_answer(tiny_dataset):
    delete(tiny_dataset)

    with pytest.raises(DatasetError, match="deleted in another window"):
        keep_labels(tiny_dataset, [3])
    assert not tiny_dataset.folder.exists()
