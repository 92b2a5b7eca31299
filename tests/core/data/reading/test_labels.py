"""Labels in tables and in the names of files."""

import json

import pytest

from core.data.reading.labels import is_table, labellings, labels_in_names
from core.data.reading.layout import Layout, Listing, find_layout
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


@pytest.mark.parametrize("value", ["../../etc/train/{n:03}.jpg", "file:///x/{n:03}.jpg"])
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


def rows_of(header: str = "file,label", sign: str = ",", end: str = "") -> list[str]:
    return [header, *(f"{n:03}.jpg{sign}{kind}{end}" for n, kind in enumerate(KINDS))]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(rows_of()).encode("utf-16"),
        "\n".join(rows_of()).encode("utf-16-le"),
        "\n".join(rows_of()).encode("utf-8-sig"),
        "\r".join(rows_of()).encode(),
        "\r\n".join(rows_of()).encode() + b"\0\0",
        "\n".join(["sep=;", *rows_of("file;label", ";")]).encode(),
        "\n".join(["# labelled by me, in May", *rows_of()]).encode(),
        "\n".join(rows_of('file,label,"a;b;c;d"', end=",x")).encode(),
        "\n".join(rows_of("file,label,remark")).encode(),
        "\n".join(rows_of(end=",")).encode(),
        "\n".join(rows_of("file,label,note", end=',"two\nlines"')).encode(),
        "\n".join([*rows_of(), "x.jpg," + "y" * 200_000]).encode(),
        "\n".join(["label,id", *(f"{kind},{n:03}" for n, kind in enumerate(KINDS))]).encode(),
    ],
)
def test_tables_are_read_however_they_were_saved(content: bytes):
    assert [picture.class_name for picture in layout_of({"labels.csv": content}).placed] == KINDS


def test_letters_are_read_as_the_system_wrote_them_that_saved_the_table():
    content = "\n".join(rows_of()).replace("ant", "K\u00e4fer \u2013 gro\u00df").encode("cp1252")

    assert layout_of({"labels.csv": content}).class_names == ("K\u00e4fer \u2013 gro\u00df", "bee")


def test_json_lines_are_read_like_a_table():
    lines = "\n".join(json.dumps({"file_name": f"{n:03}.jpg", "label": kind}) for n, kind in enumerate(KINDS))

    assert [p.class_name for p in layout_of({"train/metadata.jsonl": lines.encode()}).placed] == KINDS


@pytest.mark.parametrize("value", ["{n:03}.JPG", "{n:03}.png", "TRAIN/{n:03}.jpg", "../train/{n:03}.jpg"])
def test_neither_letter_case_nor_ending_keeps_a_table_from_its_pictures(value: str):
    rows = [f"{value.format(n=n)},{kind}" for n, kind in enumerate(KINDS)]

    assert [p.class_name for p in layout_of({"tables/labels.csv": table("file,label", *rows)}).placed] == KINDS


def test_accents_may_be_written_in_two_ways():
    pictures = [f"train/K\u00e4fer{n}.jpg" for n in range(24)]
    rows = [f"Ka\u0308fer{n}.jpg,{kind}" for n, kind in enumerate(KINDS)]

    assert len(layout_of({"labels.csv": table("file,label", *rows)}, pictures).placed) == 24


@pytest.mark.parametrize("header", [",image,label", "Unnamed: 0,img_id,label", "index,filename,label"])
def test_a_column_that_counts_the_rows_is_not_taken_for_names(header: str):
    pictures = [f"train/{n}.jpg" for n in range(30)]
    rows = [f"{n},{n + 5},{kind}" for n, kind in enumerate(KINDS)]
    found = layout_of({"labels.csv": table(header, *rows)}, pictures)

    assert {picture.name: picture.class_name for picture in found.placed} == {
        f"train/{n + 5}.jpg": kind for n, kind in enumerate(KINDS)
    }


