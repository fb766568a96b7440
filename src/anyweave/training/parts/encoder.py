"""The perception encoder of `emoji-mini`: ImageBind's architecture, small, taught by the world's
exact truth.

The paper takes ImageBind as it is; nothing of that size can ship here, so this project trains its
own. Patches learn what they show, and the mean of the patches what the whole shows (things, count,
place, relation, motion, sounds and their order). The classifiers that teach it are thrown away; the
encoder is then frozen. Only training scenes are seen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from anyweave.encoders.imagebind import ImageBind
from anyweave.messages import Modality
from anyweave.training.parts.fit import FitOptions, fit
from anyweave.training.parts.rendered import rendered_scenes
from anyweave.world.catalogue import (
    BACKGROUNDS,
    FRAME_RATE,
    IMAGE_SIZE,
    MAX_COUNT,
    MOTIONS,
    OBJECTS,
    RATES,
    RELATIONS,
    SAMPLE_RATE,
    SOUNDS,
)
from anyweave.world.render import arrange
from anyweave.world.scenes import AudioScene, ImageScene, Scene, VideoScene

_OBJECTS, _BACKGROUNDS, _SOUNDS = list(OBJECTS), list(BACKGROUNDS), list(SOUNDS)
NOTHING = len(_OBJECTS)  # the class of a patch that shows only background
UNKNOWN = -100  # what cross-entropy ignores

# head -> (modalities that teach it, number of classes)
HEADS: dict[str, tuple[tuple[Modality, ...], int]] = {
    "object": (("image", "video"), len(_OBJECTS)),
    "background": (("image", "video"), len(_BACKGROUNDS)),
    "count": (("image",), MAX_COUNT + 1),
    "relation": (("image",), len(RELATIONS) + 1),
    "motion": (("video",), len(MOTIONS)),
    "first_sound": (("audio",), len(_SOUNDS)),
    "last_sound": (("audio",), len(_SOUNDS)),
}


def build_encoder() -> ImageBind:
    """The mini ImageBind: 64 px in patches of 8, clips of two frames, two seconds of 64-band
    log-mel.
    """
    return ImageBind(
        towers=("vision", "audio"),
        out_dim=256,
        vision_width=192,
        vision_depth=4,
        vision_heads=4,
        image_size=IMAGE_SIZE,
        patch_size=8,
        frames_per_clip=2,
        image_mean=(0.5, 0.5, 0.5),
        image_std=(0.3, 0.3, 0.3),
        num_video_clips=4,
        num_video_crops=1,
        video_clip_seconds=2 / FRAME_RATE,
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
        labels |= {"object": present, "motion": torch.tensor(MOTIONS.index(scene.motion))}
        return labels
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
    """The encoder with its throw-away classifiers."""

    def __init__(self, encoder: ImageBind, width: int = 256) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, classes))
                for name, (_, classes) in HEADS.items()
            }
        )
        self.patches = nn.Linear(width, NOTHING + 1)
        # Patch features have norm 1: the classifiers need a livelier range.
        self.scale = nn.Parameter(torch.tensor(12.0))

    def forward(self, modality: Modality, inputs: Tensor) -> dict[str, Tensor]:
        """Logits of every head that `modality` teaches; "patches" ``[M, N, classes]``."""
        features: Float[Tensor, "M N D"] = self.encoder(modality, inputs) * self.scale
        pooled = features.mean(1)
        logits = {
            name: self.heads[name](pooled) for name, (by, _) in HEADS.items() if modality in by
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


def _augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Random blur (decoders' pictures are soft), contrast and noise; sounds get level and noise."""
    if x.ndim == 5:  # [M, V, 1, bands, frames]
        level = torch.randn(len(x), 1, 1, 1, 1, generator=generator) * 0.2
        return x + level + torch.randn(x.shape, generator=generator) * 0.1
    if torch.rand((), generator=generator) < 0.4:
        flat = x.flatten(0, -4)
        small = F.interpolate(flat, scale_factor=0.5, mode="area")
        x = F.interpolate(small, scale_factor=2, mode="bilinear").reshape(x.shape)
    gain = 1 + 0.1 * torch.randn(len(x), *[1] * (x.ndim - 1), generator=generator)
    return x * gain + torch.randn(x.shape, generator=generator) * 0.05


def train_encoder(
    output: Path, cache: Path, options: FitOptions, sizes: dict[Modality, int]
) -> dict[str, float]:
    """Train the encoder on all modalities at once and save it to `output`; returns the last mean
    losses.
    """
    torch.manual_seed(options.seed)
    encoder = build_encoder()
    data = {m: rendered_scenes(m, "train", n, options.seed, cache) for m, n in sizes.items()}
    truths = {m: [labels_of(scene) for scene in scenes] for m, (scenes, _) in data.items()}
    mels = _preprocess_sounds(encoder, data["audio"][1])
    teacher = Teacher(encoder).to(options.device)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        for modality, (scenes, arrays) in data.items():
            # A clip is four pictures' work, a sound half of one.
            size = max(2, options.batch_size // (4 if modality == "video" else 1))
            rows = torch.randint(len(scenes), (size,), generator=generator).tolist()
            inputs = (
                mels[rows]
                if modality == "audio"
                else torch.stack(
                    [
                        encoder.preprocess(modality, np.asarray(arrays[r]), rate=RATES[modality])
                        for r in rows
                    ]
                )
            )
            inputs = _augment(inputs, generator).to(options.device)
            chosen = [truths[modality][r] for r in rows]
            labels = {k: torch.stack([c[k] for c in chosen]).to(options.device) for k in chosen[0]}
            total |= head_losses(modality, teacher(modality, inputs), labels)
        return total

    means = fit(teacher, losses, options, output.parent / "fit-encoder")
    encoder.save_pretrained(output)
    return means


def _preprocess_sounds(encoder: ImageBind, waves: np.ndarray) -> Tensor:
    """Log-mel inputs of all sounds, made once; sets the encoder's mean and deviation to those of
    the data.
    """
    raw = torch.stack([encoder.preprocess("audio", np.asarray(w, np.float32)) for w in waves])
    mean, std = encoder.config.audio_mean, encoder.config.audio_std
    raw = raw * std + mean
    encoder.set_audio_statistics(round(float(raw.mean()), 4), round(float(raw.std()), 4))
    return (raw - raw.mean()) / raw.std()
