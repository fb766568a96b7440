"""Rows on disk or on the hub -> conversations: one file per format, and their mixture."""

from __future__ import annotations

from anyweave.data.formats import FORMATS, Format, resolve
from anyweave.data.messages_jsonl import MessagesJsonl, read_messages, write_messages
from anyweave.data.mixture import Epoch, Mixture, Source
from anyweave.data.place import ReadOptions
from anyweave.data.records import Records
from anyweave.data.shards import Shards, stream

__all__ = [
    "FORMATS",
    "Epoch",
    "Format",
    "MessagesJsonl",
    "Mixture",
    "ReadOptions",
    "Records",
    "Shards",
    "Source",
    "read_messages",
    "resolve",
    "stream",
    "write_messages",
]
