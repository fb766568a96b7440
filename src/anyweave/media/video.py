"""Video: a path, bytes or an array in, ``uint8[T, H, W, 3]`` and its frames/s out, and back.

Frames come as they are stored; for a file with uneven frame times the rate is the mean. A rotation
flag (phone videos) is honoured. GIF and WebP, still or animated, go through Pillow; the rest
through FFmpeg.
"""

from __future__ import annotations

import io
from fractions import Fraction

import av
import av.stream
import numpy as np
import PIL.Image
import PIL.ImageSequence
from av.container.core import Flags
from jaxtyping import UInt8

from anyweave.media.animation import encode_animation
from anyweave.media.audio import DEMUXERS
from anyweave.media.errors import Limits, explain, media_error
from anyweave.media.image import DAMAGE as PILLOW_DAMAGE
from anyweave.media.image import flatten
from anyweave.media.source import Encoded, check_source, open_encoded
from anyweave.messages import Media

FORMATS: tuple[str, ...] = ("mp4", "webm", "gif", "webp")
_DAMAGE: tuple[type[BaseException], ...] = (av.FFmpegError, *PILLOW_DAMAGE)
_UNTIMED_SECONDS = 0.1  # what browsers give a frame without a duration
_CODECS = {
    # Macroblock trees round differently from build to build.
    "mp4": ("libx264", "mp4", {"crf": "17", "preset": "veryfast", "x264-params": "mbtree=0"}),
    "webm": ("libvpx-vp9", "webm", {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "5"}),
}


def load_video(part: Media, limits: Limits) -> tuple[UInt8[np.ndarray, "T H W 3"], float | None]:
    """The frames of a video part and their rate in frames/s, for an array the part's own rate.

    Raises `MediaError`.
    """
    source = part.source
    if isinstance(source, np.ndarray):
        return check_video(source, part.name), part.rate
    check_source(part, "a path, bytes or an array uint8[T, H, W, 3]")
    with open_encoded(part, limits) as encoded:
        reason = f"this {encoded.format} is damaged or its codec is not supported"
        with explain(part.name, reason, "get the file again, or convert it to H.264 MP4", _DAMAGE):
            read = _read_container if encoded.format in DEMUXERS else _read_animation
            frames, rate = read(encoded, limits)
    return frames, rate


def check_video(array: np.ndarray, name: str) -> UInt8[np.ndarray, "T H W 3"]:
    """Raise `MediaError` unless `array` is ``uint8[T, H, W, 3]`` with at least one frame."""
    if array.dtype != np.uint8:
        raise media_error(
            name,
            f"a video array is uint8[T, H, W, 3], got dtype {array.dtype}",
            "scale it to 0..255 and use .astype(np.uint8)",
        )
    if array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape[1:]:
        raise media_error(
            name,
            f"a video array is uint8[T, H, W, 3], got shape {list(array.shape)}",
            "put frames first and the three colour channels last",
        )
    if len(array) == 0:
        raise media_error(name, "it has no frames", "give a clip of at least one frame")
    return np.ascontiguousarray(array)


def encode_video(array: np.ndarray, rate: float | None, format: str, name: str) -> bytes:
    """Encode ``uint8[T, H, W, 3]`` at `rate` frames/s.

    H.264 (yuv420p, what every player reads) needs even sides: an odd side of a clip for MP4 is
    filled up by repeating its last line.
    """
    frames = check_video(array, name)
    if not rate or not 0 < rate <= 1000:
        raise media_error(
            name, f"a video needs a rate in frames/s up to 1000, got rate={rate}", "pass rate=8"
        )
    advice = "choose another format, size or rate"
    with explain(name, f"cannot be written as {format}", advice, _DAMAGE):
        if format not in _CODECS:
            return encode_animation(frames, rate, format, name)
        return _encode_container(frames, Fraction(rate).limit_denominator(10_000), format)


def _encode_container(frames: UInt8[np.ndarray, "T H W 3"], rate: Fraction, format: str) -> bytes:
    codec, muxer, options = _CODECS[format]
    if format == "mp4":
        odd = [(0, side % 2) for side in frames.shape[1:3]]
        frames = np.pad(frames, [(0, 0), *odd, (0, 0)], mode="edge")
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format=muxer) as container:
        container.flags |= Flags.bitexact.value  # no random ids in the file
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # the bytes must not depend on the machine's cores
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _read_container(encoded: Encoded, limits: Limits) -> tuple[UInt8[np.ndarray, "T H W 3"], float]:
    with av.open(encoded.file, mode="r", format=DEMUXERS[encoded.format]) as container:
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic  # cover art of music
        ]
        if not streams:
            raise media_error(
                encoded.name, f"this {encoded.format} has no video track", "pass it as Audio(...)"
            )
        stream = streams[0]
        if stream.codec_context is None:
            raise media_error(
                encoded.name, "its video codec is not supported", "convert it to H.264 MP4"
            )
        rate = float(stream.average_rate or stream.guessed_rate or stream.base_rate or 0)
        pixels = stream.codec_context.width * stream.codec_context.height
        seconds = container.duration / av.time_base if container.duration else 0.0
        expected = stream.frames or round(seconds * rate)
        limits.check(
            encoded.name,
            pixels=pixels,
            seconds=seconds,
            frames=expected,
            bytes=expected * pixels * 3,
        )
        stream.thread_type = "AUTO"
        frames: list[np.ndarray] = []
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise media_error(
                    encoded.name,
                    f"this {encoded.format} is damaged at frame {len(frames)}",
                    "get the file again",
                )
            frames.append(_upright(frame, frames[0].shape if frames else None))
            size = frames[0].size
            limits.check(encoded.name, frames=len(frames), bytes=len(frames) * size)
        if not frames:
            raise media_error(encoded.name, "it has no frames", "give a clip of at least one frame")
        return np.stack(frames), rate or len(frames) / max(seconds, 1e-3)


def _upright(frame: av.VideoFrame, shape: tuple[int, ...] | None) -> UInt8[np.ndarray, "H W 3"]:
    """The frame as RGB, turned as its rotation flag says, in the size of its forerunners."""
    turns = round(frame.rotation / 90) % 4
    height, width = frame.height, frame.width
    if shape is not None:
        height, width = (shape[1], shape[0]) if turns % 2 else (shape[0], shape[1])
    return np.rot90(frame.to_ndarray(format="rgb24", width=width, height=height), turns)


def _read_animation(encoded: Encoded, limits: Limits) -> tuple[UInt8[np.ndarray, "T H W 3"], float]:
    with PIL.Image.open(encoded.file, formats=("GIF", "WEBP")) as picture:
        count = getattr(picture, "n_frames", 1)
        pixels = picture.width * picture.height
        limits.check(encoded.name, pixels=pixels, frames=count, bytes=count * pixels * 3)
        frames, seconds = [], 0.0
        for frame in PIL.ImageSequence.Iterator(picture):
            frames.append(np.asarray(flatten(frame, encoded.name)))
            seconds += frame.info.get("duration", 0) / 1000 or _UNTIMED_SECONDS
            limits.check(encoded.name, seconds=seconds)
        return np.stack(frames), len(frames) / seconds
