"""Video: a path, bytes or an array in, ``uint8[T, H, W, 3]`` and its frames/s out, and back.

Frames come as they are stored; for a file with uneven frame times the rate is the mean. GIF, WebP,
PNG and AVIF, still or animated, go through Pillow; the rest through FFmpeg (`film`).
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import PIL.Image
from jaxtyping import UInt8

from anyweave.media.audio import DEMUXERS
from anyweave.media.errors import DAMAGE, Limits, explain, media_error
from anyweave.media.film import Frames, read_film
from anyweave.media.image import ANIMATED, flatten
from anyweave.media.marking import comment, mark_gif, mp4_box
from anyweave.media.source import Encoded, check_source, open_encoded
from anyweave.messages import Media, Modality

FORMATS: tuple[str, ...] = ("mp4", "webm", "gif")
_UNTIMED_SECONDS = 0.1  # what browsers give a frame without a duration
_CODECS = {
    # Macroblock trees round differently from build to build.
    "mp4": ("libx264", "mp4", {"crf": "17", "preset": "veryfast", "x264-params": "mbtree=0"}),
    "webm": ("libvpx-vp9", "webm", {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "5"}),
    # Every frame has its own palette, so the same pixel value is not the same colour.
    "gif": ("gif", "gif", {"gifflags": "-transdiff"}),
}
_GIF_TICK = Fraction(1, 100)  # seconds
_GIF_FASTEST = 50  # frames/s: players slow a frame of one tick down to ten


def read(
    part: Media, sample_rate: int, limits: Limits
) -> tuple[UInt8[np.ndarray, "T H W 3"], float | None]:
    """`load_video`; its sound is not read."""
    return load_video(part, limits)


def load_video(part: Media, limits: Limits) -> tuple[UInt8[np.ndarray, "T H W 3"], float | None]:
    """The frames of a video part and their rate in frames/s; for an array, the part's own rate.

    Raises `MediaError`.
    """
    source = part.source
    if isinstance(source, np.ndarray):
        return check_video(source, part.name), part.rate
    check_source(part, "a path, bytes or an array uint8[T, H, W, 3]")
    with open_encoded(part, limits) as encoded:
        reason = f"this {encoded.format} is damaged or its codec is not supported"
        with explain(part.name, reason, "get the file again, or convert it to H.264 MP4", DAMAGE):
            read = read_film if encoded.format in DEMUXERS else _read_animation
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


def encode(
    modality: Modality,
    array: np.ndarray,
    rate: float | None,
    format: str,
    name: str,
    generated: bool,
) -> bytes:
    """Encode ``uint8[T, H, W, 3]`` at `rate` frames/s.

    H.264 (yuv420p, which every player reads) needs even sides: for MP4, an odd side is padded by
    repeating its last line. A GIF has a palette for each frame, and times in units of 10 ms that
    add up to the clip's true length.
    """
    frames = check_video(array, name)
    if not rate or not 0 < rate <= 1000:
        raise media_error(
            name, f"a video needs a rate in frames/s up to 1000, got rate={rate}", "pass rate=8"
        )
    if format == "gif" and rate > _GIF_FASTEST:
        raise media_error(
            name,
            f"gif cannot play {rate:g} frames/s",
            f"use at most {_GIF_FASTEST}, or write mp4 or webm",
        )
    advice = "choose another format, size or rate"
    with explain(name, f"cannot be written as {format}", advice, DAMAGE):
        exact = Fraction(rate).limit_denominator(10_000)
        return _encode_container(frames, exact, format, generated)


def _encode_container(
    frames: UInt8[np.ndarray, "T H W 3"], rate: Fraction, format: str, generated: bool
) -> bytes:
    codec, muxer, options = _CODECS[format]
    if format == "mp4":
        odd = [(0, side % 2) for side in frames.shape[1:3]]
        frames = np.pad(frames, [(0, 0), *odd, (0, 0)], mode="edge")
    buffer = io.BytesIO()
    told = {"fflags": "bitexact"}  # no random ids in the file
    tick = _GIF_TICK if format == "gif" else 1 / rate
    times = [round(index / rate / tick) for index in range(len(frames) + 1)]
    if format == "gif":
        told["final_delay"] = str(times[-1] - times[-2])
    with av.open(buffer, mode="w", format=muxer, options=told) as container:
        if generated and format == "webm":
            container.metadata["comment"] = comment(generated)
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "pal8" if format == "gif" else "yuv420p"
        stream.codec_context.thread_count = 1  # the bytes must not depend on the machine's cores
        stream.codec_context.time_base = tick
        for time, pixels in zip(times, frames, strict=False):
            frame = _paletted(pixels) if format == "gif" else av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = time, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if format == "gif":
        return mark_gif(buffer.getvalue(), generated)
    return buffer.getvalue() + (mp4_box(generated) if format == "mp4" else b"")


def _paletted(pixels: UInt8[np.ndarray, "H W 3"]) -> av.VideoFrame:
    picture = PIL.Image.fromarray(pixels).convert("P", palette=PIL.Image.Palette.ADAPTIVE)
    colours = np.asarray(picture.getpalette(), np.uint8).reshape(-1, 3)
    palette = np.full((256, 4), 255, np.uint8)  # opaque
    palette[: len(colours), 1:] = colours
    both: Any = np.asarray(picture), palette  # PyAV takes it, but its annotations do not
    return av.VideoFrame.from_ndarray(both, format="pal8")


def _read_animation(encoded: Encoded, limits: Limits) -> tuple[UInt8[np.ndarray, "T H W 3"], float]:
    with PIL.Image.open(encoded.file, formats=ANIMATED) as picture:
        # The first picture of an APNG may be a still for readers without animation.
        first = int(getattr(picture, "default_image", False))
        count = getattr(picture, "n_frames", 1) - first
        if count == 1 and encoded.format in ("PNG", "AVIF"):
            raise media_error(
                encoded.name,
                f"it holds an image ({encoded.format}), not a video",
                "pass it as Image(...)",
            )
        width, height = picture.size
        limits.check(
            encoded.name,
            pixels=width * height,
            frames=count,
            decoded_bytes=count * width * height * 3,
        )
        frames = Frames(encoded.name, limits)
        seconds = 0.0
        for number in range(first, first + count):
            picture.seek(number)
            picture.load()  # some formats give a frame's duration only then
            seconds += picture.info.get("duration", 0) / 1000 or _UNTIMED_SECONDS
            limits.check(encoded.name, seconds=seconds)
            frames.add(np.asarray(flatten(picture, encoded.name)))
    return frames.array(), len(frames) / seconds
