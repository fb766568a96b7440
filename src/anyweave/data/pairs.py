"""X-caption pairs: CC3M, WebVid, AudioCaps, and any table that names a medium and what it shows.

A row names its medium (``image``, ``image_name``, ``image_path`` or ``image_file``, likewise for
`video` and `audio`) and has a `caption` (or `text`). `ReadOptions.task` chooses what the medium is
for: stage 1 describes it, stage 2 generates it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from anyweave.data.dialogue import without_system
from anyweave.data.format import Format, Written
from anyweave.data.place import IDS, Place, is_empty, listed, shown
from anyweave.data.store import PathOf
from anyweave.messages import (
    MEDIA_MODALITIES,
    MEDIA_TYPES,
    Conversation,
    Media,
    Message,
    Modality,
    kind_of,
)

_CAPTIONS = ("caption", "text")
_IGNORES = (
    *IDS,
    *("image_id", "image_url", "videoid", "video_id", "contentUrl", "duration", "page_dir"),
    *("audiocap_id", "audio_id", "youtube_id", "start_time", "width", "height", "exif", "status"),
    *("error_message", "original_width", "original_height", "similarity", "punsafe", "pwatermark"),
)
_TALKS = ("messages", "conversations", "conversation", "instruction", "query", "QA")


@dataclass(frozen=True)
class Pair:
    """A medium and its caption, which replaces any of the medium's own."""

    medium: Media
    caption: str


def conversation_of(pair: Pair, task: str) -> Conversation:
    """A pair as one exchange: the medium is described, or generated."""
    if task == "describe":
        # The choice depends on the caption alone.
        prompts = kind_of(pair.medium.modality).prompts
        prompt = prompts[zlib.crc32(pair.caption.encode()) % len(prompts)]
        return [Message("user", [pair.medium, prompt]), Message("assistant", pair.caption)]
    made = MEDIA_TYPES[pair.medium.modality](pair.medium.source, caption=pair.caption)
    return [Message("user", pair.caption), Message("assistant", made)]


def pair_of(conversation: Conversation) -> tuple[Pair, tuple[str, ...]]:
    """The pair in a conversation, and what the pair loses.

    Raises `ValueError` unless there is one exchange with one medium.
    """
    spoken, left_out = without_system(conversation)
    media = [part for message in spoken for part in message.media()]
    if [message.role for message in spoken] != ["user", "assistant"] or len(media) != 1:
        raise ValueError(
            f"a pair is one question with one answer and one medium; this has {len(spoken)} "
            f"messages and {len(media)} media"
        )
    (user, assistant), medium = spoken, media[0]
    lost = list(left_out)
    if user.media():
        if user.text not in kind_of(medium.modality).prompts:
            lost.append("words of the request")
        return Pair(medium, assistant.text), tuple(lost)
    caption = user.text if medium.caption is None else medium.caption
    lost += ["words of the request"] * (user.text != caption)
    lost += ["words of the reply"] * bool(assistant.text)
    return Pair(medium, caption), tuple(lost)


def read_pair(row: Any, place: Place) -> Conversation:
    """The conversation of a row that names its medium by modality."""
    place.object(row, "", required=(), optional=None)
    found = [
        (modality, key)
        for modality in MEDIA_MODALITIES
        for key in _names(modality)
        if row.get(key) not in (None, "")
    ]
    if not found:
        keys = listed(_names("image"))
        raise place.error("", f"no medium; its key is one of {keys}, or so for video and audio")
    modality, key = found[0]
    return _read(row, modality, row[key], key, _CAPTIONS, place)


def _read_webvid(row: Any, place: Place) -> Conversation:
    """The reference's ``video_name``, or the published columns `videoid`, `page_dir`, `name`."""
    place.object(row, "", required=(), optional=None)
    if "videoid" not in row:
        return read_pair(row, place)
    path = f"{_stem(row, 'page_dir', place) or '.'}/{_stem(row, 'videoid', place)}.mp4"
    return _read(row, "video", path, "videoid", ("name", *_CAPTIONS), place)


