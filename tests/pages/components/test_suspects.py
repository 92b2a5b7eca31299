"""The line that says, wherever a frozen run has ended, that pictures may be mislabelled."""

from helpers import doubt
from streamlit.testing.v1 import AppTest

from core.data.labels import keep_labels, save_check


def page(dataset_id: str) -> None:
    from pages.components.suspects import suspects_line

    suspects_line(dataset_id, "line")


def test_a_line_says_how_many_pictures_may_be_mislabelled_until_all_are_decided(tiny_dataset):
    at = AppTest.from_function(page, default_timeout=60, args=(tiny_dataset.id,))
    assert not at.run().button, "nothing was checked"

    save_check(tiny_dataset, doubt(tiny_dataset, 3, 4))
    assert [button.label for button in at.run().button] == ["2 pictures may be mislabelled"]
    keep_labels(tiny_dataset, [3])
    assert [button.label for button in at.run().button] == ["1 picture may be mislabelled"]
    keep_labels(tiny_dataset, [4])
    assert not at.run().button and not at.exception
