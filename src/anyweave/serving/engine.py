"""The one seam between the server and what makes replies."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from anyweave.generation import ChatSession, Event, GenerationOptions
from anyweave.generation.batching import ReplyBatcher
from anyweave.messages import Message
from anyweave.model.any_to_any import NextGPT


class Engine:
    """Conversations with one model, answered together: at most `rows` speak at a time.

    `chat`, `send` and `close` are all that a server asks of it, beside `model` and `options`.
    """

    def __init__(
        self, model: NextGPT, options: GenerationOptions | None = None, *, rows: int = 16
    ) -> None:
        self.model = model
        self.options = options or GenerationOptions()
        self._batcher = ReplyBatcher(model, max_rows=rows)

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
