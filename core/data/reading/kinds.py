"""What a file is, by its first bytes: a name ends as it likes, and downloads have none or a wrong one.

One table for everybody who chooses files or has to say why one is not read. Nothing is decoded here.
"""

import codecs
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

HEAD_BYTES: Final = 2048
"""So many first bytes are enough: what tells most kinds is in the first 16, but SVG may begin with remarks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of file."""

    name: str
    """As a person would call it; where it is read, as Pillow calls its format."""
    is_picture: bool
    """Whether it holds a picture, whether or not Thaw reads it."""
    is_read: bool
    """Whether Thaw's decoders read it."""
    reason: str
    """What to say where it is not read: "is JPEG 2000, which is not read; export as PNG or JPEG"; "" where it is."""


class Unreadable(Exception):
    """A picture file that cannot be read: the reason, to follow its name, and a code for the kind of reason."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.code = code


def kind_of(head: bytes, name: str = "") -> Kind | None:
    """What a file is that begins so; None for bytes that say nothing.

    Args:
        head: the first `HEAD_BYTES` bytes, or all of them if there are fewer; more does no harm.
        name: as it came; helps only where bytes are not enough: Targa, and cameras' raw files, which look like TIFF.
    """
    head, ending = head[:HEAD_BYTES], PurePosixPath(name).suffix.lower()
    if not head:
        return _EMPTY
    found = _by_signature(head)
    if found is TIFF and (ending in _RAW_ENDINGS or _is_raw(head)):
        return _RAW
    return found or _boxes(head) or _texts(head) or _weak(head, ending)


def _read(name: str) -> Kind:
    return Kind(name=name, is_picture=True, is_read=True, reason="")


def _picture(name: str, called: str = "") -> Kind:
    reason = f"is {called or name}, which is not read; export as PNG or JPEG"
    return Kind(name=name, is_picture=True, is_read=False, reason=reason)


def _broken(name: str) -> Kind:
    """The beginning of something that Thaw reads, and then something else or nothing."""
    return Kind(name=name, is_picture=True, is_read=False, reason="is incomplete or damaged")


def _other(name: str, reason: str) -> Kind:
    return Kind(name=name, is_picture=False, is_read=False, reason=reason)


def _archive(name: str) -> Kind:
    return _other(name, "is an archive, not a picture")


JPEG, PNG, GIF, BMP, TIFF, WEBP, AVIF, HEIF, PPM = map(
    _read, ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF", "PPM")
)
READ: Final = (JPEG, PNG, GIF, BMP, TIFF, WEBP, AVIF, HEIF, PPM)
_RAW = _picture("camera RAW", "a camera's raw file")
_EPS, _JPEG_2000, _JPEG_XL, _SVG = map(_picture, ("EPS", "JPEG 2000", "JPEG XL", "SVG"))
_EMPTY = _other("empty", "is empty (0 bytes)")
_TEXT, _WEB_PAGE = (_other(name, "is not a picture (text file)") for name in ("text", "web page"))
_PROGRAM = _other("program", "is not a picture (a program)")
_VIDEO = _other("video", "is a video, not a picture; export its frames as JPEG")
_AUDIO = _other("audio", "is a sound, not a picture")
_ARRAY = "is a table of numbers ({}), not a picture file; export it as PNG"
_TARGA = _picture("TGA", "Targa (TGA)")

_SIGNATURES: Final[tuple[tuple[int, bytes, Kind], ...]] = (
    (0, b"\xff\xd8\xff", JPEG),
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    *((0, order, TIFF) for order in (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")),  # + is BigTIFF
    (0, b"\xff\xd8", _broken("JPEG")),
    (0, b"\x89PNG", _broken("PNG")),
    (0, b"GIF8", _broken("GIF")),
    (0, b"\0\0\0\x0cjP  ", _JPEG_2000),
    (0, b"\xff\x4f\xff\x51", _JPEG_2000),
    (0, b"\0\0\0\x0cJXL ", _JPEG_XL),
    (0, b"\xff\x0a", _JPEG_XL),
    (0, b"II\xbc", _picture("JPEG XR")),
    (0, b"8BPS", _picture("Photoshop", "a Photoshop file")),
    (0, b"gimp xcf", _picture("XCF", "a GIMP file (XCF)")),
    (0, b"%!PS", _EPS),
    (0, b"\xc5\xd0\xd3\xc6", _EPS),
    (0, b"PF\n", _picture("PFM", "a colour PFM")),
    (0, b"P7\n", _picture("PAM")),
    (0, b"v/1\x01", _picture("OpenEXR")),
    (0, b"#?RADIANCE", _picture("HDR", "Radiance HDR")),
    (0, b"#?RGBE", _picture("HDR", "Radiance HDR")),
    (0, b"DDS ", _picture("DDS")),
    (0, b"\xabKTX", _picture("KTX")),
    (0, b"icns", _picture("ICNS", "a Mac icon (ICNS)")),
    (0, b"SIMPLE  =", _picture("FITS")),
    (128, b"DICM", _picture("DICOM")),
    (344, b"n+1\0", _picture("NIfTI")),
    (344, b"ni1\0", _picture("NIfTI")),
    (0, b"\x59\xa6\x6a\x95", _picture("Sun raster")),
    (0, b"qoif", _picture("QOI")),
    (0, b"FLIF", _picture("FLIF")),
    (0, b"BPG\xfb", _picture("BPG")),
    (0, b"AT&TFORM", _picture("DjVu")),
    (0, b"SDPX", _picture("DPX")),
    (0, b"XPDS", _picture("DPX")),
    (0, b"\xd7\xcd\xc6\x9a", _picture("WMF")),
    (40, b" EMF", _picture("EMF")),
    (0, b"/* XPM */", _picture("XPM")),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    *((0, magic, _RAW) for magic in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")),
    (0, b"%PDF", _other("PDF", "is a PDF, not a picture; export its page as PNG")),
    (0, b"PK\x03\x04", _archive("ZIP")),
    (0, b"PK\x05\x06", _archive("ZIP")),
    (0, b"Rar!", _archive("RAR")),
    (0, b"7z\xbc\xaf", _archive("7z")),
    (0, b"\x1f\x8b", _archive("gzip")),
    (0, b"\x1f\x9d", _archive("compress")),
    (0, b"BZh", _archive("bzip2")),
    (0, b"\xfd7zXZ", _archive("xz")),
    (0, b"\x28\xb5\x2f\xfd", _archive("zstd")),
    (0, b"\x04\x22\x4d\x18", _archive("lz4")),
    (0, b"MSCF", _archive("CAB")),
    (0, b"!<arch>", _archive("ar")),
    (257, b"ustar", _archive("tar")),
    (0, b"\x89HDF", _other("HDF5", _ARRAY.format("HDF5"))),
    (0, b"\x93NUMPY", _other("NumPy", _ARRAY.format("NumPy"))),
    (0, b"MATLAB 5.0", _other("MATLAB", _ARRAY.format("MATLAB"))),
    (0, b"CDF\x01", _other("NetCDF", _ARRAY.format("NetCDF"))),
    (0, b"PAR1", _other("Parquet", _ARRAY.format("Parquet"))),
    (0, b"SQLite format 3", _other("database", "is a database, not a picture")),
    (0, b"\xd0\xcf\x11\xe0", _other("document", "is an Office document, not a picture")),
    (0, b"\0\5\x16\7", _other("AppleDouble", "is what a Mac keeps beside a file, not the picture itself")),
    (0, b"version https://git-lfs", _other("Git LFS", "stands for a picture that Git LFS keeps; run git lfs pull")),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
    *((4, box, _VIDEO) for box in (b"moov", b"mdat", b"wide", b"pnot")),
    (0, b"\0\0\1\xba", _VIDEO),
    (0, b"\0\0\1\xb3", _VIDEO),
    (0, b"FLV\x01", _VIDEO),
    (0, b"\x30\x26\xb2\x75", _VIDEO),
    (0, b"ID3", _AUDIO),
    (0, b"OggS", _AUDIO),
    (0, b"fLaC", _AUDIO),
    (0, b"MZ", _PROGRAM),
    (0, b"\x7fELF", _PROGRAM),
    (0, b"\xca\xfe\xba\xbe", _PROGRAM),
    (0, b"\xcf\xfa\xed\xfe", _PROGRAM),
    (0, b"\xce\xfa\xed\xfe", _PROGRAM),
    (0, b"\0asm", _PROGRAM),
    (0, b"#!", _PROGRAM),
    (0, b"<?php", _PROGRAM),
)


def _by_signature(head: bytes) -> Kind | None:
    return next((kind for place, magic, kind in _SIGNATURES if head.startswith(magic, place)), None)


_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif"})
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_RIFF: Final = {b"WEBP": WEBP, b"AVI ": _VIDEO, b"WAVE": _AUDIO}


def _boxes(head: bytes) -> Kind | None:
    """RIFF, and what ISO media files (all begin alike: HEIC, AVIF, MP4, MOV, Canon's CR3) say they are."""
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], _broken("WEBP"))
    if head[4:8] != b"ftyp":
        return None
    first, end = head[8:12], min(struct.unpack(">I", head[:4])[0], 256)
    compatible = {head[place : place + 4] for place in range(16, end, 4)}
    if first in _AVIF_BRANDS or (first in _HEIF_BRANDS and _AVIF_BRANDS & compatible):
        return AVIF
    return HEIF if first in _HEIF_BRANDS else {b"crx ": _RAW, b"M4A ": _AUDIO}.get(first, _VIDEO)


