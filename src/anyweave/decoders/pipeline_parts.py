"""The parts of a diffusers pipeline on disk, as `model_index.json` names them. Networks load on
first use.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import diffusers
import transformers
from torch import nn

from anyweave.decoders.families import FAMILIES, Family
from anyweave.decoders.folder import INDEX_FILE, PartOptions, deferred_network
from anyweave.decoders.parts import Deferred
from anyweave.decoders.source import CAPTIONING, DecoderSource
from anyweave.files import read_object

# Parts that only unused features need.
_UNUSED = ("image_encoder", "feature_extractor", "audio_token", "safety_checker")


@dataclass(frozen=True, kw_only=True)
class PipelineParts:
    """`networks` and `small` (schedulers, tokenizers) by component name; None if the folder lacks
    one. `options` are the pipeline's other arguments.
    """

    networks: dict[str, nn.Module | Deferred | None]
    small: dict[str, Callable[[], Any] | None]
    options: dict[str, Any] = field(default_factory=dict)


def named_family(source: DecoderSource) -> Family | None:
    """The family that a decoder's `model_index.json` names; None without an index, or for another
    class with a UNet. Raises `ValueError` for any other pipeline, naming the known ones.
    """
    file = source.file(INDEX_FILE)
    index = {} if file is None else read_object(file)
    name = str(index.get("_class_name"))
    if name not in FAMILIES and index and "unet" not in index:
        raise ValueError(
            f"{source.where} is a {name}, which is no decoder here; known: {', '.join(FAMILIES)}"
        )
    return FAMILIES.get(name)


def is_captioning(name: str) -> bool:
    """Whether a component only embeds captions."""
    return name.startswith(CAPTIONING)


def read_parts(source: DecoderSource, family: Family, how: PartOptions) -> PipelineParts:
    """The parts of a pipeline's folder; only configs are read now.

    Raises `ValueError` for a missing part, or a class found in neither diffusers nor transformers.
    """
    file = source.file(INDEX_FILE, required=True)
    assert file is not None
    index = read_object(file)
    networks: dict[str, nn.Module | Deferred | None] = {}
    small: dict[str, Callable[[], Any] | None] = {}
    options: dict[str, Any] = {}
    taken = inspect.signature(family.type.__init__).parameters
    for name in taken:
        named = index.get(name)
        if name.startswith(_UNUSED):
            networks[name] = None
        elif isinstance(named, list) and len(named) == 2 and None not in named:
            kind = _class(source, name, *named)
            if not how.text_encoder and is_captioning(name):
                networks[name] = None
            elif issubclass(kind, nn.Module):
                modes = how.vae_modes if name == "vae" else ()
                networks[name] = deferred_network(source, name, kind, how.dtype, modes)
            else:
                small[name] = _reader(source, name, kind)
        elif taken[name].default is inspect.Parameter.empty and name != "self":
            networks[name] = None
        elif name in index and not isinstance(named, list):
            options[name] = named
    return PipelineParts(networks=networks, small=small, options=options)


def _class(source: DecoderSource, part: str, library: str, name: str) -> Any:
    """The class of a part. The names come from a file, so only two packages are searched."""
    places = {"diffusers": diffusers, "transformers": transformers}
    home = places.get(library)
    if home is None and library in dir(diffusers.pipelines):
        home = import_module(f"diffusers.pipelines.{library}")
    kind = getattr(home, name, None)
    if not isinstance(kind, type) or not hasattr(kind, "from_pretrained"):
        raise ValueError(
            f"{source.where}: its {part} is a {name!r} of {library!r}, which is no part that "
            "diffusers or transformers offers"
        )
    return kind


def _reader(source: DecoderSource, part: str, kind: Any) -> Callable[[], Any]:
    if issubclass(kind, transformers.PreTrainedTokenizerBase):
        return lambda: source.read_small(transformers.AutoTokenizer, part, trust_remote_code=False)
    return lambda: source.read_small(kind, part)
