"""The JSON of the NExT-GPT reference, both generations of it: T2M, MosIT and the alignment pairs.

2024: placeholders for media, with names and captions in lists (a single one may be a string).

    {"input_image": "a.jpg", "output_audio": ["b.wav"], "audio_captions": ["rain"],
     "conversations": [{"from": "human", "value": "<image>\\nHow does it sound?"},
                       {"from": "gpt", "value": "Like this: <audio>"}]}

2023 is in `nextgpt_2023`. Names of stored caption embeddings are ignored: ours are computed from
the captions. A picture that is named again for every human turn is shown in the first one only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from anyweave.data.dialogue import dialogue, without_system, written_turns
from anyweave.data.format import Format, Written
from anyweave.data.nextgpt_2023 import has_lists, read_single, read_tags, write_single, write_tags
from anyweave.data.place import IDS, Place
from anyweave.data.placeholders import Turn, read_turns
from anyweave.data.sharegpt import is_words
from anyweave.data.store import PathOf
from anyweave.messages import MEDIA_MODALITIES, PAPER_MODALITIES, Conversation, Media, Modality

_Named = dict[Modality, list[tuple[Any, str | None]]]
_IGNORES = (*IDS, *(f"{modality}_caption_embeddings" for modality in PAPER_MODALITIES))


def _lists() -> tuple[str, ...]:
    kinds = ("input_{}", "output_{}", "{}_captions")
    return tuple(kind.format(modality) for kind in kinds for modality in MEDIA_MODALITIES)


def read_reference(row: Any, place: Place) -> Conversation:
    """The conversation of a row of either generation."""
    place.object(row, "", required=(), optional=None)
    if "conversations" in row:
        return _read_lists(row, place)
    if "conversation" not in row:
        raise place.error("", "neither 'conversations' (2024) nor 'conversation' (2023) is there")
    return read_tags(row, place) if has_lists(row) else read_single(row, place)


def is_reference(row: Mapping[str, Any]) -> bool:
    """Whether a row has keys that only the reference's JSON has."""
    if "conversation" in row:
        return "mm_name" in row or "image_name" in row or has_lists(row)
    return "conversations" in row and any(name in row for name in _lists())


def _recognised(row: Mapping[str, Any]) -> bool | None:
    return True if is_reference(row) else None if is_words(row) else False


def _read_lists(row: Mapping[str, Any], place: Place) -> Conversation:
    given: _Named = {}
    made: _Named = {}
    for modality in MEDIA_MODALITIES:

        def found(key: str, modality: Modality = modality) -> list[Any]:
            name = key.format(modality)
            return place.items(row.get(name), name)

        given[modality] = [(name, None) for name in found("input_{}")]
        names, captions = found("output_{}"), found("{}_captions")
        if names and captions and len(names) != len(captions):
            problem = f"{len(names)} names but {len(captions)} captions"
            raise place.error(f"output_{modality}", problem)
        count = max(len(names), len(captions))
        names, captions = names or [None] * count, captions or [None] * count
        made[modality] = [(n, c or None) for n, c in zip(names, captions, strict=True)]
    turns = dialogue(row["conversations"], "conversations", place)
    place.rest(row, "", ("conversations", *_lists()))
    return read_turns(_once(turns, given), given, place, made=made)


def _once(turns: list[Turn], given: _Named) -> list[Turn]:
    """The reference names LLaVA's picture again in every human turn: keep the first."""
    human = [words for role, words in turns if role == "user"]
    for modality, media in given.items():
        mark = f"<{modality}>"
        every = all(words.count(mark) == 1 for words in human) and len(media) == len(human)
        if len(media) > 1 and every and all(entry == media[0] for entry in media):
            given[modality] = media[:1]
            first = next(i for i, (role, _) in enumerate(turns) if role == "user")
            turns = [
                (role, words if i <= first or role != "user" else words.replace(mark, "").strip())
                for i, (role, words) in enumerate(turns)
            ]
    return turns


def _write_lists(conversation: Conversation, path_of: PathOf) -> Written:
    spoken, lost = without_system(conversation)
    given: dict[Modality, list[str]] = {}
    made: dict[Modality, list[tuple[str | None, str]]] = {}

    def mark(part: Media, at: str) -> str:
        if spoken[int(at.partition("_")[0])].role == "assistant":
            path = None if part.source is None else path_of(part, at)
            made.setdefault(part.modality, []).append((path, part.caption or ""))
        else:
            given.setdefault(part.modality, []).append(path_of(part, at))
        return f"<{part.modality}>"

    turns = written_turns(spoken, mark)
    row: dict[str, Any] = {f"input_{modality}": names for modality, names in given.items()}
    for modality, found in made.items():
        if any(path is not None for path, _ in found):
            row[f"output_{modality}"] = [path for path, _ in found]
        row[f"{modality}_captions"] = [caption for _, caption in found]
    return Written({**row, "conversations": turns}, lost)


def _is_t2m(row: Mapping[str, Any]) -> bool | None:
    if is_words(row):
        return None
    if "conversation" in row:
        return row.get("output_modality") in MEDIA_MODALITIES
    return is_reference(row) and not any(f"input_{m}" in row for m in MEDIA_MODALITIES)


def _is_mosit(row: Mapping[str, Any]) -> bool | None:
    return True if has_lists(row) else None if is_words(row) else False


NEXTGPT = Format(
    name="nextgpt",
    about="the reference's JSON of 2024: any media on both sides",
    recognises=_recognised,
    ignores=_IGNORES,
    read=read_reference,
    write=_write_lists,
)
T2M = replace(
    NEXTGPT,
    name="t2m",
    about="T2M, both generations; written as of 2024",
    recognises=_is_t2m,
)
T2M_LEGACY = replace(
    NEXTGPT,
    name="t2m-legacy",
    about="T2M, both generations; written as of 2023",
    recognises=lambda row: False,
    write=write_single,
)
MOSIT = replace(
    NEXTGPT,
    name="mosit",
    about="MosIT, both generations; written as of 2024",
    recognises=_is_mosit,
)
MOSIT_LEGACY = replace(
    T2M_LEGACY,
    name="mosit-legacy",
    about="MosIT, both generations; written as of 2023",
    write=write_tags,
)