# a letter may begin with "P1", too: only after a picture's width and any remarks is it one
_PNM: Final = re.compile(rb"P[1-6][ \t-\r](?:[ \t-\r]|#[^\r\n]*[\r\n])*\d|Pf[ \t-\r]+\d+[ \t-\r]+\d")
_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body)", re.IGNORECASE)


def _texts(head: bytes) -> Kind | None:
    """What a person could read in an editor, pictures among it."""
    if _PNM.match(head):
        return PPM
    if b"<svg" in head.lower():
        return _SVG
    if not _is_text(head):
        return None
    if head.startswith(b"#define") and b"_width" in head:
        return _picture("XBM")
    return _WEB_PAGE if _MARKUP.match(head) else _TEXT


def _is_text(head: bytes) -> bool:
    """UTF-8 without control signs, or marked as UTF-16."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return b"\0" in head
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the last sign may be cut in two
    except UnicodeDecodeError:
        return False
    return bool(text) and all(sign >= " " or sign in "\t\n\v\f\r\x1b" for sign in text)


_RAW_ENDINGS: Final = frozenset(
    {".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".iiq", ".k25", ".kdc", ".mef", ".mos", ".nef", ".nrw"}
    | {".orf", ".pef", ".raw", ".rw2", ".sr2", ".srf", ".srw"}
)
_THUMBNAIL, _INNER_PICTURES, _DNG_VERSION = 254, 330, 50706


def _is_raw(head: bytes) -> bool:
    """Whether a TIFF begins with the small preview of a raw picture: Pillow would take that for the whole."""
    if head[8:10] == b"CR":
        return True
    order = "<" if head[:1] == b"I" else ">"
    tags = dict(_first_tags(head, order))
    return _DNG_VERSION in tags or (_INNER_PICTURES in tags and bool(tags.get(_THUMBNAIL, 0) & 1))


def _first_tags(head: bytes, order: str) -> Iterator[tuple[int, int]]:
    """Tags of a TIFF's first page with their values, as far as they lie in its beginning."""
    if len(head) < 8:
        return
    (start,) = struct.unpack_from(f"{order}I", head, 4)
    for place in range(start + 2, min(len(head), start + 2 + 12 * 200) - 11, 12):
        tag, _, _, value = struct.unpack_from(f"{order}HHII", head, place)
        yield tag, value


