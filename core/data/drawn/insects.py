"""How an ant and a bee are built, each a little different from the last."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from core.data.drawn.noise import Array
from core.data.drawn.parts import CENTRE, Colour, Limb, Part, Wing, rotation, wing_outline

HUES: Final[tuple[Colour, ...]] = (
    (0.1, 0.09, 0.09),
    (0.19, 0.12, 0.09),
    (0.33, 0.17, 0.09),
    (0.52, 0.29, 0.12),
    (0.68, 0.46, 0.18),
    (0.14, 0.19, 0.2),
)
"""Body colours of both classes: black, dark brown, red brown, amber, yellow, blue-black."""
LEG: Final = (
    0.045,
    0.05,
    0.036,
    0.026,
    0.016,
    0.012,
)  # thickness at each joint from the body to the foot, body lengths
FEET: Final = ((0.45, 0.36), (0.08, 0.5), (-0.36, 0.46))  # where the front, middle and hind foot stand: x and |y|


@dataclass(frozen=True, kw_only=True, slots=True)
class Insect:
    """All parts of one insect in its own space."""

    parts: list[Part]
    legs: list[Limb]
    antennae: list[Limb]
    wings: list[Wing]

    @property
    def reach(self) -> float:
        """The distance of its farthest point from its centre, in body lengths."""
        tips = [limb.joints for limb in self.legs + self.antennae] + [wing_outline(wing) for wing in self.wings]
        ends = [part.centre[None] - part.axes[:, 0] * part.radii[0] for part in self.parts]
        return float(np.linalg.norm(np.concatenate(tips + ends) - CENTRE, axis=1).max())


def vary(rng: np.random.Generator, colour: Colour, amount: float = 0.15) -> Colour:
    """A colour near the given one: lighter or darker, and a little warmer or cooler."""
    shifts = 1 + amount * (0.5 * rng.uniform(-1, 1, 3) + rng.uniform(-1, 1))
    red, green, blue = (float(value) for value in np.array(colour) * shifts)
    return red, green, blue


def between(a: Colour, b: Colour, share: float) -> Colour:
    """The colour that lies the given share of the way from a to b."""
    red, green, blue = (float(x + share * (y - x)) for x, y in zip(a, b, strict=True))
    return red, green, blue


def point(x: float, y: float, z: float) -> Array:
    """A place or direction in body space."""
    return np.array([x, y, z], np.float32)


def ball(at: Array, radii: tuple[float, float, float], axes: Array, colour: Colour, **look: Any) -> Part:
    """A Part, shortly: `look` holds its other fields."""
    return Part(centre=at, radii=point(*radii), axes=axes, colour=colour, **look)


def leg(root: Array, foot: Array, lift: float, widths: Array, colour: Colour) -> Limb:
    """A leg: up from the body to the knee, down to the ankle, out to the foot."""
    way = foot - root
    knee, ankle = root + 0.4 * way + point(0, 0, lift), root + 0.78 * way + point(0, 0, lift * 0.3 + 0.02)
    joints = np.stack([root, root + 0.1 * way, knee, ankle, root + 0.9 * way + point(0, 0, 0.01), foot])
    return Limb(joints=joints, widths=widths, colour=colour)


def six_legs(
    rng: np.random.Generator, roots: tuple[float, ...], reach: float, thick: float, flying: bool, colour: Colour
) -> list[Limb]:
    """Three pairs of legs whose roots lie at x = `roots`, front to hind; drawn in and hanging when the insect flies."""
    made = []
    for root_x, (x, y) in zip(roots, FEET, strict=True):
        for side in (-1, 1):
            step = rng.normal(0, 0.055, 2)
            foot = point(root_x + (x - root_x + step[0]) * reach, side * (y + step[1]) * reach, 0)
            if flying:
                foot = point(root_x + (x - root_x) * 0.5 * reach - 0.1, side * y * 0.45 * reach, -0.08)
            widths = np.array(LEG, np.float32) * thick * (1.12 if x < 0 else 1.0)
            made.append(leg(point(root_x, side * 0.045, 0.11), foot, 0.13 * reach, widths, colour))
    return made


def two_antennae(
    rng: np.random.Generator, root: Array, turn: Array, shaft: float, whip: float, colour: Colour
) -> list[Limb]:
    """Two antennae bent at the elbow: a straight shaft, then a whip that points forward and down."""
    made = []
    for side in (-1, 1):
        out, forward = rng.uniform(0.5, 1.1), rng.uniform(-0.15, 0.75)
        base = point(0.1, side * 0.03, 0.02)
        elbow = base + shaft * point(np.cos(out), side * np.sin(out), 0.45)
        bow = elbow + whip * 0.5 * point(np.cos(forward), side * np.sin(forward), -0.1)
        tip = bow + whip * 0.5 * point(np.cos(forward - 0.5), side * np.sin(forward - 0.5), -0.35)
        joints = root + np.stack([base, elbow, bow, tip]) @ turn.T
        made.append(Limb(joints=joints, widths=np.array([0.022, 0.02, 0.024, 0.02], np.float32), colour=colour))
    return made


def two_jaws(head: Array, turn: Array, colour: Colour) -> list[Limb]:
    """An ant's pair of jaws, thick at the head and bent towards each other."""
    widths = np.array([0.05, 0.035, 0.012], np.float32)
    made = []
    for side in (-1, 1):
        joints = [point(0.09, side * 0.05, -0.03), point(0.16, side * 0.045, -0.04), point(0.175, side * 0.008, -0.045)]
        made.append(Limb(joints=head + np.stack(joints) @ turn.T, widths=widths, colour=colour))
    return made


