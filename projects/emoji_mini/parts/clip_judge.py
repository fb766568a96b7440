"""The judge of how things move: a small network over the frames of a clip. The judge of pictures
(`parts.seeing`) says what moves.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from anyweave.tensors import load_tensors, save_tensors
from emoji_mini.emoji_world.render import render_clip
from emoji_mini.emoji_world.sampling import sample_clip
from emoji_mini.emoji_world.scenes import ACTS, MOTIONS, ClipScene
from emoji_mini.parts.fit import FitOptions, fit, halved, trained_file
from emoji_mini.parts.seeing import Judge, facts_table

TRAINED = Path(__file__).parents[1] / "trained" / "motion_judge"
WEIGHTS = "motion.safetensors"
NAMES = [*MOTIONS, *ACTS]
_SIDE = 32  # pixels: a motion is seen from afar
_WIDTH = 96
_LOOKED_AT = (0, 5, 10, 15)  # frames in which a clip's thing is looked for


class MotionNet(nn.Module):
    """Convolutions over space and time, then a mean over both."""

    def __init__(self) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, stride: tuple[int, int, int]) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1),
                nn.BatchNorm3d(outputs),
                nn.ReLU(),
            )

        self.body = nn.Sequential(
            block(6, 24, (1, 2, 2)),
            block(24, 48, (1, 2, 2)),
            block(48, _WIDTH, (2, 2, 2)),
            block(_WIDTH, _WIDTH, (1, 1, 1)),
        )
        # Where in the clip something is seen tells a fall from a rise.
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(_WIDTH * 8 * 4 * 4, 192), nn.ReLU(), nn.Linear(192, len(NAMES))
        )

    def forward(self, frames: Float[Tensor, "B 3 16 32 32"]) -> Float[Tensor, "B K"]:
        still = frames.mean(2, keepdim=True)  # the background stays where it is
        logits: Tensor = self.head(self.body(torch.cat([frames, frames - still], dim=1)))
        return logits


def as_input(clips: NDArray[np.uint8]) -> Float[Tensor, "B 3 16 32 32"]:
    """Clips ``uint8[B, 16, H, W, 3]`` as the network takes them."""
    frames = torch.from_numpy(clips).flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
    small = F.interpolate(frames, size=(_SIDE, _SIDE), mode="area")
    return small.unflatten(0, clips.shape[:2]).transpose(1, 2)


def train(parts: Path, options: FitOptions) -> None:
    torch.manual_seed(options.seed)
    network = MotionNet()
    clips = np.load(parts / "clips.npy", mmap_mode="r")
    rows = json.loads((parts / "clips.json").read_text("utf-8"))
    labels = torch.tensor([NAMES.index(ClipScene(**row).motion) for row in rows])

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        chosen = torch.randint(len(clips), (options.batch_size,), generator=generator)
        x = as_input(np.stack([clips[row] for row in chosen.tolist()]))
        shift = torch.randint(-2, 3, (2,), generator=generator).tolist()
        x = torch.roll(x, shift, dims=(3, 4))
        x = x + 0.08 * torch.randn(x.shape, generator=generator)
        return {"motion": F.cross_entropy(network(x).float(), labels[chosen])}

    fit(network, losses, options, parts / "fit-clip-judge")
    save_tensors(halved(network.state_dict()), parts / WEIGHTS)


class MotionJudge:
    """The trained network in `parts`, else the project's."""

    def __init__(self, parts: Path | None = None) -> None:
        self.network = MotionNet()
        self.network.load_state_dict(load_tensors(trained_file(WEIGHTS, parts, TRAINED)))
        self.network.eval()

    @torch.inference_mode()
    def look(self, clips: NDArray[np.uint8]) -> list[str]:
        """The likeliest motion of each of ``uint8[B, 16, H, W, 3]``."""
        return [NAMES[best] for best in self.network(as_input(clips)).argmax(1).tolist()]


def clip_facts(
    pictures: Judge, motions: MotionJudge, clip: NDArray[np.uint8], scene: ClipScene
) -> dict[str, bool]:
    """Which facts of the scene a clip ``uint8[16, H, W, 3]`` shows: the thing and place seen in
    most of the frames looked at, and the motion.
    """
    verdicts = pictures.look([clip[number] for number in _LOOKED_AT])
    seen = Counter(thing.name for verdict in verdicts for thing in verdict.things)
    places = Counter(verdict.background for verdict in verdicts)
    return {
        "object": bool(seen) and seen.most_common(1)[0][0] == scene.object,
        "motion": motions.look(clip[None])[0] == scene.motion,
        "background": places.most_common(1)[0][0] == scene.background,
    }


def measure(parts: Path, number: int, seed: int = 5) -> str:
    """How many held-out clips it names right, motions of everything and things' own: a Markdown
    table.
    """
    judge = MotionJudge(parts)
    rng = np.random.default_rng(seed)
    right = []
    for _ in range(number):
        scene = sample_clip(rng, "test")
        kind = "motions of everything" if scene.motion in MOTIONS else "acts of their own"
        right.append({kind: judge.look(render_clip(scene)[None]) == [scene.motion]})
    return facts_table("named right", {f"{number} held-out clips": right})
