"""What the drawn insects sit on, and what grows in front of them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFilter

from core.data.drawn.camera import tube
from core.data.drawn.noise import Array, noise
from core.data.drawn.parts import Colour, unit

Shape = tuple[int, int]
Palette = tuple[tuple[int, tuple[Colour, ...]], ...]  # how often, and the colours

LEAVES: Palette = (  # young and old
    (36, ((0.33, 0.52, 0.16), (0.13, 0.3, 0.09))),
    (26, ((0.5, 0.6, 0.2), (0.25, 0.4, 0.1))),
    (18, ((0.22, 0.42, 0.25), (0.07, 0.2, 0.13))),
    (12, ((0.62, 0.52, 0.2), (0.36, 0.27, 0.09))),
    (8, ((0.5, 0.26, 0.16), (0.25, 0.12, 0.09))),
)
SOILS: Palette = (  # dark and bright
    (35, ((0.2, 0.14, 0.1), (0.47, 0.36, 0.26))),
    (30, ((0.42, 0.33, 0.22), (0.76, 0.65, 0.49))),
    (20, ((0.24, 0.22, 0.21), (0.55, 0.53, 0.5))),
    (15, ((0.3, 0.16, 0.1), (0.62, 0.4, 0.26))),
)
PETALS: Palette = (  # inner, outer and the florets
    (28, ((0.9, 0.86, 0.74), (0.95, 0.95, 0.96), (0.85, 0.6, 0.1))),
    (24, ((0.86, 0.45, 0.6), (0.95, 0.72, 0.8), (0.72, 0.58, 0.16))),
    (20, ((0.9, 0.52, 0.06), (0.97, 0.8, 0.2), (0.42, 0.24, 0.07))),
    (18, ((0.4, 0.25, 0.58), (0.68, 0.56, 0.85), (0.8, 0.66, 0.2))),
    (10, ((0.62, 0.1, 0.14), (0.85, 0.28, 0.24), (0.3, 0.16, 0.1))),
)
BARKS: Palette = (  # dark and bright
    (1, ((0.16, 0.12, 0.1), (0.5, 0.42, 0.35))),
    (1, ((0.33, 0.22, 0.13), (0.68, 0.52, 0.36))),
    (1, ((0.3, 0.31, 0.28), (0.66, 0.66, 0.6))),
)
SKIES: Palette = (  # from top to bottom
    (28, ((0.42, 0.62, 0.85), (0.72, 0.83, 0.92), (0.5, 0.62, 0.4), (0.25, 0.36, 0.17))),
    (24, ((0.82, 0.88, 0.9), (0.66, 0.76, 0.6), (0.4, 0.54, 0.26), (0.2, 0.3, 0.13))),
    (18, ((0.5, 0.66, 0.88), (0.6, 0.74, 0.92), (0.72, 0.83, 0.95), (0.86, 0.91, 0.95))),
    (14, ((0.93, 0.8, 0.6), (0.85, 0.68, 0.45), (0.5, 0.43, 0.25), (0.25, 0.24, 0.14))),
    (16, ((0.3, 0.41, 0.24), (0.24, 0.34, 0.17), (0.17, 0.25, 0.12), (0.1, 0.16, 0.08))),
)


def pick(rng: np.random.Generator, palette: Palette) -> tuple[Colour, ...]:
    """One of the palette's sets of colours, each as often as it says."""
    often = np.array([weight for weight, _ in palette])
    return palette[int(rng.choice(len(palette), p=often / often.sum()))][1]


def tint(*stops: tuple[float, float, float], at: Array) -> Array:
    """Colours along a ramp of evenly spaced stops: (height, width) in 0 to 1 becomes (3, height, width)."""
    steps = np.linspace(0, 1, 256)
    ramp = [np.interp(steps, np.linspace(0, 1, len(stops)), channel) for channel in zip(*stops, strict=True)]
    places = (255 * np.clip(at, 0, 1)).astype(np.uint8)
    return np.stack([channel.astype(np.float32).take(places) for channel in ramp])


