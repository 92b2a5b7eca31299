"""From names to classes and splits."""

import pytest

from core.data.layout import Layout, find_layout
from core.errors import DatasetError

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
        ("cats/imageNotFound.gif", "GIF among photos, taken for a placeholder"),
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
    layout = find_layout(["train/1.jpg", "train/2.jpg", "plane/1.jpg", "val/1.jpg"])

    assert placed(layout) == {("train", None), ("plane", None), ("val", None)}


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
