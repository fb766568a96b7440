"""Requests to messages: every form in which a medium may come, checked and decoded.

Strangers' bytes are decoded in child processes that may die, within the server's limits; the model
sees only arrays.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import queue
import re
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from anyweave import media
from anyweave.media import MediaError
from anyweave.media.isolation import Decoder
from anyweave.messages import MEDIA_TYPES, Media, Modality, Role, Text, kind_of
from anyweave.serving import schema
from anyweave.serving.errors import ApiError, bad_request
from anyweave.serving.fetch import Fetcher
from anyweave.serving.files import FILE_ID, FileStore
from anyweave.serving.settings import Settings

_OURS = re.compile(rf"(?:https?://[^/]+)?/v1/files/({FILE_ID.pattern})/content")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_NUM_DECODERS = 2
_A_WHILE = 0.2  # seconds between looks whether anybody still waits


@dataclass(frozen=True)
class Encoded:
    """A medium as it came. `data` is None for an assistant's that is not read."""

    modality: Modality
    data: bytes | None
    caption: str | None
    where: str


@dataclass(frozen=True)
class Turn:
    """One message of a request, its media not yet decoded.

    `digest` is the same for the same content; for an assistant's turn it covers only the text,
    because plain clients send back no more. `kinds` are the media of an assistant's turn, None
    where only text was sent.
    """

    role: Role
    parts: tuple[Text | Encoded, ...]
    digest: bytes
    kinds: tuple[Modality, ...] | None


