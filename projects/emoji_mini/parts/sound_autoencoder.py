"""The autoencoder of sounds: log-mel spectrograms of 4 s to 16 x 4 latents.

python -m emoji_mini.parts.sound_autoencoder bank PARTS      # sounds of the world
python -m emoji_mini.parts.sound_autoencoder train PARTS     # resumable
python -m emoji_mini.parts.sound_autoencoder measure PARTS   # error, and a sheet to look at
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import SpeechT5HifiGan

from anyweave.decoders.codecs.audio import AudioCodec
from anyweave.decoders.codecs.mel import MEL_CONFIG_FILE, MelConfig, log_mel
from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.decoders.codecs.vae import PictureVae
from anyweave.files import whole_file
from emoji_mini.emoji_world.render import render_sound
from emoji_mini.emoji_world.sampling import sample_sound
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SAMPLES
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.picture_autoencoder import build_autoencoder, load_autoencoder, losses_of

TRAINED = Path(__file__).parents[1] / "trained" / "sound_decoder"
LATENT_CHANNELS = 32
CHANNELS = (16, 16, 32, 64, 128)
LAYERS = ((0, 1, 1, 2, 2), (0, 1, 1, 2, 2))  # of encoder and decoder
FRAMES = 256  # of 16 ms: four seconds and a little silence, divisible by the autoencoder's 16
CROP = 64  # frames


def write_bank(parts: Path, size: int, held_out: int, seed: int = 0) -> None:
    """Render `size` training sounds, half of them played faster or slower, which shifts their pitch
    too, and `held_out` test sounds as they are: each a ``float16[N, SAMPLES]``.

    Writes the spectrogram's geometry beside them, with the spread of the training sounds.
    """
    parts.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((seed, size))
    waves = np.stack([render_sound(sample_sound(rng, "train")) for _ in range(size)])
    waves = at_other_speeds(waves, rng)
    others = np.stack([render_sound(sample_sound(rng, "test")) for _ in range(held_out)])
    for name, bank in (("sounds", waves), ("sounds_held_out", others)):
        with whole_file(parts / f"{name}.npy") as file:
            np.save(file, bank.astype(np.float16))
    raw = mels_of(waves[:1000], MelConfig())
    config = MelConfig(mean=round(float(raw.mean()), 4), std=round(float(raw.std()), 4))
    config.save(parts / MEL_CONFIG_FILE)


def at_other_speeds(waves: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The waves ``[N, S]``, every second one played faster or slower."""
    steps = np.arange(waves.shape[1])
    changed = [np.interp(steps * rng.uniform(0.85, 1.18), steps, w, right=0.0) for w in waves[::2]]
    out = waves.copy()
    out[::2] = np.stack(changed)
    return out


def mels_of(waves: NDArray[np.floating], config: MelConfig) -> Float[Tensor, "N 1 256 64"]:
    """Log-mel spectrograms of ``[N, SAMPLES]``, extended with silence to `FRAMES`."""
    room = FRAMES * config.hop_length - waves.shape[1]
    whole = torch.from_numpy(np.pad(waves, ((0, 0), (0, room))).astype(np.float32))
    return torch.cat([log_mel(part, config) for part in whole.split(64)])


def train(parts: Path, options: FitOptions) -> None:
    """Train on crops of `CROP` frames in all bands; a quarter of the steps on whole sounds."""
    torch.manual_seed(options.seed)
    vae = build_autoencoder(1, LATENT_CHANNELS, CHANNELS, *LAYERS)
    vae.to(memory_format=torch.channels_last)
    bank = np.load(parts / "sounds.npy", mmap_mode="r")
    mels = mels_of(bank, load_mel(parts))

    def batch(generator: torch.Generator) -> Tensor:
        whole = int(torch.randint(4, (), generator=generator)) == 0
        length = FRAMES if whole else CROP
        number = max(1, options.batch_size * CROP // length)
        rows = torch.randint(len(mels), (number,), generator=generator).tolist()
        starts = torch.randint(FRAMES - length + 1, (number,), generator=generator).tolist()
        picked = [mels[row, :, at : at + length] for row, at in zip(rows, starts, strict=True)]
        return torch.stack(picked).contiguous(memory_format=torch.channels_last)

    fit(vae, lambda g: losses_of(vae, batch(g)), options, parts / "fit-vae")
    with torch.no_grad():
        z = torch.cat([vae.encode(part).latent for part in mels[:256].split(16)])
    vae.register_to_config(scaling_factor=round(1 / float(z.std()), 5))
    vae.to(memory_format=torch.contiguous_format).save_pretrained(parts / "vae")


@torch.no_grad()
def measure(parts: Path) -> dict[str, float]:
    """Mean absolute error of held-out log-mel spectrograms in natural-log units, and a sheet of
    originals above their reconstructions.
    """
    config = load_mel(parts)
    vae = load_autoencoder(parts, TRAINED / "vae")
    mels = mels_of(np.load(parts / "sounds_held_out.npy"), config)
    back = torch.cat([vae.decode(vae.encode(x).latent).sample for x in mels.split(16)])
    sheet_of(list(mels[:12, 0]), list(back[:12, 0])).save(parts / "sheet-mels.png")
    return {"mel_error": round(float((back - mels).abs().mean()) * config.std, 4)}


def sheet_of(*rows: list[Tensor]) -> Image.Image:
    """Spectrograms ``[T, M]`` as grey pictures, low bands at the bottom, row under row."""
    pictures = [
        np.concatenate([np.pad(mel.numpy().T[::-1], ((0, 4), (0, 4))) for mel in row], 1)
        for row in rows
    ]
    grey = np.clip(np.concatenate(pictures) * 50 + 110, 0, 255).astype(np.uint8)
    return Image.fromarray(grey)


def load_codec(parts: Path, *, neural: bool = True) -> AudioCodec:
    """Waves <-> latents with the autoencoder in `parts` and, if `neural` and there is one, the
    vocoder; else with Griffin-Lim.
    """
    vae = load_autoencoder(parts, TRAINED / "vae")
    vocoder: Any = None
    if neural and (parts / "vocoder").is_dir():
        vocoder = SpeechT5HifiGan.from_pretrained(parts / "vocoder").eval().requires_grad_(False)
    return AudioCodec(
        PictureVae(vae.config, lambda: nullcontext(vae)),
        MediaSize(audio_length=SAMPLES / SAMPLE_RATE),
        mel=load_mel(parts),
        vocoder=None if vocoder is None else lambda: nullcontext(vocoder),
    )


def load_mel(parts: Path) -> MelConfig:
    """The spectrogram's geometry in `parts`, else that of the project's trained decoder."""
    here = parts / MEL_CONFIG_FILE
    return MelConfig.load(here if here.is_file() else TRAINED / MEL_CONFIG_FILE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["bank", "train", "measure"])
    parser.add_argument("parts", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    args = parser.parse_args()
    if args.verb == "bank":
        write_bank(args.parts, 1500, 200)
    elif args.verb == "train":
        train(
            args.parts,
            FitOptions(
                steps=args.steps,
                batch_size=args.batch_size,
                learning_rate=args.rate,
                ema_decay=0.998,
                checkpoint_every=200,
            ),
        )
    else:
        sys.stdout.write(json.dumps(measure(args.parts)) + "\n")


if __name__ == "__main__":
    main()
