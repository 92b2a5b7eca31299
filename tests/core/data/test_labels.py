"""Labels in tables and in the names of files."""

import pytest

from core.data.labels import is_table, labellings, labels_in_names
from core.data.layout import Layout, Listing, find_layout
from core.errors import DatasetError, LayoutQuestion

PICTURES = [f"train/{number:03}.jpg" for number in range(24)]
KINDS = ["ant" if number < 12 else "bee" for number in range(24)]


def table(header: str, *rows: str) -> bytes:
    return "\n".join((header, *rows)).encode()


def layout_of(tables: dict[str, bytes], pictures: list[str] = PICTURES, layout: str = "auto") -> Layout:
    listing = Listing(names=(*pictures, *tables))
    return find_layout(listing, head=lambda name: b"", read=tables.__getitem__, layout=layout)


@pytest.mark.parametrize(
    "value", ["{n:03}", "{n:03}.jpg", "train/{n:03}.jpg", "./train/{n:03}.jpg", "x/train/{n:03}.jpg"]
)
@pytest.mark.parametrize("header", ["id,breed", "Filename;label", "image\tspecies"])
def test_files_are_found_with_and_without_folder_and_ending(value: str, header: str):
    sign = next(sign for sign in ",;\t" if sign in header)
    rows = [f"{value.format(n=number)}{sign}{kind}" for number, kind in enumerate(KINDS)]
    found = layout_of({"labels.csv": table(header, *rows)})

    assert [picture.class_name for picture in found.placed] == KINDS
    assert found.read_as.startswith("classes ant and bee, from the column ")
    assert found.ignored == (("labels.csv", "read for its labels"),)


def test_a_table_of_each_part_names_its_own_pictures():
    pictures = [f"{part}/{number}.jpg" for part in ("train", "test") for number in range(12)]
    rows = {
        part: [f"{n}.jpg,{'ant' if (n + (part == 'test')) % 2 else 'bee'}" for n in range(12)]
        for part in ("train", "test")
    }
    tables = {f"{part}/metadata.csv": table("file_name,label", *rows[part]) for part in rows}

    found = layout_of(tables, pictures)

    assert {(p.class_name, p.split) for p in found.placed} == {
        (k, s) for k in ("ant", "bee") for s in ("train", "test")
    }
    for picture in found.placed:
        number, is_test = int(picture.name.split("/")[1].removesuffix(".jpg")), picture.split == "test"
        assert picture.class_name == ("ant" if (number + is_test) % 2 else "bee")


def test_a_column_may_name_the_part():
    rows = [f"{n:03},{kind},{'train' if n % 3 else 'valid'}" for n, kind in enumerate(KINDS)]
    found = layout_of({"labels.csv": table("id,class,split", *rows)})

    assert {picture.split for picture in found.placed} == {"train", "val"}
    assert all((int(p.name[6:9]) % 3 == 0) == (p.split == "val") for p in found.placed)


def test_a_column_for_each_class_is_read():
    rows = [f"{n:03},{float(kind == 'ant')},{float(kind == 'bee')}" for n, kind in enumerate(KINDS)]
    found = layout_of({"truth.csv": table("image,ant,bee", *rows)})

    assert [picture.class_name for picture in found.placed] == KINDS


def test_words_are_preferred_to_numbers_that_say_the_same():
    rows = [f"{int(kind == 'bee')},{n:03}.jpg,{kind}" for n, kind in enumerate(KINDS)]

    assert layout_of({"a.csv": table("class,filepaths,labels", *rows)}).class_names == ("ant", "bee")


def test_a_table_without_a_header_is_read():
    rows = [f"{n:03}.jpg,{kind}" for n, kind in enumerate(KINDS)]

    assert [p.class_name for p in layout_of({"labels.csv": table(*rows)}).placed] == KINDS


