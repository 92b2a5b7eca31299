"""From the bytes of a picture to its pixels: one policy for training, testing and classifying.

Only formats on the allow-list are ever opened. Big photos are decoded at reduced scale; the short side ends at
`SHORT_SIDE` pixels at most (small pictures keep their size). EXIF orientation is applied, colour profiles become sRGB,
transparency becomes white, 16-bit becomes 8-bit, and of several frames the first counts. HEIC is read by pillow-heif.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from core.data.limits import MAX_PIXELS, MAX_SIDE
from core.errors import ImageError

if TYPE_CHECKING:  # whoever reads pictures needs no arrays, and would wait for numpy for as long as for all else here
    import numpy as np

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF")  # JPEG brings MPO, which has no opener of its own
ENDINGS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "MPO": ("mpo", "jpg", "jpeg"),
    "PNG": ("png", "apng"),
    "GIF": ("gif",),
    "BMP": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "WEBP": ("webp",),
    "AVIF": ("avif",),
    "HEIF": ("heic", "heif", "hif"),
}
SHORT_SIDE = 256  # what every backbone's own evaluation preprocessing starts from, or less
MAX_ASPECT = 4  # of a longer strip only the middle is kept: the crops never see more
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"heif")

# what Pillow has to say about odd files goes into the reason of the picture concerned, or nowhere
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_OTHER_KINDS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda b: not b, "is empty (0 bytes)"),
    (lambda b: b.startswith(b"%PDF"), "is a PDF, not a picture; export its page as PNG"),
    (lambda b: b.startswith(b"8BPS"), "is a Photoshop file; export as PNG or JPEG"),
    (lambda b: b.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")), "is EPS, which is not supported; export as PNG"),
    (lambda b: b"<svg" in b[:1024].lower(), "is SVG, which is not supported; export as PNG"),
    (lambda b: b.startswith((b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf")), "is an archive, not a picture"),
    (lambda b: b.startswith((b"MZ", b"\x7fELF", b"<?php", b"#!")), "is not a picture (a program)"),
    (lambda b: len(b) > 16 and b.isascii() and b"\0" not in b, "is not a picture (text file)"),
    (lambda b: b.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF")), "is incomplete or damaged"),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReadPicture:
    """A picture file, read."""

    image: Image.Image
    """sRGB, upright, short side at most `SHORT_SIDE`; nothing of the file but its pixels."""
    size: tuple[int, int]
    """Width and height as it came, upright."""
    taken: str | None
    """When a camera says it took it, as EXIF has it."""
    notes: tuple[str, ...]
    """What was done to make it usable, beside making it smaller."""

    @property
    def pixels(self) -> "np.ndarray":
        """(H, W, 3) uint8."""
        import numpy as np

        return np.array(self.image)


def decode_picture(data: bytes) -> "np.ndarray":
    """Pixels of a picture file: (H, W, 3) uint8 sRGB, upright, short side at most `SHORT_SIDE`.

    Raises:
        ImageError: with the reason alone; the caller knows the file's name.
    """
    return read_picture(data).pixels


def read_picture(data: bytes, name: str = "") -> ReadPicture:
    """Read a picture file, and say what had to be done to it.

    Args:
        name: as it came; only for noticing that its ending is another kind's.

    Raises:
        ImageError: with the reason alone; the caller knows the file's name.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_formats_for(data)) as image:
            _check_size(*image.size)
            if image.format == "PNG":
                _check_sums(data)
            return _read(image, name)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(_what_else(data), "IMG_FORMAT") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"has more than {MAX_PIXELS // 10**6} megapixels (limit)", "IMG_TOO_LARGE") from error
    except MemoryError as error:
        raise ImageError("takes too much memory to read; resize it", "IMG_MEMORY") from error
    except Exception as error:  # a decoder's failure has no common type: OSError, SyntaxError, struct.error, ...
        raise _damage(error) from error


def _formats_for(data: bytes) -> tuple[str, ...]:
    """The formats that may be tried. The reader for HEIC is loaded when the first one comes."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[8:32]:
        try:
            import pillow_heif
        except ImportError as error:  # pragma: no cover
            raise ImageError("is HEIC, which is not supported here; export as JPEG", "IMG_FORMAT") from error
        pillow_heif.register_heif_opener(thumbnails=False)
        return ("HEIF",)
    return FORMATS


def _check_size(width: int, height: int) -> None:
    if width * height == 0:
        raise ImageError("has no pixels", "IMG_EMPTY")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"is {width * height / 1e6:,.0f} megapixels; the limit is {MAX_PIXELS // 10**6}: resize it", "IMG_TOO_LARGE"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageError(
            f"is {width} x {height} pixels; the limit is {MAX_SIDE:,} on a side: resize it", "IMG_TOO_LARGE"
        )


def _check_sums(data: bytes) -> None:
    """Loading a PNG passes over the checksums of its picture data and a cut-off end; `verify` does not."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.verify()


