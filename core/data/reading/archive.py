"""Reading a zip that a stranger made, without ever unpacking it to disk.

The directory is checked before a byte is decompressed; members are read through a counter that stops at the limit,
since declared sizes lie. A lying structure refuses the whole archive; a broken member is the caller's to skip.
"""

import re
import stat
import struct
import threading
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from core.data.reading.kinds import HEAD_BYTES, kind_of
from core.data.reading.limits import (
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_FOLDERS,
    MAX_MEMBER_BYTES,
    MAX_NAME_BYTES,
    MAX_PART_BYTES,
    MAX_RATIO,
    MAX_TOTAL_BYTES,
    RATIO_FROM_BYTES,
)
from core.errors import DatasetError, ImageError

ENCRYPTED_FLAG: Final = 0x1
_SIZES_FOLLOW_FLAG: Final = 0x8
_UTF8_FLAG: Final = 0x800
_LOCAL_HEADER: Final = struct.Struct("<4sHHHHHIIIHH")
_END_RECORD: Final = b"PK\x05\x06"
_DRIVE: Final = re.compile("[A-Za-z]:")
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHOD_NAMES: Final = {6: "implode", 9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}
_OTHER_ARCHIVES: Final = (
    (b"Rar!", "a RAR file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
)
_DOCUMENTS: Final = {"word/": "a Word document", "xl/": "an Excel workbook", "ppt/": "a PowerPoint presentation"}


class Archive:
    """A zip file's pictures by name. Any thread may read at any time."""

    def __init__(self, path: Path, max_member_bytes: int = MAX_MEMBER_BYTES) -> None:
        """Open and check.

        Args:
            max_member_bytes: size of a member, unpacked, that is still read.

        Raises:
            DatasetError: not a zip, too large, or its directory is not to be trusted.
        """
        self.where = path.name
        self._max_member_bytes = max_member_bytes
        self.refused: list[tuple[str, str]] = []
        """Entries that are no members, with the reason: no name, a name that is too long."""
        self.links: list[str] = []
        """Entries that are links; what they lead to is unknown, and they are read as nothing."""
        self.notices: list[str] = []
        """What is odd about the whole and was put up with."""
        _check_kind(path)
        self._starts: dict[int, int] = {}
        self._turn = threading.Lock()  # for the file's position and the count of what was read
        self._file: BinaryIO = path.open("rb")
        try:
            self._zip = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, UnicodeDecodeError) as error:
            self._file.close()
            raise DatasetError(_why_no_zip(path, error)) from error
        try:
            self._members = self._check()
        except DatasetError:
            self.close()
            raise
        self._read_bytes = 0

    def names(self) -> list[str]:
        """Names of all files, forward slashes, in the archive's order."""
        return list(self._members)

    def folders(self) -> list[str]:
        """Names of all entries that are folders."""
        infos = (info for info in self._zip.infolist() if _is_folder(info))
        names = (PurePosixPath(info.orig_filename.replace("\\", "/")).parts for info in infos)
        return [unicodedata.normalize("NFC", "/".join(parts)) for parts in names if parts and not why_no_member(parts)]

    def empty_folders(self) -> int:
        """Number of entries that are folders with nothing in them."""
        folders = {info.filename.replace("\\", "/").strip("/") for info in self._zip.infolist() if _is_folder(info)}
        within = {str(parent) for name in self._members for parent in PurePosixPath(name).parents}
        return len(folders - within)

    def size(self, name: str) -> int:
        """Bytes of a member as the directory declares them; `read` refuses a member of another size."""
        return self._members[name].file_size

    def read(self, name: str) -> bytes:
        """The bytes of one member.

        Raises:
            ImageError: this member cannot be read; the others can.
            DatasetError: the archive as a whole produces more than its limit.
        """
        info = self._members[name]
        _check_member(info)
        data = self._unpacked(info)
        if len(data) > self._max_member_bytes:
            raise ImageError(f"is larger than {self._max_member_bytes // 1024**2} MB (limit)", "IMG_TOO_LARGE")
        if len(data) != info.file_size:
            word = "larger" if len(data) > info.file_size else "smaller"
            raise DatasetError(f"{self.where}: an entry is {word} than it says; this is not a normal zip.")
        if zlib.crc32(data) != info.CRC:
            raise ImageError("is damaged (checksum)", "ZIP_DAMAGED")
        with self._turn:
            self._read_bytes += len(data)
        if self._read_bytes > 2 * MAX_TOTAL_BYTES:  # twice: every member is read once to hash and once to decode
            raise DatasetError(f"The zip unpacks to more than {MAX_TOTAL_BYTES // 1024**3} GB (limit).")
        return data

    def head(self, name: str) -> bytes:
        """The first `HEAD_BYTES` of a member, or all of it; whether the rest is sound is not looked at.

        Raises:
            ImageError: this member cannot be read.
        """
        info = self._members[name]
        _check_member(info)
        with self._turn:
            self._file.seek(self._starts[info.header_offset])
            packed = self._file.read(min(info.compress_size, HEAD_BYTES))
        if info.compress_type == zipfile.ZIP_STORED:
            return packed
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, HEAD_BYTES)
        except zlib.error as error:
            raise ImageError("is damaged (cannot be unpacked)", "ZIP_DAMAGED") from error

    def _unpacked(self, info: zipfile.ZipInfo) -> bytes:
        """What a member really holds, at most one byte more than it may: the library stops at the declared size."""
        with self._turn:
            self._file.seek(self._starts[info.header_offset])
            packed = self._file.read(info.compress_size)
        if info.compress_type == zipfile.ZIP_STORED:
            return packed
        stream, most = zlib.decompressobj(-zlib.MAX_WBITS), min(self._max_member_bytes, info.file_size)
        try:
            data = stream.decompress(packed, most + 1)
        except zlib.error as error:
            raise ImageError("is damaged (cannot be unpacked)", "ZIP_DAMAGED") from error
        if not stream.eof and len(data) <= most and not stream.unconsumed_tail:
            raise ImageError("is damaged (cannot be unpacked)", "ZIP_DAMAGED")
        return data

    def close(self) -> None:
        self._zip.close()
        self._file.close()

    def _check(self) -> dict[str, zipfile.ZipInfo]:
        """The directory's members by name, if the whole can be trusted."""
        entries, where = self._zip.infolist(), self.where
        if len(entries) > MAX_ENTRIES:
            raise DatasetError(f"{where} has {len(entries):,} entries; the limit is {MAX_ENTRIES:,}.")
        files = [info for info in entries if not _is_folder(info)]
        folders = len(entries) - len(files)
        if not files:
            only = f", only {folders:,} empty folder{'s' * (folders != 1)}" if folders else ""
            raise DatasetError(f"{where} holds no files{only}; make the zip again.")
        if folders > MAX_FOLDERS:
            raise DatasetError(f"{where} has {folders:,} folders; the limit is {MAX_FOLDERS:,}.")
        if all(info.flag_bits & ENCRYPTED_FLAG for info in files):
            raise DatasetError(f"{where} is password-protected; make a zip without a password.")
        self._check_structure(entries)
        _check_sizes(files, where)
        return self._named(files)

    def _check_structure(self, entries: list[zipfile.ZipInfo]) -> None:
        """The two directories of a zip, in front of each member and at its end, must agree and share no bytes."""
        where, file = self.where, self._file
        ordered = sorted(entries, key=lambda info: info.header_offset)
        if ordered[0].header_offset != 0:
            raise DatasetError(f"{where} does not start like a zip: something stands before it. Make the zip again.")
        file.seek(self._zip.start_dir)
        rest = file.read()
        if rest.count(_END_RECORD) != 1 and rest.count(_END_RECORD, 0, -len(self._zip.comment) or None) != 1:
            raise DatasetError(f"{where} has an inconsistent zip directory (two end records); make the zip again.")
        _check_zip64(rest, self._zip.start_dir, where)
        if len(self._zip.comment) > 1024:
            self.notices.append("Extra data at the end of the zip was ignored.")
        ends = [info.header_offset for info in ordered[1:]] + [self._zip.start_dir]
        for info, end in zip(ordered, ends, strict=True):
            file.seek(info.header_offset)
            start = self._starts[info.header_offset] = self._check_local(info, file.read(_LOCAL_HEADER.size))
            if start + info.compress_size > end:
                raise DatasetError(f"{where}: entries share the same bytes (overlap); this is not a normal zip.")

    def _check_local(self, info: zipfile.ZipInfo, header: bytes) -> int:
        """Compare a member's own header with the directory's; the offset its data begins at."""
        odd = f"{self.where} has an inconsistent zip directory"
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            raise DatasetError(f"{odd}; make the zip again.")
        _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        name = self._file.read(name_length)
        stated = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8_FLAG else "cp437", "replace")
        if name != stated and name.replace(b"\0", b"") != stated.replace(b"\0", b""):
            raise DatasetError(f"{odd} (two different names for one entry).")
        if method != info.compress_type:
            raise DatasetError(f"{odd} (two different descriptions of one entry).")
        follows = flags & _SIZES_FOLLOW_FLAG
        large = 0xFFFFFFFF in (packed, size)  # the true sizes stand elsewhere (ZIP64)
        if not follows and not large and (crc, packed, size) != (info.CRC, info.compress_size, info.file_size):
            raise DatasetError(f"{odd} (two different sizes of one entry).")
        return int(info.header_offset + _LOCAL_HEADER.size + name_length + extra_length)

    def _named(self, files: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        """Members under names that are fit to be shown and never used as paths."""
        members: dict[str, zipfile.ZipInfo] = {}
        links = {info.filename.rstrip("/") for info in files if stat.S_ISLNK(info.external_attr >> 16)}
        unknown = 0
        for info in files:
            raw = info.orig_filename
            if "\0" in raw:
                raise DatasetError(f"{self.where}: illegal character in an entry's name; nothing was read.")
            name = raw.replace("\\", "/")
            parts = PurePosixPath(name).parts
            if name.startswith("/") or _DRIVE.match(name) or ".." in parts:
                raise DatasetError(f"{self.where}: an entry's name tries to leave the folder; nothing was read.")
            if any("/".join(parts[:depth]) in links for depth in range(1, len(parts))):
                raise DatasetError(f"{self.where} uses a link as a folder; nothing was read.")
            if reason := why_no_member(parts):
                self.refused.append((name[:200], reason))
                continue
            unknown += not info.flag_bits & _UTF8_FLAG and not raw.isascii()
            shown = unicodedata.normalize("NFC", "/".join(parts))
            self.links += [shown] if raw in links else []
            self._place(members, shown, info)
        if unknown:
            self.notices.append(f"The encoding of {unknown} names is unknown; they may look odd.")
        return members

    def _place(self, members: dict[str, zipfile.ZipInfo], name: str, info: zipfile.ZipInfo) -> None:
        """Put a member under its name; of two with the same name and content one is enough."""
        before = members.get(name)
        if before is None:
            members[name] = info
        elif (before.CRC, before.file_size) == (info.CRC, info.file_size):
            self.notices.append(f"{name} is listed twice and was used once.")
        else:
            stem, dot, ending = name.rpartition(".")
            members[f"{stem or name} ({len(members)}){dot}{ending if dot else ''}"] = info
            self.notices.append(f"{name} stands for two different files; both were kept.")


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(("/", "\\"))  # is_dir() fails on an empty name


def _check_kind(path: Path) -> None:
    """Say what a file is that is called a zip and is none."""
    if path.exists() and not path.is_file():  # a pipe might never be read to its end
        what = "a folder" if path.is_dir() else "a pipe or device"
        raise DatasetError(f"{path.name} is {what}, not a zip; give the zip file itself.")
    try:
        with path.open("rb") as file:
            start = file.read(264)
    except OSError as error:
        raise DatasetError(f"{path.name} cannot be read.") from error
    if not start:
        raise DatasetError(f"{path.name} is empty (0 bytes); make the zip again.")
    kind = next((kind for magic, kind in _OTHER_ARCHIVES if start.startswith(magic)), None)
    kind = "a tar file" if start[257:262] == b"ustar" else kind
    if kind:
        raise DatasetError(f"{path.name} is {kind}, not a zip; please make a zip.")
    if start.startswith(b"PK\x07\x08PK\x03\x04") or path.suffix.lower() == ".z01":
        raise DatasetError(f"{path.name} is one part of a split archive; make a zip in one piece.")


def _why_no_zip(path: Path, error: Exception) -> str:
    if "multiple disks" in str(error) or "span" in str(error):
        return f"{path.name} is one part of a split archive; make a zip in one piece."
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD_BYTES), path.name)
    if kind is None or kind.name == "ZIP":
        return f"{path.name} is not a zip, or is incomplete (cut off); make the zip again."
    if kind.is_picture:
        return f"{path.name} is a single picture ({kind.name}), not a zip: bring a zip or a folder of class folders."
    return f"{path.name} is not a zip (it holds: {kind.name}); give the zip file itself."


