"""Frame times, pixel shapes, tracks, and clips that lost frames."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from anyweave import media
from anyweave.media.sniffing import sniff
from anyweave.messages import Audio, Video

from .animated import encoded_clip


def recording(times: list[int], muxer: str = "webm", **options: str) -> bytes:
    """A clip with a frame at each of `times` in ms."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer, options=options) as container:
        stream = container.add_stream("libvpx" if muxer == "webm" else "libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            pixels = np.full((48, 64, 3), 20 * number % 255, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def without_frame_time(data: bytes) -> bytes:
    """A browser's WebM has no default frame time: padding in its place."""
    at = data.find(b"\x23\xe3\x83")
    size = 4 + (data[at + 3] & 0x7F)
    return data[:at] + b"\xec" + bytes([0x80 | size - 2]) + bytes(size - 2) + data[at + size :]


UNEVEN = [0, 33, 66, 100, 1100, 2100, 3100, 4100, 5100, 6100]


@pytest.mark.parametrize("muxer", ["webm", "mp4", "matroska"])
@pytest.mark.parametrize("live", [True, False])
def test_the_rate_is_the_mean_of_the_frame_times(muxer: str, live: bool) -> None:
    options = {"live": "1"} if live and muxer != "mp4" else {}
    data = recording(UNEVEN, muxer, **options)
    if muxer != "mp4":
        data = without_frame_time(data)
    frames, rate = media.load_video_with_rate(Video(data))
    assert len(frames) == 10 and rate == pytest.approx(9 / 6.1, rel=1e-3)


def squeezed(shape: Fraction, turn: bool = False) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = shape
        for _ in range(3):
            pixels = np.zeros((48, 64, 3), np.uint8)
            pixels[:, :32] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("shape", "width"), [((2, 1), 128), ((1, 1), 64), ((1, 2), 32), ((16, 15), 68), ((8, 9), 57)]
)
def test_pixels_become_square(shape: tuple[int, int], width: int) -> None:
    frames = media.load(Video(squeezed(Fraction(*shape))))
    assert frames.shape == (3, 48, width, 3)
    assert frames[:, :, : width // 2 - 4].mean() > 245 > 10 > frames[:, :, width // 2 + 4 :].mean()


def tracks(muxer: str, audio: str, *, film: bool) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer) as container:
        if film:
            video = container.add_stream("libvpx" if muxer == "webm" else "libx264", rate=5)
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
        sound = container.add_stream(audio, rate=48_000, layout="mono")
        assert isinstance(sound, av.AudioStream)
        if film:
            for _ in range(3):
                picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 24_000), "f4"), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        size = sound.codec_context.frame_size
        shaped = av.AudioResampler(sound.format, "mono", 48_000, frame_size=size)
        for piece in (*shaped.resample(frame), *shaped.resample(None)):
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("film", [True, False])
@pytest.mark.parametrize(
    ("muxer", "audio"),
    [("webm", "libopus"), ("matroska", "libopus"), ("mp4", "aac"), ("3gp", "aac"), ("mov", "aac")],
)
def test_a_file_without_pictures_is_audio(
    tmp_path: Path, muxer: str, audio: str, film: bool
) -> None:
    path = tmp_path / f"note.{'mkv' if muxer == 'matroska' else muxer}"
    path.write_bytes(tracks(muxer, audio, film=film))
    assert sniff(path) == ("video" if film else "audio")
    assert media.load(Audio(path)).shape[0] == pytest.approx(8_000, abs=700)


def noisy(format: str) -> bytes:
    frames = np.random.default_rng(0).integers(0, 255, (8, 48, 64, 3), dtype=np.uint8)
    return encoded_clip(frames, 8, format)


def test_a_damaged_webm_is_not_read_as_a_shorter_one() -> None:
    """A block whose head is gone: FFmpeg goes on at the next cluster it finds."""
    data = noisy("webm")
    blocks = [at for at in range(len(data)) if data[at : at + 1] == b"\xa3"]
    first = data.index(b"\x1f\x43\xb6\x75")
    for at in (first, next(at for at in blocks if at > first)):
        with pytest.raises(media.MediaError, match="damaged|truncated"):
            media.load(Video(data[:at] + b"\0" + data[at + 1 :]))


EIGHT = [125 * number for number in range(8)]


@pytest.mark.parametrize("kind", ["noise", "zeros", "gone"])
@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "webp", "live", "matroska"])
def test_no_damage_loses_frames_in_silence(format: str, kind: str) -> None:
    """Frames of wrong colours cannot be known as such; a clip with fewer of them can."""
    options = {"live": "1"} if format == "live" else {}
    muxer = {"live": "webm"}.get(format, format)
    made = format in ("live", "matroska")
    data = recording(EIGHT, muxer, **options) if made else noisy(format)
    assert len(media.load(Video(data))) == 8
    rng = np.random.default_rng(3)
    for _ in range(20):
        start, length = int(rng.integers(0, len(data) - 64)), int(rng.integers(1, 64))
        filling = {"noise": rng.bytes(length), "zeros": bytes(length), "gone": b""}[kind]
        damaged = data[:start] + filling + data[start + length :]
        try:
            frames = media.load(Video(damaged))
        except media.MediaError:
            continue
        assert len(frames) == 8, f"bytes {start} to {start + length}"


def test_a_time_scale_of_zero_is_told() -> None:
    data = bytearray(noisy("mp4"))
    for box in (b"mvhd", b"mdhd"):
        broken = bytearray(data)
        at = data.index(box) + 16
        broken[at : at + 4] = bytes(4)
        try:
            frames, rate = media.load_video_with_rate(Video(bytes(broken)))
        except media.MediaError as error:
            assert str(error).startswith("<video from bytes>: ")
        else:
            assert len(frames) == 8 and rate == pytest.approx(8)
