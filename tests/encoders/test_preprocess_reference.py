"""The public model's preprocessing at its real sizes, against references written independently:
CLIP's own image processor, interpolation in numpy, and the Kaldi spectrogram of transformers.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from anyweave.encoders.imagebind import ImageBind

MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
STD = np.array([0.26862954, 0.26130258, 0.27577711])


@pytest.fixture(scope="module")
def huge() -> ImageBind:
    """The public model's settings; preprocessing uses no weights."""
    with torch.device("meta"):
        return ImageBind(towers=("vision", "audio"))


@pytest.mark.parametrize("size", [(300, 400), (448, 224), (97, 131)])
def test_images_as_clip_prepares_them(huge: ImageBind, size: tuple[int, int]) -> None:
    """Short side to 224 (Pillow's bicubic), centre crop, /255, CLIP's mean and deviation."""
    array = np.random.randint(0, 256, (*size, 3), dtype=np.uint8)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 224}, crop_size=224, image_mean=MEAN.tolist(), image_std=STD.tolist()
    )
    expected = processor(images=[array], return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(huge.preprocess("image", array).numpy(), expected, atol=1e-5)


def _bilinear(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """[H, W, 3] -> [height, width, 3]: between each centre's four neighbours, no filter."""

    def places(count: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        centre = np.maximum((np.arange(count) + 0.5) * size / count - 0.5, 0)
        low = np.floor(centre).astype(int)
        return low, np.minimum(low + 1, size - 1), centre - low

    top, bottom, down = places(height, frame.shape[0])
    left, right, across = places(width, frame.shape[1])
    rows = frame[top] * (1 - down[:, None, None]) + frame[bottom] * down[:, None, None]
    return rows[:, left] * (1 - across[:, None]) + rows[:, right] * across[:, None]


@pytest.mark.parametrize("size", [(60, 90), (100, 50)])
def test_five_clips_of_two_seconds_and_three_crops(huge: ImageBind, size: tuple[int, int]) -> None:
    """15 views: clips start uniformly from 0 to the last that fits; of each the first and the last
    frame; short side 224; left, centre, right (or top, centre, bottom).
    """
    frames, rate = 53, 8
    video = np.random.randint(0, 256, (frames, *size, 3), dtype=np.uint8)
    short, long = min(size), max(size)
    covering = math.floor(long / short * 224)
    height, width = (224, covering) if size[1] >= size[0] else (covering, 224)
    latest = Fraction(frames, rate) - 2
    views = []
    for number in range(5):
        start = latest * number / 4
        inside = [f for f in range(frames) if start <= Fraction(f, rate) < start + 2]
        scaled = [
            (_bilinear(video[f] / 255.0, height, width) - MEAN) / STD
            for f in (inside[0], inside[-1])
        ]
        for offset in (0, math.ceil((covering - 224) / 2), covering - 224):
            crops = [
                f[:, offset : offset + 224] if width > height else f[offset : offset + 224]
                for f in scaled
            ]
            views.append(np.stack(crops).transpose(3, 0, 1, 2))
    found = huge.preprocess("video", video, rate=rate)
    assert found.shape == (15, 3, 2, 224, 224)
    np.testing.assert_allclose(found.numpy(), np.stack(views), atol=1e-4)


def _kaldi(wave: np.ndarray) -> np.ndarray:
    """128 log-mel energies per 10 ms, [T, 128], by transformers' Kaldi-compatible spectrogram."""
    filters = mel_filter_bank(
        num_frequency_bins=257,
        num_mel_filters=128,
        min_frequency=20.0,
        max_frequency=8000.0,
        sampling_rate=16000,
        norm=None,
        mel_scale="kaldi",
        triangularize_in_mel_space=True,
    )
    return spectrogram(
        wave,
        window_function(400, "hann", periodic=False),
        frame_length=400,
        hop_length=160,
        fft_length=512,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=filters,
        log_mel="log",
        mel_floor=1.192092955078125e-07,
        remove_dc_offset=True,
    ).T


@pytest.mark.parametrize("samples", [48000, 70001, 20000])
def test_three_clips_of_two_seconds_of_sound(huge: ImageBind, samples: int) -> None:
    """Each clip without its own mean, as a Kaldi filterbank of 204 frames (zeros beyond its end),
    and then (x + 4.268) / 9.138.
    """
    seconds = np.arange(samples) / 16000
    wave = 0.3 * np.sin(2 * np.pi * 300 * seconds * (1 + seconds)) + 0.05 * np.random.randn(samples)
    wave = (wave + 0.1).astype(np.float32)
    latest = max(Fraction(samples, 16000) - 2, Fraction(0))
    views = []
    for number in range(3):
        start = latest * number / 2
        clip = wave[int(start * 16000) : int((start + 2) * 16000)].astype(np.float64)
        mel = _kaldi(clip - clip.mean())
        padded = np.zeros((204, 128))
        padded[: len(mel)] = mel[:204]
        views.append((padded.T[None] + 4.268) / 9.138)
    found = huge.preprocess("audio", wave, rate=16000)
    assert found.shape == (3, 1, 128, 204)
    # 2e-3 in units of log energy
    np.testing.assert_allclose(found.numpy(), np.stack(views), atol=2e-3 / 9.138)
