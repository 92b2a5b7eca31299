"""From the bytes of a picture to its pixels. Needs Pillow alone (HEIC its plugin, deep pictures numpy).

What a file is, its bytes say; only formats on the policy's list are ever opened. Big photos are decoded at reduced
scale, the short side made as small as the policy says. EXIF orientation is applied, colour profiles become sRGB,
transparency becomes white, more than 8 bits become 8 (see `core.data.reading.depth`), and of several frames the first
counts.

This module travels: networks that are taken home read pictures with this very text, so it knows nothing else of Thaw.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError

from core.data.reading.kinds import HEAD_BYTES, Unreadable, kind_of

if TYPE_CHECKING:  # whoever reads pictures needs no arrays, and would wait for numpy for as long as for all else here
    import numpy as np

ENDINGS: Final = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "MPO": ("mpo", "jpg", "jpeg"),
    "PNG": ("png", "apng"),
    "GIF": ("gif",),
    "BMP": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "WEBP": ("webp",),
    "AVIF": ("avif",),
    "HEIF": ("heic", "heif", "hif"),
    "PPM": ("ppm", "pgm", "pbm", "pnm", "pfm"),
}

# what Pillow has to say about odd files goes into the reason of the picture concerned, or nowhere
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

_ORIENTATION_TAG, _BITS_PER_SAMPLE = 0x0112, 258
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What is read, and how far it is made smaller."""

    formats: Sequence[str]
    """The kinds that may be opened, see `core.data.reading.kinds`."""
    max_pixels: int
    max_side: int
    """Width and height, in pixels."""
    max_aspect: int
    """Of a longer strip only the middle is kept."""
    short_side: int
    """Pixels to which the shorter side is made smaller; small pictures keep their size."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReadPicture:
    """A picture file, read."""

    image: Image.Image
    """sRGB, upright, as small as asked for; nothing of the file but its pixels."""
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


def read_picture(data: bytes, policy: Policy, name: str = "") -> ReadPicture:
    """Read a picture file, and say what had to be done to it. What it is, its bytes say and nothing else.

    Args:
        name: as it came; only for noticing that its ending is another kind's.

    Raises:
        Unreadable: with the reason.
    """
    format = _format_of(data, policy)
    try:
        with Image.open(io.BytesIO(data), formats=(format,)) as image:
            _check_size(*image.size, policy)
            if image.format == "PNG":
                _check_sums(data)
            return _read(image, data, policy, name)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable(
            f"is incomplete or damaged, or {format} of an unusual kind; export as PNG or JPEG", "IMG_FORMAT"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(f"has more than {policy.max_pixels // 10**6} megapixels (limit)", "IMG_TOO_LARGE") from error
    except MemoryError as error:
        raise Unreadable("takes too much memory to read; resize it", "IMG_MEMORY") from error
    except Exception as error:  # a decoder's failure has no common type: OSError, SyntaxError, struct.error, ...
        raise _damage(error) from error


def _format_of(data: bytes, policy: Policy) -> str:
    """The format to open a file as. The reader for HEIC is loaded when the first one comes."""
    kind = kind_of(data[:HEAD_BYTES])
    if kind is None:
        raise Unreadable("is not a picture Thaw can read", "IMG_FORMAT")
    if kind.name not in policy.formats:
        raise Unreadable(kind.reason or f"is {kind.name}, which is not read here; export as PNG or JPEG", "IMG_FORMAT")
    if kind.name == "HEIF":
        try:
            import pillow_heif
        except ImportError as error:
            raise Unreadable("is HEIC, for which pillow-heif has to be installed", "IMG_FORMAT") from error
        pillow_heif.register_heif_opener(thumbnails=False)
    return kind.name


def _check_size(width: int, height: int, policy: Policy) -> None:
    if width * height == 0:
        raise Unreadable("has no pixels", "IMG_EMPTY")
    if width * height > policy.max_pixels:
        raise Unreadable(
            f"is {width * height / 1e6:,.0f} megapixels; the limit is {policy.max_pixels // 10**6}: resize it",
            "IMG_TOO_LARGE",
        )
    if max(width, height) > policy.max_side:
        raise Unreadable(
            f"is {width} x {height} pixels; the limit is {policy.max_side:,} on a side: resize it", "IMG_TOO_LARGE"
        )


def _check_sums(data: bytes) -> None:
    """Loading a PNG passes over the checksums of its picture data and a cut-off end; `verify` does not."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.verify()


def _damage(error: Exception) -> Unreadable:
    text = str(error).lower()
    if "truncated" in text or "eof" in text or "broken data stream" in text:
        return Unreadable("is cut off (the file is incomplete); re-export or download it again", "IMG_TRUNCATED")
    if "decompressed data too large" in text or "too much memory used in text chunks" in text:
        return Unreadable("contains oversized text data; re-export it", "IMG_TEXT_BOMB")
    return Unreadable("is damaged; re-export or download it again", "IMG_DAMAGED")


def _read(image: ImageFile.ImageFile, data: bytes, policy: Policy, name: str) -> ReadPicture:
    profile, kind = image.info.get("icc_profile"), image.format or ""
    came = image.size
    width, height = _target_size(*came, policy)
    # a JPEG decoder can leave out resolution for free; twice the target keeps the resize that follows sharp
    image.draft(None, (2 * width, 2 * height))
    loaded, deep = _load(image, data)
    orientation = _orientation(image)  # asked after loading, since a TIFF turns itself then and drops the tag
    taken = _taken(image)
    notes = [f"is really {kind}"] if _ending(name) not in ("", *ENDINGS.get(kind, ())) else []
    small, how = _to_colour(loaded)
    notes += deep + how
    if (width, height) != small.size:
        middle = _middle(small, policy)
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


def _target_size(width: int, height: int, policy: Policy) -> tuple[int, int]:
    """Width and height after cutting long strips and shrinking the short side."""
    short = min(width, height)
    width, height = min(width, policy.max_aspect * short), min(height, policy.max_aspect * short)
    scale = min(1.0, policy.short_side / short)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _middle(image: Image.Image, policy: Policy) -> Image.Image:
    short = min(image.size)
    width, height = (min(side, policy.max_aspect * short) for side in image.size)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _load(image: ImageFile.ImageFile, data: bytes) -> tuple[Image.Image, list[str]]:
    """The picture with samples of 8 bits, and notes: as it is but where it was deeper."""
    if not _is_deep(image):
        image.load()
        return image, []
    from core.data.reading.depth import to_eight_bits

    loaded, note = to_eight_bits(image, data)
    return loaded, [note] if note else []


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether the samples of a picture not yet loaded are anything but plain 8 bits."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return True
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        return 16 in tags.get(_BITS_PER_SAMPLE, ())
    if image.format == "PNG":
        return ";16" in str(image.tile[0].args) if image.tile else False
    return image.format == "PPM" and image.mode != "1" and image.tile[0].codec_name != "raw"


def _to_colour(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """RGB or CMYK (left for its profile), transparency flattened on white; and notes."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        clear = rgba.getchannel("A").getextrema() != (255, 255)
        flat = Image.alpha_composite(white, rgba).convert("RGB")
        return flat, ["transparency became white"] if clear else []
    if image.mode == "CMYK":
        return image, ["CMYK became RGB"]
    return _as_rgb(image), []


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
