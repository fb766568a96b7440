"""Conversations whose keys and values are kept between requests.

A request brings its whole history. If that is a conversation answered here, its session continues:
only what is new is read. The least recently used are dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from anyweave.generation import ChatSession
from anyweave.generation.events import Dropped
from anyweave.messages import Media, Message, Modality
from anyweave.serving.intake import Turn


@dataclass
class Conversation:
    """A session and what it has heard. `chain` has a digest for each prefix of it, `dropped` is
    what the session no longer knows of it.
    """

    owner: str
    session: ChatSession
    history: list[Message] = field(default_factory=list)
    chain: list[bytes] = field(default_factory=list)
    dropped: Dropped = Dropped()

    @property
    def weight(self) -> int:
        """Bytes of its media."""
        sources = [p.source for m in self.history for p in m.parts if isinstance(p, Media)]
        return sum(source.nbytes for source in sources if isinstance(source, np.ndarray))


class Conversations:
    """The kept ones, and new ones from `begin`. They are taken and put back in one thread, and
    whoever takes one has it exclusively.
    """

    def __init__(
        self, begin: Callable[[Sequence[Message]], ChatSession], *, most: int, max_media: int
    ) -> None:
        self._begin, self._most, self._max_media = begin, most, max_media
        self._kept: list[Conversation] = []  # the least recently used first

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, owner: str, turns: Sequence[Turn]) -> tuple[Conversation | None, int]:
        """The kept conversation that `turns` (without the new one) continue, and how many of them
        it knows. (None, 0) where there is none.

        A conversation may also be rolled back by one exchange: that is how replies are regenerated.
        """
        chain = chained(turns)
        best: Conversation | None = None
        most = 0
        for kept in self._kept if owner else ():
            known = _known(kept, turns, chain)
            goes_on = known == len(turns) and known >= len(kept.chain) - 2
            if kept.owner == owner and goes_on and known >= most and known:
                best, most = kept, known
        if best is not None:
            self._kept.remove(best)
        return best, most

    def open(
        self, owner: str, kept: Conversation | None, known: int, history: Sequence[Message]
    ) -> Conversation:
        """A conversation that has heard `history` and nothing else."""
        if kept is None:
            return Conversation(owner, self._begin(history), list(history))
        if known < len(kept.history):
            kept.history, kept.chain = kept.history[:known], kept.chain[:known]
            kept.session.messages, kept.dropped = list(kept.history), Dropped()
        return kept

    def put(
        self, conversation: Conversation, turns: Sequence[Turn], user: Message, reply: Message
    ) -> None:
        """Keep a conversation after `reply` to the last of `turns`."""
        conversation.history += [user, reply]
        turn = Turn("assistant", (), reply_digest(reply), None)
        conversation.chain = chained([*turns, turn])
        self.put_back(conversation)

    def put_back(self, conversation: Conversation) -> None:
        """Keep a conversation as it was."""
        if conversation.chain:
            self._kept.append(conversation)
        while len(self._kept) > self._most or (
            self._kept and sum(c.weight for c in self._kept) > self._max_media
        ):
            self._kept.pop(0)


def chained(turns: Sequence[Turn]) -> list[bytes]:
    """A digest of every prefix of `turns`."""
    digest, chain = hashlib.sha256(), []
    for turn in turns:
        digest.update(turn.digest)
        chain.append(digest.digest())
    return chain


def reply_digest(reply: Message) -> bytes:
    """The digest of a reply's turn, as `Turn.digest`."""
    digest = hashlib.sha256(b"assistant")
    digest.update(reply.text.encode())
    return digest.digest()


def _known(kept: Conversation, turns: Sequence[Turn], chain: Sequence[bytes]) -> int:
    """How many of `turns` a conversation begins with."""
    known = 0
    heard = zip(turns, chain, kept.chain, kept.history, strict=False)
    for turn, digest, ours, message in heard:
        if digest != ours or turn.kinds not in (None, _kinds(message)):
            break
        known += 1
    return known


def _kinds(message: Message) -> tuple[Modality, ...]:
    return tuple(part.modality for part in message.media())
