"""Configurations of public encoders. The components of one that transformers loads are `model`, the
tower that is kept, and `processor`, what prepares the media.
"""

from __future__ import annotations

from collections.abc import Mapping

from anyweave.model.architectures.component import Component
from anyweave.model.architectures.licences import APACHE_2, BSD_3, CC_BY_NC_SA, MIT, Licence

Components = Mapping[str, Component]

# The defaults of ImageBindConfig are the public huge model; its depth, thermal and inertial towers
# are never read.
IMAGEBIND_HUGE: Components = {"model": Component("anyweave.encoders.imagebind:ImageBind")}

SIGLIP2_SO400M: Components = {
    "model": Component(
        "transformers:SiglipVisionModel",
        {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "image_size": 384,
            "patch_size": 14,
        },
    ),
    "processor": Component(
        "transformers:SiglipImageProcessor", {"size": {"height": 384, "width": 384}}
    ),
}
SIGLIP2_BASE: Components = {
    "model": Component(
        "transformers:SiglipVisionModel",
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 256,
            "patch_size": 16,
        },
    ),
    "processor": Component(
        "transformers:SiglipImageProcessor", {"size": {"height": 256, "width": 256}}
    ),
}
WHISPER_LARGE: Components = {
    "model": Component(
        "transformers.models.whisper.modeling_whisper:WhisperEncoder",
        {
            "d_model": 1280,
            "encoder_layers": 32,
            "encoder_attention_heads": 20,
            "encoder_ffn_dim": 5120,
            "num_mel_bins": 128,
            "max_source_positions": 1500,
        },
    ),
    "processor": Component("transformers:WhisperFeatureExtractor", {"feature_size": 128}),
}
AST_AUDIOSET: Components = {
    "model": Component(
        "transformers:ASTModel",
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "patch_size": 16,
            "frequency_stride": 10,
            "time_stride": 10,
            "max_length": 1024,
            "num_mel_bins": 128,
        },
    ),
    "processor": Component("transformers:ASTFeatureExtractor", {"max_length": 1024}),
}

# source -> (title, components, licence)
ENCODERS: dict[str, tuple[str, Components, Licence]] = {
    "imagebind_huge.pth": ("ImageBind-huge", IMAGEBIND_HUGE, CC_BY_NC_SA),
    "google/siglip2-so400m-patch14-384": ("SigLIP 2 So400m", SIGLIP2_SO400M, APACHE_2),
    "google/siglip2-base-patch16-256": ("SigLIP 2 Base", SIGLIP2_BASE, APACHE_2),
    "openai/whisper-large-v3-turbo": ("Whisper large v3 turbo", WHISPER_LARGE, MIT),
    "MIT/ast-finetuned-audioset-10-10-0.4593": ("AST AudioSet", AST_AUDIOSET, BSD_3),
}
