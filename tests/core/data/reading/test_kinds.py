"""What a file is, by its first bytes: what people really have, and that what is called read is read."""

import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from helpers import encoded, shared_file
from PIL import Image

from core.data.reading.kinds import HEAD_BYTES, READ, Kind, kind_of

PICTURE = Image.linear_gradient("L").resize((48, 40)).convert("RGB")


def named(data: bytes, name: str = "") -> str:
    found = kind_of(data[:HEAD_BYTES], name)
    assert found is not None
    return found.name


def heic() -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(PICTURE).save(file)
    return file.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "MPO", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM"])
@pytest.mark.parametrize("name", ["", "picture", "1.jpg_large", "a.jpg?w=200", "a.txt"])
def test_pictures_that_are_read_are_known_whatever_they_are_called(format: str, name: str):
    found = kind_of(encoded(PICTURE, format)[:HEAD_BYTES], name)

    assert found in READ and found.is_picture and found.is_read and found.reason == ""
    assert found.name == ("JPEG" if format == "MPO" else format)


def test_heic_and_avif_are_told_apart_by_what_they_say_they_are():
    assert named(heic()) == "HEIF"
    for brand, others, expected in [
        (b"heic", b"mif1heic", "HEIF"),
        (b"mif1", b"mif1heic", "HEIF"),
        (b"mif1", b"mif1miafavif", "AVIF"),
        (b"avif", b"mif1", "AVIF"),
        (b"avis", b"", "AVIF"),
        (b"isom", b"iso2avc1mp41", "video"),
        (b"qt  ", b"", "video"),
        (b"crx ", b"isom", "camera RAW"),
        (b"M4A ", b"isom", "audio"),
    ]:
        head = struct.pack(">I", 16 + len(others)) + b"ftyp" + brand + bytes(4) + others + b"avif" * 9
        assert named(head) == expected, (brand, others)


def test_every_jpeg_begins_with_three_bytes_whatever_follows():
    assert {named(b"\xff\xd8\xff" + bytes((marker,)) + b"rest") for marker in range(0xC0, 0x100)} == {"JPEG"}


@pytest.mark.parametrize("order", ["II", "MM"])
def test_large_tiffs_are_tiffs(order: str):
    assert named(encoded(PICTURE, "TIFF", big_tiff=True)) == "TIFF"
    assert named(b"II+\0\x08\0\0\0" if order == "II" else b"MM\0+\0\x08\0\0") == "TIFF"


@pytest.mark.parametrize(
    "head",
    [
        *(f"P{number} 3 2 255 ".encode() for number in range(1, 7)),
        b"P5\n# made by a camera\n#and again 7\r\n 640 480\n65535\n",
        b"P6\r\n3 2\r\n255\r\n",
        b"P2\t\n \n3",
        b"Pf\n3 2\n-1.0\n",
    ],
)
def test_netpbm_is_known_with_and_without_remarks(head: bytes):
    assert named(head) == "PPM"


@pytest.mark.parametrize("letter", [b"P1 is the first point", b"P6\n# remarks\nonly", b"P", b"P3", b"Pf we say"])
def test_a_letter_that_begins_like_netpbm_is_text(letter: bytes):
    assert named(letter) == "text"


OTHER_PICTURES = {
    "JPEG 2000": encoded(PICTURE, "JPEG2000"),
    "TGA": encoded(PICTURE, "TGA"),
    "ICO": encoded(PICTURE, "ICO"),
    "PCX": encoded(PICTURE, "PCX"),
    "SGI": encoded(PICTURE, "SGI"),
    "ICNS": encoded(PICTURE, "ICNS"),
    "EPS": encoded(PICTURE, "EPS"),
    "DDS": encoded(PICTURE, "DDS"),
    "QOI": encoded(PICTURE, "QOI"),
    "XBM": encoded(PICTURE.convert("1"), "XBM"),
    "JPEG XL": b"\xff\x0a\xfa\x1f",
    "JPEG XR": b"II\xbc\x01",
    "Photoshop": b"8BPS\0\1",
    "XCF": b"gimp xcf file",
    "SVG": b'<?xml version="1.0"?>\n<!-- ' + b"about " * 200 + b"--><svg/>",
    "DICOM": bytes(128) + b"DICM" + bytes(20),
    "NIfTI": b"\x5c\1" + bytes(342) + b"n+1\0",
    "FITS": b"SIMPLE  =                    T",
    "OpenEXR": b"v/1\x01\x02",
    "HDR": b"#?RADIANCE\n# a remark\n",
    "PAM": b"P7\nWIDTH 3\nHEIGHT 2\nDEPTH 4\n",
    "PFM": b"PF\n3 2\n-1.0\n",
    "DjVu": b"AT&TFORM\0\0\0\0DJVU",
    "EMF": b"\1\0\0\0" + bytes(36) + b" EMF",
}


@pytest.mark.parametrize("name", OTHER_PICTURES)
def test_pictures_of_other_kinds_are_named_with_what_to_do(name: str):
    found = kind_of(OTHER_PICTURES[name])

    assert found is not None and (found.name, found.is_picture, found.is_read) == (name, True, False)
    assert found.reason.startswith("is ") and found.reason.endswith(", which is not read; export as PNG or JPEG")


