"""The model's reply: a message whose media can be accessed, saved and displayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

from anyweave import media
from anyweave.files import write_json
from anyweave.generation.writing import write_message
from anyweave.media.showing import array_and_rate, message_html
from anyweave.messages import Media, Message, Modality


class Sampled(NamedTuple):
    """An array with its rate: frames ``uint8[T, H, W, 3]`` and frames/s, or a wave ``float32[S]``
    and Hz.
    """

    array: np.ndarray
    rate: float | None


class Reply(Message):
    """The assistant's message. It equals a plain `Message` of the same parts; notebooks render it.

    `images`, `videos` and `audios` omit media that have only a caption, which occur only with
    ``decode_media=False``.
    """

    @property
    def images(self) -> list[PIL.Image.Image]:
        """The pictures as PIL images, in order."""
        return [PIL.Image.fromarray(media.load(part)) for part in self._made("image")]

    @property
    def videos(self) -> list[Sampled]:
        """The clips: ``frames, fps = reply.videos[0]``."""
        return [Sampled(*array_and_rate(part)) for part in self._made("video")]

    @property
    def audios(self) -> list[Sampled]:
        """The sounds: ``wave, hz = reply.audios[0]``."""
        return [Sampled(*array_and_rate(part)) for part in self._made("audio")]

    def save(self, folder: str | Path, stem: str = "reply") -> list[dict[str, Any]]:
        """Write the media as ``STEM-NUMBER.png|mp4|wav`` and the parts in order as ``STEM.json``.
        Returns these parts, as `write_message` does. Existing files are replaced.
        """
        parts = write_message(self, folder, stem)
        write_json(Path(folder) / f"{stem}.json", parts)
        return parts

    def _made(self, modality: Modality) -> list[Media]:
        return [part for part in self.media(modality) if part.source is not None]

    def _repr_html_(self) -> str:
        return message_html(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return (self.role, self.parts) == (other.role, other.parts)

    __hash__ = Message.__hash__
