"""Audio: a path, bytes or an array in, ``float32[S]`` mono in -1..1 out, and back.

Channels are averaged to mono and resampled with soxr, then values beyond -1..1 are clipped. The
sound of an MP4 or WebM counts as audio.
"""

from __future__ import annotations

import io
import math
import os
from itertools import chain
from typing import BinaryIO

import av
import numpy as np
import soundfile
import soxr
from jaxtyping import Float

from anyweave.media.containers import wav_data
from anyweave.media.errors import DAMAGE, Limits, MediaError, Meter, explain, media_error
from anyweave.media.marking import comment, mark_wav
from anyweave.media.mpeg import mpeg_frames
from anyweave.media.source import Encoded, check_source, open_encoded
from anyweave.messages import Media, Modality

FORMATS: tuple[str, ...] = ("wav", "flac", "ogg", "mp3")
DEMUXERS = {
    "MP4": "mp4", "M4A": "mp4", "WebM": "matroska", "AVI": "avi", "Ogg video": "ogg",
    "MP3": "mp3", "AAC": "aac", "FLAC": "flac",
}  # fmt: skip
ESTIMATED = ("MP3", "AAC")  # the length is guessed from the first frames
_SUBTYPES = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}
_MAX_PEAK = 100.0  # float files run a little over 1; beyond this they hold integers
_BLOCK = 65_536  # samples at a time
_LARGEST = 0xFFFF_FFFF


def read(part: Media, sample_rate: int, limits: Limits) -> tuple[Float[np.ndarray, " S"], float]:
    """`load_audio`, with its rate."""
    return load_audio(part, sample_rate, limits), float(sample_rate)


def load_audio(part: Media, sample_rate: int, limits: Limits) -> Float[np.ndarray, " S"]:
    """The samples of an audio part, mono at `sample_rate` Hz. Raises `MediaError`.

    An array source is ``float32[S]`` and needs the part's `rate` (Hz); a file has its own.
    """
    source = part.source
    if isinstance(source, np.ndarray):
        if not part.rate or not 0 < part.rate < math.inf:
            raise media_error(
                part.name,
                f"an audio array needs its sampling rate in Hz, got rate={part.rate}",
                "pass Audio(array, rate=16000)",
            )
        samples = check_audio(source, part.name)
        limits.check(part.name, decoded_bytes=len(samples) / part.rate * sample_rate * 4)
        return _resample(samples, part.rate, sample_rate, part.name)
    check_source(part, "a path, bytes or an array float32[S]")
    with open_encoded(part, limits) as encoded:
        reason = f"this {encoded.format} is damaged or its codec is not supported"
        with explain(part.name, reason, "get the file again, or convert it to WAV", DAMAGE):
            read = _read_track if encoded.format in DEMUXERS else _read_file
            samples, rate = read(encoded, limits)
        if len(samples) == 0:
            raise media_error(part.name, "it holds no samples", "give a sound that is not empty")
        return _resample(check_audio(samples, part.name), rate, sample_rate, part.name)


