"""Whether a GIF moves. Pillow skips its blocks for that, and decodes none."""

import io

from PIL import Image


def is_gif(data: bytes) -> bool:
    """Whether it begins as one."""
    return data.startswith(b"GIF8")


def is_animated_gif(data: bytes) -> bool:
    """Whether a GIF has a second picture. Of a broken one nothing is said: False."""
    if not is_gif(data):
        return False
    try:
        with Image.open(io.BytesIO(data), formats=("GIF",)) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # a reader's failure has no common type
        return False
