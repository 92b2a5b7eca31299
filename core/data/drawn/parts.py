"""What drawn insects are made of: ellipsoids, jointed limbs and wings.

An insect stands in its own space: x forward, y left, z up, ground at z = 0, the body about one unit long.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.data.drawn.noise import Array

Colour = tuple[float, float, float]

CENTRE = np.array([0, 0, 0.12], np.float32)  # of an insect, in body space


def unit(vector: ArrayLike) -> Array:
    """The vector at length 1."""
    values = np.asarray(vector, np.float32)
    length = np.linalg.norm(values)
    return np.divide(values, length, dtype=np.float32)


def rotation(yaw: float = 0.0, pitch: float = 0.0) -> Array:
    """A part's own axes as columns, turned left by `yaw` and nose up by `pitch` (radians): (3, 3)."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    return np.array([[cy * cp, -sy, -cy * sp], [sy * cp, cy, -sy * sp], [sp, 0, cp]], np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """An ellipsoid of the body, cut into `rings` along its length; `band` colours the hind share `band_at` of each."""

    centre: Array
    radii: Array
    axes: Array
    colour: Colour
    gloss: float
    band: Colour | None = None
    band_at: float = 0.35
    rings: int = 0
    hair: float = 0.0
    """Length of its hair in body lengths; 0 for none."""
    hair_colour: Colour | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limb:
    """A leg or antenna: joints from root to tip (n, 3), and the thickness at each (n,)."""

    joints: Array
    widths: Array
    colour: Colour


@dataclass(frozen=True, kw_only=True, slots=True)
class Wing:
    """A flat membrane: root, the directions of its length and its breadth (both with size), tint and opacity."""

    root: Array
    along: Array
    across: Array
    tint: Colour
    opacity: float


# A fore wing from its root along the leading edge and back, then its veins: (length, breadth)
_CORNERS: tuple[tuple[float, float], ...] = ((0, 0), (0.2, 0.08), (0.5, 0.13), (0.8, 0.13), (0.94, 0.08), (1, -0.04))
_CORNERS += ((0.97, -0.15), (0.85, -0.24), (0.65, -0.29), (0.45, -0.28), (0.25, -0.2), (0.08, -0.08))
_FORM = np.array(_CORNERS, np.float32)
_VEINS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0, 0), (0.4, 0.03), (0.9, 0.02)),
    ((0, -0.01), (0.35, -0.09), (0.75, -0.2)),
    ((0.1, -0.03), (0.3, -0.14), (0.45, -0.27)),
    ((0.4, 0.12), (0.46, -0.1)),
    ((0.62, 0.13), (0.66, -0.17)),
)
for _ in range(2):  # cut corners, twice (Chaikin 1974): a smooth rim
    _FORM = np.stack([0.75 * _FORM + 0.25 * np.roll(_FORM, -1, 0), 0.25 * _FORM + 0.75 * np.roll(_FORM, -1, 0)], 1)
    _FORM = _FORM.reshape(-1, 2)


def wing_outline(wing: Wing) -> Array:
    """The wing's rim in body space, leading edge first: (n, 3)."""
    rim: Array = wing.root + _FORM[:, :1] * wing.along + _FORM[:, 1:] * wing.across
    return rim


def wing_veins(wing: Wing) -> list[Array]:
    """The wing's veins in body space: paths of (n, 3)."""
    paths = (np.array(vein, np.float32) for vein in _VEINS)
    return [wing.root + path[:, :1] * wing.along + path[:, 1:] * wing.across for path in paths]
