"""Random textures that the drawn pictures are made of: fine grain, soft clouds, long fibres."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Kind = Literal["grain", "cloud", "fibre"]

SHEET_SIDE = 1024


@lru_cache(maxsize=3)
def noise_sheet(kind: Kind) -> Array:
    """A large seamless texture of standard deviation 1, made once and cut into pieces.

    Each is white noise with a power-law spectrum: the steeper, the softer. Fibres are stretched from left to right.
    """
    rng = np.random.default_rng(len(kind) * 1000 + ord(kind[0]))
    down, across = np.fft.fftfreq(SHEET_SIDE)[:, None], np.fft.rfftfreq(SHEET_SIDE)[None, :]
    stretch = 14.0 if kind == "fibre" else 1.0
    frequency = np.maximum(np.hypot(down * stretch, across), 2.0 / SHEET_SIDE)
    slope = {"grain": 0.7, "cloud": 1.7, "fibre": 1.1}[kind]
    spectrum = np.fft.rfft2(rng.standard_normal((SHEET_SIDE, SHEET_SIDE)))
    sheet = np.fft.irfft2(spectrum * frequency**-slope)
    scaled: Array = (sheet / sheet.std()).astype(np.float32)
    return scaled


def noise(rng: np.random.Generator, shape: tuple[int, int], kind: Kind) -> Array:
    """A random piece of a noise sheet, mean about 0, deviation about 1: (height, width), both at most `SHEET_SIDE`."""
    top, left = (int(rng.integers(0, SHEET_SIDE - side + 1)) for side in shape)
    piece = noise_sheet(kind)[top : top + shape[0], left : left + shape[1]]
    return piece[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
