"""The autoencoder of sounds: log-mel spectrograms of 4 s to 16 x 4 latents."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from anyweave.decoders.codecs.audio import AudioCodec
from anyweave.decoders.codecs.mel import MEL_CONFIG_FILE, MelConfig, griffin_lim, log_mel
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
def measure(parts: Path, number: int) -> dict[str, float]:
    """Mean absolute errors of held-out log-mel spectrograms in natural-log units, of the
    autoencoder and of Griffin-Lim; and a sheet of originals above their reconstructions.
    """
    config = load_mel(parts)
    vae = load_autoencoder(parts, TRAINED / "vae")
    waves = np.load(parts / "sounds_held_out.npy")[:number]
    mels = mels_of(waves, config)
    back = torch.cat([vae.decode(vae.encode(x).latent).sample for x in mels.split(16)])
    sheet_of(list(mels[:12, 0]), list(back[:12, 0])).save(parts / "sheet-mels.png")
    heard = griffin_lim(mels[:24], config)[:, : waves.shape[1]]
    made = {"autoencoder": back, "griffin_lim": mels_of(heard.numpy(), config)}
    return {
        name: round(float((mel - mels[: len(mel)]).abs().mean()) * config.std, 4)
        for name, mel in made.items()
    }


def sheet_of(*rows: list[Tensor]) -> Image.Image:
    """Spectrograms ``[T, M]`` as grey pictures, low bands at the bottom, row under row."""
    pictures = [
        np.concatenate([np.pad(mel.numpy().T[::-1], ((0, 4), (0, 4))) for mel in row], 1)
        for row in rows
    ]
    grey = np.clip(np.concatenate(pictures) * 50 + 110, 0, 255).astype(np.uint8)
    return Image.fromarray(grey)


def load_codec(parts: Path) -> AudioCodec:
    """Waves <-> latents with the autoencoder in `parts`, and Griffin-Lim."""
    vae = load_autoencoder(parts, TRAINED / "vae")
    return AudioCodec(
        PictureVae(vae.config, lambda: nullcontext(vae)),
        MediaSize(audio_length=SAMPLES / SAMPLE_RATE),
        mel=load_mel(parts),
    )


def load_mel(parts: Path) -> MelConfig:
    """The spectrogram's geometry in `parts`, else that of the project's trained decoder."""
    here = parts / MEL_CONFIG_FILE
    return MelConfig.load(here if here.is_file() else TRAINED / MEL_CONFIG_FILE)
