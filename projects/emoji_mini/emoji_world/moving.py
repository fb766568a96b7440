"""How things move in a clip: the pose of each motion at each moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pose:
    """Where a thing is: its centre in shares of the canvas, its scale, its turn in degrees."""

    x: float = 0.5
    y: float = 0.5
    scale: float = 1.0
    turn: float = 0.0


def _wave(t: float, times: float) -> float:
    return math.sin(2 * math.pi * times * t)


# Functions of time in 0..1.
POSES: dict[str, Callable[[float], Pose]] = {
    "moving left": lambda t: Pose(x=0.76 - 0.52 * t),
    "moving right": lambda t: Pose(x=0.24 + 0.52 * t),
    "rising": lambda t: Pose(y=0.76 - 0.52 * t),
    "falling": lambda t: Pose(y=0.24 + 0.52 * t),
    "spinning": lambda t: Pose(turn=360 * t, scale=1.1),
    "bouncing": lambda t: Pose(y=0.72 - 0.42 * abs(_wave(t, 1.0))),
    "growing": lambda t: Pose(scale=0.45 + 1.15 * t),
    "shrinking": lambda t: Pose(scale=1.6 - 1.15 * t),
    "shaking": lambda t: Pose(x=0.5 + 0.05 * _wave(t, 4.0), turn=4 * _wave(t, 4.0), scale=1.2),
    "swinging": lambda t: Pose(
        x=0.5 + 0.2 * _wave(t, 1.0), y=0.48 - 0.07 * _wave(t, 1.0) ** 2, turn=-32 * _wave(t, 1.0)
    ),
    "circling": lambda t: Pose(x=0.5 + 0.24 * _wave(t, 1.0), y=0.5 - 0.24 * _wave(t + 0.25, 1.0)),
    "rolling": lambda t: Pose(x=0.22 + 0.56 * t, y=0.62, turn=400 * t, scale=0.85),
}


def pose(motion: str, t: float, shift: tuple[float, float]) -> Pose:
    """The pose at time `t`. The seed's shift applies along the axis the motion does not use."""
    if motion not in POSES:  # an animated emoji moves in place
        return Pose(0.5 + shift[0] / 2, 0.5 + shift[1] / 2, 1.4)
    here = POSES[motion](t)
    x = here.x + shift[0] if POSES[motion](0.1).x == 0.5 else here.x
    y = here.y + shift[1] if POSES[motion](0.1).y == 0.5 else here.y
    return Pose(x, y, here.scale, here.turn)
