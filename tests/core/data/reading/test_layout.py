"""From names to classes and splits."""

from collections.abc import Iterable
from contextlib import suppress

import pytest
from helpers import some

from core.data.reading import structure
from core.data.reading.layout import Layout, Listing, find_layout
from core.errors import DatasetError, LayoutQuestion

CLASSES = ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg"]
SPLITS = ["train/cats/1.jpg", "train/dogs/2.jpg", "val/cats/3.jpg", "val/dogs/4.jpg"]


def below(folder: str, names: list[str]) -> list[str]:
    return [f"{folder}/{name}" for name in names]


def placed(layout: Layout) -> set[tuple[str, str | None]]:
    return {(picture.class_name, picture.split) for picture in layout.placed}


def test_folders_are_classes():
    layout = find_layout(CLASSES)

    assert [(p.name, p.class_name, p.split) for p in layout.placed] == [
        ("cats/1.jpg", "cats", None),
        ("cats/2.jpg", "cats", None),
        ("dogs/1.jpg", "dogs", None),
    ]
    assert layout.class_names == ("cats", "dogs")
    assert layout.ignored == ()


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val", "VALIDATION"])
@pytest.mark.parametrize("train", ["train", "training", "Train"])
def test_train_and_val_folders_are_splits_by_any_of_their_names(train: str, val: str):
    layout = find_layout([f"{train}/cats/1.jpg", f"{train}/dogs/2.jpg", f"{val}/cats/3.jpg", f"{val}/dogs/4.jpg"])

    assert placed(layout) == {(name, split) for name in ("cats", "dogs") for split in ("train", "val")}


@pytest.mark.parametrize("test", ["test", "testing", "TEST"])
def test_a_test_folder_is_the_test_part(test: str):
    layout = find_layout([*SPLITS, f"{test}/cats/5.jpg", f"{test}/dogs/6.jpg"])

    assert {split for _, split in placed(layout)} == {"train", "val", "test"}


def test_train_and_test_without_val_are_splits():
    layout = find_layout(["train/cats/1.jpg", "train/dogs/1.jpg", "test/cats/2.jpg"])

    assert {split for _, split in placed(layout)} == {"train", "test"}


@pytest.mark.parametrize("wrapper", ["data", "hymenoptera_data", "a/b/c", "cats", "My pictures (1)"])
@pytest.mark.parametrize("names", [CLASSES, SPLITS], ids=["classes", "splits"])
def test_folders_around_everything_are_taken_off(wrapper: str, names: list[str]):
    wrapped = find_layout(below(wrapper, names))

    assert placed(wrapped) == placed(find_layout(names))
    assert [picture.name for picture in wrapped.placed] == below(wrapper, names)


def test_a_stray_picture_beside_the_wrapper_does_not_keep_it():
    layout = find_layout(["logo.png", "data/cats/1.jpg", "data/dogs/1.jpg", "data/cover.png"])

    assert layout.class_names == ("cats", "dogs")
    assert dict(layout.ignored) == dict.fromkeys(("logo.png", "data/cover.png"), "not in a class folder")


def test_a_stray_file_beside_the_wrapper_does_not_hide_it():
    layout = find_layout([*below("data", CLASSES), "README.md", ".DS_Store", "__MACOSX/data/cats/._1.jpg"])

    assert layout.class_names == ("cats", "dogs")


@pytest.mark.parametrize("ending", ["jpg", "JPG", "Jpeg", "PNG", "webp", "BMP", "tif", "TIFF", "avif"])
def test_endings_of_pictures_count_in_any_case(ending: str):
    assert len(find_layout([*CLASSES, f"cats/9.{ending}"]).placed) == 4


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".DS_Store", "system file"),
        ("cats/.DS_Store", "system file"),
        ("__MACOSX/cats/._1.jpg", "system file"),
        ("cats/._1.jpg", "system file"),
        ("cats/Thumbs.db", "system file"),
        ("dogs/desktop.ini", "system file"),
        (".git/objects/1.jpg", "system file"),
        ("cats/notes.txt", "not a picture"),
        ("labels.csv", "not a picture"),
        ("cats/more.zip", "archive inside an archive is not opened"),
        ("cover.jpg", "not in a class folder"),
    ],
)
def test_stray_files_are_ignored_with_a_reason(name: str, reason: str):
    layout = find_layout([*CLASSES, name])

    assert layout.ignored == ((name, reason),)
    assert len(layout.placed) == len(CLASSES)


def test_every_file_is_either_placed_or_ignored():
    names = [*SPLITS, "train/1.jpg", "extra/cats/1.jpg", "train/cats/x.gif", "a.txt", ".x"]
    layout = find_layout(names)

    assert sorted([p.name for p in layout.placed] + [name for name, _ in layout.ignored]) == sorted(names)


def test_pictures_beside_the_split_folders_are_ignored():
    assert dict(find_layout([*SPLITS, "extra/cats/1.jpg"]).ignored) == {
        "extra/cats/1.jpg": "outside train, val and test"
    }