def four_wings(rng: np.random.Generator, root: Array, length: float, wide: float, flying: bool) -> list[Wing]:
    """Two pairs of wings, folded back or spread; hind wings first, as the fore wings lie over them."""
    folded = rng.uniform(2.2, 2.6) if rng.random() < 0.35 else rng.uniform(2.7, 3.0)
    opened, lift = (rng.uniform(1.25, 1.75), rng.uniform(0, 0.5)) if flying else (folded, rng.uniform(0.02, 0.12))
    tints: list[Colour] = [(0.82, 0.86, 0.9), (0.8, 0.7, 0.52), (0.5, 0.44, 0.4)]
    tint, opacity = tints[int(rng.integers(3))], rng.uniform(0.04, 0.2)
    made = []
    for share, back in ((0.7, 0.22), (1.0, 0.0)):
        for side in (-1, 1):
            angle = min(opened + back + rng.normal(0, 0.05), 3.05)
            along = point(np.cos(angle), side * np.sin(angle), lift) * length * share
            across = point(np.sin(angle), -side * np.cos(angle), 0) * length * wide * (2 - share) ** 0.75 * share
            start = root + point(-0.12 * back, side * 0.05, 0)
            made.append(Wing(root=start, along=along, across=across, tint=tint, opacity=opacity))
    return made


def abdomen(start: Array, axes: Array, size: tuple[float, float, float], curl: float, **look: Any) -> list[Part]:
    """A broad ringed part that begins at `start`, and a narrower tail bent down by `curl` (radians).

    Args:
        size: length, half width and half height in body lengths.
        look: the other fields of its Parts.
    """
    length, width, height = size
    bent = axes @ rotation(pitch=curl)
    main, joint = start - axes @ point(0.36 * length, 0, 0), start - axes @ point(0.5 * length, 0, 0)
    tail = joint - bent @ point(0.17 * length, 0, 0)
    return [
        ball(main, (0.4 * length, width, height), axes, **look),
        ball(tail, (0.34 * length, width * 0.78, height * 0.78), bent, **look),
    ]


