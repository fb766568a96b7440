"""The perception of `emoji-mini`: a small ResNet for pictures and clips, a small ImageBind for
sounds, both taught by the world's exact truth.

The paper takes ImageBind as it is; nothing of that size can ship here, so this project trains its
own. Pictures are a convolutional network's: small pictures teach it to tell the world's things
apart several times as fast as a vision transformer of the same cost. Patches learn what they show,
and their mean what the whole shows (things, count, place, relation, sounds and their order); the
order of a clip's frames is kept for the input projector. The classifiers that teach are thrown away
and the encoders frozen. Only training scenes are seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from anyweave.encoders.imagebind import ImageBind
from anyweave.encoders.transformers_backbone import TransformersBackbone
from anyweave.messages import Modality
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.rendered import rendered_scenes
from emoji_mini.world.catalogue import (
    BACKGROUNDS,
    IMAGE_SIZE,
    MAX_COUNT,
    OBJECTS,
    RELATIONS,
    SAMPLE_RATE,
    SOUNDS,
)
from emoji_mini.world.render import arrange
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene, VideoScene

_OBJECTS, _BACKGROUNDS, _SOUNDS = list(OBJECTS), list(BACKGROUNDS), list(SOUNDS)
NOTHING = len(_OBJECTS)  # the class of a patch that shows only background
UNKNOWN = -100  # what cross-entropy ignores
WIDTH = 256  # of both encoders' features: one input projector serves all
VIDEO_FRAMES = 4  # of a clip's eight: first, last and two between
FRAME_POOLING = 2  # four frames of 4 x 4 patches: as many as a picture has
_MEAN, _STD = 0.5, 0.3

# head -> (modalities that teach it, number of classes)
HEADS: dict[str, tuple[tuple[Modality, ...], int]] = {
    "object": (("image", "video"), len(_OBJECTS)),
    "background": (("image", "video"), len(_BACKGROUNDS)),
    "count": (("image",), MAX_COUNT + 1),
    "relation": (("image",), len(RELATIONS) + 1),
    "first_sound": (("audio",), len(_SOUNDS)),
    "last_sound": (("audio",), len(_SOUNDS)),
}


def build_image_encoder() -> TransformersBackbone:
    """A ResNet of two stages: 64 px to 8 x 8 patches of `WIDTH` numbers; clips frame by frame."""
    config = ResNetConfig(
        embedding_size=48, hidden_sizes=[64, WIDTH], depths=[2, 2], layer_type="basic"
    )
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = ViTImageProcessorPil(size=size, image_mean=[_MEAN] * 3, image_std=[_STD] * 3)
    return TransformersBackbone(
        ResNetModel(config), processor, video_frames=VIDEO_FRAMES, frame_pooling=FRAME_POOLING
    )


def build_audio_encoder() -> ImageBind:
    """ImageBind's audio tower, small: two seconds of 64-band log-mel in 80 patches."""
    return ImageBind(
        towers=("audio",),
        out_dim=WIDTH,
        audio_width=128,
        audio_depth=4,
        audio_heads=4,
        audio_kernel=16,
        audio_stride=12,
        num_mel_bins=64,
        num_frames=204,
        sample_rate=SAMPLE_RATE,
        audio_clips=1,
        audio_clip_seconds=2.048,
    )


def labels_of(scene: Scene) -> dict[str, Tensor]:
    """The truth of a scene for each head that it teaches, and for each patch of a picture."""
    if isinstance(scene, AudioScene):
        return {
            "first_sound": torch.tensor(_SOUNDS.index(scene.sounds[0])),
            "last_sound": torch.tensor(_SOUNDS.index(scene.sounds[-1])),
        }
    present = torch.zeros(len(_OBJECTS))
    present[_OBJECTS.index(scene.object)] = 1
    labels = {"background": torch.tensor(_BACKGROUNDS.index(scene.background))}
    if isinstance(scene, VideoScene):
        return labels | {"object": present}
    if scene.other is not None and scene.relation is not None:
        present[_OBJECTS.index(scene.other)] = 1
        labels |= {
            "count": torch.tensor(0),
            "relation": torch.tensor(1 + RELATIONS.index(scene.relation)),
        }
    else:
        labels |= {"count": torch.tensor(scene.count), "relation": torch.tensor(0)}
    return labels | {"object": present, "patches": patch_labels(scene)}


def patch_labels(scene: ImageScene, patches: int = 8) -> Int[Tensor, "N"]:  # noqa: F821
    """What each patch shows, row by row: an object's number, `NOTHING`, `UNKNOWN` at outlines."""
    centres = (np.arange(patches) + 0.5) / patches
    grid = np.full((patches, patches), NOTHING)
    for name, x, y, size in arrange(scene)[1]:
        reach = np.maximum(np.abs(centres[None, :] - x), np.abs(centres[:, None] - y)) / size
        grid[reach < 0.58] = UNKNOWN
        grid[reach < 0.34] = _OBJECTS.index(name)
    return torch.from_numpy(grid.ravel())


class Teacher(nn.Module):
    """An encoder with its throw-away classifiers. `scale` makes features of norm 1 livelier."""

    def __init__(self, encoder: nn.Module, modalities: tuple[Modality, ...], scale: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, classes))
                for name, (by, classes) in HEADS.items()
                if set(by) & set(modalities)
            }
        )
        self.patches = nn.Linear(WIDTH, NOTHING + 1)
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, modality: Modality, inputs: Tensor) -> dict[str, Tensor]:
        """Logits of every head that `modality` teaches; "patches" ``[M, N, classes]``."""
        features: Float[Tensor, "M N D"] = self.encoder(modality, inputs) * self.scale
        pooled = features.mean(1)
        logits = {
            name: head(pooled) for name, head in self.heads.items() if modality in HEADS[name][0]
        }
        if modality == "image":
            logits["patches"] = self.patches(features)
        return logits


