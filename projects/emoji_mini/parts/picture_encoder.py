"""The encoder of pictures and clips, and the judge of generated ones: one small ResNet, taught by
the world's ground truth to say what is where.

The model reads the backbone's 8 x 8 patches; the judge (`parts.seeing`) keeps the heads too.
The paper takes ImageBind as it is; nothing of that size can ship here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from anyweave.encoders.transformers_backbone import TransformersBackbone
from anyweave.files import whole_file, write_json
from anyweave.tensors import load_tensors, save_tensors
from emoji_mini.emoji_world.arranging import Placed, arrange, start
from emoji_mini.emoji_world.moving import pose
from emoji_mini.emoji_world.render import FRAMES, PICTURE_SIZE, render
from emoji_mini.emoji_world.sampling import sample_clip, sample_picture
from emoji_mini.emoji_world.scenes import BACKGROUNDS, ClipScene, PictureScene, Scene
from emoji_mini.emoji_world.things import THINGS
from emoji_mini.parts.fit import FitOptions, fit, halved, trained_file

TRAINED = Path(__file__).parents[1] / "trained" / "picture_reader"
WEIGHTS = "reader.safetensors"
NAMES, PLACES = list(THINGS), list(BACKGROUNDS)
NOTHING = len(NAMES)  # the class of a patch that shows only background
UNKNOWN = -100  # what cross-entropy ignores
WIDTH = 256
PATCHES, CELLS = 8, 16  # along an edge: what the model reads; where the judge looks for middles
VIDEO_FRAMES = 8
FRAME_POOLING = 2
CLIP_SHARE = 0.25  # of a batch, single frames of clips
_MEAN, _STD = 0.5, 0.3


def build_encoder() -> TransformersBackbone:
    """A ResNet of three stages: 128 px to 8 x 8 patches of `WIDTH` numbers; clips by frames."""
    config = ResNetConfig(
        embedding_size=32, hidden_sizes=[64, 128, WIDTH], depths=[1, 1, 2], layer_type="basic"
    )
    size = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
    processor = ViTImageProcessorPil(size=size, image_mean=[_MEAN] * 3, image_std=[_STD] * 3)
    return TransformersBackbone(
        ResNetModel(config), processor, video_frames=VIDEO_FRAMES, frame_pooling=FRAME_POOLING
    )


class Reader(nn.Module):
    """The encoder's network with heads that say what is seen."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.patches = nn.Conv2d(WIDTH, NOTHING + 1, 1)
        self.mix = nn.Sequential(
            nn.Conv2d(WIDTH + WIDTH // 2, WIDTH, 3, padding=1), nn.BatchNorm2d(WIDTH), nn.ReLU()
        )
        self.cells = nn.Conv2d(WIDTH, NOTHING + 1, 1)
        self.middles = nn.Conv2d(WIDTH, 1, 1)
        self.background = nn.Linear(WIDTH, len(PLACES))
        assert self.middles.bias is not None
        nn.init.constant_(self.middles.bias, -4.0)  # middles are rare

    def forward(self, pixels: Float[Tensor, "B 3 128 128"]) -> dict[str, Tensor]:
        """Logits: "patches" ``[B, K+1, 8, 8]``, "cells" ``[B, K+1, 16, 16]``, "middles"
        ``[B, 16, 16]``, "background" ``[B, 8]``.
        """
        states = self.network(pixels, output_hidden_states=True).hidden_states
        coarse, fine = states[-1], states[-2]
        mixed = self.mix(torch.cat([F.interpolate(coarse, scale_factor=2), fine], dim=1))
        return {
            "patches": self.patches(coarse),
            "cells": self.cells(mixed),
            "middles": self.middles(mixed).squeeze(1),
            "background": self.background(coarse.mean((2, 3))),
        }


def build_reader() -> Reader:
    network: Any = build_encoder().model
    return Reader(network.to(memory_format=torch.channels_last))


def placed(scene: PictureScene | ClipScene, frame: int = 0) -> tuple[Placed, ...]:
    """Every thing of a picture, or of one frame of a clip, with its place and size."""
    if isinstance(scene, PictureScene):
        return arrange(scene).things
    begin = start(scene)
    here = pose(scene.motion, frame / (FRAMES - 1), begin.shift)
    return (Placed(scene.object, here.x, here.y, begin.size * here.scale),)


def grid_labels(things: tuple[Placed, ...], cells: int) -> Int[Tensor, "n n"]:
    """What each cell shows: a thing's number, `NOTHING`, or `UNKNOWN` at outlines."""
    centres = (np.arange(cells) + 0.5) / cells
    grid = np.full((cells, cells), NOTHING)
    for thing in things:
        reach = np.hypot(centres[None, :] - thing.x, centres[:, None] - thing.y) / thing.size
        grid[(reach < 0.6) & (grid == NOTHING)] = UNKNOWN
        # The cell of its middle belongs to a thing, however small it is.
        grid[(reach < 0.3) | (reach == reach.min())] = NAMES.index(thing.name)
    return torch.from_numpy(grid)


def middle_labels(things: tuple[Placed, ...]) -> Float[Tensor, "16 16"]:
    """1 at things' middles, falling off over a cell."""
    centres = (np.arange(CELLS) + 0.5) / CELLS
    heat = np.zeros((CELLS, CELLS))
    for thing in things:
        squares = (centres[None, :] - thing.x) ** 2 + (centres[:, None] - thing.y) ** 2
        near = np.exp(-squares * CELLS**2 / (2 * 0.7**2))
        heat = np.maximum(heat, near / near.max())
    return torch.from_numpy(heat).float()


def draw(parts: Path, pictures: int, clips: int, seed: int = 1) -> None:
    """Render training scenes: ``pictures.npy`` ``[N, 128, 128, 3]`` and ``clips.npy``
    ``[M, 16, 64, 64, 3]``.
    """
    parts.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tasks: tuple[tuple[str, int, Callable[..., Scene]], ...] = (
        ("pictures", pictures, sample_picture),
        ("clips", clips, sample_clip),
    )
    for name, number, sample in tasks:
        scenes = [sample(rng, "train") for _ in range(number)]
        shape = (number, *render(scenes[0]).shape)
        with whole_file(parts / f"{name}.npy") as file:
            array = np.lib.format.open_memmap(file.name, mode="w+", dtype=np.uint8, shape=shape)
            for row in track(range(number), f"drawing {number} {name}", transient=True):
                array[row] = render(scenes[row])
            array.flush()
        write_json(parts / f"{name}.json", [asdict(scene) for scene in scenes], indent=None)


def soften(x: Float[Tensor, "B 3 H W"], generator: torch.Generator) -> Tensor:
    """Blur some rows, vary contrast and add noise: decoders' pictures are softer than renders."""
    blurred = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    share = torch.rand(len(x), 1, 1, 1, generator=generator)
    x = torch.where(share < 0.4, blurred, x)
    gain = 1 + 0.1 * torch.randn(len(x), 1, 1, 1, generator=generator)
    return x * gain + torch.randn(x.shape, generator=generator) * 0.05


def as_input(pixels: NDArray[np.uint8]) -> Float[Tensor, "B 3 128 128"]:
    """Pictures or single frames as the encoder's `preprocess` gives them, many at once."""
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - _MEAN) / _STD
    if x.shape[-1] != PICTURE_SIZE:
        x = F.interpolate(x, size=PICTURE_SIZE, mode="bilinear")
    return x.contiguous(memory_format=torch.channels_last)


