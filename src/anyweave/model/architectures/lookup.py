"""From a source, as a spec names it, to an architecture: the public ones by id, folders by their
configs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from anyweave.files import read_object
from anyweave.model.architectures.component import Component, parameter_count
from anyweave.model.architectures.decoders import DECODERS
from anyweave.model.architectures.encoders import ENCODERS
from anyweave.model.architectures.language_models import LANGUAGE_MODELS
from anyweave.model.architectures.licences import Licence
from anyweave.tensors import explained

NETWORKS = ("unet", "vae", "text_encoder", "vocoder")  # of a decoder's folder
WITHOUT_WEIGHTS = ("scheduler", "processor")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A frozen part without its weights: a language model or an encoder (component `model`), or a
    decoder (`unet`, `vae`, `scheduler`, `text_encoder`, `vocoder`).
    """

    source: str
    title: str
    components: Mapping[str, Component]
    licence: Licence | None = None
    """None for folders: their files do not tell."""

    def build(
        self,
        *,
        device: torch.device | str = "meta",
        dtype: torch.dtype = torch.float32,
        only: Iterable[str] | None = None,
    ) -> dict[str, Any]:
        """The components by name, or those named in `only`, as real frozen modules with random
        weights; see `Component.build`.
        """
        names = list(self.components if only is None else only)
        with explained(f"the architecture of {self.source}"):
            return {name: self.components[name].build(device=device, dtype=dtype) for name in names}

    @cached_property
    def parameters(self) -> dict[str, int]:
        """Parameters of every network, by component."""
        networks = [name for name in self.components if name not in WITHOUT_WEIGHTS]
        return {name: parameter_count(made) for name, made in self.build(only=networks).items()}


ARCHITECTURES: dict[str, Architecture] = {
    source: Architecture(
        source=source, title=title, components={"model": component}, licence=licence
    )
    for source, (title, component, licence) in LANGUAGE_MODELS.items()
} | {
    source: Architecture(source=source, title=title, components=components, licence=licence)
    for source, (title, components, licence) in (ENCODERS | DECODERS).items()
}


def architecture(source: str | Path) -> Architecture | None:
    """The architecture of a known public part, or of a folder by its config files; None for what is
    neither.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return _of_folder(folder)
    return ARCHITECTURES.get(str(source))


def _of_folder(folder: Path) -> Architecture | None:
    if (folder / "unet" / "config.json").is_file():
        found = {name: _component(folder / name) for name in NETWORKS if (folder / name).is_dir()}
        found["scheduler"] = _component(folder / "scheduler", "scheduler_config.json")
    else:
        found = {"model": _component(folder)}
    components = {name: component for name, component in found.items() if component is not None}
    if len(components) < len(found):
        return None
    return Architecture(source=str(folder), title=folder.name, components=components)


def _component(folder: Path, file: str = "config.json") -> Component | None:
    if not (folder / file).is_file():
        return None
    config = read_object(folder / file)
    if "_class_name" in config:
        return _checked(Component(f"diffusers:{config['_class_name']}", config), folder)
    if "towers" in config:
        return Component("anyweave.encoders.imagebind:ImageBind", config)
    if config.get("architectures"):
        with explained(f"the architecture of {folder}"):
            name = str(config["architectures"][0])
        kind = _OUTSIDE_TRANSFORMERS.get(name, f"transformers:{name}")
        return _checked(Component(kind, config), folder)
    return None


def _checked(component: Component, folder: Path) -> Component:
    """The class is named by a file from anywhere: it must be a network, or a scheduler."""
    with explained(f"the architecture of {folder}"):
        if not component.is_module and not hasattr(component.type, "add_noise"):
            raise ValueError(f"{folder}: {component.kind} is neither a network nor a scheduler")
    return component


_OUTSIDE_TRANSFORMERS = {
    "LDMBertModel": "diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion:LDMBertModel"
}
