"""The frames of files that FFmpeg reads: MP4, WebM, MKV, AVI, Ogg video.

Frames look as players show them: rotated by the rotation flag, with pixels made square. FFmpeg
skips what it cannot read and carries on, so frames are counted against what the file declares and
against the packets read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

import av
import av.container
import av.stream
import numpy as np
from jaxtyping import UInt8

from anyweave.media.audio import DEMUXERS
from anyweave.media.errors import Limits, MediaError, Meter, media_error
from anyweave.media.source import Encoded

_ONE_TO_ONE = ("h264", "vp9", "av1", "mjpeg", "ffv1")
"""Codecs in which each packet is one shown frame; others have packets of hidden frames."""


class Frames:
    """Frames ``uint8[H, W, 3]`` of one size, collected without ever holding two copies."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._meter = Meter(name, limits)
        self._pixels = bytearray()
        self._count = 0
        self.shape: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, frame: UInt8[np.ndarray, "H W 3"]) -> None:
        """Append a frame. Raises `MediaError` once the limits are exceeded."""
        self.shape = self.shape or frame.shape
        assert frame.shape == self.shape, "all frames of a clip have one size"
        self._count += 1
        self._limits.check(self._name, frames=self._count)
        self._meter.add(frame.size)
        self._pixels += np.ascontiguousarray(frame).data.cast("B")

    def array(self) -> UInt8[np.ndarray, "T H W 3"]:
        """All frames; nothing can be added afterwards."""
        assert self.shape is not None, "there is a frame"
        return np.frombuffer(self._pixels, np.uint8).reshape(self._count, *self.shape)


@dataclass
class _Seen:
    """What came out of a file: packets of the track, how many of them are not shown, and the times
    of the frames in seconds.
    """

    packets: int = 0
    hidden: int = 0
    times: list[float] = field(default_factory=list)
    last: float = 0.0  # the last frame's own duration, 0 if unknown

    def note(self, frame: av.VideoFrame) -> None:
        """Note when a frame is shown, if it says so."""
        if frame.time is not None:
            self.times.append(frame.time)
        self.last = float((frame.duration or 0) * (frame.time_base or 0))


def read_film(encoded: Encoded, limits: Limits) -> tuple[UInt8[np.ndarray, "T H W 3"], float]:
    """All frames of the first video track and their mean rate in frames/s. Raises `MediaError`, and
    what PyAV raises on damage.
    """
    with av.open(encoded.file, mode="r", format=DEMUXERS[encoded.format]) as container:
        stream = _track(container, encoded)
        rate = float(stream.average_rate or stream.guessed_rate or stream.base_rate or 0)
        seconds = container.duration / av.time_base if container.duration else 0.0
        expected = max(stream.frames, 0) or round(seconds * rate)
        context = stream.codec_context
        pixel_shape = Fraction(stream.sample_aspect_ratio or context.sample_aspect_ratio or 1)
        pixels = max(1, round(context.width * pixel_shape)) * context.height
        limits.check(
            encoded.name,
            pixels=pixels,
            seconds=seconds,
            frames=expected,
            decoded_bytes=expected * pixels * 3,
        )
        context.options = {"err_detect": "crccheck+explode"}
        stream.thread_type = "AUTO"
        frames, seen = Frames(encoded.name, limits), _Seen()
        for packet in container.demux(stream):
            if packet.size or packet.dts is not None:  # the last one only flushes the decoder
                seen.packets += 1
                seen.hidden += packet.is_discard or not packet.size
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise _damaged(encoded, f"at frame {len(frames)}")
                seen.note(frame)
                frames.add(_upright(frame, pixel_shape, frames.shape))
        lost = _lost(encoded, container, stream, seen, len(frames))
        if lost:
            raise _damaged(encoded, lost)
        if not len(frames):
            raise media_error(encoded.name, "it has no frames", "give a clip of at least one frame")
        rate = _mean_rate(encoded, seen, rate, float(stream.time_base or 0))
    limits.check(encoded.name, seconds=len(frames) / rate)
    return frames.array(), rate


