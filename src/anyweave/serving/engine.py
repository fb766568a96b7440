"""The one seam between the server and what makes replies."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyweave.generation import ChatSession, Event, GenerationOptions
from anyweave.generation.batching import ReplyBatcher
from anyweave.generation.draft import Finder
from anyweave.messages import Message, Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.processing import SignalTokens


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a server knows of the model, wherever it runs."""

    encoders: tuple[str, ...]
    input_projectors: tuple[str, ...]
    output_projectors: tuple[str, ...]
    reads_states: bool
    """Whether decoders follow the states of signal tokens, through output projectors, or words."""
    rates: Mapping[Modality, float | None]
    """Hz and frames/s of what each decoder makes."""
    signals: SignalTokens
    input_rate: int
    """Hz of the sounds that it hears."""
    context_length: int | None

    @classmethod
    def of(cls, model: NextGPT) -> Facts:
        """Those of a model in this process."""
        return cls(
            encoders=tuple(model.encoders),
            input_projectors=tuple(model.input_projectors),
            output_projectors=tuple(model.output_projectors),
            reads_states=model.spec.bridge != "caption",
            rates={modality: model.decoders.rate(modality) for modality in model.spec.decoders},
            signals=model.processor.signals,
            input_rate=model.processor.input_rate,
            context_length=model.language.context_length,
        )


class Engine:
    """Conversations with one model, answered together: at most `rows` speak at a time.

    `chat`, `send` and `close` are all that a server asks of it, beside `facts` and `options`.
    """

    facts: Facts
    options: GenerationOptions

    def __init__(
        self,
        model: NextGPT,
        options: GenerationOptions | None = None,
        *,
        rows: int = 16,
        finder: Finder | None = None,
    ) -> None:
        self.facts = Facts.of(model)
        self.options = options or GenerationOptions()
        self._batcher = ReplyBatcher(model, max_rows=rows, finder=finder)

    def chat(self, messages: Sequence[Message] = ()) -> ChatSession:
        """A conversation that has heard `messages`."""
        return self._batcher.chat(self.options, messages=messages)

    def send(
        self, session: ChatSession, message: Message, options: GenerationOptions, **how: Any
    ) -> Generator[Event, None, None]:
        """Events of a reply, as `ChatSession.send`; one thread at a time for each session."""
        yield from session.send(message, options, **how)

    def close(self) -> None:
        """Stop; replies that are not complete end with a `ValueError`."""
        self._batcher.close()
