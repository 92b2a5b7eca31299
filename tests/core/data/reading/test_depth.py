"""Full scale is what the values span: pictures of 9 to 32 bits look as they should, whatever file they lie in."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from helpers import encoded, shared_file
from PIL import Image

from core.data.reading.decode import decode_picture, read_picture
from core.data.reading.depth import SCALES
from core.errors import ImageError

RAMP = np.tile(np.linspace(0, 1, 64), (48, 1))
"""From black on the left to white on the right."""
COLOURS = np.stack([RAMP, RAMP[:, ::-1], RAMP / 2], axis=2)
Write = Callable[[np.ndarray], bytes]
BITS = (8, 10, 12, 14, 16)
NOTE = {bits: f"{bits}-bit values scaled to 8 bits" for bits in BITS} | {8: "8-bit values of a deeper file kept"}


def of_bits(shares: np.ndarray, bits: int) -> np.ndarray:
    return np.round(shares * (2**bits - 1)).astype(np.uint16)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: np.ndarray, significant: int = 0, clear: tuple[int, ...] = ()) -> bytes:
    """A 16-bit PNG of (H, W) or (H, W, C)."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if values.ndim == 2 else values.shape[2]]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    bands = 1 if values.ndim == 2 else values.shape[2]
    sbit = chunk(b"sBIT", bytes([significant] * bands)) if significant else b""
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + sbit
    start += chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)) if clear else b""
    return start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, order: str = "<", packed: bool = False, apart: bool = False, **tags: int) -> bytes:
    """A TIFF of one strip, or of one for each colour, with numbers of any type in any order of bytes."""
    values = np.atleast_3d(values)
    planes = [values[:, :, place] for place in range(values.shape[2])] if apart else [values]
    strips = [plane.astype(values.dtype.newbyteorder(order)).tobytes() for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if packed else strips
    bands, height, width = values.shape[2], values.shape[0], values.shape[1]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    known = {
        258: [8 * values.dtype.itemsize] * bands,
        259: [8 if packed else 1],
        262: [tags.get("meaning", 2 if bands > 2 else 1)],
    }
    known |= {277: [bands], 284: [2 if apart else 1], 339: [kind] * bands, 274: [tags.get("turned", 1)]}
    known |= {281: [tags["maximum"]] * bands} if "maximum" in tags else {}
    known |= {338: [tags["extra"]]} if "extra" in tags else {}
    short = [(tag, "H", numbers) for tag, numbers in known.items()]
    start = 8 + 2 + 12 * (len(short) + 5) + 4 + 64 * len(short)
    places = [start + sum(map(len, strips[:number])) for number in range(len(strips))]
    long = [(256, "I", [width]), (257, "I", [height]), (273, "I", places), (278, "I", [height])]
    long.append((279, "I", [len(strip) for strip in strips]))
    rows, beyond, spill = b"", b"", 8 + 2 + 12 * (len(short) + 5) + 4
    for tag, letter, numbers in sorted(short + long):
        content = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        where = content.ljust(4, b"\0")
        if len(content) > 4:
            where = struct.pack(f"{order}I", spill + len(beyond))
            beyond += content
        rows += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[letter], len(numbers)) + where
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(short) + 5)
    return (head + rows + bytes(4) + beyond).ljust(start, b"\0") + b"".join(strips)


def netpbm(values: np.ndarray, maxval: int, plain: bool = False) -> bytes:
    number = (2 if values.ndim == 2 else 3) + (0 if plain else 3)
    header = f"P{number}\n# a remark 7\n{values.shape[1]} {values.shape[0]}\n{maxval}\n".encode()
    if plain:
        return header + b"# another 9\n" + " ".join(map(str, values.ravel())).encode() + b"\n"
    return header + values.astype(">u2" if maxval > 255 else "u1").tobytes()


