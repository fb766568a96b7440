"""Rows on disk or on the hub -> conversations: one file per format, and their mixture."""

from __future__ import annotations

from anyweave.data.messages_jsonl import MessagesJsonl, read_messages, write_messages
from anyweave.data.mixture import Epoch, Mixture, Source

__all__ = ["Epoch", "MessagesJsonl", "Mixture", "Source", "read_messages", "write_messages"]
