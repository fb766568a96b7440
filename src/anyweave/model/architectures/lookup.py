"""Maps a spec's source to an architecture, which is read from the folder's config files.

``configs/`` holds such folders for the public parts known by id. Its ``index.json`` maps each
source to a folder, a title and the licence by its name in `licences`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from anyweave.files import read_object
from anyweave.model.architectures import licences
from anyweave.model.architectures.component import Component, parameter_count
from anyweave.model.architectures.licences import Licence
from anyweave.tensors import explained

CONFIGS = Path(__file__).parent / "configs"
NETWORKS = ("unet", "vae", "text_encoder", "vocoder")  # in a decoder's folder without an index
INDEX = "model_index.json"
WITHOUT_WEIGHTS = ("scheduler", "processor")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A frozen part without its weights: a language model or an encoder (component `model`), or a
    decoder (`unet` or `transformer`, `vae`, `scheduler`, `text_encoder`, ...).
    """

    source: str
    title: str
    components: Mapping[str, Component]
    pipeline: str | None = None
    """The diffusers class that a decoder's folder names, if any."""
    licence: Licence | None = None
    """None for folders: their files do not state it."""

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
        """Parameter count of every network, by component."""
        networks = [name for name in self.components if name not in WITHOUT_WEIGHTS]
        return {name: parameter_count(made) for name, made in self.build(only=networks).items()}


def architecture(source: str | Path) -> Architecture | None:
    """The architecture of a known public part, or of a folder from its config files; None for
    anything else.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        found = _of_folder(folder)
        for name, component in found.components.items() if found else ():
            _check(component, f"{folder} ({name})")
        return found
    return ARCHITECTURES.get(str(source))


def _of_folder(folder: Path) -> Architecture | None:
    index = read_object(folder / INDEX) if (folder / INDEX).is_file() else {}
    if index or (folder / "unet" / "config.json").is_file():
        names = [name for name in index if (folder / name / "config.json").is_file()] or NETWORKS
        found = {name: _component(folder / name) for name in names if (folder / name).is_dir()}
        found["scheduler"] = _component(folder / "scheduler", "scheduler_config.json")
    else:
        found = {"model": _component(folder)}
        if (folder / _PROCESSOR_FILE).is_file():
            found["processor"] = _component(folder, _PROCESSOR_FILE)
    components = {name: component for name, component in found.items() if component is not None}
    if len(components) < len(found):
        return None
    return Architecture(
        source=str(folder),
        title=folder.name,
        components=components,
        pipeline=index.get("_class_name"),
    )


def _component(folder: Path, file: str = "config.json") -> Component | None:
    if not (folder / file).is_file():
        return None
    config = read_object(folder / file)
    if "_class_name" in config:
        name = config["_class_name"]
        return Component(_DEEPER.get(name, f"diffusers:{name}"), config)
    if "towers" in config:
        return Component("anyweave.encoders.imagebind:ImageBind", config)
    kinds = [config.get(key) for key in ("image_processor_type", "feature_extractor_type")]
    with explained(f"the architecture of {folder}"):
        named = [*kinds, *map(str, config.get("architectures", [])[:1])]
    for name in named:
        if name is not None:
            return Component(_DEEPER.get(name, f"transformers:{name}"), config)
    return None


def _check(component: Component, where: str) -> None:
    """The class name comes from an untrusted file: it must be a network, a scheduler or a media
    processor.
    """
    with explained(f"the architecture of {where}"):
        prepares = hasattr(component.type, "get_feature_extractor_dict") or hasattr(
            component.type, "get_image_processor_dict"
        )
        noises = hasattr(component.type, "add_noise") or hasattr(component.type, "scale_noise")
        if not component.is_module and not prepares and not noises:
            raise ValueError(
                f"{where}: {component.kind} is neither a network nor a scheduler nor a processor"
            )


_PROCESSOR_FILE = "preprocessor_config.json"
# Classes that their packages do not export at the top level.
_DEEPER = {
    "LDMBertModel": "diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion:LDMBertModel",
    "AceStepConditionEncoder": "diffusers.pipelines.ace_step:AceStepConditionEncoder",
    "StableAudioProjectionModel": "diffusers.pipelines.stable_audio:StableAudioProjectionModel",
    "AudioLDM2ProjectionModel": "diffusers.pipelines.audioldm2:AudioLDM2ProjectionModel",
    "WhisperEncoder": "transformers.models.whisper.modeling_whisper:WhisperEncoder",
}


def _public() -> dict[str, Architecture]:
    index = read_object(CONFIGS / "index.json")
    made = {}
    for source, about in index.items():
        found = _of_folder(CONFIGS / about["folder"])
        assert found is not None, f"{about['folder']} has no config files that are understood"
        licence: Licence = getattr(licences, about["licence"])
        made[source] = replace(found, source=source, title=about["title"], licence=licence)
    return made


ARCHITECTURES = _public()
