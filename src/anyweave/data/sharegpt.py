"""ShareGPT and related formats with media: what LLaMA-Factory and ms-swift train on.

    {"messages": [{"role": "user", "content": "<image>Who is this?"},
                  {"role": "assistant", "content": "A fox."}],
     "images": ["fox.png"]}

The turns are in `messages`, `conversations` or `conversation`, with `role` and `content` or `from`
and `value`, or as ``{"human": ..., "assistant": ...}``; or there is one exchange in
`instruction`/`query`, `input`, `output`/`response`, with earlier ones in `history`. `system` is a
message or a key. Media are in `images`, `videos`, `audios` in the order of their placeholders,
whoever shows them. A list of content parts works too (see `parts`). Other keys, such as tools and
rejected replies, have no place and count as lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from anyweave.data.dialogue import NAMES, SPEAKERS, written_turns
from anyweave.data.format import Format, Written
from anyweave.data.parts import read_part
from anyweave.data.place import IDS, Place, each, is_empty, listed, shown
from anyweave.data.placeholders import Turn, find_placeholders, read_turns
from anyweave.data.store import PathOf
from anyweave.messages import (
    MEDIA_MODALITIES,
    ROLES,
    Conversation,
    Media,
    Message,
    Modality,
    Role,
)

_SPEAKERS: dict[str, Role] = {**{role: role for role in ROLES}, **SPEAKERS}
_TURNS = ("messages", "conversations", "conversation")
_REQUESTS, _REPLIES = ("instruction", "query"), ("output", "response")
# These can exclude a reply from training, which we cannot express; learning it would be wrong.
_LEARN = ("loss", "loss_mask", "weight", "train", "trainable")

_Found = dict[Modality, list[tuple[Any, str | None]]]


def _keys() -> dict[Modality, tuple[str, str]]:
    return {m: (f"{m}s", m) for m in MEDIA_MODALITIES}


def read_sharegpt(row: Any, place: Place, *, may_be_text: bool = False) -> Conversation:
    """The conversation of a row in any of these shapes.

    `may_be_text`: in a row without media, placeholders are words, which counts as a loss.
    """
    place.object(row, "", required=(), optional=None)
    listed_media: _Found = {
        modality: [(value, None) for key in keys for value in place.items(row.get(key), key)]
        for modality, keys in _keys().items()
    }
    media: _Found = {modality: list(found) for modality, found in listed_media.items()}
    empty = [key for key in _TURNS if key in row and not any(name in row for name in _REQUESTS)]
    key = next((key for key in (*(key for key in _TURNS if row.get(key)), *empty)), None)
    if key is None:
        turns, read = _exchanges(row, place)
    else:
        turns, read = _turns(row[key], key, media, place), (key,)
    for modality, found in media.items():
        if listed_media[modality] and len(found) > len(listed_media[modality]):
            raise place.error(
                "",
                f"{modality} media stand both in parts and in {listed(_keys()[modality])}, so "
                "their order is not clear; name them in one of the two",
            )
    if not is_empty(row.get("system")):
        turns.insert(0, ("system", place.text(row["system"], "system")))
    place.rest(row, "", (*read, "system", *(key for keys in _keys().values() for key in keys)))
    if may_be_text and not any(media.values()):
        texts = [(role, place.text(words, f"turn {at}")) for at, (role, words) in enumerate(turns)]
        marks = {mark for _, words in texts for mark in find_placeholders(words)}
        place.lost.extend(f"{mark} without a medium, which is read as a word" for mark in marks)
        return [Message(role, words) for role, words in texts]
    return read_turns(turns, media, place)


def _turns(value: Any, key: str, media: _Found, place: Place) -> list[Turn]:
    taken: Counter[str] = Counter()  # media of the row's own lists that parts have used

    def turn(entry: Any, index: int) -> list[Turn]:
        at = f"{key}[{index}]"
        place.object(entry, at, required=(), optional=None)
        if "human" in entry:
            place.object(entry, at, required=("human", "assistant"), optional=None)
            place.rest(entry, at, ("human", "assistant"))
            return [("user", entry["human"]), ("assistant", entry["assistant"])]
        who, what = ("role", "content") if "role" in entry else ("from", "value")
        place.object(entry, at, required=(who, what), optional=None)
        if not isinstance(entry[who], str) or entry[who] not in _SPEAKERS:
            raise place.error(at, f"unknown role {shown(entry[who])}; known: {listed(_SPEAKERS)}")
        role = _SPEAKERS[entry[who]]
        for name in _LEARN if role == "assistant" else ():
            if entry.get(name) in (0, False):
                raise place.error(
                    f"{at}.{name}",
                    f"{shown(entry[name])} says that this reply is not to be learnt from, but all "
                    "replies are; leave the row out",
                )
        # Flags that ask for what is done anyway: learn from replies, not from requests.
        asked = (1, True) if role == "assistant" else (0, False)
        done = [name for name in _LEARN if name in entry and entry[name] in asked]
        place.rest(entry, at, (who, what, *done))
        return [(role, _words(entry[what], f"{at}.{what}", media, taken, place))]

    return [turn for found in each(turn, place.turns(value, key)) for turn in found]


def _words(content: Any, key: str, media: _Found, taken: Counter[str], place: Place) -> str:
    """Content as words with placeholders; media in a list of parts are added to `media`."""
    if not isinstance(content, list):
        return place.text(content, key)
    words = ""
    for index, part in enumerate(content):
        found = read_part(part, f"{key}[{index}]", place)
        if isinstance(found, str):
            words += found
            continue
        modality, source, caption = found
        if source is not None:
            media[modality].append((source, caption))
        else:  # it is in the row's own list
            if part.get("index", taken[modality]) not in (None, taken[modality]):
                problem = f"{modality} {shown(part['index'])}, but the next is {taken[modality]}"
                raise place.error(f"{key}[{index}].index", problem)
            if caption is not None:
                place.lost.append("captions of media in lists")
            taken[modality] += 1
        words += f"<{modality}>"
    return words


def _exchanges(row: Mapping[str, Any], place: Place) -> tuple[list[Turn], tuple[str, ...]]:
    """The turns of a row that is one exchange, and their keys."""
    request = next((key for key in _REQUESTS if key in row), None)
    reply = next((key for key in _REPLIES if key in row), None)
    if request is None or reply is None:
        known = listed((*_TURNS, "instruction with output", "query with response"))
        raise place.error("", f"no turns; they stand in {known}")
    words = place.text(row[request], request)
    given = "" if row.get("input") is None else place.text(row["input"], "input")
    if given.strip():
        words += "\n" + given
    before = place.items(row.get("history"), "history")
    if not all(isinstance(entry, (list, tuple)) and len(entry) == 2 for entry in before):
        raise place.error("history", "a list of pairs, request and reply")
    turns: list[Turn] = []
    for human, assistant in (*before, (words, row[reply])):
        turns += [("user", human), ("assistant", assistant)]
    return turns, (request, "input", reply, "history")


def _write(who: str, what: str, key: str, names: Mapping[Role, str]) -> Any:
    def write(conversation: Conversation, path_of: PathOf) -> Written:
        media: dict[str, list[str]] = {}
        lost: list[str] = []

        def mark(part: Media, at: str) -> str:
            media.setdefault(f"{part.modality}s", []).append(path_of(part, at))
            if part.caption is not None:
                lost.append("captions of media")
            return f"<{part.modality}>"

        turns = written_turns(conversation, mark, who, what, names)
        return Written({key: turns, **media}, tuple(lost))

    return write


def is_words(row: Mapping[str, Any]) -> bool:
    """Whether a row has turns and names no media; such rows may be mixed in with others."""
    media = any(modality in str(key) for modality in MEDIA_MODALITIES for key in row)
    return not media and any(row.get(key) for key in _TURNS[1:])


def is_exchange(row: Mapping[str, Any]) -> bool:
    """Whether a row is Alpaca's, with or without media."""
    return "instruction" in row and "output" in row and not any(key in row for key in _TURNS)


SHAREGPT = Format(
    name="sharegpt",
    about="ShareGPT with media: conversations, from, value",
    ignores=IDS,
    recognises=lambda row: any(key in row for key in _TURNS[1:]) or "query" in row,
    read=read_sharegpt,
    write=_write(
        "from",
        "value",
        "conversations",
        NAMES,
    ),
)
LLAMA_FACTORY = Format(
    name="llama-factory",
    about="LLaMA-Factory with media: messages, role, content, or instruction and output",
    ignores=IDS,
    recognises=lambda row: "messages" in row or is_exchange(row),
    read=read_sharegpt,
    write=_write(
        "role",
        "content",
        "messages",
        {role: role for role in ROLES},
    ),
)
MS_SWIFT = replace(
    LLAMA_FACTORY,
    name="ms-swift",
    about="ms-swift with media: messages, role, content, or query and response",
    recognises=lambda row: False,  # indistinguishable from LLaMA-Factory's
)
