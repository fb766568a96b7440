"""The kinds of media: an open table with everything about each.

Pictures, clips and sounds are three entries like any other. More come from this library
(`SHIPPED`), from packages (entry points of the group ``anyweave.modalities``) and from
`register_modality`; the first two are opened when first named, so nothing is imported before. This
module knows no message and no tensor, and reads no file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, overload

from anyweave.errors import known_places, nearest, resolve

if TYPE_CHECKING:
    import numpy as np

Modality = str
"""The name of a kind of media, or "text"."""

PAPER_MODALITIES: tuple[Modality, ...] = ("image", "video", "audio")
ENTRY_POINTS = "anyweave.modalities"
SHIPPED: dict[str, str] = {
    "depth": "anyweave.media.depth:DEPTH",
    "table": "anyweave.media.table:TABLE",
}
"""Kinds that this library has besides the paper's, as ``module:attribute``."""


@dataclass(frozen=True, kw_only=True)
class MediaKind:
    """Everything about one kind of media. `name`, `read` and `write` are enough.

    `read` turns a file's bytes into an array and raises `ValueError` for bytes of anything else;
    `write` does the reverse. Formats are given by suffix without dot ("npy").
    """

    name: Modality
    read: Callable[[bytes], np.ndarray] | None = None
    write: Callable[[np.ndarray], bytes] | None = None
    check: Callable[[np.ndarray], np.ndarray] | None = None
    """Returns an array, read or given, if it is valid; a `ValueError` says what is wrong."""
    formats: tuple[str, ...] = ("npy",)
    """Those it can be written in, the usual one first."""
    suffixes: tuple[str, ...] = ()
    """Of files in data; by default those of `formats`."""
    media_types: Mapping[str, str] = field(default_factory=dict)
    """By format; others are ``application/octet-stream``."""
    noun: str = ""
    """What a person calls one: "a depth map". By default "a NAME"."""
    label: str = ""
    """In signal tokens, as in ``[IMG0]``. By default the name in capitals."""
    letter: str = ""
    """In tables of data sets, as in ``T+I``."""
    signal_tokens: int = 4
    """How many ask for one medium, unless a spec says otherwise."""
    sizes: tuple[str, ...] = ()
    """Reply options that set its size (`GenerationOptions`)."""
    prompts: tuple[str, ...] = ()
    """What a user says to have one described, in captioned data."""
    picture: Callable[[np.ndarray], np.ndarray] | None = None
    """``uint8[H, W, 3]`` of it, for notebooks and terminals. Without this and `as_text`, it is a
    file to save; on the chat page it always is."""
    as_text: Callable[[np.ndarray], tuple[str, str]] | None = None
    """The words that a language model reads in its place if the model has no encoder for it, and
    what they leave out ("" for nothing), which is reported."""
    said: Callable[[np.ndarray], str] | None = None
    """The words that come before its signal tokens. With this, a decoder makes it from these words,
    whatever the bridge, and only the words are trained."""
    encoder: Any = None
    """A class, or its ``module:Class``: a spec's encoder of the type `name`."""
    decoder: Any = None
    """Likewise for decoders."""
    wire_list: str = "media"
    """The field of a reply's message that holds it."""
    reader: str = "anyweave.media.plain:read"
    """``module:function`` of (part, sample_rate, limits): array and rate. Calls `read`."""
    writer: str = "anyweave.media.plain:encode"
    """``module:function`` of (modality, array, rate, format, name, generated): bytes. Calls
    `write`."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name != self.name.lower() or self.name == "text":
            raise ValueError(
                f"a modality is named by a small word such as 'depth', got {self.name!r}"
            )
        if not self.formats:
            raise ValueError(f"{self.name}: formats needs a suffix, such as ('npy',)")
        if self.write is not None and len(self.formats) > 1:
            raise ValueError(f"{self.name}: write makes one format, and formats has {self.formats}")
        if self.signal_tokens < 1:
            raise ValueError(f"{self.name}: signal_tokens must be at least 1")
        filled = {
            "suffixes": self.suffixes or self.formats,
            "noun": self.noun or f"a {self.name}",
            "label": self.label or self.name.upper(),
            "letter": self.letter or self.name[0].upper(),
        }
        what = self.noun or self.name
        filled["prompts"] = self.prompts or (f"Describe {what}.", "What does it show?")
        for name, value in filled.items():
            object.__setattr__(self, name, value)

    def media_type(self, format: str) -> str:
        """The media type of a format."""
        return self.media_types.get(format, "application/octet-stream")

    @property
    def travels(self) -> bool:
        """Whether another process can find its functions by name."""
        return all(_reachable(one) for one in vars(self).values() if callable(one))

    def call(self, name: str) -> Callable[..., Any]:
        """The function that `reader` or `writer` names."""
        module, _, attribute = getattr(self, name).partition(":")
        found: Callable[..., Any] = getattr(import_module(module), attribute)
        return found


def _reachable(one: Any) -> bool:
    module = getattr(one, "__module__", "__main__")
    found = getattr(sys.modules.get(module), getattr(one, "__qualname__", ""), None)
    return module != "__main__" and found is one


_IMAGE = MediaKind(
    name="image",
    noun="an image",
    label="IMG",
    letter="I",
    formats=("png", "jpeg", "webp"),
    suffixes=("jpg", "jpeg", "png", "webp", "avif", "bmp", "tif", "tiff"),
    media_types={"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"},
    sizes=("height", "width"),
    prompts=(
        "What is in this picture?",
        "Describe the picture.",
        "What does the picture show?",
        "Say in a sentence what you see.",
    ),
    wire_list="images",
    reader="anyweave.media.image:read",
    writer="anyweave.media.image:encode",
)
_VIDEO = MediaKind(
    name="video",
    noun="a video",
    label="VID",
    letter="V",
    signal_tokens=24,
    formats=("mp4", "webm", "gif"),
    suffixes=("mp4", "webm", "mkv", "avi", "gif", "mov", "m4v", "apng"),
    media_types={"mp4": "video/mp4", "webm": "video/webm", "gif": "image/gif"},
    sizes=("height", "width", "num_frames"),
    prompts=(
        "What happens in this clip?",
        "Describe the video.",
        "What does the clip show?",
        "Say in a sentence what goes on here.",
    ),
    wire_list="videos",
    reader="anyweave.media.video:read",
    writer="anyweave.media.video:encode",
)
_AUDIO = MediaKind(
    name="audio",
    noun="audio",
    label="AUD",
    letter="A",
    signal_tokens=8,
    formats=("wav", "flac", "ogg", "mp3"),
    suffixes=("wav", "flac", "mp3", "ogg", "m4a", "oga", "opus", "aac"),
    media_types={
        "wav": "audio/wav",
        "mp3": "audio/mpeg",
        "flac": "audio/flac",
        "ogg": "audio/ogg",
    },
    sizes=("audio_length",),
    prompts=(
        "What do you hear?",
        "Describe the sound.",
        "What is this recording of?",
        "Say in a sentence what there is to hear.",
    ),
    wire_list="audios",
    reader="anyweave.media.audio:read",
    writer="anyweave.media.audio:encode",
)
_open: dict[Modality, MediaKind] = {kind.name: kind for kind in (_IMAGE, _VIDEO, _AUDIO)}


def known_modalities() -> tuple[Modality, ...]:
    """The names of all kinds, including those not opened yet."""
    others = {*_open, *known_places(SHIPPED, ENTRY_POINTS)} - {*PAPER_MODALITIES}
    return (*PAPER_MODALITIES, *sorted(others))


def kind_of(name: Modality) -> MediaKind:
    """Everything about a kind, opened if needed. Raises `ValueError` for an unknown name, with the
    nearest known one.
    """
    if name in _open:
        return _open[name]
    if name not in known_modalities():
        raise ValueError(
            f"unknown modality {name!r}; {nearest(name, known_modalities(), 'known ones')}; "
            "others come with a package, or with anyweave.register_modality"
        )
    found = resolve(name, SHIPPED, what="modality", group=ENTRY_POINTS)
    if not isinstance(found, MediaKind) or found.name != name:
        raise ValueError(f"the entry point {name!r} of {ENTRY_POINTS} leads to no MediaKind of it")
    _open[name] = found
    return found


def other_by_suffix(suffix: str) -> Modality | None:
    """The kind besides the paper's whose files have this suffix. Opens all known kinds."""
    others = known_modalities()[len(PAPER_MODALITIES) :]
    return next((name for name in others if suffix.lower() in kind_of(name).suffixes), None)


