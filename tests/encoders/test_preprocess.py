"""Media arrays -> encoder inputs, and the filterbank, against cases worked out by hand."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyweave.encoders.fbank import kaldi_fbank, mel_filters
from anyweave.encoders.imagebind import ImageBind
from anyweave.encoders.preprocess import (
    CLIP_MEAN,
    CLIP_STD,
    audio_views,
    clip_starts,
    depth_view,
    image_views,
    video_views,
)
from anyweave.testing.encoders import tiny_imagebind

COLOURS: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def test_an_image_of_the_right_size_is_only_normalised() -> None:
    array = np.random.randint(0, 256, (16, 16, 3), dtype=np.uint8)
    views = image_views(array, size=16, mean=CLIP_MEAN, std=CLIP_STD)
    pixels = array.transpose(2, 0, 1) / 255.0
    expected = (pixels - np.array(CLIP_MEAN)[:, None, None]) / np.array(CLIP_STD)[:, None, None]
    np.testing.assert_allclose(views.numpy(), expected, atol=1e-6)


@given(height=st.integers(1, 60), width=st.integers(1, 60))
def test_any_image_becomes_a_square(height: int, width: int) -> None:
    array = np.full((height, width, 3), 255, dtype=np.uint8)
    views = image_views(array, size=16, **COLOURS)
    assert views.shape == (3, 16, 16) and views.min() == 1.0


def test_the_middle_of_a_wide_image_is_kept() -> None:
    array = np.zeros((16, 48, 3), dtype=np.uint8)
    array[:, 16:32] = 255
    assert image_views(array, size=16, **COLOURS).min() == 1.0


@pytest.mark.parametrize(
    ("seconds", "clips", "expected"),
    [(10.0, 5, [0, 2, 4, 6, 8]), (10.0, 3, [0, 4, 8]), (10.0, 1, [0]), (1.0, 3, [0, 0, 0])],
)
def test_clips_are_spread_from_the_start_to_the_last_that_fits(
    seconds: float, clips: int, expected: list[int]
) -> None:
    assert clip_starts(Fraction(seconds), Fraction(2), clips) == expected


@pytest.mark.parametrize(
    ("seconds", "clips", "expected"),
    [(10.0, 5, ["0", "8/5", "16/5", "24/5", "32/5"]), (10.0, 3, ["0", "8/3", "16/3"]),
     (10.0, 1, ["0"]), (1.0, 3, ["0"] * 3)],
)  # fmt: skip
def test_clips_may_stop_short_of_the_end(seconds: float, clips: int, expected: list[str]) -> None:
    starts = clip_starts(Fraction(seconds), Fraction(2), clips, reach_end=False)
    assert starts == [Fraction(start) for start in expected]


def test_the_option_is_obeyed_and_saved(tmp_path: Path) -> None:
    video, wave = _numbered_frames(100), np.sin(np.arange(160_000) / 9).astype(np.float32)
    model = tiny_imagebind(
        towers=("vision", "audio"), num_video_clips=5, video_clip_seconds=2.0, audio_clips=3,
        audio_clip_seconds=2.0, clips_reach_end=False,
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    for encoder in (model, ImageBind.from_pretrained(tmp_path)):
        views = encoder.preprocess("video", video, rate=10.0)
        numbers = ((views[:, 0, :, 0, 0] * CLIP_STD[0] + CLIP_MEAN[0]) * 255).round().tolist()
        assert numbers == [[16 * n, 16 * n + 19] for n in range(5)]
        sounds = encoder.preprocess("audio", wave, rate=16000)
        start = int(Fraction(8, 3) * 16000)
        alone = encoder.preprocess("audio", wave[start : start + 32000], rate=16000)
        torch.testing.assert_close(sounds[1], alone[0])


def _numbered_frames(count: int, height: int = 8, width: int = 8) -> np.ndarray:
    """Frame k is filled with the value k."""
    frames = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(frames, (count, height, width, 3)).copy()


def _frame_numbers(views: torch.Tensor) -> list[list[int]]:
    return (views[:, 0, :, 0, 0] * 255).round().int().tolist()


@pytest.mark.parametrize(
    ("frames", "rate", "clips", "seconds", "expected"),
    [
        (8, 8.0, 4, 0.25, [[0, 1], [2, 3], [4, 5], [6, 7]]),  # the small world's clips: every frame
        (100, 10.0, 5, 2.0, [[0, 19], [20, 39], [40, 59], [60, 79], [80, 99]]),
        (5, 10.0, 2, 2.0, [[0, 4], [0, 4]]),  # shorter than one clip
        (1, 8.0, 2, 0.25, [[0, 0], [0, 0]]),
        # 11 frames at 3/s, clips of 2 s: starts 0, 5/6 and 5/3 s are frames 0, 2.5 and 5
        (11, 3.0, 3, 2.0, [[0, 5], [3, 8], [5, 10]]),
        (90, 30000 / 1001, 2, 2.0, [[0, 59], [31, 89]]),
    ],
)
def test_which_frames_a_video_gives(
    frames: int, rate: float, clips: int, seconds: float, expected: list[list[int]]
) -> None:
    views = video_views(
        _numbered_frames(frames),
        rate=rate,
        size=8,
        num_clips=clips,
        clip_seconds=seconds,
        frames_per_clip=2,
        num_crops=1,
        **COLOURS,
    )
    assert views.shape == (clips, 3, 2, 8, 8)
    assert _frame_numbers(views) == expected


@pytest.mark.parametrize("tall", [False, True])
def test_three_crops_lie_along_the_long_side(tall: bool) -> None:
    video = np.zeros((2, 8, 24, 3), dtype=np.uint8)
    video[:, :, 8:16], video[:, :, 16:] = 1, 2
    if tall:
        video = video.transpose(0, 2, 1, 3)
    views = video_views(
        video,
        rate=2.0,
        size=8,
        num_clips=1,
        clip_seconds=1.0,
        frames_per_clip=2,
        num_crops=3,
        **COLOURS,
    )
    assert _frame_numbers(views) == [[0, 0], [1, 1], [2, 2]]


def _audio(wave: np.ndarray, **changes: Any) -> torch.Tensor:
    arguments = dict(
        sample_rate=16000,
        num_clips=1,
        clip_seconds=2.0,
        num_mel_bins=128,
        num_frames=204,
        frame_length_ms=25.0,
        frame_shift_ms=10.0,
        mean=-4.268,
        std=9.138,
    )
    return audio_views(wave, **{**arguments, **changes})


def test_audio_is_padded_before_it_is_normalised() -> None:
    views = _audio(np.random.randn(32000).astype(np.float32))
    assert views.shape == (1, 1, 128, 204)
    # 2 s give 1 + (32000 - 400) // 160 = 198 frames; padding is 0 before (x - mean) / std
    torch.testing.assert_close(views[..., 198:], torch.full((1, 1, 128, 6), 4.268 / 9.138))
    assert not torch.isclose(views[..., 197], torch.tensor(4.268 / 9.138)).all()


def test_audio_clips_cover_the_sound_and_their_own_mean_is_removed() -> None:
    wave = np.concatenate([np.random.randn(32000), np.zeros(32000)]).astype(np.float32)
    views = _audio(wave, num_clips=2)
    silence = (math.log(torch.finfo(torch.float32).eps) + 4.268) / 9.138
    assert torch.allclose(views[1, ..., :198], torch.tensor(silence), atol=1e-4)
    torch.testing.assert_close(views[0], _audio(wave[:32000])[0])
    torch.testing.assert_close(_audio(wave + 0.5, num_clips=2)[0], views[0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("samples", [1, 399, 400])
def test_very_short_sounds_still_give_a_full_picture(samples: int) -> None:
    assert torch.isfinite(_audio(np.ones(samples, dtype=np.float32))).all()


def test_fbank_of_one_frame_written_out() -> None:
    """Every step of one 25 ms frame, with loops, as the definition has them."""
    wave = torch.randn(400)
    frame = (wave - wave.mean()).double().numpy()
    emphasised = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    power = np.abs(np.fft.rfft(emphasised * window, 512)) ** 2
    low, high = (1127 * math.log(1 + hz / 700) for hz in (20.0, 8000.0))
    step = (high - low) / 24
    expected = []
    for band in range(23):
        left, centre, right = (low + (band + k) * step for k in (0, 1, 2))
        energy = 0.0
        for index in range(256):
            mel = 1127 * math.log(1 + index * 16000 / 512 / 700)
            weight = min((mel - left) / (centre - left), (right - mel) / (right - centre))
            energy += max(weight, 0.0) * power[index]
        expected.append(math.log(max(energy, torch.finfo(torch.float32).eps)))
    found = kaldi_fbank(wave, num_mel_bins=23)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-3)


def test_a_tone_lights_its_own_mel_band() -> None:
    seconds = torch.arange(16000) / 16000
    mel = kaldi_fbank(torch.sin(2 * math.pi * 1000 * seconds), num_mel_bins=128)
    assert mel.shape == (98, 128)
    loudest = int(mel.mean(dim=0).argmax())
    assert int(mel_filters(128, 512, 16000)[32].argmax()) == pytest.approx(loudest, abs=1)


def test_wrong_media_are_refused_by_name() -> None:
    model = tiny_imagebind()
    with pytest.raises(ValueError, match="uint8"):
        model.preprocess("image", np.zeros((64, 64, 3), dtype=np.float32))
    with pytest.raises(ValueError, match="rate"):
        model.preprocess("video", np.zeros((4, 64, 64, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="resample"):
        model.preprocess("audio", np.zeros(1000, dtype=np.float32), rate=44100)
    with pytest.raises(ValueError, match="mono"):
        model.preprocess("audio", np.zeros((2, 1000), dtype=np.float32), rate=16000)
    with pytest.raises(ValueError, match="token ids"):
        model.preprocess("text", np.zeros(3, dtype=np.int64))


def test_elongated_pictures_are_refused_before_they_grow() -> None:
    for shape in ((1, 40_000, 3), (40_000, 1, 3)):
        with pytest.raises(ValueError, match="too elongated to be encoded.*500 times"):
            image_views(np.zeros(shape, np.uint8), size=224, **COLOURS)
    assert image_views(np.zeros((1, 500, 3), np.uint8), size=16, **COLOURS).shape == (3, 16, 16)


def test_depth_becomes_disparity_by_hand() -> None:
    """0.075 m of baseline and 500 pixels of focal length: at 2 m a disparity of 18.75 pixels."""
    camera = {"baseline": 0.075, "focal_length": 500.0, "most": 75.0, "mean": 0.05, "std": 0.1}
    near, far = 37.5 / 2.0 / 75.0, 37.5 / 5.0 / 75.0
    flat = depth_view(np.full((8, 8), 2.0, np.float32), size=8, **camera)
    torch.testing.assert_close(flat, torch.full((1, 8, 8), (near - 0.05) / 0.1))
    # Wide maps keep their middle; 0.1 m is nearer than the scale goes, 80 m farther.
    wide = np.full((4, 8), 5.0, np.float32)
    wide[0, 2], wide[1, 2], wide[2, 2] = 0.1, 80.0, np.nan
    view = depth_view(wide, size=4, **camera)
    assert view.shape == (1, 4, 4)
    expected = torch.tensor([1.0, 37.5 / 50 / 75, far, far])  # no depth: as far as most is
    torch.testing.assert_close(view[0, :, 0], (expected - 0.05) / 0.1)
    assert depth_view(np.full((30, 50), 2.0, np.float32), size=8, **camera).shape == (1, 8, 8)
    for wrong, problem in (
        (np.zeros((4, 4), np.float32), "no pixel of this depth map has a depth"),
        (np.ones((4, 4), np.uint16), r"float32\[H, W\] in metres, got uint16\[4, 4\]"),
        (np.ones((1, 900), np.float32), "too elongated"),
    ):
        with pytest.raises(ValueError, match=problem):
            depth_view(wrong, size=8, **camera)
