"""A medium can end the process that decodes it, and nothing else."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyweave import media
from anyweave.media import isolation
from anyweave.messages import Audio, Image, Video

FRAMES = np.random.default_rng(0).integers(0, 255, (5, 40, 40, 3), dtype=np.uint8)
CLIP = media.encode("video", FRAMES, rate=8, format="mp4")
TONE = media.encode("audio", np.full(8_000, 0.1, np.float32), rate=16_000, format="wav")


@contextmanager
def isolated() -> Iterator[isolation.Decoder]:
    """A child decodes within the block."""
    before, isolation._decoder = isolation._decoder, isolation.Decoder()
    try:
        yield isolation._decoder
    finally:
        isolation._decoder.close()
        isolation._decoder = before


@pytest.fixture(scope="module")
def decoder() -> Iterator[isolation.Decoder]:
    with isolated() as decoder:
        yield decoder


def test_the_child_reads_what_we_read(decoder: isolation.Decoder, tmp_path: Path) -> None:
    path = media.save("image", FRAMES[0], tmp_path / "a.png")
    for part in (Image(path), Image(str(path)), Video(CLIP), Video(memoryview(CLIP)), Audio(TONE)):
        there, rate = decoder.read(part, 8_000, media.DEFAULT_LIMITS)
        assert there.flags.writeable
        isolation._decoder, before = None, isolation._decoder
        here, expected = media.read(part, sample_rate=8_000)
        isolation._decoder = before
        np.testing.assert_array_equal(there, here)
        assert rate == expected
    assert media.load_video_with_rate(Video(CLIP))[1] == pytest.approx(8)


def test_arrays_stay_here(decoder: isolation.Decoder) -> None:
    assert media.load(Image(FRAMES[0])) is not None
    assert isolation.decoder_for(Image(FRAMES[0])) is None
    assert isolation.decoder_for(Image("a.png")) is decoder


def test_its_errors_are_ours(decoder: isolation.Decoder, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(CLIP[:500])
    with pytest.raises(media.MediaError, match=r"cut\.mp4: this MP4 is truncated"):
        media.load(Video(path))
    with pytest.raises(media.MediaError, match="1,600 pixels"):
        media.load(Video(CLIP), limits=media.Limits(max_pixels=1000))


class Deadly(Image):
    """Ends the process that takes it out of the pipe, as a decoder's crash does."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


def test_a_death_is_one_error_and_the_next_medium_is_read(decoder: isolation.Decoder) -> None:
    with pytest.raises(media.MediaError, match=r"a.png: decoding it ends the process.*SIGABRT"):
        decoder.read(Deadly("a.png"), 16_000, media.DEFAULT_LIMITS)
    assert media.load(Video(CLIP)).shape == FRAMES.shape


SPIN = """
import sys
from anyweave import media
from anyweave.media import image, isolation
from anyweave.messages import Image

def spin(part, limits):
    while True:
        pass

def grow(part, limits):
    return bytearray(2**33)

image.load_image = {"spin": spin, "grow": grow}[sys.argv[1]]
isolation.may_die(memory=2**30)
media.load(Image("a.png"), limits=media.Limits(max_work_seconds=0.5))
"""


def test_a_process_that_may_die_is_ended_when_a_medium_takes_too_long() -> None:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SPIN, "spin"], capture_output=True)
    assert done.returncode == -signal.SIGXCPU
    assert time.monotonic() - start < 60


def test_a_process_that_may_die_gets_no_memory_without_bound() -> None:
    done = subprocess.run([sys.executable, "-c", SPIN, "grow"], capture_output=True, text=True)
    assert done.returncode == 1 and "MemoryError" in done.stderr


def test_a_child_that_never_answers_is_ended(
    decoder: isolation.Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "_PATIENCE", 1e-9)
    with pytest.raises(media.MediaError, match="takes more than 60 seconds"):
        media.load(Video(CLIP))
    monkeypatch.undo()
    assert media.load(Video(CLIP)).shape == FRAMES.shape


def test_a_child_that_does_not_start_is_no_fault_of_the_medium(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolation, "_START", "raise SystemExit(3)")
    with isolated(), pytest.raises(RuntimeError, match=r"does not start \(3\)"):
        media.load(Video(CLIP))


def test_an_error_can_be_sent() -> None:
    assert str(pickle.loads(pickle.dumps(media.MediaError("a: b; c")))) == "a: b; c"
