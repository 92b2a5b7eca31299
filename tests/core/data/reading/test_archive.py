"""Zips of strangers: a structure that lies is refused, a broken member is named, and nothing is written."""

import io
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from helpers import drawn_classes, shared_file, write_zip
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.ingest import ingest
from core.data.reading import archive as limits
from core.data.reading.archive import Archive
from core.errors import DatasetError, ImageError


def members(path: Path) -> dict[str, bytes]:
    archive = Archive(path)
    try:
        return {name: archive.read(name) for name in archive.names()}
    finally:
        archive.close()


FOLDERS = st.sampled_from(("cats", "dogs", "train/cats", "été", "日本"))
PATHS = st.builds("{}/{}.jpg".format, FOLDERS, st.integers(0, 99))
FILES = st.dictionaries(PATHS, st.binary(max_size=300), min_size=1, max_size=8)
PACKING = st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
TRIES = settings(max_examples=60, deadline=None, derandomize=True)


@TRIES
@given(files=FILES, packing=PACKING)
def test_members_come_out_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], packing):
    assert members(write_zip(tmp_path_factory.getbasetemp() / "any.zip", files, packing)) == files


@TRIES
@given(files=FILES, packing=PACKING, place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_that_turned_costs_members_or_the_whole_and_never_gives_other_bytes(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], packing, place: float, bit: int
):
    path = write_zip(tmp_path_factory.getbasetemp() / "turned.zip", files, packing)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)

    with suppress(DatasetError):
        archive = Archive(path)
        with closing(archive):
            for name in archive.names():
                with suppress(ImageError):
                    assert archive.read(name) in files.values()


def test_many_threads_may_read_at_once(tmp_path: Path):
    files = {f"{number}.bin": bytes([number]) * (50_000 + number) for number in range(100)}
    archive = Archive(write_zip(tmp_path / "many.zip", files, zipfile.ZIP_DEFLATED))

    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(archive.read, [*files] * 5))

    archive.close()
    assert read == [*files.values()] * 5


def test_separators_of_windows_are_put_right(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"1", "cat/2.jpg": b"2"})
    path.write_bytes(path.read_bytes().replace(b"cat/", b"cat\\"))

    assert members(path) == {"cat/1.jpg": b"1", "cat/2.jpg": b"2"}


def test_needless_steps_in_names_are_left_out(tmp_path: Path):
    assert set(members(write_zip(tmp_path / "a.zip", {"cat/./1.jpg": b"1", "cat//2.jpg": b"2"}))) == {
        "cat/1.jpg",
        "cat/2.jpg",
    }


@pytest.mark.parametrize(
    "name", ["../x.jpg", "/etc/x.jpg", "C:/x.png", "C:\\x.png", "\\\\srv\\x.png", "..\\..\\x.jpg", "a/../cat/1.jpg"]
)
def test_a_name_that_tries_to_leave_the_folder_refuses_everything(tmp_path: Path, name: str):
    path = write_zip(tmp_path / "a.zip", {**drawn_classes(2), name: b"1"})

    with pytest.raises(DatasetError, match="tries to leave the folder"):
        Archive(path)


def test_names_in_the_old_encoding_are_no_overlap(tmp_path: Path):
    # packed tightly, "ü" is one byte in the file and two in UTF-8
    path = write_zip(tmp_path / "a.zip", {"m\xfc\xfc\xfc/1.jpg": b"1", "b\xe4r/2.jpg": b"2"}, zipfile.ZIP_STORED)
    old = path.read_bytes()
    for name in ("m\xfc\xfc\xfc", "b\xe4r"):
        plain = "".join(letter if letter.isascii() else "?" for letter in name)
        small = write_zip(tmp_path / "b.zip", {f"{plain}/1.jpg": b"1", "other/2.jpg": b"2"}, zipfile.ZIP_STORED)
        small.write_bytes(small.read_bytes().replace(plain.encode(), name.encode("cp437")))
        assert f"{name}/1.jpg" in members(small)
    assert old == path.read_bytes()


def test_entries_that_share_bytes_are_refused(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"x" * 1000, "dog/1.jpg": b"y" * 1000}, zipfile.ZIP_STORED)
    with zipfile.ZipFile(path) as archive:
        second = archive.infolist()[1].header_offset
    content = path.read_bytes()
    assert content.count(second.to_bytes(4, "little")) == 1
    path.write_bytes(content.replace(second.to_bytes(4, "little"), bytes(4)))  # both entries now begin at 0

    with pytest.raises(DatasetError, match="share the same bytes"):
        Archive(path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.99])
def test_a_zip_that_is_cut_off_is_refused(tmp_path: Path, share: float):
    path = write_zip(tmp_path / "a.zip", drawn_classes(4))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    with pytest.raises(DatasetError, match=r"a\.zip is not a zip, or is incomplete"):
        Archive(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"Rar!\x1a\x07", "is a RAR file"),
        (b"\x1f\x8b" + bytes(9), "is a gzip file"),
        (b"hello", "is not a zip"),
    ],
)
def test_what_is_no_zip_is_refused_by_name(tmp_path: Path, content: bytes, expected: str):
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(DatasetError, match=rf"a\.zip {expected}"):
        Archive(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("names", "said"),
    [([], "a.zip holds no files; make"), (["cat/", "dog/"], "a.zip holds no files, only 2 empty folders; make")],
    ids=["empty", "folders only"],
)
def test_a_zip_without_files_is_refused(tmp_path: Path, names: list[str], said: str):
    with pytest.raises(DatasetError, match=said):
        Archive(write_zip(tmp_path / "a.zip", dict.fromkeys(names, b"")))


