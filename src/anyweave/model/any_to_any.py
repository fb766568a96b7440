"""The whole model: encode and project the user's media, run the language model, project signal
states.

Legend: B batch, L sequence, D language width, M media of one modality, N patches, S tokens of one
medium, T targets of one modality, Q x C conditioning of a decoder, P supervised positions, V
vocabulary.

    media [M, ...] -> encoder [M, N, F] -> input projector [M, S, D]
        -> scattered into inputs_embeds [B, L, D] -> language model -> hidden [B, L, D]
            -> logits [P, V] where labels are
            -> signal spans [T, S, D] -> output projector [T, Q, C]
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

import anyweave  # the top-level API, for layers above the model: conversations, checkpoints
from anyweave.batch import IGNORE_INDEX, Batch, BatchMedia, ModelOutput
from anyweave.language import CausalLM
from anyweave.language.lora import lora_parameters
from anyweave.messages import Message, Modality
from anyweave.model.decoder_pool import DecoderPool
from anyweave.model.fusion import gather_spans, scatter_media
from anyweave.model.roles import ROLES, TrainedRole

if TYPE_CHECKING:
    from anyweave import ChatSession, GenerationOptions
    from anyweave.model.spec import Bridge, DecoderLoraSpec, DecoderSpec, ModelSpec
    from anyweave.processing import Fingerprints, Processor


class NextGPT(nn.Module):
    """Frozen encoders, trained projectors, a frozen language model with a few trained rows and
    adapters.

    Built by `build.build(spec)` or read by `from_pretrained`. Starts with every parameter frozen
    and in eval mode.
    """

    def __init__(
        self,
        *,
        spec: ModelSpec,
        language: CausalLM,
        processor: Processor,
        encoders: Mapping[Modality, nn.Module],
        input_projectors: Mapping[Modality, nn.Module],
        output_projectors: Mapping[Modality, nn.Module],
        decoders: DecoderPool,
        fingerprints: Fingerprints | None = None,
        root: Path | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.root = root  # base folder of the spec's relative sources
        self.processor = processor
        # Names of the frozen parts in feature cache keys.
        self.fingerprints: Fingerprints = fingerprints or {}
        self.language = language
        self.encoders = nn.ModuleDict(dict(encoders.items()))
        self.input_projectors = nn.ModuleDict(dict(input_projectors.items()))
        self.output_projectors = nn.ModuleDict(dict(output_projectors.items()))
        self.decoders = decoders
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        decoders: Mapping[Modality, str | Path | DecoderSpec] | None = None,
        bridge: Bridge | None = None,
        decoder_lora: Mapping[Modality, DecoderLoraSpec | Mapping[str, Any]] | None = None,
        quantization: str | None = None,
        lazy_encoders: bool | None = None,
        verify: bool = True,
        trust_remote_code: bool = False,
    ) -> NextGPT:
        """Read a model by embedded name ("emoji-mini"), folder or hub id; options as in
        `checkpoint.load_pretrained`, which is `anyweave.load`.
        """
        return anyweave.load(
            path_or_id,
            device=device,
            dtype=dtype,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            decoders=decoders,
            bridge=bridge,
            decoder_lora=decoder_lora,
            quantization=quantization,
            lazy_encoders=lazy_encoders,
            verify=verify,
            trust_remote_code=trust_remote_code,
        )

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        dtype: torch.dtype | str | None = None,
        include_frozen: bool = False,
    ) -> Path:
        """Write what was trained and the spec; options as in `checkpoint.save_pretrained`."""
        return anyweave.save_pretrained(self, folder, dtype=dtype, include_frozen=include_frozen)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        commit_message: str = "Upload of an anyweave model",
        dtype: torch.dtype | str | None = None,
    ) -> str:
        """Upload the model with its local parts; options as in `publishing.push_to_hub`. Returns
        the address of the commit.
        """
        return anyweave.push_to_hub(
            self,
            repo_id,
            private=private,
            token=token,
            revision=revision,
            commit_message=commit_message,
            dtype=dtype,
        )

    def chat(
        self, options: GenerationOptions | None = None, *, messages: Iterable[Message] = ()
    ) -> ChatSession:
        """A new conversation, or one that continues after `messages`."""
        return anyweave.ChatSession(self, options, messages=messages)

    @property
    def device(self) -> torch.device:
        """Where the language model lives."""
        return self.language.device

    def forward(self, batch: Batch) -> ModelOutput:
        """Logits at supervised positions and the decoders' conditioning at signal spans."""
        inputs_embeds_BLD = self.embed(batch)
        hidden_BLD, _ = self.language(inputs_embeds_BLD, attention_mask=batch.attention_mask)
        # The state before a token predicts it; the head runs only at supervised positions.
        labels_BL = batch.labels[:, 1:]
        supervised = labels_BL != IGNORE_INDEX
        logits_PV = self.language.logits(hidden_BLD[:, :-1][supervised])
        states = {
            modality: gather_spans(hidden_BLD, target.rows, target.starts, target.length)
            for modality, target in batch.targets.items()
            if modality in self.output_projectors
        }
        return ModelOutput(
            logits=logits_PV,
            labels=labels_BL[supervised],
            conditioning={m: self.condition(m, hidden) for m, hidden in states.items()},
            signal_states=states,
        )

    def embed(self, batch: Batch) -> Float[Tensor, "B L D"]:
        """Token embeddings with the user's media in place of the placeholders."""
        inputs_embeds_BLD = self.embed_tokens(batch.input_ids)
        return scatter_media(inputs_embeds_BLD, batch.media, self.embed_media(batch))

    def embed_tokens(self, input_ids: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Rows of the frozen embedding and of the signal tokens. Placeholders are zero until media
        replace them.
        """
        return self.language.embed(input_ids)

    def embed_media(self, batch: Batch) -> dict[Modality, Float[Tensor, "M S D"]]:
        """Every user medium in the batch as language-model embeddings, per modality."""
        return {
            modality: self.project(modality, self.encode(modality, entry))
            for modality, entry in batch.media.items()
        }

    @torch.no_grad()
    def encode(self, modality: Modality, media: BatchMedia) -> Float[Tensor, "M N F"]:
        """Frozen encoder features; cached features are used unchanged."""
        if media.features is not None:
            return media.features
        if modality not in self.encoders:
            raise ValueError(
                f"this model reads no {modality}; it reads "
                f"{', '.join(self.encoders) or 'text only'}"
            )
        encoder = self.encoders[modality]
        inputs = media.inputs
        assert inputs is not None, "BatchMedia holds either inputs or features"
        weight = next(encoder.parameters(), None)
        return encoder(modality, inputs if weight is None else inputs.to(weight.dtype))

    def project(
        self, modality: Modality, features: Float[Tensor, "M N F"]
    ) -> Float[Tensor, "M S D"]:
        """Input projection: patch features -> concept tokens of the language model."""
        projector = self.input_projectors[modality]
        return projector(features.to(_dtype_of(projector)))

    def condition(
        self, modality: Modality, hidden: Float[Tensor, "T S D"]
    ) -> Float[Tensor, "T Q C"]:
        """Output projection: final states of a signal run, plus the run's input rows, -> decoder
        conditioning.

        The sum follows GILL and the reference (FACTS: hidden state + input embedding of the signal
        token).
        """
        projector = self.output_projectors[modality]
        dtype = _dtype_of(projector)
        ids_S = torch.tensor(self.processor.signals.ids(modality), device=hidden.device)
        rows_SD = self.language.embed(ids_S[None])[0]
        conditioning_TQC: Tensor = projector(hidden.to(dtype) + rows_SD.to(dtype))
        return conditioning_TQC

    @torch.no_grad()
    def encode_targets(
        self, modality: Modality, arrays: Sequence[np.ndarray], rates: Sequence[float | None]
    ) -> Float[Tensor, " T *latent"]:
        """Latents of the assistant's media, at the size and rate used for replies."""
        latents: Tensor = self.decoders[modality].encode_media(arrays, rates=rates)
        return latents

    def train(self, mode: bool = True) -> NextGPT:
        """Training mode for the parts that train; frozen parts always stay in eval mode."""
        super().train(False)
        if not mode:
            return self
        self.training = True
        for projector in (*self.input_projectors.values(), *self.output_projectors.values()):
            projector.train(any(p.requires_grad for p in projector.parameters()))
        # The language model needs training mode even if nothing in it trains: gradients may flow
        # through it, and its layers may be checkpointed. It keeps its own frozen modules in eval.
        self.language.train()
        if not any(p.requires_grad for p in self.parameters_of("lora").values()):
            for module in self.language.modules():
                if isinstance(module, nn.Dropout):
                    module.eval()
        return self

    def parameters_of(self, role: TrainedRole) -> dict[str, nn.Parameter]:
        """The parameters of one role by name, relative to the role. Shared modules appear once.

        Raises `ValueError` for an unknown role.
        """
        if role in ("input_projectors", "output_projectors"):
            return dict(getattr(self, role).named_parameters())
        if role == "signal_rows":
            return dict(self.language.signals.named_parameters())
        if role == "lora":
            return lora_parameters(self.language)
        if role == "decoder_lora":
            return {
                f"{modality}.{name}": parameter
                for modality in self.decoders.adapters
                for name, parameter in self.decoders.adapter_parameters(modality).items()
            }
        raise ValueError(f"unknown role {role!r}; roles are {', '.join(ROLES)}")

    def weights_sha256(self, roles: Iterable[TrainedRole] = ROLES) -> str:
        """sha256 over the parameters of `roles`, and over the frozen parts' own as far as the spec
        has them. It stays the same wherever the files lie.
        """
        frozen = [part.sha256 for part in self.spec.encoders]
        frozen += [part.sha256 for part in self.spec.decoders.values()]
        digest = hashlib.sha256(repr(frozen).encode())
        for role in roles:
            for name, parameter in sorted(self.parameters_of(role).items()):
                digest.update(f"{role}.{name}".encode())
                digest.update(parameter.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def _apply(self, fn: Any, recurse: bool = True) -> NextGPT:
        super()._apply(fn, recurse)
        self.decoders.to(self.device)
        return self


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
