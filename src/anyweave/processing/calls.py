"""Calls in words: how a language model that knows no signal tokens asks for media.

It is told how (`explanation`), sees `examples`, and writes ``<image>a red apple</image>``. The text
between the tags is the caption that the decoder's own text encoder reads. The signal run follows
the closing tag, so everything after the language model sees its usual stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anyweave.messages import Audio, Image, Media, Message, Modality, Video

MOST_WORDS = 64
"""Most tokens in one caption; a longer one is closed there."""
# Shown before every conversation: small models copy what they see and overlook what they are told.
_EXAMPLES: tuple[tuple[str, str | Media], ...] = (
    ("What is two plus three?", "Two plus three is five."),
    ("Draw a red apple.", Image(caption="a red apple")),
    ("Show me a clip of a running dog.", Video(caption="a running dog")),
    ("What colour is grass?", "Grass is green."),
    ("I want to hear a church bell.", Audio(caption="a church bell")),
    ("Can you make a picture of a house in the snow?", Image(caption="a house in the snow")),
    ("Thank you!", "You are welcome!"),
)
_WINDOW = 8  # tokens that an unfinished tag may take


class Calls:
    """The tags of some modalities as ids and as text.

    Args:
        modalities: those that can be asked for.
        encode: ordinary text as ids.
        decode: ids as text.
    """

    def __init__(
        self,
        modalities: Sequence[Modality],
        *,
        encode: Callable[[str], tuple[int, ...]],
        decode: Callable[[Sequence[int]], str],
    ) -> None:
        self.modalities = tuple(modalities)
        self.encode, self.decode = encode, decode
        self.opening = {m: encode(f"<{m}>") for m in self.modalities}
        self.closing = {m: encode(f"</{m}>") for m in self.modalities}
        self._bracket = encode(">")

    @property
    def explanation(self) -> str:
        """What every system message says about calls."""
        if not self.modalities:
            return ""
        tags = ", ".join(f"<{m}>...</{m}>" for m in self.modalities)
        return (
            f"You can answer with media. Write what one shows between its tags ({tags}), in plain "
            "words, and it is made and shown there. Do so when the user asks for it, and only then."
        )

    @property
    def examples(self) -> list[Message]:
        """An exchange for each modality, and some without media."""
        return [
            message
            for ask, answer in _EXAMPLES
            if isinstance(answer, str) or answer.modality in self.modalities
            for message in (Message("user", ask), Message("assistant", answer))
        ]

    def length(self, modality: Modality, *, begun: bool = False) -> int:
        """Positions that the shortest call takes: both tags, and a word. `begun`: what is left of
        it when the name in the opening tag is yet to be completed.
        """
        opening = len(self._bracket) + 1 if begun else len(self.opening[modality])
        return opening + 1 + len(self.closing[modality])

    def ids(self, part: Media) -> tuple[int, ...]:
        """The call for a medium: as the model spoke it, or made from its caption."""
        if part.token_ids is not None:
            return part.token_ids
        caption = " ".join((part.caption or "").replace("<", " ").split()) or part.modality
        return self.encode(f"<{part.modality}>{caption}</{part.modality}>")

    def begun(self, ids: Sequence[int]) -> Modality | None:
        """The modality whose opening tag the last of `ids` completes, perhaps without its `>`."""
        return self._ending(ids, "<")

    def closes(self, ids: Sequence[int]) -> bool:
        """Whether the last of `ids` completes a closing tag."""
        return self._ending(ids, "</") is not None

    def _ending(self, ids: Sequence[int], bracket: str) -> Modality | None:
        before, now = self.decode(ids[-_WINDOW:-1]), self.decode(ids[-_WINDOW:])
        for modality in self.modalities:
            tag = f"{bracket}{modality}"
            name = now.rfind(tag)
            rest = now[name + len(tag) :]
            if name >= 0 and tag not in before and (not rest or rest.startswith(">")):
                return modality
        return None

    def uncertain(self, ids: Sequence[int]) -> int:
        """How many of the last ids may be the beginning of a tag."""
        text = self.decode(ids[-_WINDOW:])
        cut = text.rfind("<")
        tags = [f"{bracket}{m}" for m in self.modalities for bracket in ("<", "</")]
        if cut < 0 or not any(tag.startswith(text[cut:]) for tag in tags):
            return 0
        return self._covering(ids, text[cut:])

    def _covering(self, ids: Sequence[int], text: str) -> int:
        """How many of the last ids it takes to write `text`."""
        count = 1
        while count < len(ids) and text not in self.decode(ids[len(ids) - count :]):
            count += 1
        return count

    def opened(self, ids: Sequence[int], modality: Modality) -> tuple[int, str, tuple[int, ...]]:
        """For ids that end in an opening tag: how many of them write it, the text before it in the
        first of these, and the ids that complete it.
        """
        count = self._covering(ids, f"<{modality}")
        text = self.decode(ids[len(ids) - count :])
        before, _, rest = text.rpartition(f"<{modality}")
        return count, before.rstrip(), () if rest else self._bracket

    def caption(self, ids: Sequence[int], modality: Modality) -> str:
        """The words of an open or complete call, as written."""
        return self.decode(ids).partition(f"<{modality}>")[2].replace("\ufffd", "")

    @staticmethod
    def is_over(caption: str) -> bool:
        """Whether the last token of a caption is no longer part of it: a tag or a new line."""
        return "<" in caption or "\n" in caption.lstrip()
