"""The built-in data set "drawn ants and bees": pictures made from numbers, the same on every call.

An insect (`drawn.insects`) stands on a ground (`drawn.grounds`) before a camera (`drawn.camera`). The classes share
colours, grounds, sizes, light and hiding blades; what differs is how an ant and a bee are built. Ants are workers: they
have no wings and do not fly. A bee's wings are clear and mostly folded, and insects are small in the picture, so that
a frozen backbone misses some and a person hardly any.

Whoever changes what is drawn changes `core.data.sources.BUILTIN_TITLE`, too: homes keep what was drawn before.
"""

import io
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat

from core.data.drawn.camera import OVERSAMPLING, Camera
from core.data.drawn.grounds import GROUNDS, add_twig, blade, to_image
from core.data.drawn.insects import Insect, ant, bee
from core.data.drawn.noise import SHEET_SIDE, noise
from core.data.drawn.parts import unit
from core.errors import DatasetError
from core.machine.process import die_with_parent

CLASS_NAMES: Final = ("ants", "bees")
COUNTS: Final = {"train": 120, "val": 40, "test": 75}  # pictures per class, about as many as the ants-and-bees photos
SHORT_SIDE: Final = (256, 288)  # pixels, from and to
QUALITY: Final = 92  # JPEG
SIZE_BYTES: Final = 4  # of the number in front of each picture on its way between processes
PROJECT: Final = Path(__file__).resolve().parents[3]
MOST_HIDDEN: Final = 0.3  # share of an insect: more, and its label could not be seen


def draw(class_name: str, seed: int) -> Image.Image:
    """One RGB picture of the class; the same seed gives the same picture.

    Raises:
        ValueError: the class is not one of `CLASS_NAMES`, or the seed is negative.
    """
    rng = np.random.default_rng((seed, CLASS_NAMES.index(class_name)))
    short = int(rng.integers(SHORT_SIDE[0], SHORT_SIDE[1] + 1))
    long = int(short * rng.choice((1.0, 1.25, 4 / 3, 1.5)))
    size = (short, long) if rng.random() < 0.25 else (long, short)
    flying = class_name == "bees" and rng.random() < 0.15
    insect = ant(rng) if class_name == "ants" else bee(rng, flying)
    tilt = rng.uniform(0, 0.35) if rng.random() < 0.6 else rng.uniform(0.35, 1.25)
    light = unit([rng.uniform(-0.8, 0.8), -rng.uniform(0.3, 0.9), rng.uniform(0.55, 0.9)])
    scale = short * rng.uniform(0.26, 0.52)
    camera = Camera(scale, insect.reach, rng.uniform(0, 2 * np.pi), tilt, rng.normal(0, 0.15), light)
    return develop(rng, compose(rng, size, camera, insect, flying))


def compose(
    rng: np.random.Generator, size: tuple[int, int], camera: Camera, insect: Insect, flying: bool
) -> Image.Image:
    """Ground, shadow, insect and something in front of it, in that order."""
    unit_length = camera.scale / OVERSAMPLING
    kind = "sky" if flying and rng.random() < 0.6 else str(rng.choice(list(GROUNDS)))
    ground = GROUNDS[kind](rng, size[::-1], camera.light)
    if kind == "sky" and not flying:
        add_twig(rng, ground, camera.light, rng.uniform(-0.5, 0.5), unit_length * rng.uniform(0.35, 0.8))
    scene = to_image(ground)
    if flying:  # the ground is far below and out of focus
        scene = scene.reduce(2).filter(ImageFilter.BoxBlur(rng.uniform(0.8, 2))).resize(size, Image.Resampling.BILINEAR)
    middle = [side / 2 + rng.normal(0, 0.07) * min(size) for side in size]
    corner = (round(middle[0] - camera.side / 4), round(middle[1] - camera.side / 4))
    if not flying:
        shade = camera.shadow(insect.parts, insect.legs, insect.wings)
        place = (round(middle[0] - shade.width / 2), round(middle[1] - shade.height / 2))
        scene.paste((14, 14, 22), place, shade.filter(ImageFilter.BoxBlur(unit_length * 0.022)))
    figure = render(rng, camera, insect)
    scene.paste(figure, corner, figure)
    if rng.random() < 0.45:
        through = (middle[0] + rng.normal(0, 0.16) * unit_length, middle[1] + rng.normal(0, 0.16) * unit_length)
        front = blade(rng, size, through, unit_length * rng.uniform(0.14, 0.28))
        if hidden(front, figure, corner) < MOST_HIDDEN:
            scene.paste(front, mask=front)
    return scene


