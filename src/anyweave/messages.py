"""The one currency of the system: a `Message` goes in, a `Message` comes out.

Everything else is a rendering of messages: the processor turns them into token ids and spans, the
wire schema into JSON, a data file's row into training samples. The *role* of a message decides
whether its media is encoded (``user``) or generated (``assistant``). This module knows no tensor
and reads no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from anyweave import modalities
from anyweave.modalities import (
    MEDIA_MODALITIES,
    MODALITIES,
    PAPER_MODALITIES,
    MediaKind,
    Modality,
    kind_of,
)

__all__ = [
    "MEDIA_MODALITIES",
    "MEDIA_TYPES",
    "MODALITIES",
    "PAPER_MODALITIES",
    "ROLES",
    "Audio",
    "Conversation",
    "Image",
    "Media",
    "MediaKind",
    "Message",
    "Modality",
    "Part",
    "Role",
    "Text",
    "Video",
    "broken_rules",
    "kind_of",
    "register_modality",
    "silent_replies",
]

Role = Literal["system", "user", "assistant"]

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Text:
    """A run of plain text.

    `token_ids` is another form of the same text: the ids that the model itself spoke. A tokenizer
    may split the same characters differently, so a reply keeps its ids and renders to exactly the
    same sequence again.
    """

    text: str
    token_ids: tuple[int, ...] | None = field(default=None, compare=False, repr=False)

    modality: ClassVar[Modality] = "text"


@dataclass(frozen=True)
class Media:
    """One medium. Use the subclasses `Image`, `Video`, `Audio`, and those of `MEDIA_TYPES`.

    `source` is a path, encoded bytes, a numpy array (image ``uint8[H, W, 3]``, video
    ``uint8[T, H, W, 3]``, audio ``float32[S]`` in -1..1) or, for images, a PIL image. It may be
    None only for an assistant's medium that has only a caption (caption alignment needs no pixels).
    `caption` says what an assistant's medium shows: it is the target of caption alignment. `rate`
    is Hz for audio arrays and frames/s for video arrays. `generated` says that a model made it:
    whatever the library encodes from it is marked so. `token_ids` is the call for this medium, as
    spoken by a model that calls for media in words.
    """

    source: Any = field(default=None, compare=False)
    caption: str | None = None
    rate: float | None = None
    generated: bool = field(default=False, compare=False, kw_only=True)
    token_ids: tuple[int, ...] | None = field(default=None, compare=False, repr=False, kw_only=True)

    modality: ClassVar[Modality]

    def __reduce__(self) -> tuple[Any, ...]:
        # By kind, not by class: another process may have to make the class first.
        kind = kind_of(self.modality)
        sent = kind if self.modality not in PAPER_MODALITIES and kind.travels else None
        return _unpickled, (
            self.modality,
            sent,
            self.source,
            self.caption,
            self.rate,
            self.generated,
        )

    @property
    def name(self) -> str:
        """This medium's name in errors: its path, or its kind and the type of its source."""
        if isinstance(self.source, (str, Path)):
            return str(self.source)
        return f"<{self.modality} from {type(self.source).__name__}>"


@dataclass(frozen=True)
class Image(Media):
    modality: ClassVar[Modality] = "image"


@dataclass(frozen=True)
class Video(Media):
    modality: ClassVar[Modality] = "video"


@dataclass(frozen=True)
class Audio(Media):
    modality: ClassVar[Modality] = "audio"


Part = Text | Media


class _Types(Mapping[Modality, type[Media]]):
    """The class of each kind of media, made on first use."""

    def __init__(self) -> None:
        self._made: dict[Modality, type[Media]] = {c.modality: c for c in (Image, Video, Audio)}

    def __getitem__(self, modality: Modality) -> type[Media]:
        name = kind_of(modality).name
        if name not in self._made:
            own = {"modality": name, "__module__": __name__}
            self._made[name] = type(name.title().replace("_", ""), (Media,), own)
        return self._made[name]

    def __iter__(self) -> Iterator[Modality]:
        return iter(MEDIA_MODALITIES)

    def __len__(self) -> int:
        return len(MEDIA_MODALITIES)

    def __contains__(self, modality: object) -> bool:
        return modality in MEDIA_MODALITIES


