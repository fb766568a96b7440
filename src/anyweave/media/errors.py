"""What can be wrong with a medium, and how much of one we agree to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


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


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest medium that is read. Checked against the headers, before anything is decoded.

    `max_pixels`: width x height of an image or of one video frame.
    `max_seconds`: length of audio or video.
    `max_frames`: frames of a video.
    `max_bytes`: size of the encoded file, and of the decoded array.
    """

    max_pixels: int = 80_000_000
    max_seconds: float = 600.0
    max_frames: int = 18_000
    max_bytes: int = 2**31

    def __post_init__(self) -> None:
        for limit, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"Limits.{limit} must be positive, got {value}")

    def check(
        self,
        name: str,
        *,
        pixels: int = 0,
        seconds: float = 0.0,
        frames: int = 0,
        bytes: int = 0,  # the noun of `max_bytes`
    ) -> None:
        """Raise `MediaError` if any of the given sizes is over its limit."""
        found = {"pixels": pixels, "seconds": seconds, "frames": frames, "bytes": bytes}
        for noun, size in found.items():
            limit = getattr(self, f"max_{noun}")
            if size > limit:
                shown = f"{size:,.1f}" if isinstance(size, float) else f"{size:,}"
                raise media_error(
                    name,
                    f"it has {shown} {noun}, more than the limit of {limit:,}",
                    f"make it smaller, or raise the limit with limits=Limits(max_{noun}=...)",
                )


DEFAULT_LIMITS = Limits()
