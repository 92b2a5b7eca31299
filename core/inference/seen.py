"""What a network sees, as pictures: filters, feature maps and patches. Networks side by side share one scale."""

from collections.abc import Sequence
from typing import Final

import numpy as np

MOST_FILTERS: Final = 64
MAP_SIDE: Final = 112
_GAP: Final = 2
_WHITE: Final = 255


def map_picture(maps: Sequence[np.ndarray], side: int = MAP_SIDE) -> np.ndarray:
    """One channel of one network or of several, beside each other: (side, wide, 3) uint8.

    Black is no response or a negative one, white the strongest there is in any of them.

    Args:
        maps: each (h, w).
    """
    scale = max(float(one.max()) for one in maps)
    drawn = [_enlarged(np.clip(one / scale if scale > 0 else one * 0, 0, 1), side) for one in maps]
    gap = np.ones((side, _GAP))
    grey = np.concatenate([part for one in drawn for part in (gap, one)][1:], axis=1)
    return np.repeat((grey[..., None] * _WHITE).round().astype(np.uint8), 3, axis=2)


def filter_picture(filters: Sequence[np.ndarray], columns: int = 16) -> list[np.ndarray]:
    """The first filters of each network as a mosaic (H, W, 3) uint8, in rows of `columns`.

    Grey is a weight of 0. Each filter is as bright as it can be; in all networks by the same factor.

    Args:
        filters: each (C, 3, k, k), of the same shape.
    """
    strongest = np.max([np.abs(one).max(axis=(1, 2, 3)) for one in filters], axis=0)
    scale = np.where(strongest > 0, strongest, 1)[:, None, None, None]
    return [_mosaic((one / scale)[:MOST_FILTERS], columns) for one in filters]


def _mosaic(filters: np.ndarray, columns: int) -> np.ndarray:
    """(C, 3, k, k) in -1 to 1 to one picture."""
    side = max(filters.shape[-1], 24 // filters.shape[-1] * filters.shape[-1])
    tiles = [_enlarged((one.transpose(1, 2, 0) + 1) / 2, side) for one in filters]
    rows, step = -(-len(tiles) // columns), side + _GAP
    canvas = np.ones((rows * step - _GAP, min(columns, len(tiles)) * step - _GAP, 3))
    for place, tile in enumerate(tiles):
        top, left = place // columns * step, place % columns * step
        canvas[top : top + side, left : left + side] = tile
    return (canvas * _WHITE).round().astype(np.uint8)


def _enlarged(values: np.ndarray, side: int) -> np.ndarray:
    """(h, w, ...) to (side, side, ...) by nearest neighbours: places stay squares."""
    rows = np.arange(side) * values.shape[0] // side
    columns = np.arange(side) * values.shape[1] // side
    enlarged: np.ndarray = values[rows][:, columns]
    return enlarged
