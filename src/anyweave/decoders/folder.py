"""A decoder on disk: the diffusers folder layout, plus our own `decoder.json` and
`unconditional.safetensors`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.configuration_utils import FrozenDict
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel, SpeechT5HifiGan

from anyweave.decoders.codecs.mel import MEL_CONFIG_FILE, MelConfig
from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.decoders.parts import Deferred
from anyweave.decoders.source import DecoderSource
from anyweave.decoders.unconditional import RememberedUnconditional
from anyweave.files import read_object, replaced_folder, write_json
from anyweave.messages import Modality
from anyweave.tensors import load_tensors, save_tensors

DEFAULTS_FILE = "decoder.json"
UNCONDITIONAL_FILE = "unconditional.safetensors"
INDEX_FILE = "model_index.json"
GUIDANCE: dict[Modality, float] = {"image": 7.5, "video": 9.0, "audio": 2.5}
PIPELINES: dict[Modality, str] = {
    "image": "StableDiffusionPipeline",
    "video": "TextToVideoSDPipeline",
    "audio": "AudioLDMPipeline",
}
UNETS = ("UNet2DConditionModel", "UNet3DConditionModel")
VAES = ("AutoencoderKL", "AutoencoderDC")
# By the model_type in a text encoder's config.
TEXT_ENCODERS: dict[str, str] = {
    "clip_text_model": "transformers:CLIPTextModel",
    "clap_text_model": "transformers:ClapTextModelWithProjection",
    "ldmbert": "diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion:LDMBertModel",
}
# Sampling defaults for a folder without `decoder.json`, as others publish them.
PUBLIC_DEFAULTS = {"scheduler": "dpm++", "num_inference_steps": 20}


@dataclass(frozen=True, kw_only=True)
class DecoderDefaults:
    """How a decoder is used unless a call says otherwise; saved as `decoder.json`.

    None means what the parts' own configs say (sizes from the UNet's `sample_size`), or the value
    that the modality's public pipeline uses (guidance 7.5, 9.0 and 2.5; 16 frames at 8 frames/s).
    `scheduler` None is the class in the folder's ``scheduler/``; `num_inference_steps` None is 20.
    """

    guidance_scale: float | None = None
    num_inference_steps: int | None = None
    scheduler: str | None = None
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    audio_length: float | None = None

    @property
    def size(self) -> MediaSize:
        """The size fields of the defaults."""
        return MediaSize(**{field.name: getattr(self, field.name) for field in fields(MediaSize)})


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """How a decoder's networks are read: their dtype, whether the text encoders are, and modes of
    the VAE ("slicing", "tiling").
    """

    dtype: torch.dtype
    text_encoder: bool
    vae_modes: Sequence[str]


def read_dtype(dtype: torch.dtype | str | None) -> torch.dtype:
    """A dtype, given itself or by name ("float16"); None is float32. Raises `ValueError` for an
    unknown name.
    """
    if isinstance(dtype, torch.dtype):
        return dtype
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if (dtype or "float32") not in known:
        raise ValueError(f"dtype {dtype!r} is not one of {', '.join(known)}")
    return known[dtype or "float32"]


def read_defaults(
    source: DecoderSource,
    modality: Modality,
    overrides: dict[str, Any],
    *,
    public: Mapping[str, Any] = PUBLIC_DEFAULTS,
) -> DecoderDefaults:
    """`decoder.json`, or `public` if there is none, with `overrides` on top.

    Raises `ValueError` for unknown names and for a decoder of another modality.
    """
    file = source.file(DEFAULTS_FILE)
    stored = read_object(file) if file is not None else dict(public)
    if file is None and _flows(source):  # the public schedulers are of diffusion
        stored.pop("scheduler", None)
    if (stated := stored.get("modality", modality)) != modality:
        raise ValueError(f"{source.where} holds a decoder of {stated}, not of {modality}")
    stored = {k: v for k, v in stored.items() if k not in ("modality", "format_version")}
    known = {field.name for field in fields(DecoderDefaults)}
    if unknown := sorted((set(stored) | set(overrides)) - known):
        raise ValueError(
            f"unknown decoder settings {unknown} for {source.where}; known are {sorted(known)}"
        )
    return DecoderDefaults(
        **(stored | {name: value for name, value in overrides.items() if value is not None})
    )


def _flows(source: DecoderSource) -> bool:
    """Whether the folder's scheduler is one of flow matching, which samples by itself alone."""
    config = source.file("scheduler/scheduler_config.json")
    # Read as text: diffusers writes infinities, which are no JSON.
    return config is not None and '"beta_schedule"' not in config.read_text("utf-8", "replace")


