"""Configurations of public language models by source: a hub id, or a name that
`anyweave.language.fetch` knows.
"""

from __future__ import annotations

from anyweave.model.architectures.component import Component
from anyweave.model.architectures.licences import APACHE_2, LLAMA_2, Licence

VICUNA_7B = Component(
    "transformers:LlamaForCausalLM",
    {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
    },
)
QWEN3_4B = Component(
    "transformers:Qwen3ForCausalLM",
    {
        "vocab_size": 151936,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 262144,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5_000_000.0},
        "tie_word_embeddings": True,
        "bos_token_id": 151643,
        "eos_token_id": 151645,
    },
)
QWEN25_1_5B = Component(
    "transformers:Qwen2ForCausalLM",
    {
        "vocab_size": 151936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
        "tie_word_embeddings": True,
        "bos_token_id": 151643,
        "eos_token_id": 151645,
    },
)
SMOLLM2_135M = Component(
    "transformers:LlamaForCausalLM",
    {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
)

# hub id -> (title, configuration, licence)
LANGUAGE_MODELS: dict[str, tuple[str, Component, Licence]] = {
    "lmsys/vicuna-7b-v1.5": ("Vicuna-7B v1.5", VICUNA_7B, LLAMA_2),
    "Qwen/Qwen3-4B-Instruct-2507": ("Qwen3-4B-Instruct-2507", QWEN3_4B, APACHE_2),
    "Qwen/Qwen2.5-1.5B-Instruct": ("Qwen2.5-1.5B-Instruct", QWEN25_1_5B, APACHE_2),
    "smollm2-135m-instruct": ("SmolLM2-135M-Instruct", SMOLLM2_135M, APACHE_2),
}
