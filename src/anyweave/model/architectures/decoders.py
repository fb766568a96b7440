"""Configurations of public latent diffusion decoders, in the diffusers layout. Components are named
as `anyweave.decoders.latent_diffusion.LatentDiffusion` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyweave.model.architectures.component import Component
from anyweave.model.architectures.licences import (
    APACHE_2,
    CC_BY_NC,
    CC_BY_NC_SA,
    OPENRAIL_M,
    Licence,
)

Components = Mapping[str, Component]

_SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
_PICTURE_UNET: Mapping[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "attention_head_dim": 8,  # what diffusers calls so here is the number of heads
}


def _vae(levels: int, **config: Any) -> Component:
    return Component(
        "diffusers:AutoencoderKL",
        {
            "down_block_types": ["DownEncoderBlock2D"] * levels,
            "up_block_types": ["UpDecoderBlock2D"] * levels,
            "block_out_channels": [128, 256, 512, 512][:levels],
            "layers_per_block": 2,
            **config,
        },
    )


def _clip_text(width: int, layers: int, heads: int, activation: str) -> Component:
    return Component(
        "transformers:CLIPTextModel",
        {
            "vocab_size": 49408,
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "max_position_embeddings": 77,
            "hidden_act": activation,
        },
    )


STABLE_DIFFUSION_1_5: Components = {
    "unet": Component(
        "diffusers:UNet2DConditionModel",
        {**_PICTURE_UNET, "sample_size": 64, "cross_attention_dim": 768},
    ),
    "vae": _vae(4, latent_channels=4, sample_size=512),
    "text_encoder": _clip_text(768, 12, 12, "quick_gelu"),
    "scheduler": Component("diffusers:PNDMScheduler", {**_SCHEDULE, "skip_prk_steps": True}),
}
# The text-to-image model of the latent diffusion paper (1.45 B): a text encoder of its own, 256 px.
LDM_TEXT2IM_LARGE: Components = {
    "unet": Component(
        "diffusers:UNet2DConditionModel",
        {**_PICTURE_UNET, "sample_size": 32, "cross_attention_dim": 1280},
    ),
    "vae": _vae(4, latent_channels=4, sample_size=256),
    "text_encoder": Component(
        "diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion:LDMBertModel",
        {
            "vocab_size": 30522,
            "d_model": 1280,
            "encoder_layers": 32,
            "encoder_ffn_dim": 5120,
            "encoder_attention_heads": 8,
            "head_dim": 64,
            "max_position_embeddings": 77,
        },
    ),
    "scheduler": Component("diffusers:DDIMScheduler", _SCHEDULE),
}
ZEROSCOPE_576W: Components = {
    "unet": Component(
        "diffusers:UNet3DConditionModel",
        {
            "sample_size": 32,
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": [320, 640, 1280, 1280],
            "layers_per_block": 2,
            "attention_head_dim": 64,
            "cross_attention_dim": 1024,
        },
    ),
    "vae": _vae(4, latent_channels=4, sample_size=512),
    "text_encoder": _clip_text(1024, 23, 16, "gelu"),
    "scheduler": Component("diffusers:DDIMScheduler", _SCHEDULE),
}
AUDIOLDM_L_FULL: Components = {
    "unet": Component(
        "diffusers:UNet2DConditionModel",
        {
            "sample_size": 128,
            "in_channels": 8,
            "out_channels": 8,
            "block_out_channels": [256, 512, 768, 1280],
            "layers_per_block": 2,
            "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 3,
            "up_block_types": ["CrossAttnUpBlock2D"] * 3 + ["UpBlock2D"],
            # No text sequence: these attentions look at the latents themselves.
            "cross_attention_dim": [256, 512, 768, 1280],
            "class_embed_type": "simple_projection",
            "projection_class_embeddings_input_dim": 512,
            "class_embeddings_concat": True,
        },
    ),
    "vae": _vae(3, in_channels=1, out_channels=1, latent_channels=8, sample_size=512),
    "text_encoder": Component(
        "transformers:ClapTextModelWithProjection",
        {
            "vocab_size": 50265,
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "max_position_embeddings": 514,
            "projection_dim": 512,
        },
    ),
    "vocoder": Component(
        "transformers:SpeechT5HifiGan",
        {
            "model_in_dim": 64,
            "sampling_rate": 16000,
            "upsample_initial_channel": 1024,
            "upsample_rates": [5, 4, 2, 2, 2],
            "upsample_kernel_sizes": [16, 16, 8, 4, 4],
            "normalize_before": False,
        },
    ),
    "scheduler": Component(
        "diffusers:DDIMScheduler", {**_SCHEDULE, "beta_start": 0.0015, "beta_end": 0.0195}
    ),
}

# hub id -> (title, components, licence)
DECODERS: dict[str, tuple[str, Components, Licence]] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": (
        "Stable Diffusion 1.5",
        STABLE_DIFFUSION_1_5,
        OPENRAIL_M,
    ),
    "CompVis/ldm-text2im-large-256": ("LDM text-to-image 256", LDM_TEXT2IM_LARGE, APACHE_2),
    "cerspense/zeroscope_v2_576w": ("Zeroscope v2 576w", ZEROSCOPE_576W, CC_BY_NC),
    "cvssp/audioldm-l-full": ("AudioLDM-L-Full", AUDIOLDM_L_FULL, CC_BY_NC_SA),
}
