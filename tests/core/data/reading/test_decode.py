"""From bytes to pixels: what is read, how it looks, and that nothing else than a reason comes out of the rest."""

import io
import json
import random
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import REPOSITORY, draw_picture, encoded, shared_file
from PIL import Image, ImageCms

from core.data.reading.decode import MAX_ASPECT, SHORT_SIDE, decode_picture
from core.errors import ImageError


def reason(data: bytes) -> str:
    with pytest.raises(ImageError) as refused:
        decode_picture(data)
    return str(refused.value)


def mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(float) - b).mean())


def photo(width: int, height: int) -> Image.Image:
    """Something smooth with four different corners."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - (x + y) / 2], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_small_pictures_keep_their_size_and_every_value(format: str):
    image = draw_picture("discs", 1)

    pixels = decode_picture(encoded(image, format))

    assert pixels.dtype == np.uint8 and pixels.flags["C_CONTIGUOUS"]
    assert np.array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "GIF"])
def test_formats_that_lose_a_little_look_the_same(format: str):
    image = photo(120, 80)

    assert mean_difference(decode_picture(encoded(image, format)), np.asarray(image)) < 12


@pytest.mark.parametrize("format", ["ICO", "TGA", "PCX", "SGI", "ICNS", "EPS", "PDF", "DDS", "JPEG2000", "MSP"])
def test_no_other_format_is_opened_even_if_pillow_could(format: str, monkeypatch: pytest.MonkeyPatch):
    data = encoded(photo(64, 64).convert("1" if format == "MSP" else "RGB"), format)
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: pytest.fail("a decoder was started"))

    assert "is damaged" not in reason(data)


def test_mpo_of_stereo_cameras_gives_its_main_picture():
    image = photo(60, 40)
    data = encoded(image, "MPO", save_all=True, append_images=[photo(60, 40).transpose(Image.Transpose.ROTATE_180)])

    assert mean_difference(decode_picture(data), np.asarray(image)) < 5


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1200, 800), (384, 256)), ((800, 1200), (256, 384)), ((256, 300), (256, 300)), ((100, 2000), (100, 400))],
)
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_the_short_side_ends_at_256_and_strips_lose_their_ends(
    size: tuple[int, int], expected: tuple[int, int], format: str
):
    pixels = decode_picture(encoded(photo(*size), format))

    assert (pixels.shape[1], pixels.shape[0]) == expected
    assert min(pixels.shape[:2]) <= SHORT_SIDE and max(pixels.shape[:2]) <= MAX_ASPECT * min(pixels.shape[:2])


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 5)])
def test_tiny_pictures_and_strips_are_pictures(size: tuple[int, int]):
    assert decode_picture(encoded(photo(*size))).shape == (min(size[1], 4 * size[0]), min(size[0], 4 * size[1]), 3)


def test_the_middle_of_a_strip_is_kept():
    strip = Image.new("RGB", (1000, 10), "red")
    strip.paste("blue", (480, 0, 520, 10))

    assert (decode_picture(encoded(strip)) == (0, 0, 255)).all()


@pytest.mark.parametrize("kind", ["Landscape", "Portrait"])
@pytest.mark.parametrize("orientation", range(9))
def test_photos_are_turned_upright_as_the_camera_says(kind: str, orientation: int):
    pixels = decode_picture(shared_file("corpus", "exif", f"{kind}_{orientation}.jpg").read_bytes())
    upright = decode_picture(shared_file("corpus", "exif", f"{kind}_1.jpg").read_bytes())

    assert mean_difference(pixels, upright) < 3
    assert mean_difference(pixels[::-1], upright) > 30
    assert (pixels.shape[1] > pixels.shape[0]) == (kind == "Landscape")


@pytest.mark.parametrize("format", ["PNG", "WEBP", "JPEG", "TIFF", "AVIF"])
def test_orientation_counts_in_every_format_that_has_it(format: str):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = photo(80, 40)

    pixels = decode_picture(encoded(image, format, exif=exif))

    assert mean_difference(pixels, np.asarray(image.transpose(Image.Transpose.ROTATE_270))) < 12


@pytest.mark.parametrize("name", ["avif_rot2mir0", "avif_rot2mir1", "avif_rot3mir0", "avif_rot3mir1"])
def test_turned_avifs_are_upright(name: str):
    pixels = decode_picture(shared_file("corpus", "pillow", f"{name}.avif").read_bytes())

    assert (
        mean_difference(pixels, decode_picture(shared_file("corpus", "pillow", "avif_rot0mir0.avif").read_bytes())) < 12
    )


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_means_nothing_is_ignored(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = photo(80, 40)

    assert np.array_equal(decode_picture(encoded(image, exif=exif)), np.asarray(image))


# pytest sets the filters aside that silence Pillow's remarks in the app
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_broken_exif_does_not_cost_the_picture():
    data = encoded(photo(80, 40), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)

    assert mean_difference(decode_picture(data), np.asarray(photo(80, 40))) < 5


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    data = encoded(Image.fromarray(np.tile(ramp, (32, 1))))

    pixels = decode_picture(data)[0, :, 0]

    assert np.abs(pixels.astype(float) - ramp / 257).max() <= 1


def test_floating_point_greys_are_scaled_and_nonsense_is_refused():
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (8, 1))
    broken = ramp.copy()
    broken[3, 3] = np.nan

    assert np.ptp(decode_picture(encoded(Image.fromarray(ramp), "TIFF"))) == 255
    assert reason(encoded(Image.fromarray(broken), "TIFF")) == "contains invalid pixel values (NaN or infinity)"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_what_is_transparent_becomes_white(mode: str):
    clear = Image.new("RGBA", (20, 20), (200, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 10, 20))
    image = clear.quantize(4) if mode in ("P", "PA") else clear.convert(mode)

    pixels = decode_picture(encoded(image))

    assert (pixels[:, :10] == 0).all() and (pixels[:, 10:] == 255).all()


def test_what_is_half_transparent_is_mixed_with_white():
    pixels = decode_picture(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128))))

    assert np.abs(pixels.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_every_mode_ends_as_colour(mode: str):
    image = Image.new("RGB", (16, 16), "white").convert(mode)

    assert (decode_picture(encoded(image, "TIFF")) == 255).all()


@pytest.mark.parametrize(("ink", "colour"), [((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0))])
def test_cmyk_jpegs_are_not_inverted(ink: tuple[int, ...], colour: tuple[int, ...]):
    pixels = decode_picture(encoded(Image.new("CMYK", (16, 16), ink), "JPEG"))

    assert np.abs(pixels.astype(int) - colour).max() <= 6


def test_a_wide_colour_space_is_turned_into_srgb():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image = photo(60, 40)

    # the same profile under another name is converted and comes out as it was
    profile = bytearray(lab.tobytes())
    renamed = bytes(profile).replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be")).replace(b"sRGB", b"mine")
    assert np.abs(decode_picture(encoded(image, icc_profile=renamed)).astype(int) - np.asarray(image)).max() <= 2


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 200], ids=["text", "zeros"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_broken_colour_profile_is_ignored(mode: str, profile: bytes):
    image = photo(60, 40).convert(mode)
    format = "JPEG" if mode == "CMYK" else "PNG"

    with_profile, without = encoded(image, format, icc_profile=profile), encoded(image, format)

    assert np.array_equal(decode_picture(with_profile), decode_picture(without))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several_frames_counts(format: str):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])

    assert np.abs(decode_picture(data).astype(int) - (255, 0, 0)).max() <= 8


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds hardly a byte."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    packed = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100_000, 100_000), "megapixels"),
        ((10_000, 10_000), "megapixels (limit)"),
        ((10_000, 6_000), "is 60 megapixels; the limit is 50: resize it"),
        ((30_000, 1_000), "is 30000 x 1000 pixels; the limit is 20,000 on a side: resize it"),
    ],
)
def test_claimed_sizes_over_the_limit_are_refused_before_decoding(size: tuple[int, int], expected: str):
    assert expected in reason(png_header(*size))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.97])
def test_a_file_that_is_cut_off_is_refused(format: str, share: float):
    data = encoded(photo(300, 200), format)

    assert reason(data[: int(len(data) * share)])


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_file_that_is_cut_off_is_said_to_be(format: str, share: float):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8))
    data = encoded(noise, format)

    assert "is cut off (the file is incomplete)" in reason(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "is empty (0 bytes)"),
        (b"this is a letter to my aunt", "text file"),
        (b"<!doctype html><html><body>404 Not Found</body></html>", "text file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "is SVG"),
        (b'<?xml version="1.0"?><SVG></SVG>', "is SVG"),
        (b"%PDF-1.7 ...", "is a PDF"),
        (b"8BPS\0\1" + bytes(20), "Photoshop"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "is EPS"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "is incomplete or damaged, or HEIF of an unusual kind"),
        (b"PK\x03\x04" + bytes(20), "is an archive"),
        (b"\x7fELF\x02\x01\x01" + bytes(200), "is not a picture (a program)"),
        (bytes(1000), "is not a picture Thaw can read"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_picture_is_called_by_its_name(data: bytes, expected: str):
    assert expected in reason(data)


def test_a_reason_is_one_line_without_any_path():
    for data in (b"", b"text " * 20, png_header(10**5, 10**5), encoded(photo(300, 200), "JPEG")[:500]):
        assert "\n" not in reason(data) and "/" not in reason(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_one_wrong_bit_gives_pixels_or_a_reason(format: str):
    dice, data = random.Random(format), encoded(photo(60, 40), format)
    for _ in range(60):
        flipped = bytearray(data)
        flipped[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        try:
            pixels = decode_picture(bytes(flipped))
        except ImageError:
            continue
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3


def test_random_bytes_are_refused():
    dice = random.Random(0)

    assert all(reason(dice.randbytes(dice.randrange(1, 400))) for _ in range(300))


def test_threads_see_the_same_pixels():
    files = [encoded(photo(500 + n, 400), "JPEG") for n in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(decode_picture, files))

    assert all(np.array_equal(decode_picture(data), pixels) for data, pixels in zip(files, together, strict=True))


def test_everything_after_the_picture_is_ignored():
    data = encoded(photo(60, 40), "JPEG")

    assert np.array_equal(decode_picture(data), decode_picture(data + b"PK\x03\x04 a zip" * 1000))


WHOLE_CORPUS = """
import json, sys, warnings
from pathlib import Path
from core.data.reading.decode import decode_picture
from core.errors import ImageError