def _what_else(data: bytes) -> str:
    return next((reason for is_kind, reason in _OTHER_KINDS if is_kind(data)), "is not a picture Thaw can read")


def _damage(error: Exception) -> ImageError:
    text = str(error).lower()
    if "truncated" in text or "eof" in text or "broken data stream" in text:
        return ImageError("is cut off (the file is incomplete); re-export or download it again", "IMG_TRUNCATED")
    if "decompressed data too large" in text or "too much memory used in text chunks" in text:
        return ImageError("contains oversized text data; re-export it", "IMG_TEXT_BOMB")
    return ImageError("is damaged; re-export or download it again", "IMG_DAMAGED")


def _read(image: Image.Image, name: str) -> ReadPicture:
    profile, kind = image.info.get("icc_profile"), image.format or ""
    came = image.size
    width, height = _target_size(*came)
    # a JPEG decoder can leave out resolution for free; twice the target keeps the resize that follows sharp
    image.draft(None, (2 * width, 2 * height))
    image.load()
    orientation = _orientation(image)  # asked after loading, since a TIFF turns itself then and drops the tag
    taken = _taken(image)
    notes = [f"is really {kind}"] if _ending(name) not in ("", *ENDINGS.get(kind, ())) else []
    small, how = _to_colour(image)
    notes += how
    if (width, height) != small.size:
        middle = _middle(small)
        notes += ["the middle of a long strip kept"] if middle.size != small.size else []
        small = middle.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    small, how = _to_srgb(small, profile)
    notes += how
    small = small.copy() if small is image else small  # the file's own object holds on to it, and moves to other frames
    small.info = {}
    if orientation in _TURNS:
        small = small.transpose(_TURNS[orientation])
        notes.append("turned upright")
        came = came[::-1] if orientation >= 5 else came
    notes += ["first of several frames"] if _has_more(image) else []
    return ReadPicture(image=small, size=came, taken=taken, notes=tuple(notes))


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower().lstrip(".")


def _has_more(image: Image.Image) -> bool:
    """Whether a second frame follows. Never asks for their number: counting them reads the whole file."""
    if image.format not in ("GIF", "TIFF", "WEBP", "PNG", "AVIF"):
        return image.format == "MPO"
    try:
        image.seek(1)
    except Exception:  # no second frame, or a broken one: the first is what counts
        return False
    return True


def _taken(image: Image.Image) -> str | None:
    try:
        exif = image.getexif()
        text = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
        return str(text)[:19] if text else None
    except Exception:  # as with the orientation
        return None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # broken EXIF is the camera's fault and no reason to lose the picture
        return 1


def _target_size(width: int, height: int) -> tuple[int, int]:
    """Width and height after cutting strips to `MAX_ASPECT` and shrinking the short side to `SHORT_SIDE`."""
    short = min(width, height)
    width, height = min(width, MAX_ASPECT * short), min(height, MAX_ASPECT * short)
    scale = min(1.0, SHORT_SIDE / short)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _middle(image: Image.Image) -> Image.Image:
    short = min(image.size)
    width, height = (min(side, MAX_ASPECT * short) for side in image.size)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _to_colour(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """RGB or CMYK (left for its profile), transparency flattened on white, deep greys scaled to 8 bits; and notes."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image), ["deep grey values scaled to 8 bits"]
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        clear = rgba.getchannel("A").getextrema() != (255, 255)
        flat = Image.alpha_composite(white, rgba).convert("RGB")
        return flat, ["transparency became white"] if clear else []
    if image.mode == "CMYK":
        return image, ["CMYK became RGB"]
    return _as_rgb(image), []


def _deep_grey(image: Image.Image) -> Image.Image:
    """Grey values of 16 or 32 bits as 8-bit RGB: scaled by what they span, never clipped."""
    import numpy as np

    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ImageError("contains invalid pixel values (NaN or infinity)", "IMG_VALUES")
    top = float(values.max(initial=0))
    full = 1.0 if image.mode == "F" and top <= 1 else 255.0 if top <= 255 else 65535.0 if top <= 65535 else top
    if image.mode.startswith("I;16"):
        full = 65535.0
    grey = np.clip(values / full * 255 + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


@lru_cache(maxsize=8)
def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What turns colours of a profile into sRGB; None where they are that already. Making it takes longer than using
    it, and cameras of one kind have one profile.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "sRGB" in ImageCms.getProfileDescription(source):
        return None
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, list[str]]:
    if profile:
        try:
            transform = _transform_to_srgb(profile, image.mode)
            if transform is not None:
                return transform.apply(image), ["colours converted to sRGB"]
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            # a broken or foreign profile says nothing about the pixels: they are taken as sRGB
            return _as_rgb(image), ["colour profile ignored"]
    return _as_rgb(image), []


def _as_rgb(image: Image.Image) -> Image.Image:
    """Converting what is RGB already would copy it."""
    return image if image.mode == "RGB" else image.convert("RGB")
