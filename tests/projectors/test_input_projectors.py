"""Grouping, linear and Q-Former projectors: sizes, gradients, and the equations of App. C.1."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from anyweave.projectors import INPUT_PROJECTORS, resolve
from anyweave.projectors.grouping import GroupingProjector, GroupingStage
from anyweave.projectors.linear import LinearProjector
from anyweave.projectors.qformer import QFormerProjector

SMALL = {"dim": 16, "num_heads": 2}


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _small() -> dict[str, GroupingProjector | LinearProjector | QFormerProjector]:
    return {
        "grouping": GroupingProjector(12, 10, tokens=(6, 3), depths=(1, 2), **SMALL),
        "grouping, one stage": GroupingProjector(12, 10, tokens=(4,), depths=(1,), **SMALL),
        "grouping with positions": GroupingProjector(
            12, 10, tokens=(5, 4, 2), depths=(1, 1, 0), positions=20, **SMALL
        ),
        "linear": LinearProjector(12, 10),
        "linear, 4 tokens": LinearProjector(12, 10, tokens=4),
        "linear, every patch": LinearProjector(12, 10, tokens=None),
        "qformer": QFormerProjector(12, 10, num_queries=5, depth=1, **SMALL),
        "qformer with positions": QFormerProjector(12, 10, num_queries=2, positions=20, **SMALL),
    }


def _first_stage(projector: nn.Module) -> GroupingStage:
    assert isinstance(projector, GroupingProjector)
    stage = projector.stages[0]
    assert isinstance(stage, GroupingStage)
    return stage


@pytest.mark.parametrize("name", list(_small()))
def test_shapes_gradients_and_deterministic_evaluation(name: str) -> None:
    projector = _small()[name]
    for patches in (17, 9):
        features = torch.randn(3, patches, 12)
        out = projector(features)
        assert out.shape == (3, projector.num_tokens(patches), 10)
    out.pow(3).sum().backward()
    without = [n for n, p in projector.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    for parameter in projector.parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
    projector.eval()
    assert torch.equal(projector(features), projector(features))


def test_parameters_at_the_papers_sizes() -> None:
    """The paper counts 28M for grouping; a linear layer is 1024 * 4096 + 4096."""
    with torch.device("meta"):
        two = GroupingProjector(1024, 4096, tokens=(64, 8), depths=(2, 2))
        three = GroupingProjector(
            1024, 4096, tokens=(64, 16, 8), depths=(2, 2, 2), layer_mlp_ratio=4
        )
        linear = LinearProjector(1024, 4096)
    assert 27e6 < _count(two) < 29e6
    assert (_count(two), _count(three)) == (27_871_746, 27_888_643)
    assert _count(linear) == 4_198_400
    assert two.num_tokens(256) == 8


def test_each_patch_belongs_to_one_group_and_gradients_are_the_softmaxs() -> None:
    stage = _first_stage(_small()["grouping"]).eval()
    concepts, patches = torch.randn(2, 6, 16, requires_grad=True), torch.randn(2, 9, 16)
    assignment = stage.assign(concepts, patches)
    assert set(assignment.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(assignment.sum(dim=1), torch.ones(2, 9))

    cosine = functional.cosine_similarity(concepts[:, :, None], patches[:, None], dim=-1)
    soft = (cosine / stage.log_temperature.exp()).softmax(dim=1)
    assert torch.equal(assignment.argmax(dim=1), soft.argmax(dim=1))
    weights = torch.randn(2, 6, 9)
    inputs = (concepts, stage.log_temperature)
    straight = torch.autograd.grad((assignment * weights).sum(), inputs, retain_graph=True)
    expected = torch.autograd.grad((soft * weights).sum(), inputs)
    for found, wanted in zip(straight, expected, strict=True):
        torch.testing.assert_close(found, wanted)
        assert found.abs().sum() > 0


def test_a_stage_follows_its_equation() -> None:
    """X' = C_hat + MLP(mean of the patches of each group), written with a loop over groups."""
    stage = _first_stage(_small()["grouping"]).eval()
    x = torch.randn(1, 9, 16)
    both = torch.cat([stage.concept_tokens[None], x], dim=1)
    for layer in stage.layers:
        both = layer(both)
    both = stage.norm(both)[0]
    concepts, patches = both[:6], both[6:]
    group_of = (
        functional.normalize(patches, dim=-1) @ functional.normalize(concepts, dim=-1).T
    ).argmax(dim=1)
    expected = []
    for group in range(6):
        members = patches[group_of == group]
        mean = members.mean(dim=0) if len(members) else torch.zeros(16)
        expected.append(concepts[group] + stage.mlp(mean))
    torch.testing.assert_close(stage(x)[0], torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_noise_is_gumbel_in_training_only() -> None:
    torch.manual_seed(0)
    stage = _first_stage(GroupingProjector(4, 4, tokens=(2,), depths=(0,), dim=4, num_heads=1))
    concepts = torch.tensor([[[1.0, 0, 0, 0], [0, 1.0, 0, 0]]])
    patches = torch.tensor([[[1.0, 0, 0, 0]]]).expand(1, 20000, 4)  # cosines 1 and 0
    share = stage.train().assign(concepts, patches)[0, 0].mean().item()
    # argmax of logits plus Gumbel noise is a draw from their softmax
    assert share == pytest.approx(torch.tensor([1.0, 0.0]).softmax(0)[0].item(), abs=0.02)
    assert stage.eval().assign(concepts, patches)[0, 0].mean().item() == 1.0
    stage.gumbel_scale = 0.0
    assert stage.train().assign(concepts, patches)[0, 0].mean().item() == 1.0


def test_linear_pools_equal_stretches() -> None:
    features = torch.randn(2, 8, 12)
    one, four = LinearProjector(12, 10), LinearProjector(12, 10, tokens=4)
    torch.testing.assert_close(one(features), one.fc(features.mean(dim=1, keepdim=True)))
    torch.testing.assert_close(four(features), four.fc(features.unflatten(1, (4, 2)).mean(dim=2)))


def test_grouping_ignores_order_unless_it_has_positions() -> None:
    features = torch.randn(1, 9, 12)
    plain, placed = (_small()[name].eval() for name in ("grouping", "grouping with positions"))
    torch.testing.assert_close(plain(features), plain(features.flip(1)), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(placed(features), placed(features.flip(1)), atol=1e-4)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="as many depths"):
        GroupingProjector(12, 10, tokens=(4, 2), depths=(1,))
    with pytest.raises(ValueError, match="num_heads"):
        GroupingProjector(12, 10, dim=16, num_heads=3)
    with pytest.raises(ValueError, match="raise the projector's `positions`"):
        _small()["qformer with positions"](torch.randn(1, 21, 12))
    with pytest.raises(ValueError, match="at least 1 token"):
        LinearProjector(12, 10, tokens=0)
    with pytest.raises(ValueError, match="known input projectors: grouping, linear, qformer"):
        resolve("input", "pooling")
    assert [resolve("input", name).__name__ for name in INPUT_PROJECTORS] == [
        "GroupingProjector",
        "LinearProjector",
        "QFormerProjector",
    ]
