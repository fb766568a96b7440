"""Scene -> pixels or samples. Pure functions of the scene: the same scene always renders to the
same media.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from emoji_mini.emoji_world.arranging import Placed, arrange, start
from emoji_mini.emoji_world.backdrops import GROUND, backdrop
from emoji_mini.emoji_world.moving import Pose, pose
from emoji_mini.emoji_world.pack import load_pack
from emoji_mini.emoji_world.scenes import MOTIONS, ClipScene, PictureScene, Scene, SoundScene
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SAMPLES

PICTURE_SIZE = 128
CLIP_SIZE = 64
FRAMES = 16
FRAME_RATE = 8.0  # frames/s, a clip lasts two seconds
_FADE = 800  # samples at the end of a sound
_HISS = 0.001  # every recording has a little
_GLOWS = {"night": (150, 150, 235)}  # the light around things, so that dark ones do not vanish
_GLOW, _GLOW_REACH = 0.55, 1.5
_SHADOW = 0.3  # how dark the middle of a shadow is
_Pixels = NDArray[np.uint8]


def render(scene: Scene) -> _Pixels | NDArray[np.float32]:
    """Render any scene."""
    if isinstance(scene, PictureScene):
        return render_picture(scene)
    return render_clip(scene) if isinstance(scene, ClipScene) else render_sound(scene)


def render_picture(scene: PictureScene) -> _Pixels:
    """The picture of a scene, ``uint8[128, 128, 3]``."""
    arranged = arrange(scene)
    canvas = _tinted(backdrop(scene.background, arranged.variant, PICTURE_SIZE), arranged.tint)
    things = sorted(arranged.things, key=lambda thing: thing.y)  # nearer things cover farther ones
    for thing in things:
        _light(canvas, scene.background, thing.x, thing.y, thing.size)
    for thing in things:
        left, top, right, bottom = box_of(thing)
        if thing.stands and bottom / PICTURE_SIZE > GROUND.get(scene.background, 1.0) + 0.03:
            _lay(canvas, _shadow(right - left), left, bottom - (right - left) // 10)
        _lay(canvas, _sprite(thing.name, _edge(thing)), left, top)
    return _pixels(canvas)


def boxes(scene: PictureScene) -> list[tuple[str, tuple[int, int, int, int]]]:
    """The ground truth of a picture: each thing's name and its box (left, top, right, bottom) in
    pixels.
    """
    return [(thing.name, box_of(thing)) for thing in arrange(scene).things]


def box_of(thing: Placed) -> tuple[int, int, int, int]:
    """The pixels that a placed thing takes: left, top, right and bottom."""
    high, wide = _sprite(thing.name, _edge(thing)).shape[:2]
    left = round(thing.x * PICTURE_SIZE - wide / 2)
    top = round(thing.y * PICTURE_SIZE - high / 2)
    return left, top, left + wide, top + high


def render_clip(scene: ClipScene) -> _Pixels:
    """The clip of a scene, ``uint8[16, 64, 64, 3]``."""
    begin = start(scene)
    ground = _tinted(backdrop(scene.background, begin.variant, CLIP_SIZE), begin.tint)
    frames = []
    for number in range(FRAMES):
        t = number / (FRAMES - 1)
        here = pose(scene.motion, t, begin.shift)
        if scene.motion in MOTIONS:
            sprite = _clip_sprite(scene.object)
        else:
            sprite = load_pack().animation(scene.object)[number]
        frame = ground.copy()
        _light(frame, scene.background, here.x, here.y, begin.size * here.scale)
        _lay(frame, _premultiplied(_posed(sprite, here, begin.size)), 0, 0)
        frames.append(_pixels(frame))
    return np.stack(frames)


def render_sound(scene: SoundScene) -> NDArray[np.float32]:
    """The sound of a scene, ``float32[64000]`` at 16 kHz. Two sounds share the time in order."""
    rng = np.random.default_rng(scene.seed)
    share = SAMPLES // len(scene.sounds)
    out = np.zeros(SAMPLES, np.float32)
    for number, name in enumerate(scene.sounds):
        lead = int(rng.uniform(0, 0.1) * SAMPLE_RATE)
        piece = load_pack().takes(name)[scene.take][: share - lead].copy()
        piece[-_FADE:] *= np.linspace(1, 0, _FADE, dtype=np.float32)
        begin = number * share + lead
        out[begin : begin + len(piece)] = piece * rng.uniform(0.6, 1.0)
    out += rng.standard_normal(SAMPLES).astype(np.float32) * _HISS
    return np.clip(out, -1, 1)


def contact_sheet(pictures: list[_Pixels], columns: int = 8) -> Image.Image:
    """Pictures of one size side by side, row by row."""
    high, wide = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * wide, rows * high), "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(Image.fromarray(picture), (column * wide, row * high))
    return sheet


def _edge(thing: Placed) -> int:
    """The longer edge in pixels, rounded to even so that few sizes are cached."""
    return 2 * round(thing.size * PICTURE_SIZE / 2)


def _pixels(canvas: NDArray[np.float32]) -> _Pixels:
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)  # sharp resampling overshoots a little


def _tinted(pixels: _Pixels, tint: tuple[float, float, float]) -> NDArray[np.float32]:
    return np.clip(pixels + np.array(tint, np.float32), 0, 255).astype(np.float32)


@lru_cache(maxsize=6000)
def _sprite(name: str, edge: int) -> _Pixels:
    """A thing's picture with premultiplied alpha, its longer edge `edge` pixels."""
    picture = Image.fromarray(load_pack().picture(name), "RGBA")
    scale = edge / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return np.array(picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS))


