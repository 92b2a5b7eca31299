"""Rows of the design's table of pictures that need more than a look at their bytes: what was done, and what was said.

The others (B1 to B5, B9 to B14, B18, B19, B23, B37, B43 to B45, B48, B53) are in test_decode.py.
"""

import io
import struct
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from helpers import encoded, shared_file
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from core.data.reading.decode import SHORT_SIDE, ReadPicture, read_picture
from core.errors import ImageError

RED = (250, 10, 20)


def picture(mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Image.Image:
    ramp = np.linspace(0, 255, size[0] * size[1], dtype=np.uint8).reshape(size[1], size[0])
    return Image.merge("RGB", [Image.fromarray(ramp)] * 3).convert(mode)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png: bytes, extra: bytes) -> bytes:
    """A PNG with a chunk after its header."""
    return png[:33] + extra + png[33:]


def heic() -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(picture(size=(64, 48))).save(file, quality=95)
    return file.getvalue()


def many_frames(format: str, count: int) -> bytes:
    frames = [Image.new("RGB", (16, 16), (number % 256, 0, 0)) for number in range(count)]
    return encoded(Image.new("RGB", (16, 16), RED), format, save_all=True, append_images=frames)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x0132] = orientation, "2024:05:01 12:00:00"
    exif[0x010F], exif.get_ifd(0x8825)[1] = "A camera called Me", "N"
    return encoded(picture(), "JPEG", exif=exif)


DONE: dict[str, tuple[Callable[[], bytes], str, tuple[str, ...]]] = {
    # bytes, name, notes
    "B6 GIF and script": (lambda: encoded(picture(), "GIF") + b"*/=1;alert(1)//", "a.gif", ()),
    "B7 JPEG and zip": (lambda: encoded(picture(), "JPEG") + b"PK\x03\x04" * 99, "a.jpg", ()),
    "B8 PNG named jpg": (lambda: encoded(picture()), "a.jpg", ("is really PNG",)),
    "B12 HEIC": (heic, "IMG_0001.HEIC", ()),
    "B12 HEIC named jpg": (heic, "IMG_0001.jpg", ("is really HEIF",)),
    "B13 AVIF": (lambda: encoded(picture(), "AVIF"), "a.avif", ()),
    "B21 one pixel": (lambda: encoded(picture(size=(1, 1))), "a.png", ()),
    "B22 strip": (lambda: encoded(picture(size=(1, 9000))), "a.png", ("the middle of a long strip kept",)),
    "B29 bad profile": (lambda: encoded(picture(), icc_profile=b"nonsense"), "a.png", ("colour profile ignored",)),
    "B31 animated GIF": (lambda: many_frames("GIF", 5), "a.gif", ("first of several frames",)),
    "B34 animated WebP": (lambda: many_frames("WEBP", 5), "a.webp", ("first of several frames",)),
    "B35 pages of a TIFF": (lambda: many_frames("TIFF", 3), "a.tif", ("first of several frames",)),
    "B37 CMYK": (lambda: encoded(picture("CMYK"), "JPEG"), "a.jpg", ("CMYK became RGB",)),
    "B38 16 bits": (lambda: encoded(_deep(65535)), "a.png", ("16-bit values scaled to 8 bits",)),
    "B38 12 bits": (lambda: encoded(_deep(4095)), "a.png", ("12-bit values scaled to 8 bits",)),
    "B38 8 bits in 16": (lambda: encoded(_deep(255)), "a.png", ("8-bit values of a deeper file kept",)),
    "B40 palette, transparent": (lambda: _clear("P"), "a.png", ("transparency became white",)),
    "B40 LA": (lambda: _clear("LA"), "a.png", ("transparency became white",)),
    "B40 opaque RGBA": (lambda: encoded(picture("RGBA")), "a.png", ()),
    "B42 one bit": (lambda: encoded(picture("1")), "a.png", ()),
    "B42 YCbCr, as TIFF": (lambda: encoded(picture("YCbCr"), "TIFF"), "a.tif", ()),
    "B43 turned": (lambda: turned(6), "a.jpg", ("turned upright",)),
    "B44 no such orientation": (lambda: turned(9), "a.jpg", ()),
    "B49 stereo": (lambda: many_frames("MPO", 2), "a.jpg", ("first of several frames",)),
    "B50 long comment": (lambda: encoded(picture(), "JPEG", comment=b"x" * 60_000), "a.jpg", ()),
}


def _deep(top: int) -> Image.Image:
    return Image.fromarray((np.asarray(picture("L"), float) / 255 * top).astype(np.uint16))


def _clear(mode: str) -> bytes:
    image = picture().convert("RGBA")
    image.putalpha(Image.new("L", image.size, 100))
    return encoded(image.convert("LA") if mode == "LA" else image.quantize(16))


@pytest.mark.parametrize("row", DONE)
def test_unusual_pictures_are_made_usable_and_it_is_said_how(row: str):
    build, name, notes = DONE[row]

    read = read_picture(build(), name)

    assert read.notes == notes
    assert read.pixels.dtype == np.uint8 and read.pixels.shape[2] == 3 and min(read.pixels.shape[:2]) <= SHORT_SIDE


def test_the_size_is_that_of_the_upright_picture_and_the_moment_is_kept():
    read = read_picture(turned(6))

    assert (read.size, read.pixels.shape[:2]) == ((32, 48), (48, 32))
    assert read.taken == "2024:05:01 12:00:00"


