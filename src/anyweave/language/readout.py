"""What a language model does around its output head, measured on the model itself.

Families differ between the last hidden state and the logits: Granite divides, Cohere and Falcon-H1
multiply, Gemma 2 caps with a tanh. Config names do not help with unknown families, so the model
runs once with known numbers in place of the decoder's states and the head's output; the result
reveals the function between them. We reproduce that function exactly or refuse the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

_TINY, _LARGE = 2.0**-10, 2.0**14  # powers of two: measuring a factor with them rounds nothing


@dataclass(frozen=True)
class Readout:
    """``logits = soft_cap(after * head(before * hidden))``, for signal rows and the head's own.

    `cap` c is Gemma 2's ``c * tanh(x / c)``; None is no cap.
    """

    before: float = 1.0
    after: float = 1.0
    cap: float | None = None

    def enter(self, hidden: Tensor) -> Tensor:
        """The head's input."""
        return hidden if self.before == 1.0 else hidden * self.before

    def leave(self, scores: Tensor) -> Tensor:
        """The logits, from the head's output."""
        if self.after != 1.0:
            scores = scores * self.after
        return scores if self.cap is None else self.cap * torch.tanh(scores / self.cap)


@torch.no_grad()
def measure_readout(
    model: PreTrainedModel, decoder: nn.Module, head: nn.Module, ids: Int[Tensor, "1 L"]
) -> tuple[Readout, Float[Tensor, "1 L D"]]:
    """The model's readout and its decoder's true last hidden states of `ids`, from one forward
    pass.

    Raises `ValueError` for a model whose logits are another function of the last hidden state.
    """
    weight = head.weight
    assert isinstance(weight, Tensor)
    rows, hidden_size = weight.shape
    draw = torch.Generator().manual_seed(0)
    device = ids.device
    # Sixteenths are exact in every dtype, so casts along the way change nothing.
    states = torch.randint(-32, 33, (*ids.shape, hidden_size), generator=draw).to(device) / 16
    scores = torch.randint(-640, 641, (*ids.shape, rows), generator=draw).to(device) / 16
    scores[:, 0] = torch.where(scores[:, 0] < 0, -_TINY, _TINY)
    scores[:, 1] = torch.where(scores[:, 1] < 0, -_LARGE, _LARGE)
    seen: dict[str, Any] = {}

    def stand_in_states(module: nn.Module, args: Any, output: Any) -> Any:
        seen["hidden"] = output.last_hidden_state
        output.last_hidden_state = states
        return output

    def stand_in_scores(hidden: Tensor, *args: Any, **keywords: Any) -> Tensor:
        seen["read"] = hidden
        return scores

    hook = decoder.register_forward_hook(stand_in_states)
    try:
        with _replaced_forward(head, stand_in_scores):
            logits = model(input_ids=ids, use_cache=False).logits
    finally:
        hook.remove()
    read = seen.get("read")
    if "hidden" not in seen or read is None or read.shape != states.shape:
        raise _refusal(model, "its head does not read the decoder's last hidden states")
    before = _factor(read.float(), states)
    if before is None:
        raise _refusal(model, "it changes the last hidden state before the head, not by a factor")
    if logits.shape != scores.shape:
        raise _refusal(model, f"it gives {logits.shape[-1]} logits from {rows} rows of the head")
    readout = _fit(logits.float(), scores, before)
    if readout is None:
        raise _refusal(
            model, "it changes its logits after the head, by neither a factor nor a tanh soft cap"
        )
    return readout, seen["hidden"]


def _fit(logits: Tensor, scores: Tensor, before: float) -> Readout | None:
    """The factor from tiny scores, where any cap is linear; the cap from large ones."""
    after = float((logits[:, 0] / scores[:, 0]).median())
    after = 1.0 if abs(after - 1.0) < 1e-4 else after
    limit = float(logits[:, 1].abs().median())
    capped = limit < 0.99 * abs(after) * _LARGE
    readout = Readout(before, after, limit if capped else None)
    expected = readout.leave(scores)
    # A half-precision head may round its logits.
    return readout if torch.allclose(logits, expected, rtol=1e-2, atol=1e-6) else None


def _factor(values: Tensor, reference: Tensor) -> float | None:
    """The number by which to multiply `reference` to get `values`, or None."""
    found = reference != 0
    factor = float((values[found] / reference[found]).median())
    factor = 1.0 if abs(factor - 1.0) < 1e-4 else factor
    return factor if torch.allclose(values, reference * factor, rtol=1e-2, atol=1e-6) else None


@contextmanager
def _replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Replace `module`'s forward within the block, then restore it, including any wrapper."""
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own


def _refusal(model: PreTrainedModel, reason: str) -> ValueError:
    return ValueError(
        f"{type(model).__name__} cannot be used: {reason}, and signal tokens must be compared with "
        "the very states that its words are; choose a model of another family (Llama, Mistral, "
        "Qwen, Gemma, Granite and most others work)"
    )
