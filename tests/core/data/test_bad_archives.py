"""Every row of the design's table of archives: refused whole, or a file skipped, or used, with the words it says."""

import hashlib
import io
import re
import threading
import zipfile
from pathlib import Path

import pytest
from bad_archives import REFUSED, SKIPPED, USED, zipped
from helpers import drawn, drawn_classes, encoded
from PIL import Image

from core.data.dataset import stored_datasets
from core.data.ingest import Ingested, ingest
from core.data.reading import archive, limits
from core.errors import DatasetError


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its content."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def bring(tmp_path: Path, content: bytes) -> Ingested:
    (tmp_path / "upload").mkdir()
    (tmp_path / "upload" / "pictures.zip").write_bytes(content)
    before = tree(tmp_path)
    try:
        return ingest(tmp_path / "upload" / "pictures.zip")
    finally:
        assert tree(tmp_path) == before, "nothing is written outside Thaw's home"


@pytest.mark.parametrize("row", REFUSED)
def test_a_lying_or_useless_archive_is_refused_whole(tmp_path: Path, thaw_home: Path, row: str):
    build, words = REFUSED[row]

    with pytest.raises(DatasetError, match=words) as caught:
        bring(tmp_path, build())

    assert str(tmp_path) not in str(caught.value) and len(str(caught.value)) < 300
    assert list(stored_datasets()) == []
    assert [path for path in thaw_home.rglob("*") if path.is_file() and path.name != "speeds.json"] == []


@pytest.mark.parametrize("row", SKIPPED)
def test_an_odd_entry_is_skipped_by_name_and_the_rest_is_kept(tmp_path: Path, row: str):
    build, words = SKIPPED[row]

    dataset = bring(tmp_path, build()).dataset

    assert len(dataset.pictures) == 12
    (left_out,) = (*dataset.skipped, *dataset.ignored)
    assert re.search(words, left_out.reason), left_out.reason


@pytest.mark.parametrize("row", USED)
def test_an_unusual_but_honest_archive_is_used(tmp_path: Path, row: str):
    build, pictures, notice = USED[row]

    dataset = bring(tmp_path, build()).dataset

    assert len(dataset.pictures) == pictures and not dataset.skipped
    assert notice in " ".join(dataset.notices) if notice else not [n for n in dataset.notices if "odd" in n]


def test_row_a4_a_bomb_stops_at_the_limit_and_not_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With smaller numbers: 12 entries of 10 MB of zeros against a limit of 50 MB."""
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 50 * 1024**2)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for number in range(12):
            bomb.writestr(f"a/{number}.png", bytes(10 * 1024**2))
    assert path.stat().st_size < 1024**2

    with pytest.raises(DatasetError, match="unpacks to more than"):
        ingest(path)


def test_a_member_that_swells_is_no_picture(tmp_path: Path):
    path = tmp_path / "swell.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name, data in drawn_classes(4).items():
            bomb.writestr(name, data)
        bomb.writestr("discs/9.png", bytes(30 * 1024**2))

    dataset = ingest(path).dataset

    assert [row.reason for row in dataset.skipped] == ["unpacks to more than 200 times its size; that is no picture"]


def test_row_a23_a_password_is_named(tmp_path: Path):
    content = bytearray(zipped(drawn_classes(4)))
    place = -1
    while (place := content.find(b"PK\x01\x02", place + 1)) >= 0:
        content[place + 8] |= 1

    with pytest.raises(DatasetError, match="password-protected"):
        bring(tmp_path, bytes(content))


def test_row_a63_a_zip_inside_a_jpeg_is_only_a_jpeg(tmp_path: Path):
    files = {
        f"{kind}/{n}.jpg": photo(kind, n) + zipped({"evil.sh": b"rm -rf"}) for kind in ("a", "b") for n in range(4)
    }

    assert len(bring(tmp_path, zipped(files)).dataset.pictures) == 8


def photo(kind: str, number: int) -> bytes:
    return encoded(Image.open(io.BytesIO(drawn({"a": "discs", "b": "squares"}[kind], number))).convert("RGB"), "JPEG")


def test_row_a65_the_same_archive_twice_at_once_is_one_data_set(tmp_path: Path):
    path = tmp_path / "twice.zip"
    path.write_bytes(zipped(drawn_classes(6)))
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(ingest(path).dataset.id)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 1 and len(found) == 2 and len(list(stored_datasets())) == 1


def test_row_a67_a_full_disk_stores_nothing(tmp_path: Path, thaw_home: Path, monkeypatch: pytest.MonkeyPatch):
    from core.data.pixels import PixelWriter

    def full(self: PixelWriter, pixels: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PixelWriter, "append", full)

    with pytest.raises(DatasetError, match="storage is full; nothing was stored"):
        bring(tmp_path, zipped(drawn_classes(4)))
    assert list((thaw_home / "staging").iterdir()) == []


def test_the_limits_that_are_shown_are_the_limits_that_are_enforced():
    table = dict(limits.format_limits())

    assert table["entries in a zip"].startswith(f"{archive.MAX_ENTRIES:,}")
    assert f"{archive.MAX_MEMBER_BYTES // 1024**2} MB" == table["size of a picture's file"]
