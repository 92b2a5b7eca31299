"""Pictures of more than 8 bits a sample become 8 bits: by what the values span, never by what the file could hold.

Cameras and scanners of 10, 12 or 14 bits write 16-bit files, in which their white is nearly black. So full scale is,
for each file by itself and the same wherever it is read:

- for whole numbers, the maximum that the file declares (sBIT of PNG, BitsPerSample and MaxSampleValue of TIFF, the
  maxval of PGM and PPM) if that says more than the size of its numbers and no value exceeds it; else the smallest of
  255, 1023, 4095, 16383, 65535 that holds the largest value; else the largest value.
- for floating point, the smallest of 1, 255, 1023, 4095, 16383, 65535 that holds the largest value, or the largest
  value itself where fewer than 16 of the 256 levels would be left.
- where there are values below zero, the smallest becomes black and the largest white: nothing is clipped.

A picture of 16 bits with no value above 255 is taken for one of 8 bits in a larger file, which most are; if it really
is that dark, nobody could see anything in it otherwise. Colours have one full scale together, transparency its own.
"""

import io
import math
import re
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFile

from core.data.reading.kinds import Unreadable

SCALES: Final = (255, 1023, 4095, 16383, 65535)
FEWEST_LEVELS: Final = 16
_BITS, _PLANES, _MAXIMUM, _EXTRA, _NUMBERS = 258, 284, 281, 338, 339  # TIFF's BitsPerSample, PlanarConfiguration, ...
_MEANING, _WHITE_IS_ZERO = 262, 0  # PhotometricInterpretation
_NATIVE: Final = "L" if sys.byteorder == "little" else "B"
_OTHER: Final = {"L": "B", "B": "L"}
_UNSIGNED, _APART = 1, 2
_SPACES_AND_DIGITS: Final = b"0123456789 \t\n\v\f\r"


def to_eight_bits(image: ImageFile.ImageFile, data: bytes) -> tuple[Image.Image, str]:
    """A picture of 8 bits a sample, grey or in colour, with or without transparency, and what was done to get it.

    Args:
        image: opened from `data`, not yet loaded.

    Raises:
        Unreadable: a value is no number, or samples are stored in a way that is not read.
    """
    declared, values = _declared(image, data), _samples(image, data)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Unreadable("contains invalid pixel values (NaN or infinity)", "IMG_VALUES")
    picture, note = _grey(values, declared, image) if values.ndim == 2 else _coloured(values, declared, image)
    key = image.info.get("transparency") if image.format == "PNG" else None
    if key is not None:  # the one value that stands for nothing
        clear = (np.atleast_3d(values) == np.array(key)).all(axis=2)
        picture.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
    return picture, note


def _grey(values: np.ndarray, declared: int | None, image: ImageFile.ImageFile) -> tuple[Image.Image, str]:
    grey, note = _scaled(values, declared)
    if _tag(image, _MEANING) == (_WHITE_IS_ZERO,):  # as X-rays are: Pillow knows of it with 8 bits only
        grey = 255 - grey
    return Image.fromarray(grey).convert("RGB"), note


def _coloured(values: np.ndarray, declared: int | None, image: ImageFile.ImageFile) -> tuple[Image.Image, str]:
    mode = {2: "LA", 3: "RGB", 4: "CMYK" if image.mode == "CMYK" else "RGBA"}[values.shape[2]]
    colours = values.shape[2] - mode.endswith("A")
    scaled, note = _scaled(values[:, :, :colours], declared)
    if mode.endswith("A"):
        alpha, _ = _scaled(values[:, :, colours:], declared)
        scaled = np.concatenate([scaled, alpha], axis=2)
    mode = "RGBa" if mode == "RGBA" and _tag(image, _EXTRA)[:1] == (1,) else mode  # multiplied by their opacity
    return Image.frombytes(mode, (values.shape[1], values.shape[0]), scaled.tobytes()), note


