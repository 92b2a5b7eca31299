"""Taking pictures in: all or nothing, each picture decoded once, nothing read is lost without a word."""

import threading
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers import draw_picture, drawn, drawn_classes, encoded, shared_file, write_files, write_zip
from PIL import ExifTags, Image

from core.data import sources
from core.data.copies import read_squares, small_squares
from core.data.dataset import load_stored, stored_datasets
from core.data.ingest import IngestProgress, ingest
from core.data.pixels import PixelStore
from core.data.reading import intake as module
from core.data.reading.archive import Archive
from core.data.reading.decode import ReadPicture, decode_picture, read_picture
from core.data.sources import Source
from core.errors import DatasetError

PARTS = ("train", "val", "test")
PHOTOS = "9eb30b1a6dca683fbffb63be8e8d57675716d9af10c4f8ce2a88b7d85fdfe031"
"""The fingerprint of the ants-and-bees photos: a change of it means that everyone's stored copy is decoded again."""


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every file that was decoded."""
    files: list[bytes] = []

    def counting(data: bytes, name: str) -> ReadPicture:
        files.append(data)
        return read_picture(data, name)

    monkeypatch.setattr(module, "read_picture", counting)
    return files


def stored_files(home: Path) -> list[Path]:
    here = (path for path in home.rglob("*") if path.is_file() or path.name.startswith("."))
    return [path for path in here if path.name != "speeds.json"]


def test_pictures_are_stored_as_they_are_decoded(tmp_path: Path):
    files = drawn_classes(4)
    dataset = ingest(write_zip(tmp_path / "tiny.zip", files)).dataset

    assert dataset.class_names == ("discs", "squares", "stripes")
    assert [picture.name for picture in dataset.pictures] == sorted(files)
    for index, picture in enumerate(dataset.pictures):
        assert np.array_equal(dataset.pixels[index], decode_picture(files[picture.name]))
        assert picture.name.startswith(dataset.class_names[picture.target])


def test_pictures_are_compared_by_what_is_kept_of_each_when_it_is_decoded(tmp_path: Path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo = encoded(draw_picture("discs", 50).resize((600, 400)), "JPEG", exif=exif)
    files = drawn_classes(3) | {"discs/a photo.jpg": photo, "discs/broken.png": b""}
    folder = tmp_path / "here"
    folder.mkdir()
    path = write_zip(tmp_path / "tiny.zip", files)

    module.take_in(module.Request(where=str(path), folder=str(folder), threads=2, stored=()), lambda message: None)

    good = [row for row in module.read_rows(folder) if "place" in row]
    assert len(good) == 10
    pixels = PixelStore(folder, [row["place"] for row in good], [row["group"] for row in good])
    assert np.array_equal(read_squares(folder / module.SQUARES), small_squares(pixels))


def test_nothing_but_pixels_and_a_description_is_stored(tmp_path: Path):
    dataset = ingest(write_zip(tmp_path / "tiny.zip", drawn_classes(3))).dataset

    assert {path.name for path in dataset.folder.iterdir()} == {"manifest.json", "pixels.u8"}


def test_small_files_are_read_once_and_large_ones_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = drawn_classes(4)
    large = max(files, key=lambda name: len(files[name]))
    monkeypatch.setattr(module, "KEEP_EACH_BYTES", len(files[large]) - 1)
    reads: Counter[str] = Counter()
    read = Archive.read
    monkeypatch.setattr(Archive, "read", lambda archive, name: reads.update([name]) or read(archive, name))

    dataset = ingest(write_zip(tmp_path / "tiny.zip", files)).dataset

    assert reads == {name: 1 + (len(files[name]) >= len(files[large])) for name in files}
    assert len(dataset.pictures) == len(files) and not dataset.skipped


def test_the_same_pictures_are_never_decoded_twice(tmp_path: Path, decoded: list[bytes]):
    files = drawn_classes(4)
    first = ingest(write_zip(tmp_path / "tiny.zip", files))
    assert len(decoded) == 12 and first.decode_s > 0

    again = [ingest(tmp_path / "tiny.zip"), ingest(write_files(tmp_path / "folder", files)), ingest(first.dataset.id)]

    assert len(decoded) == 12
    assert [(here.dataset.id, here.decode_s) for here in again] == [(first.dataset.id, 0.0)] * 3
    assert all(here.dataset.pictures == first.dataset.pictures for here in again)


def test_the_fingerprint_is_of_content_whatever_the_names_order_and_container(tmp_path: Path):
    files = drawn_classes(4)
    renamed = {f"wrapper/{name.replace('.png', '.jpg')}": data for name, data in reversed(files.items())}
    found = [
        ingest(write_zip(tmp_path / "a.zip", files)),
        ingest(write_zip(tmp_path / "b.zip", renamed, zipfile.ZIP_STORED)),
        ingest(write_files(tmp_path / "c", {**files, ".DS_Store": b"", "notes.txt": b"hello"})),
    ]

    assert len({here.dataset.fingerprint for here in found}) == 1


@pytest.mark.parametrize("change", ["content", "class", "split"])
def test_the_fingerprint_changes_with_content_class_and_split(tmp_path: Path, change: str):
    files = drawn_classes(4)
    changed = dict(files)
    if change == "content":
        changed["discs/0.png"] = drawn("discs", 99)
    elif change == "class":
        changed["squares/new.png"] = changed.pop("discs/0.png")
    else:
        changed = {f"{'val' if name.endswith('0.png') else 'train'}/{name}": data for name, data in files.items()}

    a, b = (ingest(write_zip(tmp_path / f"{n}.zip", content)) for n, content in enumerate((files, changed)))

    assert a.dataset.fingerprint != b.dataset.fingerprint


def test_an_unreadable_picture_is_skipped_by_name_and_reason(tmp_path: Path):
    files = {
        **drawn_classes(4),
        "discs/cut.jpg": encoded(draw_picture("discs", 50), "JPEG", quality=95)[:900],
        "discs/letter.jpg": b"dear aunt, this is not a picture",
        "stripes/empty.png": b"",
    }
    dataset = ingest(write_zip(tmp_path / "tiny.zip", files)).dataset

    assert len(dataset.pictures) == 12
    assert [(row.file, row.reason) for row in dataset.skipped] == [
        ("discs/cut.jpg", "is cut off (the file is incomplete); re-export or download it again"),
        ("discs/letter.jpg", "is not a picture (text file)"),
        ("stripes/empty.png", "is empty (0 bytes)"),
    ]


def test_every_file_is_a_picture_or_skipped_or_ignored(tmp_path: Path):
    files = {**drawn_classes(4), "discs/x.jpg": b"", "discs/a.gif": b"", "b.txt": b"", "cover.png": drawn("discs", 70)}
    dataset = ingest(write_files(tmp_path / "tiny", files)).dataset

    rows = [p.name for p in dataset.pictures] + [row.file for row in (*dataset.skipped, *dataset.ignored)]
    assert sorted(rows) == sorted(files)


def test_a_file_that_vanishes_between_hashing_and_decoding_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "KEEP_BYTES", 0)  # as for a set that is too large to be held
    folder = write_files(tmp_path / "tiny", drawn_classes(4))

    def unlink(progress: IngestProgress) -> None:
        if progress.stage == "decoding":
            (folder / "discs" / "0.png").unlink(missing_ok=True)

    dataset = ingest(folder, unlink).dataset

    assert [(row.file, row.reason) for row in dataset.skipped] == [("discs/0.png", "is no longer readable")]
    assert len(dataset.pictures) == 11


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": b"hello"}, "No pictures found"),
        ({"discs/0.png": b"", "squares/0.png": b""}, r"Fewer than 2 classes.*discs/0\.png is empty"),
        ({**{f"discs/{n}.png": drawn("discs", n) for n in range(4)}, "squares/0.png": b"x"}, "Fewer than 2 classes"),
        ({"discs/0.png": drawn("discs", 0), "squares/0.png": drawn("squares", 0)}, "part is empty: bring at least 3"),
        ({f"discs/{n}.png": drawn("discs", n) for n in range(4)}, "At least 2 classes"),
    ],
    ids=["no pictures", "all broken", "one class left", "too few", "one class"],
)
def test_what_cannot_be_used_leaves_nothing_behind(
    tmp_path: Path, thaw_home: Path, files: dict[str, bytes], message: str
):
    with pytest.raises(DatasetError, match=message):
        ingest(write_zip(tmp_path / "bad.zip", files))

    assert stored_files(thaw_home) == []
    assert list(stored_datasets()) == []


def test_a_stop_in_the_middle_leaves_nothing_behind(tmp_path: Path, thaw_home: Path):
    def stop(progress: IngestProgress) -> None:
        if progress.stage == "decoding":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(write_zip(tmp_path / "tiny.zip", drawn_classes(4)), stop)

    assert stored_files(thaw_home) == []


def test_progress_is_counted_through_reading_and_decoding(tmp_path: Path):
    seen: list[IngestProgress] = []
    ingest(write_zip(tmp_path / "tiny.zip", drawn_classes(30)), seen.append)

    assert [(p.done, p.total) for p in seen if p.stage == "reading"] == [(0, 90), (64, 90)]
    assert [(p.done, p.total) for p in seen if p.stage == "decoding"] == [(0, 90), (64, 90)]


def test_two_at_once_make_one_data_set(tmp_path: Path):
    path = write_zip(tmp_path / "tiny.zip", drawn_classes(20))
    found = []
    threads = [threading.Thread(target=lambda: found.append(ingest(path).dataset)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4 and len({dataset.id for dataset in found}) == 1
    assert [dataset.id for dataset in stored_datasets()] == [found[0].id]
    assert found[0].folder.parent.joinpath(found[0].id).is_dir()
    assert len(list(found[0].folder.parent.iterdir())) == 1


def test_a_title_can_be_given(tmp_path: Path):
    assert (
        ingest(write_zip(tmp_path / "upload-17.zip", drawn_classes(4)), title="My shapes").dataset.title == "My shapes"
    )


def test_a_stored_data_set_is_the_same_when_loaded_again(tiny_dataset):
    assert load_stored(tiny_dataset.id) == tiny_dataset


@pytest.mark.parametrize("unpacked", [False, True], ids=["zip", "folder"])
def test_the_ants_and_bees_photos(tmp_path: Path, unpacked: bool, decoded: list[bytes]):
    path = shared_file("data", "hymenoptera_data.zip")
    if unpacked:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / "photos")

    dataset = ingest(tmp_path / "photos" if unpacked else path).dataset
    split = dataset.split(0)
    counts = {
        part: Counter(dataset.class_names[dataset.pictures[i].target] for i in split.part(part)) for part in PARTS
    }

    assert dataset.class_names == ("ants", "bees")
    assert dataset.skipped == ()
    assert [(Path(row.file).name, row.reason.split(",")[0]) for row in dataset.ignored] == [
        ("imageNotFound.gif", "GIF among photos")
    ]
    assert len(decoded) == 397
    assert counts["test"] == {"ants": 70, "bees": 83}
    assert counts["train"] + counts["val"] + Counter(split_copies(dataset, split)) == {"ants": 123, "bees": 121}
    assert dataset.fingerprint == PHOTOS


def split_copies(dataset, split) -> list[str]:
    """Classes of the training pictures that were left out as copies of test pictures."""
    used = {index for part in PARTS for index in split.part(part)}
    return [dataset.class_names[p.target] for index, p in enumerate(dataset.pictures) if index not in used]


def test_the_report_is_of_what_was_brought_last(tmp_path: Path, decoded: list[bytes]):
    same, damaged = drawn_classes(4), {"discs/broken.png": drawn("discs", 9)[:90]}
    ingest(
        write_zip(tmp_path / "first.zip", {**same, **damaged, "worms/1.tga": b"", "worms/2.psd": b"8BPS" + bytes(60)})
    )
    renamed = {f"w/{name.replace('.png', '.jpg')}": data for name, data in {**same, **damaged}.items()}
    before = len(decoded)

    again = ingest(write_zip(tmp_path / "second.zip", renamed)).dataset

    assert len(decoded) == before
    assert again.title == "second" and not again.ignored
    assert [picture.name for picture in again.pictures] == sorted(f"w/{name[:-4]}.jpg" for name in same)
    assert [(row.file, row.code) for row in again.skipped] == [("w/discs/broken.jpg", "IMG_TRUNCATED")]
    assert {row.name for row in again.class_folders} == {"discs", "squares", "stripes"}
    assert load_stored(again.id) == again


def test_what_an_earlier_thaw_drew_stays_and_todays_set_is_drawn_beside_it_once(monkeypatch: pytest.MonkeyPatch):
    def drawn_as(title: str, each: int) -> None:
        files = drawn_classes(each)
        source = Source(
            title=title, kind="builtin", names=tuple(files), read=files.__getitem__, head=files.__getitem__, close=list
        )
        monkeypatch.setattr(sources, "_drawings", lambda on_drawn: source)

    drawn_as("Ants and bees, drawn", 4)
    old = ingest("builtin").dataset
    drawn_as(sources.BUILTIN_TITLE, 5)
    new = ingest("builtin").dataset
    monkeypatch.setattr(sources, "_drawings", lambda on_drawn: pytest.fail("drawn again"))

    assert new.id != old.id and ingest("builtin").dataset == new
    assert load_stored(old.id) == old == ingest(old.id).dataset


def test_the_drawn_set_stays_what_it_is_when_its_files_are_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = drawn_classes(4)
    source = Source(
        title="Drawn", kind="builtin", names=tuple(files), read=files.__getitem__, head=files.__getitem__, close=list
    )
    monkeypatch.setattr(sources, "_drawings", lambda on_drawn: source)
    drawn_set = ingest("builtin").dataset

    assert ingest(write_zip(tmp_path / "same.zip", files)).dataset == drawn_set


def test_a_folder_is_no_stored_data_set_however_long_its_path(thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    here = thaw_home / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    where = "../pictures_mine"
    write_files(thaw_home / "pictures_mine", drawn_classes(10))

    dataset = ingest(where).dataset

    assert len(where) == len(dataset.id) and dataset.title == "pictures_mine"
    assert ingest(dataset.id).dataset == dataset
