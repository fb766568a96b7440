"""Whole files are read whatever stands after their media or whatever their writer could not know;
files that are cut are refused.
"""

from __future__ import annotations

import io
import re
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
import soundfile

from anyweave import media
from anyweave.messages import MEDIA_TYPES, Audio, Image, Media, Video

from .animated import encoded_clip

TAIL = b"camera footer: 32 bytes of a maker"
RATE = 44_100


def tone(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return (0.4 * np.sin(np.arange(round(seconds * rate)) * 0.06)).astype(np.float32)


def sound(format: str, seconds: float = 1.0, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([tone(seconds)] * channels, axis=1), RATE, format=format)
    return buffer.getvalue()


def muxed(
    codec: str, muxer: str, *, seconds: float = 1.0, layout: str = "mono", **options: str
) -> bytes:
    """A sound by FFmpeg's encoder and muxer."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer, options=options) as container:
        stream = container.add_stream(codec, rate=48_000 if codec == "libopus" else RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        samples = tone(seconds, stream.rate)[None].repeat(stream.channels, axis=0)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = stream.rate, 0, Fraction(1, stream.rate)
        shaped = av.AudioResampler(
            stream.format, layout, stream.rate, frame_size=stream.codec_context.frame_size or 1024
        )
        for piece in (*shaped.resample(frame), *shaped.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def picture(format: str) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(buffer, format)
    return buffer.getvalue()


def clip(format: str) -> bytes:
    frames = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)
    return encoded_clip(frames, 5, format)


def avi() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for value in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 9 * value, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def live_webm() -> bytes:
    """What browsers record: neither lengths nor a duration."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for value in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 9 * value, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


WHOLE: dict[str, tuple[type[Media], bytes]] = {
    "png": (Image, picture("png")),
    "jpeg": (Image, picture("jpeg")),
    "gif": (Image, picture("gif")),
    "webp": (Image, picture("webp")),
    "bmp": (Image, picture("bmp")),
    "avif": (Image, picture("avif")),
    "animated gif": (Video, clip("gif")),
    "animated webp": (Video, clip("webp")),
    "mp4": (Video, clip("mp4")),
    "webm": (Video, clip("webm")),
    "avi": (Video, avi()),
    "wav": (Audio, sound("WAV")),
    "rf64": (Audio, sound("RF64")),
    "flac": (Audio, sound("FLAC")),
    "ogg": (Audio, sound("OGG")),
    "opus": (Audio, muxed("libopus", "ogg")),
    "mp3": (Audio, sound("MP3")),
    "mp3 without Xing": (Audio, muxed("libmp3lame", "mp3", write_xing="0", id3v2_version="0")),
    "aac": (Audio, muxed("aac", "adts")),
    "m4a": (Audio, muxed("aac", "ipod")),
    "audio webm": (Audio, muxed("libopus", "webm")),
    "audio mkv": (Audio, muxed("flac", "matroska")),
    "audio mp4": (Audio, muxed("aac", "mp4")),
    "3gp": (Audio, muxed("aac", "3gp")),
    "eight channels": (Audio, sound("FLAC", channels=8)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_trailing_bytes_are_no_damage(name: str) -> None:
    kind, data = WHOLE[name]
    expected = media.load(kind(data))
    for tail in (TAIL, b"\r\n", b"\0" * 600, b"TAG" + b"title".ljust(125, b" ")):
        np.testing.assert_array_equal(media.load(kind(data + tail)), expected)


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "eight channels"])
def test_what_is_cut_is_refused(name: str) -> None:
    kind, data = WHOLE[name]
    for kept in (0.3, 0.6, 0.9):
        with pytest.raises(media.MediaError, match="truncated|damaged"):
            media.load(kind(data[: int(len(data) * kept) - 3]))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_cut_live_recording_is_refused(kept: float) -> None:
    data = live_webm()
    assert media.load(Video(data)).shape == (6, 32, 32, 3)
    with pytest.raises(media.MediaError, match="truncated|damaged"):
        media.load(Video(data[: int(len(data) * kept)]))


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000])
def test_a_wav_from_a_pipe_is_read_to_its_end(length: int) -> None:
    data = sound("WAV")
    at = data.index(b"data") + 4
    piped = data[:4] + b"\xff" * 4 + data[8:at] + struct.pack("<I", length) + data[at + 4 :]
    np.testing.assert_array_equal(media.load(Audio(piped)), media.load(Audio(data)))


