"""Depth maps from files and arrays, and through ImageBind's own tower."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from anyweave import media
from anyweave.media.showing import media_html
from anyweave.media.sniffing import sniff
from anyweave.messages import MEDIA_TYPES, Media
from anyweave.model import EncoderSpec
from anyweave.model.extending import with_modality
from anyweave.testing.conversations import tiny_media
from anyweave.testing.encoders import tiny_imagebind
from anyweave.testing.model import tiny_model

METRES = np.linspace(0.5, 4.0, 12, dtype=np.float32).reshape(3, 4)


def depth(source: object) -> Media:
    return MEDIA_TYPES["depth"](source)


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_files_and_arrays(tmp_path: Path) -> None:
    millimetres = (METRES * 1000).round().astype(np.uint16)
    np.testing.assert_allclose(media.load(depth(png(millimetres))), METRES, atol=5e-4)
    for source in (npy(METRES), npy(METRES.astype(np.float64)), METRES):
        array = media.load(depth(source))
        np.testing.assert_array_equal(array, METRES)
        assert array.dtype == np.float32
    path = media.store(depth(METRES), tmp_path / "a")
    assert path.name == "a.npy" and sniff(path) == "depth"
    assert "<img" in media_html(depth(path))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (png(np.zeros((2, 2, 3), np.uint8)), "16 bits of grey, millimetres; this is of mode RGB"),
        (npy(METRES.astype(np.uint16)), "depth is in metres, as floating-point numbers"),
        (METRES[None], r"shape \[H, W\], got \[1, 3, 4\]"),
        (-METRES, "below 0 is behind the camera"),
        (b"x,y", "neither a PNG nor a NumPy array"),
        (npy(np.array([{}])), "not a depth map that can be read .*allow_pickle"),
    ],
)
def test_what_is_no_depth_map(source: object, problem: str) -> None:
    with pytest.raises(media.MediaError, match=problem):
        media.load(depth(source))


def test_a_model_reads_depth_through_imagebind(tmp_path: Path) -> None:
    """The tower of the checkpoint that the model's pictures go through, by one word of its spec."""
    tiny_imagebind(towers=("depth",)).save_pretrained(tmp_path / "depth")
    encoder = EncoderSpec(type="imagebind", source=str(tmp_path / "depth"), modalities=("depth",))
    old = tiny_model()
    model = with_modality(old, "depth", encoder=encoder)
    assert model.spec.input_modalities == ("image", "video", "audio", "depth")
    assert model.processor.signals.total == old.processor.signals.total
    options: dict[str, Any] = {"max_new_tokens": 4, "temperature": 0.0, "decode_media": False}
    said = old.chat().reply([tiny_media("image", 0), "what?"], **options)
    again = model.chat().reply([tiny_media("image", 0), "what?"], **options)
    assert again == said  # all that it could is as it was
    metres = np.random.default_rng(0).uniform(0.5, 5, (40, 60)).astype(np.float32)
    chat = model.chat()
    chat.reply([depth(metres), "how far?"], **options)
    (sample,) = [model.processor.render(chat.messages)]
    assert sample.media[0].inputs is not None and sample.media[0].inputs.shape == (1, 64, 64)
    with pytest.raises(ValueError, match="this model takes no depth as input"):
        old.chat().reply([depth(metres), "how far?"], **options)
