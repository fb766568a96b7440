"""Instructions: LLaVA-150K, VideoChat and Alpaca in their published form, or in the reference's.

LLaVA names one picture: ``{"id", "image", "conversations": [{"from", "value"}]}`` with ``<image>``
in a human turn. VideoChat asks about a clip: ``{"video", "QA": [{"i", "q", "a"}]}``, where `i`, if
any, is an instruction for the whole dialogue; the LLaVA form works too. Alpaca is
``{"instruction", "input", "output"}``, and may have `history`, `system` and media in lists, as in
the ShareGPT family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anyweave.data.dialogue import without_system, written_turns
from anyweave.data.format import Format, Written
from anyweave.data.nextgpt import is_reference, read_reference
from anyweave.data.place import IDS, Place, each, is_empty
from anyweave.data.placeholders import Supply, Turn, read_turns
from anyweave.data.sharegpt import is_exchange, is_words, read_sharegpt
from anyweave.data.store import PathOf
from anyweave.messages import MEDIA_MODALITIES, Conversation, Media, Modality


def _read_llava(row: Any, place: Place) -> Conversation:
    place.object(row, "", required=(), optional=None)
    if "conversation" in row or is_reference(row):
        return read_reference(row, place)
    place.object(row, "", required=("conversations",), optional=None)
    return read_sharegpt(row, place)


def _read_videochat(row: Any, place: Place) -> Conversation:
    place.object(row, "", required=(), optional=None)
    if "QA" not in row:
        return _read_llava(row, place)

    def exchange(entry: Any, index: int) -> tuple[Turn, Turn]:
        key = f"QA[{index}]"
        place.object(entry, key, required=("q", "a"), optional=None)
        again = index == 0 or entry.get("i") == exchanges[0].get("i")
        place.rest(entry, key, ("q", "a", *("i",) * again))
        question, answer = (place.text(entry[name], f"{key}.{name}") for name in ("q", "a"))
        return ("user", question), ("assistant", answer)

    exchanges = place.turns(row["QA"], "QA")
    turns: list[Turn] = [turn for both in each(exchange, exchanges) for turn in both]
    instruction = exchanges[0].get("i")
    if not is_empty(instruction):
        turns.insert(0, ("system", place.text(instruction, "QA[0].i")))
    place.rest(row, "", ("QA", *MEDIA_MODALITIES))
    return read_turns(turns, _media(row, place), place)


def _read_alpaca(row: Any, place: Place) -> Conversation:
    place.object(row, "", required=(), optional=None)
    if "conversations" in row or "conversation" in row:
        return read_reference(row, place)
    place.object(row, "", required=("instruction", "output"), optional=None)
    return read_sharegpt(row, place, may_be_text=True)


def _media(row: Mapping[str, Any], place: Place) -> Supply:
    return {m: [(value, None) for value in place.items(row.get(m), m)] for m in MEDIA_MODALITIES}


def _write_llava(conversation: Conversation, path_of: PathOf) -> Written:
    spoken, lost = without_system(conversation)
    if any(message.media() for message in spoken if message.role == "assistant"):
        raise ValueError("the assistant makes a medium; LLaVA's replies are words")
    media: dict[Modality, list[str]] = {}

    def mark(part: Media, at: str) -> str:
        media.setdefault(part.modality, []).append(path_of(part, at))
        return f"<{part.modality}>"

    turns = written_turns(spoken, mark)
    row: dict[str, Any] = {m: names[0] if len(names) == 1 else names for m, names in media.items()}
    return Written({**row, "conversations": turns}, lost)


def _write_videochat(conversation: Conversation, path_of: PathOf) -> Written:
    spoken, _ = without_system(conversation)
    media = [(i, part) for i, message in enumerate(spoken) for part in message.media()]
    if len(media) != 1 or media[0][0] != 0 or spoken[0].role != "user":
        raise ValueError("VideoChat asks about one medium, shown in the first turn")
    users, assistants = spoken[::2], spoken[1::2]
    alternate = {message.role for message in users}, {message.role for message in assistants}
    if alternate != ({"user"}, {"assistant"}) or len(users) != len(assistants):
        raise ValueError("VideoChat is questions with one answer each, in turn")
    medium = media[0][1]
    instruction = "\n".join(message.text for message in conversation if message.role == "system")
    exchanges = [
        {"i": instruction if index == 0 else "", "q": user.text, "a": assistant.text}
        for index, (user, assistant) in enumerate(zip(users, assistants, strict=True))
    ]
    moved = ("place of the medium",) * (spoken[0].parts[0] is not medium)
    return Written({medium.modality: path_of(medium, "0_0"), "QA": exchanges}, moved)


def _write_alpaca(conversation: Conversation, path_of: PathOf) -> Written:
    spoken, lost = without_system(conversation)
    if [message.role for message in spoken] != ["user", "assistant"]:
        raise ValueError(f"Alpaca is one request and one reply; this has {len(spoken)} messages")
    if any(message.media() for message in spoken):
        raise ValueError("Alpaca is text; this has media")
    row = {"instruction": spoken[0].text, "input": "", "output": spoken[1].text}
    return Written(row, lost)


def _names(modality: Modality) -> Callable[[Mapping[str, Any]], bool | None]:
    """LLaVA's form for one kind of media; text-only rows may be mixed in."""

    def recognises(row: Mapping[str, Any]) -> bool | None:
        if "conversations" not in row:
            return False
        return True if modality in row else None if is_words(row) else False

    return recognises


LLAVA = Format(
    name="llava",
    about="LLaVA-150K: a picture and words about it",
    ignores=IDS,
    recognises=_names("image"),
    read=_read_llava,
    write=_write_llava,
)
VIDEOCHAT = Format(
    name="videochat",
    about="VideoChat: a clip, questions and answers",
    ignores=IDS,
    recognises=lambda row: "QA" in row or _names("video")(row),
    read=_read_videochat,
    write=_write_videochat,
)
ALPACA = Format(
    name="alpaca",
    about="Alpaca: a request and a reply, written as text only",
    ignores=IDS,
    recognises=is_exchange,
    read=_read_alpaca,
    write=_write_alpaca,
)