def ant(rng: np.random.Generator) -> Insect:
    """A worker: large head, narrow middle, one or two waist knots, a smooth gaster, long elbowed antennae, no wings."""
    base = vary(rng, HUES[rng.choice(6, p=(0.3, 0.2, 0.2, 0.14, 0.08, 0.08))])
    front = vary(rng, HUES[rng.integers(1, 4)]) if rng.random() < 0.3 else base
    limb = vary(rng, HUES[rng.integers(1, 4)] if rng.random() < 0.35 else base)
    lighter = between(base, vary(rng, HUES[rng.integers(3, 5)]), rng.uniform(0.1, 0.4))
    band = lighter if rng.random() < 0.55 else None
    stout = rng.uniform(0.85, 1.35)
    chest = stout * rng.uniform(0.95, 1.4)
    look: dict[str, Any] = {"gloss": rng.uniform(0.25, 0.9), "hair_colour": vary(rng, (0.6, 0.5, 0.32))}
    look["hair"] = rng.uniform(0.012, 0.035) if rng.random() < 0.5 else 0.0
    turn, straight = rotation(rng.normal(0, 0.22), rng.normal(-0.15, 0.15)), rotation()
    bend = rotation(rng.normal(0, 0.22), rng.normal(0.05, 0.2))
    head = point(0.27, 0, 0.17) + turn @ point(0.12, 0, 0)
    parts = [
        ball(head, (0.125, 0.105 * stout, 0.085), turn, front, **look),
        ball(point(0.18, 0, 0.17), (0.11, 0.07 * chest, 0.075 * chest), straight, front, **look),
        ball(point(0.04, 0, 0.16), (0.11, 0.055 * chest, 0.06 * chest), rotation(pitch=0.1), front, **look),
        ball(point(-0.085, 0, 0.15), (0.028, 0.032, 0.052), straight, front, gloss=look["gloss"]),
    ]
    if rng.random() < 0.4:
        parts.append(ball(point(-0.135, 0, 0.15), (0.03, 0.036, 0.042), straight, front, gloss=look["gloss"]))
    size = (rng.uniform(0.3, 0.4), 0.125 * stout, 0.115 * stout)
    rings: dict[str, Any] = {
        "colour": base,
        "rings": int(rng.integers(3, 5)),
        "band": band,
        "band_at": rng.uniform(0.2, 0.5),
    }
    parts += abdomen(point(-0.11, 0, 0.15), bend, size, rng.uniform(-0.1, 0.4), **rings, **look)
    for side in (-1, 1):
        eye = head + turn @ point(0.03, side * 0.085 * stout, 0.035)
        parts.append(ball(eye, (0.028, 0.022, 0.026), turn, (0.05, 0.04, 0.04), gloss=1.0))
    return Insect(
        parts=parts,
        legs=six_legs(rng, (0.22, 0.13, 0.03), rng.uniform(0.8, 1.1), rng.uniform(0.8, 1.05), False, limb),
        antennae=two_jaws(head, turn, limb)
        + two_antennae(rng, head, turn, rng.uniform(0.18, 0.25), rng.uniform(0.24, 0.34), limb),
        wings=[],
    )


def bee(rng: np.random.Generator, flying: bool) -> Insect:
    """Wide head with large eyes, a round hairy thorax, a banded abdomen close behind it, short antennae, four wings."""
    base = vary(rng, HUES[rng.choice(6, p=(0.34, 0.24, 0.14, 0.1, 0.06, 0.12))])
    bright = vary(rng, HUES[rng.integers(2, 5)] if rng.random() < 0.75 else (0.72, 0.66, 0.55))
    stripe = between(base, bright, rng.uniform(0.15, 0.5) if rng.random() < 0.5 else 1.0)  # some hardly striped
    limb, coat = vary(rng, base), vary(rng, bright if rng.random() < 0.65 else base)
    slim, gloss, fur = rng.uniform(0.72, 1.1), rng.uniform(0.15, 0.8), rng.uniform(0.014, 0.05)
    turn, straight = rotation(rng.normal(0, 0.1), rng.normal(-0.35, 0.15)), rotation()
    bend = rotation(rng.normal(0, 0.1), rng.normal(0.08, 0.12))
    head = point(0.36, 0, 0.17)
    felt = between(base, coat, 0.6)
    parts = [
        ball(head, (0.075, 0.115 * slim, 0.095), turn, base, gloss=gloss, hair=fur * 0.5, hair_colour=coat),
        ball(
            point(0.19, 0, 0.18), (0.135, 0.13 * slim, 0.12 * slim), straight, felt, gloss=0, hair=fur, hair_colour=coat
        ),
    ]
    size = (rng.uniform(0.42, 0.52), 0.15 * slim, 0.135 * slim)
    look: dict[str, Any] = {"gloss": gloss, "hair": fur if rng.random() < 0.35 else 0.0, "hair_colour": base}
    rings = {"colour": base, "rings": int(rng.integers(3, 6)), "band": stripe, "band_at": rng.uniform(0.3, 0.6)}
    parts += abdomen(point(0.085, 0, 0.165), bend, size, rng.uniform(-0.05, 0.4), **rings, **look)
    for side in (-1, 1):
        eye = head + turn @ point(0.015, side * 0.09 * slim, 0.02)
        parts.append(ball(eye, (0.045, 0.036, 0.07), turn, vary(rng, (0.09, 0.06, 0.05)), gloss=1.0))
    length, wide = rng.uniform(0.6, 0.78), rng.uniform(0.9, 1.15)
    return Insect(
        parts=parts,
        legs=six_legs(rng, (0.25, 0.18, 0.1), rng.uniform(0.75, 0.98), rng.uniform(0.95, 1.3), flying, limb),
        antennae=two_antennae(rng, head, turn, rng.uniform(0.07, 0.1), rng.uniform(0.13, 0.19), limb),
        wings=four_wings(rng, point(0.2, 0, 0.27), length, wide, flying),
    )