def head_losses(
    modality: Modality, logits: dict[str, Tensor], labels: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Cross-entropy per head (binary for the set of objects), named by modality."""
    losses = {}
    for name, prediction in logits.items():
        truth = labels[name]
        if name == "object":
            loss = 20 * F.binary_cross_entropy_with_logits(prediction, truth)
        else:
            loss = F.cross_entropy(prediction.flatten(0, -2), truth.flatten(), ignore_index=UNKNOWN)
        losses[f"{modality}/{name}"] = 0.5 * loss
    return losses


def pixels(arrays: NDArray[np.uint8], rows: list[int]) -> Float[Tensor, "M *frames 3 H W"]:
    """Rendered pictures or clips as the picture encoder's `preprocess` gives them, many at once."""
    picked = np.asarray(arrays[sorted(rows)])
    if picked.ndim == 5:
        picked = picked[:, np.linspace(0, picked.shape[1] - 1, VIDEO_FRAMES).round().astype(int)]
    return (torch.from_numpy(picked).movedim(-1, -3).float() / 255 - _MEAN) / _STD


def soften(x: Tensor, generator: torch.Generator) -> Tensor:
    """Random blur (decoders' pictures are soft), contrast and noise."""
    if torch.rand((), generator=generator) < 0.4:
        flat = x.flatten(0, -4)
        small = F.interpolate(flat, scale_factor=0.5, mode="area")
        x = F.interpolate(small, scale_factor=2, mode="bilinear").reshape(x.shape)
    gain = 1 + 0.1 * torch.randn(len(x), *[1] * (x.ndim - 1), generator=generator)
    return x * gain + torch.randn(x.shape, generator=generator) * 0.05


def disturb(x: Float[Tensor, "M V 1 F T"], generator: torch.Generator) -> Tensor:
    """Random level, noise, and a silenced band of pitch and of time (SpecAugment): the recorded
    takes are few.
    """
    x = x + torch.randn(len(x), 1, 1, 1, 1, generator=generator) * 0.2
    x = x + torch.randn(x.shape, generator=generator) * 0.1
    for axis, widest in ((-2, 12), (-1, 40)):
        width = int(torch.randint(1, widest, (), generator=generator))
        start = int(torch.randint(x.shape[axis] - width, (), generator=generator))
        x.narrow(axis, start, width).zero_()
    return x


def train_image_encoder(
    output: Path, cache: Path, options: FitOptions, sizes: Mapping[Modality, int]
) -> dict[str, float]:
    """Train the encoder of pictures and clips and save it to `output`; returns the last losses."""
    torch.manual_seed(options.seed)
    encoder = build_image_encoder()
    network: Any = encoder.model
    network.to(memory_format=torch.channels_last)
    data: dict[Modality, Any] = {
        m: rendered_scenes(m, "train", sizes[m], options.seed, cache) for m in encoder.modalities
    }

    def batch(modality: Modality, rows: list[int], generator: torch.Generator) -> Tensor:
        return soften(pixels(data[modality][1], rows), generator)

    scenes = {m: drawn for m, (drawn, _) in data.items()}
    means = _teach(encoder, scenes, batch, options, output, scale=1.0)
    network.to(memory_format=torch.contiguous_format)
    encoder.save_pretrained(output)
    return means


def train_audio_encoder(
    output: Path, cache: Path, options: FitOptions, size: int
) -> dict[str, float]:
    """Train the encoder of sounds and save it to `output`; returns the last losses."""
    torch.manual_seed(options.seed)
    encoder = build_audio_encoder()
    scenes, waves = rendered_scenes("audio", "train", size, options.seed, cache)
    mels = _preprocess_sounds(encoder, waves)

    def batch(_: Modality, rows: list[int], generator: torch.Generator) -> Tensor:
        return disturb(mels[sorted(rows)], generator)

    means = _teach(encoder, {"audio": scenes}, batch, options, output, scale=12.0)
    encoder.save_pretrained(output)
    return means


def _teach(
    encoder: nn.Module,
    scenes: Mapping[Modality, list[Scene]],
    batch: Callable[[Modality, list[int], torch.Generator], Tensor],
    options: FitOptions,
    output: Path,
    *,
    scale: float,
) -> dict[str, float]:
    teacher = Teacher(encoder, tuple(scenes), scale).to(options.device)
    truths = {m: [labels_of(scene) for scene in drawn] for m, drawn in scenes.items()}

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        for modality, known in truths.items():
            # A clip is as much work as its frames.
            size = max(2, options.batch_size // (VIDEO_FRAMES if modality == "video" else 1))
            drawn = torch.randint(len(known), (size,), generator=generator).tolist()
            inputs = batch(modality, drawn, generator).to(options.device)
            chosen = [known[row] for row in sorted(drawn)]
            labels = {k: torch.stack([c[k] for c in chosen]).to(options.device) for k in chosen[0]}
            total |= head_losses(modality, teacher(modality, inputs), labels)
        return total

    return fit(teacher, losses, options, output.parent / f"fit-{output.name}")


def _preprocess_sounds(encoder: ImageBind, waves: np.ndarray) -> Tensor:
    """Log-mel inputs of all sounds, made once; sets the encoder's mean and deviation to those of
    the data.
    """
    raw = torch.stack([encoder.preprocess("audio", np.asarray(w, np.float32)) for w in waves])
    mean, std = encoder.config.audio_mean, encoder.config.audio_std
    raw = raw * std + mean
    encoder.set_audio_statistics(round(float(raw.mean()), 4), round(float(raw.std()), 4))
    return (raw - raw.mean()) / raw.std()
