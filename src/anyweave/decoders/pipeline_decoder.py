"""One frozen decoder that is a pipeline of diffusers: transformers and UNets of today, several text
encoders, flow matching, few steps.

The pipeline itself samples, driven by predicted embeddings and without its text encoders, one step
per call (see `stepping`); so it equals diffusers by construction. Conditioning is [B, Q, C] as
everywhere: `layout` says which rows are the sequence, a pooled vector or a second sequence. Masks
follow from the rows.

Shape legend: B batch, Q conditioning rows, C their width, ``*latent`` one medium's latents in the
pipeline's own form, packed where it packs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anyweave.decoders.checkpointing import enable_gradient_checkpointing
from anyweave.decoders.codecs.audio import check_rates
from anyweave.decoders.codecs.codec import sample_size
from anyweave.decoders.codecs.sizes import MediaSize, Rates
from anyweave.decoders.codecs.vae import PictureVae
from anyweave.decoders.conditioning import check_conditioning
from anyweave.decoders.families import Family
from anyweave.decoders.folder import (
    INDEX_FILE,
    UNCONDITIONAL_FILE,
    DecoderDefaults,
    read_defaults,
    read_dtype,
    read_unconditional,
)
from anyweave.decoders.layout import SEQUENCE, Field, Layout
from anyweave.decoders.parts import FrozenParts
from anyweave.decoders.pipeline_latents import encode_frames, encode_waves, mel_codec, packed
from anyweave.decoders.pipeline_parts import (
    PipelineParts,
    is_captioning,
    named_family,
    read_parts,
)
from anyweave.decoders.sampling import (
    Progress,
    Step,
    Steps,
    drain,
    edit_timesteps,
    initial_noise,
    renoised,
    sample_generators,
)
from anyweave.decoders.schedulers import build_scheduler
from anyweave.decoders.source import DecoderSource
from anyweave.decoders.stepping import Levels, call, entering, one_step
from anyweave.decoders.unconditional import RememberedUnconditional
from anyweave.messages import Modality

QUERIES = 64
"""Rows that an output projector predicts where captions are longer than `MOST_ALIGNED` rows."""
MOST_ALIGNED = 128
# Where denoisers say how wide the sequence is.
_WIDTHS = (
    "caption_channels",
    "cap_feat_dim",
    "joint_attention_dim",
    "text_dim",
    "text_hidden_dim",
    "cross_attention_dim",
)
_GENERATED = 8  # states that AudioLDM 2's language model adds to a caption


class PipelineDecoder(FrozenParts):
    """A frozen decoder: conditioning [B, Q, C] -> media by a pipeline of diffusers, and the loss
    that teaches others to condition it.
    """

    gradient_checkpointing: bool = False
    """The denoising loss makes the denoiser's activations again in backward, to save memory."""

    def __init__(
        self,
        family: Family,
        parts: PipelineParts,
        *,
        defaults: DecoderDefaults | None = None,
        unconditional: Float[Tensor, "1 Q C"] | None = None,
        remembered: RememberedUnconditional | None = None,
        dtype: torch.dtype = torch.float32,
        offload: bool = False,
    ) -> None:
        """Raises `ValueError` for a scheduler whose denoiser's target is unknown."""
        super().__init__(parts.networks, dtype=dtype, offload=offload)
        self.family = family
        self.modality: Modality = family.modality
        defaults = defaults or DecoderDefaults()
        steps = defaults.num_inference_steps or int(family.arguments["num_inference_steps"])
        self.defaults = replace(defaults, num_inference_steps=steps)
        self._small = parts.small
        self._options = parts.options
        self._configs: dict[str, Any] = {
            name: None if part is None else part.config for name, part in parts.networks.items()
        }
        reader = parts.small["scheduler"]
        assert reader is not None
        self.scheduler = reader()
        self.levels = Levels(self.scheduler)
        told = self._configs.get("transformer") or {}
        if family.distilled and not (told.get("is_turbo") or told.get("model_version") == "turbo"):
            raise ValueError(
                f"this {family.name} needs guidance, which is not supported for its class; take a "
                "distilled (turbo) one"
            )
        self._unconditional = unconditional
        self._remembered = remembered

    @classmethod
    def from_pretrained(
        cls,
        modality: Modality,
        path_or_id: str | Path,
        *,
        dtype: torch.dtype | str | None = None,
        load_text_encoder: bool = True,
        offload: bool = False,
        vae_slicing: bool = False,
        vae_tiling: bool = False,
        revision: str | None = None,
        variant: str | None = None,
        use_safetensors: bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        **defaults: Any,
    ) -> PipelineDecoder:
        """Open a pipeline's folder, or a repository of the model hub by its id; the options are
        those of `LatentDiffusion.from_pretrained`. Only configs are read now.

        Raises `ValueError` for a pipeline of another class or modality, and for missing parts.
        """
        source = DecoderSource(
            where=str(path_or_id),
            revision=revision,
            variant=variant,
            use_safetensors=use_safetensors,
            cache_dir=None if cache_dir is None else str(cache_dir),
            local_files_only=local_files_only,
            token=token,
        ).pinned(INDEX_FILE)
        family = named_family(source)
        if family is None or family.modality != modality:
            raise ValueError(
                f"{source.where} is no {modality} pipeline of a class that is supported"
                + ("" if family is None else f": {family.name} makes {family.modality}")
            )
        kind = read_dtype(dtype)
        parts = read_parts(
            source,
            family,
            dtype=kind,
            load_text_encoder=load_text_encoder,
            prepare_vae={"slicing": vae_slicing, "tiling": vae_tiling},
        )
        stored = source.file(UNCONDITIONAL_FILE)
        captioning = [n for n in (*parts.networks, *parts.small) if is_captioning(n)]
        return cls(
            family,
            parts,
            defaults=read_defaults(source, modality, defaults, public={}),
            unconditional=None if stored is None else read_unconditional(stored),
            remembered=RememberedUnconditional(source, kind, *captioning),
            dtype=kind,
            offload=offload,
        )

    # --- what it is

    @cached_property
    def _denoiser(self) -> str:
        return "unet" if "unet" in self._configs else "transformer"

    @cached_property
    def layout(self) -> Layout:
        """Which rows of the conditioning are what, by the denoiser's config."""
        config = self._configs[self._denoiser]
        fields: list[Field] = []
        if self.family.argument("pooled_prompt_embeds"):
            pooled = config.get("pooled_projection_dim")
            if pooled is None:  # what SDXL's time ids leave
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
        projection = self._configs.get("projection_model")  # it comes before the denoiser
        told = {**(self._configs.get("condition_encoder") or {}), **self._configs[self._denoiser]}
        widths = [told.get(name) for name in _WIDTHS]
        if projection is not None:
            widths.insert(0, projection.text_encoder_dim)
        return int(next(width for width in widths if width is not None))

    @cached_property
    def caption_rows(self) -> int:
        """Rows of an encoded caption's sequence, as far as the folder tells."""
        rows, reader = self.family.tokens, self._small.get("tokenizer")
        if rows and reader is not None:
            rows = min(rows, int(reader().model_max_length))
        return rows + int(self.family.arguments.get("max_sequence_length", 0))

    @property
    def conditioning_shape(self) -> tuple[int, int]:
        """(Q, C) of what an output projector had best predict: whole captions where they are short,
        otherwise `QUERIES` rows.
        """
        rows = QUERIES if self.caption_rows > MOST_ALIGNED else self.caption_rows
        return self.layout.fixed + rows, self.layout.width

    def takes(self, tokens: int, width: int) -> bool:
        """Whether conditioning may have so many rows of this width: any number that leaves some to
        the sequence.
        """
        return tokens > self.layout.fixed and width == self.layout.width

    def aligns(self, tokens: int) -> bool:
        """Whether so many predicted rows can be compared with encoded captions: where padding is
        not seen a caption is as long as its words, elsewhere all rows must be predicted.
        """
        return self.masks or tokens == self.layout.fixed + self.caption_rows

    @property
    def masks(self) -> bool:
        """Whether conditioning rows of zeros are not seen: captions are as long as their words."""
        return self.layout.masked

    @property
    def rate(self) -> float | None:
        """Hz of generated audio, frames/s of generated video, None for images."""
        if self.modality == "video":
            own = self.family.arguments.get("frame_rate") or self.family.fps
            return float(self.defaults.fps or own or 0)
        if self.modality == "audio":
            return float((self._configs.get("vocoder") or self._configs["vae"]).sampling_rate)
        return None

    @property
    def num_timesteps(self) -> int:
        """How many noise levels the denoising loss draws from."""
        return self.levels.num_timesteps

    @property
    def _vae(self) -> PictureVae:
        return PictureVae(self._configs["vae"], partial(self.use, "vae"))

    def _size(self, given: MediaSize) -> MediaSize:
        """`given` filled up from the decoder's defaults, the pipeline's and its denoiser's."""
        own, told = self.defaults.size, self.family.arguments
        config = self._configs[self._denoiser]
        if self.modality == "audio":
            assert self.family.length is not None
            length = own.audio_length or told[self.family.length] or self._longest()
            return given.filled(MediaSize(audio_length=length), modality="audio")
        cells = sample_size(config) if config.get("sample_size") else None
        pixels = (1024, 1024) if cells is None else [n * self._vae.factor for n in cells]
        frames = None
        if self.modality == "video":
            frames = own.num_frames or told["num_frames"]
        default = MediaSize(
            height=own.height or told["height"] or pixels[0],
            width=own.width or told["width"] or pixels[1],
            num_frames=frames,
        )
        return given.filled(default, modality=self.modality)

    def _longest(self) -> float:
        """Seconds of the longest sound, where the pipeline does not say."""
        cells = self._configs[self._denoiser].sample_size
        if self._configs.get("vocoder") is None:
            return float(cells * self._hop / self._configs["vae"].sampling_rate)
        mel = mel_codec(self._configs["vae"], partial(self.use, "vae"), self._configs["vocoder"], 1)
        return float(cells * mel.vae.factor * mel.mel.hop_length / mel.mel.sample_rate)

    @property
    def _hop(self) -> int:
        """Samples of a wave that one latent cell spans."""
        return int(np.prod(self._configs["vae"].downsampling_ratios))

    # --- captions

    @torch.no_grad()
    def encode_captions(self, captions: Sequence[str]) -> Float[Tensor, "B Q C"]:
        """The conditioning of captions, by the pipeline's own `encode_prompt`. Raises `ValueError`
        if the text encoders are not loaded.
        """
        return self._encoded(list(captions), negative=False)

    def unconditional(self) -> Float[Tensor, "1 Q C"]:
        """What the pipeline takes for the empty caption under guidance: from the folder, else from
        the user's cache, else computed once. Raises `ValueError` where that is not possible.
        """
        if self._unconditional is None and self._remembered is not None:
            self._unconditional = self._remembered.get()
        if self._unconditional is None:
            before = self.in_memory
            with torch.inference_mode(False), torch.no_grad():
                self._unconditional = self._encoded([""], negative=True)
            for name in set(self.in_memory) - set(before):
                self.release(name)
            if self._remembered is not None:
                self._remembered.put(self._unconditional)
        return self._unconditional.to(self.device, self.dtype)

    def _encoded(self, captions: list[str], *, negative: bool) -> Float[Tensor, "B Q C"]:
        """`negative`: what the pipeline takes for an empty caption under guidance, or in every
        reply.
        """
        names = [name for name in (*self._configs, *self._small) if is_captioning(name)]
        if any(self._configs.get(n) is None for n in names if n.startswith("text_encoder")):
            raise ValueError(
                f"this {self.modality} decoder has no text encoder, so captions cannot be encoded "
                "and guidance is not possible: load it with load_text_encoder=True from a folder "
                "that has them, or give predicted conditioning, and negative= or no guidance"
            )
        family = self.family
        tokenizers = {n: read() for n, read in self._small.items() if read and n in names}
        with ExitStack() as stack:
            wanted = [name for name in (*names, "projection_model") if name in self._configs]
            lent = {name: stack.enter_context(self.use(name)) for name in wanted}
            if not family.encoded:
                return self._masked_states(captions, tokenizers["tokenizer"], lent["text_encoder"])
            # Some encode the empty caption as any other.
            prefix = "negative_" if negative and f"negative_{SEQUENCE}" in family.encoded else ""
            pipeline = self._pipeline(lent | tokenizers)
            encode = inspect.unwrap(type(pipeline).encode_prompt)
            taken = inspect.signature(encode).parameters
            options = family.encoding_options(len(captions))
            options |= {"prompt": captions, "device": self.device}
            if "do_classifier_free_guidance" in taken:
                options["do_classifier_free_guidance"] = bool(prefix)
            if family.length is not None and family.length in taken:
                options[family.length] = self._size(MediaSize()).audio_length
            found = encode(pipeline, **options)
        named = dict(zip(family.encoded, found, strict=True))
        if negative and family.constant is not None:
            named[SEQUENCE], named["mask"] = named[family.constant], named["constant_mask"]
        return self.layout.pack(named, prefix)

    def _masked_states(
        self, captions: list[str], tokenizer: Any, text_encoder: Any
    ) -> Float[Tensor, "B Q C"]:
        """The text encoder's states over padded captions."""
        inputs = tokenizer(
            captions,
            padding="max_length",
            max_length=self.caption_rows,
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        states = text_encoder(inputs.input_ids, attention_mask=inputs.attention_mask)[0]
        return self.layout.pack({SEQUENCE: states, str(self.layout.mask): inputs.attention_mask})

    # --- the pipeline

    def _pipeline(self, components: dict[str, Any]) -> Any:
        """The pipeline of these components alone, computing where this decoder does."""
        device, kind = self.device, self.family.type
        own = type(kind.__name__, (kind,), {"_execution_device": property(lambda _: device)})
        every = {name: components.get(name) for name in (*self._configs, *self._small)}
        made = own(**every, **self._options)
        made.set_progress_bar_config(disable=True)
        return made

    @contextmanager
    def _drawing(self, scheduler: Any) -> Iterator[Any]:
        """The pipeline without its text encoders. An offloaded denoiser leaves the device before
        the VAE decodes.
        """
        names = [n for n, config in self._configs.items() if config is not None]
        names = [name for name in names if not is_captioning(name)]
        with ExitStack() as first, ExitStack() as last:
            denoisers = [n for n in names if n.startswith(self._denoiser)]
            lent = {n: first.enter_context(self.use(n)) for n in denoisers}
            others = [n for n in names if n not in denoisers]
            networks = lent | {n: getattr(self, n) for n in others}
            for name in others:
                if name not in ("vae", "vocoder"):
                    last.enter_context(self.use(name))

            def decoding() -> None:
                first.close()
                for name in ("vae", "vocoder"):
                    if name in networks:
                        last.enter_context(self.use(name))

            scheduler.before_decoding = decoding
            pipeline = self._pipeline({**networks, "scheduler": scheduler})
            if self.family.argument("generated_prompt_embeds"):
                # AudioLDM 2 asks absent encoders what they are.
                config = self._configs["text_encoder_2"] or SimpleNamespace(model_type="t5")
                absent = SimpleNamespace(dtype=self.dtype, config=config)
                vars(pipeline).update(text_encoder_2=absent, language_model=absent)
            yield pipeline

    def _arguments(
        self,
        conditioning: Float[Tensor, "B Q C"],
        negative: Float[Tensor, "B Q C"] | None,
        guidance: float,
        size: MediaSize,
    ) -> dict[str, Any]:
        """Arguments of the pipeline's call."""
        family, layout = self.family, self.layout
        told = family.arguments
        made = layout.unpack(conditioning)
        if negative is not None:
            made |= layout.unpack(negative, "negative_")
        made[family.guidance] = guidance
        if (length := family.length) is not None:
            made[length] = size.audio_length
        else:
            made |= {"height": size.height, "width": size.width}
        if size.num_frames is not None:
            made["num_frames"] = size.num_frames
        if "frame_rate" in told:
            made["frame_rate"] = self.rate
        if "use_resolution_binning" in told:
            made |= {"use_resolution_binning": False}
        if told.get("negative_prompt") == "":
            made["negative_prompt"] = None  # only then are embeddings taken
        if SEQUENCE not in told:
            made["prompt"] = [""] * len(conditioning)
        return made

    def _call(self, pipeline: Any, arguments: dict[str, Any], **more: Any) -> Any:
        """The pipeline's call; of one that takes no embeddings, with them in place of what it would
        encode.
        """
        if SEQUENCE in self.family.arguments:
            return call(pipeline, **arguments, **more)
        rest = dict(arguments)
        sequence, mask = rest.pop(SEQUENCE), rest.pop("mask").bool()
        longest = int(mask.sum(1).max())  # its denoiser sees what the mask leaves out
        sequence, mask = sequence[:, :longest], mask[:, :longest]
        constant = self.unconditional().expand(len(sequence), -1, -1)
        given = (sequence, mask, constant, mask.new_ones(constant.shape[:2]))
        pipeline.encode_prompt = lambda **_: given
        return call(pipeline, **rest, **more)

    # --- sampling

    def generate(
        self,
        conditioning: Float[Tensor, "B Q C"],
        *,
        seeds: Sequence[int],
        callback: Progress | None = None,
        **arguments: Any,
    ) -> list[np.ndarray]:
        """All of `generate_steps` at once; `callback(step, total)` follows every step."""
        return drain(self.generate_steps(conditioning, seeds=seeds, **arguments), callback)

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
        """Media of `conditioning`, as the pipeline makes them with one generator per seed: yields
        a `Step` after every one, in the caller's thread. Closing it ends the work there.

        The arguments are those of `LatentDiffusion.generate_steps`; what is not given is the
        decoder's default, else the pipeline's. There are no previews. Raises `ValueError` for what
        the pipeline refuses.
        """
        conditioning = self._checked("conditioning", conditioning)
        if len(seeds) != len(conditioning):
            raise ValueError(
                f"{len(conditioning)} conditionings need as many seeds, got {len(seeds)}"
            )
        size = self._size(
            MediaSize(height=height, width=width, num_frames=num_frames, audio_length=audio_length)
        )
        conditioning, negative, guidance = self._guided(conditioning, negative, guidance_scale)
        arguments = self._arguments(conditioning, negative, guidance, size)
        arguments |= self._steps(num_inference_steps) | {"output_type": "np"}
        if "eta" in self.family.arguments:
            arguments["eta"] = eta
        sampler = one_step(build_scheduler(scheduler or self.defaults.scheduler, self.scheduler))
        generators = sample_generators(seeds)
        with self._drawing(sampler) as pipeline:
            sampler.planning = True  # whatever noise that draws is none of ours
            self._call(pipeline, arguments, generator=sample_generators(seeds))
            sampler.planning = False
            current, media = None, None
            if latents is not None:
                current = self._renoised(sampler, latents, strength, generators)
            total = sampler.total - sampler.index
            for step in range(total):
                media = self._call(pipeline, arguments, generator=generators, latents=current)
                if media is None:
                    current = entering(sampler, sampler.latents)
                yield Step(step + 1, total)
        return self._media(media)

    def _checked(self, name: str, conditioning: Tensor) -> Tensor:
        check_conditioning(conditioning, self.layout.width, name=name, as_vector=False)
        if not self.takes(*conditioning.shape[1:]):
            raise ValueError(
                f"the {name} of this decoder needs more than {self.layout.fixed} rows, those of "
                f"{', '.join(f.name for f in self.layout.fields)}; got {conditioning.shape[1]}"
            )
        return conditioning.to(self.device, self.dtype)

    def _guided(
        self, conditioning: Tensor, negative: Tensor | None, given: float | None
    ) -> tuple[Tensor, Tensor | None, float]:
        """Conditioning, what to lead away from, and the scale, as the call wants them."""
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
        if self.layout.masked:
            rows = max(rows, negative.shape[1])
            conditioning = self.layout.fitted(conditioning, rows)
        negative = self.layout.fitted(negative, rows)
        if len(negative) not in (1, len(conditioning)):
            raise ValueError(f"{len(negative)} negatives for {len(conditioning)} conditionings")
        return conditioning, negative.expand(len(conditioning), -1, -1), guidance

    def _steps(self, given: int | None) -> dict[str, Any]:
        steps = self.defaults.num_inference_steps if given is None else given
        if steps is None or steps < 1:
            raise ValueError(f"num_inference_steps must be at least 1, got {steps}")
        made: dict[str, Any] = {"num_inference_steps": steps}
        if steps != 2 and "intermediate_timesteps" in self.family.arguments:
            made["intermediate_timesteps"] = None  # of two steps alone
        return made

    def _renoised(
        self, sampler: Any, latents: Tensor, strength: float, generators: list[torch.Generator]
    ) -> Tensor:
        """Finished latents with as much noise as the last `strength` (0..1) of the schedule begins
        with (SDEdit).
        """
        timesteps = edit_timesteps(sampler, sampler.total // sampler.order, strength)
        sampler.index = len(sampler.schedule) - len(timesteps)
        noise = initial_noise(tuple(latents.shape[1:]), generators).to(self.device, self.dtype)
        latents = latents.to(self.device, self.dtype)
        made = renoised(sampler, latents, noise, timesteps[:1].repeat(len(latents)))
        return entering(sampler, made)

    def _media(self, made: Any) -> list[np.ndarray]:
        """uint8 pictures [H, W, 3], uint8 clips [F, H, W, 3] or float32 mono waves [S]."""
        values = np.asarray(made)
        if self.modality != "audio":
            return list((values * 255).round().astype(np.uint8))
        if values.ndim == 3:  # channels are mixed, as wherever this library hears a sound
            values = values.mean(1)
        return list(values.astype(np.float32))

    # --- media -> latents, and the loss

    @torch.no_grad()
    def encode_media(
        self, media: Sequence[np.ndarray], *, rates: Rates | None = None, **size: Any
    ) -> Float[Tensor, " B *latent"]:
        """Clean latents of media in the pipeline's own form, fitted to the given size or else to
        the decoder's own. `rates` as in `LatentDiffusion.encode_media`. Deterministic.
        """
        if not media:
            raise ValueError(f"no {self.modality} given to encode")
        full, lend = self._size(MediaSize(**size)), partial(self.use, "vae")
        denoiser = self._configs[self._denoiser]
        if self.modality != "audio":
            latents = encode_frames(lend, media, full, self.rate, rates)
            return packed(self.family.type, denoiser, latents)
        assert full.audio_length is not None
        vocoder = self._configs.get("vocoder")
        if vocoder is not None:
            mel = mel_codec(self._configs["vae"], lend, vocoder, full.audio_length)
            return mel.encode(media, MediaSize(), rates)
        check_rates(rates, int(self.rate or 0))
        if denoiser.get("sample_size"):  # one length, the rest is silence
            return encode_waves(lend, media, int(denoiser.sample_size) * self._hop)
        samples = math.ceil(full.audio_length * (self.rate or 0) / self._hop) * self._hop
        return encode_waves(lend, media, samples).transpose(1, 2)

    def denoising_loss(
        self,
        conditioning: Float[Tensor, "B Q C"],
        latents: Float[Tensor, " B *latent"],
        *,
        generator: torch.Generator | None = None,
        timesteps: Int[Tensor, " B"] | None = None,
        noise: Float[Tensor, " B *latent"] | None = None,
        snr_gamma: float | None = None,
    ) -> Float[Tensor, " B"]:
        """Each sample's mean squared denoising error; gradients reach only `conditioning`.

        The pipeline itself predicts, one sample at a time, for all rows of its call share a noise
        level; the target follows the scheduler. `snr_gamma` is of diffusion alone.
        """
        conditioning = self._checked("conditioning", conditioning)
        clean = latents.to(self.device, torch.float32)
        batch = len(conditioning)
        if len(clean) != batch:
            raise ValueError(f"{batch} conditionings need as many latents, got {len(clean)}")
        if timesteps is None:
            timesteps = torch.randint(0, self.num_timesteps, (batch,), generator=generator)
        if noise is None:
            noise = torch.randn(clean.shape, generator=generator)
        noise = noise.to(self.device, torch.float32)
        if self.gradient_checkpointing:
            enable_gradient_checkpointing(getattr(self, self._denoiser))
        rows = [slice(row, row + 1) for row in range(batch)]
        return torch.stack(
            [
                self._error(conditioning[row], clean[row], noise[row], int(level), snr_gamma)
                for row, level in zip(rows, timesteps, strict=True)
            ]
        )

    def _error(
        self, conditioning: Tensor, clean: Tensor, noise: Tensor, level: int, gamma: float | None
    ) -> Float[Tensor, ""]:
        family = self.family
        probe, made = self.levels.at(level, clean, noise, gamma)
        unguided = family.unguided if family.guides else float(family.arguments[family.guidance])
        arguments = self._arguments(conditioning, None, unguided, self._size(MediaSize()))
        arguments |= {"output_type": "latent", "num_inference_steps": 2}
        with self._drawing(probe) as pipeline:
            self._call(pipeline, arguments, latents=made.noisy.to(self.dtype))
        error = (probe.output.float() - made.target).square().mean()
        return error if made.weights is None else error * made.weights[0]