def _track(container: av.container.InputContainer, encoded: Encoded) -> av.VideoStream:
    tracks = video_tracks(container)
    if not tracks:
        raise media_error(
            encoded.name, f"this {encoded.format} has no video track", "pass it as Audio(...)"
        )
    if tracks[0].codec_context is None:
        raise media_error(
            encoded.name, "its video codec is not supported", "convert it to H.264 MP4"
        )
    return tracks[0]


def video_tracks(container: av.container.InputContainer) -> list[av.VideoStream]:
    """The video tracks of an open file, without the cover art of music."""
    cover = av.stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & cover]


def _upright(
    frame: av.VideoFrame, pixel_shape: Fraction, shape: tuple[int, ...] | None
) -> UInt8[np.ndarray, "H W 3"]:
    """The frame as RGB with square pixels, rotated as its flag says, in the size of those before
    it.
    """
    turns = round(frame.rotation / 90) % 4
    height, width = frame.height, max(1, round(frame.width * pixel_shape))
    if shape is not None:
        height, width = (shape[1], shape[0]) if turns % 2 else (shape[0], shape[1])
    return np.rot90(frame.to_ndarray(format="rgb24", width=width, height=height), turns)


def _lost(
    encoded: Encoded,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    seen: _Seen,
    count: int,
) -> str | None:
    """What the file declares but did not deliver, or None."""
    shown = seen.packets - seen.hidden
    if stream.codec_context.name in _ONE_TO_ONE and count < shown:
        return f"{shown - count:,} of its {shown:,} frames cannot be decoded"
    declared = stream.frames
    if encoded.format in ("MP4", "AVI") and seen.packets < declared:
        # An edit list may leave frames out.
        stored = _stored_packets(encoded) if encoded.format == "MP4" else seen.packets
        if stored < declared:
            return f"{stored:,} of its {declared:,} frames are there"
    length = _declared_seconds(container, stream)
    if length and seen.times:
        frame_length = seen.last or (seen.times[-1] - seen.times[0]) / max(count - 1, 1)
        end = seen.times[-1] + frame_length
        if end + max(2 * frame_length, 0.05) < length:
            return f"it ends after {end:.2f} of its {length:.2f} seconds"
    return None


def _stored_packets(encoded: Encoded) -> int:
    encoded.file.seek(0)
    with av.open(
        encoded.file,
        mode="r",
        format=DEMUXERS[encoded.format],
        options={"ignore_editlist": "1"},
    ) as container:
        return sum(packet.size > 0 for packet in container.demux(_track(container, encoded)))


def _declared_seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """When the track ends according to the file; 0 if it does not say.

    The duration of the file is that of the video only if no other track can be longer.
    """
    told = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    if told:
        return int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3])
    if len(container.streams) == 1 and container.duration and container.format.name != "ogg":
        return container.duration / av.time_base
    return 0.0


def _mean_rate(encoded: Encoded, seen: _Seen, told: float, tick: float) -> float:
    """Frames/s from the times of the first and the last frame; the header's rate is more exact if
    it agrees with them.
    """
    gaps = len(seen.times) - 1
    span = seen.times[-1] - seen.times[0] if seen.times else 0.0
    if gaps > 0 and span > 0:
        agrees = told > 0 and abs(gaps / told - span) <= 2 * tick + 1e-6
        return told if agrees else gaps / span
    if told > 0:
        return told
    if gaps == 0 and seen.last > 0:
        return 1 / seen.last
    raise media_error(encoded.name, "it tells no frame times", "convert it to H.264 MP4")


def _damaged(encoded: Encoded, what: str) -> MediaError:
    return media_error(
        encoded.name,
        f"this {encoded.format} is damaged: {what}",
        "it was damaged while it was written or copied: get it again",
    )
