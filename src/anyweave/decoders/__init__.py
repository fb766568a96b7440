"""Frozen latent diffusion decoders: conditioning -> media, and captions -> the conditioning to aim
at.

`DECODERS` names what a spec may ask for; third parties add names through the entry point group
``anyweave.decoders``. Nothing heavy is imported until a name is resolved.
"""

from __future__ import annotations

from typing import Any

from anyweave import errors
from anyweave.modalities import brought

DECODERS: dict[str, str] = {
    "latent_diffusion": "anyweave.decoders.latent_diffusion:LatentDiffusion",
    "pipeline": "anyweave.decoders.pipeline_decoder:PipelineDecoder",
}
ENTRY_POINTS = "anyweave.decoders"


def resolve(name: str) -> Any:
    """The decoder class called `name`. Raises `ValueError` for an unknown name, naming the known
    ones.
    """
    return errors.resolve(
        name, {**brought("decoder"), **DECODERS}, what="decoder", group=ENTRY_POINTS
    )
