"""Where a reply ends: runs of ids that may take several tokens to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence


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
