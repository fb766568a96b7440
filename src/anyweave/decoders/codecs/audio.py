"""Waves <-> latents of a log-mel picture; decoding uses a vocoder or Griffin-Lim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anyweave.decoders.codecs.mel import MelConfig, griffin_lim, log_mel
from anyweave.decoders.codecs.sizes import MediaSize, Rates
from anyweave.decoders.codecs.vae import Lend, PictureVae


def vocoder_mel(config: Any) -> MelConfig:
    """The spectrogram a HiFi-GAN vocoder was trained on: values from its config, otherwise
    AudioLDM's.
    """
    rate = int(config.sampling_rate)
    return MelConfig(
        sample_rate=rate,
        hop_length=math.prod(config.upsample_rates),
        num_mels=int(config.model_in_dim),
        fmax=rate / 2,
        peak=0.5,
    )


def check_rates(rates: Rates | None, wanted: int) -> None:
    """Raise `ValueError` for a wave whose rate differs from the decoder's."""
    for rate in rates or ():
        if rate is not None and round(rate) != wanted:
            raise ValueError(
                f"this decoder makes sound of {wanted} Hz, got a wave of {rate:g} Hz; read it at "
                "the decoder's rate"
            )


class AudioCodec:
    """float32 mono waves [S] at `rate` Hz <-> latents [B, c, T/f, M/f]. Holds no weights of its
    own.

    Encoding cuts a wave to `audio_length` seconds or pads it with silence. Raises `ValueError` if
    the number of mel bands is not a multiple of the VAE's factor.
    """

    def __init__(
        self,
        vae: PictureVae,
        default: MediaSize,
        *,
        mel: MelConfig,
        vocoder: Lend | None = None,
    ) -> None:
        self.vae = vae
        self.vocoder = vocoder
        self.mel = mel
        self.default = default
        self.rate: float | None = float(mel.sample_rate)
        if mel.num_mels % vae.factor:
            raise ValueError(
                f"{mel.num_mels} mel bands do not divide by the VAE's downsampling {vae.factor}; "
                "the mel config and the VAE do not belong together"
            )

    def resolve(self, size: MediaSize) -> MediaSize:
        full = size.filled(self.default, modality="audio")
        assert full.audio_length is not None
        shortest = self.vae.factor * self.mel.hop_length / self.mel.sample_rate
        if full.audio_length < shortest - 1e-9:
            raise ValueError(
                f"audio_length must be at least {shortest:g} s (one latent frame), "
                f"got {full.audio_length:g}"
            )
        return full

    def latent_shape(self, size: MediaSize) -> tuple[int, ...]:
        full = self.resolve(size)
        assert full.audio_length is not None
        # The small term undoes binary rounding: 0.32 s is 32 frames of 10 ms, not 33.
        mel_frames = math.ceil(
            full.audio_length * self.mel.sample_rate / self.mel.hop_length - 1e-6
        )
        frames = math.ceil(mel_frames / self.vae.factor)
        return self.vae.channels, frames, self.mel.num_mels // self.vae.factor

    def encode(
        self, media: Sequence[np.ndarray], size: MediaSize, rates: Rates | None = None
    ) -> Tensor:
        check_rates(rates, self.mel.sample_rate)
        _, frames, _ = self.latent_shape(size)
        waves = torch.zeros(len(media), frames * self.vae.factor * self.mel.hop_length)
        for row, wave in zip(waves, media, strict=True):
            if wave.ndim != 1 or not np.issubdtype(wave.dtype, np.floating):
                raise ValueError(
                    f"expected a float mono wave [S], got {wave.dtype} {list(wave.shape)}"
                )
            length = min(len(row), len(wave))
            row[:length] = torch.from_numpy(np.asarray(wave[:length], dtype=np.float32))
        if self.mel.peak is not None:
            waves = self.mel.peak * waves / waves.abs().amax(1, keepdim=True).clamp(min=1e-8)
        return self.vae.encode(log_mel(waves, self.mel))

    @torch.no_grad()
    def decode(self, latents: Tensor, size: MediaSize | None = None) -> list[np.ndarray]:
        mel = self.vae.decode(latents)
        if self.vocoder is None:
            waves = griffin_lim(mel, self.mel)
        else:
            with self.vocoder() as vocoder:
                weight = next(vocoder.parameters())
                waves = vocoder(mel[:, 0].to(weight.device, weight.dtype)).float()
        if size is not None:
            audio_length = self.resolve(size).audio_length
            assert audio_length is not None
            waves = waves[:, : int(audio_length * self.mel.sample_rate + 1e-6)]
        return list(waves.cpu().numpy())

    def preview(self, latents: Tensor) -> list[np.ndarray] | None:
        return None
