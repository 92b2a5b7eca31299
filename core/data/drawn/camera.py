"""Sees drawn insects from any side and draws them: shaded bodies, limbs, hair, wings and the shadow they cast.

On the screen x goes right, y down and z towards the viewer.
"""

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from core.data.drawn.noise import Array
from core.data.drawn.parts import CENTRE, Limb, Part, Wing, unit, wing_outline, wing_veins

OVERSAMPLING = 2  # insects are drawn this much larger and averaged down, which smooths every edge
Ink = int | tuple[int, ...]


class Camera:
    """Sees body space from a direction and draws on a square canvas of its own, with the insect's centre in the middle.

    Args:
        scale: pixels of the finished picture per body length.
        reach: the farthest drawn point from the insect's centre, in body lengths.
        heading: turn about the insect's up axis, radians.
        tilt: 0 looks from above, pi/2 from the side.
        roll: turn of the whole picture, radians.
        light: direction to the light on the screen.
    """

    def __init__(self, scale: float, reach: float, heading: float, tilt: float, roll: float, light: ArrayLike) -> None:
        ch, sh, ct, st, cr, sr = (f(a) for a in (heading, tilt, roll) for f in (np.cos, np.sin))
        turn = np.array([[ch, -sh, 0], [sh, ch, 0], [0, 0, 1]])
        lean = np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
        spin = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        self.view = (spin @ lean @ turn).astype(np.float32)
        self.light = unit(light)
        self.scale = scale * OVERSAMPLING
        self.side = 2 * round(scale * reach + 3) * OVERSAMPLING
        self.body = np.zeros((self.side, self.side, 4), np.uint8)
        self.depth = np.full((self.side, self.side), -np.inf, np.float32)

    def project(self, points: Array) -> Array:
        """Body space to canvas: (..., 3) to (..., 3), x and y in canvas pixels, the third the nearness in pixels."""
        middle = np.array([self.side / 2, self.side / 2, 0], np.float32)
        seen: Array = (points - CENTRE) @ self.view.T * np.float32(self.scale) + middle
        return seen

    def shade(self, normals: Array) -> Array:
        """Light that arrives on a matt surface: (3, ...) unit normals to (...)."""
        facing = np.tensordot(self.light, normals, 1)
        light: Array = 0.34 + 0.16 * facing - 0.1 * normals[1] + 0.66 * np.maximum(facing, 0)
        return light

    def add_part(self, part: Part, texture: Array) -> None:
        """Draw an ellipsoid into the body: surface, normals and nearness from where the line of sight enters."""
        x, y, near = self.project(part.centre)
        axes = self.view @ part.axes
        radii = part.radii * self.scale
        form = axes @ np.diag(radii**-2) @ axes.T
        reach = np.sqrt((axes**2) @ radii**2)
        left, top = max(int(x - reach[0]), 0), max(int(y - reach[1]), 0)
        right, bottom = min(int(x + reach[0]) + 2, self.side), min(int(y + reach[1]) + 2, self.side)
        if right <= left or bottom <= top:
            return
        dx = (np.arange(left, right, dtype=np.float32) - x)[None, :]
        dy = (np.arange(top, bottom, dtype=np.float32) - y)[:, None]
        half = form[0, 2] * dx + form[1, 2] * dy
        rest = form[0, 0] * dx**2 + (2 * form[0, 1]) * dx * dy + form[1, 1] * dy**2 - 1
        inside = half**2 - form[2, 2] * rest
        dz = (np.sqrt(np.maximum(inside, 0)) - half) / form[2, 2]
        depth = self.depth[top:bottom, left:right]
        seen = (inside >= 0) & (dz + near > depth)
        offset = np.stack(np.broadcast_arrays(dx, dy, dz))[:, seen]  # (3, seen pixels)
        depth[seen] = offset[2] + near
        normals = form @ offset
        normals /= np.sqrt((normals**2).sum(axis=0))
        along = (axes[:, 0] @ offset) / radii[0]
        colour = self._surface(part, normals, along, texture[: bottom - top, : right - left][seen])
        self.body[top:bottom, left:right][seen] = np.concatenate([colour.T, np.full((len(along), 1), 255)], axis=1)

    def _surface(self, part: Part, normals: Array, along: Array, texture: Array) -> Array:
        """Colours 0 to 255 of seen points: (3, n) normals, (n,) place from tail -1 to front 1, (n,) texture."""
        base = np.array(part.colour, np.float32)[:, None]
        groove = np.float32(1)
        if part.rings:
            hind = (1 - along) / 2 * part.rings % 1  # 0 at the front of each ring, 1 at its hind margin
            groove = 1 - 0.5 * np.exp(-14 * np.minimum(hind, 2.2 * (1 - hind)))
            if part.band is not None:
                edge = np.clip((hind - 1 + part.band_at) * 7 + 0.5 + 0.1 * texture, 0, 1)
                base = base + edge * (np.array(part.band, np.float32)[:, None] - base)
        matt = base * (1 + 0.06 * texture) * self.shade(normals) * groove
        middle = unit(self.light + np.array([0, 0, 1], np.float32))  # halfway between light and viewer (Blinn 1977)
        mirror = np.maximum(middle @ normals, 0) ** 8
        sheen = part.gloss * (0.2 * mirror + 0.75 * mirror**6) * groove
        rim = (0.1 + 0.3 * part.gloss) * (1 - normals[2]) ** 2 * np.maximum(0.4 - 0.6 * normals[1], 0.08)
        colour: Array = np.clip(255 * (matt + (sheen + rim) * np.array([[0.94], [0.98], [1.0]], np.float32)), 0, 255)
        return colour

    def hair(self, draw: ImageDraw.ImageDraw, part: Part, rng: np.random.Generator) -> None:
        """Draw a part's hair, the farthest first: short lines that leave the surface nearly upright."""
        size = float(np.prod(part.radii[:2])) * self.scale**2
        ball = rng.standard_normal((min(int(80 + size / 9), 620), 3)).astype(np.float32)
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        start = self.project(part.centre + (ball * part.radii * 0.96) @ part.axes.T)
        normals = (ball / part.radii) @ (self.view @ part.axes).T
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        tips = normals + 0.4 * rng.standard_normal(normals.shape)
        ends = start + tips * part.hair * self.scale * rng.uniform(0.5, 1.2, (len(ball), 1))
        light = self.shade(normals.T)[:, None] * rng.uniform(0.65, 1.3, (len(ball), 1))
        banded = ((1 - ball[:, :1]) / 2 * part.rings % 1 > 1 - part.band_at) & (part.band is not None)
        colours = np.where(banded, part.band or part.colour, part.hair_colour or part.colour)
        tones = np.clip(255 * colours * light, 0, 255).astype(int)
        order = np.argsort(normals[:, 2])
        order = order[normals[order, 2] > -0.3]
        lines = np.concatenate([start[order, :2], ends[order, :2]], axis=1).tolist()
        for line, tone in zip(lines, tones[order].tolist(), strict=True):
            draw.line(line, fill=(*tone, 255))

    def limb(self, draw: ImageDraw.ImageDraw, limb: Limb) -> None:
        """Draw a limb as tapering tubes: a dark silhouette, its body colour, and a thin light towards the lamp."""
        points = self.project(limb.joints)[:, :2]
        widths = np.maximum(limb.widths * self.scale / 2, 0.8)
        base = np.array(limb.colour)
        for share, shift, tone in ((1.0, 0.0, base * 0.4), (0.72, 0.14, base * 0.85), (0.3, 0.34, base * 1.25 + 0.13)):
            fill = (*(np.clip(255 * tone, 0, 255).astype(int).tolist()), 255)
            moved = points + self.light[:2] * (widths * shift)[:, None]
            tube(draw, moved, widths * share, fill)

    def shadow(self, parts: list[Part], limbs: list[Limb], wings: list[Wing]) -> Image.Image:
        """What the insect takes from the light on the ground, at the finished picture's scale.

        The square is half as wide again as the insect's and has the same middle, as shadows fall wide.
        """
        up = self.view.T @ self.light
        margin = self.side // 4
        mask = Image.new("L", ((self.side + 2 * margin) // OVERSAMPLING,) * 2)
        draw = ImageDraw.Draw(mask)

        def fall(points: Array) -> Array:
            return self.project(points - points[..., 2:] * (up / up[2]))[..., :2] / OVERSAMPLING + margin / OVERSAMPLING

        for wing in wings:
            draw.polygon(fall(wing_outline(wing)).ravel().tolist(), fill=60)
        for limb in limbs:
            tube(draw, fall(limb.joints), np.maximum(limb.widths * self.scale * 0.3, 0.6), 130)
        ring = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        circle = np.stack([np.cos(ring), np.sin(ring), 0 * ring], axis=1).astype(np.float32)
        for part in parts:
            draw.polygon(fall(part.centre + (circle * part.radii) @ part.axes.T).ravel().tolist(), fill=165)
        return mask

    def wing(self, canvas: Image.Image, wing: Wing, rng: np.random.Generator) -> None:
        """Lay a wing over the canvas: a thin tinted film with a play of colours, veins and a strong leading edge."""
        outline = self.project(wing_outline(wing))[:, :2]
        left, top = np.maximum(outline.min(axis=0).astype(int) - 2, 0)
        right, bottom = np.minimum(outline.max(axis=0).astype(int) + 3, self.side)
        if right <= left or bottom <= top:
            return
        corner, size = np.array([left, top], np.float32), (int(right - left), int(bottom - top))
        film = Image.new("L", size)
        ImageDraw.Draw(film).polygon((outline - corner).ravel().tolist(), fill=int(255 * wing.opacity))
        play = np.array(wing.tint) * 200 + rng.uniform(0, 55, (3, 4, 3))
        layer = Image.fromarray(play.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        layer.putalpha(film)
        pen = ImageDraw.Draw(layer)
        dark, width = [int(95 * c) for c in wing.tint], max(1, round(self.scale * 0.008))
        for vein in wing_veins(wing):
            path = (self.project(vein)[:, :2] - corner).ravel().tolist()
            pen.line(path, fill=(*dark, int(255 * wing.opacity) + 30), width=max(1, width // 2))
        rim = (outline[: len(outline) // 2] - corner).ravel().tolist()
        pen.line(rim, fill=(*dark, int(255 * wing.opacity) + 55), width=width)
        canvas.alpha_composite(layer, (int(left), int(top)))


def tube(draw: ImageDraw.ImageDraw, points: Array, radii: Array, fill: Ink) -> None:
    """Fill a chain of tapering pieces with round joints: points (n, 2) and radii (n,) in pixels."""
    steps = np.diff(points, axis=0)
    sideways = np.stack([-steps[:, 1], steps[:, 0]], axis=1) / (np.hypot(steps[:, 0], steps[:, 1])[:, None] + 1e-6)
    for i, normal in enumerate(sideways):
        a, b = normal * radii[i], normal * radii[i + 1]
        corners = (points[i] + a, points[i + 1] + b, points[i + 1] - b, points[i] - a)
        draw.polygon(np.concatenate(corners).tolist(), fill=fill)
    for (x, y), r in zip(points.tolist(), radii.tolist(), strict=True):
        if r > 1.2:  # below, nobody sees a joint's shape
            draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
