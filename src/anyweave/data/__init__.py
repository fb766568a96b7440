"""Rows on disk or on the hub -> conversations: one file per format, and their mixture."""

from __future__ import annotations

from anyweave.data.format import Format
from anyweave.data.formats import FORMATS, resolve
from anyweave.data.messages_jsonl import write_messages
from anyweave.data.mixture import Epoch, Mixture, Source
from anyweave.data.place import ReadOptions
from anyweave.data.records import MessagesJsonl, Records, open_data, read_messages, stream

__all__ = [
    "FORMATS",
    "Epoch",
    "Format",
    "MessagesJsonl",
    "Mixture",
    "ReadOptions",
    "Records",
    "Source",
    "open_data",
    "read_messages",
    "resolve",
    "stream",
    "write_messages",
]
