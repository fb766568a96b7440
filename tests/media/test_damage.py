"""Whatever is wrong with a medium, the error names it and says why and what to do."""

from __future__ import annotations

import errno
import io
import os
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np
import PIL.Image
import pytest
import soundfile

from anyweave import media
from anyweave.messages import MEDIA_TYPES, Audio, Image, Media, Modality, Video

from .animated import encoded_clip

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

RATES: dict[Modality, float | None] = {"image": None, "video": 8, "audio": 16_000}
EVERY_FORMAT = [
    (modality, format) for modality in media.FORMATS for format in media.FORMATS[modality]
]


def example(modality: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if modality == "audio":
        return rng.uniform(-0.5, 0.5, 16_000).astype(np.float32)
    return rng.integers(0, 255, (12, 40, 40, 3)[modality == "image" :], dtype=np.uint8)


def encoded(modality: str, format: str) -> bytes:
    rate = RATES[modality]
    if modality == "video":
        assert rate is not None
        return encoded_clip(example(modality), rate, format)
    return media.encode(modality, example(modality), rate=rate, format=format)


def refused(part: Media, reason: str, **options: Any) -> str:
    """Load `part`; the error must begin with its name, match `reason` and give advice after it."""
    with pytest.raises(media.MediaError) as caught:
        media.load(part, **options)
    message = str(caught.value)
    assert message.startswith(f"{part.name}: "), message
    assert re.search(reason, message), message
    assert "; " in message, message
    return message


@pytest.mark.parametrize("part", [Image, Video, Audio])
def test_not_a_file(tmp_path: Path, part: type[Media]) -> None:
    refused(part(tmp_path / "none.bin"), r"no such file; check the path \(the current folder is ")
    refused(part(tmp_path), "it is a folder, not a file")
    refused(part(os.devnull), "not a regular file")
    refused(part("https://example.org/a"), "URLs are not fetched; download it")
    refused(part("a\0b"), "cannot be opened")


@pytest.mark.parametrize("part", [Image, Video, Audio])
def test_empty_and_unknown(tmp_path: Path, part: type[Media]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"")
    refused(part(path), r"it is empty \(0 bytes\)")
    refused(part(b""), "it is empty")
    path.write_bytes(b"some text that is no medium at all")
    refused(part(path), "not a known medium .*; convert it to ")
    refused(part(b"<!DOCTYPE html><html>404"), "it is an HTML page")
    refused(part(b"version https://git-lfs.github.com/spec/v1\noid"), "Git LFS pointer")


@pytest.mark.parametrize("part", [Image, Video, Audio])
def test_wrong_sources(part: type[Media]) -> None:
    with pytest.raises(media.MediaError, match="known by its caption alone; give it a path"):
        media.load(part(caption="a cat"))
    refused(part({"path": "x"}), "source of type dict cannot be read; give it a path")
    refused(part([1, 2]), "source of type list cannot be read")


@pytest.mark.parametrize(
    ("format", "wanted", "reason"),
    [
        ("png", "audio", r"it holds an image \(PNG\), not audio; pass it as Image\("),
        ("jpeg", "video", r"it holds an image \(JPEG\), not a video; pass it as Image\("),
        ("mp4", "image", r"it holds a video \(MP4\), not an image; pass it as Video\("),
        ("gif", "audio", r"\(GIF\), not audio; pass it as Video\("),
        ("wav", "image", r"it holds audio \(WAV\), not an image; pass it as Audio\("),
        ("mp3", "video", r"it holds audio \(MP3\), not a video; pass it as Audio\("),
        ("flac", "video", r"it holds audio \(FLAC\)"),
        ("ogg", "image", r"it holds audio \(Ogg\)"),
    ],
)
def test_another_modality(tmp_path: Path, format: str, wanted: Modality, reason: str) -> None:
    modality = next(m for m, formats in media.FORMATS.items() if format in formats)
    path = tmp_path / "a.bin"
    path.write_bytes(encoded(modality, format))
    refused(MEDIA_TYPES[wanted](path), reason)


@pytest.mark.parametrize("part_kept", [0.2, 0.5, 0.9])
@pytest.mark.parametrize(("modality", "format"), EVERY_FORMAT)
def test_truncated(tmp_path: Path, modality: Modality, format: str, part_kept: float) -> None:
    data = encoded(modality, format)
    path = tmp_path / f"cut.{format}"
    path.write_bytes(data[: int(len(data) * part_kept)])
    refused(MEDIA_TYPES[modality](path), "truncated|damaged")


@pytest.mark.parametrize(("modality", "format"), EVERY_FORMAT)
def test_every_cut_near_the_start_is_noticed(modality: Modality, format: str) -> None:
    data = encoded(modality, format)
    for length in range(1, 60):
        refused(
            MEDIA_TYPES[modality](data[:length]), "truncated|damaged|not a known medium|no samples"
        )


@pytest.mark.parametrize(("modality", "format"), EVERY_FORMAT)
def test_noise_in_a_file_never_escapes_as_another_error(modality: Modality, format: str) -> None:
    clean = encoded(modality, format)
    rng = np.random.default_rng(1)
    for _ in range(30):
        data = bytearray(clean)
        for place in rng.integers(0, min(len(data), 600), 12):
            data[place] = rng.integers(256)
        try:
            media.load(MEDIA_TYPES[modality](bytes(data)))
        except media.MediaError as error:
            assert str(error).startswith(f"<{modality} from bytes>: ")


@pytest.mark.parametrize(
    ("modality", "format", "limit", "reason"),
    [
        ("image", "png", {"max_pixels": 1000}, "it has 1,600 pixels, more than the limit of 1,000"),
        ("video", "mp4", {"max_pixels": 1000}, "1,600 pixels"),
        ("video", "webm", {"max_pixels": 1000}, "1,600 pixels"),
        ("video", "gif", {"max_pixels": 1000}, "1,600 pixels"),
        ("video", "mp4", {"max_frames": 11}, "12 frames, more than the limit of 11"),
        ("video", "webm", {"max_frames": 11}, "12 frames"),
        ("video", "webp", {"max_frames": 11}, "12 frames"),
        ("video", "mp4", {"max_seconds": 1.0}, "1.5 seconds"),
        ("video", "gif", {"max_seconds": 1.0}, r"1\.\d seconds"),
        ("audio", "wav", {"max_seconds": 0.5}, "1.0 seconds, more than the limit of 0.5"),
        ("audio", "flac", {"max_seconds": 0.5}, "1.0 seconds"),
        ("audio", "mp3", {"max_seconds": 0.5}, r"\d\.\d seconds"),  # noticed while it is decoded
        ("audio", "ogg", {"max_seconds": 0.5}, "1.0 seconds"),
        ("image", "png", {"max_decoded_bytes": 100}, "4,800 decoded bytes"),
        ("video", "mp4", {"max_decoded_bytes": 100}, "57,600 decoded bytes"),
        ("video", "webp", {"max_decoded_bytes": 100}, "57,600 decoded bytes"),
        ("audio", "wav", {"max_decoded_bytes": 100}, "64,000 decoded bytes"),
        ("audio", "mp3", {"max_decoded_bytes": 100}, "decoded bytes"),
        ("audio", "flac", {"max_work_seconds": 1e-9}, "work seconds"),
        ("video", "webm", {"max_work_seconds": 1e-9}, "work seconds"),
        ("image", "png", {"max_bytes": 100}, "bytes, more than the limit of 100"),
        ("audio", "wav", {"max_bytes": 100}, "bytes, more than the limit of 100"),
        ("video", "mp4", {"max_bytes": 100}, "bytes, more than the limit of 100"),
    ],
)
def test_huge(
    tmp_path: Path, modality: Modality, format: str, limit: dict[str, Any], reason: str
) -> None:
    path = tmp_path / f"huge.{format}"
    path.write_bytes(encoded(modality, format))
    message = refused(MEDIA_TYPES[modality](path), reason, limits=media.Limits(**limit))
    assert f"limits=Limits({next(iter(limit))}=...)" in message


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_that_only_claims_to_be_huge_is_not_decoded() -> None:
    data = bytearray(encoded("image", "png"))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    refused(Image(bytes(data)), "damaged|3,600,000,000 pixels")
    sheet = PIL.Image.new("1", (10_000, 10_000))
    buffer = io.BytesIO()
    sheet.save(buffer, "png")
    refused(Image(buffer.getvalue()), "100,000,000 pixels, more than the limit of 80,000,000")


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="Limits.max_frames must be positive, got 0"):
        media.Limits(max_frames=0)


