"""What can be wrong with a medium, and how much of one we agree to read."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
import PIL.Image
import soundfile


class MediaError(ValueError):
    """A medium that cannot be read or written: its name, the reason and what to do about it."""


def media_error(name: str, reason: str, advice: str) -> MediaError:
    """The one form of our messages: ``name: reason; advice``."""
    return MediaError(f"{name}: {reason}; {advice}")


@contextmanager
def explain(
    name: str, reason: str, advice: str, errors: tuple[type[BaseException], ...]
) -> Iterator[None]:
    """Turn a library's `errors` into a `MediaError` that starts with `name` and keeps the cause."""
    try:
        yield
    except MediaError:
        raise
    except errors as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise media_error(name, f"{reason} ({cause})", advice) from error


# What decoders and their bindings raise on damaged or hostile files.
DAMAGE: tuple[type[BaseException], ...] = (
    av.FFmpegError, soundfile.SoundFileError, PIL.Image.DecompressionBombError, struct.error,
    zlib.error, OSError, ValueError, TypeError, ArithmeticError, LookupError, SyntaxError,
    EOFError, AttributeError, AssertionError, RuntimeError, MemoryError, BufferError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest medium that we read. Checked against the headers before decoding, and again while
    decoding: headers may lie.

    `max_pixels`: width x height of an image or of one video frame.
    `max_seconds`: length of audio or video.
    `max_frames`: frames of a video.
    `max_bytes`: size of the encoded file.
    `max_decoded_bytes`: decoded size: height x width x 3 for all frames, 4 bytes per sample and
    channel. Time and memory grow with it.
    `max_work_seconds`: time that decoding may take.
    """

    max_pixels: int = 80_000_000
    max_seconds: float = 600.0
    max_frames: int = 18_000
    max_bytes: int = 2**31
    max_decoded_bytes: int = 2**30
    max_work_seconds: float = 60.0

    def __post_init__(self) -> None:
        for limit, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"Limits.{limit} must be positive, got {value}")

    def check(self, name: str, **found: float) -> None:
        """Raise `MediaError` if any of the given sizes (``pixels=...``) is over its limit."""
        for noun, size in found.items():
            limit = getattr(self, f"max_{noun}")
            if size > limit:
                shown = f"{size:,.1f}" if isinstance(size, float) else f"{size:,}"
                raise media_error(
                    name,
                    f"it has {shown} {noun.replace('_', ' ')}, more than the limit of {limit:,}",
                    f"make it smaller, or raise the limit with limits=Limits(max_{noun}=...)",
                )


class Meter:
    """Counts the decoded bytes of one medium, before memory is allocated, and the time taken.

    Raises `MediaError` once a limit is passed.
    """

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self._decoded = 0
        self._start = time.monotonic()

    def add(self, decoded_bytes: int) -> None:
        """Count the bytes of one more frame or block."""
        self._decoded += decoded_bytes
        self.limits.check(
            self.name,
            decoded_bytes=self._decoded,
            work_seconds=time.monotonic() - self._start,
        )


DEFAULT_LIMITS = Limits()
