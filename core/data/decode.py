"""From the bytes of a picture to its pixels: one policy for training, testing and classifying.

Only formats on the allow-list are ever opened. Big photos are decoded at reduced scale; the short side ends at
`SHORT_SIDE` pixels at most (small pictures keep their size). EXIF orientation is applied, colour profiles become sRGB,
transparency becomes white, 16-bit becomes 8-bit, and of several frames the first counts.
"""

import io
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from core.errors import ImageError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF")  # JPEG brings MPO, which has no opener of its own
SHORT_SIDE = 256  # what every backbone's own evaluation preprocessing starts from, or less
MAX_ASPECT = 4  # of a longer strip only the middle is kept: the crops never see more
MAX_PIXELS = 50_000_000
MAX_SIDE = 20_000

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
    (lambda b: b[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"), "is HEIC, which is not supported; export as JPEG"),
    (lambda b: b.startswith(b"%PDF"), "is a PDF, not a picture; export its page as PNG"),
    (lambda b: b.startswith(b"8BPS"), "is a Photoshop file; export as PNG or JPEG"),
    (lambda b: b.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")), "is EPS, which is not supported; export as PNG"),
    (lambda b: b"<svg" in b[:1024].lower(), "is SVG, which is not supported; export as PNG"),
    (lambda b: b.startswith((b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf")), "is an archive, not a picture"),
    (lambda b: len(b) > 16 and b.isascii() and b"\0" not in b, "is not a picture (text file)"),
)


def decode_picture(data: bytes) -> np.ndarray:
    """Pixels of a picture file: (H, W, 3) uint8 sRGB, upright, short side at most `SHORT_SIDE`.

    Raises:
        ImageError: with the reason alone; the caller knows the file's name.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(*image.size)
            if image.format == "PNG":
                _check_sums(data)
            return _to_pixels(image)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(_what_else(data)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"has more than {MAX_PIXELS // 10**6} megapixels (limit)") from error
    except Exception as error:  # a decoder's failure has no common type: OSError, SyntaxError, struct.error, ...
        raise ImageError(_damage(error)) from error


def _check_size(width: int, height: int) -> None:
    if width * height == 0:
        raise ImageError("has no pixels")
    if width * height > MAX_PIXELS:
        raise ImageError(f"is {width * height / 1e6:,.0f} megapixels; the limit is {MAX_PIXELS // 10**6}: resize it")
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"is {width} x {height} pixels; the limit is {MAX_SIDE:,} on a side: resize it")


def _check_sums(data: bytes) -> None:
    """Loading a PNG passes over the checksums of its picture data and a cut-off end; `verify` does not."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.verify()


def _what_else(data: bytes) -> str:
    return next((reason for is_kind, reason in _OTHER_KINDS if is_kind(data)), "is not a picture Thaw can read")


def _damage(error: Exception) -> str:
    text = str(error).lower()
    if "truncated" in text or "eof" in text or "broken data stream" in text:
        return "is cut off (the file is incomplete); re-export or download it again"
    return "is damaged; re-export or download it again"


def _to_pixels(image: Image.Image) -> np.ndarray:
    profile = image.info.get("icc_profile")
    width, height = _target_size(*image.size)
    # a JPEG decoder can leave out resolution for free; twice the target keeps the resize that follows sharp
    image.draft(None, (2 * width, 2 * height))
    image.load()
    orientation = _orientation(image)  # asked after loading, since a TIFF turns itself then and drops the tag
    small = _to_colour(image)
    if (width, height) != small.size:
        small = _middle(small).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    small = _to_srgb(small, profile)
    if orientation in _TURNS:
        small = small.transpose(_TURNS[orientation])
    return np.ascontiguousarray(np.asarray(small, dtype=np.uint8))


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


def _to_colour(image: Image.Image) -> Image.Image:
    """RGB or CMYK (left for its profile), transparency flattened on white, deep greys scaled to 8 bits."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode in ("RGB", "CMYK") else image.convert("RGB")


def _deep_grey(image: Image.Image) -> Image.Image:
    """Grey values of 16 or 32 bits as 8-bit RGB: scaled by what they span, never clipped."""
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ImageError("contains invalid pixel values (NaN or infinity)")
    top = float(values.max(initial=0))
    full = 1.0 if image.mode == "F" and top <= 1 else 255.0 if top <= 255 else 65535.0 if top <= 65535 else top
    if image.mode.startswith("I;16"):
        full = 65535.0
    grey = np.clip(values / full * 255 + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                target = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
                return converted if converted is not None else image.convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a broken or foreign profile says nothing about the pixels: they are taken as sRGB
    return image.convert("RGB")
