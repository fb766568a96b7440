"""The named parts of a pipeline's conditioning, laid out as rows of one tensor [B, Q, C].

An output projector can then predict them all at once, a cache stores one tensor, and conditioning
of several replies merges by concatenation, whatever the pipeline calls its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SEQUENCE = "prompt_embeds"


@dataclass(frozen=True)
class Field:
    """`tokens` rows of `width`; 0 means a single vector without a row axis."""

    name: str
    width: int
    tokens: int = 0

    @property
    def rows(self) -> int:
        return max(self.tokens, 1)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`fields` come first; the sequence, `sequence_width` wide, takes the remaining rows. Narrower
    rows are zero-padded.

    `mask` is the argument that says which rows of the sequence count: those that are not all zero.
    `listed`: sequences are passed as a list, without the rows that do not count. `padded`:
    sequences are zero-padded to this many rows.
    """

    sequence_width: int
    fields: tuple[Field, ...] = ()
    mask: str | None = None
    listed: bool = False
    padded: int = 0

    @property
    def width(self) -> int:
        return max(self.sequence_width, *(field.width for field in self.fields), 0)

    @property
    def fixed(self) -> int:
        """Rows before the sequence."""
        return sum(field.rows for field in self.fields)

    @property
    def masked(self) -> bool:
        """Whether all-zero rows are ignored."""
        return self.mask is not None or self.listed

    def pack(self, parts: Mapping[str, Any], prefix: str = "") -> Float[Tensor, "B Q C"]:
        """Pack a pipeline's `encode_prompt` outputs into one tensor; masked rows are zero."""
        sequence = parts[prefix + SEQUENCE]
        if isinstance(sequence, list):
            sequence = torch.nn.utils.rnn.pad_sequence(sequence, batch_first=True)
        mask = None if self.mask is None else parts[prefix + self.mask]
        if mask is not None:  # otherwise all rows count
            sequence = sequence * mask.to(sequence)[..., None]
        rows = [parts[prefix + field.name] for field in self.fields]
        rows = [row[:, None] if row.ndim == 2 else row for row in rows]
        return torch.cat(
            [F.pad(row, (0, self.width - row.shape[-1])) for row in (*rows, sequence)], dim=1
        )

    def unpack(self, packed: Float[Tensor, "B Q C"], prefix: str = "") -> dict[str, Any]:
        """Arguments of the pipeline's call, their names prefixed with `prefix`."""
        sizes = [field.rows for field in self.fields]
        *rows, sequence = packed.split([*sizes, packed.shape[1] - self.fixed], dim=1)
        found: dict[str, Any] = {
            prefix + field.name: (part if field.tokens else part[:, 0])[..., : field.width]
            for field, part in zip(self.fields, rows, strict=True)
        }
        sequence = sequence[..., : self.sequence_width]
        seen = (sequence != 0).any(-1)
        seen[:, 0] |= ~seen.any(-1)  # attention needs at least one row
        if self.listed:
            sequence = [row[kept] for row, kept in zip(sequence, seen, strict=True)]
        elif self.mask is not None:
            found[prefix + self.mask] = seen.long()
        elif self.padded > sequence.shape[1]:
            sequence = F.pad(sequence, (0, 0, 0, self.padded - sequence.shape[1]))
        return found | {prefix + SEQUENCE: sequence}

    def fitted(self, packed: Float[Tensor, "B Q C"], tokens: int) -> Float[Tensor, "B tokens C"]:
        """Cut or zero-padded to `tokens` rows."""
        return F.pad(packed, (0, 0, 0, tokens - packed.shape[1]))
