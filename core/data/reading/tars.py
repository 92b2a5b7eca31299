"""Reading tars of pictures as WebDataset lays them out, without ever unpacking them to disk.

Files whose names are equal up to the first dot of the last part belong to one picture and stand side by side
(https://github.com/webdataset/webdataset, "The WebDataset Format"): `0001.jpg` and `0001.cls`, or `0001.json`. Where
neither names a class, the folder in the name does. Only plain tars: of a packed one no part can be read alone.

A broken header costs the members up to the next sound one; a broken member is the caller's to skip. Both are said.
"""

import json
import os
import tarfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from core.data.reading.archive import why_no_member
from core.data.reading.candidates import PICTURE_ENDINGS, is_system
from core.data.reading.class_names import check_class_name
from core.data.reading.limits import MAX_MEMBER_BYTES
from core.errors import DatasetError, ImageError

BLOCK: Final = tarfile.BLOCKSIZE
MAX_HEADER_BYTES: Final = 64 * 1024  # of a long name or of extended attributes, which are read whole
MAX_LABEL_BYTES: Final = 64 * 1024
LABEL_KEYS: Final = ("cls", "class", "class_name", "label", "category")
"""What is looked for in a `.json`, in this order."""
NO_LABEL: Final = "has no class: no .cls or .json beside it names one, and it lies in no folder"
NO_PICTURE: Final = "is no picture that is read, nor the class of one"
PASSED_OVER: Final = "before it, damaged headers were passed over, and whatever they were of"
_LONG: Final = (b"L", b"K", b"x", b"g", b"X")  # types whose content is read as part of a header


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A file in a tar; places in bytes."""

    name: str
    header: int
    """Where its first header begins."""
    start: int
    size: int
    problem: str = ""
    """Why it is not read; empty for an ordinary file."""

    @property
    def end(self) -> int:
        """Where the next header begins."""
        return self.start + -(-self.size // BLOCK) * BLOCK

    @property
    def key(self) -> str:
        """What all files of one picture share."""
        folder, _, name = self.name.rpartition("/")
        return f"{folder}/{name.partition('.')[0]}"

    @property
    def ending(self) -> str:
        """What follows the key, in lower case: `.jpg`."""
        name = self.name.rpartition("/")[2]
        return name[len(name.partition(".")[0]) :].lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A picture with its class, or a file and why it is not used."""

    picture: Member
    class_name: str = ""
    problem: str = ""


class _CarefulInfo(tarfile.TarInfo):
    """Refuses headers that would be read whole and are larger than any honest one."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """The one place in a header's way that may be replaced, as the library says."""
        if self.type in _LONG and not 0 <= self.size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError("too large a header")
        found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return found