def check_audio(array: np.ndarray, name: str) -> Float[np.ndarray, " S"]:
    """`array` as ``float32[S]``. Raises `MediaError` unless it is floating-point, mono, finite."""
    if not np.issubdtype(array.dtype, np.floating):
        raise media_error(
            name,
            f"an audio array is float32[S] in -1..1, got dtype {array.dtype}",
            "divide integer samples by their largest value, 32768 for int16",
        )
    if array.ndim != 1:
        raise media_error(
            name,
            f"an audio array is float32[S], mono, got shape {list(array.shape)}",
            "take the mean over channels and drop other axes",
        )
    if len(array) == 0:
        raise media_error(name, "it holds no samples", "give a sound that is not empty")
    finite = np.isfinite(array)
    if not finite.all():
        raise media_error(
            name,
            f"{int((~finite).sum()):,} of its {len(array):,} samples are NaN or infinite",
            "repair what made it, or replace them by 0",
        )
    peak = float(np.abs(array).max())
    if peak > _MAX_PEAK:
        raise media_error(
            name,
            f"its samples reach {peak:,.0f}, far beyond -1..1",
            "divide by the largest value, 32768 for 16-bit samples",
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def encode(
    modality: Modality,
    array: np.ndarray,
    rate: float | None,
    format: str,
    name: str,
    generated: bool,
) -> bytes:
    """Encode mono ``float32[S]`` at `rate` Hz, clipped to -1..1. WAV and FLAC get 16 bits."""
    samples = np.clip(check_audio(array, name), -1.0, 1.0)
    if not rate or not 0 < rate < math.inf or rate != int(rate):
        raise media_error(
            name, f"audio needs a whole sampling rate in Hz, got rate={rate}", "pass rate=16000"
        )
    buffer = io.BytesIO()
    advice = "resample to a usual rate such as 16000, or write WAV"
    with explain(name, f"cannot be written as {format} at {rate:g} Hz", advice, DAMAGE):
        with soundfile.SoundFile(
            buffer, "w", int(rate), 1, _SUBTYPES[format], format=format.upper()
        ) as file:
            if generated and format != "wav":
                file.comment = comment(generated)
            for start in range(0, len(samples), _BLOCK):  # Vorbis overflows on long writes
                file.write(samples[start : start + _BLOCK])
    data = buffer.getvalue()
    return mark_wav(data, generated) if format == "wav" else data


def _resample(
    samples: Float[np.ndarray, " S"], rate: float, target: float, name: str
) -> Float[np.ndarray, " S"]:
    if rate != target:
        with explain(name, f"cannot go from {rate:g} to {target:g} Hz", "resample it", DAMAGE):
            samples = soxr.resample(samples, rate, target)
        if len(samples) == 0:
            raise media_error(name, "it is too short to resample", "give a longer sound")
    return np.asarray(np.clip(samples, -1.0, 1.0))


def _read_file(encoded: Encoded, limits: Limits) -> tuple[Float[np.ndarray, " S"], float]:
    meter = Meter(encoded.name, limits)
    with _source(encoded) as source, soundfile.SoundFile(source) as file:
        rate, channels = file.samplerate, file.channels
        limits.check(
            encoded.name,
            seconds=file.frames / rate,
            decoded_bytes=file.frames * channels * 4,
        )
        pieces: list[np.ndarray] = []
        count = 0
        while len(block_SC := file.read(_BLOCK, dtype="float32", always_2d=True)):
            count += len(block_SC)
            meter.add(block_SC.nbytes)
            pieces.append(block_SC.mean(axis=1))
        if count < file.frames:
            raise _shortened(encoded, count, file.frames)
    return _joined(pieces), rate


def _source(encoded: Encoded) -> BinaryIO:
    """The file without its name, from which libsndfile would guess what it holds; a streamed WAV
    gets the length that its writer could not know.
    """
    file = encoded.file
    found = wav_data(file, encoded.size) if encoded.format == "WAV" else None
    file.seek(0)
    if found is not None and found.streamed:
        data = bytearray(file.read())
        data[found.start - 4 : found.start] = min(found.length, _LARGEST).to_bytes(4, "little")
        return io.BytesIO(data)
    if isinstance(file, io.BytesIO):
        return file
    nameless = open(os.dup(file.fileno()), "rb")
    nameless.seek(0)  # the offset is shared with `file`, whose buffer has moved it
    return nameless


def _read_track(encoded: Encoded, limits: Limits) -> tuple[Float[np.ndarray, " S"], float]:
    """The first audio track of a file that FFmpeg reads; a container may hold video too."""
    meter = Meter(encoded.name, limits)
    file = _frames_alone(encoded) if encoded.format in ESTIMATED else encoded.file
    with av.open(file, mode="r", format=DEMUXERS[encoded.format]) as container:
        if not container.streams.audio:
            raise media_error(
                encoded.name,
                f"this {encoded.format} has no audio track",
                "pass it as Video(...), or give a file with sound",
            )
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise media_error(
                encoded.name, "its audio codec is not supported", "convert the sound to AAC or WAV"
            )
        rate = stream.rate
        if not rate or rate <= 0:
            raise media_error(encoded.name, "it tells no sampling rate", "convert it to WAV")
        if container.duration and encoded.format not in ESTIMATED:
            seconds = container.duration / av.time_base
            size = round(seconds * rate) * stream.channels * 4
            limits.check(encoded.name, seconds=seconds, decoded_bytes=size)
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
        # Packed: with eight channels in planes, PyAV reads past the last plane and crashes.
        resampler = av.AudioResampler(format="flt", rate=rate)
        pieces: list[np.ndarray] = []
        count = 0
        for frame in chain(container.decode(stream), [None]):  # None flushes the resampler
            for piece in resampler.resample(frame):
                block_SC = piece.to_ndarray().reshape(piece.samples, -1)
                count += len(block_SC)
                meter.add(block_SC.nbytes)
                limits.check(encoded.name, seconds=count / rate)
                pieces.append(block_SC.mean(axis=1))
        if encoded.format == "FLAC" and stream.duration and stream.time_base:
            declared = round(stream.duration * stream.time_base * rate)
            if count < declared:
                raise _shortened(encoded, count, declared)
    return _joined(pieces), rate


def _frames_alone(encoded: Encoded) -> BinaryIO:
    """An MP3 or AAC stream without the tags and other bytes around its frames."""
    spans = mpeg_frames(encoded.file, encoded.size, encoded.format).spans
    encoded.file.seek(0)
    data = encoded.file.read()
    return io.BytesIO(b"".join(data[start:end] for start, end in spans) or data)


def _joined(pieces: list[np.ndarray]) -> Float[np.ndarray, " S"]:
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _shortened(encoded: Encoded, count: int, declared: int) -> MediaError:
    return media_error(
        encoded.name,
        f"it is truncated: {count:,} samples of {declared:,}",
        "it was cut off while it was written or downloaded: get it again",
    )
