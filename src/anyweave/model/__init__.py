"""What a model is made of, how it is built, and how it is written to disk."""

from anyweave.model.any_to_any import NextGPT
from anyweave.model.catalogue import SPECS, named_spec
from anyweave.model.roles import ROLES, TrainedRole
from anyweave.model.spec import (
    DecoderSpec,
    EncoderSpec,
    LanguageSpec,
    LoraSpec,
    ModelSpec,
    ProjectorSpec,
)

__all__ = [
    "ROLES",
    "SPECS",
    "DecoderSpec",
    "EncoderSpec",
    "LanguageSpec",
    "LoraSpec",
    "ModelSpec",
    "NextGPT",
    "ProjectorSpec",
    "TrainedRole",
    "named_spec",
]