def load_parts(source: DecoderSource, modality: Modality, options: PartOptions) -> dict[str, Any]:
    """The parts of `LatentDiffusion` that `source` has, by argument name; networks are `Deferred`.

    Raises `ValueError` for missing parts and for unsupported networks.
    """
    dtype = options.dtype
    parts: dict[str, Any] = {
        "unet": _diffusers_network(source, "unet", UNETS, dtype),
        "vae": _diffusers_network(source, "vae", VAES, dtype, options.vae_modes),
        "scheduler": source.read_small(_scheduler_class(source), "scheduler"),
    }
    if source.has("tokenizer", "tokenizer_config.json"):
        parts["tokenizer"] = source.read_small(AutoTokenizer, "tokenizer", trust_remote_code=False)
    if options.text_encoder and source.has("text_encoder"):
        kind = _text_encoder_class(source)
        parts["text_encoder"] = deferred_network(source, "text_encoder", kind, dtype)
    if modality == "audio" and source.has("vocoder"):
        parts["vocoder"] = deferred_network(source, "vocoder", SpeechT5HifiGan, dtype)
    if (mel := source.file(MEL_CONFIG_FILE)) is not None:
        parts["mel"] = MelConfig.load(mel)
    if (stored := source.file(UNCONDITIONAL_FILE)) is not None:
        parts["unconditional"] = read_unconditional(stored)
    elif source.has("text_encoder"):
        parts["remembered"] = RememberedUnconditional(source, dtype)
    return parts


def read_unconditional(file: Path) -> torch.Tensor:
    """The one tensor in the file. Raises `ValueError` for any other content."""
    stored = load_tensors(file)
    if set(stored) != {"unconditional"}:
        raise ValueError(f"{file} holds {sorted(stored)[:4]}, expected one tensor 'unconditional'")
    return stored["unconditional"]


def _scheduler_class(source: DecoderSource) -> Any:
    name = source.config("scheduler", "scheduler_config.json").get("_class_name")
    kind = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise ValueError(f"{source.where}: its scheduler is a {name!r}, which diffusers has not")
    return kind


def _diffusers_network(
    source: DecoderSource,
    part: str,
    supported: tuple[str, ...],
    dtype: torch.dtype,
    modes: Sequence[str] = (),
) -> Deferred:
    name = source.config(part).get("_class_name")
    if name not in supported:
        raise ValueError(
            f"{source.where}: the {part} is a {name}; supported: {', '.join(supported)}"
        )
    return deferred_network(source, part, getattr(diffusers, name), dtype, modes)


def deferred_network(
    source: DecoderSource, part: str, kind: Any, dtype: torch.dtype, modes: Sequence[str] = ()
) -> Deferred:
    """A network of diffusers or transformers whose weights are read on first use, with `modes`
    enabled. Only its config is read now.
    """
    if issubclass(kind, PreTrainedModel):
        config: Any = source.read_small(kind.config_class, part)
    else:
        # Configs of older releases lack newer arguments: these take their defaults.
        arguments = inspect.signature(kind.__init__).parameters.values()
        known = {a.name: a.default for a in arguments if a.default is not a.empty}
        config = FrozenDict(known | source.config(part))

    def load() -> nn.Module:
        network: Any = source.read(kind, part, dtype=dtype)
        for mode in modes:
            getattr(network, f"enable_{mode}")()
        return network

    return Deferred(config, load)


def _text_encoder_class(source: DecoderSource) -> Any:
    model_type = source.config("text_encoder").get("model_type")
    if model_type not in TEXT_ENCODERS:
        raise ValueError(
            f"{source.where}: the text_encoder is a {model_type}; supported: "
            f"{', '.join(TEXT_ENCODERS)}"
        )
    module, _, name = TEXT_ENCODERS[model_type].partition(":")
    return getattr(import_module(module), name)


def _model_index(modality: Modality, parts: dict[str, Any]) -> dict[str, Any]:
    """What `diffusers` needs to open the folder as a pipeline of its own."""
    index: dict[str, Any] = {
        "_class_name": PIPELINES[modality],
        "_diffusers_version": diffusers.__version__,
    }
    for name, part in parts.items():
        index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    if modality == "image":
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
        index["requires_safety_checker"] = False
    return index


def forget_origin(folder: Path) -> None:
    """Remove from the configs below `folder` the path their part was read from: it belongs to this
    machine.
    """
    for file in folder.rglob("config.json"):
        config = read_object(file)
        if config.pop("_name_or_path", None) is not None:
            write_json(file, config)


def save_parts(
    path: str | Path,
    modality: Modality,
    parts: dict[str, Any],
    *,
    defaults: DecoderDefaults,
    mel: MelConfig | None,
    unconditional: torch.Tensor | None,
) -> None:
    """Write a decoder folder, whole or not at all, replacing an earlier one.

    Raises `ValueError` if `path` exists and is neither empty nor a decoder folder.
    """
    target = Path(path)
    if target.exists() and any(target.iterdir()) and not (target / INDEX_FILE).is_file():
        raise ValueError(f"{target} exists and is not a decoder folder; give an empty or new path")
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(target) as fresh:
        for name, part in parts.items():
            part.save_pretrained(fresh / name)
        forget_origin(fresh)
        stated = {"format_version": 1, "modality": modality}
        stated |= {name: value for name, value in asdict(defaults).items() if value is not None}
        write_json(fresh / DEFAULTS_FILE, stated)
        write_json(fresh / INDEX_FILE, _model_index(modality, parts))
        if mel is not None:
            mel.save(fresh / MEL_CONFIG_FILE)
        if unconditional is not None:
            save_tensors({"unconditional": unconditional.float()}, fresh / UNCONDITIONAL_FILE)