def test_a_class_of_gifs_only_is_a_class():
    assert find_layout(["cats/1.gif", "cats/2.GIF", "dogs/1.jpg"]).class_names == ("cats", "dogs")


def test_a_class_called_train_is_a_class():
    layout = find_layout(["train/1.jpg", "train/2.jpg", "plane/1.jpg"])

    assert placed(layout) == {("train", None), ("plane", None)}


def test_a_class_called_train_below_the_splits_is_a_class():
    layout = find_layout(["train/train/1.jpg", "train/plane/2.jpg", "val/train/3.jpg", "val/plane/4.jpg"])

    assert layout.class_names == ("plane", "train")
    assert {split for _, split in placed(layout)} == {"train", "val"}


def test_pictures_in_folders_below_a_class_belong_to_it():
    assert placed(find_layout([*CLASSES, "cats/old/summer/9.jpg"])) == {("cats", None), ("dogs", None)}


def test_a_train_folder_alone_holds_classes():
    assert placed(find_layout(["train/cats/1.jpg", "train/dogs/1.jpg"])) == {("cats", "train"), ("dogs", "train")}


def test_the_order_of_names_does_not_matter():
    assert find_layout(SPLITS[::-1]) == find_layout(SPLITS)


@pytest.mark.parametrize(
    "names", [["cats/1.jpg", "cats/2.jpg"], ["data/cats/1.jpg"], ["train/cats/1.jpg", "val/cats/2.jpg"]]
)
def test_one_class_is_refused_by_name(names: list[str]):
    with pytest.raises(DatasetError, match=r"At least 2 classes.*found 1: cats\. Expected one folder per class"):
        find_layout(names)


@pytest.mark.parametrize("names", [["1.jpg", "2.jpg"], ["1.jpg", "notes/read.txt"]], ids=repr)
def test_pictures_without_folders_are_refused_with_an_example(names: list[str]):
    with pytest.raises(DatasetError, match=r"No class folders found: \d pictures? lie.*cats/1\.jpg"):
        find_layout(names)


@pytest.mark.parametrize("names", [[], ["a.txt", "b/c.md"]], ids=repr)
def test_no_picture_at_all_is_refused_with_the_number_of_files(names: list[str]):
    with pytest.raises(DatasetError, match=f"No pictures found among {len(names)} files"):
        find_layout(names)


CATS_AND_DOGS = {("cats", "train"), ("dogs", "train"), ("cats", "test"), ("dogs", "test")}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set/training_set", "test_set/test_set"),
        ("train_data", "test_data"),
        ("Training Data", "Testing Data"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("animals10_train", "animals10_test"),
        ("trainset", "testset"),
        ("train (1)", "test (1)"),
        ("images_train_256", "images_test_256"),
        ("data/split/train", "data/split/test"),
        ("train/animals", "test/animals"),
        ("train/images/animals", "test/images/animals"),
        ("test/train", "test/test"),
    ],
)
def test_parts_are_told_by_what_is_in_them_whatever_else_their_names_say(train: str, test: str):
    layout = find_layout(some(*(f"{part}/{name}" for part in (train, test) for name in ("cats", "dogs"))))

    assert placed(layout) == CATS_AND_DOGS
    assert layout.ignored == ()
    assert layout.read_as.startswith("parts train and test") and layout.read_as.endswith("classes cats and dogs")


def test_pictures_to_be_predicted_beside_the_parts_are_left_out_by_name():
    names = some("d/training_set/cats", "d/training_set/dogs", "d/test_set/cats", "d/test_set/dogs")
    layout = find_layout([*names, "d/single_prediction/cat_or_dog_1.jpg"])

    assert placed(layout) == CATS_AND_DOGS
    assert layout.notices == ("Left out, in a folder without class folders: d/single_prediction (1 picture).",)
    assert [name for name, _ in layout.ignored] == ["d/single_prediction/cat_or_dog_1.jpg"]


def test_val_and_test_alone_are_divided_anew_and_that_is_said():
    layout = find_layout(some("test/cats", "test/dogs", "val/cats", "val/dogs"))

    assert placed(layout) == {("cats", None), ("dogs", None)}
    assert "no train folder" in layout.notices[0]


@pytest.mark.parametrize("wrapper", ["test", "val", "validation", "testing", "Test 1"])
def test_a_wrapper_may_be_called_like_a_part(wrapper: str):
    assert placed(find_layout(some(f"{wrapper}/cats", f"{wrapper}/dogs"))) == {("cats", None), ("dogs", None)}


@pytest.mark.parametrize(
    "names",
    [
        some("ants/train", "ants/test", "bees/train", "bees/test"),
        some("train_ants", "train_bees", "test_ants", "test_bees"),
        some(*(f"{site}/{part}/{name}" for site in "XY" for part in ("train", "test") for name in ("ants", "bees"))),
    ],
    ids=["parts within classes", "one name for both", "sources with parts"],
)
def test_parts_and_classes_are_found_the_other_way_round_too(names: list[str]):
    layout = find_layout(names)

    assert placed(layout) == {(name, part) for name in ("ants", "bees") for part in ("train", "test")}
    assert len(layout.placed) == len(names)


