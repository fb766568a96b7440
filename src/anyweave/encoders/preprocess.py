"""Arrays -> the views that ImageBind expects. On the CPU, deterministic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image as PILImage
from torch import Tensor
from torch.nn import functional

from anyweave.encoders.fbank import kaldi_fbank

MAX_ASPECT = 500
"""Largest ratio of a picture's longer side to its shorter one. The shorter side is scaled to the
encoder's size before the crop, so a line of 40,000 pixels would take gigabytes."""
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def image_views(
    array: np.ndarray, *, size: int, mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "3 H W"]:
    """``uint8[H, W, 3]`` -> short side scaled to `size` (bicubic), centre crop, normalised
    colours.
    """
    check_picture(array, 3, "an image is uint8[H, W, 3]")
    height, width = array.shape[:2]
    picture = PILImage.fromarray(np.ascontiguousarray(array))
    new_height, new_width = _short_side(height, width, size)
    if (new_height, new_width) != (height, width):
        picture = picture.resize((new_width, new_height), PILImage.Resampling.BICUBIC)
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    picture = picture.crop((left, top, left + size, top + size))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255.0
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def video_views(
    array: np.ndarray,
    *,
    rate: float,
    size: int,
    num_clips: int,
    clip_seconds: float,
    frames_per_clip: int,
    num_crops: int,
    mean: Sequence[float],
    std: Sequence[float],
    reach_end: bool = True,
) -> Float[Tensor, "V 3 T size size"]:
    """``uint8[F, H, W, 3]`` at `rate` frames/s -> V = num_clips * num_crops views, clips in order,
    crops inside.

    Clips are spaced uniformly over the video (see `clip_starts`). Each gives `frames_per_clip`
    frames, from the first to the last that begin in it. Frames are scaled bilinearly, without
    antialiasing. Crops (1 or 3) lie along the longer side: centre, or both ends and the centre.
    """
    check_picture(array, 4, "a video is uint8[T, H, W, 3]")
    frames = array.shape[0]
    if rate <= 0:
        raise ValueError(f"a video's rate is frames per second and positive, got {rate}")
    per_second, length = _exact(rate), _exact(clip_seconds)
    picked = []
    for start in clip_starts(frames / per_second, length, num_clips, reach_end):
        first = min(math.ceil(start * per_second), frames - 1)
        last = min(max(math.ceil((start + length) * per_second) - 1, first), frames - 1)
        picked.append(np.linspace(first, last, frames_per_clip).round().astype(int))
    index = np.concatenate(picked)
    unique, inverse = np.unique(index, return_inverse=True)
    # One frame at a time, so that only the crops of an elongated clip stay in memory.
    cut = torch.stack([_frame_crops(array[number], size, num_crops) for number in unique])
    cut = (cut - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    clips = cut[torch.from_numpy(inverse)].unflatten(0, (num_clips, frames_per_clip))
    return clips.permute(0, 2, 3, 1, 4, 5).flatten(0, 1).contiguous()


def _frame_crops(
    frame: np.ndarray, size: int, num_crops: int
) -> Float[Tensor, "num_crops 3 size size"]:
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255.0
    height, width = _covering(pixels.shape[2], pixels.shape[3], size)
    if (height, width) != tuple(pixels.shape[2:]):
        pixels = functional.interpolate(
            pixels, size=(height, width), mode="bilinear", align_corners=False
        )
    corners = _crop_corners(height, width, size, num_crops)
    return torch.cat([pixels[..., top : top + size, left : left + size] for top, left in corners])


def audio_views(
    wave: np.ndarray,
    *,
    sample_rate: int,
    num_clips: int,
    clip_seconds: float,
    num_mel_bins: int,
    num_frames: int,
    frame_length_ms: float,
    frame_shift_ms: float,
    mean: float,
    std: float,
    reach_end: bool = True,
) -> Float[Tensor, "V 1 num_mel_bins num_frames"]:
    """``float32[S]`` mono -> V = num_clips normalised log-mel pictures, frequency on rows.

    `clip_starts` places the clips. Each has its mean subtracted, becomes a Kaldi filterbank and is
    zero-padded or cut to `num_frames` *before* `(x - mean) / std`, so padding is not zero
    afterwards: ImageBind was trained this way.
    """
    if wave.ndim != 1 or wave.shape[0] == 0:
        raise ValueError(f"audio is mono float32[S] with S > 0, got shape {wave.shape}")
    samples = torch.from_numpy(np.ascontiguousarray(wave)).float()
    length = _exact(clip_seconds)
    views = []
    seconds = Fraction(len(samples), sample_rate)
    for start in clip_starts(seconds, length, num_clips, reach_end):
        clip = samples[int(start * sample_rate) : int((start + length) * sample_rate)]
        mel = kaldi_fbank(
            clip - clip.mean(),
            sample_rate=sample_rate,
            num_mel_bins=num_mel_bins,
            frame_length_ms=frame_length_ms,
            frame_shift_ms=frame_shift_ms,
        )[:num_frames]
        mel = functional.pad(mel, (0, 0, 0, num_frames - mel.shape[0]))
        views.append((mel.T[None] - mean) / std)
    return torch.stack(views)


def depth_view(
    array: np.ndarray,
    *,
    size: int,
    baseline: float,
    focal_length: float,
    most: float,
    mean: float,
    std: float,
) -> Float[Tensor, "1 size size"]:
    """``float32[H, W]`` metres -> disparity, short side scaled to `size` (bilinear), centre crop.

    As in the published models (Omnivore, ImageBind): ``baseline * focal_length / depth``, depth
    clipped to 0.01 to 50 m, disparity capped at `most` and divided by it, then ``(x - mean) /
    std``. Their depth maps had no holes; here pixels without depth (0, NaN, infinity) get the
    median of the others.
    """
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating) or 0 in array.shape:
        raise ValueError(
            f"a depth map is float32[H, W] in metres, got {array.dtype}{list(array.shape)}"
        )
    height, width = array.shape
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise ValueError(f"a depth map of {width} x {height} is too elongated to be encoded")
    known = np.isfinite(array) & (array > 0)
    if not known.any():
        raise ValueError("no pixel of this depth map has a depth above 0")
    depth = np.where(known, array, np.median(array[known])).astype(np.float32).clip(0.01, 50.0)
    disparity = torch.from_numpy(baseline * focal_length / depth)[None, None].float()
    disparity = disparity.clamp(max=most) / most
    new = _short_side(height, width, size)
    if new != (height, width):
        disparity = functional.interpolate(disparity, new, mode="bilinear", align_corners=False)
    top, left = round((new[0] - size) / 2), round((new[1] - size) / 2)
    return (disparity[0, :, top : top + size, left : left + size] - mean) / std