def flat(colour: ArrayLike) -> Array:
    """One colour in a shape that goes with pictures: (3, 1, 1)."""
    return np.asarray(colour, np.float32)[:, None, None]


def to_image(colours: Array) -> Image.Image:
    """Colours from 0 to 1, (3, height, width), as a picture; what lies outside is cut."""
    return Image.merge("RGB", [Image.fromarray(band) for band in (255 * np.clip(colours, 0, 1)).astype(np.uint8)])


def relief(height: Array, light: Array, reach: int = 2) -> Array:
    """How much lighter a surface is where it rises towards the light: (height, width), 0 where flat."""
    down, across = (round(float(reach * part)) for part in (light[1], light[0]))
    return height - np.roll(height, (down, across), (0, 1))


def slanted(shape: Shape, angle: float, centre: tuple[float, float]) -> tuple[Array, Array]:
    """Coordinates in pixels along and across a direction, from a centre (x, y)."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    x, y = (x - centre[0]).astype(np.float32), (y - centre[1]).astype(np.float32)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * c + y * s, y * c - x * s


def leaf(rng: np.random.Generator, shape: Shape, light: Array) -> Array:
    """A leaf's upper side: midrib, side veins, blistered between them; now and then its edge and the dark behind."""
    short = min(shape)
    side = rng.choice((-1, 1))
    angle = rng.uniform(0, np.pi)
    off = side * short * rng.uniform(0.05, 0.45)
    along, across = slanted(shape, angle, (shape[1] / 2 + off * -np.sin(angle), shape[0] / 2 + off * np.cos(angle)))
    across = across + short * rng.uniform(-0.25, 0.25) * (along / short) ** 2
    away = np.abs(across)
    cloud = noise(rng, shape, "cloud")
    spacing = short * rng.uniform(0.13, 0.26)
    phase = (along - away * rng.uniform(0.4, 1.0)) / spacing + 0.06 * cloud
    gap = np.abs(phase - np.round(phase))  # 0 on a side vein, 0.5 between two
    vein = np.exp(-((gap * spacing / 1.6) ** 2)) * 0.7 + np.exp(-((away / (short * 0.012)) ** 2))
    height = np.sqrt(gap) * 1.5 - vein * 0.5 + 0.13 * noise(rng, shape, "grain") + 0.3 * cloud
    young, old = pick(rng, LEAVES)
    colour = tint(old, young, at=0.55 + 0.22 * cloud)
    pale = flat((0.72, 0.76, 0.46))
    colour += (0.45 * np.minimum(vein, 1)) * (pale - colour)
    colour *= 1 + 0.34 * relief(height, light)
    if rng.random() < 0.4:
        rim = short * rng.uniform(0.62, 0.9) + 3 * cloud - np.where(across * side > 0, away, 0)
        beyond = tint((0.03, 0.06, 0.03), (0.2, 0.26, 0.12), at=0.5 + 0.4 * noise(rng, shape, "cloud"))
        colour = np.where((rim > 0), colour * (1 + 0.3 * np.exp(-((rim / 3) ** 2))), beyond)
    return colour


def soil(rng: np.random.Generator, shape: Shape, light: Array) -> Array:
    """Crumbs and pebbles on earth or sand, each with its shadow."""
    rows, columns = shape
    dark, bright = pick(rng, SOILS)
    crumbs = Image.new("L", (columns, rows), 110)
    draw = ImageDraw.Draw(crumbs)
    count = int(rng.uniform(90, 240))
    for x, y, size, tone in rng.random((count, 4)).tolist():
        r = 1.5 + min(rows, columns) * 0.03 * size**4
        x, y, tone = x * columns, y * rows, int(70 + 130 * tone)
        draw.ellipse((x - light[0] * r - r, y - light[1] * r - r, x - light[0] * r + r, y - light[1] * r + r), fill=40)
        draw.ellipse((x - r, y - r * 0.85, x + r, y + r * 0.85), fill=tone)
    ground = np.asarray(crumbs.filter(ImageFilter.BoxBlur(0.8)), np.float32) / 255
    cloud, grain = noise(rng, shape, "cloud"), noise(rng, shape, "grain")
    height = 3.5 * ground + 0.6 * cloud + rng.uniform(0.25, 0.6) * grain
    colour = tint(dark, bright, at=0.2 + 0.7 * ground + 0.1 * cloud + 0.07 * grain)
    return colour * (1 + 0.36 * np.clip(relief(height, light), -1.6, 2.2))