def test_the_number_of_entries_is_limited_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "MAX_ENTRIES", 5)

    with pytest.raises(DatasetError, match="has 6 entries; the limit is 5"):
        Archive(write_zip(tmp_path / "a.zip", drawn_classes(2)))


def test_declared_sizes_over_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "MAX_TOTAL_BYTES", 1000)

    with pytest.raises(DatasetError, match="unpacks to more than"):
        Archive(write_zip(tmp_path / "a.zip", {"cat/1.jpg": bytes(1001)}))


def test_a_member_over_the_limit_is_skipped_by_name(tmp_path: Path):
    archive = Archive(write_zip(tmp_path / "a.zip", {"cat/1.jpg": bytes(1024**2 + 1), "cat/2.jpg": b"ok"}), 1024**2)

    with pytest.raises(ImageError, match=r"is larger than 1 MB \(limit\)"):
        archive.read("cat/1.jpg")
    assert archive.read("cat/2.jpg") == b"ok"
    archive.close()


def test_a_damaged_member_does_not_spoil_the_others(tmp_path: Path):
    path = write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"A" * 50, "cat/2.jpg": b"B" * 50}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"A" * 50, b"A" * 49 + b"C"))
    archive = Archive(path)

    with pytest.raises(ImageError, match=r"is damaged \(checksum\)"):
        archive.read("cat/1.jpg")
    assert archive.read("cat/2.jpg") == b"B" * 50
    archive.close()


def test_a_link_in_a_zip_is_skipped(tmp_path: Path):
    link = zipfile.ZipInfo("cat/1.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as written:
        written.writestr(link, "/etc/passwd")
    archive = Archive(tmp_path / "a.zip")

    with pytest.raises(ImageError, match="is a link"):
        archive.read("cat/1.jpg")
    archive.close()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_packing_is_skipped_with_advice(tmp_path: Path, method: int):
    archive = Archive(write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"1" * 100}, method))

    with pytest.raises(ImageError, match="unsupported method"):
        archive.read("cat/1.jpg")
    archive.close()


def test_a_password_is_refused_or_skipped_where_it_is_for_one_member_only(tmp_path: Path):
    content = write_zip(tmp_path / "a.zip", {"cat/1.jpg": b"1", "cat/2.jpg": b"2"}, zipfile.ZIP_STORED).read_bytes()
    first = content.index(b"PK\x01\x02") + 8  # flags in the directory
    second = content.index(b"PK\x01\x02", first) + 8
    one = content[:first] + b"\x01" + content[first + 1 :]
    (tmp_path / "one.zip").write_bytes(one)
    (tmp_path / "all.zip").write_bytes(one[:second] + b"\x01" + one[second + 1 :])

    archive = Archive(tmp_path / "one.zip")
    with pytest.raises(ImageError, match="is encrypted"):
        archive.read("cat/1.jpg")
    assert archive.read("cat/2.jpg") == b"2"
    archive.close()
    with pytest.raises(DatasetError, match="password"):
        Archive(tmp_path / "all.zip")


def test_an_archive_inside_the_archive_is_not_opened(tmp_path: Path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as written:
        written.writestr("cat/1.jpg", b"1")
    files = {**drawn_classes(4), "discs/more.zip": inner.getvalue(), "discs/hidden.jpg": inner.getvalue()}
    dataset = ingest(write_zip(tmp_path / "a.zip", files)).dataset

    assert len(dataset.pictures) == 12
    assert [row.file for row in dataset.ignored] == ["discs/more.zip"]
    assert [(row.file, row.reason) for row in dataset.skipped] == [("discs/hidden.jpg", "is an archive, not a picture")]


def test_zips_of_the_corpus_are_read_or_refused_and_leave_nothing(thaw_home: Path):
    found = sorted(shared_file("corpus", "zips").glob("*.zip"))
    surprises = {}
    for path in found:
        try:
            ingest(path)
        except DatasetError as error:
            assert path.parent.name not in str(error)
        except Exception as error:  # whatever else comes is what this test looks for
            surprises[path.name] = repr(error)

    assert len(found) > 150
    assert surprises == {}
    assert [path.name for path in thaw_home.rglob("*") if path.is_file()] == ["speeds.json"], "what the fixture wrote"


def test_members_of_the_corpus_are_bytes_or_a_reason():
    surprises, read = {}, 0
    for path in sorted(shared_file("corpus", "zips").glob("*.zip")):
        try:
            archive = Archive(path)
        except DatasetError:
            continue
        for name in archive.names():
            try:
                read += isinstance(archive.read(name), bytes)
            except (ImageError, DatasetError):
                pass
            except Exception as error:
                surprises[f"{path.name}: {name}"] = repr(error)
        archive.close()

    assert surprises == {}
    assert read > 100
