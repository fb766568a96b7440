"""A frozen Hugging Face causal language model with trainable signal rows beside it.

Legend: B batch, L sequence length, D hidden size, V rows of the base embedding matrix, S signal
tokens.
Ids: ``[0, V)`` base vocabulary, ``[V, V+S)`` signal tokens, from ``V+S`` placeholders that
projected media replace.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Cache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_layers import GradientCheckpointingLayer

from anyweave.language.feeding import PROBED, Feeding, try_feeding
from anyweave.language.fetch import SOURCES, ensure_language_model
from anyweave.language.growing import growing_cache
from anyweave.language.quantization import quantization_config
from anyweave.language.readout import Readout, measure_readout
from anyweave.language.signal_rows import SignalRows
from anyweave.language.single_row import matrix_vector
from anyweave.language.tried import tried_before
from anyweave.tensors import check_complete, explained, foreign_code_explained

_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


class CausalLM(nn.Module):
    """The language model's interface: embed, forward to final hidden states, logits.

    `model` is any Hugging Face causal LM; it is frozen here and stays in eval mode. Only `signals`
    (a `SignalRows`) and LoRA adapters (`anyweave.language.lora`) can train.

    A probe runs a few tokens through it now, unless the result for the same `source` is cached:
    `readout` is how it computes logits, `feeding` whether it can continue from a key-value cache.
    Raises `ValueError` for a model that cannot work correctly.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        num_signals: int = 0,
        seed: int = 0,
        blank: bool = False,
        source: str | Path = "",
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.given_tokenizer = tokenizer
        embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
        if head is None or head.weight.shape != embeddings.weight.shape:
            raise ValueError(
                f"{type(model).__name__} has no output head of the embedding's shape "
                f"{tuple(embeddings.weight.shape)}; use a causal LM whose head and embedding match"
            )
        self.hidden_size: int = embeddings.weight.shape[1]
        self.base_vocab_size: int = embeddings.weight.shape[0]
        # A quantised model is on its device already.
        self.signals = SignalRows(num_signals, self.hidden_size).to(embeddings.weight.device)
        if not blank:
            self.signals.initialise(_looked_up(embeddings), head.weight, seed=seed)
        # Signal rows start from the mean word; their bias does too.
        bias = getattr(head, "bias", None)
        self._mean_bias = 0.0 if bias is None else float(bias.detach().float().mean())
        self.gradient_checkpointing = False
        self._takes = frozenset(inspect.signature(self.decoder.forward).parameters)
        self.view_for_replies: Any = None  # `replying.for_replies` keeps it here
        self.eval()
        self.readout, self.feeding = tried_before(model, source, self._probe)

    @classmethod
    def from_pretrained(
        cls,
        id_or_folder: str | Path,
        *,
        gguf_file: str | None = None,
        revision: str | None = None,
        dtype: torch.dtype | str | None = None,
        num_signals: int = 0,
        seed: int = 0,
        blank: bool = False,
        quantization: str | None = None,
        trust_remote_code: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
    ) -> CausalLM:
        """Load a model and its tokenizer from a folder, a hub id, or a name in
        `anyweave.language.fetch.SOURCES`.

        Args:
            gguf_file: a GGUF file inside the folder or repository, dequantised while loading.
            dtype: of the base weights; None keeps the stored dtype. Trained parameters are always
                float32.
            num_signals: rows to train, `SignalTokens.total`.
            blank: leave these rows at zero, to be loaded later.
            quantization: "nf4" quantises the linear layers while loading (see `quantization`).
            trust_remote_code: let a model run Python code of its own (``auto_map``).
            token: for the hub; ignored for a folder.
            cache_dir: likewise.

        Raises:
            ValueError: the folder or id cannot be loaded or quantised, or lacks weights.
        """
        source = Path(id_or_folder) if Path(id_or_folder).is_dir() else id_or_folder
        if source in SOURCES:
            source = ensure_language_model(str(source))
        given = {
            "revision": revision, "gguf_file": gguf_file, "token": token, "cache_dir": cache_dir,
        }  # fmt: skip
        keywords: dict[str, Any] = {"trust_remote_code": trust_remote_code}
        keywords |= {name: value for name, value in given.items() if value is not None}
        quantized = (
            {}
            if quantization is None
            else {"quantization_config": quantization_config(quantization)}
        )
        try:
            with explained("a model", but=(OSError,)), foreign_code_explained(source):
                tokenizer = AutoTokenizer.from_pretrained(str(source), **keywords)
                model, info = AutoModelForCausalLM.from_pretrained(
                    str(source),
                    dtype=dtype or "auto",
                    output_loading_info=True,
                    **keywords,
                    **quantized,
                )
                check_complete(str(source), info["missing_keys"])
        except (OSError, ValueError) as error:
            if "trust_remote_code" in str(error):
                raise
            raise ValueError(
                f"cannot load a language model from {str(id_or_folder)!r}: {error}. It is neither "
                "a folder with config.json and model.safetensors, nor a reachable hub id, nor one "
                f"of {', '.join(SOURCES)}"
            ) from error
        return cls(model, tokenizer, num_signals=num_signals, seed=seed, blank=blank, source=source)

    def with_signals(self, origins: Sequence[int | None], *, seed: int = 0) -> CausalLM:
        """The same language model, sharing all its parts, with other signal rows: each a copy of
        the row with this number, or a new one for None.
        """
        grown = copy.copy(self)
        grown._modules = dict(self._modules)
        grown.signals = SignalRows(len(origins), self.hidden_size).to(self.device)
        head = self.model.get_output_embeddings()
        grown.signals.initialise(
            _looked_up(self.model.get_input_embeddings()), head.weight, seed=seed
        )
        with torch.no_grad():
            for row, origin in enumerate(origins):
                if origin is not None:
                    grown.signals.input_rows[row] = self.signals.input_rows[origin]
                    grown.signals.output_rows[row] = self.signals.output_rows[origin]
        grown.view_for_replies = None
        return grown

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """A copy of the given one: whether special tokens are split is tokenizer state, and the
        given one belongs to the processor, which other threads may be using.
        """
        return copy.deepcopy(self.given_tokenizer)

    @property
    def decoder(self) -> nn.Module:
        """The base model without its head; its last hidden state comes after the final norm."""
        decoder: nn.Module = self.model.get_decoder()
        return decoder

    @property
    def dtype(self) -> torch.dtype:
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight.dtype

    @property
    def device(self) -> torch.device:
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight.device

    @property
    def num_signals(self) -> int:
        return self.signals.input_rows.shape[0]

    @property
    def context_length(self) -> int | None:
        """The number of positions the model was made for, which configs store under several names;
        None for a model without such a limit, for example a recurrent one.
        """
        config = self.model.config.get_text_config()
        named = (getattr(config, name, None) for name in _POSITIONS)
        return next((n for n in named if isinstance(n, int) and n > 0), None)

    @property
    def has_position_table(self) -> bool:
        """Whether positions are looked up in a table of `context_length` rows, so later ones do not
        exist. Rotary positions are computed and continue beyond what was trained.
        """
        limit, words = self.context_length, self.model.get_input_embeddings()
        if limit is None:
            return False
        tables = [m.weight for m in self.decoder.modules() if isinstance(m, nn.Embedding)]
        tables = [table for table in tables if table is not words.weight]
        tables += [buffer for buffer in self.decoder.buffers() if buffer.ndim == 2]
        # Some tables start with two padding rows.
        return any(limit <= table.shape[0] <= limit + 2 for table in tables)

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """All ids that end the base model's own output."""
        found: list[int] = []
        for value in (
            self.given_tokenizer.eos_token_id,
            self.model.config.eos_token_id,
            getattr(self.model.generation_config, "eos_token_id", None),
        ):
            found += value if isinstance(value, list) else [value] if value is not None else []
        return tuple(dict.fromkeys(found))

    @torch.no_grad()
    def _probe(self) -> tuple[Readout, Feeding]:
        """How this model computes logits and how it can be fed, found by running a few tokens.

        Raises `ValueError` for a model that cannot be used correctly.
        """
        step = max(min(self.base_vocab_size, len(self.given_tokenizer)) // (PROBED + 1), 1)
        ids = torch.arange(1, PROBED + 1, device=self.device)[None] * step % self.base_vocab_size
        name, head = type(self.model).__name__, self.model.get_output_embeddings()
        readout, hidden = measure_readout(self.model, self.decoder, head, ids)

        def feed(embeds: Tensor, cache: Any, start: int | None) -> tuple[Tensor, Any]:
            if start is None:
                return self._run(embeds, None, None, False, None)
            places = torch.arange(start, start + embeds.shape[1], device=embeds.device)[None]
            return self._run(embeds, None, cache, True, places)

        return readout, try_feeding(name, feed, self.embed(ids), hidden)

    def embed(self, input_ids: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Embeddings from the frozen matrix for base ids, `signals.input_rows` for signal ids,
        zeros for placeholders.
        """
        is_base = input_ids < self.base_vocab_size
        base = self.model.get_input_embeddings()(input_ids.masked_fill(~is_base, 0))
        rows = self.signals.input_rows.to(base.dtype)
        # A zero row after the signal rows serves every placeholder id.
        rows = torch.cat([rows, rows.new_zeros(1, self.hidden_size)])
        extra = rows[(input_ids - self.base_vocab_size).clamp(0, self.num_signals)]
        return torch.where(is_base.unsqueeze(-1), base, extra)

    def forward(
        self,
        inputs_embeds: Float[Tensor, "B L D"],
        attention_mask: Int[Tensor, "B P"] | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool = False,
        position_ids: Int[Tensor, "B L"] | None = None,
    ) -> tuple[Float[Tensor, "B L D"], Cache | None]:
        """Hidden states after the final norm, and the key-value cache when `use_cache`.

        `attention_mask` covers past and new positions (P = past + L). Without `position_ids`,
        positions count the mask's ones, so padding on either side does not shift them. Raises
        `ValueError` for a cache if `feeding` says that caching does not work.
        """
        if use_cache and not self.feeding.cached:
            raise ValueError(
                f"{type(self.model).__name__} cannot continue from a key-value cache; feed all "
                "positions every time, with use_cache=False"
            )
        return self._run(inputs_embeds, attention_mask, past_key_values, use_cache, position_ids)

    def new_cache(self) -> Cache:
        """An empty key-value cache of the kind this model needs."""
        return growing_cache(self.model.config)

    def _run(
        self,
        inputs_embeds: Float[Tensor, "B L D"],
        attention_mask: Int[Tensor, "B P"] | None,
        past_key_values: Cache | None,
        use_cache: bool,
        position_ids: Int[Tensor, "B L"] | None,
    ) -> tuple[Float[Tensor, "B L D"], Cache | None]:
        if use_cache and past_key_values is None:
            past_key_values = self.new_cache()
        if position_ids is None and attention_mask is not None:
            positions = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)
            position_ids = positions[:, -inputs_embeds.shape[1] :]
        keywords: dict[str, Any] = {}
        if "position_ids" in self._takes:
            keywords["position_ids"] = position_ids
        if past_key_values is not None:
            keywords["past_key_values"] = past_key_values
        inputs_embeds = inputs_embeds.to(self.dtype)
        with matrix_vector(inputs_embeds):
            output = self.decoder(
                inputs_embeds=inputs_embeds,
                attention_mask=attention_mask,
                use_cache=use_cache,
                **keywords,
            )
        return output.last_hidden_state, past_key_values

    def logits(self, hidden: Float[Tensor, "*N D"]) -> Float[Tensor, "*N K"]:
        """Scores over base vocabulary and signal tokens, K = V + S; select positions first."""
        hidden = self.readout.enter(hidden)
        with matrix_vector(hidden):
            base = self.model.get_output_embeddings()(hidden)
        signal = hidden @ self.signals.output_rows.to(hidden.dtype).mT
        if self._mean_bias:
            signal = signal + self._mean_bias
        return self.readout.leave(torch.cat([base, signal], dim=-1))

    def enable_gradient_checkpointing(self, enabled: bool = True) -> None:
        """Trade compute for memory in training: activations are recomputed in backward."""
        self.gradient_checkpointing = enabled
        if enabled:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            self.model.gradient_checkpointing_disable()
        self.train(self.training)

    def train(self, mode: bool = True) -> CausalLM:
        """Frozen parts stay in eval mode; adapters (their dropout) follow `mode`."""
        super().train(mode)
        if not mode:  # everything is in eval mode now
            return self
        self.view_for_replies = None  # training needs its memory
        self.model.eval()
        for module in self._adapters():
            module.train()
            module.get_base_layer().eval()
        for module in self.model.modules():
            # transformers recomputes a layer only if the layer itself, not its children, is in
            # training mode.
            if isinstance(module, GradientCheckpointingLayer):
                module.training = self.gradient_checkpointing
        return self

    def _adapters(self) -> Iterator[BaseTunerLayer]:
        return (module for module in self.model.modules() if isinstance(module, BaseTunerLayer))


def _looked_up(embeddings: nn.Module) -> Float[Tensor, "V D"]:
    """The rows as the model sees them: some families (Gemma) scale them during look-up."""
    weight = embeddings.weight
    assert isinstance(weight, Tensor)
    rows: Tensor = embeddings(torch.arange(len(weight), device=weight.device))
    return rows
