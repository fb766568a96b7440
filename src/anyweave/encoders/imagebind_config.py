"""Every size of an ImageBind, given as arguments or inferred from the shapes of a weight file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from torch import Tensor

from anyweave.encoders.imagebind_files import tower_of
from anyweave.encoders.preprocess import CLIP_MEAN, CLIP_STD


@dataclass(frozen=True, kw_only=True)
class ImageBindConfig:
    """Every size of an `ImageBind`; the defaults are the public huge model with the paper's views.

    `features` "patches" gives the patches of a medium (for grouping), "pooled" its single CLS
    vector (the released NExT-GPT checkpoint, for `linear`). `clips_reach_end` True aligns the last
    clip with the end of the video or sound (ImageBind's own preprocessing); False spaces clips as
    if there were one more (the code of that checkpoint, with pytorchvideo 0.1.5).
    `average_clips` True averages the views of a medium position by position (the paper's code;
    the order of clips in time is lost); False concatenates the clips along N. Crops are always
    averaged. `logit_scale` True multiplies sounds by the public model's 20 and depth maps by its 5,
    which NExT-GPT omits. The "depth" tower reads depth maps as disparity, as seen by a stereo
    camera with a baseline of `disparity_baseline` metres and a focal length of
    `disparity_focal_length` pixels (a Kinect's, as in NYU-D).
    """

    towers: tuple[str, ...] = ("vision", "audio", "text")
    out_dim: int = 1024

    vision_width: int = 1280
    vision_depth: int = 32
    vision_heads: int = 16
    vision_pre_norm: bool = True
    image_size: int = 224
    patch_size: int = 14
    frames_per_clip: int = 2
    image_mean: tuple[float, ...] = CLIP_MEAN
    image_std: tuple[float, ...] = CLIP_STD

    num_video_clips: int = 5
    num_video_crops: int = 3
    video_clip_seconds: float = 2.0

    audio_width: int = 768
    audio_depth: int = 12
    audio_heads: int = 12
    audio_bias_kv: bool = True
    audio_kernel: int = 16
    audio_stride: int = 10
    num_mel_bins: int = 128
    num_frames: int = 204
    sample_rate: int = 16000
    audio_clips: int = 3
    audio_clip_seconds: float = 2.0
    frame_length_ms: float = 25.0
    frame_shift_ms: float = 10.0
    audio_mean: float = -4.268
    audio_std: float = 9.138

    depth_width: int = 384
    depth_depth: int = 12
    depth_heads: int = 8
    depth_bias_kv: bool = True
    depth_size: int = 224
    depth_patch_size: int = 16
    disparity_baseline: float = 0.075
    disparity_focal_length: float = 518.857901
    disparity_max: float = 75.0
    disparity_mean: float = 0.0418
    disparity_std: float = 0.0295

    text_width: int = 1024
    text_depth: int = 24
    text_heads: int = 16
    context_length: int = 77
    vocab_size: int = 49408

    clips_reach_end: bool = True
    features: Literal["patches", "pooled"] = "patches"
    average_clips: bool = True
    logit_scale: bool = False
    normalize_patches: bool = True

    def __post_init__(self) -> None:
        for name in ("towers", "image_mean", "image_std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.features not in ("patches", "pooled"):
            raise ValueError(f"features are 'patches' or 'pooled', got {self.features!r}")
        known = ("vision", "audio", "text", "depth")
        if set(self.towers) - {*known} or not self.towers:
            raise ValueError(f"towers are among {', '.join(known)}; got {self.towers}")
        for tower in self.towers:
            width, heads = getattr(self, f"{tower}_width"), getattr(self, f"{tower}_heads")
            if width % heads:
                raise ValueError(f"{tower}_width {width} does not divide by {tower}_heads {heads}")
        for name, size, patch in (
            ("", self.image_size, self.patch_size),
            ("depth_", self.depth_size, self.depth_patch_size),
        ):
            if size % patch:
                side = name or "image_"
                raise ValueError(f"{side}size {size} is not a multiple of {name}patch_size {patch}")
        if self.num_video_crops not in (1, 3):
            raise ValueError(f"num_video_crops is 1 or 3, got {self.num_video_crops}")

    @property
    def audio_grid(self) -> tuple[int, int]:
        """Patches along frequency and time."""
        rows = (self.num_mel_bins - self.audio_kernel) // self.audio_stride + 1
        return rows, (self.num_frames - self.audio_kernel) // self.audio_stride + 1

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ImageBindConfig:
        """Strict: an unknown argument is an error that lists the known ones."""
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(
                f"ImageBind has no argument {', '.join(unknown)}; it has {', '.join(sorted(known))}"
            )
        return cls(**values)


def sizes_of(state: Mapping[str, Tensor], towers: Sequence[str] | None = None) -> dict[str, Any]:
    """The arguments that a bare checkpoint's shapes reveal for `towers`; None means its vision and
    audio towers.

    Raises `ValueError` if the file lacks them.
    """
    held = {tower_of(key) for key in state}
    towers = [t for t in ("vision", "audio") if t in held] if towers is None else towers
    if not towers or not held.issuperset(towers):
        raise ValueError(
            f"these weights hold the towers {sorted(t for t in held if t) or 'of no ImageBind'}, "
            f"asked for {list(towers) or 'vision or audio'}"
        )
    sizes: dict[str, Any] = {"towers": tuple(towers)}
    for tower in towers:
        try:
            sizes |= _tower_sizes(tower, state)
        except KeyError as error:
            raise ValueError(
                f"the {tower} tower lacks {error}: this is not an ImageBind's weight file"
            ) from error
    return sizes


def _tower_sizes(tower: str, state: Mapping[str, Tensor]) -> dict[str, Any]:
    stem = f"modality_preprocessors.{tower}"
    blocks = {k.split(".")[3] for k in state if k.startswith(f"modality_trunks.{tower}.blocks.")}
    sizes: dict[str, Any] = {f"{tower}_depth": len(blocks)}
    if tower == "text":
        sizes["context_length"], sizes["text_width"] = state[f"{stem}.pos_embed"].shape[1:]
        sizes["vocab_size"] = state[f"{stem}.token_embedding.weight"].shape[0]
        sizes["out_dim"] = state["modality_heads.text.proj.1.weight"].shape[0]
        return sizes
    sizes[f"{tower}_width"] = state[f"{stem}.cls_token"].shape[-1]
    sizes["out_dim"] = state[f"modality_heads.{tower}.2.weight"].shape[0]
    if tower == "vision":
        _, _, frames, patch, _ = state[f"{stem}.rgbt_stem.proj.1.weight"].shape
        patches = state[f"{stem}.pos_embedding_helper.pos_embed"].shape[1] - 1
        sizes |= {"frames_per_clip": frames, "patch_size": patch}
        sizes["image_size"] = patch * math.isqrt(patches)
        norm = "modality_trunks.vision.pre_transformer_layer.0.weight"
        sizes["vision_pre_norm"] = norm in state
    elif tower == "depth":
        patch = state[f"{stem}.depth_stem.proj.weight"].shape[-1]
        patches = state[f"{stem}.pos_embedding_helper.pos_embed"].shape[1] - 1
        sizes |= {"depth_patch_size": patch, "depth_size": patch * math.isqrt(patches)}
        sizes["depth_bias_kv"] = "modality_trunks.depth.blocks.0.attn.bias_k" in state
    else:
        sizes["audio_kernel"] = state[f"{stem}.rgbt_stem.proj.weight"].shape[-1]
        sizes["audio_bias_kv"] = "modality_trunks.audio.blocks.0.attn.bias_k" in state
    return sizes