def read_as_text() -> tuple[Modality, ...]:
    """The kinds that every language model reads. Opens all known kinds."""
    return tuple(name for name in known_modalities() if kind_of(name).as_text is not None)


def add(kind: MediaKind) -> None:
    """Open a kind, replacing one of the same name, as when a notebook cell runs again. Raises
    `ValueError` for one that this library has.
    """
    if kind.name in PAPER_MODALITIES or kind.name in SHIPPED:
        raise ValueError(f"this library has a modality {kind.name!r}; give yours another name")
    if None in (kind.read, kind.write) and kind.reader == MediaKind.reader:
        raise ValueError(f"{kind.name}: it needs read (bytes to array) and write (array to bytes)")
    _open[kind.name] = kind


def brought(role: str) -> dict[Modality, Any]:
    """The classes that open kinds bring for "encoder" or "decoder", by the kind's name."""
    found = {name: getattr(kind, role) for name, kind in _open.items()}
    return {name: kind for name, kind in found.items() if kind is not None}


class Names(Sequence[Modality]):
    """A live view of the names of open kinds: image, video, audio, then others by name, so that the
    order of opening does not matter. A membership test covers all known kinds, and opens the one
    that it finds.
    """

    def __init__(self, *first: Modality) -> None:
        self._first = first

    def _now(self) -> tuple[Modality, ...]:
        others = sorted(set(_open) - {*PAPER_MODALITIES})
        return (*self._first, *PAPER_MODALITIES, *others)

    def __len__(self) -> int:
        return len(self._now())

    @overload
    def __getitem__(self, index: int) -> Modality: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Modality, ...]: ...
    def __getitem__(self, index: int | slice) -> Modality | tuple[Modality, ...]:
        return self._now()[index]

    def __iter__(self) -> Iterator[Modality]:
        return iter(self._now())

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        if name in _open or name in self._first:
            return True
        return name in known_modalities() and kind_of(name).name == name

    def __repr__(self) -> str:
        return repr(self._now())


MEDIA_MODALITIES: Sequence[Modality] = Names()
MODALITIES: Sequence[Modality] = Names("text")
