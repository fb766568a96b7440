"""A frozen decoder that is a diffusers pipeline: current transformers and UNets, several text
encoders, flow matching, few steps.

The pipeline itself samples, driven by predicted embeddings and without its text encoders, one step
per call (see `stepping`), so results equal diffusers' by construction. Conditioning is [B, Q, C] as
everywhere: `layout` says which rows are the sequence, a pooled vector or a second sequence. Masks
follow from the rows.

Shape legend: B batch, Q conditioning rows, C their width, ``*latent`` one medium's latents in the
pipeline's own form, packed where it packs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anyweave.decoders.codecs.sizes import MediaSize, Rates
from anyweave.decoders.driven_pipeline import DrivenPipeline
from anyweave.decoders.folder import (
    INDEX_FILE,
    UNCONDITIONAL_FILE,
    PartOptions,
    read_defaults,
    read_unconditional,
)
from anyweave.decoders.frozen import check_conditioning
from anyweave.decoders.pipeline_parts import (
    is_captioning,
    named_family,
    read_parts,
)
from anyweave.decoders.sampling import (
    Step,
    Steps,
    edit_timesteps,
    initial_noise,
    renoised,
    sample_generators,
)
from anyweave.decoders.schedulers import build_scheduler
from anyweave.decoders.source import DecoderSource
from anyweave.decoders.stepping import entering, one_step
from anyweave.decoders.unconditional import RememberedUnconditional
from anyweave.messages import Modality

QUERIES = 64
"""Rows that an output projector predicts if captions are longer than `MOST_ALIGNED` rows."""
MOST_ALIGNED = 128


class PipelineDecoder(DrivenPipeline):
    """A decoder that samples, and learns what to be conditioned by, through a pipeline's call."""

    @classmethod
    def _opened(
        cls,
        source: DecoderSource,
        modality: Modality,
        defaults: dict[str, Any],
        options: PartOptions,
        offload: bool,
    ) -> Self:
        source = source.pinned(INDEX_FILE)
        family = named_family(source)
        if family is None or family.modality != modality:
            raise ValueError(
                f"{source.where} is no {modality} pipeline of a class that is supported"
                + ("" if family is None else f": {family.name} makes {family.modality}")
            )
        parts = read_parts(source, family, options)
        stored = source.file(UNCONDITIONAL_FILE)
        captioning = [n for n in (*parts.networks, *parts.small) if is_captioning(n)]
        return cls(
            family,
            parts,
            defaults=read_defaults(source, modality, defaults, public={}),
            unconditional=None if stored is None else read_unconditional(stored),
            remembered=RememberedUnconditional(source, options.dtype, *captioning),
            dtype=options.dtype,
            offload=offload,
        )

    # --- what it is

    @property
    def conditioning_shape(self) -> tuple[int, int]:
        """(Q, C) an output projector should predict: whole captions if they are short, otherwise
        `QUERIES` rows.
        """
        rows = QUERIES if self.form.caption_rows > MOST_ALIGNED else self.form.caption_rows
        return self.form.layout.fixed + rows, self.form.layout.width

    def takes(self, tokens: int, width: int) -> bool:
        """Whether conditioning may have `tokens` rows of this `width`: any number that leaves some
        for the sequence.
        """
        return tokens > self.form.layout.fixed and width == self.form.layout.width

    def aligns(self, tokens: int) -> bool:
        """Whether `tokens` predicted rows can be compared with encoded captions. If padding is
        masked, a caption is as long as its words; otherwise all rows must be predicted.
        """
        return self.masks or tokens == self.form.layout.fixed + self.form.caption_rows

    @property
    def masks(self) -> bool:
        """Whether all-zero conditioning rows are masked, so captions are as long as their words."""
        return self.form.layout.masked

    @property
    def rate(self) -> float | None:
        """Hz for audio, frames/s for video, None for images."""
        return self.form.rate

    # --- sampling

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
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        negative: Float[Tensor, "#B Q C"] | None = None,
        latents: Float[Tensor, " B *latent"] | None = None,
        strength: float = 1.0,
        eta: float = 0.0,
        previews: bool = False,
    ) -> Steps[list[np.ndarray]]:
        """Media of `conditioning`, as the pipeline makes them with one generator per seed. Yields
        a `Step` after each step, in the caller's thread. Closing the generator stops the work.

        The arguments are those of `LatentDiffusion.generate_steps`; missing ones take the decoder's
        default, else the pipeline's. There are no previews. Raises `ValueError` for what the
        pipeline refuses.
        """
        conditioning, steps = self._asked(conditioning, seeds, num_inference_steps)
        size = self.form.size(
            MediaSize(height=height, width=width, num_frames=num_frames, audio_length=audio_length)
        )
        conditioning, negative, guidance = self._guided(conditioning, negative, guidance_scale)
        arguments = self.arguments(conditioning, negative, guidance, size)
        arguments |= {"num_inference_steps": steps, "output_type": "np"}
        if steps != 2 and "intermediate_timesteps" in self.family.arguments:
            arguments["intermediate_timesteps"] = None  # only valid for two steps
        if "eta" in self.family.arguments:
            arguments["eta"] = eta
        sampler = one_step(build_scheduler(scheduler or self.defaults.scheduler, self.scheduler))
        generators = sample_generators(seeds)
        with self.drawing(sampler) as pipeline:
            sampler.planning = True  # any noise drawn here comes from throwaway generators
            self.ask(pipeline, arguments, generator=sample_generators(seeds))
            sampler.planning = False
            current, media = None, None
            if latents is not None:
                current = self._renoised(sampler, latents, strength, generators)
            total = sampler.total - sampler.index
            for step in range(total):
                media = self.ask(pipeline, arguments, generator=generators, latents=current)
                if media is None:
                    current = entering(sampler, sampler.latents)
                yield Step(step + 1, total)
        return self._media(media)

    def _checked(self, name: str, conditioning: Tensor) -> Tensor:
        layout = self.form.layout
        check_conditioning(conditioning, layout.width, name=name, as_vector=False)
        if not self.takes(*conditioning.shape[1:]):
            raise ValueError(
                f"the {name} of this decoder needs more than {layout.fixed} rows, those of "
                f"{', '.join(f.name for f in layout.fields)}; got {conditioning.shape[1]}"
            )
        return conditioning.to(self.device, self.dtype)

    def _guided(
        self, conditioning: Tensor, negative: Tensor | None, given: float | None
    ) -> tuple[Tensor, Tensor | None, float]:
        """Conditioning, negative conditioning and guidance scale, as the call expects them."""
        family = self.family
        given = self.defaults.guidance_scale if given is None else given
        guidance = float(family.arguments[family.guidance]) if given is None else given
        if not family.guides:
            return conditioning, None, guidance
        if family.distilled and given is not None and given > 1:
            raise ValueError(f"{family.name} draws without guidance; leave guidance_scale out")
        if family.distilled or guidance <= family.unguided:
            return conditioning, None, family.unguided
        if negative is None and family.own_unconditional:
            return conditioning, None, guidance
        negative = self.unconditional() if negative is None else negative
        negative = self._checked("negative", negative)
        rows = conditioning.shape[1]
        if self.form.layout.masked:
            rows = max(rows, negative.shape[1])
            conditioning = self.form.layout.fitted(conditioning, rows)
        negative = self.form.layout.fitted(negative, rows)
        if len(negative) not in (1, len(conditioning)):
            raise ValueError(f"{len(negative)} negatives for {len(conditioning)} conditionings")
        return conditioning, negative.expand(len(conditioning), -1, -1), guidance

    def _renoised(
        self, sampler: Any, latents: Tensor, strength: float, generators: list[torch.Generator]
    ) -> Tensor:
        """Finished latents, noised to the level at which the last `strength` (0..1) of the schedule
        begins (SDEdit).
        """
        timesteps = edit_timesteps(sampler, sampler.total // sampler.order, strength)
        sampler.index = len(sampler.schedule) - len(timesteps)
        sampler.begun = True
        noise = initial_noise(tuple(latents.shape[1:]), generators).to(self.device, self.dtype)
        latents = latents.to(self.device, self.dtype)
        made = renoised(sampler, latents, noise, timesteps[:1].repeat(len(latents)))
        return entering(sampler, made)

    def _media(self, made: Any) -> list[np.ndarray]:
        """uint8 pictures [H, W, 3], uint8 clips [F, H, W, 3] or float32 mono waves [S]."""
        values = np.asarray(made)
        if self.modality != "audio":
            return list((values * 255).round().astype(np.uint8))
        if values.ndim == 3:  # mixed down to mono, as everywhere in this library
            values = values.mean(1)
        return list(values.astype(np.float32))

    # --- media -> latents, and the loss

    def _encoded_media(
        self, media: Sequence[np.ndarray], size: MediaSize, rates: Rates | None
    ) -> Float[Tensor, " B *latent"]:
        return self.form.encode(partial(self.use, "vae"), media, self.form.size(size), rates)

    def _errors(
        self,
        conditioning: Tensor,
        clean: Tensor,
        noise: Tensor,
        timesteps: Int[Tensor, " B"],
        snr_gamma: float | None,
    ) -> Float[Tensor, " B"]:
        # One sample at a time, since all rows of a pipeline's call share a noise level.
        rows = [slice(row, row + 1) for row in range(len(clean))]
        return torch.stack(
            [
                self._error(conditioning[row], clean[row], noise[row], level, snr_gamma)
                for row, level in zip(rows, timesteps.tolist(), strict=True)
            ]
        )

    def _error(
        self, conditioning: Tensor, clean: Tensor, noise: Tensor, level: int, gamma: float | None
    ) -> Float[Tensor, ""]:
        family = self.family
        probe, made = self.levels.at(level, clean, noise, gamma)
        unguided = family.unguided if family.guides else float(family.arguments[family.guidance])
        arguments = self.arguments(conditioning, None, unguided, self.form.size(MediaSize()))
        arguments |= {"output_type": "latent", "num_inference_steps": 2}
        with self.drawing(probe) as pipeline:
            self.ask(pipeline, arguments, latents=made.noisy.to(self.dtype))
        error = (probe.output.float() - made.target).square().mean()
        return error if made.weights is None else error * made.weights[0]
