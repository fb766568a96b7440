"""Edit a medium by instruction."""

from __future__ import annotations

from typing import Any

from anyweave.generation.chat import ChatSession
from anyweave.generation.options import GenerationOptions
from anyweave.generation.reply import Reply
from anyweave.messages import Media, Message


def edit(
    session: ChatSession,
    part: Media,
    instruction: str,
    options: GenerationOptions | None = None,
    **overrides: Any,
) -> Reply:
    """Show the model `part`, ask for the change, and let the decoder edit it (see
    `decoders.editing`).

    The model sees the medium if it has an encoder for it. The reply always holds a medium of the
    same kind.
    """
    if part.source is None:
        raise ValueError(f"there is nothing to edit: the {part.modality} has no source")
    reads = part.modality in session.model.encoders
    message = Message("user", [part, instruction] if reads else [instruction])
    return session.reply(message, options, source=part, force=(part.modality,), **overrides)