def petals(rng: np.random.Generator, shape: Shape, light: Array) -> Array:
    """A flower from near: petals around a centre that may lie inside or outside the picture, and its florets."""
    short = min(shape)
    bearing, distance = rng.uniform(0, 2 * np.pi), short * rng.uniform(0.05, 0.75)
    centre = (shape[1] / 2 + distance * np.cos(bearing), shape[0] / 2 + distance * np.sin(bearing))
    x, y = slanted(shape, rng.uniform(0, np.pi), centre)
    radius = np.hypot(x, y) / short
    count = int(rng.integers(6, 15))
    grain, cloud = noise(rng, shape, "grain"), noise(rng, shape, "cloud")
    turn = np.arctan2(y, x) / (2 * np.pi) * count + 0.07 * cloud
    across = 2 * (turn - np.floor(turn)) - 1  # -1 and 1 at a petal's two edges
    inner, outer, disc = pick(rng, PETALS)
    colour = tint(inner, outer, at=radius * 1.3 - 0.15 + 0.05 * cloud)
    lines = np.cos(across * rng.uniform(14, 22)) * 0.035 + 0.012 * grain
    bowl = 0.62 + 0.4 * np.sqrt(np.maximum(1 - across**2, 0)) - 0.1 * across * np.sign(light[0])
    colour *= bowl + lines
    size = rng.uniform(0.12, 0.26)
    florets = np.sin(x * 0.55 + 2 * cloud) * np.sin(y * 0.55 - 2 * cloud) + 0.35 * grain
    middle = flat(disc) * (0.8 + 0.26 * relief(florets, light))
    shadow = np.clip((radius - size) / 0.06 + 0.35, 0.45, 1)
    return np.where((radius < size + 0.006 * florets), middle, colour * shadow)


def bark(rng: np.random.Generator, shape: Shape, light: Array) -> Array:
    """Fibrous bark or weathered wood, with cracks, across or along the picture."""
    upright = bool(rng.random() < 0.5)
    fibre = noise(rng, shape[::-1], "fibre").T if upright else noise(rng, shape, "fibre")
    cloud, grain = noise(rng, shape, "cloud"), noise(rng, shape, "grain")
    crack = np.clip(-fibre - 0.7 - 0.3 * cloud, 0, 1)
    height = fibre + 0.3 * grain - 1.2 * crack
    dark, bright = pick(rng, BARKS)
    colour = tint(dark, bright, at=0.55 + 0.16 * fibre + 0.15 * cloud + 0.04 * grain - 0.5 * crack)
    moss = np.clip(cloud * 0.8 - rng.uniform(0.3, 2.0), 0, 0.8)
    colour += moss * (flat((0.3, 0.4, 0.14)) * (1 + 0.25 * grain) - colour)
    return colour * (1 + 0.26 * np.clip(relief(height, light), -2, 2))


def sky(rng: np.random.Generator, shape: Shape, light: Array) -> Array:
    """Open air: sky over far, blurred green, with discs of light."""
    rows, columns = shape[0] // 2, shape[1] // 2  # half size: all of it is out of focus
    at = np.linspace(0, 1, rows, dtype=np.float32)[:, None] + 0.13 * noise(rng, (rows, columns), "cloud")
    stops = pick(rng, SKIES)
    colours = tint(*stops, at=at)
    air = to_image(colours)
    spots = air.copy()
    draw = ImageDraw.Draw(spots)
    for x, y, size, tone in rng.random((int(rng.integers(5, 16)), 4)).tolist():
        r, glow = min(rows, columns) * (0.03 + 0.09 * size), 0.7 + 0.7 * tone
        x, y = x * columns, y * rows
        near: Array = 255 * glow * colours[:, int(y), int(x)] + 22
        fill = tuple(np.clip(near, 0, 255).astype(int).tolist())
        draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    air = Image.blend(air, spots.filter(ImageFilter.BoxBlur(1)), 0.55).resize(shape[::-1], Image.Resampling.BILINEAR)
    bands: Array = np.asarray(air, np.float32).transpose(2, 0, 1) / 255
    return bands


