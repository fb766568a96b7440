"""Tiny random pipelines of the diffusers classes that decoders support, saved by diffusers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as d
import torch
from diffusers.pipelines.ace_step import AceStepConditionEncoder
from diffusers.pipelines.stable_audio import StableAudioProjectionModel
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen3Config,
    Qwen3Model,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    T5EncoderModel,
    UMT5EncoderModel,
)

from anyweave.language.byte_tokenizer import byte_tokenizer
from anyweave.testing.decoders import MAX_TOKENS, clip_tokenizer


def _vae(channels: int = 4, inputs: int = 3, depth: int = 2, **changes: Any) -> Any:
    return d.AutoencoderKL(
        in_channels=inputs,
        out_channels=inputs,
        latent_channels=channels,
        block_out_channels=(8,) * (depth - 1) + (16,),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * depth,
        up_block_types=("UpDecoderBlock2D",) * depth,
        **changes,
    )


def _flow(**settings: Any) -> Any:
    return d.FlowMatchEulerDiscreteScheduler(**settings)


def _tokenizer() -> Any:
    """A byte tokenizer that appends an end token, even to an empty caption."""
    tokenizer = byte_tokenizer()
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}!"
    tokenizer.model_max_length = 64
    return tokenizer


def _qwen_text(width: int) -> dict[str, Any]:
    config = Qwen3Config(
        vocab_size=264,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    return {"text_encoder": Qwen3Model(config), "tokenizer": _tokenizer()}


def _t5_text(kind: Any, width: int) -> dict[str, Any]:
    config = kind.config_class(
        vocab_size=264, d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=258
    )
    return {"text_encoder": kind(config), "tokenizer": _tokenizer()}


def _two_clips(*, projected: bool) -> dict[str, Any]:
    """The two CLIP text encoders of Stable Diffusion XL, 8 and 24 of its 32 columns; `projected`,
    those of Stable Diffusion 3, 8 and 16 of its 24 pooled ones.
    """
    parts: dict[str, Any] = {}
    first = CLIPTextModelWithProjection if projected else CLIPTextModel
    widths = (8, 16) if projected else (8, 24)
    kinds = (first, CLIPTextModelWithProjection)
    for end, kind, width in zip(("", "_2"), kinds, widths, strict=True):
        config = CLIPTextConfig(
            vocab_size=514,
            hidden_size=width,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=512,
            eos_token_id=513,
            pad_token_id=513,
            projection_dim=width,
        )
        parts |= {"text_encoder" + end: kind(config), "tokenizer" + end: clip_tokenizer()}
    return parts


# For the pipelines that tests use with text encoders.
TINY_TEXT: dict[str, Callable[[], dict[str, Any]]] = {
    "StableDiffusionXLPipeline": lambda: _two_clips(projected=False),
    "StableDiffusion3Pipeline": lambda: _two_clips(projected=True),
    "QwenImagePipeline": lambda: _qwen_text(16),
    "ZImagePipeline": lambda: _qwen_text(16),
    "SanaPipeline": lambda: _qwen_text(16),
    "WanPipeline": lambda: _t5_text(UMT5EncoderModel, 32),
    "LTXPipeline": lambda: _t5_text(T5EncoderModel, 32),
    "StableAudioPipeline": lambda: _t5_text(T5EncoderModel, 4),
}


def _sdxl() -> dict[str, Any]:
    unet = d.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=72,
        cross_attention_dim=32,
    )
    scheduler = d.EulerDiscreteScheduler(steps_offset=1, timestep_spacing="leading")
    return {"unet": unet, "vae": _vae(), "scheduler": scheduler}


def _sd3() -> dict[str, Any]:
    transformer = d.SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=24,
    )
    vae = _vae(shift_factor=0.1, scaling_factor=1.5)
    return {"transformer": transformer, "vae": vae, "scheduler": _flow(shift=3.0)}


def _flux() -> dict[str, Any]:
    transformer = d.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=24,
        axes_dims_rope=[4, 4, 8],
    )
    return {"transformer": transformer, "vae": _vae(shift_factor=0.1), "scheduler": _flow()}


def _deep_vae() -> Any:
    return d.AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.4,
    )


def _sana(**changes: Any) -> Any:
    return d.SanaTransformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=16,
        **changes,
    )


def _sana_parts() -> dict[str, Any]:
    return {"transformer": _sana(), "vae": _deep_vae(), "scheduler": _flow()}


def _sprint() -> dict[str, Any]:
    transformer = _sana(guidance_embeds=True, qk_norm="rms_norm_across_heads")
    scheduler = d.SCMScheduler(prediction_type="trigflow", sigma_data=0.5)
    return {"transformer": transformer, "vae": _deep_vae(), "scheduler": scheduler}


def _pixart() -> dict[str, Any]:
    transformer = d.PixArtTransformer2DModel(
        sample_size=8,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_channels=32,
        in_channels=4,
        cross_attention_dim=16,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        use_additional_conditions=False,
    )
    return {"transformer": transformer, "vae": _vae(), "scheduler": d.DPMSolverMultistepScheduler()}


def _lumina() -> dict[str, Any]:
    transformer = d.Lumina2Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        hidden_size=24,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=3,
        num_kv_heads=1,
        multiple_of=2,
        norm_eps=1e-5,
        scaling_factor=1.0,
        axes_dim_rope=[4, 2, 2],
        cap_feat_dim=32,
    )
    vae = _vae(depth=4, shift_factor=0.1)  # the pipeline assumes eight pixels per latent
    return {"transformer": transformer, "vae": vae, "scheduler": _flow()}


def _z_image() -> dict[str, Any]:
    transformer = d.ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=16,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        qk_norm=True,
        cap_feat_dim=16,
        rope_theta=256.0,
        t_scale=1000.0,
        axes_dims=[8, 4, 4],
        axes_lens=[256, 32, 32],
    )
    # The saved pad tokens would otherwise be uninitialised memory.
    for name in ("x_pad_token", "cap_pad_token"):
        torch.nn.init.normal_(getattr(transformer, name))
    vae = _vae(16, shift_factor=0.1)
    return {"transformer": transformer, "vae": vae, "scheduler": _flow(shift=3.0)}


def _qwen() -> dict[str, Any]:
    transformer = d.QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(8, 4, 4),
    )
    vae = d.AutoencoderKLQwenImage(
        base_dim=24,
        z_dim=4,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[0.1] * 4,
        latents_std=[2.0] * 4,
    )
    return {"transformer": transformer, "vae": vae, "scheduler": _flow()}


def _wan() -> dict[str, Any]:
    vae = d.AutoencoderKLWan(
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )
    transformer = d.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=16,
        ffn_dim=32,
        num_layers=1,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    scheduler = d.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    return {"transformer": transformer, "vae": vae, "scheduler": scheduler}


def _ltx() -> dict[str, Any]:
    vae = d.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5,
        upsample_residual=(False,) * 4,
        upsample_factor=(1,) * 4,
        timestep_conditioning=False,
        patch_size=1,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )
    transformer = d.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=1,
        caption_channels=32,
    )
    return {"transformer": transformer, "vae": vae, "scheduler": _flow()}


def _waves_vae(latents: int, rate: int) -> Any:
    return d.AutoencoderOobleck(
        encoder_hidden_size=6,
        downsampling_ratios=[4, 8],
        decoder_channels=3,
        decoder_input_channels=latents,
        audio_channels=2,
        channel_multiples=[2, 4],
        sampling_rate=rate,
    )


def _stable_audio() -> dict[str, Any]:
    transformer = d.StableAudioDiTModel(
        sample_size=16,
        in_channels=3,
        num_layers=1,
        attention_head_dim=4,
        num_attention_heads=2,
        num_key_value_attention_heads=2,
        out_channels=3,
        cross_attention_dim=4,
        time_proj_dim=8,
        global_states_input_dim=8,
        cross_attention_input_dim=4,
    )
    return {
        "transformer": transformer,
        "vae": _waves_vae(3, 2048),
        "projection_model": StableAudioProjectionModel(
            text_encoder_dim=4, conditioning_dim=4, min_value=0, max_value=32
        ),
        "scheduler": d.EDMDPMSolverMultistepScheduler(
            solver_order=2,
            prediction_type="v_prediction",
            sigma_data=1.0,
            sigma_schedule="exponential",
            sigma_min=0.3,
            sigma_max=500,
        ),
    }


def _audioldm2() -> dict[str, Any]:
    unet = d.AudioLDM2UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=((None, 16, 24), (None, 16, 24)),
        attention_head_dim=4,
    )
    vocoder = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=8,  # mel bands
            sampling_rate=16000,
            upsample_initial_channel=64,
            upsample_rates=[5, 4, 2, 2, 2],
            upsample_kernel_sizes=[10, 8, 4, 4, 4],
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1]],
            normalize_before=False,
        )
    )
    scheduler = d.DDIMScheduler(
        beta_start=0.0015,
        beta_end=0.0195,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
    )
    return {"unet": unet, "vae": _vae(inputs=1), "vocoder": vocoder, "scheduler": scheduler}


def _ace_step() -> dict[str, Any]:
    shape = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
    }
    transformer = d.AceStepTransformer1DModel(
        num_hidden_layers=2,
        in_channels=9,
        audio_acoustic_hidden_dim=3,
        is_turbo=True,
        **shape,
    )
    condition_encoder = AceStepConditionEncoder(
        text_hidden_dim=32,
        timbre_hidden_dim=3,
        num_lyric_encoder_hidden_layers=2,
        num_timbre_encoder_hidden_layers=2,
        **shape,
    )
    torch.nn.init.normal_(condition_encoder.silence_latent)
    return {
        "transformer": transformer,
        "condition_encoder": condition_encoder,
        "vae": _waves_vae(3, 512),
        "scheduler": _flow(num_train_timesteps=1),
        **_qwen_text(32),
    }


TINY_PIPELINES: dict[str, Callable[[], dict[str, Any]]] = {
    "StableDiffusionXLPipeline": _sdxl,
    "StableDiffusion3Pipeline": _sd3,
    "FluxPipeline": _flux,
    "SanaPipeline": _sana_parts,
    "SanaSprintPipeline": _sprint,
    "PixArtSigmaPipeline": _pixart,
    "Lumina2Pipeline": _lumina,
    "ZImagePipeline": _z_image,
    "QwenImagePipeline": _qwen,
    "WanPipeline": _wan,
    "LTXPipeline": _ltx,
    "StableAudioPipeline": _stable_audio,
    "AudioLDM2Pipeline": _audioldm2,
    "AceStepPipeline": _ace_step,
}


def tiny_pipeline(name: str, *, seed: int = 0, text: bool = False) -> Any:
    """A random pipeline of class `name` with a few 10k parameters; without text encoders unless
    `text` is set. The caller's random state is unchanged.
    """
    kind = getattr(d, name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = TINY_PIPELINES[name]()
        if text and name in TINY_TEXT:
            made |= TINY_TEXT[name]()
    for name, part in made.items():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
        if name in ("unet", "transformer"):
            # Small random weights hardly respond to conditioning.
            for weight in (w for w in part.parameters() if w.ndim > 1):
                weight.mul_(2)
    expected, _ = kind._get_signature_keys(kind)
    pipeline = kind(**(dict.fromkeys(expected) | made))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_tiny_pipeline(path: str | Path, name: str, **options: Any) -> Path:
    """Save `tiny_pipeline(name, **options)` as diffusers does and return its folder."""
    tiny_pipeline(name, **options).save_pretrained(path)
    return Path(path)