_WEAK: Final = (  # two or three telling bytes, and what follows has to fit
    (re.compile(rb"BM"), BMP),
    (re.compile(rb"\0\0[\1\2]\0[^\0]\0...\0", re.DOTALL), _picture("ICO", "an icon (ICO)")),
    (re.compile(rb"\x01\xda[\0\1][\1\2]"), _picture("SGI")),
    (re.compile(rb"\n[\0-\5][\0\1][\1\2\4\x08]"), _picture("PCX")),
    (re.compile(rb".{4}[\x11\x12]\xaf", re.DOTALL), _VIDEO),  # FLI, FLC
)


def _weak(head: bytes, ending: str) -> Kind | None:
    found = next((kind for pattern, kind in _WEAK if pattern.match(head)), None)
    if found is None and (ending in (".tga", ".icb", ".vda", ".vst") or _is_targa(head)):
        return _TARGA
    return found


def _is_targa(head: bytes) -> bool:
    """Targa has no magic: every field of its header must be possible."""
    if len(head) < 18:
        return False
    mapped, kind = head[1:3]
    width, height, bits, flags = struct.unpack_from("<HHBB", head, 12)
    colours = (kind in (1, 9) and mapped == 1) or (kind in (2, 3, 10, 11) and head[1:8] == bytes((0, kind, *bytes(5))))
    depths = bits == 8 if kind in (1, 3, 9, 11) else bits in (15, 16, 24, 32)
    return colours and depths and min(width, height) > 0 and flags < 64
