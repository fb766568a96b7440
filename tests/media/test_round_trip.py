"""What is written is read back: exactly where the format is exact, closely where it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anyweave import media
from anyweave.messages import MEDIA_TYPES, Audio, Image, Modality, Video

HEIGHT, WIDTH = 48, 64


def picture(shift: int = 0) -> np.ndarray:
    """A smooth picture with one hard square: easy for lossy codecs, yet easy to tell apart."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    image = np.stack([x * 3, y * 4, (x + y) * 2], axis=-1).astype(np.uint8)
    image[8:24, 8 + shift : 24 + shift] = (250, 20, 30)
    return image


def clip(count: int = 9) -> np.ndarray:
    return np.stack([picture(3 * index) for index in range(count)])


def tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    times = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def mean_error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


@pytest.mark.parametrize(
    ("suffix", "tolerance"), [("png", 0.0), ("jpg", 2.0), ("jpeg", 2.0), ("webp", 3.0)]
)
def test_image(tmp_path: Path, suffix: str, tolerance: float) -> None:
    path = media.save("image", picture(), tmp_path / f"a.{suffix}")
    loaded = media.load(Image(path))
    assert loaded.dtype == np.uint8 and loaded.shape == (HEIGHT, WIDTH, 3)
    assert mean_error(loaded, picture()) <= tolerance
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("rate", [8, 25, 30_000 / 1001])
@pytest.mark.parametrize(("suffix", "tolerance"), [("mp4", 6.0), ("webm", 6.0), ("gif", 6.0)])
def test_video(tmp_path: Path, suffix: str, tolerance: float, rate: float, count: int) -> None:
    path = media.save("video", clip(count), tmp_path / f"a.{suffix}", rate=rate)
    frames, found = media.load_video_with_rate(Video(str(path)))
    assert frames.dtype == np.uint8 and frames.shape == (count, HEIGHT, WIDTH, 3)
    # GIF counts time in 10 ms: a clip's length is off by at most half of that
    slack = 0.005 / (count / rate) if suffix == "gif" else 0.001
    assert found == pytest.approx(rate, rel=max(slack * 1.1, 0.001))
    for index in range(count):
        assert mean_error(frames[index], clip(count)[index]) <= tolerance


ENCODE = """
import hashlib, os, sys
import numpy as np
from anyweave import media
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
frames = np.arange(16 * 48 * 64 * 3, dtype=np.uint32).reshape(16, 48, 64, 3) // 7 % 251
for format in ("mp4", "webm", "gif"):
    data = media.encode("video", frames.astype(np.uint8), rate=8, format=format)
    print(format, hashlib.sha256(data).hexdigest())
"""


def test_the_bytes_of_a_clip_do_not_depend_on_process_or_cores() -> None:
    def encode(cores: int) -> str:
        command = [sys.executable, "-c", ENCODE, str(cores)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert encode(1) == encode(64) != ""
    data = media.encode("video", clip(), rate=8, format="mp4")
    assert b" mbtree=0 " in data and b" threads=1 " in data  # what x264 says it was told


@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif"])
def test_equal_frames_are_all_kept(tmp_path: Path, suffix: str) -> None:
    still = np.stack([picture()] * 8)
    frames, rate = media.load_video_with_rate(
        Video(media.save("video", still, tmp_path / f"a.{suffix}", rate=8))
    )
    assert len(frames) == 8 and rate == pytest.approx(8)


@pytest.mark.parametrize(
    ("suffix", "shape"), [("mp4", (48, 64)), ("webm", (47, 63)), ("gif", (47, 63))]
)
def test_odd_sides(tmp_path: Path, suffix: str, shape: tuple[int, int]) -> None:
    path = media.save("video", clip(3)[:, :47, :63], tmp_path / f"a.{suffix}", rate=8)
    frames = media.load(Video(path))
    assert frames.shape == (3, *shape, 3)
    assert mean_error(frames[:, :47, :63], clip(3)[:, :47, :63]) <= 6.0


def test_a_gif_is_read_the_same_by_ffmpeg(tmp_path: Path) -> None:
    import av

    path = media.save("video", clip(), tmp_path / "a.gif", rate=8)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    np.testing.assert_allclose(np.stack(frames), media.load(Video(path)), atol=1)


def test_a_moving_clip_on_a_still_background_is_stored_by_its_changes() -> None:
    still = len(media.encode("video", clip(1), rate=8, format="gif"))
    assert (
        len(media.encode("video", np.stack([picture()] * 10), rate=8, format="gif")) < 1.5 * still
    )


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    [("wav", 1 / 32_000), ("flac", 1 / 32_000), ("ogg", 0.02), ("mp3", 0.02)],
)
def test_audio(tmp_path: Path, suffix: str, tolerance: float, rate: int) -> None:
    samples = tone(rate)
    path = media.save("audio", samples, tmp_path / f"a.{suffix}", rate=rate)
    loaded = media.load(Audio(path), sample_rate=rate)
    assert loaded.dtype == np.float32 and loaded.ndim == 1
    # MP3 codes whole blocks of 1,152 samples
    assert len(samples) <= len(loaded) <= len(samples) + (1152 if suffix == "mp3" else 0)
    inner = slice(2000, len(samples) - 2000)
    assert np.abs(loaded[inner] - samples[inner]).max() <= tolerance


