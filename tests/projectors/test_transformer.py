"""The output projector: the paper's sizes, the released checkpoint's names, gradients."""

from __future__ import annotations

import warnings

import pytest
import torch

from anyweave.projectors import resolve
from anyweave.projectors.transformer import TransformerOutputProjector

SMALL = {"hidden_dim": 16, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 2}


@pytest.mark.parametrize(
    ("out_dim", "num_queries", "expected"),
    [(768, 77, 31_958_784), (1024, 77, 32_090_112), (512, 1, 31_788_544)],
)
def test_parameters_at_the_papers_sizes(out_dim: int, num_queries: int, expected: int) -> None:
    with torch.device("meta"):
        projector = TransformerOutputProjector(4096, out_dim, num_queries)
    assert sum(parameter.numel() for parameter in projector.parameters()) == expected


def test_tensor_names_are_those_of_the_released_checkpoint_up_to_two_renames() -> None:
    names = set(TransformerOutputProjector(8, 8, 2, hidden_dim=16, num_heads=2).state_dict())
    assert len(names) == 129
    assert {"in_fc.weight", "out_fc.bias", "query_embs"} <= names
    assert "tfm.encoder.layers.3.self_attn.in_proj_weight" in names
    assert "tfm.decoder.layers.3.multihead_attn.out_proj.bias" in names
    assert {"tfm.encoder.norm.weight", "tfm.decoder.norm.bias"} <= names


@pytest.mark.parametrize("signal_tokens", [1, 4])
def test_shapes_gradients_and_deterministic_evaluation(signal_tokens: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        projector = resolve("output", "transformer")(12, 10, 7, ffn_dim=32, **SMALL)
    hidden = torch.randn(3, signal_tokens, 12)
    out = projector(hidden)
    assert out.shape == (3, 7, 10)
    assert not torch.equal(out, projector(hidden))  # dropout 0.1 is on in training
    out.pow(3).sum().backward()
    without = [n for n, p in projector.named_parameters() if p.grad is None or not p.grad.any()]
    if signal_tokens > 1:  # attention over one token is 1 whatever the query: no gradient there
        assert without == []
    projector.eval()
    assert torch.equal(projector(hidden), projector(hidden))
    torch.testing.assert_close(projector(hidden)[1:2], projector(hidden[1:2]))


def test_a_frozen_one_keeps_its_type_in_a_run_of_half_precision() -> None:
    projector = TransformerOutputProjector(8, 6, 3, hidden_dim=16, num_heads=2, ffn_dim=16)
    projector.requires_grad_(False).eval()
    hidden = torch.randn(2, 4, 8)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(projector(hidden), projector.float()(hidden))
        assert projector(hidden).dtype == torch.float32
        assert projector.train()(hidden).dtype == torch.bfloat16


def test_queries_start_apart() -> None:
    """Equal queries could only be told apart by their targets."""
    projector = TransformerOutputProjector(12, 10, 5, ffn_dim=32, **SMALL).eval()
    out = projector(torch.randn(1, 4, 12))[0]
    assert torch.cdist(out, out).add(torch.eye(5)).min() > 1e-2


@pytest.mark.usefixtures("unchecked_shapes")
def test_errors_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="at least 1 query"):
        TransformerOutputProjector(8, 8, 0)
    with pytest.raises(ValueError, match="num_heads"):
        TransformerOutputProjector(8, 8, 1, hidden_dim=10)
    with pytest.raises(ValueError, match="known output projectors: linear, mixing, transformer"):
        resolve("output", "cubic")
    with pytest.raises(ValueError, match="input or output"):
        resolve("both", "linear")  # type: ignore[arg-type]