def hidden(front: Image.Image, figure: Image.Image, corner: tuple[int, int]) -> float:
    """The share of a figure, its upper left corner at `corner`, that is outside the picture or behind `front`."""
    free = ImageChops.invert(front.getchannel("A"))
    window = free.crop((*corner, corner[0] + figure.width, corner[1] + figure.height))  # 0 outside the picture
    alpha = figure.getchannel("A")
    return 1 - ImageStat.Stat(ImageChops.multiply(window, alpha)).sum[0] / ImageStat.Stat(alpha).sum[0]


def render(rng: np.random.Generator, camera: Camera, insect: Insect) -> Image.Image:
    """The insect on a transparent square, the camera's canvas averaged down to the picture's scale."""
    canvas = Image.new("RGBA", (camera.side, camera.side))
    draw = ImageDraw.Draw(canvas)
    middle = camera.project(insect.parts[1].centre)[2]
    limbs = insect.legs + insect.antennae
    in_front = [bool(camera.project(limb.joints[0])[2] > middle) for limb in limbs]
    for limb, is_near in zip(limbs, in_front, strict=True):
        if not is_near:
            camera.limb(draw, limb)
    texture = noise(rng, (min(camera.side, SHEET_SIDE),) * 2, "grain")
    for part in insect.parts:
        camera.add_part(part, texture)
    body = Image.fromarray(camera.body)
    canvas.paste(body, mask=body)
    for part in sorted(insect.parts, key=lambda part: float(camera.project(part.centre)[2])):
        if part.hair:
            camera.hair(draw, part, rng)
    for limb, is_near in zip(limbs, in_front, strict=True):
        if is_near:
            camera.limb(draw, limb)
    for wing in insect.wings:
        camera.wing(canvas, wing, rng)
    return canvas.reduce(OVERSAMPLING)


def develop(rng: np.random.Generator, scene: Image.Image) -> Image.Image:
    """What a camera adds: focus that misses now and then, exposure, colour of the light, darker corners, grain."""
    if rng.random() < 0.35:
        scene = scene.filter(ImageFilter.BoxBlur(rng.uniform(0.5, 1.8)))
    width, height = scene.size
    down, across = (np.linspace(-1, 1, side, dtype=np.float32) ** 2 for side in (height, width))
    corners = 0.98 - np.float32(rng.uniform(0.0, 0.14)) * (down[:, None] + across[None, :])
    corners += np.float32(rng.uniform(0, 0.025)) * noise(rng, (height, width), "grain")
    dark = Image.fromarray((255 * np.clip(corners, 0, 1)).astype(np.uint8))
    warm, gain = rng.normal(0, 0.04), np.exp(rng.normal(0.1, 0.14))
    curve = np.minimum(np.outer((1 + warm, 1, 1 - warm), gain * np.arange(256)), 255).astype(int)
    return ImageChops.multiply(scene.point(curve.ravel().tolist()), Image.merge("RGB", [dark] * 3))


def pictures(at_once: int = 1) -> Iterator[tuple[str, bytes]]:
    """Every picture of the set as (path below the data set's folder, JPEG bytes), ant and bee by turns.

    Args:
        at_once: so many processes draw; 1 draws here. Threads would wait for each other: drawing is mostly Python.

    Raises:
        DatasetError: a process that draws has ended.
    """
    if at_once == 1:
        yield from ((path, _drawn(name, seed)) for path, name, seed in _planned())
        return
    crew = [_start(at_once, place) for place in range(at_once)]
    try:
        for number, (path, _, _) in enumerate(_planned()):
            pipe = crew[number % at_once].stdout
            assert pipe is not None
            size = int.from_bytes(pipe.read(SIZE_BYTES))
            content = pipe.read(size)
            if not content or len(content) < size:
                raise DatasetError("A process that draws the built-in set has ended. Nothing was stored; try again.")
            yield path, content
    finally:
        for process in crew:
            process.kill()
            process.communicate()


def _start(at_once: int, place: int) -> Popen[bytes]:
    """One of several processes that draw; it ends with us, who hold its standard input."""
    command = [sys.executable, "-m", __name__, str(at_once), str(place)]
    return Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, cwd=PROJECT)


def _planned() -> Iterator[tuple[str, str, int]]:
    """(path, class, seed) of every picture."""
    seed = 0
    for split, count in COUNTS.items():
        for number in range(1, count + 1):
            seed += 1
            for name in CLASS_NAMES:
                yield f"{split}/{name}/{name[:-1]}-{number:04d}.jpg", name, seed


def _drawn(name: str, seed: int) -> bytes:
    file = io.BytesIO()
    draw(name, seed).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def main() -> None:
    """One of several processes that draw: each so many-th picture to standard output, its size in front of it."""
    at_once, place = map(int, sys.argv[1:])
    die_with_parent()
    for _, name, seed in islice(_planned(), place, None, at_once):
        content = _drawn(name, seed)
        sys.stdout.buffer.write(len(content).to_bytes(SIZE_BYTES) + content)


if __name__ == "__main__":
    main()
