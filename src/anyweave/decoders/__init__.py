"""Frozen latent diffusion decoders: conditioning -> media, and captions -> target conditioning.

`DECODERS` lists the names a spec may use; third parties add names through the entry point group
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
    """The decoder class called `name`. Raises `ValueError` listing the known names."""
    return errors.resolve(
        name, {**brought("decoder"), **DECODERS}, what="decoder", group=ENTRY_POINTS
    )
