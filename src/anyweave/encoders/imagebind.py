"""ImageBind (Girdhar et al., CVPR 2023): one embedding space for pictures, clips, sounds and text, at any size.

Written from the paper and from the names and shapes of the public checkpoint, whose weights load unchanged
(they are CC BY-NC-SA 4.0; whether you may use them is yours to check). The system reads *patch* features:
CLS dropped, every patch through the modality's head, L2-normalised, views averaged position by position.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from anyweave.encoders.preprocess import (
    CLIP_MEAN,
    CLIP_STD,
    audio_views,
    image_views,
    video_views,
)
from anyweave.messages import Modality

TRUNK_NORM_EPS = 1e-6
# Towers of the public checkpoint that have no medium here. Their keys are removed by name before a strict load.
UNUSED_TOWERS = ("depth", "thermal", "imu")
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
TOWER_OF: dict[Modality, str] = {
    "image": "vision",
    "video": "vision",
    "audio": "audio",
    "text": "text",
}


@dataclass(frozen=True, kw_only=True)
class ImageBindConfig:
    """Every size of an `ImageBind`; the defaults are the public huge model with the paper's views.

    `average_clips` True averages the views of a medium position by position (the paper's code; the order of
    clips in time is lost); False lays the clips one after the other along N. Crops are always averaged.
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

    text_width: int = 1024
    text_depth: int = 24
    text_heads: int = 16
    context_length: int = 77
    vocab_size: int = 49408

    average_clips: bool = True
    normalize_patches: bool = True

    def __post_init__(self) -> None:
        for name in ("towers", "image_mean", "image_std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        unknown = set(self.towers) - {"vision", "audio", "text"}
        if unknown or not self.towers:
            raise ValueError(f"towers are among vision, audio, text; got {self.towers}")
        for tower in self.towers:
            width, heads = getattr(self, f"{tower}_width"), getattr(self, f"{tower}_heads")
            if width % heads:
                raise ValueError(f"{tower}_width {width} does not divide by {tower}_heads {heads}")
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}"
            )
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