def _read_audiocaps(row: Any, place: Place) -> Conversation:
    """The reference's ``audio_name``, or the published columns with a file by any usual name."""
    place.object(row, "", required=(), optional=None)
    if "youtube_id" not in row or any(row.get(key) for key in _names("audio")):
        return read_pair(row, place)
    clip, start = _stem(row, "youtube_id", place), _stem(row, "start_time", place)
    stems = [_stem(row, "audiocap_id", place), f"{clip}_{start}", clip, f"Y{clip}"]
    names = [f"{stem}.{end}" for stem in stems if stem for end in ("wav", "flac", "mp3", "ogg")]
    root = place.options.root("audio", place.folder)
    name = next((name for name in names if os.path.isfile(root / name)), names[0])
    return _read(row, "audio", name, "youtube_id", _CAPTIONS, place)


def _stem(row: Mapping[str, Any], key: str, place: Place) -> str:
    """What a file is named after: words or a number; "" if absent."""
    value = row.get(key)
    if is_empty(value):
        return ""
    if not isinstance(value, (str, int, float)) or shown(value).startswith("a "):
        raise place.error(key, f"words or a number, got {shown(value)}")
    return place.text(str(value), key)


def _read(
    row: Mapping[str, Any],
    modality: Modality,
    value: Any,
    key: str,
    captions: tuple[str, ...],
    place: Place,
) -> Conversation:
    named = next((name for name in captions if row.get(name) is not None), None)
    if named is None:
        raise place.error("", f"no caption; its key is one of {listed(captions)}")
    caption = place.text(row[named], named).strip()
    if not caption:
        raise place.error(named, "the caption is empty")
    same = [name for name in captions if row.get(name) in (row[named], caption)]
    place.rest(row, "", (key, *same))
    task = place.options.task
    if task == "describe":
        medium = place.medium(modality, value, key, role="user")
    else:
        medium = place.medium(modality, value, key, role="assistant", caption=caption)
    return conversation_of(Pair(medium, caption), task)


def write_pair(conversation: Conversation, path_of: PathOf) -> Written:
    """A row ``{modality: path, "caption"}``; raises `ValueError` for anything but a pair."""
    pair, lost = pair_of(conversation)
    row = {pair.medium.modality: path_of(pair.medium, "0_0"), "caption": pair.caption}
    return Written(row, lost)


def _writes(modality: Modality, id: str = "id") -> Callable[[Conversation, PathOf], Written]:
    """The reference's row: caption, the file's name and, as `id`, its stem."""

    def write(conversation: Conversation, path_of: PathOf) -> Written:
        pair, lost = pair_of(conversation)
        if pair.medium.modality != modality:
            raise ValueError(f"its medium is {pair.medium.modality}; this format is for {modality}")
        path = path_of(pair.medium, "0_0")
        row = {"caption": pair.caption, id: PurePath(path).stem, f"{modality}_name": path}
        return Written(row, lost)

    return write


def _names(modality: Modality) -> tuple[str, ...]:
    return (modality, f"{modality}_name", f"{modality}_path", f"{modality}_file")


def _recognise(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: all(key in row for key in keys) and not _talks(row)


def _is_pair(row: Mapping[str, Any]) -> bool:
    media = (key for modality in MEDIA_MODALITIES for key in _names(modality))
    captioned = any(key in row for key in _CAPTIONS) and any(key in row for key in media)
    return captioned and not _talks(row)


def _talks(row: Mapping[str, Any]) -> bool:
    """Whether a row has turns, which anything else in it is about."""
    return any(key in row for key in _TALKS)


PAIRS = Format(
    name="pairs",
    about="a medium and its caption a row",
    ignores=_IGNORES,
    recognises=_is_pair,
    read=read_pair,
    write=write_pair,
)
CC3M = replace(
    PAIRS,
    name="cc3m",
    about="CC3M as image_name and caption",
    recognises=lambda row: False,  # indistinguishable from other pairs
    write=_writes("image"),
)
WEBVID = replace(
    PAIRS,
    name="webvid",
    about="WebVid as video_name and caption, or its published CSV",
    recognises=_recognise("videoid", "page_dir"),
    read=_read_webvid,
    write=_writes("video"),
)
AUDIOCAPS = replace(
    PAIRS,
    name="audiocaps",
    about="AudioCaps as audio_name and caption, or its published CSV",
    recognises=_recognise("youtube_id", "caption"),
    read=_read_audiocaps,
    write=_writes("audio", "audio_id"),
)
