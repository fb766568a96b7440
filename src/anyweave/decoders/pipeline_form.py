"""What a diffusers pipeline takes and makes, according to its signature and its parts' configs:
rows of conditioning, sizes, rates, and the latents of media. Reads no weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from anyweave.decoders.codecs.audio import AudioCodec, check_rates, vocoder_mel
from anyweave.decoders.codecs.codec import sample_size
from anyweave.decoders.codecs.sizes import MediaSize, Rates
from anyweave.decoders.codecs.vae import Lend, PictureVae
from anyweave.decoders.families import Family
from anyweave.decoders.folder import DecoderDefaults
from anyweave.decoders.layout import Field, Layout
from anyweave.decoders.pipeline_latents import encode_frames, encode_waves, packed

# Config keys in which denoisers state the width of the sequence.
_WIDTHS = (
    "caption_channels",
    "cap_feat_dim",
    "joint_attention_dim",
    "text_dim",
    "text_hidden_dim",
    "cross_attention_dim",
)
_GENERATED = 8  # states that AudioLDM 2's language model adds to a caption


@dataclass(frozen=True)
class PipelineForm:
    """`configs` are the networks' configs by component name; `tokenizer` reads the first one."""

    family: Family
    configs: Mapping[str, Any]
    defaults: DecoderDefaults
    tokenizer: Callable[[], Any] | None = None

    @property
    def denoiser(self) -> str:
        """Name of the component that denoises."""
        return "unet" if "unet" in self.configs else "transformer"

    @property
    def config(self) -> Any:
        """The denoiser's config."""
        return self.configs[self.denoiser]

    @cached_property
    def layout(self) -> Layout:
        """What each row of the conditioning is, according to the denoiser's config."""
        config = self.config
        fields: list[Field] = []
        if self.family.argument("pooled_prompt_embeds"):
            pooled = config.get("pooled_projection_dim")
            if pooled is None:  # what SDXL's time ids leave over
                added = config["projection_class_embeddings_input_dim"]
                pooled = added - 6 * config["addition_time_embed_dim"]
            fields.append(Field("pooled_prompt_embeds", int(pooled)))
        if self.family.argument("generated_prompt_embeds"):
            generated, width = (n for n in config["cross_attention_dim"][0] if n is not None)
            fields.append(Field("generated_prompt_embeds", int(generated), _GENERATED))
        else:
            width = self._sequence_width()
        return Layout(
            sequence_width=int(width),
            fields=tuple(fields),
            mask=self.family.mask,
            listed=self.family.name == "ZImagePipeline",
            padded=self.caption_rows if self.family.zero_padded else 0,
        )

    def _sequence_width(self) -> int:
        projection = self.configs.get("projection_model")  # runs before the denoiser
        told = {**(self.configs.get("condition_encoder") or {}), **self.config}
        widths = [told.get(name) for name in _WIDTHS]
        if projection is not None:
            widths.insert(0, projection.text_encoder_dim)
        return int(next(width for width in widths if width is not None))

    @cached_property
    def caption_rows(self) -> int:
        """Rows of an encoded caption's sequence, as far as the folder states them."""
        rows = self.family.tokens
        if rows and self.tokenizer is not None:
            rows = min(rows, int(self.tokenizer().model_max_length))
        return rows + int(self.family.arguments.get("max_sequence_length", 0))

    @property
    def rate(self) -> float | None:
        """Hz for audio, frames/s for video, None for images."""
        if self.family.modality == "video":
            own = self.family.arguments.get("frame_rate") or self.family.fps
            return float(self.defaults.fps or own or 0)
        if self.family.modality == "audio":
            return float((self.configs.get("vocoder") or self.configs["vae"]).sampling_rate)
        return None

    def size(self, given: MediaSize) -> MediaSize:
        """`given`, completed from the defaults of decoder, pipeline and denoiser, in that order."""
        own, told = self.defaults.size, self.family.arguments
        config = self.config
        if self.family.modality == "audio":
            assert self.family.length is not None
            length = own.audio_length or told[self.family.length] or self._longest()
            return given.filled(MediaSize(audio_length=length), modality="audio")
        cells = sample_size(config) if config.get("sample_size") else None
        pixels = (
            (1024, 1024)
            if cells is None
            else [n * PictureVae(self.configs["vae"], nobody).factor for n in cells]
        )
        frames = None
        if self.family.modality == "video":
            frames = own.num_frames or told["num_frames"]
        default = MediaSize(
            height=own.height or told["height"] or pixels[0],
            width=own.width or told["width"] or pixels[1],
            num_frames=frames,
        )
        return given.filled(default, modality=self.family.modality)

    def _longest(self) -> float:
        """Seconds of the longest sound, if the pipeline does not state them."""
        cells = self.config.sample_size
        if self.configs.get("vocoder") is None:
            return float(cells * self.hop / self.configs["vae"].sampling_rate)
        mel = self.mel(nobody, 1.0)
        return float(cells * mel.vae.factor * mel.mel.hop_length / mel.mel.sample_rate)

    @property
    def hop(self) -> int:
        """Wave samples per latent cell."""
        return int(np.prod(self.configs["vae"].downsampling_ratios))

    def mel(self, lend: Lend, seconds: float) -> AudioCodec:
        """The codec of pipelines that denoise a spectrogram."""
        return AudioCodec(
            PictureVae(self.configs["vae"], lend),
            MediaSize(audio_length=seconds),
            mel=vocoder_mel(self.configs["vocoder"]),
        )

    def encode(
        self, lend: Lend, media: Sequence[np.ndarray], size: MediaSize, rates: Rates | None
    ) -> Tensor:
        """Clean latents of media in the form the pipeline denoises; `lend` provides the VAE."""
        if self.family.modality != "audio":
            latents = encode_frames(lend, media, size, self.rate, rates)
            return packed(self.family.type, self.config, latents)
        assert size.audio_length is not None and self.rate is not None
        if self.configs.get("vocoder") is not None:
            return self.mel(lend, size.audio_length).encode(media, MediaSize(), rates)
        check_rates(rates, int(self.rate))
        if self.config.get("sample_size"):  # a fixed length, padded with silence
            return encode_waves(lend, media, int(self.config.sample_size) * self.hop)
        samples = math.ceil(size.audio_length * self.rate / self.hop) * self.hop
        return encode_waves(lend, media, samples).transpose(1, 2)


def nobody() -> Any:
    """Lends nothing: for codecs used only to compute sizes."""
    raise AssertionError("sizes need no weights")
