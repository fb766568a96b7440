"""What trains, by role. A checkpoint has one weights file per role; `decoder_lora` has one per
decoder.
"""

from __future__ import annotations

from typing import Literal, get_args

from anyweave.messages import MEDIA_MODALITIES, Modality

TrainedRole = Literal[
    "input_projectors", "output_projectors", "signal_rows", "lora", "decoder_lora"
]
ROLES: tuple[TrainedRole, ...] = get_args(TrainedRole)


def adapters_file(modality: Modality) -> str:
    """The file of one decoder's adapters, in diffusers' format."""
    return f"decoder_lora.{modality}.safetensors"


def role_file(role: TrainedRole) -> str:
    """The name of the file that holds a role's weights."""
    return f"{role}.safetensors"


def role_files() -> tuple[str, ...]:
    """All weights files that a checkpoint may have."""
    whole = (role_file(role) for role in ROLES if role != "decoder_lora")
    return (*whole, *map(adapters_file, MEDIA_MODALITIES))
