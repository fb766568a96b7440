"""A decoder on disk: the diffusers folder layout, plus `decoder.json` and
`unconditional.safetensors` of ours.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import load_file, save_file

from anyweave.messages import Modality

from .mel import MEL_CONFIG_FILE, MelConfig
from .sizes import MediaSize

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


@dataclass(frozen=True, kw_only=True)
class DecoderDefaults:
    """How a decoder is used unless a call says otherwise; saved as `decoder.json`.

    None means: what the parts' own configs say (sizes from the UNet's `sample_size`), or the value
    that the modality's public pipeline uses (guidance 7.5, 9.0 and 2.5; 16 frames at 8 frames/s).
    """

    guidance_scale: float | None = None
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    audio_length: float | None = None

    @property
    def size(self) -> MediaSize:
        """The part of the defaults that is a size."""
        return MediaSize(**{field.name: getattr(self, field.name) for field in fields(MediaSize)})


def wanted_files(files: Iterable[str], *, load_text_encoder: bool) -> list[str]:
    """Which of a hub repository's files a decoder needs: one precision, safetensors where they
    exist.
    """
    folders = ["unet", "vae", "scheduler", "tokenizer", "vocoder"]
    folders += ["text_encoder"] if load_text_encoder else []
    names = set(files)
    wanted = sorted(names & {INDEX_FILE, DEFAULTS_FILE, UNCONDITIONAL_FILE, MEL_CONFIG_FILE})
    for folder in folders:
        inside = sorted(name for name in names if name.startswith(f"{folder}/"))
        wanted += [
            name
            for name in inside
            if not name.endswith((".bin", ".safetensors", ".msgpack", ".onnx"))
        ]
        for suffix in (".safetensors", ".bin"):
            stems = ("diffusion_pytorch_model", "model", "pytorch_model")
            plain = [
                name for name in inside if name in {f"{folder}/{stem}{suffix}" for stem in stems}
            ]
            shards = [
                name
                for name in inside
                if name.endswith(suffix) and "-of-" in name and "fp16" not in name
            ]
            if plain or shards:
                wanted += plain or shards
                break
    return wanted


def locate(
    path_or_id: str | Path, *, revision: str | None = None, load_text_encoder: bool = True
) -> Path:
    """The local folder of a decoder; a hub id is downloaded into the hub's cache first.

    Raises `ValueError` for something that is neither.
    """
    path = Path(path_or_id).expanduser()
    if path.is_dir():
        return path
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    repo_id = str(path_or_id)
    try:
        files = HfApi().list_repo_files(repo_id, revision=revision)
        wanted = wanted_files(files, load_text_encoder=load_text_encoder)
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=wanted))
    except (HFValidationError, HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        try:
            return Path(snapshot_download(repo_id, revision=revision, local_files_only=True))
        except (HFValidationError, OSError):
            reason = str(error).partition("\n")[0] or "no message"
            raise ValueError(
                f"{repo_id!r} is neither a folder nor a decoder that the model hub gave us "
                f"({type(error).__name__}: {reason}); give the path of a folder in the diffusers "
                "layout (unet/, vae/, scheduler/, ...)"
            ) from error


def _class_name(folder: Path, config_file: str) -> str:
    config = folder / config_file
    if not config.is_file():
        present = (
            sorted(child.name for child in folder.parent.iterdir())
            if folder.parent.is_dir()
            else []
        )
        raise ValueError(
            f"{folder.parent} is not a decoder folder: {folder.name}/{config_file} is missing; "
            f"it holds {present}"
        )
    return str(json.loads(config.read_text(encoding="utf-8"))["_class_name"])


def read_defaults(root: Path, overrides: dict[str, Any]) -> DecoderDefaults:
    """`decoder.json` with `overrides` on top. Raises `ValueError` for unknown names."""
    file = root / DEFAULTS_FILE
    stored = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    stored = {
        name: value for name, value in stored.items() if name not in ("modality", "format_version")
    }
    known = {field.name for field in fields(DecoderDefaults)}
    if unknown := sorted((set(stored) | set(overrides)) - known):
        raise ValueError(
            f"unknown decoder settings {unknown} for {root}; known are {sorted(known)}"
        )
    return DecoderDefaults(
        **(stored | {name: value for name, value in overrides.items() if value is not None})
    )


def stored_modality(root: Path) -> str | None:
    """The modality that `decoder.json` states, if there is one."""
    file = root / DEFAULTS_FILE
    return json.loads(file.read_text(encoding="utf-8")).get("modality") if file.is_file() else None


def load_parts(
    root: Path,
    modality: Modality,
    *,
    dtype: torch.dtype,
    load_text_encoder: bool,
    subfolders: dict[str, str],
) -> dict[str, Any]:
    """The parts of `LatentDiffusion` found in `root`, by argument name."""
    from transformers import (
        AutoTokenizer,
        ClapTextModelWithProjection,
        CLIPTextModel,
        SpeechT5HifiGan,
    )

    names = {
        part: part for part in ("unet", "vae", "scheduler", "text_encoder", "tokenizer", "vocoder")
    }
    if unknown := sorted(set(subfolders) - set(names)):
        raise ValueError(f"unknown subfolders {unknown}; parts are {sorted(names)}")
    names |= subfolders
    unet_class = _class_name(root / names["unet"], "config.json")
    if unet_class not in UNETS:
        raise ValueError(f"{root}: the UNet is a {unet_class}; supported are {', '.join(UNETS)}")
    scheduler_class = _class_name(root / names["scheduler"], "scheduler_config.json")
    vae_class = _class_name(root / names["vae"], "config.json")
    if vae_class != "AutoencoderKL":
        raise ValueError(f"{root}: the VAE is a {vae_class}; supported is AutoencoderKL")
    parts: dict[str, Any] = {
        "unet": getattr(diffusers, unet_class).from_pretrained(root / names["unet"], dtype=dtype),
        "vae": diffusers.AutoencoderKL.from_pretrained(root / names["vae"], dtype=dtype),
        "scheduler": getattr(diffusers, scheduler_class).from_pretrained(root / names["scheduler"]),
    }
    if (root / names["tokenizer"]).is_dir():
        parts["tokenizer"] = AutoTokenizer.from_pretrained(root / names["tokenizer"])
    if load_text_encoder and (root / names["text_encoder"]).is_dir():
        text_class = ClapTextModelWithProjection if modality == "audio" else CLIPTextModel
        parts["text_encoder"] = text_class.from_pretrained(
            root / names["text_encoder"], dtype=dtype
        )
    if (root / names["vocoder"]).is_dir():
        parts["vocoder"] = SpeechT5HifiGan.from_pretrained(root / names["vocoder"], dtype=dtype)
    if (root / MEL_CONFIG_FILE).is_file():
        parts["mel"] = MelConfig.load(root / MEL_CONFIG_FILE)
    if (root / UNCONDITIONAL_FILE).is_file():
        parts["unconditional"] = load_file(root / UNCONDITIONAL_FILE)["unconditional"]
    return parts


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


def save_parts(
    path: str | Path,
    modality: Modality,
    parts: dict[str, Any],
    *,
    defaults: DecoderDefaults,
    mel: MelConfig | None,
    unconditional: torch.Tensor | None,
) -> None:
    """Write a decoder folder in one step: a temporary folder beside `path`, then a rename.

    Raises `ValueError` if `path` exists and is neither empty nor a decoder folder.
    """
    target = Path(path)
    if target.exists() and any(target.iterdir()) and not (target / INDEX_FILE).is_file():
        raise ValueError(f"{target} exists and is not a decoder folder; give an empty or new path")
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    fresh.mkdir(parents=True)
    try:
        for name, part in parts.items():
            part.save_pretrained(fresh / name)
        stated = {"format_version": 1, "modality": modality}
        stated |= {name: value for name, value in asdict(defaults).items() if value is not None}
        (fresh / DEFAULTS_FILE).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
        index = json.dumps(_model_index(modality, parts), indent=2)
        (fresh / INDEX_FILE).write_text(index + "\n", encoding="utf-8")
        if mel is not None:
            mel.save(fresh / MEL_CONFIG_FILE)
        if unconditional is not None:
            tensors = {"unconditional": unconditional.detach().float().cpu().contiguous()}
            save_file(tensors, fresh / UNCONDITIONAL_FILE)
        if target.exists():
            old = target.with_name(f".{target.name}.{os.getpid()}.old")
            target.rename(old)
            fresh.rename(target)
            shutil.rmtree(old)
        else:
            fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
