"""How people in the emoji world ask and how the assistant answers: tables of phrasings.

Every fifth phrasing of a list with at least five is kept for tests (`usable`), so that a test never
asks in words that training has used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

# The tables, by what they speak of: names in capitals and nothing else.
from emoji_mini.world.phrases.follow_ups import *  # noqa: F403
from emoji_mini.world.phrases.occasions import *  # noqa: F403
from emoji_mini.world.phrases.questions import *  # noqa: F403
from emoji_mini.world.phrases.requests import *  # noqa: F403
from emoji_mini.world.phrases.scenes import *  # noqa: F403
from emoji_mini.world.phrases.talk import *  # noqa: F403
from emoji_mini.world.scenes import Split

T = TypeVar("T")
HELD_OUT_EVERY = 5


def usable(phrases: Sequence[T], split: Split) -> Sequence[T]:
    """The phrasings that a split may use. Short lists are shared by both."""
    if len(phrases) < HELD_OUT_EVERY:
        return phrases
    test = range(HELD_OUT_EVERY - 1, len(phrases), HELD_OUT_EVERY)
    return [phrase for n, phrase in enumerate(phrases) if (n in test) == (split == "test")]
