"""Memory of a model's weights, by precision: arithmetic on parameter counts.

Activations, the KV cache and temporary buffers come on top. They depend on usage; the benchmarks
measure them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Precision = Literal["fp32", "bf16", "int8", "int4"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# Bytes per weight. Only the language model's linear layers are ever quantised; the rest of it and
# the decoders are then bfloat16. Encoders are always float32.
_PLAIN: dict[Precision, float] = {"fp32": 4, "bf16": 2, "int8": 2, "int4": 2}
# NF4 with double quantisation adds 0.127 bits of scales per weight (QLoRA, section 3).
_QUANTISED: dict[Precision, float] = {"fp32": 4, "bf16": 2, "int8": 1, "int4": (4 + 0.127) / 8}

TRAINED_BYTES = 4  # trained weights are float32 at every precision
OPTIMIZER_BYTES = 4 + 4 + 4  # a gradient and Adam's two moments, float32


class Counted(Protocol):
    """What the arithmetic needs to know about a part."""

    @property
    def parameters(self) -> int | None: ...
    @property
    def quantizable(self) -> int: ...
    @property
    def is_encoder(self) -> bool: ...
    @property
    def trained(self) -> bool: ...
    @property
    def visiting(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes at one precision. `language_model` is part of `frozen`."""

    precision: Precision
    language_model: int
    frozen: int
    trained: int
    optimizer: int
    visiting: int = 0
    """Frozen bytes of offloaded decoders that are not on the device at once: text encoders, which
    no reply needs, and all networks but the largest.
    """

    @property
    def reply_offloaded(self) -> int:
        """What is on the device at once during replies, given that some decoders are offloaded."""
        return self.reply - self.visiting

    @property
    def reply(self) -> int:
        """Everything loaded, nothing trained."""
        return self.frozen + self.trained

    @property
    def training(self) -> int:
        """Everything loaded, every trainable part trained."""
        return self.reply + self.optimizer

    @property
    def training_from_caches(self) -> int:
        """The same with features, caption embeddings and latents from caches: the language model is
        the only frozen part loaded.
        """
        return self.language_model + self.trained + self.optimizer


def frozen_bytes(part: Counted, precision: Precision) -> int:
    """Bytes of one frozen part; 0 if its size is not known."""
    if part.is_encoder:
        return round((part.parameters or 0) * _PLAIN["fp32"])
    plain = (part.parameters or 0) - part.quantizable
    return round(plain * _PLAIN[precision] + part.quantizable * _QUANTISED[precision])


def memory(parts: Iterable[Counted], precision: Precision) -> Memory:
    """Sums over `parts`; those of unknown size count as 0."""
    parts = list(parts)
    visitors = [part for part in parts if part.visiting]
    away = sum(frozen_bytes(part, precision) for part in visitors)
    largest = max((part.visiting for part in visitors), default=0) * _PLAIN[precision]
    frozen = [(part, frozen_bytes(part, precision)) for part in parts if not part.trained]
    trained = sum(part.parameters or 0 for part in parts if part.trained)
    return Memory(
        precision=precision,
        language_model=sum(size for part, size in frozen if part.quantizable),
        frozen=sum(size for _, size in frozen),
        trained=TRAINED_BYTES * trained,
        optimizer=OPTIMIZER_BYTES * trained,
        visiting=round(away - largest),
    )
