"""What a server allows: every limit in one place, each with a safe default."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anyweave.files import cache_folder
from anyweave.media import Limits

_ORIGIN = r"https?://[^\sA-Z/@]+"
_MEDIA_HOST = r"(?:https?://)?(?:\*\.)?[^\s/:@*]+"
_ADDRESS = r"https?://[^\s/@]+(?:/\S*)?"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of one server. Sizes are bytes, times are seconds.

    Raises `ValueError` for a limit that is not positive or not finite, and for a name, address or
    folder that no request could ever match.
    """

    name: str = "emoji-mini"
    """What clients call the model."""
    folder: Path = field(default_factory=lambda: cache_folder() / "serve")
    """Where jobs and media of replies are kept."""
    api_keys: tuple[str, ...] = ()
    """Without any, everybody who reaches the server may use it."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which clients may call the server; ``localhost`` and addresses in digits always
    may.
    """
    cors_origins: tuple[str, ...] = ()
    """Web pages of other origins that may use the server, like ``https://app.example.org``."""
    media_hosts: tuple[str, ...] = ()
    """Hosts from which media are fetched by URL; ``*.example.org`` means all subdomains."""
    media_root: Path | None = None
    """The folder whose files requests may name by path."""
    public_url: str | None = None
    """How clients reach the server, where that is not how they called it (behind a proxy)."""

    max_body: int = 32 * 2**20
    max_bodies: int = 2**29
    """For all requests in progress together; the next one gets a 429."""
    body_patience: float = 60.0
    """A request must have arrived in full within this time."""
    max_messages: int = 512
    max_text: int = 200_000
    """Characters of one request, its history included."""
    max_media: int = 32
    """Media of one request, its history included."""
    max_unpacked: int = 2**30
    """Bytes that those which are read take together once unpacked."""
    media_limits: Limits = Limits(
        max_pixels=20_000_000,
        max_seconds=120,
        max_frames=3_600,
        max_bytes=24 * 2**20,
        max_decoded_bytes=2**28,
        max_work_seconds=20,
    )
    max_new_tokens: int = 2048
    max_steps: int = 200
    max_side: int = 1024
    max_num_frames: int = 128
    max_audio_length: float = 60.0
    max_samples: int = 4
    """Pictures or sounds per request to a generation endpoint."""
    temperature: float = 0.3
    """For requests that give none."""

    max_running: int = 16
    """Replies made at a time."""
    max_waiting: int = 256
    """Requests that wait for their turn; the next one gets a 429."""
    max_waiting_each: int = 128
    """Likewise per client."""
    queue_patience: float = 120.0
    timeout: float = 300.0
    """A reply that takes longer is stopped."""
    grace: float = 30.0
    """What runs when the server is told to stop may end within this time."""
    max_conversations: int = 16
    """Conversations whose keys and values are kept between requests."""
    max_kept_media: int = 2**29
    """Bytes of the media that those conversations hold together."""
    max_jobs: int = 64
    """Jobs that wait or run."""
    max_kept_jobs: int = 1000
    """Jobs on disk; the oldest finished ones are removed."""
    file_seconds: float = 24 * 3600.0
    """How long media of replies are served and may be referred to."""
    max_file_bytes: int = 2**30
    """Their total size; the oldest are removed."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            zero_is_fine = name in ("temperature", "max_conversations", "grace", "max_waiting")
            if not isinstance(value, (int, float)):
                continue
            if not (0 < value < math.inf or (value == 0 and zero_is_fine)):
                raise ValueError(f"{name} must be above 0 and finite, got {value}")
        # Browsers and clients send names in lower case, and origins without a path.
        object.__setattr__(self, "allowed_hosts", tuple(map(str.lower, self.allowed_hosts)))
        for option, given, form, like in (
            ("--allow-host", self.allowed_hosts, r"[^\s/:@]+", "chat.example.org, without a port"),
            ("--cors-origin", self.cors_origins, _ORIGIN, "https://app.example.org"),
            ("--media-host", self.media_hosts, _MEDIA_HOST, "example.org or *.example.org"),
            ("--public-url", (self.public_url,), _ADDRESS, "https://chat.example.org"),
        ):
            for one in given:
                if one is not None and not re.fullmatch(form, one):
                    raise ValueError(f"{option} takes a name like {like}; got {one!r}")
        if self.media_root is not None and not self.media_root.is_dir():
            raise ValueError(f"--media-root: there is no folder {self.media_root}")


class Keys:
    """The API keys, as digests, so that a comparison takes the same time for any key."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def owner(self, key: str) -> str | None:
        """A name for the holder of `key`, the same after a restart; None for an unknown key."""
        shown = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        found = [secrets.compare_digest(shown, digest) for digest in self._digests]
        return f"key-{shown.hex()[:16]}" if any(found) else None


def read_keys(path: str | Path) -> tuple[str, ...]:
    """API keys from a file, one per line; empty lines and those that begin with # are skipped.

    Raises `ValueError` for a file without keys or with one of fewer than 16 characters.
    """
    lines = [line.strip() for line in Path(path).read_text("utf-8").splitlines()]
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise ValueError(f"{path}: no key in it; write one a line, such as {new_key()}")
    return check_keys(keys, str(path))


def check_keys(keys: Sequence[str], where: str) -> tuple[str, ...]:
    """The same keys. Raises `ValueError` for one that could be guessed or does not fit a header."""
    for number, key in enumerate(keys, 1):
        if len(key) < 16 or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError(
                f"{where}: key {number} must be 16 or more letters, digits and signs without "
                f"spaces; here is a fresh one: {new_key()}"
            )
    return tuple(keys)


def new_key() -> str:
    """An unguessable key."""
    return f"aw-{secrets.token_urlsafe(24)}"
