"""The parts of ImageBind: stems, pre-norm trunks, heads. Names follow the public checkpoint."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from anyweave.encoders.imagebind_config import ImageBindConfig

TRUNK_NORM_EPS = 1e-6


class PositionalEmbedding(nn.Module):
    """Holds the learned positions ``[1, 1 + N, W]`` under their name in the public file."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, tokens, width) * 0.02)


class VisionStem(nn.Module):
    """Frames -> patch tokens, CLS first: a convolution over time and space, stride = kernel."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        kernel = (config.frames_per_clip, config.patch_size, config.patch_size)
        conv = nn.Conv3d(3, config.vision_width, kernel, stride=kernel, bias=False)
        self.frames = config.frames_per_clip
        # index 0 of the public stem repeats a still image along time and has no parameters
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
    """LayerNormed patches of a one-channel picture; those of a log-mel picture overlap."""

    def __init__(self, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, kernel, stride=stride, bias=False)
        self.norm_layer = nn.LayerNorm(width)

    def forward(self, picture: Tensor) -> Tensor:
        return self.norm_layer(self.proj(picture).flatten(2).transpose(1, 2))


class AudioStem(nn.Module):
    """Log-mel pictures -> patch tokens, CLS first."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.rgbt_stem = NormalisedConv(
            config.audio_width, config.audio_kernel, config.audio_stride
        )
        self.cls_token = nn.Parameter(torch.randn(1, 1, config.audio_width) * 0.02)
        patches = math.prod(config.audio_grid)
        self.pos_embedding_helper = PositionalEmbedding(patches + 1, config.audio_width)

    def forward(self, mel: Float[Tensor, "M 1 K F"]) -> Float[Tensor, "M T W"]:
        tokens = self.rgbt_stem(mel)
        return _with_cls(tokens, self.cls_token, self.pos_embedding_helper.pos_embed)


class DepthStem(nn.Module):
    """Disparity maps -> patch tokens, CLS first."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        width, patch = config.depth_width, config.depth_patch_size
        self.depth_stem = NormalisedConv(width, patch, patch)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.pos_embedding_helper = PositionalEmbedding(
            (config.depth_size // patch) ** 2 + 1, width
        )

    def forward(self, disparity: Float[Tensor, "M 1 H W"]) -> Float[Tensor, "M T W"]:
        tokens = self.depth_stem(disparity)
        return _with_cls(tokens, self.cls_token, self.pos_embedding_helper.pos_embed)


class TextStem(nn.Module):
    """Token ids -> embeddings with positions. `mask`, the causal mask, is in the public file."""

    mask: Tensor

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        length = config.context_length
        self.token_embedding = nn.Embedding(config.vocab_size, config.text_width)
        self.pos_embed = nn.Parameter(torch.randn(1, length, config.text_width) * 0.01)
        self.register_buffer("mask", torch.full((length, length), -torch.inf).triu(1))

    def forward(self, ids: Int[Tensor, "M L"]) -> Float[Tensor, "M L W"]:
        return self.token_embedding(ids) + self.pos_embed


STEMS: dict[str, type[nn.Module]] = {
    "vision": VisionStem,
    "audio": AudioStem,
    "text": TextStem,
    "depth": DepthStem,
}
INITIAL_SCALE = {"audio": 20.0, "text": 1 / 0.07, "depth": 5.0}


class MLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


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
    """The blocks of one tower. The vision tower applies LayerNorm to its tokens first."""

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
    """Multiplies by exp(log_logit_scale), capped at 100."""

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


def make_head(tower: str, width: int, out_dim: int) -> nn.Module:
    norm = nn.LayerNorm(width, eps=TRUNK_NORM_EPS)
    linear = nn.Linear(width, out_dim, bias=False)
    if tower == "text":
        return TextHead(norm, linear)
    return nn.Sequential(norm, nn.Identity(), linear)  # the public head selects CLS at index 1


class TextHead(nn.Module):
    def __init__(self, norm: nn.Module, linear: nn.Module) -> None:
        super().__init__()
        self.proj = nn.Sequential(norm, linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


def _with_cls(tokens: Tensor, cls_token: Tensor, positions: Tensor) -> Tensor:
    if tokens.shape[1] + 1 != positions.shape[1]:
        raise ValueError(
            f"the input gives {tokens.shape[1]} patches, this ImageBind expects "
            f"{positions.shape[1] - 1}; "
            "make the input with preprocess()"
        )
    return torch.cat([cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + positions


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
