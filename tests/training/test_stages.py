from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from anyweave.model import NextGPT
from anyweave.model.roles import TrainedRole
from anyweave.testing.conversations import tiny_conversations
from anyweave.training.config import TrainConfig
from anyweave.training.report import read_log
from anyweave.training.stages import STAGES, set_trainable
from anyweave.training.trainer import Trainer

MakeModel = Callable[..., NextGPT]
MakeConfig = Callable[..., TrainConfig]


def _everything(model: NextGPT) -> dict[str, torch.Tensor]:
    """All weights and buffers, decoders included."""
    state = dict(model.state_dict())
    for modality, decoder in model.decoders.items():
        state |= {
            f"decoders.{modality}.{name}": value for name, value in decoder.state_dict().items()
        }
    return {name: value.clone() for name, value in state.items()}


def _identities(model: NextGPT, role: TrainedRole) -> set[int]:
    return {id(parameter) for parameter in model.parameters_of(role).values()}


PAPER = [name for name in STAGES if name != "decoder_tuning"]


@pytest.mark.parametrize("stage", PAPER)
def test_a_stage_changes_exactly_its_roles_and_learns(
    stage: str, new_model: MakeModel, config: MakeConfig
) -> None:
    model = new_model()
    before = _everything(model)
    Trainer(model, config(stage, steps=5), tiny_conversations()).train()
    after = _everything(model)
    trained = set().union(*(_identities(model, role) for role in STAGES[stage].trainable))
    names = {
        name
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if id(parameter) in trained
    }
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == names
    assert {id(p) for p in model.parameters() if p.requires_grad} == trained


# Five steps from seed 0. If a change of the code moves these, it changed training; say so in the
# changelog.
GOLDEN: dict[str, list[float]] = {
    "encoding_alignment": [6.13057, 6.64740, 6.73612, 5.76282, 5.80627],
    "decoding_alignment": [6.13057, 6.65977, 9.52672, 10.71720, 8.78616],
    "instruction_tuning": [6.13057, 6.59202, 9.51881, 10.75130, 8.80812],
}


@pytest.mark.parametrize("stage", PAPER)
def test_golden_losses(stage: str, plain_model: Callable[[], NextGPT], config: MakeConfig) -> None:
    run = config(stage)
    Trainer(plain_model(), run, tiny_conversations()).train()
    found = [sum(record["losses"].values()) for record in read_log(f"{run.output_dir}/log.jsonl")]
    assert found == pytest.approx(GOLDEN[stage], rel=1e-3)


def test_a_role_without_parameters_is_refused(new_model: MakeModel) -> None:
    with pytest.raises(
        ValueError, match="nothing to train for role 'lora'.*it has input_projectors"
    ):
        set_trainable(new_model(lora=None), ["lora"])


def test_set_trainable_freezes_the_rest(new_model: MakeModel) -> None:
    model = new_model()
    set_trainable(model, STAGES["instruction_tuning"].trainable)
    set_trainable(model, ["signal_rows"])
    assert {id(p) for p in model.parameters() if p.requires_grad} == _identities(
        model, "signal_rows"
    )
