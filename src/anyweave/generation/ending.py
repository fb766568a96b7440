"""Where a reply ends: stop sequences of ids, and stop strings, that may span several tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from anyweave.generation.events import TextDelta


class EndOfTurn:
    """Holds back ids that may begin one of `stops`, so that no part of an ending is ever shown as
    text; likewise the last ids that `uncertain` counts.
    """

    def __init__(
        self,
        stops: Sequence[tuple[int, ...]],
        uncertain: Callable[[Sequence[int]], int] = lambda ids: 0,
    ) -> None:
        self._uncertain = uncertain
        self._stops = sorted(stops, key=len, reverse=True)  # the longest match wins
        self._held: list[int] = []

    @property
    def held(self) -> tuple[int, ...]:
        return tuple(self._held)

    def completed_by(self, token_id: int) -> tuple[int, ...]:
        """The ending that `token_id`, not pushed yet, completes, or (). Its ids are released."""
        said = (*self._held, token_id)
        for stop in self._stops:
            if said[-len(stop) :] == stop:
                del self._held[len(said) - len(stop) :]
                return stop
        return ()

    def push(self, token_id: int) -> list[int]:
        """Take one more id; returns the ids now certain to be text, in order."""
        self._held.append(token_id)
        keep = max(
            (
                length
                for stop in self._stops
                for length in range(1, len(stop))
                if tuple(self._held[-length:]) == stop[:length]
            ),
            default=0,
        )
        keep = max(keep, self._uncertain(self._held))
        certain = self._held[: len(self._held) - keep]
        del self._held[: len(certain)]
        return certain

    def release(self) -> list[int]:
        """Return the ids still held: they are text, as no ending follows."""
        held, self._held = self._held, []
        return held


class StopStrings:
    """Holds back text that may begin one of `stops`. Once one appears, `found` is True, and neither
    it nor what follows is returned.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held: list[TextDelta] = []
        self.found = False

    def push(self, delta: TextDelta) -> Iterator[TextDelta]:
        """Take more text; yields what is now certain."""
        self._held.append(delta)
        if self.found:
            return
        text = "".join(held.text for held in self._held)
        if places := [place for stop in self._stops if (place := text.find(stop)) >= 0]:
            self.found = True
            yield from self._give(min(places))
            return
        keep = max(
            (n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n])),
            default=0,
        )
        yield from self._give(len(text) - keep)

    def release(self) -> Iterator[TextDelta]:
        """Yield the text still held: something other than text follows."""
        if not self.found:
            yield from self._held
            self._held = []

    @property
    def hidden(self) -> int:
        """How many ids were taken and not returned."""
        return sum(len(held.token_ids or ()) for held in self._held)

    def _give(self, length: int) -> Iterator[TextDelta]:
        """The first `length` characters: whole deltas with their ids, and, from one in which a stop
        string begins, the text before it, whose ids are unknown.
        """
        while self._held and len(self._held[0].text) <= length:
            length -= len(self._held[0].text)
            yield self._held.pop(0)
        if self.found and length:
            yield TextDelta(text=self._held[0].text[:length], token_ids=None)