@pytest.mark.parametrize("source_rate", [8_000, 22_050, 48_000])
def test_audio_is_resampled(source_rate: int) -> None:
    loaded = media.load(Audio(tone(source_rate), rate=source_rate), sample_rate=16_000)
    assert len(loaded) == 8_000
    np.testing.assert_allclose(loaded[500:-500], tone(16_000)[500:-500], atol=0.01)


@pytest.mark.parametrize("modality", ["image", "video", "audio"])
def test_bytes_equal_paths(tmp_path: Path, modality: Modality) -> None:
    array, rate = {
        "image": (picture(), None),
        "video": (clip(), 8.0),
        "audio": (tone(16_000), 16_000.0),
    }[modality]
    part = MEDIA_TYPES[modality]
    for format in media.FORMATS[modality]:
        data = media.encode(modality, array, rate=rate, format=format)
        path = media.save(modality, array, tmp_path / f"a.{format}", rate=rate)
        assert path.read_bytes()[:4] == data[:4]
        np.testing.assert_array_equal(media.load(part(data)), media.load(part(path)))
        np.testing.assert_array_equal(media.load(part(bytearray(data))), media.load(part(path)))


def test_a_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    for modality, array, rate, wrong in [
        ("image", picture(), None, "a.jpg"),
        ("video", clip(), 8, "a.gif"),
        ("audio", tone(16_000), 16_000, "a.mp3"),
    ]:
        exact = {"image": "png", "video": "mp4", "audio": "wav"}[modality]
        path = tmp_path / wrong
        path.write_bytes(media.encode(modality, array, rate=rate, format=exact))
        assert len(media.load(MEDIA_TYPES[modality](path))) == len(array)


def test_array_and_pil_sources() -> None:
    np.testing.assert_array_equal(media.load(Image(picture())), picture())
    np.testing.assert_array_equal(media.load(Image(PIL.Image.fromarray(picture()))), picture())
    np.testing.assert_array_equal(media.load(Video(clip())), clip())
    assert media.load_video_with_rate(Video(clip(), rate=8))[1] == 8
    np.testing.assert_array_equal(media.load(Audio(tone(16_000), rate=16_000)), tone(16_000))


def test_audio_is_clipped_to_one() -> None:
    loud = 3 * tone(16_000)
    loaded = media.load(Audio(loud, rate=16_000))
    assert loaded.max() == 1.0 and loaded.min() == -1.0
    again = media.load(Audio(media.encode("audio", loud, rate=16_000, format="wav")))
    np.testing.assert_allclose(again, loaded, atol=1 / 16_000)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_any_image_survives_png(array: np.ndarray) -> None:
    data = media.encode("image", array, format="png")
    np.testing.assert_array_equal(media.load(Image(data)), array)


@given(
    hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-1, 1, width=32)),
    st.sampled_from(["wav", "flac"]),
)
def test_any_sound_survives_wav_and_flac(samples: np.ndarray, format: str) -> None:
    data = media.encode("audio", samples, rate=16_000, format=format)
    loaded = media.load(Audio(data))
    assert loaded.shape == samples.shape
    np.testing.assert_allclose(loaded, samples, atol=1.01 / 32_768)


@given(
    hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.just(3))
    ),
    st.floats(1, 50),
)
def test_any_gif_keeps_its_frames(frames: np.ndarray, rate: float) -> None:
    data = media.encode("video", frames, rate=rate, format="gif")
    loaded, found = media.load_video_with_rate(Video(data))
    assert loaded.shape == frames.shape
    assert len(frames) / found == pytest.approx(len(frames) / rate, abs=0.0051)
    # Every frame has its own palette, of more colours than these have pixels.
    np.testing.assert_array_equal(loaded, frames)
