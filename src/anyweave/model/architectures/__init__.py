"""Architectures of the public frozen parts, without their weights: classes and configurations as
data.

`architecture(source)` handles any local folder and the hub ids that this library knows.
`Architecture.build` makes the real modules with random weights, by default on the meta device:
enough to count parameters, measure speed and check shapes.

    >>> from anyweave.model.architectures import architecture
    >>> sd = architecture("stable-diffusion-v1-5/stable-diffusion-v1-5")
    >>> sd.parameters["unet"]
    859520964
    >>> unet = sd.build(only=["unet"], device="cuda", dtype=torch.bfloat16)["unet"]
"""

from anyweave.model.architectures.component import Component, parameter_count
from anyweave.model.architectures.lookup import ARCHITECTURES, Architecture, architecture
from anyweave.model.architectures.parts import (
    build_decoder,
    build_encoder,
    build_language_model,
)

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Component",
    "architecture",
    "build_decoder",
    "build_encoder",
    "build_language_model",
    "parameter_count",
]