shown, found = [], {}
warnings.showwarning = lambda message, *rest: shown.append(str(message))
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        pixels = decode_picture(path.read_bytes())
        assert pixels.dtype.name == "uint8" and pixels.ndim == 3 and pixels.shape[2] == 3
        assert 0 < min(pixels.shape[:2]) <= 256
        found[path.name] = list(pixels.shape)
    except ImageError as error:
        found[path.name] = str(error)
print(json.dumps({"found": found, "warnings": shown}))
"""


def decode_folder(name: str) -> dict[str, object]:
    """Pixels' shape or reason of every file, read in a process of its own that may neither hang nor crash nor warn."""
    command = [sys.executable, "-c", WHOLE_CORPUS, str(shared_file("corpus", name))]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["warnings"] == []
    return result["found"]


def test_pillows_own_hard_cases_give_pixels_or_a_reason():
    found = decode_folder("pillow")
    shapes = [value for value in found.values() if isinstance(value, list)]

    assert len(found) > 300
    assert len(shapes) > 200
    assert found["apng_syntax_num_frames_invalid.png"] == [64, 128, 3]


def test_png_suite_is_read_except_for_its_broken_files():
    found = decode_folder("pngsuite")
    refused = {name for name, value in found.items() if isinstance(value, str)}

    assert refused == {name for name in found if name.startswith("x")} | {"LICENSE"}
    assert "text file" in str(found["LICENSE"])


def test_png_suite_looks_as_it_should():
    """Interlaced files (basi) hold the same picture as the plain ones (basn)."""
    folder = shared_file("corpus", "pngsuite")
    pairs = [(path, folder / path.name.replace("basi", "basn")) for path in folder.glob("basi*.png")]

    assert len(pairs) == 15
    for interlaced, plain in pairs:
        assert np.array_equal(decode_picture(interlaced.read_bytes()), decode_picture(plain.read_bytes()))


def test_a_file_object_is_left_closed():
    data = encoded(photo(60, 40), "TIFF", compression="tiff_lzw")
    for _ in range(3):  # an open file would warn when it is collected, and warnings are errors here
        decode_picture(data)
    assert io.BytesIO(data).read() == data