def _scaled(values: np.ndarray, declared: int | None) -> tuple[np.ndarray, str]:
    """Values of any shape and type as uint8 of the same shape, and what was done."""
    low, top = min(0.0, float(values.min())), float(values.max())
    full = top - low if low < 0 else _full_scale(top, declared, whole=values.dtype.kind != "f")
    if values.dtype in (np.uint8, np.uint16):  # by a table: a photo has far more pixels than there are values
        return _eight(np.arange(65536), 0.0, full)[values], _note(values, low, full)
    return _eight(values, low, full), _note(values, low, full)


def _eight(values: np.ndarray, low: float, full: float) -> np.ndarray:
    scaled = values.astype(np.float64)
    scaled -= low
    scaled /= full or 1.0
    scaled *= 255
    scaled += 0.5
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def _full_scale(top: float, declared: int | None, whole: bool) -> float:
    """What becomes white, where nothing is below zero; see the rule above."""
    if declared and top <= declared:
        return declared
    scale = next((scale for scale in (SCALES if whole else (1, *SCALES)) if top <= scale), top)
    return top if not whole and top * 256 < FEWEST_LEVELS * scale else scale


def _note(values: np.ndarray, low: float, full: float) -> str:
    if low < 0:
        return "values from below zero scaled to 8 bits"
    if values.dtype.kind == "f":
        return "floating-point values scaled to 8 bits"
    bits = int(full).bit_length()
    if full == 255:
        return "" if values.dtype == np.uint8 else "8-bit values of a deeper file kept"
    known = full == 2**bits - 1 or full > SCALES[-1]
    return f"{bits}-bit values scaled to 8 bits" if known else f"values up to {full:.0f} scaled to 8 bits"


def _declared(image: ImageFile.ImageFile, data: bytes) -> int | None:
    """The largest value that the file says it can have, if that is less than its numbers could hold anyway."""
    if image.format == "PNG":
        bits = _significant_bits(data)
        return 2**bits - 1 if 0 < bits < 16 else None
    if image.format == "PPM":
        maxval = _maxval(image.tile[0])
        return maxval if 0 < maxval < 65535 else None
    if image.format != "TIFF" or _tag(image, _NUMBERS, (_UNSIGNED,))[0] != _UNSIGNED:
        return None
    most = 2 ** max(_tag(image, _BITS, (1,))) - 1
    told = [value for value in _tag(image, _MAXIMUM) if isinstance(value, int)]
    known = min(most, max(told, default=most))
    return known if 0 < known < 65535 else None


def _significant_bits(data: bytes) -> int:
    """What the sBIT of a PNG says, the most of its channels; 0 where it has none."""
    place = 8
    while place + 8 <= len(data) and (kind := data[place + 4 : place + 8]) != b"IDAT":
        (length,) = struct.unpack_from(">I", data, place)
        if kind == b"sBIT":
            return max(data[place + 8 : place + 8 + min(length, 4)], default=0)
        place += 12 + length
    return 0


