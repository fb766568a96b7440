"""The paper's three training stages as values, and the one function that sets what trains.

A stage names the roles that train and the weight of every loss; data, steps and rates are up to the
recipe. Paper sections 4.1 (stage 1), 4.2 (stage 2), 5.1 and C.2 (stage 3).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from torch import nn

from anyweave.errors import nearest
from anyweave.model.roles import ROLES, TrainedRole

if TYPE_CHECKING:
    from anyweave.model.any_to_any import NextGPT

logger = logging.getLogger(__name__)

Loss = Literal["lm", "alignment", "contrast", "recall", "denoising"]
LOSSES: tuple[Loss, ...] = get_args(Loss)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What trains and on which losses. `losses` maps a loss to its weight; an absent loss is never
    computed.

    Raises `ValueError` for an unknown role or loss, an empty selection or a negative weight.
    """

    name: str
    trainable: tuple[TrainedRole, ...]
    losses: Mapping[Loss, float] = field(default_factory=lambda: {"lm": 1.0})

    def __post_init__(self) -> None:
        for what, given, known in (
            ("role", self.trainable, ROLES),
            ("loss", tuple(self.losses), LOSSES),
        ):
            if not given:
                raise ValueError(
                    f"stage {self.name!r} names no {what}; there are {', '.join(known)}"
                )
            for value in given:
                if value not in known:
                    hint = nearest(value, known)
                    raise ValueError(f"stage {self.name!r}: unknown {what} {value!r}; {hint}")
        for loss, weight in self.losses.items():
            if weight < 0:
                raise ValueError(
                    f"stage {self.name!r}: loss {loss!r} has weight {weight}; give 0 or more"
                )


ENCODING_ALIGNMENT = Stage(
    name="encoding_alignment", trainable=("input_projectors",), losses={"lm": 1.0}
)
"""Stage 1: describe the medium; only the input projectors learn."""

DECODING_ALIGNMENT = Stage(
    name="decoding_alignment",
    trainable=("output_projectors", "signal_rows"),
    losses={"lm": 1.0, "alignment": 1.0, "denoising": 1.0},
)
"""Stage 2: produce the signal tokens and condition the decoders.

The paper lists only the output projectors as learnable here, yet also trains "the negative
log-likelihood of producing signal tokens", a loss that needs trainable rows. Here only the new rows
train; the base vocabulary stays frozen.
"""

INSTRUCTION_TUNING = Stage(
    name="instruction_tuning",
    trainable=tuple(role for role in ROLES if role != "decoder_lora"),
    losses={"lm": 1.0, "alignment": 1.0, "denoising": 1.0},
)
"""Stage 3: follow instructions; adapters and everything of stages 1 and 2 train together. Decoders
stay frozen.
"""

DECODER_TUNING = Stage(
    name="decoder_tuning", trainable=("decoder_lora",), losses={"denoising": 1.0}
)
"""Not in the paper, whose decoders are frozen: adapters in the denoisers learn to show what the
decoders cannot. With the caption bridge the language model does not even run.
"""

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (ENCODING_ALIGNMENT, DECODING_ALIGNMENT, INSTRUCTION_TUNING, DECODER_TUNING)
}


def by_caption(model: NextGPT, stage: Stage) -> bool:
    """Whether the denoising loss conditions decoders on their own caption embeddings, as replies do
    with the caption bridge, rather than on the output projectors' output.
    """
    return "decoder_lora" in stage.trainable and model.spec.bridge == "caption"


def needs_language(model: NextGPT, stage: Stage) -> bool:
    """Whether a loss of the stage needs the language model's output."""
    counted = {loss for loss, weight in stage.losses.items() if weight > 0}
    return not (by_caption(model, stage) and counted == {"denoising"})


def set_trainable(
    model: NextGPT,
    roles: Sequence[TrainedRole],
    learning_rates: Mapping[TrainedRole, float] | None = None,
) -> dict[str, dict[str, nn.Parameter]]:
    """Make exactly `roles` trainable, everything else frozen, and return their parameters by role
    and name.

    Nothing else unfreezes parts; they are frozen on loading. Logs parameters and learning rate per
    role. Raises `ValueError` for a role without parameters in this model: a stage that trains
    nothing is a mistake.
    """
    model.requires_grad_(False)
    for parameter in model.parameters_of("decoder_lora").values():  # outside the module tree
        parameter.requires_grad_(False)
    selected: dict[str, dict[str, nn.Parameter]] = {}
    total = sum(parameter.numel() for parameter in model.parameters())
    for role in roles:
        parameters = model.parameters_of(role)
        if not parameters:
            present = [name for name in ROLES if model.parameters_of(name)]
            raise ValueError(
                f"nothing to train for role {role!r}: this model has no such parameters; it has "
                f"{', '.join(present) or 'none of the roles'}. Add the part to the model's spec "
                f"or leave the role out"
            )
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        selected[role] = parameters
        count = sum(parameter.numel() for parameter in parameters.values())
        rate = "" if learning_rates is None else f", learning rate {learning_rates[role]:g}"
        logger.info(
            "training %s: %s parameters (%.2f%%)%s", role, f"{count:,}", 100 * count / total, rate
        )
    return selected