@pytest.mark.parametrize("size", [(48, 32), (480, 320)], ids=["as it came", "made smaller"])
def test_row_b46_nothing_of_the_file_is_left_but_pixels(size: tuple[int, int]):
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "at home"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(picture(size=size), "JPEG", exif=exif, icc_profile=profile, comment=b"secret")

    read = read_picture(data)

    assert set(ReadPicture.__slots__) == {"image", "size", "taken", "notes"}
    assert type(read.image) is Image.Image and read.image.info == {} and dict(read.image.getexif()) == {}
    assert all(secret in data for secret in (b"at home", b"secret"))


def test_a_second_frame_is_not_what_is_kept():
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])

    read = read_picture(file.getvalue())

    assert read.notes == ("first of several frames",) and (read.pixels == (255, 0, 0)).all()


def test_heic_has_the_colours_it_was_made_of():
    pixels = read_picture(heic()).pixels

    assert np.abs(pixels.astype(int) - np.asarray(picture(size=(64, 48)))).mean() < 6


REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    # bytes, reason, code
    "B5 PNG and HTML": (lambda: b"\x89PNG\r\n\x1a\n<html><script>", "incomplete or damaged", "IMG_FORMAT"),
    "B13 damaged AVIF": (lambda: encoded(picture(), "AVIF")[:60], "", "IMG"),
    "B16 bad Huffman": (lambda: _without(encoded(picture(), "JPEG"), b"\xff\xc4"), "", "IMG"),
    "B20 no width": (lambda: with_header(0, 5), "", "IMG"),
    "B20 GIF without size": (lambda: b"GIF89a" + bytes(7) + b";", "", "IMG"),
    "B26 text bomb": (lambda: _text_bomb(), "oversized text data", "IMG_TEXT_BOMB"),
    "B28 bad checksum": (lambda: _flipped(encoded(picture()), -20), "", "IMG"),
    "B28 no data": (lambda: with_header(5, 5), "", "IMG"),
    "B33 GIF cut in its data": (lambda: encoded(picture(size=(200, 200)), "GIF")[:400], "", "IMG"),
    "B36 TIFF that points to itself": (lambda: b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "", "IMG"),
    "B39 NaN": (lambda: encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), "NaN", "IMG_VALUES"),
    "B51 lossless": (lambda: encoded(picture(), "JPEG").replace(b"\xff\xc0", b"\xff\xc3", 1), "", "IMG"),
    "B18 claims 65,500 squared": (lambda: _jpeg_of(65_500, 65_500), "megapixels", "IMG_TOO_LARGE"),
    "B12 damaged HEIC": (lambda: heic()[:300], "", "IMG"),
}


def with_header(width: int, height: int) -> bytes:
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IEND", b"")
    )


def _without(data: bytes, marker: bytes) -> bytes:
    """A JPEG whose tables after a marker are gone wrong."""
    place = data.index(marker)
    return data[: place + 4] + b"\xff" * 16 + data[place + 20 :]


def _flipped(data: bytes, place: int) -> bytes:
    broken = bytearray(data)
    broken[place] ^= 1
    return bytes(broken)


def _text_bomb() -> bytes:
    text = b"Comment\0\0" + zlib.compress(b"x" * 5_000_000, 9)
    return with_chunk(encoded(picture()), chunk(b"zTXt", text))


def _jpeg_of(width: int, height: int) -> bytes:
    data = encoded(picture(), "JPEG")
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


@pytest.mark.parametrize("row", REFUSED)
def test_broken_pictures_are_refused_with_a_reason_and_a_code(row: str):
    build, words, code = REFUSED[row]

    with pytest.raises(ImageError) as caught:
        read_picture(build(), "a.png")

    assert words in str(caught.value) and caught.value.code.startswith(code)
    assert len(str(caught.value)) < 120 and "/" not in str(caught.value)


def test_row_b32_of_a_hundred_thousand_frames_only_the_first_is_read():
    start, frame = encoded(Image.new("P", (1, 1)), "GIF")[:-1], b""
    frame = start[start.index(b",") :] if b"," in start else b""
    data = start + frame * 100_000 + b";"

    begin = time.process_time()
    read_picture(data)

    assert time.process_time() - begin < 5  # reading them all takes far longer


def test_row_b30_lies_about_frames_leave_the_first(monkeypatch: pytest.MonkeyPatch):
    lie = chunk(b"acTL", struct.pack(">II", 1_000_000, 0))

    read = read_picture(with_chunk(encoded(Image.new("RGB", (8, 8), RED)), lie))

    assert (read.pixels == RED).all()


def test_row_b47_text_about_orientation_is_no_orientation():
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')

    assert read_picture(encoded(picture(), pnginfo=info)).pixels.shape[:2] in {(32, 48), (48, 32)}


def pngsuite() -> list[str]:
    folder = shared_file("corpus", "pngsuite")
    return sorted(path.name for path in folder.glob("*.png"))


def test_pngsuite_is_as_a_plain_decoder_has_it_and_its_corrupt_files_are_refused():
    """Transparency on white, deep greys scaled: by hand here, from what Pillow loads. At most 1 apart."""
    folder, tried = shared_file("corpus", "pngsuite"), 0
    for name in pngsuite():
        data = (folder / name).read_bytes()
        if name.startswith("x"):
            with pytest.raises(ImageError):
                read_picture(data, name)
            continue
        found = read_picture(data, name).pixels.astype(int)
        assert np.abs(found - _by_hand(data)).max() <= 1, name
        tried += 1
    assert tried > 100


def _by_hand(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.load()
    if image.mode.startswith("I"):
        grey = np.asarray(image, dtype=float) / 257
        return np.repeat(grey[:, :, None], 3, axis=2).round().astype(int)
    rgba = np.asarray(image.convert("RGBA"), dtype=float)
    alpha = rgba[:, :, 3:] / 255
    return (rgba[:, :, :3] * alpha + 255 * (1 - alpha)).round().astype(int)
