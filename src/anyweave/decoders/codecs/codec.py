"""What a codec (latents <-> media) is, which one each modality uses, and its default sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from anyweave.decoders.codecs.audio import AudioCodec, vocoder_mel
from anyweave.decoders.codecs.image import ImageCodec
from anyweave.decoders.codecs.mel import MelConfig
from anyweave.decoders.codecs.sizes import MediaSize, Rates
from anyweave.decoders.codecs.vae import Lend, PictureVae
from anyweave.decoders.codecs.video import VideoCodec
from anyweave.decoders.folder import DecoderDefaults
from anyweave.messages import Modality

DEFAULT_FRAMES = 16
DEFAULT_FPS = 8.0


class Codec(Protocol):
    """Converts one modality between media (numpy) and scaled VAE latents.

    `rate` is Hz for audio, frames/s for video, None for images. `encode` first fits media to
    `size`.
    """

    rate: float | None

    def resolve(self, size: MediaSize) -> MediaSize:
        """`size` with defaults filled in. Raises `ValueError` if the VAE cannot produce it."""
        ...

    def latent_shape(self, size: MediaSize) -> tuple[int, ...]:
        """The shape of one medium's latents, without the batch axis."""
        ...

    def encode(
        self, media: Sequence[np.ndarray], size: MediaSize, rates: Rates | None = None
    ) -> Tensor:
        """Latents of `media`, without gradients or sampling noise. `rates` are the media's own."""
        ...

    def decode(self, latents: Tensor, size: MediaSize | None = None) -> list[np.ndarray]:
        """The media of `latents`, one array per batch item, cut to `size` if given."""
        ...

    def preview(self, latents: Tensor) -> list[np.ndarray] | None:
        """Small pictures ``uint8[h, w, 3]`` of the media, almost free; None for invisible media."""
        ...


def sample_size(unet_config: Any) -> tuple[int, int]:
    """The latent height and width the UNet was configured for; a single number means a square."""
    size = unet_config.sample_size
    if size is None:
        raise ValueError(
            "the UNet's config has no sample_size; give height and width (or audio_length)"
        )
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))


def build_codec(
    modality: Modality,
    *,
    unet_config: Any,
    vae: PictureVae,
    vocoder: Lend | None,
    vocoder_config: Any,
    mel: MelConfig | None,
    defaults: DecoderDefaults,
) -> Codec:
    """The codec of `modality`. Its default size comes from `defaults`, else from the UNet's latent
    size.

    Raises `ValueError` for an audio decoder with neither vocoder nor mel config.
    """
    size = defaults.size
    if modality == "audio":
        if mel is None and vocoder is None:
            raise ValueError(
                "an audio decoder needs vocoder/ or mel_config.json to turn spectrograms into "
                "sound; it has neither"
            )
        mel = mel or vocoder_mel(vocoder_config)
        if size.audio_length is None:
            frames = sample_size(unet_config)[0] * vae.factor
            size = replace(size, audio_length=frames * mel.hop_length / mel.sample_rate)
        return AudioCodec(vae, size, mel=mel, vocoder=vocoder)
    if size.height is None or size.width is None:
        rows, columns = sample_size(unet_config)
        size = replace(
            size, height=size.height or rows * vae.factor, width=size.width or columns * vae.factor
        )
    if modality == "image":
        return ImageCodec(vae, size)
    size = replace(size, num_frames=size.num_frames or DEFAULT_FRAMES)
    return VideoCodec(vae, size, fps=defaults.fps or DEFAULT_FPS)
