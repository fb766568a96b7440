"""Sizes of generated media, in the user's units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

Rates = Sequence[float | None]
"""One per medium: Hz for sounds, frames/s for clips, None for pictures."""


@dataclass(frozen=True, kw_only=True)
class MediaSize:
    """The size of a generated medium. None means the decoder's default.

    `height` and `width` in pixels, `num_frames` of a clip, `audio_length` in seconds.
    """

    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    audio_length: float | None = None

    def filled(self, default: MediaSize, *, modality: str) -> MediaSize:
        """This size with unset fields taken from `default`. Raises `ValueError` for a field that
        `modality` does not have.
        """
        for field in fields(self):
            if getattr(self, field.name) is not None and getattr(default, field.name) is None:
                has = [f.name for f in fields(default) if getattr(default, f.name) is not None]
                raise ValueError(
                    f"{modality} has no {field.name}; its size is given by {', '.join(has)}"
                )
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(
            default, **{name: value for name, value in given.items() if value is not None}
        )


def check_multiple(name: str, value: int, factor: int) -> None:
    """Raise `ValueError` unless `value` is a positive multiple of the VAE's `factor`."""
    if value <= 0 or value % factor:
        near = sorted(
            {max(factor, value // factor * factor), (max(value, 0) // factor + 1) * factor}
        )
        raise ValueError(
            f"{name} must be a positive multiple of {factor} (the VAE's downsampling), "
            f"got {value}; try {' or '.join(map(str, near))}"
        )