def test_the_reason_names_the_kind():
    found = kind_of(OTHER_PICTURES["JPEG 2000"])

    assert found is not None and found.reason == "is JPEG 2000, which is not read; export as PNG or JPEG"


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", b"1")
    return file.getvalue()


NO_PICTURES = {
    "empty": b"",
    "PDF": b"%PDF-1.7",
    "ZIP": zipped(),
    "tar": tar(),
    "gzip": b"\x1f\x8b\x08\0",
    "RAR": b"Rar!\x1a\x07",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "text": b"a letter to my aunt, in \xc3\xa4",
    "web page": b"\n<!DOCTYPE html><html>404</html>",
    "program": b"\x7fELF\x02\x01",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "NumPy": b"\x93NUMPY\1\0",
    "MATLAB": b"MATLAB 5.0 MAT-file, Platform: GLNXA64",
    "video": b"RIFF\0\0\1\0AVI LIST",
    "audio": b"RIFF\0\0\1\0WAVEfmt ",
    "document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
    "AppleDouble": b"\0\5\x16\7\0\2\0\0Mac OS X",
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_no_picture_is_not_called_one(name: str):
    found = kind_of(NO_PICTURES[name])

    assert found is not None and (found.name, found.is_picture, found.is_read) == (name, False, False) and found.reason


@pytest.mark.parametrize(
    "text",
    [
        b"BMW,3\nAudi,4\n",
        b'{"label": 3}',
        b"image,label\na.jpg,1\n",
        b"\xef\xbb\xbfimage;label\r\n",
        "Köln".encode("utf-16"),
        b"version: 3",
        b"x",
        ("ä" * HEAD_BYTES).encode(),
        ("xä" + "ä" * HEAD_BYTES).encode(),
    ],
)
def test_text_is_text_in_every_script(text: bytes):
    assert named(text) == "text"


def raw(order: str, *tags: tuple[int, int]) -> bytes:
    """The beginning of a TIFF with these tags of its first page."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    rows = [struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags]
    return head + struct.pack(f"{order}H", len(rows)) + b"".join(rows) + bytes(4)


@pytest.mark.parametrize("order", "<>")
def test_a_cameras_raw_file_is_not_taken_for_the_small_preview_in_it(order: str):
    size = ((256, 160), (257, 120))

    assert named(raw(order, (254, 1), *size, (330, 4000))) == "camera RAW"
    assert named(raw(order, *size, (50706, 0x01040000))) == "camera RAW"
    assert named(raw(order, (254, 0), *size)) == "TIFF"
    assert named(raw(order, (254, 1), *size)) == "TIFF"
    assert named(raw(order, *size), "DSC_0001.NEF") == "camera RAW"


@pytest.mark.parametrize("magic", [b"II*\0\x10\0\0\0CR\2\0", b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0", b"IIU\0\x18\0"])
def test_other_raw_files_have_signs_of_their_own(magic: bytes):
    assert named(magic) == "camera RAW"


def test_a_name_says_nothing_where_bytes_do():
    assert named(encoded(PICTURE, "JPEG"), "a.nef") == "JPEG"
    assert named(encoded(PICTURE), "a.tga") == "PNG"
    assert named(bytes(40), "a.tga") == "TGA"


@pytest.mark.parametrize("start", [b"\xff\xd8", b"\x89PNG\r\n\x1a", b"GIF8", b"RIFF\0\0", b"\x89PNG\r\n<html>"])
def test_a_beginning_alone_is_a_picture_that_cannot_be_read(start: bytes):
    found = kind_of(start)

    assert found is not None and found.is_picture and not found.is_read and found.reason == "is incomplete or damaged"


@pytest.mark.parametrize("head", [bytes(100), b"\1\2\3", b"\xfe" * 50, b"\0\0\1\0\0\0"])
def test_bytes_that_say_nothing_are_of_no_kind(head: bytes):
    assert kind_of(head) is None


def test_any_bytes_have_an_answer():
    dice = np.random.default_rng(0)
    starts = (b"", b"II*\0", b"MM\0*", b"\0\0\0\x18ftyp", b"RIFF", b"P5 ", b"BM", b"\0\0\2")
    for start in starts:
        for size in range(60):
            found = kind_of(start + dice.bytes(size), "a.b")
            assert found is None or isinstance(found, Kind)


ENDINGS = {".jpg": "JPEG", ".png": "PNG", ".gif": "GIF", ".bmp": "BMP", ".webp": "WEBP", ".avif": "AVIF"}
ENDINGS |= {".mpo": "JPEG", ".psd": "Photoshop", ".eps": "EPS", ".ico": "ICO", ".tif": "TIFF", ".tiff": "TIFF"}


@pytest.mark.parametrize("name", ["pillow", "pngsuite", "exif"])
def test_collected_files_are_what_they_are_called(name: str):
    # the suite's files called xs have broken first bytes
    paths = [path for path in shared_file("corpus", name).iterdir() if not path.name.startswith("xs")]
    expected = {path.name: ENDINGS[path.suffix] for path in paths if path.suffix in ENDINGS}
    found = {path.name: kind_of(path.read_bytes()[:HEAD_BYTES]) for path in paths if path.suffix in ENDINGS}

    assert len(expected) > 10
    assert {file: kind and kind.name for file, kind in found.items()} == expected
