"""Driving a diffusers pipeline: captions go through its own `encode_prompt`, embeddings drive its
call, and only the networks that run are on the device.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from anyweave.adapters import without_adapter_layers
from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.decoders.families import Family
from anyweave.decoders.folder import DecoderDefaults
from anyweave.decoders.frozen import FrozenDecoder
from anyweave.decoders.layout import SEQUENCE
from anyweave.decoders.levels import Levels
from anyweave.decoders.pipeline_form import PipelineForm
from anyweave.decoders.pipeline_parts import PipelineParts, is_captioning
from anyweave.decoders.stepping import call
from anyweave.decoders.unconditional import RememberedUnconditional
from anyweave.messages import Modality


class DrivenPipeline(FrozenDecoder):
    """The frozen parts of a pipeline, and how to call it."""

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
        super().__init__(
            parts.networks,
            defaults=defaults,
            unconditional=unconditional,
            remembered=remembered,
            dtype=dtype,
            offload=offload,
        )
        self.family = family
        self.modality: Modality = family.modality
        steps = self.defaults.num_inference_steps or int(family.arguments["num_inference_steps"])
        self.defaults = replace(self.defaults, num_inference_steps=steps)
        self._small = parts.small
        self._options = parts.options
        configs = {n: None if part is None else part.config for n, part in parts.networks.items()}
        self.form = PipelineForm(family, configs, self.defaults, parts.small.get("tokenizer"))
        self.denoiser_name = self.form.denoiser
        reader = parts.small["scheduler"]
        assert reader is not None
        self.scheduler = reader()
        self.levels = Levels(self.scheduler)
        self.num_timesteps = self.levels.num_timesteps
        told = self.form.configs.get("transformer") or {}
        if family.distilled and not (told.get("is_turbo") or told.get("model_version") == "turbo"):
            raise ValueError(
                f"this {family.name} needs guidance, which is not supported for its class; take a "
                "distilled (turbo) one"
            )

    @torch.no_grad()
    def encode_captions(self, captions: Sequence[str]) -> Float[Tensor, "B Q C"]:
        """The conditioning of captions, from the pipeline's own `encode_prompt`. Raises
        `ValueError` if the text encoders are not loaded.
        """
        return self._encoded(list(captions), negative=False)

    def _empty_caption(self) -> Float[Tensor, "1 Q C"]:
        return self._encoded([""], negative=True)

    def _encoded(self, captions: list[str], *, negative: bool) -> Float[Tensor, "B Q C"]:
        """`negative` gives the pipeline's embedding of the empty caption, as used for guidance or
        in every reply.
        """
        names = [name for name in (*self.form.configs, *self._small) if is_captioning(name)]
        # Stable Diffusion 3 does without its third one, the large T5.
        needed = [n for n in names if n.startswith("text_encoder") and n != "text_encoder_3"]
        if any(self.form.configs.get(name) is None for name in needed):
            raise ValueError(
                f"this {self.modality} decoder has no text encoder, so captions cannot be encoded "
                "and guidance is not possible: load it with load_text_encoder=True from a folder "
                "that has them, or give predicted conditioning, and negative= or no guidance"
            )
        family = self.family
        tokenizers = {n: read() for n, read in self._small.items() if read and n in names}
        with ExitStack() as stack:
            wanted = [n for n in (*names, "projection_model") if self.form.configs.get(n)]
            lent = {name: stack.enter_context(self.use(name)) for name in wanted}
            if not family.encoded:
                return self._masked_states(captions, tokenizers["tokenizer"], lent["text_encoder"])
            # Some encode the empty caption like any other.
            prefix = "negative_" if negative and f"negative_{SEQUENCE}" in family.encoded else ""
            pipeline = self.assembled(lent | tokenizers)
            if "text_encoder_3" in names and "text_encoder_3" not in lent:
                # Zeros take its place, of a width that only the denoiser's config has.
                config = self.form.configs[self.form.denoiser]
                vars(pipeline)[self.form.denoiser] = SimpleNamespace(config=config)
            encode = inspect.unwrap(type(pipeline).encode_prompt)
            taken = inspect.signature(encode).parameters
            options = family.encoding_options(len(captions))
            options |= {"prompt": captions, "device": self.device}
            # Required by some, which take None for "as the first".
            options |= {name: None for name in ("prompt_2", "prompt_3") if name in taken}
            if "do_classifier_free_guidance" in taken:
                options["do_classifier_free_guidance"] = bool(prefix)
            if family.length is not None and family.length in taken:
                options[family.length] = self.form.size(MediaSize()).audio_length
            found = encode(pipeline, **options)
        named = dict(zip(family.encoded, found, strict=True))
        if negative and family.constant is not None:
            named[SEQUENCE], named["mask"] = named[family.constant], named["constant_mask"]
        return self.form.layout.pack(named, prefix)

    def _masked_states(
        self, captions: list[str], tokenizer: Any, text_encoder: Any
    ) -> Float[Tensor, "B Q C"]:
        """The text encoder's states over padded captions."""
        inputs = tokenizer(
            captions,
            padding="max_length",
            max_length=self.form.caption_rows,
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        states = text_encoder(inputs.input_ids, attention_mask=inputs.attention_mask)[0]
        return self.form.layout.pack(
            {SEQUENCE: states, str(self.form.layout.mask): inputs.attention_mask}
        )

    def assembled(self, components: dict[str, Any]) -> Any:
        """A pipeline with only these components, computing on this decoder's device."""
        device, kind = self.device, self.family.type
        own = type(kind.__name__, (kind,), {"_execution_device": property(lambda _: device)})
        every = {name: components.get(name) for name in (*self.form.configs, *self._small)}
        made = own(**every, **self._options)
        made.set_progress_bar_config(disable=True)
        return made

    @contextmanager
    def drawing(self, scheduler: Any) -> Iterator[Any]:
        """The pipeline without its text encoders. An offloaded denoiser leaves the device before
        the VAE decodes.
        """
        names = [n for n, config in self.form.configs.items() if config is not None]
        names = [name for name in names if not is_captioning(name)]
        with ExitStack() as first, ExitStack() as last:
            training = torch.is_grad_enabled()

            def lend(name: str, stack: ExitStack) -> Any:
                # A backward pass needs it on the device after this is over.
                return (
                    getattr(self, name).to(self.device)
                    if training
                    else stack.enter_context(self.use(name))
                )

            denoisers = [n for n in names if n.startswith(self.form.denoiser)]
            lent = {n: lend(n, first) for n in denoisers}
            if not training:
                lent = {n: without_adapter_layers(network) for n, network in lent.items()}
            others = [n for n in names if n not in denoisers]
            networks = lent | {n: getattr(self, n) for n in others}
            for name in others:
                if name not in ("vae", "vocoder"):
                    lend(name, last)

            def decoding() -> None:
                first.close()
                for name in ("vae", "vocoder"):
                    if name in networks:
                        last.enter_context(self.use(name))

            scheduler.before_decoding = decoding
            pipeline = self.assembled({**networks, "scheduler": scheduler})
            if self.family.argument("generated_prompt_embeds"):
                # AudioLDM 2 inspects encoders even when they are absent.
                config = self.form.configs["text_encoder_2"] or SimpleNamespace(model_type="t5")
                absent = SimpleNamespace(dtype=self.dtype, config=config)
                vars(pipeline).update(text_encoder_2=absent, language_model=absent)
            yield pipeline

    def arguments(
        self,
        conditioning: Float[Tensor, "B Q C"],
        negative: Float[Tensor, "B Q C"] | None,
        guidance: float,
        size: MediaSize,
    ) -> dict[str, Any]:
        """Arguments of the pipeline's call."""
        family, layout = self.family, self.form.layout
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
            made["negative_prompt"] = None  # otherwise it takes no embeddings
        if SEQUENCE not in told:
            made["prompt"] = [""] * len(conditioning)
        return made

    def ask(self, pipeline: Any, arguments: dict[str, Any], **more: Any) -> Any:
        """Call the pipeline. If it takes no embeddings, they replace what it would encode."""
        if SEQUENCE in self.family.arguments:
            return call(pipeline, **arguments, **more)
        rest = dict(arguments)
        sequence, mask = rest.pop(SEQUENCE), rest.pop("mask").bool()
        longest = int(mask.sum(1).max())  # the denoiser sees masked rows too
        sequence, mask = sequence[:, :longest], mask[:, :longest]
        constant = self.unconditional().expand(len(sequence), -1, -1)
        given = (sequence, mask, constant, mask.new_ones(constant.shape[:2]))
        pipeline.encode_prompt = lambda **_: given
        return call(pipeline, **rest, **more)
