"""Replies: the token loop, its events, and the conversation that turns them into messages."""

from anyweave.generation.batching import ReplyBatcher
from anyweave.generation.chat import ChatSession
from anyweave.generation.draft import spoken_caption
from anyweave.generation.editing import edit
from anyweave.generation.engine import TokenEngine
from anyweave.generation.events import (
    Done,
    Dropped,
    Edited,
    Event,
    Finished,
    MediaDone,
    MediaStarted,
    Progress,
    Retrieved,
    SignalSpan,
    TextDelta,
    Usage,
)
from anyweave.generation.options import GenerationOptions
from anyweave.generation.reply import Reply

__all__ = [
    "ChatSession",
    "Done",
    "Dropped",
    "Edited",
    "Event",
    "Finished",
    "GenerationOptions",
    "MediaDone",
    "MediaStarted",
    "Progress",
    "Reply",
    "ReplyBatcher",
    "Retrieved",
    "SignalSpan",
    "TextDelta",
    "TokenEngine",
    "Usage",
    "edit",
    "spoken_caption",
]
