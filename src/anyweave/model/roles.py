"""What trains, by role; a checkpoint has a file of weights for each."""

from __future__ import annotations

from typing import Literal, get_args

TrainedRole = Literal["input_projectors", "output_projectors", "signal_rows", "lora"]
ROLES: tuple[TrainedRole, ...] = get_args(TrainedRole)


def role_file(role: TrainedRole) -> str:
    """The name of the file that holds a role's weights."""
    return f"{role}.safetensors"
