"""Captions -> the conditioning a decoder was trained on: the target of caption alignment."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def max_caption_tokens(tokenizer: Any, text_config: Any | None) -> int:
    """Tokens in a padded caption: the tokenizer's limit or the text encoder's, if smaller."""
    limit = int(min(tokenizer.model_max_length, 10**9))
    if text_config is not None:
        positions = int(text_config.max_position_embeddings)
        if text_config.model_type.startswith("clap"):
            # RoBERTa counts positions from pad_token_id + 1.
            positions -= int(text_config.pad_token_id) + 1
        limit = min(limit, positions)
    return limit


@torch.no_grad()
def encode_captions(
    captions: list[str], tokenizer: Any, text_encoder: Any, *, as_vector: bool
) -> Float[Tensor, "B Q C"]:
    """Conditioning of `captions`; long ones are truncated.

    A sequence is the text encoder's last hidden states over the padded caption (Q tokens, as in
    Stable Diffusion and Zeroscope); a vector is the L2-normalised projected text embedding with Q =
    1 (as in AudioLDM).
    """
    input_ids, attention_mask = caption_ids(captions, tokenizer, text_encoder)
    return embed_caption_ids(input_ids, attention_mask, text_encoder, as_vector=as_vector)


def caption_ids(
    captions: list[str], tokenizer: Any, text_encoder: Any
) -> tuple[Int[Tensor, "B Q"], Int[Tensor, "B Q"]]:
    """Token ids and attention mask of captions, padded to the decoder's caption length."""
    inputs = tokenizer(
        captions,
        padding="max_length",
        max_length=max_caption_tokens(tokenizer, text_encoder.config),
        truncation=True,
        return_tensors="pt",
    )
    return inputs.input_ids, inputs.attention_mask


def embed_caption_ids(
    input_ids: Int[Tensor, "B Q"],
    attention_mask: Int[Tensor, "B Q"],
    text_encoder: Any,
    *,
    as_vector: bool,
) -> Float[Tensor, "B Q C"]:
    """Conditioning of tokenised captions. Gradients reach the text encoder, so it can train."""
    input_ids = input_ids.to(text_encoder.device)
    attention_mask = attention_mask.to(text_encoder.device)
    if as_vector:
        embeds = text_encoder(input_ids, attention_mask=attention_mask).text_embeds
        return F.normalize(embeds, dim=-1)[:, None]
    # Stable Diffusion was trained with the padding visible, unless its config says otherwise.
    masked = getattr(text_encoder.config, "use_attention_mask", False)
    hidden: Tensor = text_encoder(input_ids, attention_mask=attention_mask if masked else None)[0]
    return hidden