def members(file: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[Member]:
    """The members whose headers begin in this part of a tar, in order; what is no sound header is passed over."""
    end = os.fstat(file.fileno()).st_size if end is None else end
    tar: tarfile.TarFile | None = None
    while start < end:
        try:
            if tar is None:
                file.seek(start)
                tar = tarfile.TarFile(fileobj=file, tarinfo=_CarefulInfo, ignore_zeros=True)
            info = tar.next()
            if info is None:
                return
            if tar.offset <= start:  # a negative size leads back, and round and round
                raise tarfile.ReadError("leads back")
        except (tarfile.TarError, ValueError, OverflowError):
            start = max(start, tar.offset if tar else start) + BLOCK
            tar = None
            continue
        tar.members.clear()  # type: ignore[attr-defined]  # kept by the library for looking up: all of a large tar
        start = tar.offset
        if info.offset >= end:
            return
        if not info.isdir():
            yield _member(info)


def _member(info: tarfile.TarInfo) -> Member:
    name, problem = unicodedata.normalize("NFC", info.name.replace("\\", "/")), ""
    parts = PurePosixPath(name).parts
    if not info.isfile() or info.issparse():
        problem = "is a link, not a file" if info.issym() or info.islnk() else "is not a regular file"
    elif name.startswith("/") or ".." in parts or "\0" in name:
        problem = "has a name that tries to leave the folder"
    elif info.size > MAX_MEMBER_BYTES:
        problem = f"is larger than {MAX_MEMBER_BYTES // 1024**2} MB (limit)"
    problem = problem or why_no_member(parts)
    size = info.size if info.isreg() else 0
    return Member(name=name.removeprefix("./"), header=info.offset, start=info.offset_data, size=size, problem=problem)


def cut(file: BinaryIO, most: int, size: int | None = None) -> list[tuple[int, int, int]]:
    """A tar in parts of so many pictures, files of one picture together: (start, end) in bytes, and pictures.

    Args:
        size: of the tar, where the system does not know it.
    """
    parts: list[list[int]] = []
    for _, group in groupby(members(file, end=size), key=lambda member: member.key):
        files = list(group)
        if not parts or parts[-1][2] >= most:
            parts.append([files[0].header, 0, 0])
        parts[-1][1] = files[-1].end
        parts[-1][2] += any(file.ending in PICTURE_ENDINGS for file in files)
    ends = [start for start, _, _ in parts[1:]] + [end for _, end, _ in parts[-1:]]
    return [(start, end, count) for (start, _, count), end in zip(parts, ends, strict=True)]


def samples(file: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[Sample]:
    """The pictures in a part of a tar, each with its class; and what is not used, with the reason."""
    last = start
    for _, group in groupby(members(file, start, end), key=lambda member: member.key):
        files = list(group)
        if _is_damaged(file, last, files[0].header):
            yield Sample(picture=files[0], problem=PASSED_OVER)
        last = files[-1].end
        yield from _sample(file, [one for one in files if one.problem or not is_system(one.name)])


def _is_damaged(file: BinaryIO, last: int, header: int) -> bool:
    """Whether something else than padding, or a header that is for all, stands between two members."""
    between = os.pread(file.fileno(), BLOCK, last) if last < header else b""
    return bool(between.strip(b"\0")) and between[156:157] != b"g"


def _sample(file: BinaryIO, files: list[Member]) -> Iterator[Sample]:
    """What the files of one key are: the first picture is the one, all others are said."""
    pictures = [one for one in files if one.ending in PICTURE_ENDINGS]
    for one in files:
        if one not in pictures[:1] and one.ending not in (".cls", ".json", ".txt"):
            yield Sample(picture=one, problem=one.problem or NO_PICTURE)
    for picture in pictures[:1]:
        labels = {one.ending: _label_bytes(file, one) for one in files if one.ending in (".cls", ".json")}
        name = _class_of(labels) or PurePosixPath(picture.name).parent.name
        yield Sample(picture=picture, class_name=name, problem=picture.problem or _why_no_class(name))


def _label_bytes(file: BinaryIO, member: Member) -> bytes:
    fits = not member.problem and member.size <= MAX_LABEL_BYTES
    return os.pread(file.fileno(), member.size, member.start) if fits else b""


def _class_of(labels: dict[str, bytes]) -> str:
    """A class's name as `.cls` or `.json` have it; empty where they have none."""
    text = labels.get(".cls", b"").decode("utf-8", "replace").strip()
    if not text and ".json" in labels:
        try:
            values = json.loads(labels[".json"])
        except (ValueError, RecursionError):
            return ""
        found = [values[key] for key in LABEL_KEYS if key in values] if isinstance(values, dict) else []
        text = next((str(value) for value in found if isinstance(value, str | int)), "").strip()
    return unicodedata.normalize("NFC", text)


def _why_no_class(name: str) -> str:
    if not name:
        return NO_LABEL
    try:
        check_class_name(name)
    except DatasetError as error:
        return f"has a class without a name that can be used: {error}"
    return ""


def read_member(file: BinaryIO, member: Member, first: int | None = None) -> bytes:
    """The bytes of a member, or so many of the first. Any thread may read at any time.

    Raises:
        ImageError: it cannot be read.
    """
    if member.problem:
        raise ImageError(member.problem, "TAR_MEMBER")
    wanted = member.size if first is None else min(first, member.size)
    data = os.pread(file.fileno(), wanted, member.start)
    if len(data) < wanted:
        raise ImageError("is cut off: the tar ends before it does", "IMG_TRUNCATED")
    return data