def check(data: bytes, shares: np.ndarray, note: str, most: float = 0.51) -> None:
    """It has the brightness it should have, to within rounding, and says what was done."""
    expected = np.repeat(shares[:, :, None], 3, axis=2) if shares.ndim == 2 else shares
    read = read_picture(data)

    assert np.abs(read.pixels - expected * 255).max() <= most
    assert read.notes == ((note,) if note else ())


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_greys_of_which_zero_is_white_are_turned_as_those_of_8_bits_are(kind: type, packed: bool):
    known = decode_picture(tiff(np.round(RAMP * 255).astype(np.uint8), meaning=0))
    values = of_bits(RAMP, 12).astype(kind)

    assert known[0, 0, 0] == 255
    found = decode_picture(tiff(values, packed=packed, meaning=0))
    assert np.abs(found.astype(int) - known).max() <= 1


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(
    "write",
    [
        png,
        tiff,
        lambda values: tiff(values, ">"),
        lambda values: tiff(values, packed=True),
        lambda values: tiff(values.astype(np.uint32)),
        lambda values: netpbm(values, 65535),
        lambda values: netpbm(values, 65535, plain=True),
        lambda values: encoded(Image.fromarray(values)),
        lambda values: encoded(Image.fromarray(values), "TIFF"),
        lambda values: encoded(Image.fromarray(values.astype(np.int32)), "TIFF"),
    ],
    ids=["png", "II", "MM", "packed", "II-32", "pgm", "plain", "pil-png", "pil-tiff", "pil-int32"],
)
def test_greys_of_any_depth_span_black_to_white_in_every_file(bits: int, write: Write):
    check(write(of_bits(RAMP, bits)), np.round(RAMP * (2**bits - 1)) / (2**bits - 1), NOTE[bits])


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(
    "write",
    [
        png,
        tiff,
        lambda values: tiff(values, ">"),
        lambda values: tiff(values, packed=True),
        lambda values: tiff(values, ">", packed=True),
        lambda values: tiff(values, apart=True),
        lambda values: tiff(values, ">", apart=True),
        lambda values: netpbm(values, 65535),
        lambda values: netpbm(values, 65535, plain=True),
    ],
    ids=["png", "II", "MM", "II-packed", "MM-packed", "II-apart", "MM-apart", "ppm", "plain"],
)
def test_colours_of_any_depth_do_so_too(bits: int, write: Write):
    check(write(of_bits(COLOURS, bits)), np.round(COLOURS * (2**bits - 1)) / (2**bits - 1), NOTE[bits])


def test_colours_stored_apart_and_packed_are_read_if_bright_and_refused_if_they_would_come_out_black():
    check(tiff(of_bits(COLOURS, 16), packed=True, apart=True), COLOURS, NOTE[16], most=1.01)
    with pytest.raises(ImageError, match="is a dark 16-bit TIFF with its colours stored apart; export as PNG"):
        decode_picture(tiff(of_bits(COLOURS, 12), packed=True, apart=True))


def test_an_interlaced_picture_of_12_bits_is_no_darker():
    data = shared_file("corpus", "pngsuite", "basi2c16.png").read_bytes()
    plain = shared_file("corpus", "pngsuite", "basn2c16.png").read_bytes()

    assert np.array_equal(decode_picture(data), decode_picture(plain)) and decode_picture(data).max() == 255


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(
    ("grey", "write"),
    [(True, png), (False, png), (False, tiff), (False, lambda values: tiff(values, packed=True, extra=2))],
    ids=["grey png", "png", "tiff", "packed tiff"],
)
def test_transparency_of_any_depth_has_a_scale_of_its_own(bits: int, grey: bool, write: Write):
    colour = RAMP[:, :, None] if grey else COLOURS
    opacity = np.tile(np.linspace(0, 1, 48)[:, None, None], (1, 64, 1))
    expected = colour * opacity + 1 - opacity
    values = np.concatenate([of_bits(colour, bits), of_bits(opacity, 16)], axis=2)

    pixels = decode_picture(write(values))

    assert np.abs(pixels - expected * 255).max() <= 2


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shares", [RAMP, COLOURS], ids=["grey", "colour"])
def test_the_one_value_that_stands_for_nothing_becomes_white_and_no_other(bits: int, shares: np.ndarray):
    values = of_bits(shares, bits)
    key = np.atleast_1d(values[0, 0])
    near = values.copy()
    near[0, 1] = values[0, 0]
    near[0, 1, ...].flat[0] += 1  # the least difference there can be

    read = read_picture(png(near, clear=tuple(key.tolist())))

    assert (read.pixels[:, 0] == 255).all() and read.notes[-1] == "transparency became white"
    assert np.abs(read.pixels[0, 1].astype(int) - np.round(near[0, 1] / (2**bits - 1) * 255)).max() <= 1


