"""The reference's JSON of 2023: one medium per dialogue (T2M, LLaVA, Alpaca), or tags (MosIT).

    {"mm_name": "b.wav", "output_modality": "audio", "conversation": [
      {"from": "human", "value": "Play rain.", "input_modality": "text"},
      {"from": "gpt", "value": "Here.", "caption": "rain", "output_modality": "audio"}]}
    {"image_list": [{"image_name": "a.jpg", "data_source": "mosit", "caption": "a fox"}],
     "video_list": [], "audio_list": [],
     "conversation": [{"from": "human", "value": "Show me a fox"},
                      {"from": "gpt", "value": "Here. <Image>a.jpg</Image>"}]}

Whatever the medium, its builder writes `image_name` and its loader reads `mm_name`: we read both.
In text-only dialogues (Alpaca) the name points nowhere and is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from anyweave.data.dialogue import entries, without_system, written_turns
from anyweave.data.format import Written
from anyweave.data.place import Place, each, is_empty, shown
from anyweave.data.placeholders import parts_of
from anyweave.data.store import PathOf
from anyweave.messages import (
    MEDIA_MODALITIES,
    Conversation,
    Media,
    Message,
    Modality,
    Part,
    Role,
    Text,
)

_TAG = re.compile(r"<(Image|Video|Audio)>\s*(.*?)\s*</\1>", re.DOTALL)
_Entry = tuple[Role, str, Mapping[str, Any]]


def has_lists(row: Mapping[str, Any]) -> bool:
    """Whether a row is MosIT's, with tags."""
    return any(f"{modality}_list" in row for modality in MEDIA_MODALITIES)


def read_single(row: Mapping[str, Any], place: Place) -> Conversation:
    """A dialogue with one medium, which belongs to the first turn that has one."""
    names = [row[key] for key in ("mm_name", "image_name") if not is_empty(row.get(key))]
    if len(names) > 1 and names[0] != names[1]:
        raise place.error("", "mm_name and image_name name two media, and a dialogue has one")
    name = names[0] if names else None
    place.rest(row, "", ("mm_name", "image_name", "output_modality", "conversation"))

    def message(turn: _Entry, index: int) -> Message:
        nonlocal name
        role, words, entry = turn
        side = "output_modality" if role == "assistant" else "input_modality"
        kind: Modality = entry.get(side) or "text"
        if kind != "text" and kind not in MEDIA_MODALITIES:
            raise place.error(f"conversation[{index}]", f"unknown {side} {shown(kind)}")
        if kind == "text" and not is_empty(entry.get("caption")):
            place.lost.append("captions of words")
        if kind == "text" or (role == "user" and name is None):  # shown in an earlier turn
            return Message(role, words)
        at, caption = f"conversation[{index}]", entry.get("caption") or None
        medium = place.medium(kind, name, at, role=role, caption=caption)
        name = None
        words = words.replace(f"<{kind}>", "").strip()
        text: list[Part] = [Text(words)] if words else []
        return Message(role, [*text, medium] if role == "assistant" else [medium, *text])

    read = ("caption", "input_modality", "output_modality")
    return each(message, entries(row["conversation"], "conversation", place, read))


def read_tags(row: Mapping[str, Any], place: Place) -> Conversation:
    """A dialogue with media in place of their tags, and captions from the lists."""
    captions: dict[str, list[str | None]] = {}  # several, in order, for a file shown twice
    unshown: set[str] = set()
    lists = [f"{modality}_list" for modality in MEDIA_MODALITIES]
    for modality, key in zip(MEDIA_MODALITIES, lists, strict=True):
        for index, entry in enumerate(place.items(row.get(key), key)):
            at, name = f"{key}[{index}]", f"{modality}_name"
            place.object(entry, at, required=(name,), optional=None)
            place.rest(entry, at, (name, "caption", "data_source"))
            unshown.add(place.text(entry[name], f"{at}.{name}"))
            captions.setdefault(entry[name], []).append(entry.get("caption") or None)
    place.rest(row, "", ("conversation", *lists))

    def message(turn: _Entry, index: int) -> Message:
        role, words, _ = turn

        def take(found: re.Match[str]) -> Media:
            modality = found[1].lower()
            unshown.discard(found[2])
            known = captions.get(found[2]) or [None]
            caption = known.pop(0) if len(known) > 1 else known[0]
            at = f"conversation[{index}]"
            return place.medium(modality, found[2], at, role=role, caption=caption)

        return Message(role, parts_of(words, take, _TAG))

    read = ("caption", "input_modality", "output_modality")  # meaningless beside tags
    messages = each(message, entries(row["conversation"], "conversation", place, read))
    place.lost.extend(["media that no tag asks for"] * bool(unshown))
    return messages


def write_tags(conversation: Conversation, path_of: PathOf) -> Written:
    """A row with tags. Raises `ValueError` for a medium without a file, as it has no name."""
    spoken, lost = without_system(conversation)
    lists: dict[Modality, list[dict[str, Any]]] = {modality: [] for modality in MEDIA_MODALITIES}

    def mark(part: Media, at: str) -> str:
        name, tag = path_of(part, at), part.modality.title()
        entry = {f"{part.modality}_name": name, "data_source": ""}
        lists[part.modality].append({**entry, "caption": part.caption or ""})
        return f"<{tag}>{name}</{tag}>"

    turns = written_turns(spoken, mark)
    row = {f"{modality}_list": found for modality, found in lists.items()}
    return Written({**row, "conversation": turns}, lost)


def write_single(conversation: Conversation, path_of: PathOf) -> Written:
    """A row of T2M. Raises `ValueError` for anything but a request in words and one medium."""
    spoken, lost = without_system(conversation)
    media = [(message.role, part) for message in spoken for part in message.media()]
    if [role for role, _ in media] != ["assistant"] or len(spoken) != 2:
        raise ValueError("T2M of 2023 is one request in words and one reply with one medium")
    medium, (user, assistant) = media[0][1], spoken
    name = "" if medium.source is None else path_of(medium, "1_0")
    human = {"from": "human", "value": user.text, "input_modality": "text"}
    gpt = {
        "from": "gpt",
        "value": assistant.text,
        "caption": medium.caption or "",
        "output_modality": medium.modality,
    }
    row = {"mm_name": name, "output_modality": medium.modality, "conversation": [human, gpt]}
    moved = ("place of the medium",) * (assistant.parts[-1] != medium)
    return Written({**row, "source_data": {}}, (*lost, *moved))
