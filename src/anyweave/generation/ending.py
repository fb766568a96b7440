"""Where a reply ends: runs of ids, and strings, that may take several tokens to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from anyweave.generation.events import TextDelta


class EndOfTurn:
    """Holds ids back while they may be the beginning of one of `stops`, so that no part of an
    ending is ever shown as text; likewise the last ids that `uncertain` counts.
    """

    def __init__(
        self,
        stops: Sequence[tuple[int, ...]],
        uncertain: Callable[[Sequence[int]], int] = lambda ids: 0,
    ) -> None:
        self._uncertain = uncertain
        self._stops = sorted(stops, key=len, reverse=True)  # the longest ending that fits counts
        self._held: list[int] = []

    @property
    def held(self) -> tuple[int, ...]:
        return tuple(self._held)

    def completed_by(self, token_id: int) -> tuple[int, ...]:
        """The ending that `token_id`, not pushed yet, completes, or (). No longer held then."""
        said = (*self._held, token_id)
        for stop in self._stops:
            if said[-len(stop) :] == stop:
                del self._held[len(said) - len(stop) :]
                return stop
        return ()

    def push(self, token_id: int) -> list[int]:
        """Take one more id; returns the ids that are certain to be text now, in order."""
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
        """What is still held: it is text, for no ending follows."""
        held, self._held = self._held, []
        return held


class StopStrings:
    """Holds text back while it may be the beginning of one of `stops`. Once one was said,
    `found` is True, and it and what follows are never given out.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held: list[TextDelta] = []
        self.found = False

    def push(self, delta: TextDelta) -> Iterator[TextDelta]:
        """Take more text; gives what is certain now."""
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
        """What is still held: it is text, for something else than text follows."""
        if not self.found:
            yield from self._held
            self._held = []

    @property
    def hidden(self) -> int:
        """How many ids were taken and not given out."""
        return sum(len(held.token_ids or ()) for held in self._held)

    def _give(self, length: int) -> Iterator[TextDelta]:
        """The first `length` characters: whole deltas with their ids, and of one in which a stop
        string begins the text before that, whose ids are unknown.
        """
        while self._held and len(self._held[0].text) <= length:
            length -= len(self._held[0].text)
            yield self._held.pop(0)
        if self.found and length:
            yield TextDelta(text=self._held[0].text[:length], token_ids=None)
