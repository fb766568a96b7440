"""Names and shapes of the public ImageBind weights, written out; nothing of the model is used."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

HUGE: dict[str, Any] = {
    "out": 1024,
    "patch": 14,
    "vision": (1280, 32, 257),
    "audio": (768, 12, 229),
    "text": (1024, 24, 77),
    "depth": (384, 12, 197),
    "thermal": (768, 12, 197),
    "imu": (512, 6, 251),
    "vocabulary": 49408,
}
"""Width, blocks and tokens of each tower."""
TINY: dict[str, Any] = {
    "out": 16,
    "patch": 16,
    "vision": (16, 2, 17),
    "audio": (16, 1, 13),
    "text": (16, 1, 8),
    "depth": (8, 1, 5),
    "thermal": (8, 1, 5),
    "imu": (8, 1, 5),
    "vocabulary": 64,
}
TINY_SETTINGS: dict[str, Any] = {
    "vision_heads": 2,
    "audio_heads": 2,
    "text_heads": 2,
    "audio_stride": 16,
    "num_mel_bins": 32,
    "num_frames": 100,
}
"""What shapes do not tell."""


def _linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}weight": (rows, columns), f"{name}bias": (rows,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _trunk(tower: str, width: int, blocks: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(blocks):
        block = f"modality_trunks.{tower}.blocks.{number}"
        shapes |= _linear(f"{block}.attn.in_proj_", 3 * width, width)
        shapes |= _linear(f"{block}.attn.out_proj.", width, width)
        if tower not in ("vision", "text"):
            shapes[f"{block}.attn.bias_k"] = shapes[f"{block}.attn.bias_v"] = (1, 1, width)
        shapes |= _norm(f"{block}.norm_1", width) | _norm(f"{block}.norm_2", width)
        shapes |= _linear(f"{block}.mlp.fc1.", 4 * width, width)
        shapes |= _linear(f"{block}.mlp.fc2.", width, 4 * width)
    return shapes


def _stem(tower: str, sizes: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    width, _, tokens = sizes[tower]
    stem = f"modality_preprocessors.{tower}"
    if tower == "text":
        return {
            f"{stem}.token_embedding.weight": (sizes["vocabulary"], width),
            f"{stem}.pos_embed": (1, tokens, width),
            f"{stem}.mask": (tokens, tokens),
        }
    shapes: dict[str, tuple[int, ...]] = {
        f"{stem}.cls_token": (1, 1, width),
        f"{stem}.pos_embedding_helper.pos_embed" if tower != "imu" else f"{stem}.pos_embed": (
            1,
            tokens,
            width,
        ),
    }
    if tower == "vision":
        shapes[f"{stem}.rgbt_stem.proj.1.weight"] = (width, 3, 2, sizes["patch"], sizes["patch"])
        return shapes
    name = {"depth": "depth_stem", "imu": "imu_stem"}.get(tower, "rgbt_stem")
    shapes[f"{stem}.{name}.proj.weight"] = (width, 48) if tower == "imu" else (width, 1, 16, 16)
    return shapes | _norm(f"{stem}.{name}.norm_layer", width)


def _head(tower: str, width: int, out: int) -> dict[str, tuple[int, ...]]:
    head = f"modality_heads.{tower}"
    norm, linear = {"text": ("proj.0", "proj.1"), "imu": ("0", "3")}.get(tower, ("0", "2"))
    return _norm(f"{head}.{norm}", width) | {f"{head}.{linear}.weight": (out, width)}


def public_shapes(sizes: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """All six towers of the public file: name -> shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    for tower in ("vision", "text", "audio", "depth", "thermal", "imu"):
        width, blocks, _ = sizes[tower]
        shapes |= _stem(tower, sizes) | _trunk(tower, width, blocks)
        shapes |= _head(tower, width, sizes["out"])
        if tower == "vision":
            shapes |= _norm(f"modality_trunks.{tower}.pre_transformer_layer.0", width)
        else:
            shapes[f"modality_postprocessors.{tower}.1.log_logit_scale"] = ()
    return shapes


def public_state(sizes: dict[str, Any], device: str = "cpu") -> dict[str, Tensor]:
    """Random weights under these names; the causal mask and the audio scale have their values."""
    state = {
        name: 0.1 * torch.randn(shape, device=device)
        for name, shape in public_shapes(sizes).items()
    }
    length = sizes["text"][2]
    mask = torch.full((length, length), -torch.inf, device=device).triu(1)
    state["modality_preprocessors.text.mask"] = mask
    state["modality_postprocessors.audio.1.log_logit_scale"] = torch.tensor(
        20.0, device=device
    ).log()
    return state