def add_twig(rng: np.random.Generator, ground: Array, light: Array, angle: float, width: float) -> None:
    """Lay a stem or twig through the middle of a ground, in place: a lit, rough cylinder `width` pixels thick."""
    shape = (ground.shape[1], ground.shape[2])
    along, across = slanted(shape, angle, (shape[1] / 2, shape[0] / 2))
    across = (across + width * rng.uniform(-1, 1) * (along / max(shape)) ** 2) / (width / 2)
    base = rng.choice([(0.36, 0.48, 0.2), (0.45, 0.35, 0.24), (0.52, 0.36, 0.2)])
    seen = np.abs(across) < 1
    across, side = across[seen], np.array([-np.sin(angle), np.cos(angle)])
    fibre = noise(rng, shape, "grain")[seen]
    facing = across * (light[:2] @ side) + np.sqrt(1 - across**2) * light[2]
    colour = flat(base)[..., 0] * (0.4 + 0.7 * np.maximum(facing, 0) + 0.05 * fibre)
    ground[:, seen] += np.minimum((1 - np.abs(across)) * (width / 2), 1) * (colour - ground[:, seen])  # smooth edges


GROUNDS: dict[str, Callable[[np.random.Generator, Shape, Array], Array]] = {
    "leaf": leaf,
    "soil": soil,
    "petals": petals,
    "bark": bark,
    "sky": sky,
}


def blade(rng: np.random.Generator, size: tuple[int, int], through: tuple[float, float], width: float) -> Image.Image:
    """A blade of grass or a narrow leaf in front of everything, out of focus: transparent elsewhere.

    Args:
        size: width and height of the picture.
        through: a point (x, y) its middle line passes.
        width: its greatest width in pixels.
    """
    layer = Image.new("RGBA", (size[0] // 2, size[1] // 2), (60, 80, 30, 0))  # half size: it is blurred anyway
    draw = ImageDraw.Draw(layer)
    angle = rng.uniform(0, 2 * np.pi)
    way = np.array([np.cos(angle), np.sin(angle)])
    ends = rng.random() < 0.6  # the tip shows, a little past the point
    t = np.linspace(-1, rng.uniform(0.2, 0.4) if ends else 1, 16)[:, None]
    bend = rng.uniform(-0.3, 0.3)
    reach = max(size)
    line = np.array(through) + t * way * reach + bend * t**2 * reach * np.array([-way[1], way[0]])
    taper = np.linspace(1, 0, 16) ** 0.6 if ends else np.ones(16)
    radii = np.maximum(width / 2 * taper * (1.5 if ends else 1.0), 0.7)
    base = rng.choice([(0.4, 0.55, 0.2), (0.27, 0.43, 0.16), (0.5, 0.62, 0.3), (0.62, 0.56, 0.32), (0.82, 0.58, 0.66)])
    base = base * rng.uniform(0.75, 1.15)
    side = unit([-way[1], way[0]]) * (radii[:, None] * 0.46)
    for moved, share, tone in ((line, 1.0, 0.84), (line + side, 0.5, 1.0), (line, 0.07, 1.2)):
        tube(draw, moved / 2, radii * share / 2, (*(np.clip(255 * base * tone, 0, 255).astype(int).tolist()), 255))
    return layer.filter(ImageFilter.BoxBlur(rng.uniform(0.4, 1.4))).resize(size, Image.Resampling.BILINEAR)
