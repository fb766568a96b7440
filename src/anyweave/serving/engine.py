"""The one seam between the server and what makes replies."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

from anyweave.generation import ChatSession, Event, GenerationOptions
from anyweave.messages import Message
from anyweave.model.any_to_any import NextGPT


class Engine:
    """Conversations with one model, each in a thread of its own. One speaks at a time."""

    def __init__(self, model: NextGPT, options: GenerationOptions | None = None) -> None:
        self.model = model
        self.options = options or GenerationOptions()
        self._lock = threading.Lock()

    def chat(self, messages: Sequence[Message] = ()) -> ChatSession:
        """A conversation that has heard `messages`."""
        return ChatSession(self.model, self.options, messages=messages)

    def send(
        self, session: ChatSession, message: Message, options: GenerationOptions, **how: Any
    ) -> Generator[Event, None, None]:
        """Events of a reply, as `ChatSession.send`."""
        with self._lock, closing(session.send(message, options, **how)) as events:
            yield from events