def test_a_table_of_many_more_pictures_than_are_there_is_read():
    rows = [f"gone{n}.jpg,{'ant' if n % 2 else 'bee'}" for n in range(3_000)]
    found = layout_of({"labels.csv": table("file,label", *rows, *rows_of()[1:])})

    assert [picture.class_name for picture in found.placed] == KINDS
    assert any(notice.startswith("3,000 rows of labels.csv") for notice in found.notices)


@pytest.mark.parametrize("folder", ["trainLabels.csv", "train_labels.csv", "Training_GroundTruth.csv"])
def test_a_table_named_for_a_part_is_about_that_part(folder: str):
    pictures = [f"{part}/{n}.png" for part in ("train", "test") for n in range(24)]
    rows = [f"{n},{kind}" for n, kind in enumerate(KINDS)]
    found = layout_of({folder: table("id,label", *rows)}, pictures)

    assert {picture.name for picture in found.placed} == {f"train/{n}.png" for n in range(24)}


def test_measurements_and_missing_values_are_no_classes():
    measured = [f"{n:03},{n * 0.37}" for n in range(24)]
    with pytest.raises(DatasetError, match=r"no column of labels\.csv labels these pictures"):
        layout_of({"labels.csv": table("id,target", *measured)})
    missing = [f"{n:03},{kind if n % 4 else 'NaN'}" for n, kind in enumerate(KINDS)]
    found = layout_of({"labels.csv": table("id,label", *missing)})

    assert found.class_names == ("ant", "bee")
    assert sum(reason == "not in labels.csv" for _, reason in found.ignored) == 6


def test_what_a_column_says_of_parts_is_used_or_spoken_of():
    rows = [f"{n:03},{kind},{('train', 'test', 'unused')[n % 3]}" for n, kind in enumerate(KINDS)]
    found = layout_of({"labels.csv": table("id,label,split", *rows)})

    assert {picture.split for picture in found.placed} == {None}
    assert any("names no part for 8 pictures" in notice for notice in found.notices)


def test_of_two_tables_the_other_is_named():
    tables = {"a.csv": table(*rows_of()), "b.csv": table("id,class", *(f"{n:03},c{n % 3}" for n in range(24)))}

    assert "The table b.csv was not used: a.csv gives the labels." in layout_of(tables).notices


def test_two_tables_that_contradict_each_other_are_named():
    other = [f"{n:03}.jpg,{'bee' if kind == 'ant' else 'ant'}" for n, kind in enumerate(KINDS)]
    with pytest.raises(DatasetError, match=r"^a.csv, b.csv: the column label gives every picture two labels"):
        layout_of({"a.csv": table(*rows_of()), "b.csv": table("file,label", *other)})


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({"labels.csv": b"file,label\n" + b"\n" * 21 * 1024**2}, "labels.csv is larger than 20 MB"),
        ({"labels.csv": table("file,label", "x.jpg,ant", "y.jpg,bee")}, "labels.csv names hardly any of these"),
        ({"labels.xlsx": b"PK\3\4"}, "Labels in labels.xlsx are not read: save them as CSV"),
    ],
)
def test_why_a_table_is_of_no_use_is_said(tables: dict[str, bytes], why: str):
    with pytest.raises(DatasetError, match=why):
        layout_of(tables)


@pytest.mark.parametrize(
    "content", [b"#\n" * 300_000, b"," * 9_000 + b"\nx" * 90_000, b"file,label\n" + b'"a"' * 90_000]
)
def test_a_table_of_nothing_useful_costs_no_more_than_reading_it(content: bytes):
    with pytest.raises(DatasetError, match=r"labels\.csv names hardly any of these pictures"):
        layout_of({"labels.csv": content})


@pytest.mark.parametrize(
    "content", [b"[" * 200_000, b"[1]\n[2]", b'{"a": 1', b"\n".join(b'{"k%d": 1}' % n for n in range(9_000))]
)
def test_json_lines_that_are_no_table_are_none(content: bytes):
    with pytest.raises(DatasetError, match=r"labels\.jsonl names hardly any of these pictures"):
        layout_of({"labels.jsonl": content})
