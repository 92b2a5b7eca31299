"""Folders that can be read in several ways: what a person is asked, and what is no class without being asked about."""

import pytest
from helpers import some

from core.data.reading.layout import find_layout
from core.errors import DatasetError, LayoutQuestion


@pytest.mark.parametrize(
    ("names", "offers"),
    [
        (some("ants/day", "ants/night", "bees/day", "bees/night"), ["subfolders", "folders"]),
        (
            some("amazon/images/mug", "amazon/images/pen", "dslr/images/mug", "dslr/images/pen"),
            ["subfolders", "folders"],
        ),
        (some("ok/2019", "ok/2020", count=200) + some("scratched", count=30), ["subfolders", "folders"]),
        (some("train/steam", "train/bullet", "car", "plane"), ["subfolders", "folders"]),
        (some("cats", "dogs", "test"), ["labelled", "folders"]),
        (["train/1.jpg", "plane/1.jpg", "val/1.jpg"], ["labelled", "folders"]),
        (
            [f"train/{kind}.{i}.jpg" for kind in ("cat", "dog") for i in range(12)] + some("test1"),
            ["file-names"],
        ),
        ([f"pics/{kind}_{i}.jpg" for kind in ("Abyssinian", "Bengal") for i in range(12)], ["file-names"]),
        (some("images_part_1", "images_part_2"), ["folders"]),
    ],
)
def test_where_two_readings_are_possible_a_person_is_asked(names: list[str], offers: list[str]):
    with pytest.raises(LayoutQuestion, match="give --layout") as caught:
        find_layout(names)

    assert [layout for layout, _ in caught.value.offers] == offers
    for layout, said in caught.value.offers:  # and each can be had
        found = find_layout(names, layout=layout)
        assert len(found.class_names) >= 2
        assert said.startswith((found.read_as[:20], "classes from the names"))


def test_what_two_readings_give():
    names = some("ants/day", "ants/night", "bees/day", "bees/night")

    assert find_layout(names, layout="folders").class_names == ("ants", "bees")
    assert find_layout(names, layout="subfolders").class_names == ("day", "night")


def test_labels_in_the_names_of_files_are_read_when_asked_for():
    names = [f"train/{kind}.{i}.jpg" for kind in ("cat", "dog") for i in range(12)] + some("test1", count=3)
    layout = find_layout(names, layout="file-names")

    assert layout.class_names == ("cat", "dog") and len(layout.placed) == 24
    assert layout.notices == ("3 pictures no label in its name: left out.",)


@pytest.mark.parametrize(
    "names",
    [[f"pics/IMG_{i}.jpg" for i in range(20)], [f"pics/{word}.jpg" for word in ("tree", "house", "boat", "sea")]],
)
def test_names_that_are_just_names_are_no_labels(names: list[str]):
    with pytest.raises(DatasetError, match="found 1: pics") as caught:
        find_layout(names)

    assert not isinstance(caught.value, LayoutQuestion)


def test_a_copy_of_everything_within_itself_is_left_out():
    names = some("flowers/daisy", "flowers/rose", "flowers/flowers/daisy", "flowers/flowers/rose")
    layout = find_layout(names)

    assert layout.class_names == ("daisy", "rose") and len(layout.placed) == 24
    assert layout.notices == ("Left out, in a copy of the folder within itself: flowers/flowers (24 pictures).",)


def test_masks_beside_pictures_are_no_pictures():
    layout = find_layout(some("COVID/images", "COVID/masks", "Normal/images", "Normal/masks"))

    assert layout.class_names == ("COVID", "Normal") and len(layout.placed) == 24
    assert layout.notices[-1] == "Left out, in a folder of masks or annotations: masks (24 pictures)."


@pytest.mark.parametrize("stray", ["figures", "docs", "screenshots/new", "examples"])
def test_a_stray_neighbour_stops_nothing(stray: str):
    layout = find_layout([*some("PetImages/Cat", "PetImages/Dog"), *some(stray, count=2)])

    assert layout.class_names == ("Cat", "Dog")
    assert "(2 pictures)" in layout.notices[0]


def test_folders_within_a_class_are_named():
    layout = find_layout(some("cats/indoors", "cats/outdoors", "dogs/park"))

    assert layout.class_names == ("cats", "dogs")
    assert "indoors, outdoors and park" in layout.notices[0]


@pytest.mark.parametrize(
    "names", [[f"s{i}" for i in range(1, 5)], ["00000", "00001"], ["class1", "class2"], ["0", "1"]]
)
def test_numbered_folders_may_be_classes(names: list[str]):
    assert find_layout(some(*names)).class_names == tuple(names)


