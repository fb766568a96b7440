"""The eight backgrounds: gradients and soft shapes, in a few variants each.

A backdrop is drawn at four times its size and scaled down, so its outlines are smooth; colours and
places are shares of 0..1. Variants are cached: a scene picks one and tints it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

VARIANTS = 12
# Where the ground begins, from the top; things that reach below it cast a shadow.
GROUND: dict[str, float] = {
    "white": 0.0,
    "pink": 0.0,
    "grass": 0.45,
    "beach": 0.56,
    "snow": 0.5,
    "room": 0.6,
}
_LARGER = 4
_Colour = tuple[int, int, int]


@lru_cache(maxsize=256)
def backdrop(name: str, variant: int, size: int) -> NDArray[np.uint8]:
    """A background without things, ``uint8[size, size, 3]``. Do not write to it: it is shared."""
    rng = np.random.default_rng([*name.encode(), variant])
    drawn = _PAINTERS[name](rng, size * _LARGER)
    pixels = np.array(drawn.resize((size, size), Image.Resampling.BOX))
    pixels.setflags(write=False)
    return pixels


def _gradient(size: int, *stops: tuple[float, _Colour]) -> Image.Image:
    """Rows blending from stop to stop; a stop is a height and a colour."""
    heights, colours = zip(*stops, strict=True)
    rows = np.linspace(0, 1, size)
    channels = [np.interp(rows, heights, [colour[n] for colour in colours]) for n in range(3)]
    column = np.stack(channels, 1).astype(np.uint8)
    return Image.fromarray(np.repeat(column[:, None], size, 1))


def _over(
    below: Image.Image,
    above: Image.Image | _Colour,
    draw: Callable[[ImageDraw.ImageDraw, int], object],
    *,
    opacity: float = 1.0,
    blur: float = 0.0,
) -> Image.Image:
    """Lay a picture or a colour over another where `draw` paints white on a mask."""
    size = below.width
    mask = Image.new("L", below.size)
    draw(ImageDraw.Draw(mask), size)
    if blur:
        mask = mask.filter(ImageFilter.GaussianBlur(blur * size))
    mask = mask.point(lambda value: round(value * opacity))
    if not isinstance(above, Image.Image):
        above = Image.new("RGB", below.size, above)
    return Image.composite(above, below, mask)


def _land(
    rng: np.random.Generator, height: float, swing: float, waves: float = 1.0
) -> Callable[[ImageDraw.ImageDraw, int], object]:
    """A mask of everything below a softly waving line."""
    phase, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(-0.02, 0.02)

    def draw(canvas: ImageDraw.ImageDraw, size: int) -> None:
        x = np.linspace(-0.02, 1.02, 64)
        y = height + swing * np.sin(2 * np.pi * waves * x + phase) + tilt * (x - 0.5)
        points = [(float(a * size), float(b * size)) for a, b in zip(x, y, strict=True)]
        canvas.polygon([*points, (size * 1.02, size * 1.02), (-size * 0.02, size * 1.02)], fill=255)

    return draw


def _ovals(
    ovals: list[tuple[float, float, float, float]],
) -> Callable[[ImageDraw.ImageDraw, int], object]:
    """A mask of ellipses: centre x and y, half width, half height."""

    def draw(canvas: ImageDraw.ImageDraw, size: int) -> None:
        for x, y, wide, high in ovals:
            box = [(x - wide) * size, (y - high) * size, (x + wide) * size, (y + high) * size]
            canvas.ellipse(box, fill=255)

    return draw


def _haze(rng: np.random.Generator, picture: Image.Image, top: float, low: float) -> Image.Image:
    """Two or three wisps of cloud, soft enough that no one takes them for a thing."""
    ovals = []
    for _ in range(int(rng.integers(2, 4))):
        x, y = rng.uniform(0.05, 0.95), rng.uniform(top, low)
        ovals += [(x, y, 0.16, 0.022), (x + rng.uniform(-0.06, 0.06), y - 0.018, 0.09, 0.022)]
    return _over(picture, (255, 255, 255), _ovals(ovals), opacity=0.65, blur=0.012)


def _white(rng: np.random.Generator, size: int) -> Image.Image:
    picture = Image.new("RGB", (size, size), (230, 233, 240))
    centre = [(rng.uniform(0.4, 0.6), rng.uniform(0.35, 0.5), 0.55, 0.55)]
    return _over(picture, (254, 254, 255), _ovals(centre), blur=0.16)


def _pink(rng: np.random.Generator, size: int) -> Image.Image:
    picture = _gradient(size, (0, (255, 196, 214)), (1, (244, 150, 186)))
    centre = [(rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.45), 0.4, 0.4)]
    return _over(picture, (255, 222, 232), _ovals(centre), opacity=0.8, blur=0.14)


def _sky(rng: np.random.Generator, size: int) -> Image.Image:
    picture = _gradient(size, (0, (86, 164, 240)), (0.7, (160, 212, 252)), (1, (214, 238, 255)))
    return _haze(rng, picture, 0.08, 0.92)


def _grass(rng: np.random.Generator, size: int) -> Image.Image:
    horizon = GROUND["grass"]
    picture = _gradient(size, (0, (140, 204, 250)), (horizon, (224, 243, 255)))
    picture = _haze(rng, picture, 0.06, 0.25)
    hills = _gradient(size, (horizon - 0.1, (158, 214, 132)), (horizon + 0.15, (132, 198, 104)))
    picture = _over(picture, hills, _land(rng, horizon - 0.04, 0.035, rng.uniform(0.7, 1.2)))
    meadow = _gradient(size, (horizon, (132, 204, 92)), (1, (72, 160, 62)))
    return _over(picture, meadow, _land(rng, horizon + 0.03, 0.015, 0.6))


def _night(rng: np.random.Generator, size: int) -> Image.Image:
    picture = _gradient(size, (0, (14, 18, 56)), (0.6, (40, 42, 104)), (0.9, (84, 74, 146)))
    for opacity, number in ((0.5, 16), (0.95, 10)):
        dots = []
        for _ in range(number):
            radius = rng.uniform(0.004, 0.008)
            dots.append((rng.uniform(0, 1), rng.uniform(0, 0.74), radius, radius))
        picture = _over(picture, (255, 250, 226), _ovals(dots), opacity=opacity)
    hills = _gradient(size, (0.75, (44, 44, 98)), (1, (24, 26, 66)))
    return _over(picture, hills, _land(rng, 0.86, 0.03, rng.uniform(0.6, 1.1)))


def _beach(rng: np.random.Generator, size: int) -> Image.Image:
    sea_top, shore = 0.36 + rng.uniform(-0.02, 0.02), GROUND["beach"]
    picture = _gradient(size, (0, (120, 198, 250)), (sea_top, (222, 243, 255)))
    picture = _haze(rng, picture, 0.06, 0.2)
    sea = _gradient(size, (sea_top, (38, 142, 206)), (shore, (112, 214, 222)))
    picture = _over(picture, sea, _land(rng, sea_top, 0.0))
    phase = rng.integers(2**31)
    foam, sand = (_land(np.random.default_rng(phase), shore + low, 0.02, 0.8) for low in (0, 0.025))
    picture = _over(picture, (246, 252, 252), foam)
    beach = _gradient(size, (shore, (238, 212, 152)), (1, (250, 228, 176)))
    return _over(picture, beach, sand)


def _snow(rng: np.random.Generator, size: int) -> Image.Image:
    horizon = GROUND["snow"]
    picture = _gradient(size, (0, (150, 188, 226)), (horizon, (216, 230, 244)))
    far = _gradient(size, (horizon - 0.1, (226, 236, 248)), (horizon + 0.2, (200, 216, 238)))
    picture = _over(picture, far, _land(rng, horizon - 0.04, 0.04, rng.uniform(0.7, 1.2)))
    near = _gradient(size, (horizon, (250, 252, 255)), (1, (218, 230, 246)))
    picture = _over(picture, near, _land(rng, horizon + 0.06, 0.02, 0.7))
    flakes = []
    for _ in range(22):
        radius = rng.uniform(0.006, 0.011)
        flakes.append((rng.uniform(0, 1), rng.uniform(0, 0.9), radius, radius))
    return _over(picture, (255, 255, 255), _ovals(flakes), opacity=0.9, blur=0.001)


def _room(rng: np.random.Generator, size: int) -> Image.Image:
    floor = GROUND["room"]
    picture = _gradient(size, (0, (250, 226, 190)), (floor, (240, 208, 166)))
    light = [(rng.uniform(0.2, 0.8), 0.2, 0.3, 0.24)]
    picture = _over(picture, (255, 244, 220), _ovals(light), opacity=0.8, blur=0.1)
    wood = _gradient(size, (floor, (176, 120, 78)), (1, (206, 150, 100)))
    picture = _over(picture, wood, _land(rng, floor, 0.0))
    vanishing = rng.uniform(0.4, 0.6)

    def planks(canvas: ImageDraw.ImageDraw, edge: int) -> None:
        for foot in np.linspace(-1.2, 2.2, 13):
            top = vanishing + (foot - vanishing) * 0.5
            canvas.line([top * edge, floor * edge, foot * edge, edge], fill=255, width=edge // 110)

    picture = _over(picture, (150, 98, 60), planks, opacity=0.45)

    def skirting(canvas: ImageDraw.ImageDraw, edge: int) -> None:
        canvas.rectangle([0, (floor - 0.035) * edge, edge, floor * edge], fill=255)

    return _over(picture, (255, 248, 236), skirting)


_PAINTERS: dict[str, Callable[[np.random.Generator, int], Image.Image]] = {
    "white": _white,
    "pink": _pink,
    "sky": _sky,
    "grass": _grass,
    "night": _night,
    "beach": _beach,
    "snow": _snow,
    "room": _room,
}
