"""Messages and media as HTML for notebooks: media are embedded, all text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from anyweave import media
from anyweave.messages import Image, Media, Message, Modality, Text, kind_of

# The HTML element for each; browsers play their usual formats.
_ELEMENTS: Mapping[Modality, str] = {
    "image": '<img src="{data}" alt="{caption}" title="{caption}">',
    "video": '<video src="{data}" title="{caption}" controls loop></video>',
    "audio": '<audio src="{data}" title="{caption}" controls></audio>',
}
_DOWNLOAD = '<a href="{data}" download="{name}">{modality}: {caption}</a>'
_SOUND_RATE = 48_000  # Hz, for sounds that are not arrays


@dataclass(frozen=True)
class Shown:
    """What a notebook displays as HTML when it is the last value of a cell."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def show(what: Media | Message | Sequence[Message]) -> Shown:
    """A medium, a message or a conversation, to be seen and heard in a notebook.

    Raises `MediaError` for a medium that cannot be read.
    """
    if isinstance(what, Media):
        return Shown(media_html(what))
    return Shown(message_html(what) if isinstance(what, Message) else conversation_html(what))


def conversation_html(messages: Sequence[Message]) -> str:
    """The messages, one below the other, each with its role."""
    return "".join(
        f"<div><b>{escape(message.role)}</b> {message_html(message)}</div>" for message in messages
    )


def message_html(message: Message) -> str:
    """The parts of a message in order."""
    parts = (
        f'<span style="white-space: pre-wrap">{escape(part.text)}</span>'
        if isinstance(part, Text)
        else f"<div>{media_html(part)}</div>"
        for part in message.parts
    )
    return f"<div>{''.join(parts)}</div>"


def media_html(part: Media) -> str:
    """One element with the whole medium in it; text if it has only a caption."""
    caption = escape(part.caption or "")
    if part.source is None:
        return f"<em>[{part.modality}: {caption}]</em>"
    kind, (array, rate) = kind_of(part.modality), array_and_rate(part)
    if kind.picture is not None:
        return media_html(Image(kind.picture(array), part.caption))
    shown = "" if kind.as_text is None else f"<pre>{escape(kind.as_text(array)[0])}</pre>"
    format = kind.formats[0]
    data = media.encode(part.modality, array, rate=rate, format=format, generated=part.generated)
    encoded = base64.b64encode(data).decode()
    return shown + _ELEMENTS.get(part.modality, _DOWNLOAD).format(
        data=f"data:{kind.media_type(format)};base64,{encoded}",
        caption=caption,
        modality=part.modality,
        name=f"{part.modality}.{format}",
    )


def array_and_rate(part: Media) -> tuple[np.ndarray, float | None]:
    """A medium's array and rate: Hz for a sound, frames/s for a clip, None for a picture.

    Arrays keep their rate; other sounds are read at 48 kHz. Raises `MediaError`.
    """
    if part.modality == "video":
        return media.load_video_with_rate(part)
    if part.modality == "audio" and not isinstance(part.source, np.ndarray):
        return media.load(part, sample_rate=_SOUND_RATE), float(_SOUND_RATE)
    if part.modality == "audio" and part.rate is not None:
        return part.source, part.rate
    return media.read(part)
