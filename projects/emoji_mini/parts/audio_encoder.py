"""The sound encoder: a small ImageBind audio tower, taught which sounds it hears and in which
order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from rich.progress import track
from torch import Tensor, nn

from anyweave.encoders.imagebind import ImageBind
from anyweave.files import whole_file
from emoji_mini.emoji_world.render import render_sound
from emoji_mini.emoji_world.sampling import sample_sound
from emoji_mini.emoji_world.scenes import SoundScene, Split
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SOUNDS
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.seeing import facts_table

NAMES = list(SOUNDS)
WIDTH = 256  # as the picture encoder's: one input projector serves both
_TIMES = 25  # patches along time
_SCALE = 12.0  # features have norm 1, too small for a classifier


def build_encoder() -> ImageBind:
    """Four seconds of 64-band log-mel in 100 patches."""
    return ImageBind(
        towers=("audio",),
        out_dim=WIDTH,
        audio_width=128,
        audio_depth=4,
        audio_heads=4,
        audio_kernel=16,
        audio_stride=16,
        num_mel_bins=64,
        num_frames=400,
        sample_rate=SAMPLE_RATE,
        audio_clips=1,
        audio_clip_seconds=4.0,
    )


class Listener(nn.Module):
    """The encoder with a head that names what is heard in each half; the head does not ship.

    From the mean of all patches, two sounds would be learnt as a pair, and a new pair not at all.
    """

    def __init__(self, encoder: ImageBind) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, len(NAMES)))
        self.scale = nn.Parameter(torch.tensor(_SCALE))

    def forward(self, mels: Float[Tensor, "M 1 1 F T"]) -> dict[str, Tensor]:
        patches = (self.encoder("audio", mels) * self.scale).unflatten(1, (-1, _TIMES))
        halves = {"first": patches[:, :, : _TIMES // 2], "last": patches[:, :, -(_TIMES // 2) :]}
        return {name: self.head(half.mean((1, 2))) for name, half in halves.items()}


def disturb(x: Float[Tensor, "M V 1 F T"], generator: torch.Generator) -> Tensor:
    """Random level, noise, and a silenced band in pitch and in time (SpecAugment), as recorded
    takes are few.
    """
    x = x + torch.randn(len(x), 1, 1, 1, 1, generator=generator) * 0.2
    x = x + torch.randn(x.shape, generator=generator) * 0.1
    for axis, widest in ((-2, 12), (-1, 40)):
        width = int(torch.randint(1, widest, (), generator=generator))
        start = int(torch.randint(x.shape[axis] - width, (), generator=generator))
        x.narrow(axis, start, width).zero_()
    return x


def draw(split: Split, size: int, seed: int) -> tuple[list[SoundScene], list[np.ndarray]]:
    rng = np.random.default_rng([seed, split == "test"])
    scenes = [sample_sound(rng, split, pair_share=0.4) for _ in range(size)]
    return scenes, [render_sound(scene) for scene in scenes]


def truth(scenes: list[SoundScene]) -> dict[str, Tensor]:
    return {
        name: torch.tensor([NAMES.index(scene.sounds[place]) for scene in scenes])
        for name, place in (("first", 0), ("last", -1))
    }


def train(parts: Path, options: FitOptions, size: int) -> None:
    torch.manual_seed(options.seed)
    listener = Listener(build_encoder())
    encoder = listener.encoder
    scenes, waves = draw("train", size, options.seed)
    raw = torch.stack([_mel(encoder, wave) for wave in track(waves, "mels", transient=True)])
    mean, std = encoder.config.audio_mean, encoder.config.audio_std
    raw = raw * std + mean
    encoder.set_audio_statistics(round(float(raw.mean()), 4), round(float(raw.std()), 4))
    mels = (raw - encoder.config.audio_mean) / encoder.config.audio_std
    labels = truth(scenes)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(mels), (options.batch_size,), generator=generator)
        logits = listener(disturb(mels[rows], generator))
        return {name: F.cross_entropy(logits[name].float(), labels[name][rows]) for name in logits}

    fit(listener, losses, options, parts / "fit-audio-encoder")
    encoder.save_pretrained(parts / "audio-encoder")
    with whole_file(parts / "listener.pt") as file:
        torch.save(listener.state_dict(), file)


@torch.inference_mode()
def measure(parts: Path, number: int) -> str:
    """How many held-out sounds the heads name right, single takes and ordered pairs: a Markdown
    table.
    """
    listener = Listener(ImageBind.from_pretrained(parts / "audio-encoder"))
    listener.load_state_dict(torch.load(parts / "listener.pt", weights_only=True))
    listener.eval()
    scenes, waves = draw("test", number, 3)
    right = []
    for start in range(0, number, 50):
        mels = torch.stack([_mel(listener.encoder, wave) for wave in waves[start : start + 50]])
        named = {name: logits.argmax(1).tolist() for name, logits in listener(mels).items()}
        for row, scene in enumerate(scenes[start : start + 50]):
            said = (NAMES[named["first"][row]], NAMES[named["last"][row]])
            kind = "one sound" if len(scene.sounds) == 1 else "two in order"
            right.append({kind: said == (scene.sounds[0], scene.sounds[-1])})
    return facts_table("named right", {f"{number} held-out sounds": right})


def _mel(encoder: ImageBind, wave: np.ndarray) -> Tensor:
    return encoder.preprocess("audio", wave, rate=SAMPLE_RATE)
