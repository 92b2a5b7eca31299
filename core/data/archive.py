"""Reading a zip that a stranger made, without ever unpacking it to disk.

The directory is checked before a byte is decompressed; members are read through a counter that stops at the limit,
since declared sizes lie. A lying structure refuses the whole archive; a broken member is the caller's to skip.
"""

import re
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from core.errors import DatasetError, ImageError

MAX_ENTRIES = 20_000
MAX_TOTAL_BYTES = 2 * 1024**3
MAX_MEMBER_BYTES = 50 * 1024**2
MAX_NAME_BYTES = 1_024
_ENCRYPTED_FLAG = 0x1
_UTF8_FLAG = 0x800
_LOCAL_HEADER_BYTES = 30
_DRIVE = re.compile("[A-Za-z]:(/|$)")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive:
    """A zip file's pictures by name. Not safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Open and check.

        Raises:
            DatasetError: not a zip, too large, or its directory is not to be trusted.
        """
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path.name} is not a zip, or is incomplete (cut off); make the zip again.") from error
        try:
            self._members = _check_directory(self._zip, path.name)
        except DatasetError:
            self._zip.close()
            raise
        self._read_bytes = 0

    def names(self) -> list[str]:
        """Names of all files, forward slashes, in the archive's order."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """The bytes of one member.

        Raises:
            ImageError: this member cannot be read; the others can.
            DatasetError: the archive as a whole produces more than its limit.
        """
        info = self._members[name]
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise ImageError("is encrypted")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ImageError("is a link, not a file")
        if info.compress_type not in _METHODS:
            raise ImageError("is packed with an unsupported method; make the zip again with the normal one")
        try:
            with self._zip.open(info) as member:
                data = member.read(MAX_MEMBER_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError) as error:
            raise ImageError("is damaged inside the zip") from error
        if len(data) > MAX_MEMBER_BYTES:
            raise ImageError(f"is larger than {MAX_MEMBER_BYTES // 1024**2} MB (limit)")
        self._read_bytes += len(data)
        if self._read_bytes > 2 * MAX_TOTAL_BYTES:  # twice: every member is read once to hash and once to decode
            raise DatasetError(f"The zip unpacks to more than {MAX_TOTAL_BYTES // 1024**3} GB (limit).")
        return data

    def close(self) -> None:
        self._zip.close()


def _check_directory(archive: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    files = [info for info in archive.infolist() if not info.filename.endswith("/")]  # is_dir() fails on an empty name
    if len(archive.infolist()) > MAX_ENTRIES:
        raise DatasetError(f"{where} has {len(archive.infolist()):,} entries; the limit is {MAX_ENTRIES:,}.")
    if not files:
        raise DatasetError(f"{where} holds no files.")
    if sum(info.file_size for info in files) > MAX_TOTAL_BYTES:
        raise DatasetError(f"{where} unpacks to more than {MAX_TOTAL_BYTES // 1024**3} GB (limit).")
    if all(info.flag_bits & _ENCRYPTED_FLAG for info in files):
        raise DatasetError(f"{where} is password-protected; make a zip without a password.")
    _check_overlap(archive, where)
    members: dict[str, zipfile.ZipInfo] = {}
    for info in files:
        name = info.filename.replace("\\", "/")
        parts = PurePosixPath(name).parts
        if name.startswith("/") or _DRIVE.match(name) or ".." in parts:
            raise DatasetError(f"{where}: an entry's name tries to leave the folder; nothing was read.")
        if parts and len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES:
            members.setdefault("/".join(parts), info)
    return members


def _check_overlap(archive: zipfile.ZipFile, where: str) -> None:
    """Entries that share bytes make bombs; Python before 3.11.8 does not notice (CVE-2024-0450)."""
    ordered = sorted(archive.infolist(), key=lambda info: info.header_offset)
    ends = [info.header_offset for info in ordered[1:]] + [archive.start_dir]
    for info, end in zip(ordered, ends, strict=True):
        name = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8_FLAG else "cp437")
        if info.header_offset + _LOCAL_HEADER_BYTES + len(name) + info.compress_size > end:
            raise DatasetError(f"{where}: entries share the same bytes (overlap); this is not a normal zip.")
