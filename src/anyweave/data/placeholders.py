"""Texts with ``<image>``, ``<video>``, ``<audio>`` in place of media, as in most formats.

White space between two media, or between a turn's words and media that open or close it, is layout
and dropped; so is one line break beside any other medium.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from anyweave.data.place import Place
from anyweave.messages import (
    MEDIA_MODALITIES,
    PAPER_MODALITIES,
    Media,
    Message,
    Modality,
    Part,
    Role,
    Text,
)

Turn = tuple[Role, str]
"""Who speaks, and the words with placeholders."""
Supply = Mapping[Modality, Sequence[tuple[Any, str | None]]]
"""A row's media in order, in any form that `Place.medium` takes, with captions."""


def read_turns(
    turns: Sequence[Turn], media: Supply, place: Place, *, made: Supply | None = None
) -> list[Message]:
    """Messages from turns, their placeholders filled in order.

    `made` are the assistant's media where a format keeps them separate; otherwise all turns take
    from `media`. Media of a modality without any placeholder come first in the first user turn.
    Raises `RowError` if there are more placeholders than media, or vice versa.
    """
    turns = [(role, place.text(words, f"turn {at}")) for at, (role, words) in enumerate(turns)]
    supplies = {False: media, True: media if made is None else made}
    queues = {key: {m: list(found) for m, found in s.items()} for key, s in supplies.items()}
    if made is None:
        queues[True] = queues[False]
    # <table> is HTML in rows that have no tables; <image> never is.
    others = {m for m in MEDIA_MODALITIES for s in supplies.values() if s.get(m)}
    pattern = _pattern((*PAPER_MODALITIES, *sorted(others - {*PAPER_MODALITIES})))
    turns = _media_first(turns, media, apart=made is not None)
    messages = []
    for role, words in turns:
        assistant = role == "assistant"

        def take(found: re.Match[str], role: Role = role, assistant: bool = assistant) -> Media:
            modality = found[1]
            queue = queues[assistant].get(modality)
            if not queue:
                count = len(supplies[assistant].get(modality, ()))
                raise place.error("", f"more {found[0]} placeholders than media ({count})")
            value, caption = queue.pop(0)
            return place.medium(modality, value, modality, role=role, caption=caption)

        messages.append(Message(role, parts_of(words, take, pattern)))
    for queue in queues.values():
        for modality, left in queue.items():
            if left:
                problem = f"{len(left)} more {modality} media than <{modality}> placeholders"
                raise place.error("", problem)
    return messages


def find_placeholders(words: str) -> list[str]:
    """The placeholders in some words."""
    return [found[0] for found in _pattern().finditer(words)]


def _pattern(of: Iterable[Modality] = MEDIA_MODALITIES) -> re.Pattern[str]:
    return re.compile(rf"<({'|'.join(of)})>")


def parts_of(
    words: str, take: Callable[[re.Match[str]], Media], pattern: re.Pattern[str]
) -> list[Part]:
    """The parts of a turn; `take` gives the medium for every match of `pattern`."""
    texts: list[str] = []
    media: list[Media] = []
    passed = 0
    for found in pattern.finditer(words):
        texts.append(words[passed : found.start()])
        media.append(take(found))
        passed = found.end()
    texts.append(words[passed:])
    if not media:
        return [Text(words)]
    spoken = [index for index, text in enumerate(texts) if text.strip()]
    parts: list[Part] = []
    for index, text in enumerate(texts):  # media[index - 1], text, media[index]
        if index in spoken:
            if index > 0:
                text = text.lstrip() if index == spoken[0] else text.removeprefix("\n")
            if index < len(media):
                text = text.rstrip() if index == spoken[-1] else text.removesuffix("\n")
            parts.append(Text(text))
        parts += media[index : index + 1]
    return parts


def write_turn(
    message: Message,
    turn: int,
    mark: Callable[[Media, str], str] = lambda part, _: f"<{part.modality}>",
) -> str:
    """The words of a message with ``mark(medium, "turn_part")`` in place of its media.

    Raises `ValueError` for text that would be read as a placeholder.
    """
    found = _pattern().search(message.text)
    if found is not None:
        raise ValueError(f"its text has the letters {found[0]}, which would be read as a medium")
    pieces: list[str] = [""]
    media: list[str] = []
    for index, part in enumerate(message.parts):
        if isinstance(part, Text):
            pieces[-1] += part.text
        else:
            media.append(mark(part, f"{turn}_{index}"))
            pieces.append("")
    spoken = [index for index, text in enumerate(pieces) if text.strip()]
    written = ""
    for index, text in enumerate(pieces):
        if index in spoken:
            if index > 0 and (index == spoken[0] or text.startswith("\n")):
                text = "\n" + text
            if index < len(media) and (index == spoken[-1] or text.endswith("\n")):
                text += " " if index == spoken[-1] else "\n"
        elif media:
            text = ""
        written += text + "".join(media[index : index + 1])
    return written


def _media_first(turns: Sequence[Turn], media: Supply, *, apart: bool) -> Sequence[Turn]:
    """The turns with placeholders in front for the modalities that no turn asks for."""
    asked = "".join(words for role, words in turns if not apart or role != "assistant")
    front = "".join(
        f"<{modality}>" * len(media.get(modality, ()))
        for modality in MEDIA_MODALITIES
        if f"<{modality}>" not in asked
    )
    for index, (role, words) in enumerate(turns):
        if front and role == "user":
            return [*turns[:index], (role, f"{front}\n{words}"), *turns[index + 1 :]]
    return turns
