"""What the model answered: a message whose media can be taken, saved and seen."""

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
    """The assistant's message. It equals a plain `Message` of the same parts; a notebook shows it.

    `images`, `videos` and `audios` leave out media that are known by their caption alone, which
    only replies with ``decode_media=False`` have.
    """

    @property
    def images(self) -> list[PIL.Image.Image]:
        """The pictures as PIL images, in the order in which they came."""
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
        """Write the media as ``STEM-NUMBER.png|mp4|wav`` and the parts in order as ``STEM.json``;
        returns these parts, as `write_message` does. Files of the same names are replaced.
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
