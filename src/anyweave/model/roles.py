"""What trains, by role; a checkpoint has a file of weights for each."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["input_projectors", "output_projectors", "signal_rows", "lora"]
ROLES: tuple[Role, ...] = get_args(Role)


def role_file(role: Role) -> str:
    """The name of the file that holds a role's weights."""
    return f"{role}.safetensors"