def _check_zip64(rest: bytes, start_dir: int, where: str) -> None:
    """The locator of a ZIP64 end record must point to the record in front of it (CVE-2025-8291)."""
    place = rest.find(b"PK\x06\x07")
    if place < 0:
        return
    (stated,) = struct.unpack("<Q", rest[place + 8 : place + 16].ljust(8, b"\0"))
    if rest[stated - start_dir : stated - start_dir + 4] != b"PK\x06\x06" or stated < start_dir:
        raise DatasetError(f"{where} has an inconsistent zip directory (ZIP64); make the zip again.")


def _check_sizes(files: list[zipfile.ZipInfo], where: str) -> None:
    total = sum(info.file_size for info in files)
    if total > MAX_TOTAL_BYTES:
        raise DatasetError(f"{where} unpacks to more than {MAX_TOTAL_BYTES // 1024**3} GB (limit).")
    names = {info.filename for info in files}
    document = None
    if "[Content_Types].xml" in names:
        document = next((kind for folder, kind in _DOCUMENTS.items() if any(n.startswith(folder) for n in names)), None)
    elif names & {"META-INF/MANIFEST.MF", "AndroidManifest.xml"}:
        document = "a Java or Android package"
    if document:
        raise DatasetError(f"{where} is {document}; it holds no pictures in class folders.")


