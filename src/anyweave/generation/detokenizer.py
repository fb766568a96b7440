"""Decodes ids to text incrementally, whole characters only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

REPLACEMENT = "\ufffd"


class IncrementalDetokenizer:
    """Feed ids one at a time; text comes out as soon as it is certain.

    A character may take several tokens, and some tokenizers strip the first space. So each step
    decodes a short window twice, without and with the new ids, and returns the difference; the cost
    is independent of the reply's length.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._start = 0  # start of the window
        self._read = 0  # ids already returned as text

    def push(self, token_id: int) -> tuple[str, tuple[int, ...]] | None:
        """The new text and its ids, or None while a character is incomplete."""
        self._ids.append(token_id)
        before, now = self._window()
        if len(now) <= len(before) or now.endswith(REPLACEMENT):
            return None
        return self._give(now[len(before) :])

    def flush(self) -> tuple[str, tuple[int, ...]] | None:
        """What is left at the end of a run. Incomplete characters are dropped from the text, but
        their ids are kept.
        """
        if self._read == len(self._ids):
            return None
        before, now = self._window()
        return self._give(now[len(before) :].rstrip(REPLACEMENT))

    def _window(self) -> tuple[str, str]:
        return self._decode(self._ids[self._start : self._read]), self._decode(
            self._ids[self._start :]
        )

    def _give(self, text: str) -> tuple[str, tuple[int, ...]]:
        ids = tuple(self._ids[self._read :])
        self._start, self._read = self._read, len(self._ids)
        return text, ids
