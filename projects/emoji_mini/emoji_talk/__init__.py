"""Conversations of the emoji world: what emoji-mini learns to talk from."""

from emoji_mini.emoji_talk.source import Dialogue, Dialogues

__all__ = ["Dialogue", "Dialogues"]
