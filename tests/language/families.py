"""Small random models of many families of causal language models, by name.

Each entry: the config's class in transformers, and what it needs beyond the common sizes. Values
that matter (scales, caps, windows) are far from the ones that change nothing.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 272
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}
GROUPED: dict[str, Any] = {**SIZES, "num_key_value_heads": 2}
NARROW: dict[str, Any] = {**GROUPED, "head_dim": 8}
GPT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 512,
}
RECURRENT: dict[str, Any] = {k: SIZES[k] for k in ("vocab_size", "hidden_size")} | {
    "num_hidden_layers": 2
}
WINDOWS = ["sliding_attention", "full_attention"]

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", GROUPED),
    "llama-tied": ("LlamaConfig", {**GROUPED, "tie_word_embeddings": True}),
    "mistral": ("MistralConfig", {**GROUPED, "sliding_window": 8}),
    "mixtral": ("MixtralConfig", {**GROUPED, "num_local_experts": 3, "num_experts_per_tok": 2}),
    "qwen2": ("Qwen2Config", GROUPED),
    "qwen3": ("Qwen3Config", NARROW),
    "qwen3-moe": (
        "Qwen3MoeConfig",
        {**NARROW, "num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    ),
    "gemma": ("GemmaConfig", NARROW),
    "gemma2": ("Gemma2Config", {**NARROW, "final_logit_softcapping": 3.0, "sliding_window": 8}),
    "gemma3": ("Gemma3TextConfig", {**NARROW, "sliding_window": 8, "layer_types": WINDOWS}),
    "granite": (
        "GraniteConfig",
        {**GROUPED, "logits_scaling": 7.0, "embedding_multiplier": 11.0},
    ),
    "cohere": ("CohereConfig", {**GROUPED, "logit_scale": 0.07}),
    "cohere2": ("Cohere2Config", {**GROUPED, "logit_scale": 0.3, "sliding_window": 8}),
    "phi": ("PhiConfig", SIZES),
    "phi3": ("Phi3Config", GROUPED),
    "gpt2": ("GPT2Config", GPT),
    "gptj": ("GPTJConfig", {**GPT, "rotary_dim": 4}),
    "gpt-neox": ("GPTNeoXConfig", SIZES),
    "opt": ("OPTConfig", {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 16}),
    "bloom": ("BloomConfig", {"vocab_size": VOCABULARY, "hidden_size": 32, "n_head": 4}),
    "falcon": ("FalconConfig", {k: v for k, v in SIZES.items() if k != "intermediate_size"}),
    "olmo2": ("Olmo2Config", GROUPED),
    "stablelm": ("StableLmConfig", GROUPED),
    "smollm3": ("SmolLM3Config", GROUPED),
    "nemotron": ("NemotronConfig", GROUPED),
    "helium": ("HeliumConfig", NARROW),
    "biogpt": ("BioGptConfig", {**SIZES, "scale_embedding": True}),
    "mamba": ("MambaConfig", RECURRENT),
    "mamba2": (
        "Mamba2Config",
        {**RECURRENT, "num_heads": 4, "head_dim": 16, "n_groups": 1, "state_size": 8},
    ),
    "falcon-mamba": ("FalconMambaConfig", RECURRENT),
    "recurrent-gemma": (
        "RecurrentGemmaConfig",
        {**GROUPED, "lru_width": 32, "attention_window_size": 8, "num_hidden_layers": 3,
         "logits_soft_cap": 3.0},
    ),
    "falcon-h1": (
        "FalconH1Config",
        {**NARROW, "lm_head_multiplier": 0.2, "embedding_multiplier": 5.0, "mamba_d_ssm": 32,
         "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1},
    ),
    "jamba": (
        "JambaConfig",
        {**GROUPED, "num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1,
         "num_experts": 2, "use_mamba_kernels": False, "mamba_d_state": 8, "mamba_dt_rank": 4},
    ),
    "bamba": (
        "BambaConfig",
        {**GROUPED, "attn_layer_indices": [1], "mamba_n_heads": 4, "mamba_d_head": 16,
         "mamba_d_state": 8, "mamba_n_groups": 1},
    ),
    "granite-hybrid": (
        "GraniteMoeHybridConfig",
        {**GROUPED, "logits_scaling": 6.0, "layer_types": ["mamba", "attention"],
         "num_local_experts": 2, "num_experts_per_tok": 1, "shared_intermediate_size": 16,
         "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1},
    ),
    "qwen3-next": (
        "Qwen3NextConfig",
        {**NARROW, "layer_types": ["linear_attention", "full_attention"], "num_experts": 2,
         "num_experts_per_tok": 1, "moe_intermediate_size": 16,
         "shared_expert_intermediate_size": 16, "linear_num_key_heads": 2,
         "linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
    ),
    "lfm2": ("Lfm2Config", {**GROUPED, "layer_types": ["conv", "full_attention"]}),
    "gemma3n": (
        "Gemma3nTextConfig",
        {**NARROW, "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 4,
         "num_kv_shared_layers": 0, "laurel_rank": 4, "activation_sparsity_pattern": [0.0, 0.0],
         "layer_types": WINDOWS, "altup_num_inputs": 2},
    ),
    "nanochat": ("NanoChatConfig", {**GROUPED, "final_logit_softcapping": 3.0}),
    "deepseek-v3": (
        "DeepseekV3Config",
        {**SIZES, "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2,
         "moe_intermediate_size": 16, "first_k_dense_replace": 1, "kv_lora_rank": 8,
         "q_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8},
    ),
    "gpt-oss": (
        "GptOssConfig",
        {**NARROW, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 8},
    ),
}  # fmt: skip


def family(name: str) -> PreTrainedModel:
    """The model, in eval mode; always the same for a name."""
    kind, sizes = FAMILIES[name]
    config = getattr(transformers, kind)(
        **sizes, bos_token_id=259, eos_token_id=257, pad_token_id=258
    )
    config.initializer_range = 0.2  # as in `tiny_llama`
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).eval()