MEDIA_TYPES: Mapping[Modality, type[Media]] = _Types()


def register_modality(kind: MediaKind | str, **about: Any) -> type[Media]:
    """Register a kind of media and return the class of its media.

    `kind` is a `MediaKind`, or a name with the fields of one: ``Depth = register_modality("depth",
    read=..., write=...)``. Data, specs, replies and servers then find it by name. Raises
    `ValueError` for a name that this library has, or a kind that cannot be read or written.
    """
    made = kind if isinstance(kind, MediaKind) else MediaKind(name=kind, **about)
    modalities.add(made)
    return MEDIA_TYPES[made.name]


def _unpickled(
    modality: Modality,
    kind: MediaKind | None,
    source: Any,
    caption: str | None,
    rate: float | None,
    generated: bool,
) -> Media:
    if kind is not None and modality not in MEDIA_MODALITIES:
        modalities.add(kind)
    return MEDIA_TYPES[modality](source, caption, rate, generated=generated)


@dataclass(frozen=True)
class Message:
    """One turn: a role and its parts, in the order they were said.

    Raises `ValueError` for an unknown role, a part of another type, or media in a system message.
    """

    role: Role
    parts: tuple[Part, ...]

    def __init__(self, role: Role, parts: str | Part | Iterable[Part | str]) -> None:
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}; a message is one of {', '.join(ROLES)}")
        given = [parts] if isinstance(parts, (str, Text, Media)) else list(parts)
        built = tuple(Text(part) if isinstance(part, str) else part for part in given)
        for part in built:
            if not isinstance(part, (Text, Media)):
                raise ValueError(
                    f"a message part is Text, Image, Video, Audio or another class of MEDIA_TYPES, "
                    f"got {type(part).__name__}; wrap media like Image('cat.png')"
                )
            if role == "system" and isinstance(part, Media):
                raise ValueError(f"a system message holds only text, got {part.modality}")
        object.__setattr__(self, "role", role)
        object.__setattr__(self, "parts", built)

    @property
    def text(self) -> str:
        """The plain text of the message, media removed."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    def media(self, modality: Modality | None = None) -> list[Media]:
        """The media parts in order, all of them or those of one modality."""
        found = [part for part in self.parts if isinstance(part, Media)]
        return found if modality is None else [part for part in found if part.modality == modality]


Conversation = list[Message]


def broken_rules(messages: Sequence[Message]) -> list[str]:
    """What keeps messages from being a conversation; data readers, checks and the renderer all ask
    here.

    A conversation has messages; only the first may be a system message; a user's media have a
    source, since they are read. (`Message` itself refuses media in a system message.) Turns need
    not alternate, and a turn may be empty.
    """
    if not messages:
        return ["the conversation has no messages"]
    problems = []
    for index, message in enumerate(messages):
        if message.role == "system" and index > 0:
            problems.append(
                f"message {index} is a system message; only the first message may be one"
            )
        for part in message.media() if message.role == "user" else ():
            if part.source is None:
                problems.append(
                    f"message {index}: the {part.modality} in a user message has no source to "
                    "read; give a path, bytes or array"
                )
    return problems


def silent_replies(messages: Sequence[Message]) -> list[str]:
    """What makes a conversation unfit for training: a reply without a word or a medium would teach
    silence. Checks and training ask here; a chat may hold such turns.
    """
    replies = [(i, message) for i, message in enumerate(messages) if message.role == "assistant"]
    silent = [i for i, message in replies if not (message.text.strip() or message.media())]
    if len(silent) == len(replies):
        return ["nothing to learn: the assistant says nothing"]
    return [f"message {index}: the assistant says nothing; take it out" for index in silent]
