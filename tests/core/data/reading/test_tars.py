"""Tars of pictures: what is read, what is refused, and that what is broken costs only itself."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import drawn

from core.data.reading import tars
from core.data.reading.tars import Sample, cut, members, read_member, samples
from core.errors import ImageError


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **changes: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in changes.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(content) if info.isreg() else None)


def make(path: Path, build: Callable[[tarfile.TarFile], None], form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as tar:
        build(tar)
    return path


def found_in(path: Path) -> list[Sample]:
    with path.open("rb") as file:
        return list(samples(file))


def pairs(path: Path) -> list[tuple[str, str, str]]:
    return [(one.picture.name, one.class_name, one.problem) for one in found_in(path)]


def test_classes_come_from_cls_from_json_or_from_the_folder(tmp_path: Path):
    def build(tar: tarfile.TarFile) -> None:
        add(tar, "a.cls", b"7\n")
        add(tar, "a.jpg", b"picture")
        add(tar, "b.PNG", b"picture")
        add(tar, "b.json", json.dumps({"caption": "a bee", "label": "bee"}).encode())
        add(tar, "ants/c.jpg", b"picture")
        add(tar, "ants/c.txt", b"a caption")
        add(tar, "d.jpg", b"picture")
        add(tar, "e.jpg", b"picture")
        add(tar, "e.json", b"[1, 2")

    assert pairs(make(tmp_path / "x.tar", build)) == [
        ("a.jpg", "7", ""),
        ("b.PNG", "bee", ""),
        ("ants/c.jpg", "ants", ""),
        ("d.jpg", "", tars.NO_LABEL),
        ("e.jpg", "", tars.NO_LABEL),
    ]


def test_what_is_no_plain_file_with_a_decent_name_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tars, "MAX_MEMBER_BYTES", 1000)

    def build(tar: tarfile.TarFile) -> None:
        add(tar, "../../etc/a.jpg", b"picture")
        add(tar, "/etc/b.jpg", b"picture")
        add(tar, "ants/c.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(tar, "ants/d.jpg", type=tarfile.LNKTYPE, linkname="ants/c.jpg")
        add(tar, "ants/e.jpg", type=tarfile.FIFOTYPE)
        add(tar, "ants/f.jpg", b"x" * 1001)
        add(tar, f"ants/{'g' * 300}.jpg", b"picture")
        add(tar, "ants/__MACOSX/h.jpg", b"system")
        add(tar, "ants/i.jpg", b"picture")

    problems = {name[:10]: problem for name, _, problem in pairs(make(tmp_path / "x.tar", build))}
    assert "leave the folder" in problems["../../etc/"] and "leave the folder" in problems["/etc/b.jpg"]
    assert problems["ants/c.jpg"] == problems["ants/d.jpg"] == "is a link, not a file"
    assert problems["ants/e.jpg"] == "is not a regular file"
    assert "limit" in problems["ants/f.jpg"] and problems["ants/ggggg"] == "name too long"
    assert problems["ants/i.jpg"] == "" and "ants/__MAC" not in problems


def test_a_broken_header_costs_its_own_member_and_is_said(tmp_path: Path):
    path = make(tmp_path / "x.tar", lambda tar: [add(tar, f"ants/{n}.jpg", bytes([n]) * 600) for n in range(4)])
    content = bytearray(path.read_bytes())
    with path.open("rb") as file:
        second = list(members(file))[1]
    content[second.header + 100 : second.header + 140] = b"\xff" * 40
    path.write_bytes(content)

    named = [(name, problem) for name, _, problem in pairs(path)]
    assert named == [("ants/0.jpg", ""), ("ants/2.jpg", tars.PASSED_OVER), ("ants/2.jpg", ""), ("ants/3.jpg", "")]


def test_a_tar_that_was_cut_off_gives_what_is_whole(tmp_path: Path):
    path = make(tmp_path / "x.tar", lambda tar: [add(tar, f"ants/{n}.jpg", b"x" * 600) for n in range(3)])
    with path.open("rb") as file:
        last = list(members(file))[2]
    path.write_bytes(path.read_bytes()[: last.start + 100])

    found = found_in(path)
    with path.open("rb") as file:
        assert read_member(file, found[1].picture) == b"x" * 600
        with pytest.raises(ImageError, match="cut off"):
            read_member(file, found[2].picture)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_header_that_would_eat_memory_is_passed_over(tmp_path: Path, form: int):
    def build(tar: tarfile.TarFile) -> None:
        add(tar, f"ants/{'a' * 2 * tars.MAX_HEADER_BYTES}.jpg", b"picture")
        add(tar, "ants/b.jpg", b"picture")

    assert ("ants/b.jpg", "ants", "") in pairs(make(tmp_path / "x.tar", build, form))


def test_a_size_that_leads_back_ends(tmp_path: Path):
    """CVE-2025-8194: the library went round and round."""

    def build(tar: tarfile.TarFile) -> None:
        add(tar, "ants/a.jpg", b"picture", pax_headers={"size": "-2048"})
        add(tar, "ants/b.jpg", b"picture")

    path = make(tmp_path / "x.tar", build, tarfile.PAX_FORMAT)
    assert path.read_bytes().count(b"size=-2048") == 1
    assert ("ants/b.jpg", "ants", "") in pairs(path)


def test_a_tar_is_cut_between_pictures(tmp_path: Path):
    def build(tar: tarfile.TarFile) -> None:
        for number in range(7):
            add(tar, f"{number}.cls", str(number % 2).encode())
            add(tar, f"{number}.png", drawn("discs", number))
            add(tar, f"{number}.txt", b"x" * (3000 * (number == 4)))

    path = make(tmp_path / "x.tar", build, tarfile.PAX_FORMAT)
    with path.open("rb") as file:
        parts = cut(file, 3)
        inside = [[one.picture.name for one in samples(file, start, end)] for start, end, _ in parts]
        again = [one.class_name for start, end, _ in parts for one in samples(file, start, end)]
    assert [count for _, _, count in parts] == [3, 3, 1]
    assert inside == [["0.png", "1.png", "2.png"], ["3.png", "4.png", "5.png"], ["6.png"]]
    assert again == [one.class_name for one in found_in(path)]
