"""Emoji MosIT: dialogues of people who talk, show, ask and listen, in the emoji world."""

from __future__ import annotations

from emoji_mini.world.mosit.build import DATASETS, build_emoji_data
from emoji_mini.world.mosit.situations import read_bank, read_situations

__all__ = ["DATASETS", "build_emoji_data", "read_bank", "read_situations"]
