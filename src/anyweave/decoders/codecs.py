"""Which codec a modality has, and the sizes it makes by default."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from anyweave.messages import Modality

from .audio import AudioCodec, vocoder_mel
from .codec import Codec, MediaSize, sample_size, vae_factor
from .image import ImageCodec
from .mel import MelConfig
from .video import VideoCodec

if TYPE_CHECKING:
    from .folder import DecoderDefaults

DEFAULT_FRAMES = 16
DEFAULT_FPS = 8.0


def build_codec(
    modality: Modality,
    *,
    unet: nn.Module,
    vae: nn.Module,
    vocoder: nn.Module | None,
    mel: MelConfig | None,
    defaults: DecoderDefaults,
) -> Codec:
    """The codec of `modality`, its default size from `defaults` or else from the UNet's own latent size.

    Raises `ValueError` for an audio decoder that has neither vocoder nor mel config.
    """
    factor = vae_factor(vae)
    size = defaults.size
    if modality == "audio":
        if mel is None and vocoder is None:
            raise ValueError(
                "an audio decoder needs vocoder/ or mel_config.json to turn spectrograms into sound; it has neither"
            )
        mel = mel or vocoder_mel(vocoder)
        if size.audio_length is None:
            frames = sample_size(unet)[0] * factor
            size = replace(size, audio_length=frames * mel.hop_length / mel.sample_rate)
        return AudioCodec(vae, size, mel=mel, vocoder=vocoder)
    if size.height is None or size.width is None:
        rows, columns = sample_size(unet)
        size = replace(size, height=size.height or rows * factor, width=size.width or columns * factor)
    if modality == "image":
        return ImageCodec(vae, size)
    size = replace(size, num_frames=size.num_frames or DEFAULT_FRAMES)
    return VideoCodec(vae, size, fps=defaults.fps or DEFAULT_FPS)
