"""The second set that needs no download: handwritten digits that scikit-learn ships, read from the installed package.

1,797 scans of 8 x 8 grey levels in 10 classes, the test part of Alpaydin and Kaynak's "Optical Recognition of
Handwritten Digits" (UCI 1998, CC BY 4.0): far from ImageNet, real, and small.
"""

import io
from typing import TYPE_CHECKING, Final

from core.errors import DatasetError

if TYPE_CHECKING:  # whoever asks what sources there are would wait for numpy
    import numpy as np

DIGITS: Final = "digits"
DIGITS_TITLE: Final = "Handwritten digits"
WHITE: Final = 16  # grey levels as they were scanned: 0 is paper, 16 is ink
SIDE: Final = 64


def digit_files() -> dict[tuple[str, str], bytes]:
    """(class, name) -> PNG of each scan, dark on white and enlarged: nothing is added to what was scanned.

    Raises:
        DatasetError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DatasetError("The handwritten digits come with scikit-learn. Run: pip install scikit-learn") from error
    scans = load_digits()
    pairs = enumerate(zip(scans.images, scans.target, strict=True))
    return {(str(target), f"{target}/{number:04}.png"): _png(image) for number, (image, target) in pairs}


def _png(image: "np.ndarray") -> bytes:
    import numpy as np
    from PIL import Image

    grey = (255 - np.round(image * (255 / WHITE))).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
