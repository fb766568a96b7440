"""What the public frozen parts look like, without their weights: classes and configurations as
data.

`architecture(source)` answers for a hub id that this library knows and for any local folder.
`Architecture.build` makes the real modules with random weights, on the meta device unless told
otherwise: enough to count, to measure speed, and to check shapes.

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
