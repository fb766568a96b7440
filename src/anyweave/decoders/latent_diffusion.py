"""One frozen latent diffusion decoder: one sampling loop and one denoising loss for image, video
and audio.

The models and schedulers are diffusers' own classes; with the same seed, the loop gives the same
results as diffusers' pipelines. Conditioning is always [B, Q, C]: a sequence for UNets with
cross-attention, a vector (Q = 1) for UNets with a class embedding (AudioLDM). Nothing here depends
on the modality: differences live in the codec.

Shape legend: B batch, Q conditioning tokens, C their width, ``*latent`` one medium's latent axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from anyweave.adapters import without_adapter_layers
from anyweave.decoders.captions import encode_captions, max_caption_tokens
from anyweave.decoders.codecs.codec import Codec, build_codec
from anyweave.decoders.codecs.mel import MelConfig
from anyweave.decoders.codecs.sizes import MediaSize, Rates
from anyweave.decoders.codecs.vae import PictureVae
from anyweave.decoders.denoising import Flow, noising_of
from anyweave.decoders.editing import Course, Edit, edit_steps
from anyweave.decoders.folder import (
    GUIDANCE,
    PIPELINES,
    DecoderDefaults,
    PartOptions,
    load_parts,
    read_defaults,
    save_parts,
)
from anyweave.decoders.frozen import FrozenDecoder, check_conditioning
from anyweave.decoders.parts import Deferred
from anyweave.decoders.sampling import (
    Previews,
    Steps,
    edit_timesteps,
    initial_noise,
    renoised,
    run_sampler,
    sample_generators,
)
from anyweave.decoders.schedulers import OWN, build_scheduler
from anyweave.decoders.source import DecoderSource
from anyweave.decoders.unconditional import RememberedUnconditional
from anyweave.messages import Modality


class LatentDiffusion(FrozenDecoder):
    """A UNet of the first generation with its VAE.

    `text_encoder` and `tokenizer` may be None: replies need only the unconditional embedding, which
    is saved with the folder.
    """

    edits = True
    """It edits media by inversion: `generate_steps` takes `edit`."""
    denoiser_name = "unet"

    def __init__(
        self,
        modality: Modality,
        *,
        unet: nn.Module | Deferred,
        vae: nn.Module | Deferred,
        scheduler: Any,
        text_encoder: nn.Module | Deferred | None = None,
        tokenizer: Any = None,
        vocoder: nn.Module | Deferred | None = None,
        mel: MelConfig | None = None,
        defaults: DecoderDefaults | None = None,
        unconditional: Float[Tensor, "1 Q C"] | None = None,
        remembered: RememberedUnconditional | None = None,
        dtype: torch.dtype = torch.float32,
        offload: bool = False,
    ) -> None:
        """`dtype` applies to deferred parts. With `offload`, every network is on the device only
        while it runs and on the CPU otherwise.

        Raises `ValueError` for an unknown modality or for parts that do not fit together.
        """
        networks = {"unet": unet, "vae": vae, "text_encoder": text_encoder, "vocoder": vocoder}
        super().__init__(
            networks,
            defaults=defaults,
            unconditional=unconditional,
            remembered=remembered,
            dtype=dtype,
            offload=offload,
        )
        if modality not in PIPELINES:
            raise ValueError(
                f"unknown modality {modality!r}; latent diffusion makes {', '.join(PIPELINES)}"
            )
        configs: dict[str, Any] = {n: None if p is None else p.config for n, p in networks.items()}
        unet_config, vae_config = configs["unet"], configs["vae"]
        if unet_config.in_channels != vae_config.latent_channels:
            raise ValueError(
                f"the UNet takes {unet_config.in_channels} latent channels but the VAE makes "
                f"{vae_config.latent_channels}; they do not belong together"
            )
        for name in ("time_cond_proj_dim", "addition_embed_type"):
            if unet_config.get(name) is not None:
                raise ValueError(
                    f"this UNet also wants what captions do not say ({name}); such a pipeline is "
                    "not supported: take one of its family without it"
                )
        self.noising = noising_of(scheduler)
        self.num_timesteps = self.noising.num_timesteps
        self.modality: Modality = modality
        self.scheduler = scheduler
        self.tokenizer = tokenizer
        self.mel = mel
        self.codec: Codec = build_codec(
            modality,
            unet_config=unet_config,
            vae=PictureVae(vae_config, partial(self.use, "vae")),
            vocoder=None if vocoder is None else partial(self.use, "vocoder"),
            vocoder_config=configs["vocoder"],
            mel=mel,
            defaults=self.defaults,
        )
        self.takes_vector = unet_config.get("class_embed_type") is not None
        self._configs = configs

    # --- on disk

    @classmethod
    def _opened(
        cls,
        source: DecoderSource,
        modality: Modality,
        defaults: dict[str, Any],
        options: PartOptions,
        offload: bool,
    ) -> Self:
        source = source.pinned()
        resolved = read_defaults(source, modality, defaults)
        parts = load_parts(source, modality, options)
        return cls(modality, defaults=resolved, dtype=options.dtype, offload=offload, **parts)

    def save_pretrained(self, path: str | Path) -> None:
        """Write a folder that `from_pretrained` and diffusers' own pipelines can open.

        Raises `ValueError` if `path` holds something else.
        """
        known = self._unconditional is not None or self._configs["text_encoder"] is not None
        save_parts(
            path,
            self.modality,
            self._parts(),
            defaults=self.defaults,
            mel=self.mel,
            unconditional=self.unconditional() if known else None,
        )

    def _parts(self) -> dict[str, Any]:
        names = ("unet", "vae", "scheduler", "text_encoder", "tokenizer", "vocoder")
        parts = {name: getattr(self, name) for name in names}
        return {name: part for name, part in parts.items() if part is not None}

    # --- what it is

    @property
    def rate(self) -> float | None:
        """Hz for audio, frames/s for video, None for images."""
        return self.codec.rate

    @property
    def guidance_scale(self) -> float:
        """The guidance scale for calls that give none."""
        stored = self.defaults.guidance_scale
        return GUIDANCE[self.modality] if stored is None else stored

    @property
    def _conditioning_width(self) -> int:
        name = (
            "projection_class_embeddings_input_dim" if self.takes_vector else "cross_attention_dim"
        )
        return int(self._configs["unet"][name])

    @property
    def conditioning_shape(self) -> tuple[int, int]:
        """(Q, C) of the conditioning this decoder takes. Raises `ValueError` if Q is unknown."""
        width = self._conditioning_width
        if self.takes_vector:
            return 1, width
        if self._unconditional is not None:
            return self._unconditional.shape[1], width
        if self.tokenizer is not None:
            return max_caption_tokens(self.tokenizer, self._configs["text_encoder"]), width
        raise ValueError(
            "how many conditioning tokens this decoder takes is unknown: its folder has neither "
            "tokenizer/ nor unconditional.safetensors; save it once with its text encoder loaded"
        )

    def encode_captions(self, captions: Sequence[str]) -> Float[Tensor, "B Q C"]:
        """The conditioning of captions. Raises `ValueError` if the text encoder is not loaded."""
        if self._configs["text_encoder"] is None or self.tokenizer is None:
            raise ValueError(
                f"this {self.modality} decoder was loaded without its text encoder, so captions "
                "cannot be encoded; load it with from_pretrained(..., load_text_encoder=True) from "
                "a folder that has text_encoder/ and tokenizer/"
            )
        with self.use("text_encoder") as text_encoder:
            return encode_captions(
                list(captions), self.tokenizer, text_encoder, as_vector=self.takes_vector
            )

    def _empty_caption(self) -> Float[Tensor, "1 Q C"]:
        if self._configs["text_encoder"] is None:
            raise ValueError(
                f"this {self.modality} decoder has neither unconditional.safetensors nor a "
                "loaded text encoder, so guidance is not possible; load it with "
                "load_text_encoder=True and save_pretrained() it once, or give negative=, "
                "or guidance_scale=1"
            )
        return self.encode_captions([""])

    # --- media <-> latents

    def _encoded_media(
        self, media: Sequence[np.ndarray], size: MediaSize, rates: Rates | None
    ) -> Float[Tensor, " B *latent"]:
        """Scaled: images [B, c, h, w], clips [B, c, F, h, w], waves [B, c, T/f, M/f] at `rate`."""
        return self.codec.encode(media, size, rates)

    # --- sampling

    def _predict(
        self, unet: nn.Module, latents: Tensor, timesteps: Tensor, conditioning_BQC: Tensor
    ) -> Tensor:
        if self.takes_vector:
            extra = {"encoder_hidden_states": None, "class_labels": conditioning_BQC[:, 0]}
        else:
            extra = {"encoder_hidden_states": conditioning_BQC}
        prediction: Tensor = unet(latents, timesteps, return_dict=False, **extra)[0]
        return prediction

    def _checked(self, name: str, conditioning: Tensor) -> Tensor:
        check_conditioning(
            conditioning, self._conditioning_width, name=name, as_vector=self.takes_vector
        )
        return conditioning.to(self.device, self.dtype)

    @torch.no_grad()
    def generate_steps(
        self,
        conditioning: Float[Tensor, "B Q C"],
        *,
        seeds: Sequence[int],
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        audio_length: float | None = None,
        **sampling: Any,
    ) -> Steps[list[np.ndarray]]:
        """`generate` step by step, in the caller's thread: yields a `Step` after every UNet
        call and returns the media. Closing the generator stops the work.

        `sampling` takes the arguments of `latent_steps`. Raises `ValueError` for sizes the VAE
        cannot make.
        """
        size = MediaSize(
            height=height, width=width, num_frames=num_frames, audio_length=audio_length
        )
        latents = yield from self.latent_steps(conditioning, seeds=seeds, size=size, **sampling)
        # Latents round a sound's length up; those given in another size keep their own length.
        fits = tuple(latents.shape[1:]) == self.codec.latent_shape(size)
        return self.codec.decode(latents, size if fits else None)

    @torch.no_grad()
    def latent_steps(
        self,
        conditioning: Float[Tensor, "B Q C"],
        *,
        seeds: Sequence[int],
        size: MediaSize | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        negative: Float[Tensor, "#B Q C"] | None = None,
        latents: Float[Tensor, " B *latent"] | None = None,
        strength: float = 1.0,
        edit: Edit | None = None,
        eta: float = 0.0,
        previews: bool = False,
    ) -> Steps[Tensor]:
        """The one sampling loop: yields a `Step` after every UNet call and
        returns the latents, one row per row of `conditioning`.

        `num_inference_steps`, `guidance_scale` and `scheduler` (a name in `SCHEDULERS`, or "own"
        for the folder's) default to the decoder's `defaults`. `negative` replaces the unconditional
        embedding under guidance; a scale of 1 or less skips guidance and halves the cost. `latents`
        of finished media are a starting point (SDEdit): they are noised by `strength` (0..1) and
        denoised from there. With `edit` they are inverted instead (see `editing`) in deterministic
        steps: seeds and eta have no effect, and `edit.strength` applies. `eta` is DDIM's. With
        `previews`, each step carries a preview of the result, if the medium can be seen.
        """
        conditioning, steps = self._asked(conditioning, seeds, num_inference_steps)
        guidance = self.guidance_scale if guidance_scale is None else guidance_scale
        if guidance <= 1.0:
            negative = None
        else:
            negative = self.unconditional() if negative is None else negative
            negative = _expanded(self._checked("negative", negative), conditioning)
        if edit is not None:
            if scheduler is not None:
                raise ValueError(
                    f"an edit goes back and forth by deterministic steps of its own and not by "
                    f"{scheduler!r}; leave the scheduler out"
                )
            latents = self._check_latents(latents, size, len(seeds))
            course = self._course(steps)
            with self.use("unet") as unet:
                return (
                    yield from edit_steps(
                        partial(self._predict, unet),
                        course,
                        latents,
                        edit,
                        conditioning,
                        negative=negative,
                        guidance_scale=guidance,
                    )
                )
        sampler = build_scheduler(scheduler or self.defaults.scheduler, self.scheduler)
        sampler.set_timesteps(steps, device=self.device)
        generators = sample_generators(seeds)
        if latents is None:
            shape = self.codec.latent_shape(size or MediaSize())
            noise = initial_noise(shape, generators).to(self.device, self.dtype)
            timesteps, current = sampler.timesteps, noise * getattr(sampler, "init_noise_sigma", 1)
        else:
            latents = self._check_latents(latents, size, len(seeds))
            noise = initial_noise(tuple(latents.shape[1:]), generators)
            timesteps = edit_timesteps(sampler, steps, strength)
            start = timesteps[:1].repeat(len(seeds))
            current = renoised(sampler, latents, noise.to(self.device, self.dtype), start)
        with self.use("unet") as unet:
            return (
                yield from run_sampler(
                    partial(self._predict, without_adapter_layers(unet)),
                    sampler,
                    current,
                    timesteps,
                    conditioning,
                    negative=negative,
                    guidance_scale=guidance,
                    generators=generators,
                    eta=eta,
                    preview=self._preview if previews else None,
                )
            )

    def _course(self, steps: int) -> Course:
        """The noise levels of `steps` deterministic steps."""
        flow = isinstance(self.noising, Flow)
        sampler = build_scheduler(OWN if flow else "ddim", self.scheduler)
        sampler.set_timesteps(steps, device=self.device)
        return Course.of(self.noising, sampler.timesteps)

    def _preview(self, noisy: Tensor, prediction: Tensor, timestep: Tensor) -> Previews:
        return self.codec.preview(self.noising.clean(noisy, prediction, timestep))

    def _check_latents(self, latents: Tensor | None, size: MediaSize | None, batch: int) -> Tensor:
        expected = self.codec.latent_shape(size or MediaSize())
        if latents is None:
            raise ValueError("there is nothing to edit: give the source's latents")
        fits = tuple(latents.shape[1:]) == expected if size not in (None, MediaSize()) else True
        if (
            len(latents) != batch
            or latents.ndim != len(expected) + 1
            or latents.shape[1] != expected[0]
            or not fits
        ):
            raise ValueError(
                f"latents to start from must be {[batch, *expected]} for this size, "
                f"got {list(latents.shape)}; make them with encode_media()"
            )
        return latents.to(self.device, self.dtype)

    # --- the loss

    def _errors(
        self,
        conditioning: Tensor,
        clean: Tensor,
        noise: Tensor,
        timesteps: Int[Tensor, " B"],
        snr_gamma: float | None,
    ) -> Float[Tensor, " B"]:
        made = self.noising.noised(clean, noise, timesteps, snr_gamma)
        unet = self.unet.to(self.device)
        prediction = self._predict(unet, made.noisy.to(self.dtype), made.times, conditioning)
        loss_B = (prediction.float() - made.target).square().flatten(1).mean(1)
        return loss_B if made.weights is None else loss_B * made.weights


def _expanded(
    negative: Float[Tensor, "#B Q C"], conditioning: Float[Tensor, "B Q C"]
) -> Float[Tensor, "B Q C"]:
    """One row of `negative` for every row of `conditioning`.

    Raises `ValueError` if the tokens, the width or the number of rows do not fit.
    """
    fits = negative.shape[0] in (1, len(conditioning))
    if not fits or negative.shape[1:] != conditioning.shape[1:]:
        raise ValueError(
            f"negative or unconditional conditioning {list(negative.shape)} does not fit "
            f"{list(conditioning.shape)}; it needs the same tokens and width, and one row or B rows"
        )
    return negative.expand_as(conditioning)
