"""Pictures of anything but insects, to see what a network says about what it has never learnt.

Simple on purpose: what matters is that no class of a person's data is in them.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from core.data.drawn.grounds import GROUNDS, to_image
from core.data.drawn.noise import noise
from core.data.drawn.parts import unit

SIDE: Final = 256  # pixels
Colour = tuple[int, int, int]


def draw_stranger(kind: str, seed: int) -> Image.Image:
    """One RGB picture of a kind in `STRANGERS`; the same seed gives the same picture.

    Raises:
        ValueError: the kind is not one of them, or the seed is negative.
    """
    rng = np.random.default_rng((seed, list(STRANGERS).index(kind)))
    return STRANGERS[kind](rng)


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue


def _noise(rng: np.random.Generator) -> Image.Image:
    """Every pixel on its own, fine or coarse."""
    coarse = int(rng.choice((1, 2, 4, 8)))
    values = rng.integers(0, 256, (SIDE // coarse, SIDE // coarse, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def _wall(rng: np.random.Generator) -> Image.Image:
    """A plastered wall, lit from one side."""
    down, across = rng.normal(0, 30, 2)
    ramp = np.linspace(-1, 1, SIDE)
    light = down * ramp[:, None] + across * ramp[None, :] + rng.uniform(0, 5) * noise(rng, (SIDE, SIDE), "grain")
    values = np.array(_colour(rng, 60, 230)) + light[..., None]
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _shapes(rng: np.random.Generator) -> Image.Image:
    """Flat geometry: ellipses, boxes, triangles and lines."""
    image = Image.new("RGB", (SIDE, SIDE), _colour(rng, 150))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 9))):
        x, y = (int(value) for value in rng.integers(0, SIDE, 2))
        size = int(rng.integers(20, 110))
        corners = (x - size // 2, y - size // 2, x + size // 2, y + size // 2)
        form = rng.integers(4)
        if form == 0:
            pen.ellipse(corners, fill=_colour(rng))
        elif form == 1:
            pen.rectangle(corners, fill=_colour(rng))
        elif form == 2:
            pen.regular_polygon((x, y, size // 2), 3, int(rng.integers(360)), fill=_colour(rng))
        else:
            pen.line(corners, fill=_colour(rng), width=int(rng.integers(2, 10)))
    return image


def _ground(rng: np.random.Generator) -> Image.Image:
    """What the drawn insects sit on, out of focus: the ground without an insect is not one either."""
    light = unit([rng.uniform(-0.8, 0.8), -0.6, 0.7])
    kind = str(rng.choice(list(GROUNDS)))
    blur = ImageFilter.GaussianBlur(rng.uniform(1, 2.5))
    return to_image(GROUNDS[kind](rng, (SIDE, SIDE), light)).filter(blur)


def _fish(rng: np.random.Generator) -> Image.Image:
    """A fish from the side."""
    scene, pen, skin, dark = _scene(rng)
    pen.polygon([(75, 128), (25, 88), (38, 128), (25, 168)], fill=dark)
    pen.polygon([(110, 95), (150, 62), (170, 98)], fill=dark)
    pen.ellipse((60, 82, 228, 174), fill=skin, outline=dark, width=3)
    pen.arc((150, 90, 200, 166), 100, 260, fill=dark, width=3)
    for row in range(3):
        for column in range(4):
            left, top = 88 + 18 * column, 106 + 15 * row
            pen.arc((left, top, left + 16, top + 14), 90, 270, fill=dark, width=2)
    pen.ellipse((198, 112, 212, 126), fill="white", outline=dark)
    pen.ellipse((203, 116, 209, 122), fill="black")
    return _placed(rng, scene)


def _snail(rng: np.random.Generator) -> Image.Image:
    """A snail with a spiral shell."""
    scene, pen, skin, dark = _scene(rng)
    pen.rounded_rectangle((35, 172, 215, 198), 13, fill=skin)
    pen.polygon([(185, 185), (205, 128), (228, 128), (215, 196)], fill=skin)
    for x in (207, 226):
        pen.line((x, 130, x + 6, 96), fill=skin, width=5)
        pen.ellipse((x + 1, 88, x + 12, 99), fill=dark)
    for number in range(6):
        size = 60 - 10 * number
        middle = (115 + 4 * number, 128 + 3 * number)
        box = (middle[0] - size, middle[1] - size, middle[0] + size, middle[1] + size)
        pen.ellipse(box, fill=skin if number % 2 else dark, outline=skin, width=2)
    return _placed(rng, scene)


def _cat(rng: np.random.Generator) -> Image.Image:
    """A cat's face."""
    scene, pen, skin, dark = _scene(rng)
    for side in (-1, 1):
        pen.polygon([(128 + side * 25, 75), (128 + side * 78, 28), (128 + side * 80, 115)], fill=skin, outline=dark)
    pen.ellipse((45, 60, 211, 220), fill=skin, outline=dark, width=2)
    for side in (-1, 1):
        eye = 128 + side * 36
        pen.ellipse((eye - 17, 112, eye + 17, 146), fill=(190, 210, 70))
        pen.ellipse((eye - 5, 114, eye + 5, 144), fill="black")
        for lift in (-12, 0, 12):
            pen.line((128 + side * 20, 175, 128 + side * 105, 172 + lift), fill=dark, width=2)
    pen.polygon([(118, 160), (138, 160), (128, 172)], fill=(200, 110, 120))
    pen.arc((108, 166, 128, 190), 0, 150, fill=dark, width=3)
    pen.arc((128, 166, 148, 190), 30, 180, fill=dark, width=3)
    return _placed(rng, scene)


def _scene(rng: np.random.Generator) -> tuple[Image.Image, ImageDraw.ImageDraw, Colour, Colour]:
    """An empty sheet, transparent, with a pen and two colours."""
    sheet = Image.new("RGBA", (SIDE, SIDE))
    return sheet, ImageDraw.Draw(sheet), _colour(rng, 110, 240), _colour(rng, 10, 90)


def _placed(rng: np.random.Generator, sheet: Image.Image) -> Image.Image:
    """A drawn animal before a ground, turned and mirrored."""
    scene = _ground(rng).filter(ImageFilter.GaussianBlur(2))
    if rng.random() < 0.5:
        sheet = sheet.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    sheet = sheet.rotate(rng.uniform(-20, 20), Image.Resampling.BICUBIC)
    scene.paste(sheet, mask=sheet)
    return scene


STRANGERS: Final[dict[str, Callable[[np.random.Generator], Image.Image]]] = {
    "noise": _noise,
    "wall": _wall,
    "shapes": _shapes,
    "ground": _ground,
    "fish": _fish,
    "snail": _snail,
    "cat": _cat,
}
"""How each kind of stranger is drawn."""
