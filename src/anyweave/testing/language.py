"""A byte tokenizer and a tiny random Llama: the language side of the system in milliseconds,
without files.

Both are real classes, only small: a `PreTrainedTokenizerFast` and a `LlamaForCausalLM`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

from anyweave.language import CausalLM
from anyweave.language.byte_tokenizer import byte_tokenizer

__all__ = [
    "byte_tokenizer",
    "tiny_language_model",
    "tiny_llama",
    "word_mark_tokenizer",
    "write_tiny_language_model",
]


def word_mark_tokenizer() -> LlamaTokenizer:
    """A tokenizer like Llama's: a mark before every string, ASCII characters, bytes for the rest,
    and merges that make "###" one token at the start of a word and two elsewhere.
    """
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["\u2581", *map(chr, range(33, 127)), "##", "\u2581##", "\u2581###"]
    merges = [("#", "#"), ("\u2581", "##"), ("\u2581##", "#")]
    return LlamaTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges)


def tiny_llama(
    *, hidden_size: int = 32, num_layers: int = 2, vocab_size: int = 264, seed: int = 0
) -> LlamaForCausalLM:
    """A random Llama with tied heads whose embedding has more rows than the byte tokenizer has
    tokens.
    """
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=259,
        eos_token_id=257,
        pad_token_id=258,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Wider than the usual 0.02: with random weights that small, hidden states hardly depend on
        # the input.
        config.initializer_range = 0.2
        return LlamaForCausalLM(config).eval()


def tiny_language_model(
    *,
    num_signals: int = 0,
    hidden_size: int = 32,
    num_layers: int = 2,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> CausalLM:
    """A `CausalLM` over `tiny_llama` and `byte_tokenizer`; the same seed gives the same weights."""
    model = tiny_llama(hidden_size=hidden_size, num_layers=num_layers, seed=seed).to(dtype)
    return CausalLM(model, byte_tokenizer(), num_signals=num_signals, seed=seed)


def write_tiny_language_model(
    folder: str | Path, *, hidden_size: int = 32, num_layers: int = 2, seed: int = 0
) -> Path:
    """The same model and tokenizer as a folder that `CausalLM.from_pretrained` loads."""
    tiny_llama(hidden_size=hidden_size, num_layers=num_layers, seed=seed).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return Path(folder)