def test_two_columns_that_could_be_the_labels_are_asked_about():
    rows = [f"{n:03},{kind},{'red' if n % 2 else 'blue'}" for n, kind in enumerate(KINDS)]
    tables = {"labels.csv": table("id,insect,colour", *rows)}

    with pytest.raises(LayoutQuestion) as caught:
        layout_of(tables)

    assert [layout for layout, _ in caught.value.offers] == ["table:insect", "table:colour"]
    assert layout_of(tables, layout="table:colour").class_names == ("blue", "red")


def test_pictures_and_rows_without_the_other_are_counted():
    rows = [f"{n:03},{kind}" for n, kind in enumerate(KINDS)] + ["gone1,ant", "gone2,bee"]
    found = layout_of({"labels.csv": table("id,breed", *rows)}, [*PICTURES, "test/900.jpg"])

    assert dict(found.ignored)["test/900.jpg"] == "not in labels.csv"
    assert any(notice.startswith("2 rows of labels.csv") for notice in found.notices)
    assert len(found.placed) == 24


def test_a_picture_with_two_labels_has_none():
    rows = [f"{n:03},{kind}" for n, kind in enumerate(KINDS)] + ["000,bee"]

    assert len(layout_of({"labels.csv": table("id,breed", *rows)}).placed) == 23


def test_a_name_that_is_there_twice_is_no_name():
    rows = [f"{n},{kind}" for n, kind in enumerate(KINDS)]
    pictures = [f"{folder}/{n}.jpg" for folder in ("a1", "a2") for n in range(24)]

    assert labellings(["labels.csv"], lambda name: table("id,breed", *rows), pictures) == []


def test_class_folders_come_before_a_table_that_says_the_same():
    pictures = [f"{kind}/{n:03}.jpg" for n, kind in enumerate(KINDS)]
    rows = [f"{name},{kind.upper()}" for name, kind in zip(pictures, KINDS, strict=True)]
    found = layout_of({"all.csv": table("path,label", *rows)}, pictures)

    assert found.class_names == ("ant", "bee") and "not needed" in found.notices[0]


def test_a_table_that_contradicts_the_folders_is_asked_about():
    pictures = [f"{'first' if n % 2 else 'second'}/{n:03}.jpg" for n in range(24)]
    rows = [f"{name},{kind}" for name, kind in zip(pictures, KINDS, strict=True)]

    with pytest.raises(LayoutQuestion) as caught:
        layout_of({"all.csv": table("path,label", *rows)}, pictures)

    assert [layout for layout, _ in caught.value.offers] == ["folders", "table"]


@pytest.mark.parametrize("value", ["../../etc/train/{n:03}.jpg", "/root/{n:03}.jpg", "file:///x/{n:03}.jpg"])
def test_a_table_that_leads_out_of_the_folder_is_refused(value: str):
    rows = [f"{value.format(n=number)},{kind}" for number, kind in enumerate(KINDS)]

    with pytest.raises(DatasetError, match="tries to leave the folder"):
        layout_of({"labels.csv": table("id,breed", *rows)})


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"a", b"id,breed", b'"' * 300_000, b"x,y\n1,2\n3,4\n"])
def test_a_table_of_nothing_labels_nothing(content: bytes):
    assert labellings(["labels.csv"], lambda name: content, PICTURES) == []


def test_a_form_to_hand_in_is_no_table_of_labels():
    assert not is_table("sample_submission.csv") and is_table("a/Labels.CSV")


def test_labels_stand_in_names_only_where_many_pictures_share_them():
    assert set(labels_in_names([f"{k}.{n}.jpg" for k in ("cat", "dog") for n in range(5)]).values()) == {"cat", "dog"}
    assert set(labels_in_names([f"{n}_{k} ({n}).jpg" for k in ("cat", "dog") for n in range(5)]).values()) == {
        "cat",
        "dog",
    }
    assert labels_in_names([f"IMG_{n}.jpg" for n in range(9)] + [f"DSC_{n}.jpg" for n in range(9)]) == {}
    assert labels_in_names(["tree.jpg", "house.jpg", "boat.jpg", "sea.jpg"]) == {}