class ImageBind(nn.Module):
    """`ImageBind(vision_width=..., ...)`: any argument of `ImageBindConfig`. Parameter names are the public file's.

    Inputs, M media each (V views): image ``[M, 3, H, W]``, video ``[M, V, 3, T, H, W]``,
    audio ``[M, V, 1, mel, frames]``, text ids ``[M, context_length]``.
    """

    def __init__(self, **sizes: Any) -> None:
        super().__init__()
        config = ImageBindConfig.from_dict(sizes)
        self.config = config
        self.feature_dim = config.out_dim
        self.modalities: tuple[Modality, ...] = tuple(
            m for m, tower in TOWER_OF.items() if tower in config.towers and m != "text"
        )
        stems: dict[str, nn.Module] = {}
        trunks: dict[str, nn.Module] = {}
        heads: dict[str, nn.Module] = {}
        scales: dict[str, nn.Module] = {}
        for tower in config.towers:
            width = getattr(config, f"{tower}_width")
            stems[tower] = _STEMS[tower](config)
            trunks[tower] = Trunk(
                width,
                getattr(config, f"{tower}_depth"),
                getattr(config, f"{tower}_heads"),
                bias_kv=tower == "audio" and config.audio_bias_kv,
                pre_norm=tower == "vision" and config.vision_pre_norm,
            )
            heads[tower] = _head(tower, width, config.out_dim)
            if tower in _INITIAL_SCALE:
                # index 0 of the public postprocessor is the parameter-free L2 normalisation
                scales[tower] = nn.Sequential(
                    nn.Identity(), LogitScale(_INITIAL_SCALE[tower], learnable=tower == "text")
                )
        self.modality_preprocessors = nn.ModuleDict(stems)
        self.modality_trunks = nn.ModuleDict(trunks)
        self.modality_heads = nn.ModuleDict(heads)
        self.modality_postprocessors = nn.ModuleDict(scales)
        self.apply(_initialise)

    # ------------------------------------------------------------------ media -> tensors

    def preprocess(
        self, modality: Modality, array: np.ndarray, *, rate: float | None = None
    ) -> Tensor:
        """One medium as this model's input, without batch axis. `rate`: frames/s of a video; Hz of audio, if known.

        Raises `ValueError` for a wrong shape or type, a video without rate, or audio at another sample rate.
        """
        self._tower(modality)
        c = self.config
        colours: dict[str, Any] = {"size": c.image_size, "mean": c.image_mean, "std": c.image_std}
        if modality == "image":
            return image_views(array, **colours)
        if modality == "video":
            if rate is None:
                raise ValueError("a video needs its rate in frames per second to be cut into clips")
            return video_views(
                array,
                rate=rate,
                num_clips=c.num_video_clips,
                clip_seconds=c.video_clip_seconds,
                frames_per_clip=c.frames_per_clip,
                num_crops=c.num_video_crops,
                **colours,
            )
        if modality == "audio":
            if rate is not None and round(rate) != c.sample_rate:
                raise ValueError(f"audio must be at {c.sample_rate} Hz, got {rate}; resample it first")
            return audio_views(
                array,
                sample_rate=c.sample_rate,
                num_clips=c.audio_clips,
                clip_seconds=c.audio_clip_seconds,
                num_mel_bins=c.num_mel_bins,
                num_frames=c.num_frames,
                frame_length_ms=c.frame_length_ms,
                frame_shift_ms=c.frame_shift_ms,
                mean=c.audio_mean,
                std=c.audio_std,
            )
        raise ValueError("text enters as token ids of the CLIP tokenizer; there is nothing to preprocess")

    # ------------------------------------------------------------------ tensors -> features

    def num_patches(self, modality: Modality) -> int:
        """N of `forward`: 256 for the public model's images and videos, 228 for its sounds."""
        self._tower(modality)
        c = self.config
        if modality == "audio":
            patches, clips = math.prod(c.audio_grid), c.audio_clips
        else:
            patches, clips = (c.image_size // c.patch_size) ** 2, c.num_video_clips
        return patches if c.average_clips or modality == "image" else patches * clips

    def forward(self, modality: Modality, inputs: Tensor) -> Float[Tensor, "M N D"]:
        """Patch features: CLS dropped, head on each patch, L2-normalised (`normalize_patches`), views averaged."""
        if modality == "text":
            raise ValueError("text has no patch features here; use pooled('text', ids)")
        views, count = self._views(modality, inputs)
        head = self.modality_heads[self._tower(modality)]
        patches = head(self.trunk(modality, views)[:, 1:])
        if self.config.normalize_patches:
            patches = F.normalize(patches, dim=-1)
        crops = self.config.num_video_crops if modality == "video" else 1
        by_view = patches.unflatten(0, (-1, count // crops, crops)).mean(dim=2)  # [M, clips, N, D]
        return by_view.mean(dim=1) if self.config.average_clips else by_view.flatten(1, 2)

    def pooled(
        self, modality: Modality, inputs: Tensor, *, logit_scale: bool = False
    ) -> Float[Tensor, "M D"]:
        """One vector per medium: CLS (text: the end-of-text token) through the head, L2-normalised, mean over views.

        `logit_scale` multiplies audio by 20 and text by its learned scale, as the public model's output does;
        NExT-GPT leaves it out, so that every modality's vectors have norm 1.
        """
        tower = self._tower(modality)
        views, count = self._views(modality, inputs)
        hidden = self.trunk(modality, views)
        if modality == "text":  # CLIP's end-of-text token has the highest id
            chosen = hidden[torch.arange(len(hidden), device=hidden.device), views.argmax(dim=-1)]
        else:
            chosen = hidden[:, 0]
        vectors = F.normalize(self.modality_heads[tower](chosen), dim=-1)
        if logit_scale and tower in self.modality_postprocessors:
            vectors = self.modality_postprocessors[tower](vectors)
        return vectors.unflatten(0, (-1, count)).mean(dim=1)

    def trunk(self, modality: Modality, views: Tensor) -> Float[Tensor, "MV T W"]:
        """Tokens after the tower's last block, before its head, CLS first. `views` has clips folded into axis 0."""
        tower = self._tower(modality)
        stem = self.modality_preprocessors[tower]
        mask = stem.mask if modality == "text" else None
        return self.modality_trunks[tower](stem(views), mask)

    def _views(self, modality: Modality, inputs: Tensor) -> tuple[Tensor, int]:
        """Views folded into the batch axis, and how many a medium has."""
        expected = {"image": 4, "video": 6, "audio": 5, "text": 2}[modality]
        if inputs.ndim != expected:
            raise ValueError(
                f"{modality} inputs have {expected} axes (see ImageBind), got {list(inputs.shape)}"
            )
        if modality in ("image", "text"):
            return inputs, 1
        return inputs.flatten(0, 1), inputs.shape[1]

    def _tower(self, modality: Modality) -> str:
        tower = TOWER_OF.get(modality)
        if tower is None or tower not in self.config.towers:
            have = [m for m, name in TOWER_OF.items() if name in self.config.towers]
            raise ValueError(f"this ImageBind has no {modality!r} tower; it has {', '.join(have)}")
        return tower

    # ------------------------------------------------------------------ files

    @classmethod
    def from_pretrained(cls, path: str | Path, **overrides: Any) -> Self:
        """A folder written by `save_pretrained`, or one weight file: `.safetensors`, or the public `.pth`.

        A bare file tells its sizes by its shapes; head counts and the sound and view settings do not show in
        shapes and are the public model's unless given in `overrides`. Loading is strict: the towers in
        `UNUSED_TOWERS` are removed by name, any other missing or unexpected key is an error.
        """
        path = Path(path)
        if path.is_dir():
            config = json.loads((path / CONFIG_FILE).read_text())
            state = load_file(path / WEIGHTS_FILE)
        elif path.is_file():
            state = _read_file(path)
            config = _sizes_of(state)
        else:
            raise ValueError(f"no ImageBind at {path}: give a folder, a .safetensors or a .pth file")
        model = cls(**{**config, **overrides})
        dropped = set(UNUSED_TOWERS) | ({"vision", "audio", "text"} - set(model.config.towers))
        kept = {key: value for key, value in state.items() if key.split(".")[1] not in dropped}
        try:
            model.load_state_dict(kept, strict=True)
        except RuntimeError as error:
            raise ValueError(f"{path} is not an ImageBind of these sizes: {error}") from error
        return model.eval()

    def save_pretrained(self, path: str | Path) -> None:
        """Writes config.json and model.safetensors into the folder `path`."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).write_text(json.dumps(asdict(self.config), indent=2) + "\n")
        state = {key: value.contiguous().cpu() for key, value in self.state_dict().items()}
        save_file(state, folder / WEIGHTS_FILE)


class PositionalEmbedding(nn.Module):
    """Holds the learned positions ``[1, 1 + N, W]`` under the public file's name."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, tokens, width) * 0.02)


class VisionStem(nn.Module):
    """Frames -> patch tokens: a convolution as large as its stride over time and space, CLS first."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        kernel = (config.frames_per_clip, config.patch_size, config.patch_size)
        conv = nn.Conv3d(3, config.vision_width, kernel, stride=kernel, bias=False)
        self.frames = config.frames_per_clip
        # index 0 of the public stem repeats a still picture along time and has no parameters
        self.rgbt_stem = nn.ModuleDict({"proj": nn.Sequential(nn.Identity(), conv)})
        self.cls_token = nn.Parameter(torch.randn(1, 1, config.vision_width) * 0.02)
        patches = (config.image_size // config.patch_size) ** 2
        self.pos_embedding_helper = PositionalEmbedding(patches + 1, config.vision_width)

    def forward(self, pixels: Tensor) -> Float[Tensor, "M T W"]:
        if pixels.ndim == 4:
            pixels = pixels[:, :, None].expand(-1, -1, self.frames, -1, -1)
        tokens = self.rgbt_stem["proj"](pixels).flatten(2).transpose(1, 2)
        return _with_cls(tokens, self.cls_token, self.pos_embedding_helper.pos_embed)


class NormalisedConv(nn.Module):
    """Overlapping patches of a log-mel picture, each LayerNormed."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        width = config.audio_width
        self.proj = nn.Conv2d(1, width, config.audio_kernel, stride=config.audio_stride, bias=False)
        self.norm_layer = nn.LayerNorm(width)

    def forward(self, mel: Tensor) -> Tensor:
        return self.norm_layer(self.proj(mel).flatten(2).transpose(1, 2))


class AudioStem(nn.Module):
    """Log-mel pictures -> patch tokens, CLS first."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.rgbt_stem = NormalisedConv(config)
        self.cls_token = nn.Parameter(torch.randn(1, 1, config.audio_width) * 0.02)
        patches = math.prod(config.audio_grid)
        self.pos_embedding_helper = PositionalEmbedding(patches + 1, config.audio_width)

    def forward(self, mel: Float[Tensor, "M 1 K F"]) -> Float[Tensor, "M T W"]:
        tokens = self.rgbt_stem(mel)
        return _with_cls(tokens, self.cls_token, self.pos_embedding_helper.pos_embed)


class TextStem(nn.Module):
    """Token ids -> embeddings with positions; `mask` is the causal mask, stored in the public file."""

    mask: Tensor

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        length = config.context_length
        self.token_embedding = nn.Embedding(config.vocab_size, config.text_width)
        self.pos_embed = nn.Parameter(torch.randn(1, length, config.text_width) * 0.01)
        self.register_buffer("mask", torch.full((length, length), -torch.inf).triu(1))

    def forward(self, ids: Int[Tensor, "M L"]) -> Float[Tensor, "M L W"]:
        return self.token_embedding(ids) + self.pos_embed


_STEMS: dict[str, type[nn.Module]] = {"vision": VisionStem, "audio": AudioStem, "text": TextStem}
_INITIAL_SCALE = {"audio": 20.0, "text": 1 / 0.07}


class MLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block: x + attention(norm_1(x)), then x + mlp(norm_2(x))."""

    def __init__(self, width: int, heads: int, *, bias_kv: bool) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, add_bias_kv=bias_kv, batch_first=True)
        self.norm_1 = nn.LayerNorm(width, eps=TRUNK_NORM_EPS)
        self.norm_2 = nn.LayerNorm(width, eps=TRUNK_NORM_EPS)
        self.mlp = MLP(width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.norm_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.norm_2(x))


class Trunk(nn.Module):
    """The blocks of one tower; the vision tower LayerNorms its tokens first."""

    def __init__(
        self, width: int, depth: int, heads: int, *, bias_kv: bool, pre_norm: bool
    ) -> None:
        super().__init__()
        first = [nn.LayerNorm(width, eps=TRUNK_NORM_EPS)] if pre_norm else []
        self.pre_transformer_layer = nn.Sequential(*first)
        self.blocks = nn.ModuleList(Block(width, heads, bias_kv=bias_kv) for _ in range(depth))

    def forward(self, x: Float[Tensor, "M T W"], mask: Tensor | None) -> Float[Tensor, "M T W"]:
        x = self.pre_transformer_layer(x)
        for block in self.blocks:
            x = block(x, mask)
        return x


class LogitScale(nn.Module):
    """Multiplies by exp(log_logit_scale), at most 100."""

    log_logit_scale: Tensor

    def __init__(self, initial: float, *, learnable: bool) -> None:
        super().__init__()
        value = torch.tensor(math.log(initial))
        if learnable:
            self.log_logit_scale = nn.Parameter(value)
        else:
            self.register_buffer("log_logit_scale", value)

    def forward(self, x: Tensor) -> Tensor:
        return self.log_logit_scale.exp().clamp_max(100.0) * x


def _head(tower: str, width: int, out_dim: int) -> nn.Module:
    norm = nn.LayerNorm(width, eps=TRUNK_NORM_EPS)
    linear = nn.Linear(width, out_dim, bias=False)
    if tower == "text":
        return _TextHead(norm, linear)
    return nn.Sequential(norm, nn.Identity(), linear)  # the public head selects CLS at index 1


class _TextHead(nn.Module):
    def __init__(self, norm: nn.Module, linear: nn.Module) -> None:
        super().__init__()
        self.proj = nn.Sequential(norm, linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


def _with_cls(tokens: Tensor, cls_token: Tensor, positions: Tensor) -> Tensor:
    if tokens.shape[1] + 1 != positions.shape[1]:
        raise ValueError(
            f"the input gives {tokens.shape[1]} patches, this ImageBind expects {positions.shape[1] - 1}; "
            "make the input with preprocess()"
        )
    return torch.cat([cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + positions


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)


def _read_file(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix in (".pth", ".pt", ".bin"):
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    raise ValueError(f"{path} is neither .safetensors nor .pth")


def _sizes_of(state: dict[str, Tensor]) -> dict[str, Any]:
    """The arguments that the shapes of a bare checkpoint tell."""
    towers = [t for t in ("vision", "audio", "text") if any(k.split(".")[1] == t for k in state)]
    sizes: dict[str, Any] = {"towers": tuple(towers)}
    for tower in towers:
        stem = f"modality_preprocessors.{tower}"
        blocks = {k.split(".")[3] for k in state if k.startswith(f"modality_trunks.{tower}.blocks.")}
        sizes[f"{tower}_depth"] = len(blocks)
        if tower == "text":
            sizes["context_length"], sizes["text_width"] = state[f"{stem}.pos_embed"].shape[1:]
            sizes["vocab_size"] = state[f"{stem}.token_embedding.weight"].shape[0]
            sizes["out_dim"] = state["modality_heads.text.proj.1.weight"].shape[0]
            continue
        sizes[f"{tower}_width"] = state[f"{stem}.cls_token"].shape[-1]
        sizes["out_dim"] = state[f"modality_heads.{tower}.2.weight"].shape[0]
        if tower == "vision":
            _, _, frames, patch, _ = state[f"{stem}.rgbt_stem.proj.1.weight"].shape
            patches = state[f"{stem}.pos_embedding_helper.pos_embed"].shape[1] - 1
            sizes |= {"frames_per_clip": frames, "patch_size": patch}
            sizes["image_size"] = patch * math.isqrt(patches)
            norm = "modality_trunks.vision.pre_transformer_layer.0.weight"
            sizes["vision_pre_norm"] = norm in state
        else:
            sizes["audio_kernel"] = state[f"{stem}.rgbt_stem.proj.weight"].shape[-1]
            sizes["audio_bias_kv"] = "modality_trunks.audio.blocks.0.attn.bias_k" in state
    return sizes