def test_colours_multiplied_by_their_opacity_are_divided_again():
    opacity = np.full((48, 64, 1), 0.5)
    values = np.concatenate([of_bits(COLOURS * opacity, 12), of_bits(opacity, 16)], axis=2)
    values[0, 0, :3] = 4095  # else the values would fit into 11 bits

    pixels = decode_picture(tiff(values, packed=True, extra=1))

    assert np.abs(pixels[1:] - (COLOURS * 0.5 + 0.5)[1:] * 255).max() <= 2


def test_inks_of_12_bits_are_inks():
    values = of_bits(np.concatenate([COLOURS, np.zeros((48, 64, 1))], axis=2), 12)
    data = bytearray(tiff(values))
    place = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    data[place] = 5  # separated: inks

    shallow = Image.fromarray(np.round(values / 4095 * 255).astype(np.uint8), "CMYK")
    assert np.abs(decode_picture(bytes(data)).astype(int) - np.asarray(shallow.convert("RGB"))).max() <= 1


@pytest.mark.parametrize("scale", SCALES)
def test_one_more_than_a_scale_holds_is_of_the_next(scale: int):
    values = np.full((8, 8), scale, np.int32)
    values[0, 0] = 0
    more = values + 1
    more[0, 0] = 0
    next_one = next((other for other in SCALES if other > scale), scale + 1)

    assert decode_picture(encoded(Image.fromarray(values), "TIFF"))[7, 7].tolist() == [255] * 3
    found = decode_picture(encoded(Image.fromarray(more), "TIFF"))[7, 7, 0]
    assert abs(found - (scale + 1) / next_one * 255) <= 0.5


def test_what_a_file_says_its_maximum_is_counts_unless_a_value_is_above_it():
    dark = RAMP * 0.2
    for data in (
        png(of_bits(dark, 12), significant=12),
        tiff(of_bits(dark, 12), maximum=4095),
        netpbm(of_bits(dark, 12), 4095),
        netpbm(of_bits(dark, 12), 4095, plain=True),
    ):
        check(data, np.round(dark * 4095) / 4095, NOTE[12])
    bright = of_bits(RAMP, 14)
    for data in (png(bright, significant=12), tiff(bright, maximum=4095)):
        check(data, np.round(RAMP * 16383) / 16383, NOTE[14])


def test_a_maximum_that_is_no_power_of_two_counts_as_well():
    values = np.round(RAMP * 1000).astype(np.uint16)

    check(netpbm(values, 1000), np.round(RAMP * 1000) / 1000, "values up to 1000 scaled to 8 bits")
    check(tiff(values, maximum=1000), np.round(RAMP * 1000) / 1000, "values up to 1000 scaled to 8 bits")


def test_sbit_as_the_standard_has_it_is_no_scale():
    """The standard fills up 16 bits from 12: then values go far above 4095."""
    filled = of_bits(RAMP, 12) << 4

    check(png(filled, significant=12), filled / 65535, NOTE[16])


@pytest.mark.parametrize("maxval", [1, 7, 15, 100, 255])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("shares", [RAMP, COLOURS], ids=["grey", "colour"])
def test_portable_maps_of_few_levels_reach_white(maxval: int, plain: bool, shares: np.ndarray):
    values = np.round(shares * maxval).astype(np.uint16)
    expected = np.repeat(values[:, :, None], 3, axis=2) if values.ndim == 2 else values

    notes = {1: "1-bit values scaled to 8 bits", 100: "values up to 100 scaled to 8 bits", 255: ""}

    read = read_picture(netpbm(values, maxval, plain))

    assert np.abs(read.pixels - expected / maxval * 255).max() <= 0.51
    assert maxval not in notes or read.notes == tuple(filter(None, [notes[maxval]]))


@pytest.mark.parametrize("plain", [True, False])
def test_a_bitmap_is_black_and_white(plain: bool):
    bits = np.tile([[0, 1, 1, 0, 1, 0, 0, 1]], (8, 1))
    raster = " ".join(map(str, bits.ravel())).encode() if plain else bytes([0b01101001] * 8)

    pixels = decode_picture(b"P1\n" * plain + b"P4\n" * (not plain) + b"8 8\n" + raster)

    assert np.array_equal(pixels[:, :, 0], (1 - bits) * 255)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("maxval", [7, 255, 4095, 65535])
def test_a_portable_map_that_is_cut_off_is_said_to_be(maxval: int, plain: bool):
    data = netpbm(np.full((40, 40), min(maxval, 7), np.uint16), maxval, plain)

    for cut in (data[:-30], data[: data.index(f"\n{maxval}\n".encode()) + len(f"\n{maxval}\n")]):
        with pytest.raises(ImageError, match="is cut off"):
            decode_picture(cut)