class Intake:
    """Reads requests for one server."""

    def __init__(self, settings: Settings, files: FileStore, sample_rate: int) -> None:
        self._settings, self._files, self._rate = settings, files, sample_rate
        self._root = settings.media_root.resolve() if settings.media_root else None
        self._fetcher = Fetcher(settings.media_hosts, max_bytes=settings.media_limits.max_bytes)
        self._decoders: queue.Queue[Decoder] = queue.Queue()
        for _ in range(_NUM_DECODERS):
            self._decoders.put(Decoder())

    def close(self) -> None:
        """End the decoding processes; waits for those at work."""
        for _ in range(_NUM_DECODERS):
            self._decoders.get().close()

    def turns(
        self,
        messages: Sequence[schema.WireMessage],
        *,
        reads_replies: bool = False,
        gone: threading.Event | None = None,
    ) -> list[Turn]:
        """The messages of a request. May read files and fetch, so call it in a thread; once `gone`
        is set, it ends at the next medium. `reads_replies`: media of replies are read too, where
        the request says more of them than a caption.

        Raises `ApiError` for anything too large, refused or malformed.
        """
        if len(messages) > self._settings.max_messages:
            raise bad_request(
                f"{len(messages)} messages, at most {self._settings.max_messages} are taken",
                "messages",
            )
        placed = [_parts_of(message, f"messages.{i}") for i, message in enumerate(messages)]
        words = (str, schema.TextPart)
        count = sum(not isinstance(p, words) for parts in placed for _, p in parts)
        if count > self._settings.max_media:  # before any is read
            raise bad_request(
                f"{count} media in one request, at most {self._settings.max_media} are taken",
                "messages",
            )
        if (length := sum(_words(p) for ps in placed for _, p in ps)) > self._settings.max_text:
            limit = self._settings.max_text
            raise bad_request(f"{length:,} characters, at most {limit:,} are taken", "messages")
        found, size = [], 0
        for number, (message, parts) in enumerate(zip(messages, placed, strict=True)):
            turn = self._turn(message, parts, f"messages.{number}", reads_replies, gone)
            found.append(turn)
            size += sum(len(p.data or b"") for p in turn.parts if isinstance(p, Encoded))
            if size > self._settings.max_body:
                raise bad_request("the media are too large together", "messages", "too_large")
        if found[-1].role != "user":
            raise bad_request("the last message must be the user's", "messages")
        return found

    def _turn(
        self,
        message: schema.WireMessage,
        placed: list[tuple[str, Any]],
        where: str,
        reads_replies: bool,
        gone: threading.Event | None,
    ) -> Turn:
        role: Role = "system" if message.role == "developer" else message.role
        parts: list[Text | Encoded] = []
        for place, part in placed:
            if isinstance(part, str):
                parts.append(Text(part))
            elif isinstance(part, schema.TextPart):
                parts.append(Text(part.text))
            elif gone is not None and gone.is_set():
                raise ApiError(499, "the client went away")
            else:
                reply = role == "assistant"
                parts.append(self._encoded(part, place, reply=reply, read=reads_replies))
        encoded = [part for part in parts if isinstance(part, Encoded)]
        if role == "system" and encoded:
            raise bad_request("a system message holds only text", where)
        digest = hashlib.sha256(role.encode())
        for part in parts:
            if isinstance(part, Text):
                digest.update(part.text.encode())
            elif role == "user":
                digest.update(
                    b"\0" + part.modality.encode() + hashlib.sha256(part.data or b"").digest()
                )
        kinds = tuple(m.modality for m in encoded) if encoded and role == "assistant" else None
        return Turn(role, tuple(parts), digest.digest(), kinds)

    def _encoded(self, part: Any, where: str, *, reply: bool, read: bool) -> Encoded:
        """A part's medium; a reply's only if those are to be `read` and more of it is given than a
        caption.
        """
        modality, value = _value(part, where)
        caption = part.caption
        if reply and not (read and value):
            return Encoded(modality or self._kind(value, where), None, caption, where)
        if isinstance(part, schema.InputAudioPart) or getattr(part, "base64", None):
            data = _base64(value, where)
        elif getattr(part, "path", None):
            data = self._file(value, where)
        else:
            data = self._resolve(value, where)
        if len(data) > self._settings.media_limits.max_bytes:
            limit = self._settings.media_limits.max_bytes
            raise bad_request(f"{len(data):,} bytes, at most {limit:,} are taken", where)
        return Encoded(modality or self._kind(value, where), data, caption, where)

    def _kind(self, value: str, where: str) -> Modality:
        """The modality of one of our files."""
        modality = self._files.modality(value)
        if modality is None:
            raise _no_file(value, where)
        return modality

    def _resolve(self, value: str, where: str) -> bytes:
        """The bytes behind a URL or an id."""
        if value[:5].lower() == "data:":
            return _data_url(value, where)
        ours = _OURS.fullmatch(value)
        file_id = ours[1] if ours else value
        if (path := self._files.path(file_id)) is not None:
            return path.read_bytes()
        # The address of our own medium that has expired, unless it may be another server's.
        if FILE_ID.fullmatch(value) or (
            ours and (value.startswith("/") or not self._settings.media_hosts)
        ):
            raise _no_file(file_id, where)
        found = _SCHEME.match(value)
        scheme = found[1].lower() if found else ""
        if scheme in ("http", "https"):
            return self._fetcher.fetch(value, where)
        if scheme == "file":
            parts = urlsplit(value)
            if parts.netloc not in ("", "localhost"):
                raise bad_request("a file: URL names a file of this machine alone", where)
            return self._file(unquote(parts.path), where)
        if scheme:
            raise bad_request(
                f"URLs that begin with {scheme[:20]}: are not read; send data:...", where
            )
        return self._file(value, where)

    def _file(self, value: str, where: str) -> bytes:
        """A file under the media root. Anything outside it is refused without a look."""
        if self._root is None:
            raise bad_request(
                "this server reads no files by path; send the medium itself as "
                "data:image/png;base64,... (its operator can allow a folder with --media-root)",
                where,
                "local_media_disabled",
            )
        refusal = bad_request("no such file below the media root", where, "local_media_refused")
        try:
            path = (self._root / value).resolve()
            if not path.is_relative_to(self._root) or not path.is_file():
                raise refusal
            if path.stat().st_size > self._settings.media_limits.max_bytes:
                raise bad_request("this file is larger than is taken", where, "too_large")
            return path.read_bytes()
        except (OSError, ValueError, RuntimeError):  # too long, a null byte, a loop of links
            raise refusal from None

    def decoded(self, encoded: Encoded) -> Generator[None, None, Media]:
        """A medium with its array. Slow: run it in a thread. It yields while all decoders are at
        work and once it is done: there it can be stopped. Raises `ApiError`.
        """
        kind = MEDIA_TYPES[encoded.modality]
        if encoded.data is None:
            return kind(caption=encoded.caption)
        while (decoder := self._free_decoder()) is None:
            yield
        limits = self._settings.media_limits
        # A kind whose reader exists only here (a notebook's own) cannot be read by another process.
        read = decoder.read if kind_of(encoded.modality).travels else media.read
        try:
            array, rate = read(kind(encoded.data), sample_rate=self._rate, limits=limits)
        except MediaError as error:
            raise bad_request(str(error), encoded.where, "invalid_media") from error
        finally:
            self._decoders.put(decoder)
        yield
        return kind(array, caption=encoded.caption, rate=rate)

    def _free_decoder(self) -> Decoder | None:
        try:
            return self._decoders.get(timeout=_A_WHILE)
        except queue.Empty:
            return None


