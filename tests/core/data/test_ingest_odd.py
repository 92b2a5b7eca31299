"""Odd things among what is brought: each is used, or named with its reason."""

import json
import unicodedata
from pathlib import Path

import pytest
from helpers import draw_picture, drawn, drawn_classes, encoded, shared_file, write_files, write_zip

from core.data.dataset import load_stored, stored_datasets
from core.data.ingest import ingest
from core.data.reading.child import take_in_contained
from core.errors import DatasetError, LayoutQuestion


def test_naughty_names_of_classes_are_only_names(tmp_path: Path):
    strings = json.loads(shared_file("corpus", "names", "blns.json").read_text("utf-8"))
    usable = {
        text.strip(): None
        for text in strings
        if any(unicodedata.category(sign)[0] not in "CZ" for sign in text)
        and text.strip(" .")
        and not set("/\\\0") & set(text)
        and len(text) <= 100
        and not text.startswith(".")
    }
    names = [name for name in usable if name[1:2] != ":"][:400]
    files = {f"{name}/{n}.png": drawn("discs", 1000 * index + n) for index, name in enumerate(names) for n in range(3)}
    dataset = ingest(write_zip(tmp_path / "names.zip", files), layout="folders").dataset  # one is called test

    assert len(names) > 200
    assert set(dataset.class_names) == set(names)
    assert load_stored(dataset.id).class_names == dataset.class_names


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"worms/1.txt": b"a", "worms/2.txt": b"b"}, "2 files: not a picture"),
        ({"worms/1.jpg": b"\xff\xd8\xff nothing"}, "1 file: is incomplete or damaged"),
        ({"worms/1.jp2": b"\0\0\0\x0cjP  \r\n" + bytes(50)}, "1 file: is JPEG 2000, which is not read"),
        ({"worms/1.zip": b"PK"}, "1 file: archive inside an archive is not opened"),
    ],
)
def test_a_class_of_which_nothing_is_used_is_named(tmp_path: Path, extra: dict[str, bytes], reason: str):
    dataset = ingest(write_zip(tmp_path / "a.zip", drawn_classes(4) | extra)).dataset

    (worms,) = (row for row in dataset.class_folders if row.name == "worms")
    assert worms.used == 0 and worms.files == len(extra) and worms.reason.startswith(reason)
    assert f"The class folder worms has no usable picture ({worms.reason}): it was left out." in dataset.notices
    assert {row.used for row in dataset.class_folders if row.name != "worms"} == {4}


def test_empty_and_linked_class_folders_are_named(tmp_path: Path):
    folder = write_files(tmp_path / "set", drawn_classes(4))
    (folder / "empty").mkdir()
    (folder / "linked").symlink_to(write_files(tmp_path / "elsewhere", {"1.png": drawn("discs", 1)}))

    rows = {row.name: (row.files, row.reason) for row in ingest(folder).dataset.class_folders if not row.used}

    assert rows == {"empty": (0, "it is empty"), "linked": (0, "is a link, which is not followed")}


def test_files_are_chosen_by_their_first_bytes(tmp_path: Path):
    names = ("1", "2.jpg_large", "3.jpg?w=200", "4.jpg.1", "5.JPG ", "6.dat")
    files = {f"{kind}/{name}": drawn(kind, n) for kind in ("discs", "squares") for n, name in enumerate(names)}
    rest = {"discs/readme": b"read me", "discs/list.json": b"{}", "discs/cut": b""}
    for path in (write_zip(tmp_path / "a.zip", files | rest), write_files(tmp_path / "b", files | rest)):
        dataset = ingest(path).dataset

        assert {picture.name for picture in dataset.pictures} == set(files)
        assert {row.file for row in dataset.ignored} == set(rest)


def gif(number: int) -> bytes:
    return encoded(draw_picture("discs", number), "GIF")


def moving(number: int) -> bytes:
    rest = [draw_picture("discs", number + 50 + frame).resize((40, 40)) for frame in range(3)]
    return encoded(draw_picture("discs", number).resize((40, 40)), "GIF", save_all=True, append_images=rest, loop=0)


