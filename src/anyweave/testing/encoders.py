"""A tiny encoder (the real ImageBind class, about 40k random parameters) and a tiny captioner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import ViTConfig, ViTForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from anyweave.encoders.imagebind import ImageBind

TINY_IMAGEBIND: dict[str, Any] = {
    "out_dim": 16,
    "vision_width": 16,
    "vision_depth": 1,
    "vision_heads": 2,
    "image_size": 64,
    "patch_size": 16,
    "num_video_clips": 4,
    "num_video_crops": 1,
    "video_clip_seconds": 0.25,
    "audio_width": 16,
    "audio_depth": 1,
    "audio_heads": 2,
    "audio_kernel": 16,
    "audio_stride": 16,
    "num_mel_bins": 32,
    "num_frames": 100,
    "audio_clips": 1,
    "audio_clip_seconds": 1.024,
    "depth_width": 16,
    "depth_depth": 1,
    "depth_heads": 2,
    "depth_size": 64,
    "text_width": 16,
    "text_depth": 1,
    "text_heads": 2,
    "context_length": 16,
    "vocab_size": 64,
}


def tiny_imagebind(seed: int = 0, **overrides: Any) -> ImageBind:
    """An `ImageBind` in eval mode that reads anything in milliseconds.

    16 patches per image and video, 12 per sound, features 16 wide; `overrides` replace values of
    `TINY_IMAGEBIND`. The caller's random state is unchanged.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ImageBind(**{**TINY_IMAGEBIND, **overrides}).eval()


def write_tiny_captioner(folder: str | Path, seed: int = 0) -> Path:
    """A random image classifier ("cat", "dog", "cow") that ``type="captioner"`` loads."""
    labels = {0: "cat", 1: "dog", 2: "cow"}
    config = ViTConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return Path(folder)