def clip_starts(
    seconds: Fraction, clip_seconds: Fraction, num_clips: int, reach_end: bool = True
) -> list[Fraction]:
    """Starts of `num_clips` clips, spaced uniformly from the beginning to the last start that still
    fits. Without `reach_end`, that last one is left out, as if there were one more clip:
    pytorchvideo up to 0.1.5 did this.

    A medium shorter than a clip gives the start 0 every time. Fractions keep the numbers exact: a
    start between two frames must not depend on the rounding of a division.
    """
    latest = max(seconds - clip_seconds, Fraction(0))
    steps = max(num_clips - 1, 1) if reach_end else num_clips
    return [number * latest / steps for number in range(num_clips)]


def _exact(number: float) -> Fraction:
    """The fraction behind a decimal or a rate such as 30000/1001."""
    return Fraction(number).limit_denominator(100_000)


def _short_side(height: int, width: int, size: int) -> tuple[int, int]:
    if height <= width:
        return size, max(size, int(size * width / height))
    return max(size, int(size * height / width)), size


def _covering(height: int, width: int, size: int) -> tuple[int, int]:
    """Like `_short_side`, in the order of floating-point operations used for clips."""
    if width < height:
        return math.floor(height / width * size), size
    return size, math.floor(width / height * size)


def _crop_corners(height: int, width: int, size: int, num_crops: int) -> list[tuple[int, int]]:
    top, left = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if num_crops == 1:
        return [(top, left)]
    if height > width:
        return [(0, left), (top, left), (height - size, left)]
    return [(top, 0), (top, left), (top, width - size)]


def check_picture(array: np.ndarray, ndim: int, rule: str) -> None:
    """Raise `ValueError` unless `array` is ``uint8`` with `ndim` axes, the last one 3 colours."""
    if array.ndim != ndim or array.shape[-1] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise ValueError(f"{rule}, got {array.dtype}{list(array.shape)}")
    long, short = max(array.shape[-3:-1]), min(array.shape[-3:-1])
    if long > MAX_ASPECT * short:
        raise ValueError(
            f"a picture of {array.shape[-2]} x {array.shape[-3]} pixels is too elongated to be "
            f"encoded, its sides may differ {MAX_ASPECT} times; crop or scale it first"
        )