@pytest.mark.parametrize(
    ("gifs", "left_out"),
    [
        ({"discs/gone.gif": gif(1)}, {"discs/gone.gif"}),
        ({f"discs/{n}.gif": gif(n) for n in range(4)}, set()),
        ({f"discs/{n}.gif": gif(1) for n in range(4)}, {f"discs/{n}.gif" for n in range(4)}),
        ({f"worms/{n}.gif": gif(1) for n in range(4)}, set()),
        ({"discs/named.jpg": gif(1)}, {"discs/named.jpg"}),
        ({"discs/moves.gif": moving(1)}, set()),
        ({f"discs/{n}.gif": moving(1) for n in range(4)}, set()),
        ({f"worms/{n}.gif": moving(n) for n in range(30)} | {"worms/still.gif": gif(1)}, set()),
    ],
    ids=[
        "one among photos",
        "as many as photos",
        "the same again and again",
        "a class of nothing else",
        "by its bytes",
        "an animation among photos",
        "one animation again and again",
        "a still one among animations",
    ],
)
def test_a_gif_is_a_placeholder_only_if_it_recurs_or_is_rare(
    tmp_path: Path, gifs: dict[str, bytes], left_out: set[str]
):
    dataset = ingest(write_zip(tmp_path / "a.zip", drawn_classes(4) | gifs)).dataset

    assert {row.file for row in dataset.ignored} == left_out
    assert {picture.name for picture in dataset.pictures} >= set(gifs) - left_out


def test_names_in_folders_are_written_in_one_way(tmp_path: Path):
    apart, together = unicodedata.normalize("NFD", "caf\u00e9"), unicodedata.normalize("NFC", "caf\u00e9")
    files = {f"train/{apart}/{n}.png": drawn("discs", n) for n in range(4)}
    files |= {f"train/tea/{n}.png": drawn("squares", n) for n in range(4)}
    files |= {f"val/{together}/{n}.png": drawn("discs", n + 9) for n in range(3)}
    files |= {f"val/tea/{n}.png": drawn("squares", n + 9) for n in range(3)}

    dataset = ingest(write_files(tmp_path / "set", files)).dataset

    assert dataset.class_names == (together, "tea")
    assert len(dataset.pictures) == 14 and not dataset.notices


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("", "No data set was named"),
        ("  ", "No data set was named"),
        ("https://example.org/pictures.zip", "is an address"),
        ("gs://bucket/pictures", "is an address"),
        ("nothing/here", "no file or folder called 'here'"),
        ("x" * 3_000, "no file or folder called 'x+\\.\\.\\.'"),
        ("a\0b", "no file or folder"),
    ],
)
def test_what_is_no_data_set_is_told_for_what_it_is(where: str, words: str):
    with pytest.raises(DatasetError, match=words):
        ingest(where)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (drawn("discs", 1), r"a single picture \(PNG\), not a zip"),
        (b"<!doctype html><html></html>", r"not a zip \(it holds: web page\)"),
        (b"hello, this is text", r"not a zip \(it holds: text\)"),
        (b"%PDF-1.7 and so on", r"not a zip \(it holds: PDF\)"),
        (b"PK\3\4" + bytes(90), "incomplete"),
    ],
)
def test_a_file_that_is_no_zip_is_told_for_what_it_is(tmp_path: Path, content: bytes, words: str):
    (tmp_path / "mine.zip").write_bytes(content)

    with pytest.raises(DatasetError, match=words):
        ingest(tmp_path / "mine.zip")


def test_the_reader_s_question_reaches_whoever_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.data.ingest.take_in_contained", take_in_contained)
    files = {
        f"{a}/{b}/{n}.png": drawn("discs", n) for a in ("ants", "bees") for b in ("day", "night") for n in range(3)
    }

    with pytest.raises(LayoutQuestion) as caught:
        ingest(write_zip(tmp_path / "a.zip", files))

    assert [layout for layout, _ in caught.value.offers] == ["subfolders", "folders"]
    assert list(stored_datasets()) == []
