"""ShareGPT and its kin with media: what LLaMA-Factory and ms-swift train on.

    {"messages": [{"role": "user", "content": "<image>Who is this?"},
                  {"role": "assistant", "content": "A fox."}],
     "images": ["fox.png"]}

The turns stand in `messages`, `conversations` or `conversation`, with `role` and `content` or
`from` and `value`, or as ``{"human": ..., "assistant": ...}``; or there is one exchange in
`instruction`/`query`, `input`, `output`/`response`, with those before it in `history`. `system` is
a message or a key. Media stand in `images`, `videos`, `audios` in the order of their placeholders,
whoever's they are. A list of content parts goes too. Tools and rejected replies are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from anyweave.data.formats import Format, Written
from anyweave.data.place import Place, each, listed, shown
from anyweave.data.placeholders import Turn, read_turns, write_turn
from anyweave.data.store import PathOf
from anyweave.messages import MEDIA_MODALITIES, Conversation, Media, Modality, Role

ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "system": "system",
}
_TURNS = ("messages", "conversations", "conversation")
_REQUESTS, _REPLIES = ("instruction", "query"), ("output", "response")

_Found = dict[Modality, list[tuple[Any, str | None]]]


def _read(row: Any, place: Place) -> Conversation:
    place.object(row, "", required=(), optional=None)
    media: _Found = {
        modality: [
            (value, None)
            for key in (f"{modality}s", modality)
            for value in place.items(row.get(key), key)
        ]
        for modality in MEDIA_MODALITIES
    }
    key = next((key for key in _TURNS if row.get(key)), None)
    turns = _exchanges(row, place) if key is None else _turns(row[key], key, media, place)
    if row.get("system"):
        turns.insert(0, ("system", place.text(row["system"], "system")))
    return read_turns(turns, media, place)


def _turns(value: Any, key: str, media: _Found, place: Place) -> list[Turn]:
    def turn(entry: Any, index: int) -> list[Turn]:
        at = f"{key}[{index}]"
        place.object(entry, at, required=(), optional=None)
        if "human" in entry:
            place.object(entry, at, required=("human", "assistant"), optional=None)
            return [("user", entry["human"]), ("assistant", entry["assistant"])]
        who, what = ("role", "content") if "role" in entry else ("from", "value")
        place.object(entry, at, required=(who, what), optional=None)
        if not isinstance(entry[who], str) or entry[who] not in ROLES:
            raise place.error(at, f"unknown role {shown(entry[who])}; known: {listed(ROLES)}")
        return [(ROLES[entry[who]], _words(entry[what], f"{at}.{what}", media, place))]

    return [turn for found in each(turn, place.turns(value, key)) for turn in found]


def _words(content: Any, key: str, media: _Found, place: Place) -> str:
    """Content as words with placeholders; media in a list of parts are added to `media`."""
    if not isinstance(content, list):
        return place.text(content, key)
    words = ""
    for index, part in enumerate(content):
        at = f"{key}[{index}]"
        kind = place.object(part, at, required=("type",), optional=None)["type"]
        if kind == "text":
            words += place.text(part.get("text"), f"{at}.text")
        elif kind in MEDIA_MODALITIES:
            if part.get(kind) is not None:  # else it stands in the row's own list
                media[kind].append((part[kind], None))
            words += f"<{kind}>"
        else:
            known = listed(("text", *MEDIA_MODALITIES))
            raise place.error(at, f"unknown type {shown(kind)}; a type is {known}")
    return words


def _exchanges(row: Mapping[str, Any], place: Place) -> list[Turn]:
    request = next((key for key in _REQUESTS if key in row), None)
    reply = next((key for key in _REPLIES if key in row), None)
    if request is None or reply is None:
        known = listed((*_TURNS, "instruction with output", "query with response"))
        raise place.error("", f"no turns; they stand in {known}")
    words = place.text(row[request], request)
    if row.get("input"):
        words += "\n" + place.text(row["input"], "input")
    before = place.items(row.get("history"), "history")
    if not all(isinstance(entry, (list, tuple)) and len(entry) == 2 for entry in before):
        raise place.error("history", "a list of pairs, request and reply")
    turns: list[Turn] = []
    for human, assistant in (*before, (words, row[reply])):
        turns += [("user", human), ("assistant", assistant)]
    return turns


def _write(who: str, what: str, key: str, names: Mapping[Role, str]) -> Any:
    def write(conversation: Conversation, path_of: PathOf) -> Written:
        media: dict[str, list[str]] = {}
        lost: list[str] = []

        def mark(part: Media, at: str) -> str:
            media.setdefault(f"{part.modality}s", []).append(path_of(part, at))
            if part.caption is not None:
                lost.append("captions of media")
            return f"<{part.modality}>"

        turns = [
            {who: names[message.role], what: write_turn(message, turn, mark)}
            for turn, message in enumerate(conversation)
        ]
        return Written({key: turns, **media}, tuple(lost))

    return write


def _lists_media(row: Mapping[str, Any]) -> bool:
    return any(f"{modality}s" in row for modality in MEDIA_MODALITIES)


SHAREGPT = Format(
    name="sharegpt",
    about="ShareGPT with media: conversations, from, value",
    recognises=lambda row: any(key in row for key in _TURNS[1:]) or "query" in row,
    read=_read,
    write=_write(
        "from",
        "value",
        "conversations",
        {"user": "human", "assistant": "gpt", "system": "system"},
    ),
)
LLAMA_FACTORY = Format(
    name="llama-factory",
    about="LLaMA-Factory with media: messages, role, content, or instruction and output",
    recognises=lambda row: "messages" in row or ("instruction" in row and _lists_media(row)),
    read=_read,
    write=_write(
        "role",
        "content",
        "messages",
        {"user": "user", "assistant": "assistant", "system": "system"},
    ),
)
MS_SWIFT = replace(
    LLAMA_FACTORY,
    name="ms-swift",
    about="ms-swift with media: messages, role, content, or query and response",
    recognises=lambda row: False,  # nothing tells it from LLaMA-Factory's
)
