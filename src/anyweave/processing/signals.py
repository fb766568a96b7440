"""Signal and placeholder ids: how the language model asks for media, and where media enters its
sequence.

A *signal token* is spoken by the language model to request a medium (paper section 4.2, ``[IMG_i]
[AUD_i] [VID_i]``); a *placeholder token* is never spoken, it only marks positions that projected
encoder features replace. Both sit after the base vocabulary, so the base model's embedding matrix
and head keep their size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anyweave.errors import nearest
from anyweave.messages import MEDIA_MODALITIES, PAPER_MODALITIES, Modality, kind_of
from anyweave.modalities import known_modalities

DEFAULT_COUNTS: Mapping[Modality, int] = {m: kind_of(m).signal_tokens for m in PAPER_MODALITIES}


@dataclass(frozen=True)
class SignalTokens:
    """Ids of all signal and placeholder tokens.

    Layout after `base_vocab` (rows of the base embedding matrix, not the tokenizer's length): the
    signal ids of image, video, audio and then others by name, contiguous and in this order, then
    one placeholder id per modality in the same order. A modality that is absent from `counts`, or
    has 0, cannot be generated. A placeholder exists for the first three and for all of `counts`:
    other kinds known in this process change no id.

    Raises `ValueError` for an unknown modality or a negative count.
    """

    counts: Mapping[Modality, int]
    base_vocab: int

    def __post_init__(self) -> None:
        for modality, count in self.counts.items():
            if modality not in MEDIA_MODALITIES:
                hint = nearest(modality, known_modalities(), "known ones")
                raise ValueError(f"signal tokens for unknown modality {modality!r}; {hint}")
            if count < 0:
                raise ValueError(f"{modality} has {count} signal tokens; give 0 or more")
        if self.base_vocab <= 0:
            raise ValueError(
                f"base_vocab is {self.base_vocab}; it is the number of embedding rows, at least 1"
            )
        names = (*PAPER_MODALITIES, *sorted(set(self.counts) - {*PAPER_MODALITIES}))
        ordered = {modality: int(self.counts.get(modality, 0)) for modality in names}
        object.__setattr__(self, "counts", ordered)

    @property
    def total(self) -> int:
        """Number of signal tokens over all modalities, which is the number of trained rows."""
        return sum(self.counts.values())

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that can be generated: those with at least one signal token."""
        return tuple(modality for modality, count in self.counts.items() if count)

    def count(self, modality: Modality) -> int:
        """Length of one run of `modality`."""
        return self.counts[modality]

    def ids(self, modality: Modality) -> tuple[int, ...]:
        """The whole run of `modality`, in the order it is spoken. Raises `ValueError` if it has no
        signal tokens.
        """
        count = self.counts.get(modality, 0)
        if not count:
            raise ValueError(
                f"this model cannot generate {modality}: it has no signal tokens for it; "
                f"it generates {', '.join(self.modalities) or 'text only'}"
            )
        start = self.base_vocab
        for earlier, number in self.counts.items():
            if earlier == modality:
                break
            start += number
        return tuple(range(start, start + count))

    def first(self, modality: Modality) -> int:
        """The id that opens a run; the rest of the run is forced."""
        return self.ids(modality)[0]

    def modality_of(self, token_id: int) -> Modality | None:
        """The modality whose run holds `token_id`, or None when it is no signal id."""
        for modality in self.modalities:
            if token_id in self.ids(modality):
                return modality
        return None

    def placeholder(self, modality: Modality) -> int:
        """The id that marks a position of projected `modality` features. It has no row and is never
        predicted.
        """
        return self.base_vocab + self.total + list(self.counts).index(modality)

    def is_placeholder(self, token_id: int) -> bool:
        first = self.base_vocab + self.total
        return first <= token_id < first + len(self.counts)

    def token(self, token_id: int) -> str:
        """The readable name of a signal or placeholder id, like ``[IMG0]`` or ``<image>``."""
        modality = self.modality_of(token_id)
        if modality is not None:
            return f"[{kind_of(modality).label}{token_id - self.first(modality)}]"
        if self.is_placeholder(token_id):
            return f"<{list(self.counts)[token_id - self.base_vocab - self.total]}>"
        raise ValueError(
            f"id {token_id} is neither a signal nor a placeholder id; those start at "
            f"{self.base_vocab}"
        )