@pytest.mark.parametrize("names", [("fold1", "fold2", "fold3"), ("camera A", "camera B"), ("dataset1", "dataset2")])
def test_folds_and_sources_are_no_classes(names: tuple[str, ...]):
    layout = find_layout(some(*(f"{name}/{kind}" for name in names for kind in ("ants", "bees"))))

    assert placed(layout) == {("ants", None), ("bees", None)}
    assert layout.read_as == f"classes ants and bees, from the folders {', '.join(names[:-1])} and {names[-1]}"


def test_a_part_with_other_folders_than_train_is_left_out():
    layout = find_layout(some("train/n01/images", "train/n02/images", "val/images"))

    assert placed(layout) == {("n01", "train"), ("n02", "train")}
    assert layout.notices[0] == "Left out, in a folder without class folders: val (12 pictures)."
    layout = find_layout(some("train/n01", "train/n02", "val/n03", "val/n04"))
    assert layout.notices[0] == "Left out, in none of the classes that train has: val (24 pictures)."


@pytest.mark.parametrize("system", ["$RECYCLE.BIN", "@eaDir", "__MACOSX", "System Volume Information", ".Trash"])
def test_folders_of_the_system_are_no_classes(system: str):
    assert find_layout([*CLASSES, f"{system}/1.jpg", f"cats/{system}/1.jpg"]).class_names == ("cats", "dogs")


def test_every_class_folder_is_accounted_for():
    listing = Listing(
        names=(*SPLITS, "train/worms/1.txt"), folders=("train/worms", "val/snails", "extra"), links=("train/cows",)
    )
    layout = find_layout(listing)

    folders = {path: why for path, _, why in layout.class_folders}
    assert set(folders) == {
        "train/cats",
        "train/dogs",
        "val/cats",
        "val/dogs",
        "train/worms",
        "val/snails",
        "train/cows",
    }
    assert folders["train/cows"] == "is a link, which is not followed"


def test_a_layout_that_there_is_not_is_named():
    with pytest.raises(DatasetError, match="no layout 'upside-down'; choose from: auto, folders"):
        find_layout(CLASSES, layout="upside-down")


def test_a_train_folder_in_another_language_is_found_beside_val_and_test():
    parts = ("entrainement", "validation", "test")
    layout = find_layout(some(*(f"{part}/{c}" for part in parts for c in ("a", "b"))))

    assert {(p.name.partition("/")[0], p.split) for p in layout.placed} == set(
        zip(parts, ("train", "val", "test"), strict=True)
    )


def test_a_test_folder_without_classes_does_not_make_the_parts_a_question():
    layout = find_layout([*some("asl_train/asl_train/A", "asl_train/asl_train/B", count=2), *some("asl_test/asl_test")])

    assert placed(layout) == {("A", "train"), ("B", "train")}
    assert layout.notices[0] == "Left out, in a folder without class folders: asl_test (12 pictures)."


def test_parts_within_wrappers_beside_each_other_are_parts():
    parts = some("data/train/a", "data/train/b", "data/val/a", "data/val/b")
    layout = find_layout([*parts, *below("thumbs", parts)])

    assert placed(layout) == {(c, s) for c in ("a", "b") for s in ("train", "val")}
    assert layout.read_as.endswith("from the folders data and thumbs")
    with pytest.raises(LayoutQuestion, match="parts train and val, classes a, b, c and d"):
        find_layout([*parts, *some("more/train/c", "more/train/d", "more/val/c", "more/val/d")])


@pytest.mark.parametrize("names", [["cats.zip", "dogs.zip"], ["cats/1.jpg", "cats/2.jpg", "dogs.zip"]])
def test_archives_inside_are_named_where_pictures_are_missed(names: list[str]):
    with pytest.raises(DatasetError, match=r"Archives inside it are not opened \(.*dogs\.zip\): unpack them first"):
        find_layout(names)


@pytest.mark.parametrize("form", ["{n}/1.jpg", "p{n}/0/1.jpg p{n}/1/1.jpg", "a/{n}/1.jpg b/{n}/1.jpg"])
def test_the_work_grows_with_the_number_of_folders_and_not_with_its_square(form: str, monkeypatch: pytest.MonkeyPatch):
    looked_at = 0
    real = structure.common

    def counting(names: Iterable[str]) -> set[str]:
        nonlocal looked_at
        found = list(names)
        looked_at += len(found)
        return real(found)

    monkeypatch.setattr(structure, "common", counting)
    names = [name for n in range(900) for name in form.format(n=n).split()]
    with suppress(LayoutQuestion):
        find_layout(names)
    assert looked_at < 20 * len(names)
