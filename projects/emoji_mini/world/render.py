"""Scene -> pixels or samples. Pure functions of the scene: the same scene always renders to the
same media.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emoji_mini.world.assets import Pack, load_pack
from emoji_mini.world.catalogue import AUDIO_SAMPLES, IMAGE_SIZE, NUM_FRAMES, SAMPLE_RATE
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene, VideoScene

# top and bottom colour of each background
_COLOURS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "white": ((252, 252, 252), (240, 240, 244)),
    "sky": ((110, 180, 245), (205, 232, 252)),
    "grass": ((140, 205, 110), (70, 155, 60)),
    "night": ((16, 20, 60), (48, 40, 100)),
    "beach": ((130, 205, 235), (240, 215, 150)),
    "pink": ((252, 200, 222), (250, 165, 200)),
}
_SPOTS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0.5, 0.5),),
    2: ((0.27, 0.5), (0.73, 0.5)),
    3: ((0.27, 0.3), (0.73, 0.3), (0.5, 0.72)),
    4: ((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)),
}
_SIZES = {1: (0.62, 0.78), 2: (0.4, 0.46), 3: (0.38, 0.44), 4: (0.36, 0.42)}
_PAIR_SPOTS = {
    "left of": ((0.27, 0.5), (0.73, 0.5)),
    "right of": ((0.73, 0.5), (0.27, 0.5)),
    "above": ((0.5, 0.27), (0.5, 0.73)),
    "below": ((0.5, 0.73), (0.5, 0.27)),
}


def render(scene: Scene, pack: Pack | None = None) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Render any scene: ``uint8[64, 64, 3]``, ``uint8[8, 64, 64, 3]`` or ``float32[32768]``."""
    if isinstance(scene, ImageScene):
        return render_image(scene, pack)
    if isinstance(scene, VideoScene):
        return render_video(scene, pack)
    return render_audio(scene, pack)


def render_image(scene: ImageScene, pack: Pack | None = None) -> NDArray[np.uint8]:
    """The picture of a scene, ``uint8[64, 64, 3]``."""
    pack = pack or load_pack()
    tint, things = arrange(scene)
    canvas = _background(scene.background, tint)
    for name, x, y, size in things:
        _paste(canvas, pack.sprites[name], x, y, size)
    return np.asarray(canvas)


def arrange(scene: ImageScene) -> tuple[NDArray[np.float64], list[tuple[str, float, float, float]]]:
    """What the seed of a picture decides: the background's tint and each thing's (name, x, y,
    size).

    Places and sizes are shares of the canvas; x grows to the right, y downwards.
    """
    rng = np.random.default_rng(scene.seed)
    tint = rng.uniform(-6, 6, 3)
    if scene.relation is not None and scene.other is not None:
        spots = list(zip((scene.object, scene.other), _PAIR_SPOTS[scene.relation], strict=True))
        low, high = _SIZES[2]
    else:
        spots = [(scene.object, spot) for spot in _SPOTS[scene.count]]
        low, high = _SIZES[scene.count]
    things = []
    for name, (x, y) in spots:
        jitter = rng.uniform(-0.03, 0.03, 2)
        things.append((name, x + jitter[0], y + jitter[1], rng.uniform(low, high)))
    return tint, things


def render_video(scene: VideoScene, pack: Pack | None = None) -> NDArray[np.uint8]:
    """The clip of a scene, ``uint8[8, 64, 64, 3]``."""
    pack = pack or load_pack()
    rng = np.random.default_rng(scene.seed)
    backdrop = _background(scene.background, rng.uniform(-6, 6, 3))
    size, offset = rng.uniform(0.46, 0.56), rng.uniform(-0.08, 0.08, 2)
    frames = []
    for t in np.linspace(0, 1, NUM_FRAMES):
        x, y, scale, angle = _pose(scene.motion, float(t))
        frame = backdrop.copy()
        sprite = pack.sprites[scene.object]
        # Only the axis that does not move is jittered: the moving one must stay inside the frame.
        x += offset[0] if x == 0.5 else 0.0
        y += offset[1] if y == 0.5 else 0.0
        _paste(frame, sprite, x, y, size * scale, angle)
        frames.append(np.asarray(frame))
    return np.stack(frames)


def render_audio(scene: AudioScene, pack: Pack | None = None) -> NDArray[np.float32]:
    """The sound of a scene, ``float32[32768]`` at 16 kHz. Two sounds share the time in order."""
    pack = pack or load_pack()
    rng = np.random.default_rng(scene.seed)
    share = AUDIO_SAMPLES // len(scene.sounds)
    out = np.zeros(AUDIO_SAMPLES, np.float32)
    for number, name in enumerate(scene.sounds):
        wave = pack.takes[name][scene.take]
        shift = int(rng.uniform(0, 0.12) * SAMPLE_RATE)
        piece = np.roll(wave, shift)[:share] if len(scene.sounds) == 1 else wave[:share].copy()
        fade = min(400, share)
        piece[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        out[number * share : number * share + share] = piece * rng.uniform(0.6, 1.0)
    out += rng.standard_normal(AUDIO_SAMPLES).astype(np.float32) * 0.0015
    return np.clip(out, -1, 1)


def _background(name: str, tint: NDArray[np.float64]) -> Image.Image:
    top, bottom = (np.array(c, float) for c in _COLOURS[name])
    ramp = np.linspace(0, 1, IMAGE_SIZE)[:, None]
    rows = np.clip(top + (bottom - top) * ramp + tint, 0, 255)
    return Image.fromarray(np.repeat(rows[:, None, :], IMAGE_SIZE, 1).astype(np.uint8), "RGB")


def _paste(
    canvas: Image.Image,
    sprite: NDArray[np.uint8],
    x: float,
    y: float,
    size: float,
    angle: float = 0.0,
) -> None:
    """Paste a sprite centred at (x, y) with edge length `size`, both as shares of the canvas."""
    edge = max(4, round(size * IMAGE_SIZE))
    picture = Image.fromarray(sprite, "RGBA").resize((edge, edge), Image.Resampling.LANCZOS)
    if angle:
        picture = picture.rotate(angle, Image.Resampling.BICUBIC)
    corner = (round(x * IMAGE_SIZE - edge / 2), round(y * IMAGE_SIZE - edge / 2))
    canvas.paste(picture, corner, picture)


def _pose(motion: str, t: float) -> tuple[float, float, float, float]:
    """Where a moving thing is at time `t` in 0..1: x, y, scale, angle in degrees."""
    poses = {
        "moving left": (0.75 - 0.5 * t, 0.5, 1.0, 0.0),
        "moving right": (0.25 + 0.5 * t, 0.5, 1.0, 0.0),
        "rising": (0.5, 0.75 - 0.5 * t, 1.0, 0.0),
        "falling": (0.5, 0.25 + 0.5 * t, 1.0, 0.0),
        "spinning": (0.5, 0.5, 1.1, -315.0 * t),
        "bouncing": (0.5, 0.72 - 0.42 * abs(np.sin(2 * np.pi * t)), 1.0, 0.0),
        "growing": (0.5, 0.5, 0.45 + 1.0 * t, 0.0),
    }
    if motion not in poses:
        raise ValueError(f"unknown motion {motion!r}; there are {', '.join(poses)}")
    return poses[motion]
