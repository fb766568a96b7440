"""Which class opens a decoder: the one named by a spec or by the folder's `model_index.json`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyweave import decoders
from anyweave.decoders.source import DecoderSource
from anyweave.messages import Modality


def open_decoder(
    kind: str,
    modality: Modality,
    where: str | Path,
    options: Mapping[str, Any],
    hub: Mapping[str, Any],
) -> Any:
    """The decoder of type `kind`. A folder or repository that names a supported pipeline is opened
    as that pipeline. `hub` options that the decoder does not take are ignored.
    """
    if kind == "latent_diffusion":
        from anyweave.decoders.pipeline_parts import named_family  # heavy

        names = ("revision", "cache_dir", "token", "local_files_only")
        given = {name: value for name, value in {**hub, **options}.items() if name in names}
        if named_family(DecoderSource(where=str(where), **given)) is not None:
            kind = "pipeline"
    opened: Any = decoders.resolve(kind)
    taken = inspect.signature(opened.from_pretrained).parameters
    known = {name: value for name, value in hub.items() if name in taken}
    return opened.from_pretrained(modality, where, **{**known, **options})
