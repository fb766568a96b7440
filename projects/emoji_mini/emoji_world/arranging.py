"""Where the things of a scene stand: what its seed decides and its caption does not say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoji_mini.emoji_world.backdrops import GROUND, VARIANTS
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene

_Spot = tuple[float, float]
# Slots in reading order, and how large a thing in one may be, by number of things.
_SLOTS: dict[int, list[tuple[tuple[_Spot, ...], float]]] = {
    2: [(((0.27, 0.5), (0.73, 0.5)), 0.45)],
    3: [
        (((0.27, 0.28), (0.73, 0.28), (0.5, 0.72)), 0.42),
        (((0.5, 0.28), (0.27, 0.72), (0.73, 0.72)), 0.42),
        (((0.19, 0.5), (0.5, 0.5), (0.81, 0.5)), 0.31),
    ],
    4: [(((0.27, 0.28), (0.73, 0.28), (0.27, 0.72), (0.73, 0.72)), 0.41)],
    5: [
        (((0.19, 0.3), (0.5, 0.3), (0.81, 0.3), (0.33, 0.72), (0.67, 0.72)), 0.32),
        (((0.33, 0.3), (0.67, 0.3), (0.19, 0.72), (0.5, 0.72), (0.81, 0.72)), 0.32),
    ],
    6: [(((0.19, 0.3), (0.5, 0.3), (0.81, 0.3), (0.19, 0.72), (0.5, 0.72), (0.81, 0.72)), 0.31)],
}
_RELATION_SLOTS: dict[str, tuple[tuple[_Spot, ...], float]] = {
    "left of": (((0.27, 0.5), (0.73, 0.5)), 0.44),
    "right of": (((0.73, 0.5), (0.27, 0.5)), 0.44),
    "above": (((0.5, 0.27), (0.5, 0.74)), 0.43),
    "below": (((0.5, 0.74), (0.5, 0.27)), 0.43),
    "between": (((0.5, 0.5), (0.19, 0.5), (0.81, 0.5)), 0.31),
}


@dataclass(frozen=True)
class Placed:
    """One thing in a picture: its centre and its longer edge, as shares of the canvas (x to the
    right, y downwards), and whether it stands on the ground, if there is any.
    """

    name: str
    x: float
    y: float
    size: float
    stands: bool = True


@dataclass(frozen=True)
class Arrangement:
    """What the seed of a picture decides. `tint` is added to the backdrop, in 0..255."""

    variant: int
    tint: tuple[float, float, float]
    things: tuple[Placed, ...]


def arrange(scene: PictureScene) -> Arrangement:
    """The places of a picture's things, those of `object` first."""
    rng = np.random.default_rng(scene.seed)
    variant, tint = _look(rng)
    names = [scene.object] * scene.count
    if scene.other is not None:
        names += [scene.other] * scene.other_count
    if len(names) == 1:
        size = rng.uniform(0.46, 0.74)
        room = (0.96 - size) / 2
        x, y = 0.5 + rng.uniform(-room, room), 0.5 + rng.uniform(-room, room)
        return Arrangement(variant, tint, (Placed(names[0], x, _ground(scene, y), size),))
    if scene.relation is not None:
        spots, largest = _RELATION_SLOTS[scene.relation]
    else:
        layouts = _SLOTS[len(names)]
        spots, largest = layouts[int(rng.integers(len(layouts)))]
        if scene.other is not None and rng.random() < 0.5:  # the second kind comes first
            spots = spots[::-1]
    things = []
    for name, (x, y) in zip(names, spots, strict=True):
        dx, dy = rng.uniform(-0.025, 0.025), rng.uniform(-0.035, 0.035)
        size = largest * rng.uniform(0.84, 1.0)
        stands = scene.relation not in ("above", "below") or y > 0.5
        things.append(Placed(name, x + dx, _ground(scene, y + dy), size, stands))
    return Arrangement(variant, tint, tuple(things))


@dataclass(frozen=True)
class Start:
    """What the seed of a clip decides: the look of the backdrop, the thing's size and the shift of
    its path.
    """

    variant: int
    tint: tuple[float, float, float]
    size: float
    shift: _Spot


def start(scene: ClipScene) -> Start:
    """How a clip starts."""
    rng = np.random.default_rng(scene.seed)
    variant, tint = _look(rng)
    shift = (rng.uniform(-0.07, 0.07), rng.uniform(-0.07, 0.07))
    return Start(variant, tint, rng.uniform(0.38, 0.48), shift)


def _look(rng: np.random.Generator) -> tuple[int, tuple[float, float, float]]:
    red, green, blue = rng.uniform(-7, 7, 3)
    return int(rng.integers(VARIANTS)), (red, green, blue)


def _ground(scene: PictureScene, y: float) -> float:
    """Where there is ground, everything stands a little lower."""
    return y + 0.03 if scene.background in GROUND else y