def test_a_wav_that_is_really_empty_stays_empty() -> None:
    empty = sound("WAV", 0.0)
    for data in (empty, empty + b"LIST" + struct.pack("<I", 4) + b"INFO"):
        with pytest.raises(media.MediaError, match="no samples"):
            media.load(Audio(data))


@pytest.mark.parametrize("kept", [1.0, 0.9, 0.4])
def test_a_flac_from_a_pipe_does_not_know_its_length(kept: float) -> None:
    data = bytearray(sound("FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    part = Audio(bytes(data[: int(len(data) * kept)]))
    if kept == 1.0:
        np.testing.assert_array_equal(media.load(part), media.load(Audio(sound("FLAC"))))
        return
    with pytest.raises(media.MediaError, match="damaged|truncated"):
        media.load(part)


def test_tags_between_the_frames_of_an_mp3_are_skipped_and_other_bytes_are_damage() -> None:
    quiet, loud = (
        muxed("libmp3lame", "mp3", seconds=2.0, write_xing="0", id3v2_version="0") for _ in range(2)
    )
    whole = media.load(Audio(quiet + loud), sample_rate=RATE)
    assert len(whole) == pytest.approx(4 * RATE, abs=5_000)


@pytest.mark.parametrize("inner", ["flac", "mp3"])
def test_what_follows_a_tag_is_looked_at(inner: str) -> None:
    tag = b"ID3\x04\0\0" + bytes([0, 0, 4, 0]) + bytes(512)
    data = WHOLE[inner][1]
    expected = media.load(Audio(data))
    np.testing.assert_array_equal(media.load(Audio(tag + data)), expected)


@pytest.mark.parametrize("name", ["a.raw", "a.RAW", "a.pcm", "a.au", "a.mp4", "a"])
@pytest.mark.parametrize("format", ["wav", "mp3", "flac", "ogg"])
def test_the_name_of_a_sound_means_nothing(tmp_path: Path, name: str, format: str) -> None:
    path = tmp_path / name
    path.write_bytes(WHOLE[format][1])
    np.testing.assert_array_equal(media.load(Audio(path)), media.load(Audio(path.read_bytes())))


@pytest.mark.parametrize("modality", sorted(MEDIA_TYPES))
def test_heic_gets_advice_that_can_be_followed(modality: str) -> None:
    heic = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + struct.pack(">I", 16) + b"mdat"
    with pytest.raises(media.MediaError, match="HEIC.*convert it to JPEG or PNG"):
        media.load(MEDIA_TYPES[modality](heic + bytes(8)))


@pytest.mark.parametrize("format", ["png", "avif", "gif", "webp"])
def test_animations_are_videos(format: str) -> None:
    pictures = [PIL.Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    buffer = io.BytesIO()
    pictures[0].save(buffer, format, save_all=True, append_images=pictures[1:], duration=250)
    frames, rate = media.load_video_with_rate(Video(buffer.getvalue()))
    assert frames.shape == (3, 16, 16, 3) and rate == pytest.approx(4)
    assert frames[:, 8, 8].argmax(axis=1).tolist() == [0, 1, 2]
    with pytest.raises(media.MediaError, match=re.escape("pass it as Video(...)")):
        media.load(Image(buffer.getvalue()))


def test_the_still_of_an_apng_is_no_frame_of_it() -> None:
    pictures = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("white", "red", "blue")]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "png", save_all=True, append_images=pictures[1:], duration=500, default_image=True
    )
    frames, rate = media.load_video_with_rate(Video(buffer.getvalue()))
    assert frames[:, 4, 4].tolist() == [[255, 0, 0], [0, 0, 255]] and rate == pytest.approx(2)
