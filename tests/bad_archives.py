"""Zips that a stranger might bring, made here: a builder for each row of the design's table of archives."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from helpers import drawn, drawn_classes

Build = Callable[[Path], Path]
GOOD = drawn_classes(4)
_EMPTY_END = struct.pack("<4sHHHHIIH", b"PK\x05\x06", *[0] * 7)


def zipped(files: Mapping[str, bytes], **changes: object) -> bytes:
    """An honest zip, stored; `changes` are set on every entry."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            for field, value in changes.items():
                setattr(info, field, value)
            archive.writestr(info, data)
    return out.getvalue()


def with_entry(name: str, data: bytes = b"x", **changes: object) -> bytes:
    """Good pictures and one entry of another kind; its name is kept as it is given."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for good, content in GOOD.items():
            archive.writestr(good, content)
        info = zipfile.ZipInfo("x", (2024, 1, 1, 0, 0, 0))
        info.filename = name
        for field, value in changes.items():
            setattr(info, field, value)
        archive.writestr(info, data)
    return out.getvalue()


class Raw:
    """A zip written byte by byte, so that every number in it can lie."""

    def __init__(self) -> None:
        self.body, self.directory, self.count = b"", b"", 0

    def add(
        self,
        name: bytes,
        packed: bytes,
        *,
        method: int = 0,
        size: int | None = None,
        crc: int | None = None,
        flags: int = 0x800,
        local_name: bytes | None = None,
        local_size: int | None = None,
        at: int | None = None,
        attributes: int = 0,
    ) -> None:
        crc = zipfile.crc32(packed) if crc is None else crc
        size = len(packed) if size is None else size
        local = name if local_name is None else local_name
        stated = size if local_size is None else local_size
        offset = len(self.body) if at is None else at
        numbers = (20, flags, method, 0, 0x2821, crc, len(packed))
        if at is None:
            self.body += struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", *numbers, stated, len(local), 0) + local + packed
        head = (b"PK\x01\x02", 0x0314, *numbers, size, len(name), 0, 0, 0, 0, attributes, offset)
        self.directory += struct.pack("<4sHHHHHHIIIHHHHHII", *head) + name
        self.count += 1

    def add_good(self) -> "Raw":
        for name, data in GOOD.items():
            self.add(name.encode(), data)
        return self

    def bytes(self, comment: bytes = b"", before_end: bytes = b"") -> bytes:
        numbers = (0, 0, self.count, self.count, len(self.directory), len(self.body), len(comment))
        return self.body + self.directory + before_end + struct.pack("<4sHHHHIIH", b"PK\x05\x06", *numbers) + comment


def _deflated(data: bytes) -> bytes:
    import zlib

    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(data) + stream.flush()


def _declares(size: int, really: int) -> bytes:
    raw, data = Raw().add_good(), bytes(really)
    raw.add(b"discs/9.png", _deflated(data), method=8, size=size, crc=zipfile.crc32(data))
    return raw.bytes()


def _overlap(full: bool) -> bytes:
    raw = Raw().add_good()
    start = len(raw.body)
    raw.add(b"discs/9.png", drawn("discs", 9))
    raw.add(b"discs/9.png" if full else b"discs/8.png", drawn("discs", 9), at=start if full else start + 8)
    return raw.bytes()


def _mode(kind: int) -> dict[str, object]:
    return {"external_attr": (kind | 0o777) << 16, "create_system": 3}


def _method(number: int) -> bytes:
    raw = Raw().add_good()
    raw.add(b"discs/9.png", b"odd", method=number)
    return raw.bytes()


def _zip64(offset: int) -> bytes:
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, offset, 1)
    return Raw().add_good().bytes(before_end=locator)


def _folders(count: int, files: Mapping[str, bytes]) -> bytes:
    return zipped({**{f"empty/{number}/": b"" for number in range(count)}, **files})


def _renamed(files: Mapping[str, bytes], new: Callable[[str], str]) -> dict[str, bytes]:
    return {new(name): data for name, data in files.items()}


def _same_name(second: bytes) -> bytes:
    raw = Raw().add_good()
    raw.add(b"discs/9.png", drawn("discs", 9))
    raw.add(b"discs/9.png", second)
    return raw.bytes()


def _encoded(name: bytes, flags: int = 0) -> bytes:
    raw = Raw().add_good()
    raw.add(name, drawn("discs", 9), flags=flags)
    return raw.bytes()


def _patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data and len(old) == len(new)
    return data.replace(old, new)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "A1": (lambda: _overlap(False), r"overlap|inconsistent"),
    "A2": (lambda: _overlap(True), "overlap"),
    "A3": (lambda: _overlap(False), r"overlap|inconsistent"),
    "A5": (lambda: _declares(1000, 3_000_000), "larger than it says"),
    "A6": (lambda: _declares(9_000_000, 1000), "smaller than it says"),
    "A9": (lambda: zipped({f"a/{n}.png": b"" for n in range(20_001)}), "20,001 entries; the limit is 20,000"),
    "A10": (lambda: zipped({f"{n}/": b"" for n in range(6_000)}), "holds no files, only 6,000 empty folders"),
    "A12": (lambda: with_entry("../../etc/cron.d/x.jpg"), "tries to leave the folder"),
    "A13": (lambda: with_entry("/etc/passwd"), "tries to leave the folder"),
    "A14 drive": (lambda: with_entry("C:\\Windows\\x.png"), "tries to leave the folder"),
    "A14 share": (lambda: with_entry("\\\\srv\\share\\x.png"), "tries to leave the folder"),
    "A15": (lambda: with_entry("..\\..\\x.jpg"), "tries to leave the folder"),
    "A18": (lambda: with_entry("a/../cat/1.jpg"), "tries to leave the folder"),
    "A20": (
        lambda: _patched(with_entry("discs", b"/etc", **_mode(stat.S_IFLNK)), b"discs/0.png", b"discs/0.png"),
        "uses a link as a folder",
    ),
    "A26": (lambda: b"PK\x07\x08" + zipped(GOOD), "one part of a split archive"),
    "A27": (lambda: zipped(GOOD)[:-200], "incomplete"),
    "A28": (lambda: zipped(GOOD)[:-30], "incomplete"),
    "A29": (lambda: b"MZ" + bytes(500) + zipped(GOOD), r"does not start like a zip|inconsistent"),
    "A31": (lambda: _zip64(12), r"inconsistent|incomplete"),
    "A32": (lambda: Raw().add_good().bytes(before_end=_EMPTY_END), "inconsistent|incomplete"),
    "A33": (lambda: _local_name(), "two different names for one entry"),
    "A42": (lambda: _encoded(b"discs/9\0.png", 0x800), "illegal character"),
    "A50": (lambda: zipped({"__MACOSX/._1.jpg": b"x", ".DS_Store": b"x"}), "contains only system files"),
    "A51": (lambda: b"", r"is empty \(0 bytes\)"),
    "A52": (lambda: zipped({}), "holds no files"),
    "A53 rar": (lambda: b"Rar!\x1a\x07\x01\0" + bytes(99), "is a RAR file"),
    "A53 7z": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(99), "is a 7z file"),
    "A53 tar": (lambda: bytes(257) + b"ustar" + bytes(99), "is a tar file"),
    "A53 gz": (lambda: b"\x1f\x8b\x08" + bytes(99), "is a gzip file"),
    "A54 docx": (lambda: zipped({"[Content_Types].xml": b"", "word/document.xml": b""}), "is a Word document"),
    "A54 jar": (lambda: zipped({"META-INF/MANIFEST.MF": b"", "a/B.class": b""}), "Java or Android"),
    "A55": (lambda: zipped(_renamed(GOOD, lambda name: name.replace("/", "-"))), "No class folders found"),
    "A59": (
        lambda: zipped({f"cat/{n}.png": drawn("discs", n) for n in range(4)}),
        "classes are needed; found 1: cat",
    ),
    "A60": (lambda: zipped({f"c{n}/1.png": b"x" for n in range(1001)}), "1,001 classes; the limit is 1,000"),
    "A68": (lambda: with_entry("../../etc/passwd"), "tries to leave the folder"),
}


def _local_name() -> bytes:
    raw = Raw().add_good()
    raw.add(b"discs/9.png", drawn("discs", 9), local_name=b"other/9.png")
    return raw.bytes()


SKIPPED: dict[str, tuple[Callable[[], bytes], str]] = {
    "A7": (lambda: with_entry("discs/42.zip", zipped(GOOD)), "archive inside an archive is not opened"),
    "A8": (lambda: with_entry("discs/r.zip", zipped({"r.zip": b"x"})), "archive inside an archive is not opened"),
    "A19": (lambda: with_entry("discs/9.png", b"/etc/passwd", **_mode(stat.S_IFLNK)), "is a link, not a file"),
    "A21 fifo": (lambda: with_entry("discs/9.png", **_mode(stat.S_IFIFO)), "is not a regular file"),
    "A21 device": (lambda: with_entry("discs/9.png", **_mode(stat.S_IFCHR)), "is not a regular file"),
    "A24": (lambda: _encrypted(), "is encrypted"),
    "A25 deflate64": (lambda: _method(9), r"unsupported method \(Deflate64\)"),
    "A25 bzip2": (lambda: _method(12), r"unsupported method \(bzip2\)"),
    "A25 lzma": (lambda: _method(14), r"unsupported method \(LZMA\)"),
    "A25 zstd": (lambda: _method(93), r"unsupported method \(Zstandard\)"),
    "A25 ppmd": (lambda: _method(98), r"unsupported method \(PPMd\)"),
    "A25 implode": (lambda: _method(6), r"unsupported method \(implode\)"),
    "A34": (lambda: _bad_crc(), r"is damaged \(checksum\)"),
    "A35": (lambda: _bad_stream(), r"is damaged \(cannot be unpacked\)"),
    "A44 part": (lambda: with_entry("discs/" + "x" * 300 + ".png"), "name too long"),
    "A44 path": (lambda: with_entry("/".join(["discs", *["x" * 200] * 7, "1.png"])), "name too long"),
    "A45": (lambda: with_entry("/".join(["discs", *["d"] * 60, "1.png"])), "too many nested folders"),
    "A46": (lambda: _encoded(b"", 0), "has no name"),
    "A46 dot": (lambda: with_entry("."), "has no name"),
}


def _encrypted() -> bytes:
    raw = Raw().add_good()
    raw.add(b"discs/9.png", drawn("discs", 9), flags=0x801)
    return raw.bytes()


def _bad_crc() -> bytes:
    raw = Raw().add_good()
    raw.add(b"discs/9.png", drawn("discs", 9), crc=1)
    return raw.bytes()


def _bad_stream() -> bytes:
    raw = Raw().add_good()
    raw.add(b"discs/9.png", b"\xff" * 40, method=8, size=400)
    return raw.bytes()


USED: dict[str, tuple[Callable[[], bytes], int, str]] = {
    # bytes, pictures used, what a notice says
    "A11": (lambda: _folders(4_000, GOOD), 12, "Empty folders were ignored: 4,000"),
    "A16": (lambda: _encoded(b"discs\\9.png", 0x800), 13, ""),
    "A17": (lambda: with_entry("discs/.//9.png", drawn("discs", 9)), 13, ""),
    "A22": (lambda: zipped(GOOD, external_attr=(stat.S_IFREG | 0o6777) << 16), 12, ""),
    "A30": (lambda: Raw().add_good().bytes(comment=b"x" * 64_000), 12, "Extra data at the end"),
    "A36": (lambda: _same_name(drawn("discs", 9)), 13, "is listed twice and was used once"),
    "A37": (lambda: _same_name(drawn("discs", 8)), 14, "stands for two different files; both were kept"),
    "A38": (lambda: zipped({**GOOD, "discs/A.png": drawn("discs", 8), "discs/a.png": drawn("discs", 9)}), 14, ""),
    "A39": (lambda: zipped(_accents()), 24, ""),
    "A40": (lambda: _encoded("discs/写真.png".encode("shift_jis")), 13, "encoding of 1 names is unknown"),
    "A41": (lambda: _encoded(b"discs/\xff\xfe.png"), 13, "encoding of 1 names is unknown"),
    "A43": (lambda: with_entry("discs/\u202egnp.exe\n.png", drawn("discs", 9)), 13, ""),
    "A47": (lambda: zipped({**GOOD, "CON/1.png": drawn("discs", 8), "discs/x.png ": drawn("discs", 9)}), 14, ""),
    "A48": (lambda: with_entry("__MACOSX/discs/._1.png"), 12, ""),
    "A49": (lambda: zipped({**GOOD, ".DS_Store": b"x", "discs/Thumbs.db": b"x", ".git/a.png": b"x"}), 12, ""),
    "A56": (lambda: zipped(_renamed(GOOD, lambda name: f"data/{name}")), 12, ""),
    "A57": (lambda: zipped(dict(_split_folders())), 30, ""),
    "A58": (lambda: zipped({**GOOD, "discs/a/b/9.png": drawn("discs", 9)}), 13, ""),
    "A61": (lambda: with_entry("single/1.png", drawn("discs", 9)), 13, ""),
    "A62": (lambda: zipped(GOOD, date_time=(1980, 0, 0, 0, 0, 0)), 12, ""),
}


def _accents() -> dict[str, bytes]:
    """Classes that are called the same, composed and decomposed, and another."""
    files = {f"caf\u00e9/{n}.png": drawn("discs", n) for n in range(8)}
    files |= {f"cafe\u0301/{n + 8}.png": drawn("discs", n + 8) for n in range(8)}
    return files | {f"tea/{n}.png": drawn("squares", n) for n in range(8)}


def _split_folders() -> Iterator[tuple[str, bytes]]:
    for number, part in enumerate(("train", "val", "test")):
        for kind in ("discs", "squares"):
            for n in range(5):
                yield f"{part}/{kind}/{n}.png", drawn(kind, 100 * number + n)