@pytest.mark.parametrize("raster", [b"1 2 x 4", b"1 2 -3 4", b"1 2 3.5 4", b"1 2 99999999999999 4"])
def test_numbers_that_are_none_make_a_portable_map_damaged(raster: bytes):
    with pytest.raises(ImageError, match="is damaged"):
        decode_picture(b"P2\n2 2\n4095\n" + raster)


@pytest.mark.parametrize(("low", "high"), [(-1000, 1000), (-1, 1), (-0.5, 2.5), (-5000, -100), (-3.4e38, 3.4e38)])
@pytest.mark.parametrize("order", "<>")
def test_floats_from_below_zero_are_shifted_and_nothing_is_clipped(low: float, high: float, order: str):
    values = (low + RAMP * (float(high) - low)).astype(np.float32)

    check(tiff(values, order), RAMP, "values from below zero scaled to 8 bits")


@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_whole_numbers_from_below_zero_are_shifted_as_well(kind: type):
    values = np.round(-1024 + RAMP * 4095).astype(kind)

    check(tiff(values), (values + 1024.0) / 4095, "values from below zero scaled to 8 bits")
    check(tiff(values, ">"), (values + 1024.0) / 4095, "values from below zero scaled to 8 bits")


def test_large_unsigned_numbers_are_not_taken_for_negative_ones():
    values = np.round(RAMP * (2**32 - 1)).astype(np.uint32)

    check(tiff(values), RAMP, "32-bit values scaled to 8 bits")


@pytest.mark.parametrize(
    ("top", "white"),
    [(1, 1), (0.5, 1), (0.07, 1), (0.05, 0.05), (0.003, 0.003), (1.02, 1.02), (200, 255), (4000, 4095), (1e6, 1e6)],
)
def test_floats_have_the_next_usual_scale_or_their_own_where_little_would_be_left(top: float, white: float):
    check(tiff((RAMP * top).astype(np.float32)), RAMP * top / white, "floating-point values scaled to 8 bits")


def test_portable_floats_are_read_from_the_bottom_up():
    values = (RAMP * np.linspace(1, 0.5, 48)[:, None]).astype("<f4")
    data = b"Pf\n64 48\n-1.0\n" + values[::-1].tobytes()

    check(data, values.astype(float), "floating-point values scaled to 8 bits")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(number: float):
    values = RAMP.astype(np.float32)
    values[3, 3] = number

    with pytest.raises(ImageError, match="contains invalid pixel values"):
        decode_picture(tiff(values))


@pytest.mark.parametrize("values", [np.zeros((9, 9), np.uint16), np.zeros((9, 9), np.float32)])
def test_all_black_stays_black(values: np.ndarray):
    assert (decode_picture(tiff(values)) == 0).all()


def test_a_dark_picture_of_8_bits_in_16_looks_as_it_does_in_8():
    values = of_bits(RAMP * 0.3, 8)

    assert np.array_equal(
        decode_picture(png(values)), decode_picture(encoded(Image.fromarray(values.astype(np.uint8))))
    )


@pytest.mark.parametrize("turned", range(1, 9))
def test_a_deep_tiff_is_turned_upright(turned: int):
    deep = decode_picture(tiff(of_bits(COLOURS, 12), turned=turned))
    shallow = encoded(Image.fromarray(np.round(COLOURS * 255).astype(np.uint8)), "TIFF", tiffinfo={274: turned})

    assert np.abs(deep.astype(int) - decode_picture(shallow)).max() <= 1


def test_a_large_deep_picture_is_made_smaller_after_it_was_scaled():
    wide = np.tile(np.linspace(0, 1, 1200), (600, 1))

    pixels = decode_picture(png(of_bits(wide, 12)))

    assert pixels.shape == (256, 512, 3) and pixels.min() <= 1 and pixels.max() >= 254


def test_every_deep_file_of_pillows_own_shows_something():
    files = [*shared_file("corpus", "pillow").glob("*16bit*"), shared_file("corpus", "pillow", "uint16_1_4660.tif")]
    spans = {path.name: np.ptp(decode_picture(path.read_bytes())) for path in files}

    assert len(spans) >= 8 and spans.pop("uint16_1_4660.tif") == 0  # all one grey
    assert {name for name, span in spans.items() if span < 16} == set()