def _parts_of(message: schema.WireMessage, where: str) -> list[tuple[str, Any]]:
    """The parts with their places in the request. `content_parts` has the exact order."""
    if message.content_parts is not None:
        if message.role != "assistant":
            raise bad_request("content_parts is a reply's; give content", where)
        return [(f"{where}.content_parts.{i}", p) for i, p in enumerate(message.content_parts)]
    content = [message.content] if isinstance(message.content, str) else message.content or []
    single = isinstance(message.content, str)
    parts: list[tuple[str, Any]] = [
        (f"{where}.content" if single else f"{where}.content.{i}", p) for i, p in enumerate(content)
    ]
    sounds: list[Any] = [*(message.audios or ())]
    if message.audio:  # a reply's first sound; `audios` has the others
        caption = message.audio.get("transcript")
        data = message.audio.get("data") or None
        first = {"type": "audio", "caption": caption or "", "base64": data}
        first |= {"id": message.audio.get("id")}
        sounds.insert(0, schema.MediaPart.model_validate(first))
    beside = [*(message.images or ()), *sounds, *(message.videos or ()), *(message.media or ())]
    if beside and message.role != "assistant":
        raise bad_request("images, audio and videos are a reply's; put media in content", where)
    parts.extend((where, part) for part in beside)
    if not parts and message.role != "assistant":
        raise bad_request("a message needs content", where)
    return parts


def _words(part: Any) -> int:
    """Characters that the model may have to read: also captions, where it asks in words."""
    if isinstance(part, str):
        return len(part)
    return len(getattr(part, "text", "")) + len(part.caption or "")


def _value(part: Any, where: str) -> tuple[Modality | None, str]:
    """What kind of medium a part is, and its data, path, URL or id."""
    if isinstance(part, schema.FilePart):
        return None, part.file.file_id
    if isinstance(part, schema.InputAudioPart):
        return "audio", part.input_audio.data
    if isinstance(part, schema.MediaPart):
        given = [part.base64, part.path, part.url, getattr(part, part.type)]
        modality: Modality = part.type
    elif isinstance(part, schema.OtherPart):
        inner = part.named
        modality = part.modality
        named = inner.url if isinstance(inner, schema.Url) else inner
        given = [part.base64, part.path, part.url, named]
    else:
        modality = part.type.removesuffix("_url")
        inner = getattr(part, part.type)
        given = [inner.url if isinstance(inner, schema.Url) else inner]
    values = [value for value in given if value is not None]
    if len(values) > 1:
        raise bad_request("this part names its medium more than once", where)
    value = values[0] if values else part.id
    if value is None and part.caption is None:
        raise bad_request(f"this {modality} has no data: give a URL, or the id of a part", where)
    return modality, value or ""


def _data_url(value: str, where: str) -> bytes:
    head, comma, body = value.partition(",")
    if not comma:
        raise bad_request("a data: URL needs a comma before its data", where)
    if head.lower().endswith(";base64"):
        return _base64(body, where)
    return unquote_to_bytes(body)


def _base64(text: str, where: str) -> bytes:
    try:
        data = base64.b64decode(unquote(text) if "%" in text else text, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request("this is not base64", where, "invalid_media") from None
    if not data:
        raise bad_request("this medium is empty", where, "invalid_media")
    return data


def _no_file(file_id: str, where: str) -> ApiError:
    return bad_request(
        f"there is no part {file_id[:64]!r} (any more); send the medium itself",
        where,
        "no_such_part",
    )