@lru_cache(maxsize=600)
def _clip_sprite(name: str) -> _Pixels:
    """A thing's picture at twice the size it has in most clips."""
    picture = Image.fromarray(load_pack().picture(name), "RGBA")
    picture.thumbnail((CLIP_SIZE, CLIP_SIZE), Image.Resampling.LANCZOS)
    return np.array(picture)


@lru_cache(maxsize=128)
def _shadow(width: int) -> _Pixels:
    """A soft black oval as wide as a thing, so only its alpha is set."""
    high = max(4, width // 5)
    mask = Image.new("L", (width * 2, high * 2))
    mask.paste(255, (width // 5, high // 2, 2 * width - width // 5, 2 * high - high // 2))
    mask = mask.filter(ImageFilter.GaussianBlur(high / 3)).resize((width, high))
    opacity = np.asarray(mask, np.float32) * _SHADOW
    shadow = np.zeros((high, width, 4), np.uint8)
    shadow[..., 3] = opacity
    return shadow


def _light(canvas: NDArray[np.float32], background: str, x: float, y: float, size: float) -> None:
    """Where it is dark, a soft light behind a thing; place and size are shares of the canvas."""
    if background not in _GLOWS:
        return
    edge = 2 * round(size * _GLOW_REACH * canvas.shape[0] / 2)
    left, top = round(x * canvas.shape[1] - edge / 2), round(y * canvas.shape[0] - edge / 2)
    _lay(canvas, _glow(background, edge), left, top)


@lru_cache(maxsize=128)
def _glow(background: str, edge: int) -> _Pixels:
    """A round light that fades outwards, with premultiplied alpha."""
    steps = np.linspace(-1, 1, edge)
    opacity = _GLOW * np.clip(1 - np.hypot(steps[:, None], steps[None]), 0, 1) ** 1.5
    colours = opacity[..., None] * np.array([*_GLOWS[background], 255])
    return colours.astype(np.uint8)


def _posed(sprite: _Pixels, here: Pose, size: float) -> Image.Image:
    """A sprite scaled, turned and moved onto an empty canvas, in one resampling."""
    high, wide = sprite.shape[:2]
    step = max(high, wide) / (size * here.scale * CLIP_SIZE)  # sprite pixels per canvas pixel
    turn = np.deg2rad(here.turn)
    cos, sin = np.cos(turn) * step, np.sin(turn) * step
    x, y = here.x * CLIP_SIZE, here.y * CLIP_SIZE
    matrix = (cos, sin, wide / 2 - cos * x - sin * y, -sin, cos, high / 2 + sin * x - cos * y)
    return Image.fromarray(sprite, "RGBA").transform(
        (CLIP_SIZE, CLIP_SIZE), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )


def _premultiplied(picture: Image.Image) -> _Pixels:
    return np.asarray(picture.convert("RGBa"))


def _lay(canvas: NDArray[np.float32], sprite: _Pixels, left: int, top: int) -> None:
    """Lay a sprite with premultiplied alpha onto the canvas, cut off at the edges."""
    size = canvas.shape[0]
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(size, left + sprite.shape[1]), min(size, top + sprite.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = sprite[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32)
    canvas[y0:y1, x0:x1] *= 1 - part[..., 3:] / 255
    canvas[y0:y1, x0:x1] += part[..., :3]
