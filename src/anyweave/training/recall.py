"""The recall loss: what a caption says must stand in the states at the signal tokens, word by word.

A language model is good at copying, and its head already tells all words apart. So the states of a
signal run are read by that head: the state at place p must name token p of the caption, among the
words of the base vocabulary. Signal tokens themselves are left out, for the language loss asks the
same states for the next one; so is the last state of a run, which has to say what comes after it.
Nothing is trained for this alone. An output projector then finds words where it would have to find
an encoding that every run invents anew, and words that were never shown together stay readable.

Captions stand at the end of their places. Replies name a medium right before its signal run, so
each word is at the same distance from the place that recalls it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from anyweave.language.causal_lm import CausalLM
from anyweave.processing.processor import Processor


def recalled_ids(
    processor: Processor, captions: Sequence[str], places: int
) -> Int[Tensor, "T {places}"]:
    """The token ids that `places` states recall: the end of each caption, behind newlines."""
    tokenizer = processor.tokenizer
    filler = int(tokenizer("\n", add_special_tokens=False).input_ids[-1])
    rows = []
    for caption in captions:
        ids = tokenizer(f" {caption}", add_special_tokens=False).input_ids[-places:]
        rows.append([filler] * (places - len(ids)) + list(ids))
    return torch.tensor(rows, dtype=torch.long).reshape(len(rows), places)


def recall_places(length: int) -> int:
    """How many states of a run of `length` signal tokens recall a word; at least 1."""
    return max(1, length - 1)


def recall_losses(
    language: CausalLM,
    states: Float[Tensor, "T S D"],
    wanted: Int[Tensor, "T P"],
    base_vocab: int,
) -> Float[Tensor, "T P"]:
    """The cross-entropy of the words `wanted` at the first P states of each run."""
    words = language.logits(states[:, : wanted.shape[1]])[..., :base_vocab].float()
    flat = functional.cross_entropy(words.flatten(0, 1), wanted.flatten(), reduction="none")
    return flat.view(wanted.shape)
