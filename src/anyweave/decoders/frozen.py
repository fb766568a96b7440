"""What both kinds of frozen decoder share: opening one, its unconditional embedding, and what
sampling and the loss begin with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from anyweave.decoders.codecs.sizes import MediaSize, Rates
from anyweave.decoders.folder import DecoderDefaults, PartOptions, read_dtype
from anyweave.decoders.parts import Deferred, FrozenParts
from anyweave.decoders.sampling import Progress, Steps, drain
from anyweave.decoders.source import DecoderSource
from anyweave.decoders.unconditional import RememberedUnconditional
from anyweave.messages import Modality

DEFAULT_STEPS = 20


class FrozenDecoder(FrozenParts):
    """A frozen decoder: conditioning [B, Q, C] -> media, and the loss that trains others to
    condition it.

    Its parameters never require gradients and it never leaves eval mode. `Deferred` parts load on
    first use: embedding captions loads no denoiser, a reply no text encoder.
    """

    modality: Modality
    denoiser_name: str
    """"unet" or "transformer"."""
    num_timesteps: int
    """How many noise levels `denoising_loss` draws from."""
    generate_steps: Callable[..., Steps[list[np.ndarray]]]
    gradient_checkpointing: bool = False
    """The denoising loss recomputes the denoiser's activations in backward, to save memory."""

    def __init__(
        self,
        parts: Mapping[str, nn.Module | Deferred | None],
        *,
        defaults: DecoderDefaults | None,
        unconditional: Float[Tensor, "1 Q C"] | None,
        remembered: RememberedUnconditional | None,
        dtype: torch.dtype,
        offload: bool,
    ) -> None:
        super().__init__(parts, dtype=dtype, offload=offload)
        self.defaults = defaults or DecoderDefaults()
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
        subfolders: dict[str, str] | None = None,
        **defaults: Any,
    ) -> Self:
        """Open a folder in the diffusers layout, or a model hub repository by its id.

        `revision` to `subfolders` are those of `DecoderSource`.

        Only configs are read now; each network loads on first use.

        Args:
            dtype: of all networks, for example "float16"; None is float32.
            load_text_encoder: False never loads it; `encode_captions` then fails.
            offload: keep a network on the device only while it runs. For replies on small GPUs.
            vae_slicing: send one picture or frame at a time through the VAE: same result, less
                memory.
            vae_tiling: process large pictures in overlapping, blended tiles: less memory, slightly
                different result.
            defaults: override `DecoderDefaults`, for example ``height=320, width=576``.

        Raises:
            ValueError: a decoder of another modality or class, missing parts or unknown settings.
        """
        source = DecoderSource(
            where=str(path_or_id),
            revision=revision,
            variant=variant,
            use_safetensors=use_safetensors,
            cache_dir=None if cache_dir is None else str(cache_dir),
            local_files_only=local_files_only,
            token=token,
            subfolders=subfolders or {},
        )
        options = PartOptions(
            dtype=read_dtype(dtype),
            text_encoder=load_text_encoder,
            vae_modes=("slicing",) * vae_slicing + ("tiling",) * vae_tiling,
        )
        return cls._opened(source, modality, defaults, options, offload)

    @classmethod
    def _opened(
        cls,
        source: DecoderSource,
        modality: Modality,
        defaults: dict[str, Any],
        options: PartOptions,
        offload: bool,
    ) -> Self:
        raise NotImplementedError

    def _checked(self, name: str, conditioning: Tensor) -> Tensor:
        """`conditioning` on the device. Raises `ValueError` if this decoder takes no such shape."""
        raise NotImplementedError

    def _empty_caption(self) -> Float[Tensor, "1 Q C"]:
        """The embedding of the empty caption. Raises `ValueError` without a text encoder."""
        raise NotImplementedError

    def _encoded_media(
        self, media: Sequence[np.ndarray], size: MediaSize, rates: Rates | None
    ) -> Float[Tensor, " B *latent"]:
        raise NotImplementedError

    def _errors(
        self,
        conditioning: Tensor,
        clean: Tensor,
        noise: Tensor,
        timesteps: Int[Tensor, " B"],
        snr_gamma: float | None,
    ) -> Float[Tensor, " B"]:
        raise NotImplementedError

    @property
    def denoiser(self) -> nn.Module:
        """The denoising network, loaded now if necessary. Adapters train inside it."""
        network: nn.Module = getattr(self, self.denoiser_name)
        return network

    def unconditional(self) -> Float[Tensor, "1 Q C"]:
        """The conditioning of the empty caption, for guidance: from the folder, else from the
        user's cache, else computed once (what only that loaded is dropped again). Raises
        `ValueError` if that is not possible.
        """
        if self._unconditional is None and self._remembered is not None:
            self._unconditional = self._remembered.get()
        if self._unconditional is None:
            before = self.in_memory
            with torch.inference_mode(False), torch.no_grad():
                self._unconditional = self._empty_caption()
            for name in set(self.in_memory) - set(before):
                self.release(name)
            if self._remembered is not None:
                self._remembered.put(self._unconditional)
        return self._unconditional.to(self.device, self.dtype)

    def encode_media(
        self, media: Sequence[np.ndarray], *, rates: Rates | None = None, **size: Any
    ) -> Float[Tensor, " B *latent"]:
        """Clean latents of media in the form that is denoised, fitted to the given size (the fields
        of `MediaSize`), by default the decoder's own.

        `rates` are the media's own: clips keep their true speed, and a wave whose rate differs from
        the decoder's raises `ValueError`. Without `rates`, evenly spaced frames cover the whole
        clip. Deterministic.
        """
        if not media:
            raise ValueError(f"no {self.modality} given to encode")
        with torch.no_grad():
            return self._encoded_media(media, MediaSize(**size), rates)

    def generate(
        self,
        conditioning: Float[Tensor, "B Q C"],
        *,
        seeds: Sequence[int],
        callback: Progress | None = None,
        **arguments: Any,
    ) -> list[np.ndarray]:
        """Media of `conditioning`, one per row, each as if generated alone with its seed.

        Calls `callback(step, total)` after every step; `arguments` are those of `generate_steps`.
        """
        return drain(self.generate_steps(conditioning, seeds=seeds, **arguments), callback)

    def _asked(
        self, conditioning: Tensor, seeds: Sequence[int], steps: int | None
    ) -> tuple[Tensor, int]:
        """Conditioning and number of steps of a call. Raises `ValueError` if they do not fit."""
        conditioning = self._checked("conditioning", conditioning)
        if len(seeds) != len(conditioning):
            raise ValueError(
                f"{len(conditioning)} conditionings need as many seeds, got {len(seeds)}"
            )
        if steps is None:
            steps = self.defaults.num_inference_steps or DEFAULT_STEPS
        if steps < 1:
            raise ValueError(f"num_inference_steps must be at least 1, got {steps}")
        return conditioning, steps

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
        """Each sample's mean squared denoising error; gradients reach only `conditioning` and the
        denoiser's adapters.

        `latents` are clean ones from `encode_media`. Noise and timesteps are drawn from `generator`
        unless given. The scheduler determines the target. `snr_gamma` weights each sample by
        min-SNR (Hang et al., 2023), for diffusion only. An offloaded denoiser stays on the device
        afterwards, as the backward pass needs it there.
        """
        conditioning = self._checked("conditioning", conditioning)
        clean = latents.to(self.device, torch.float32)
        if len(clean) != len(conditioning):
            raise ValueError(
                f"{len(conditioning)} conditionings need as many latents, got {len(clean)}"
            )
        source = torch.device("cpu") if generator is None else generator.device
        if timesteps is None:
            timesteps = torch.randint(
                self.num_timesteps, (len(clean),), generator=generator, device=source
            )
        if noise is None:
            noise = torch.randn(clean.shape, generator=generator, device=source)
        noise, timesteps = noise.to(self.device, torch.float32), timesteps.to(self.device)
        if self.gradient_checkpointing:
            enable_gradient_checkpointing(self.denoiser)
        return self._errors(conditioning, clean, noise, timesteps, snr_gamma)


def check_conditioning(conditioning: Tensor, width: int, *, name: str, as_vector: bool) -> None:
    """Raise `ValueError` unless `conditioning` is [B, Q, `width`], with Q = 1 for a vector."""
    shape = list(conditioning.shape)
    if len(shape) != 3 or shape[2] != width or (as_vector and shape[1] != 1):
        tokens = "1" if as_vector else "Q"
        raise ValueError(f"the {name} of this decoder must be [B, {tokens}, {width}], got {shape}")


def enable_gradient_checkpointing(unet: Any) -> None:
    """Keep only the blocks' inputs for the backward pass and recompute the rest, whether or not
    diffusers offers it for the class. Idempotent.
    """
    if unet._supports_gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        return
    # diffusers lacks it for video UNets, which need it most.
    for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        if "forward" not in vars(block):
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
