"""The judge of generated pictures: what is where, and whether that is what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from anyweave.evaluation.metrics import Proportion
from emoji_mini.emoji_world.render import render_picture
from emoji_mini.emoji_world.sampling import sample_picture
from emoji_mini.emoji_world.scenes import PictureScene
from emoji_mini.parts.picture_autoencoder import load_autoencoder, to_input, to_pixels
from emoji_mini.parts.picture_encoder import CELLS, NAMES, PLACES, Reader, as_input, load_reader

MIDDLE = 0.35  # how sure of a middle the judge must be to count a thing
CLEAR = 0.5  # how sure of what it is, to call it by name


@dataclass(frozen=True)
class Seen:
    """A thing in a picture: its likeliest name (None where no name is likely), its middle in shares
    of the picture, the chance of that name.
    """

    name: str | None
    x: float
    y: float
    chance: float


@dataclass(frozen=True)
class PictureVerdict:
    things: tuple[Seen, ...]
    background: str

    def facts(self, scene: PictureScene) -> dict[str, bool]:
        """Which facts of `scene` hold: "object" (its kinds and no others are seen), "count"
        (exactly as many of each kind), "background", and "relation" where it has one.
        """
        counts = Counter(thing.name for thing in self.things)
        wanted = {scene.object: scene.count}
        if scene.other is not None:
            wanted[scene.other] = scene.other_count
        facts = {
            "object": set(counts) == set(wanted),
            "count": counts == Counter(wanted),
            "background": self.background == scene.background,
        }
        if scene.relation is not None:
            facts["relation"] = facts["count"] and self._related(scene)
        return facts

    def _related(self, scene: PictureScene) -> bool:
        one = next(thing for thing in self.things if thing.name == scene.object)
        others = [thing for thing in self.things if thing.name == scene.other]
        if scene.relation == "between":
            left, right = sorted(thing.x for thing in others)
            return left < one.x < right
        dx, dy = others[0].x - one.x, others[0].y - one.y
        along = {"left of": dx, "right of": -dx, "above": dy, "below": -dy}[str(scene.relation)]
        return along > 0 and along == max(abs(dx), abs(dy))


class Judge:
    """The trained reader with its heads, from `parts` or the project."""

    def __init__(self, parts: Path | None = None) -> None:
        self.reader: Reader = load_reader(parts)

    @torch.inference_mode()
    def look(self, pictures: Sequence[NDArray[np.uint8]]) -> list[PictureVerdict]:
        """A verdict on each of `pictures`, ``uint8[H, W, 3]`` of one size."""
        logits = self.reader(as_input(np.stack(pictures)))
        heat = logits["middles"].sigmoid()
        peaks = (heat == F.max_pool2d(heat[:, None], 3, stride=1, padding=1)[:, 0]) & (
            heat > MIDDLE
        )
        names = logits["cells"].softmax(1)
        # A thing is named by its middle and the cells around it.
        names = F.avg_pool2d(names, 3, stride=1, padding=1, count_include_pad=False)[:, :-1]
        return [
            PictureVerdict(
                tuple(
                    self._seen(names[row, :, y, x], x, y) for y, x in peaks[row].nonzero().tolist()
                ),
                PLACES[int(logits["background"][row].argmax())],
            )
            for row in range(len(pictures))
        ]

    @staticmethod
    def _seen(chances: torch.Tensor, x: int, y: int) -> Seen:
        best = int(chances.argmax())
        share = float(chances[best] / chances.sum())
        name = NAMES[best] if share > CLEAR else None
        return Seen(name, (x + 0.5) / CELLS, (y + 0.5) / CELLS, share)


Facts = Sequence[Mapping[str, bool]]
"""Of each medium, which facts hold."""


def measure(parts: Path, number: int, seed: int = 5) -> str:
    """The judge's own accuracy on held-out renders, as they are and through the autoencoder: a
    Markdown table.
    """
    judge = Judge(parts)
    vae = load_autoencoder(parts / "image")
    rng = np.random.default_rng(seed)
    rows: dict[str, list[dict[str, bool]]] = {"as drawn": [], "through the autoencoder": []}
    for _ in range(number):
        scene = sample_picture(rng, "test")
        pixels = render_picture(scene)[None]
        with torch.inference_mode():
            passed = to_pixels(vae.decode(vae.encode(to_input(pixels)).latent).sample)
        for facts, (picture,) in zip(rows.values(), (pixels, passed), strict=True):
            facts.append(judge.look([picture])[0].facts(scene))
    return facts_table("held-out renders", rows)


def facts_table(title: str, rows: Mapping[str, Facts]) -> str:
    """How often each fact holds, with its interval: a Markdown table."""
    names = list(dict.fromkeys(name for row in rows.values() for facts in row for name in facts))
    lines = [f"| {title} | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for how, row in rows.items():
        shares = (Proportion.of(facts[n] for facts in row if n in facts) for n in names)
        lines.append(f"| {how} | {' | '.join(map(str, shares))} |")
    return "\n".join(lines) + "\n"
