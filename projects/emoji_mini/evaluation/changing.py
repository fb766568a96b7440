"""What words cannot say: "the same scene with a dog instead", "that one again, but bigger", given a
picture. A caption gives no places, sizes or tones; this measures those that should stay.

place error   mean distance of the things' middles, as the judge sees them, from where they should
              be, in shares of the picture's edge; only where the right number of things is seen
colour error  mean difference of the background's pixels from the user's picture, in 0..1
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from anyweave.messages import Message
from emoji_mini.emoji_talk.talk import Talk, as_part
from emoji_mini.emoji_world.arranging import arrange
from emoji_mini.emoji_world.backdrops import backdrop
from emoji_mini.emoji_world.captions import call
from emoji_mini.emoji_world.render import PICTURE_SIZE, boxes, render_picture
from emoji_mini.emoji_world.scenes import PictureScene
from emoji_mini.emoji_world.things import THINGS
from emoji_mini.parts.seeing import PictureVerdict

CHANGES: dict[str, tuple[str, ...]] = {
    "another thing": (
        "The same scene with {x} instead, please.",
        "Keep everything as it is, but make it {x}.",
        "This picture again, only with {x}.",
    ),
    "bigger": (
        "That one again but bigger.",
        "The same picture, but draw it larger.",
        "Keep the scene, only make the {x} bigger.",
    ),
}
_MARGIN = 10  # pixels around a thing that may be its shadow or its light
_OTHER_THAN_GROUND = 24  # of 255, in any channel: a pixel of the thing
_BIGGER = 1.1  # times the area, to be called bigger


def changing(
    change: str, number: int, seed: int
) -> Iterator[tuple[Message, PictureScene, PictureScene]]:
    """What the user shows and says, the picture's scene, and what it should become. Places and
    tones, which a scene's seed decides, stay.
    """
    rng = np.random.default_rng((seed, list(CHANGES).index(change)))
    found = 0
    while found < number:
        t = Talk(rng, "test")
        shown = t.picture(alone=True)
        if change == "bigger":
            shown = replace(shown, count=1)
            following, words = shown, THINGS[shown.object].name
        else:
            other = t.pick([name for name in THINGS if name != shown.object])
            following = replace(shown, object=other)
            words = call(rng, THINGS[other], shown.count)
        if following.split != "test":
            continue
        asked = t.pick(CHANGES[change]).format(x=words)
        yield Message("user", [as_part(shown, rendered=True), asked]), shown, following
        found += 1


def errors(
    kept: PictureScene, wanted: PictureScene, seen: PictureVerdict, picture: NDArray[np.uint8]
) -> dict[str, float]:
    """The errors of what should stay. "place error" is absent where the number of things seen
    differs.
    """
    found = {"colour error": _colour_error(kept, wanted, picture)}
    should = np.array([(thing.x, thing.y) for thing in arrange(wanted).things])
    middles = np.array([(thing.x, thing.y) for thing in seen.things])
    if len(middles) == len(should):
        orders = [middles[list(order)] for order in permutations(range(len(middles)))]
        found["place error"] = float(
            min(np.linalg.norm(one - should, axis=1).mean() for one in orders)
        )
    return found


def is_bigger(kept: PictureScene, picture: NDArray[np.uint8]) -> bool:
    """Whether the thing fills clearly more of the picture than before, on the same background."""
    before, now = (_thing_area(kept, pixels) for pixels in (render_picture(kept), picture))
    return bool(now > _BIGGER * before)


def _thing_area(kept: PictureScene, picture: NDArray[np.uint8]) -> int:
    look = arrange(kept)
    ground = backdrop(kept.background, look.variant, PICTURE_SIZE) + np.array(look.tint)
    away = np.abs(picture - ground).max(axis=2)
    return int((away > _OTHER_THAN_GROUND).sum())


def _colour_error(kept: PictureScene, wanted: PictureScene, picture: NDArray[np.uint8]) -> float:
    free = np.ones((PICTURE_SIZE, PICTURE_SIZE), bool)
    for scene in (kept, wanted):
        for _, (left, top, right, bottom) in boxes(scene):
            low, high = max(0, top - _MARGIN), max(0, left - _MARGIN)
            free[low : bottom + _MARGIN, high : right + _MARGIN] = False
    if not free.any():
        free[:8] = True  # the thing fills the picture: use the upper edge
    away = np.abs(picture.astype(np.float32) - render_picture(kept).astype(np.float32))
    return float(away[free].mean() / 255)
