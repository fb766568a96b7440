"""A small neural vocoder: log-mel spectrograms to sounds, in place of Griffin-Lim.

    python -m emoji_mini.parts.sound_vocoder train PARTS     # resumable
    python -m emoji_mini.parts.sound_vocoder measure PARTS   # beside Griffin-Lim, and a sheet

PARTS holds the bank and the autoencoder of `sound_autoencoder`. Training writes ``vocoder/``, which
then makes every sound; remove it if the measurement favours Griffin-Lim.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from anyweave.decoders.codecs.mel import MelConfig, griffin_lim, log_mel
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.picture_autoencoder import load_autoencoder
from emoji_mini.parts.sound_autoencoder import (
    TRAINED,
    load_codec,
    load_mel,
    mels_of,
    sheet_of,
)

CROP = 32  # frames
RESOLUTIONS = ((256, 64), (512, 128), (1024, 256), (2048, 512))  # window and hop, in samples


def build_vocoder(config: MelConfig) -> SpeechT5HifiGan:
    """A HiFi-GAN's generator with two kernels and few channels at full rate, where a CPU's time
    goes.
    """
    vocoder = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=config.num_mels,
            sampling_rate=config.sample_rate,
            upsample_initial_channel=128,
            upsample_rates=[8, 8, 4],
            upsample_kernel_sizes=[16, 16, 8],
            resblock_kernel_sizes=[3, 7],
            resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5]],
            normalize_before=False,  # it takes spectrograms standardised as the autoencoder does
        )
    )
    for layer in vocoder.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            layer.reset_parameters()  # its own initialisation, 100 times smaller, suits weight norm
    return vocoder


def losses_of(
    made: Float[Tensor, "B S"], real: Float[Tensor, "B S"], mel: MelConfig
) -> dict[str, Float[Tensor, ""]]:
    """Spectral convergence and L1 of log magnitudes at several resolutions (Yamamoto et al., 2020),
    and L1 of the log-mel spectrogram.
    """
    shape, loudness = torch.zeros(()), torch.zeros(())
    for size, hop in RESOLUTIONS:
        window = torch.hann_window(size)
        one, other = (
            torch.stft(x, size, hop, window=window, return_complex=True).abs() for x in (made, real)
        )
        shape = shape + (other - one).norm() / other.norm().clamp(min=1e-3)
        loudness = loudness + F.l1_loss((one + 1e-3).log(), (other + 1e-3).log())
    return {
        "shape": shape / len(RESOLUTIONS),
        "loudness": loudness / len(RESOLUTIONS),
        "mel": F.l1_loss(log_mel(made, mel), log_mel(real, mel)),
    }


def train(parts: Path, options: FitOptions) -> None:
    """Train on crops of `CROP` frames, half of them as the autoencoder reconstructs them."""
    torch.manual_seed(options.seed)
    config, vae = load_mel(parts), load_autoencoder(parts, TRAINED / "vae")
    vocoder = build_vocoder(config)
    waves = np.load(parts / "sounds.npy", mmap_mode="r")
    frames = waves.shape[1] // config.hop_length

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(waves), (options.batch_size,), generator=generator).tolist()
        starts = torch.randint(frames - CROP, (len(rows),), generator=generator).tolist()
        hop = config.hop_length
        picked = [
            waves[row, at * hop : (at + CROP) * hop] for row, at in zip(rows, starts, strict=True)
        ]
        real = torch.from_numpy(np.stack(picked)).float()
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            mel = log_mel(real, config)
            half = len(mel) // 2
            mel[:half] = vae.decode(vae.encode(mel[:half]).latent).sample
        made = vocoder(mel[:, 0]).float()
        with torch.autocast("cpu", enabled=False):
            return losses_of(made, real, config)

    fit(vocoder, losses, options, parts / "fit-vocoder")
    vocoder.save_pretrained(parts / "vocoder")


@torch.no_grad()
def measure(parts: Path, number: int) -> dict[str, dict[str, float]]:
    """For Griffin-Lim and for the vocoder: the mean distance (natural-log units) between a held-out
    sound's spectrogram and that of the sound made from it, directly and through the autoencoder,
    and seconds per sound; and a sheet of spectrograms, the real ones on top.
    """
    config = load_mel(parts)
    waves = np.load(parts / "sounds_held_out.npy", mmap_mode="r")[:number].astype(np.float32)
    mels = mels_of(waves, config)
    found: dict[str, dict[str, float]] = {}
    rows = [list(mels[:10, 0])]
    for name in ("griffin-lim", "vocoder"):
        codec = load_codec(parts, neural=name == "vocoder")
        if codec.vocoder is None:
            if name == "vocoder":
                continue  # not trained yet
            direct = griffin_lim(mels, config)
        else:
            with codec.vocoder() as vocoder:
                direct = vocoder(mels[:, 0])
        latents = codec.encode(list(waves), codec.default)
        began = time.perf_counter()
        through = np.stack(codec.decode(latents, codec.default))
        seconds = (time.perf_counter() - began) / number
        made = {"direct": direct[:, : waves.shape[1]].numpy(), "through autoencoder": through}
        distances = {
            way: round(float((mels_of(sound, config) - mels).abs().mean()) * config.std, 3)
            for way, sound in made.items()
        }
        found[name] = {**distances, "seconds": round(seconds, 3)}
        rows.append(list(mels_of(through[:10], config)[:, 0]))
    sheet_of(*rows).save(parts / "sheet-vocoder.png")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["train", "measure"])
    parser.add_argument("parts", type=Path)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--number", type=int, default=48)
    args = parser.parse_args()
    if args.verb == "train":
        options = FitOptions(
            steps=args.steps, batch_size=args.batch_size, learning_rate=1e-3, ema_decay=0.998
        )
        train(args.parts, options)
    else:
        sys.stdout.write(json.dumps(measure(args.parts, args.number), indent=1) + "\n")


if __name__ == "__main__":
    main()
