"""What holds for every listing, whatever it is: nothing is lost, nothing depends on order or on a folder around it."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data.reading.layout import Layout, Listing, find_layout
from core.errors import DatasetError, LayoutQuestion

FOLDERS = (
    "cats",
    "dogs",
    "train",
    "test_set",
    "val",
    "fold1",
    "fold2",
    "images",
    "masks",
    "Train",
    "a",
    "b",
    "figures",
)
FILES = ("1.jpg", "2.png", "cat.3.jpg", "notes.txt", ".DS_Store", "labels.csv", "4")
PATHS = st.tuples(st.lists(st.sampled_from(FOLDERS), max_size=4), st.sampled_from(FILES))
NAMES = st.lists(PATHS.map(lambda row: "/".join([*row[0], row[1]])), min_size=1, max_size=40, unique=True)
TRIES = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def layout_or_words(names: list[str], layout: str = "auto") -> Layout | str:
    """What a listing is read as, or why not."""
    try:
        return find_layout(Listing(names=tuple(names)), layout=layout)
    except DatasetError as error:
        return str(error)


@TRIES
@given(NAMES)
def test_every_file_is_placed_or_named_once(names: list[str]):
    found = layout_or_words(names)
    if isinstance(found, str):
        assert found.endswith((".", ")"))
        return

    assert sorted([p.name for p in found.placed] + [name for name, _ in found.ignored]) == sorted(names)
    assert len(found.class_names) > 1 and found.read_as
    assert all(picture.class_name in picture.name.split("/") for picture in found.placed)
    assert {picture.split for picture in found.placed} in ({None}, *({"train", *rest} for rest in _PARTS))


_PARTS = ((), ("val",), ("test",), ("val", "test"))


@TRIES
@given(NAMES, st.randoms(use_true_random=False))
def test_the_order_of_names_does_not_matter(names: list[str], dice):
    shuffled = names.copy()
    dice.shuffle(shuffled)

    assert layout_or_words(shuffled) == layout_or_words(names)


@TRIES
@given(NAMES, st.sampled_from(["data", "My pictures", "archive/2024"]))
def test_a_folder_around_everything_changes_nothing(names: list[str], wrapper: str):
    bare, wrapped = layout_or_words(names), layout_or_words([f"{wrapper}/{name}" for name in names])
    if isinstance(bare, str) or isinstance(wrapped, str):
        assert type(bare) is type(wrapped)
        return

    assert [(p.class_name, p.split) for p in wrapped.placed] == [(p.class_name, p.split) for p in bare.placed]
    assert wrapped.read_as == bare.read_as


@TRIES
@given(NAMES)
def test_whatever_is_offered_can_be_had(names: list[str]):
    try:
        find_layout(Listing(names=tuple(names)))
    except LayoutQuestion as question:
        for layout, _ in question.offers:
            assert len(find_layout(Listing(names=tuple(names)), layout=layout).class_names) > 1
    except DatasetError:
        pass