def why_no_member(parts: tuple[str, ...]) -> str:
    if not "".join(parts).strip(" ./"):
        return "has no name"
    sizes = [len(part.encode("utf-8", "replace")) for part in parts]
    if max(sizes) > MAX_PART_BYTES or sum(sizes) + len(sizes) > MAX_NAME_BYTES:
        return "name too long"
    return f"too many nested folders (limit {MAX_DEPTH})" if len(parts) > MAX_DEPTH + 1 else ""


def _check_member(info: zipfile.ZipInfo) -> None:
    """Raise ImageError for a member that is no plain file, or cannot be unpacked safely."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & ENCRYPTED_FLAG:
        raise ImageError("is encrypted", "ZIP_ENCRYPTED")
    if kind == stat.S_IFLNK:
        raise ImageError("is a link, not a file", "ZIP_LINK")
    if kind not in (0, stat.S_IFREG):
        raise ImageError("is not a regular file", "ZIP_LINK")
    if info.compress_type not in _METHODS:
        name = _METHOD_NAMES.get(info.compress_type, f"number {info.compress_type}")
        raise ImageError(f"is packed with an unsupported method ({name}); make the zip again", "ZIP_METHOD")
    if info.file_size > RATIO_FROM_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size):
        raise ImageError(f"unpacks to more than {MAX_RATIO} times its size; that is no picture", "ZIP_RATIO")