def test_unsupported_codecs() -> None:
    film = encoded("video", "mp4")
    refused(Video(film.replace(b"avc1", b"zzzz")), "codec is not supported.*; convert it")
    sound = bytearray(encoded("audio", "wav"))
    sound[20:22] = b"\x99\x99"
    refused(Audio(bytes(sound)), "codec is not supported.*; .*convert it to WAV")


def test_no_samples_and_no_frames() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(0, np.float32), 16_000, format="WAV")
    refused(Audio(buffer.getvalue()), "holds no samples")
    refused(Audio(np.zeros(0, np.float32), rate=16_000), "holds no samples")
    refused(Video(np.zeros((0, 8, 8, 3), np.uint8)), "has no frames")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_numbers(tmp_path: Path, bad: float) -> None:
    samples = example("audio")
    samples[5:8] = bad
    refused(Audio(samples, rate=16_000), "3 of its 16,000 samples are NaN or infinite")
    path = tmp_path / "nan.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    refused(Audio(path), "3 of its 16,000 samples are NaN or infinite")
    with pytest.raises(media.MediaError, match="out.wav: 3 of its 16,000 samples are NaN"):
        media.save("audio", samples, tmp_path / "out.wav", rate=16_000)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Image(np.zeros((4, 4, 3))), r"uint8\[H, W, 3\], got dtype float64; scale it"),
        (Image(np.zeros((4, 4), np.uint8)), r"got shape \[4, 4\]"),
        (Image(np.zeros((3, 4, 4), np.uint8)), r"got shape \[3, 4, 4\]; put the three colour"),
        (Image(np.zeros((0, 4, 3), np.uint8)), r"got shape \[0, 4, 3\]"),
        (Video(np.zeros((2, 4, 4, 3), np.float32)), r"got dtype float32"),
        (Video(np.zeros((4, 4, 3), np.uint8)), r"got shape \[4, 4, 3\]; put frames first"),
        (Video(np.zeros((2, 3, 4, 4), np.uint8)), r"got shape \[2, 3, 4, 4\]"),
        (Audio(np.zeros(9, np.int16), rate=8000), r"got dtype int16; divide .* 32768"),
        (Audio(np.zeros((2, 9), np.float32), rate=8000), r"got shape \[2, 9\]; take the mean"),
        (Audio(np.zeros(9, np.float32)), r"sampling rate in Hz, got rate=None; pass Audio\("),
        (Audio(np.zeros(9, np.float32), rate=-1), r"got rate=-1"),
        (Audio(np.zeros(9, np.float32), rate=np.inf), r"got rate=inf"),
        (Audio(np.zeros(9, np.float32), rate=np.nan), r"got rate=nan"),
        (Audio(np.zeros(99_000, np.float32), rate=1), r"decoded bytes"),
        (Audio(np.full(9, 20_000.0), rate=8000), r"samples reach 20,000, far beyond -1..1"),
        (Audio(np.zeros(1, np.float32), rate=96_000), r"too short to resample"),
    ],
)
def test_wrong_arrays(part: Media, reason: str) -> None:
    refused(part, reason)