@pytest.mark.parametrize(
    "names",
    [
        [*some("train/train", "test1/test1"), *(f"train/train/cat.{n}.jpg" for n in range(12))],
        some("cars_train/cars_train", "cars_test/cars_test"),
        some("train/images", "test/imgs"),
        some("train/images", "train/masks", "val/images", "val/masks"),
        some("images", "masks"),
        some("images", "annotations/trimaps"),
    ],
)
def test_folders_around_pictures_and_masks_are_never_taken_for_classes(names: list[str]):
    with pytest.raises(DatasetError, match=r"No class folders|found 1: images"):
        find_layout(names)
    assert len(find_layout(names, layout="folders").class_names) == 2


@pytest.mark.parametrize("wrapper", ["segmentations", "masks", "Annotations"])
def test_masks_beside_the_pictures_are_left_out_and_named(wrapper: str):
    layout = find_layout(some("CUB/images/001.a", "CUB/images/002.b", f"{wrapper}/001.a", f"{wrapper}/002.b"))

    assert layout.class_names == ("001.a", "002.b")
    assert len(layout.placed) == 24
    assert f"Left out, in a folder of masks or annotations: {wrapper} (24 pictures)." in layout.notices
    assert set(layout.ignored) == {
        (n, "in a folder of masks or annotations") for n in some(f"{wrapper}/001.a", f"{wrapper}/002.b")
    }


@pytest.mark.parametrize("names", [("mask", "no_mask"), ("with_mask", "without_mask"), ("Mask", "Bare")])
def test_masks_may_be_what_the_pictures_show(names: tuple[str, ...]):
    assert find_layout(some(*names)).class_names == tuple(sorted(names))


def test_labels_in_the_names_of_files_are_none_of_masks():
    names = [f"{home}/{kind}_{n}.jpg" for home in ("images", "masks") for kind in ("cat", "dog") for n in range(9)]
    layout = find_layout(names, layout="file-names")

    assert {picture.name for picture in layout.placed} == {name for name in names if name.startswith("images")}


@pytest.mark.parametrize(
    ("names", "finer"),
    [
        (some("lung/aca", "lung/scc", "colon/adeno", "colon/benign"), ["aca", "adeno", "benign", "scc"]),
        (some("A/x", "A/y", "B/x", "B/z"), ["x", "y", "z"]),
        (some("cat/tom", "cat/kitty", "dog/rex", "dog/fido", "bird"), ["bird", "fido", "kitty", "rex", "tom"]),
    ],
)
def test_kinds_within_classes_are_asked_about(names: list[str], finer: list[str]):
    with pytest.raises(LayoutQuestion) as asked:
        find_layout(names)
    assert [offer for offer, _ in asked.value.offers] == ["folders", "subfolders"]
    assert list(find_layout(names, layout="subfolders").class_names) == finer
    assert len(find_layout(names, layout="subfolders").placed) == len(names)


@pytest.mark.parametrize("inner", [("camera left", "camera right"), ("raw", "augmented"), ("session 1", "session 2")])
def test_sources_within_classes_are_not_asked_about(inner: tuple[str, ...]):
    assert find_layout(some(*(f"{c}/{i}" for c in ("cat", "dog") for i in inner))).class_names == ("cat", "dog")


@pytest.mark.parametrize("stray", ["samples", "predictions", "labels", "New folder"])
def test_a_few_pictures_beside_the_classes_are_asked_about(stray: str):
    names = [*some("cat", "dog"), f"{stray}/0.jpg"]
    with pytest.raises(LayoutQuestion) as asked:
        find_layout(names)
    assert [offer for offer, _ in asked.value.offers] == ["labelled", "folders"]
    assert find_layout(names, layout="labelled").class_names == ("cat", "dog")


@pytest.mark.parametrize("kind", ["other", "unknown", "misc"])
def test_pictures_of_none_of_the_others_are_a_class(kind: str):
    assert kind in find_layout([*some("cat", "dog"), f"{kind}/0.jpg"]).class_names


def test_where_every_folder_is_found_in_all_others_none_is_a_copy():
    names = some(*(f"{outer}/{inner}" for outer in "abcd" for inner in "abcd"))
    with pytest.raises(LayoutQuestion) as asked:
        find_layout(names)

    assert {offer for offer, _ in asked.value.offers} == {"folders", "subfolders"}
    assert find_layout(names, layout="folders").class_names == ("a", "b", "c", "d")