def _tag(image: ImageFile.ImageFile, number: int, usual: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The values of a tag, where the picture is a TIFF that has it."""
    tags: Any = getattr(image, "tag_v2", {})
    found = tags.get(number, usual)
    return found if isinstance(found, tuple) else (found,)


def _samples(image: ImageFile.ImageFile, data: bytes) -> np.ndarray:
    """(H, W) or (H, W, C) numbers as the file has them: C is 2 to 4, the last one opacity but for RGB and CMYK."""
    if image.format == "PPM" and image.tile[0].codec_name in ("ppm", "ppm_plain"):
        return _netpbm(image, data)
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return _colours(image, data)
    image.load()
    values = np.asarray(image)
    unsigned = image.mode == "I" and _tag(image, _BITS) == (32,) and _tag(image, _NUMBERS, (_UNSIGNED,)) == (_UNSIGNED,)
    return values.view(np.uint32) if unsigned else values.astype(values.dtype.newbyteorder("="), copy=False)


def _maxval(tile: ImageFile._Tile) -> int:
    """What a PGM or PPM says is white; 0 where Pillow was not told."""
    told = tile.args[1] if isinstance(tile.args, tuple) and tile.codec_name != "raw" else 0
    return int(told)


def _netpbm(image: ImageFile.ImageFile, data: bytes) -> np.ndarray:
    """PGM and PPM as they are: Pillow scales them by their maxval, one by one, and 16-bit colours to 8 bits."""
    tile, shape = image.tile[0], (image.height, image.width, len(image.getbands()))
    if tile.codec_name == "ppm":
        kind = np.dtype(np.uint8 if _maxval(tile) < 256 else ">u2")
        values = np.frombuffer(data[tile.offset :][: math.prod(shape) * kind.itemsize], kind)
    else:
        text = re.sub(rb"#[^\r\n]*", b"", data[tile.offset :])
        if text.translate(None, _SPACES_AND_DIGITS):
            raise ValueError("not a number")
        values = np.fromstring(text, np.float64, sep=" ")[: math.prod(shape)] if text.strip() else np.empty(0)
    if values.size < math.prod(shape):
        raise ValueError("truncated")
    if values.max() > 65535:
        raise ValueError("too large a number")
    small = values.max() <= 255 and _maxval(tile) <= 255
    return values.astype(np.uint8 if small else np.uint16).reshape(shape[:2] if shape[2] == 1 else shape)


def _colours(image: ImageFile.ImageFile, data: bytes) -> np.ndarray:
    """(H, W, C) uint16: Pillow keeps one byte of each sample, so the file is read once for the upper ones and once for
    the lower ones.
    """
    apart = _tag(image, _PLANES) == (_APART,) and image.tile[0].codec_name == "libtiff"
    if _rawmode(image.tile[0]) == "LA;16B":  # can be read in one way only, but its bytes can be taken for four samples
        return _read_as(image, lambda tile: "RGBA").view(">u2").astype(np.uint16)
    upper = _read_as(image, lambda tile: _byte_of(image, tile, 0))
    if apart:  # Pillow gives their upper bytes whatever is asked
        if upper.max() < 64:
            raise Unreadable("is a dark 16-bit TIFF with its colours stored apart; export as PNG", "IMG_FORMAT")
        return upper * np.uint16(257)
    with Image.open(io.BytesIO(data), formats=(str(image.format),)) as again:
        lower = _read_as(again, lambda tile: _byte_of(again, tile, 1))
    values = upper.astype(np.uint16)
    values <<= 8
    values |= lower
    return values


def _rawmode(tile: ImageFile._Tile) -> str:
    """How samples lie in a part of a file, in Pillow's words: "RGB;16B"."""
    return str(tile.args if isinstance(tile.args, str) or not tile.args else tile.args[0])


def _byte_of(image: ImageFile.ImageFile, tile: ImageFile._Tile, place: int) -> str:
    """The rawmode that keeps the upper (0) or lower (1) bytes; colours stay multiplied by their opacity."""
    little = getattr(getattr(image, "tag_v2", None), "prefix", b"") == b"II"
    order = _NATIVE if tile.codec_name == "libtiff" else "L" if little else "B"
    return f"{_rawmode(tile).partition(';')[0].replace('a', 'A')};16{order if place == 0 else _OTHER[order]}"


def _read_as(image: ImageFile.ImageFile, rawmode: Callable[[ImageFile._Tile], str]) -> np.ndarray:
    """(H, W, C) uint8 of a picture not yet loaded, its samples unpacked otherwise than Pillow would."""
    for place, tile in enumerate(image.tile):
        rest = () if isinstance(tile.args, str) or not tile.args else tile.args[1:]
        args = (rawmode(tile), *rest) if rest else rawmode(tile)
        image.tile[place] = tile._replace(args=args)
    image.load()
    return np.asarray(image)