def reader_losses(logits: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Cross-entropy of every head; for middles the focal loss of CenterNet (Zhou et al., 2019,
    equation 1), divided by their number.
    """
    losses = {
        name: F.cross_entropy(logits[name].float(), labels[name], ignore_index=UNKNOWN)
        for name in ("patches", "cells", "background")
    }
    truth, share = labels["middles"], torch.sigmoid(logits["middles"].float())
    hit = -((1 - share) ** 2) * torch.log(share.clamp_min(1e-6))
    miss = -((1 - truth) ** 4) * share**2 * torch.log((1 - share).clamp_min(1e-6))
    exact = truth == 1
    losses["middles"] = 0.5 * torch.where(exact, hit, miss).sum() / exact.sum()
    losses["background"] = 0.3 * losses["background"]
    return losses


def train(parts: Path, options: FitOptions) -> None:
    torch.manual_seed(options.seed)
    reader = build_reader()
    kinds = {"pictures": PictureScene, "clips": ClipScene}
    arrays = {name: np.load(parts / f"{name}.npy", mmap_mode="r") for name in kinds}
    scenes = {
        name: [kind(**row) for row in json.loads((parts / f"{name}.json").read_text())]
        for name, kind in kinds.items()
    }
    clips = int(CLIP_SHARE * options.batch_size)
    sizes = {"pictures": options.batch_size - clips, "clips": clips}

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        pixels, labels = [], []
        for name, size in sizes.items():
            rows = torch.randint(len(arrays[name]), (size,), generator=generator).tolist()
            frames = torch.randint(FRAMES, (size,), generator=generator).tolist()
            for row, frame in zip(rows, frames, strict=True):
                things = placed(scenes[name][row], frame)
                labels.append(
                    {
                        "patches": grid_labels(things, PATCHES),
                        "cells": grid_labels(things, CELLS),
                        "middles": middle_labels(things),
                        "background": torch.tensor(PLACES.index(scenes[name][row].background)),
                    }
                )
            picked = [
                arrays[name][row] if name == "pictures" else arrays[name][row, frame]
                for row, frame in zip(rows, frames, strict=True)
            ]
            pixels.append(as_input(np.stack(picked)))
        x = soften(torch.cat(pixels), generator).contiguous(memory_format=torch.channels_last)
        stacked = {name: torch.stack([row[name] for row in labels]) for name in labels[0]}
        return reader_losses(reader(x), stacked)

    fit(reader, losses, options, parts / "fit-picture-encoder")
    save(reader, parts)


def save(reader: Reader, parts: Path) -> None:
    """The encoder as the library loads it, and the whole reader, in half precision."""
    save_encoder(reader, parts / "image-encoder")
    save_tensors(halved(reader.state_dict()), parts / WEIGHTS)


def save_encoder(reader: Reader, folder: Path) -> None:
    """The encoder alone, as the library loads it."""
    encoder = build_encoder()
    network: Any = encoder.model
    network.load_state_dict(reader.network.state_dict())
    encoder.save_pretrained(folder)


def load_reader(parts: Path | None = None) -> Reader:
    """The reader in `parts`, else the project's trained one."""
    reader = build_reader()
    reader.load_state_dict(load_tensors(trained_file(WEIGHTS, parts, TRAINED)))
    return reader.eval()