def test_a_video_array_without_rate_has_frames_but_no_rate() -> None:
    part = Video(np.zeros((2, 4, 4, 3), np.uint8))
    assert media.load(part).shape == (2, 4, 4, 3)
    for rate in (None, 0, -1.0, float("nan"), float("inf")):
        part = Video(part.source, rate=rate)
        with pytest.raises(media.MediaError, match=rf"needs its rate in frames/s, got rate={rate}"):
            media.load_video_with_rate(part)


def test_wrong_ways_to_write(tmp_path: Path) -> None:
    cases = [
        ("image", "a.bmp", None, "image cannot be written as 'bmp'; choose one of png, jpeg, webp"),
        ("image", "a", None, "image cannot be written as ''"),
        ("video", "a.mp4", None, "needs a rate in frames/s up to 1000, got rate=None"),
        ("video", "a.gif", 80, "gif cannot play 80 frames/s; use at most 50"),
        ("audio", "a.wav", float("inf"), "needs a whole sampling rate in Hz, got rate=inf"),
        ("audio", "a.wav", None, "needs a whole sampling rate in Hz, got rate=None"),
        ("audio", "a.mp3", 12_345, "cannot be written as mp3 at 12345 Hz"),
    ]
    for modality, name, rate, reason in cases:
        with pytest.raises(media.MediaError, match=f"{name}: .*{reason}"):
            media.save(modality, example(modality), tmp_path / name, rate=rate)
    with pytest.raises(media.MediaError, match="a.png: an array is needed, got list"):
        media.save("image", cast("Any", [[1]]), tmp_path / "a.png")
    with pytest.raises(ValueError, match="unknown modality 'smell'"):
        media.save("smell", example("image"), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
    with pytest.raises(
        media.MediaError, match="a.png: cannot be written .*; make the folder first"
    ):
        media.save("image", example("image"), tmp_path / "no" / "a.png")


def test_a_failing_write_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = media.save("image", example("image"), tmp_path / "a.png")
    before = path.read_bytes()

    class FullDisk(io.FileIO):
        def write(self, data: ReadableBuffer) -> NoReturn:
            super().write(bytes(data)[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("builtins.open", lambda path, mode: FullDisk(path, mode.replace("b", "")))
    with pytest.raises(
        media.MediaError, match=r"a.png: cannot be written \(No space left on device\)"
    ):
        media.save("image", example("image")[::-1], path)
    monkeypatch.undo()
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_the_error_travels_between_processes() -> None:
    with pytest.raises(media.MediaError) as caught:
        media.load(Image(b"nothing"))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
