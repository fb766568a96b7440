"""Checkpoints on disk: trained weights by role, as safetensors, and the spec that names the rest.

    spec.json                        the ModelSpec; frozen parts by source, revision and hash
    input_projectors.safetensors     output_projectors.safetensors
    signal_rows.safetensors          lora.safetensors
    decoder_lora.image.safetensors   optional: adapters of a decoder, as diffusers loads them
    processor.json                   ids and lengths that must match when the model is rebuilt
    sha256.json                      the hash of every file, checked on loading
    encoders/ decoders/              optional: frozen parts that travel with the checkpoint

Never pickle. Writes are atomic: whenever the writer is killed, the checkpoint is either the old one
or the new one. Loading is strict per role.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from torch import Tensor

from anyweave.files import drop, read_object, replaced_folder, settle, write_json
from anyweave.garbage import searched_later
from anyweave.messages import Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.model.build import Reading, build, decoder_pool, placed, resolve_source
from anyweave.model.catalogue import SPECS, is_spec_name, named_spec
from anyweave.model.decoder_adapters import add_adapters, read_adapters
from anyweave.model.decoder_pool import DecoderPool
from anyweave.model.hashing import check_hashes, checkable, folder_sha256, write_hashes
from anyweave.model.roles import ROLES, TrainedRole, adapters_file, role_file, role_files
from anyweave.model.sources import EMBEDDED, WEIGHTS, local_copy
from anyweave.model.spec import DTYPES, Bridge, DecoderLoraSpec, DecoderSpec, EncoderSpec, ModelSpec
from anyweave.model.swapping import with_decoders
from anyweave.processing import Processor
from anyweave.tensors import load_tensors, save_tensors

logger = logging.getLogger(__name__)

SPEC_FILE = "spec.json"
PROCESSOR_FILE = "processor.json"


@searched_later()
def load_pretrained(
    path_or_id: str | Path,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    decoders: Mapping[Modality, str | Path | DecoderSpec] | None = None,
    bridge: Bridge | None = None,
    decoder_lora: Mapping[Modality, DecoderLoraSpec | Mapping[str, Any]] | None = None,
    quantization: str | None = None,
    lazy_encoders: bool | None = None,
    verify: bool = True,
    trust_remote_code: bool = False,
) -> NextGPT:
    """Load a trained model by embedded name, folder or hub id; or, by a name of `catalogue.SPECS`,
    frozen parts with randomly initialised trainable ones. Decoders are read on first use.

    Args:
        device: where to put it; None is the CPU.
        dtype: of the frozen parts: `torch.bfloat16` or its name, "bfloat16", and likewise float32
            and float16. None takes the checkpoint's.
        revision: of a hub id.
        token: for the hub, also for the frozen parts; None is the one that ``hf auth login``
            stored.
        cache_dir: for the hub, likewise.
        decoders: replacements by modality, each a folder, a hub id or a `DecoderSpec`. Their sizes
            are detected; their output projectors are new (see `swapping`).
        bridge: what conditions the decoders, "signal" or "caption"; None takes the spec's.
        decoder_lora: new adapters for decoders that have none, by modality:
            ``{"image": {"r": 16}}`` (see `DecoderLoraSpec`). They have no effect until a stage
            trains `decoder_lora`.
        quantization: "nf4" keeps the language model in 4 bits (QLoRA).
        lazy_encoders: read an encoder on first use. None: only if its folder's hash has just been
            verified.
        verify: refuse files changed since they were written (``sha256.json``), and frozen parts
            whose hash differs from the spec's.
        trust_remote_code: let frozen parts that need Python code of their own (``auto_map``) run
            it. Without it such a part is an error: nothing prompts, nothing runs.

    Raises:
        ValueError: nothing was found, a file is damaged, a frozen part is a different one, or a
            role's weights do not fit.
    """
    dtype = _dtype_name(dtype)
    hub: dict[str, Any] = {"token": token, "cache_dir": cache_dir}
    hub = {name: value for name, value in hub.items() if value is not None}
    folder, spec = _found(path_or_id, revision=revision, verify=verify, **hub)
    if bridge is not None:
        spec = replace(spec, bridge=bridge)
    model = build(
        spec,
        root=folder,
        dtype=dtype,
        verify=verify,
        lazy_encoders=lazy_encoders,
        blank=folder is not None,
        quantization=quantization,
        trust_remote_code=trust_remote_code,
        hub=hub,
    )
    if folder is None and spec.calls == "signals":
        logger.warning(
            "%s starts untrained: its projectors, signal rows and adapters are new", path_or_id
        )
    elif folder is not None:
        _check_processor(model, folder)
        for role in ROLES:
            load_role(model, role, folder)
    if decoder_lora:
        add_adapters(model, decoder_lora)
    if decoders:
        model = with_decoders(model, decoders, Reading(dtype=dtype, verify=verify, hub=hub))
    return placed(model, device)


def load_decoders(path_or_id: str | Path) -> DecoderPool:
    """A model's decoders alone, each read on first use. Raises as `load_pretrained` does."""
    folder, spec = _found(path_or_id)
    pool = decoder_pool(spec, Reading(root=folder))
    if folder is not None:
        read_adapters(pool.adapters, folder)
    return pool


def _found(
    path_or_id: str | Path, *, revision: str | None = None, verify: bool = True, **hub: Any
) -> tuple[Path | None, ModelSpec]:
    """The checkpoint's folder (None for a named spec) and the spec."""
    if is_spec_name(path_or_id):
        return None, named_spec(str(path_or_id))
    folder = find_checkpoint(path_or_id, revision=revision, **hub)
    if verify:
        check_hashes(folder, _own())
    return folder, read_spec(folder)


def save_pretrained(
    model: NextGPT,
    folder: str | Path,
    *,
    dtype: torch.dtype | str | None = None,
    include_frozen: bool = False,
) -> Path:
    """Write the trained weights, and the spec with the frozen parts' hashes.

    Args:
        folder: a new or empty folder, or an earlier checkpoint, whose other files stay.
        dtype: "float16" or "bfloat16", or the type itself, halves the file sizes; None keeps the
            weights' own.
        include_frozen: copy local encoders and decoders into the checkpoint, to make it portable.

    Raises:
        ValueError: `folder` holds something that is not a checkpoint.
    """
    folder = Path(folder)
    check_target(folder)
    dtype = _dtype_name(dtype)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(folder, keep=True) as fresh:
        spec = _portable_spec(model, folder, fresh, include_frozen)
        for role in ROLES:
            for name, tensors in _role_files(model, role).items():
                kept = {"format": "pt", "role": role}
                save_tensors(_as_type(tensors, dtype), fresh / name, kept)
        write_json(fresh / SPEC_FILE, spec.to_dict())
        write_json(fresh / PROCESSOR_FILE, processor_facts(model.processor))
        write_hashes(fresh, _checked_files(spec, folder, fresh))
        drop(fresh, [name for name in _own() if not (fresh / name).exists()])
    return folder


def check_target(folder: Path) -> None:
    """Raise `ValueError` if `folder` holds something that is not a checkpoint."""
    settle(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; choose another folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / SPEC_FILE).is_file():
        raise ValueError(
            f"{folder} exists and holds no {SPEC_FILE}: not overwriting it; choose another folder"
        )


def find_checkpoint(
    source: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """The local folder of a checkpoint; a hub id is downloaded."""
    if str(source) in EMBEDDED:
        folder = WEIGHTS / EMBEDDED[str(source)]
    elif Path(source).is_dir():
        folder = Path(source)
    else:
        try:
            folder = Path(
                snapshot_download(str(source), revision=revision, token=token, cache_dir=cache_dir)
            )
        except (OSError, HfHubHTTPError, HFValidationError) as error:
            raise ValueError(
                f"no model {str(source)!r}: not an embedded name ({', '.join(EMBEDDED)}), not a "
                f"spec ({', '.join(SPECS)}), not a folder, and not a hub id in reach ({error})"
            ) from error
    settle(folder)
    if not (folder / SPEC_FILE).is_file():
        inside = folder / "model"  # of a training run
        hint = f"; the run's model is {inside}" if (inside / SPEC_FILE).is_file() else ""
        raise ValueError(f"{folder} is not a checkpoint: it has no {SPEC_FILE}{hint}")
    return folder


def read_spec(folder: str | Path) -> ModelSpec:
    """The spec of a checkpoint folder. Raises `ValueError` for an unknown key, naming the nearest
    known one, and for values out of bounds.
    """
    return ModelSpec.from_dict(read_object(Path(folder) / SPEC_FILE))


def _own() -> tuple[str, ...]:
    return (SPEC_FILE, PROCESSOR_FILE, *role_files())


def role_tensors(model: NextGPT, role: TrainedRole) -> dict[str, Tensor]:
    """The tensors of one role by name: parameters, and the buffers of projectors. Shared ones
    appear once.
    """
    tensors: dict[str, Tensor] = dict(model.parameters_of(role))
    if role in ("input_projectors", "output_projectors"):
        tensors |= dict(getattr(model, role).named_buffers())
    return tensors


def _role_files(model: NextGPT, role: TrainedRole) -> dict[str, dict[str, Tensor]]:
    """A role's tensors by file: one file, except that each decoder's adapters have their own, as
    diffusers reads it.
    """
    if role == "decoder_lora":
        pool = model.decoders
        return {adapters_file(m): dict(pool.adapter_parameters(m)) for m in pool.adapters}
    tensors = role_tensors(model, role)
    return {role_file(role): tensors} if tensors else {}


@torch.no_grad()
def load_role(model: NextGPT, role: TrainedRole, folder: str | Path) -> None:
    """Read one role's weights into the model. Names and shapes must match the model's exactly, and
    all values must be finite.

    Raises `ValueError` saying what is missing, unexpected, of another shape or damaged.
    """
    if role == "decoder_lora":
        read_adapters(model.decoders.adapters, folder)
        return
    path = Path(folder) / role_file(role)
    own = role_tensors(model, role)
    if not own and not path.exists():
        return
    if not path.exists():
        raise ValueError(
            f"{folder} lacks {path.name}: its spec has {len(own)} tensors of the role {role}"
        )
    stored = load_tensors(path, own)
    for name, tensor in own.items():
        tensor.copy_(stored[name])


def processor_facts(processor: Processor) -> dict[str, Any]:
    """Ids and lengths that the trained weights depend on: a different tokenizer would silently
    break them.
    """
    signals = processor.signals
    return {
        "template": processor.template.name,
        "system_prompt": processor.system_prompt or "",
        "base_vocab": signals.base_vocab,
        "end_of_turn_id": processor.end_of_turn_id,
        "signal_ids": {modality: list(signals.ids(modality)) for modality in signals.modalities},
        "num_input_tokens": dict(processor.num_input_tokens),
    }


def _check_processor(model: NextGPT, folder: Path) -> None:
    path = folder / PROCESSOR_FILE
    if not path.is_file():
        raise ValueError(
            f"{folder} lacks {PROCESSOR_FILE}; save the checkpoint again with save_pretrained"
        )
    stored, now = read_object(path), processor_facts(model.processor)
    for key in sorted(stored.keys() | now.keys()):
        if stored.get(key) != now.get(key):
            raise ValueError(
                f"the model was trained with {key}={stored.get(key)!r}, but its parts now give "
                f"{now.get(key)!r}: "
                "the tokenizer, template or encoder is another one"
            )


def _dtype_name(dtype: torch.dtype | str | None) -> str | None:
    """`torch.bfloat16` or "bfloat16" as "bfloat16". Raises `ValueError` for another type."""
    name = None if dtype is None else str(dtype).removeprefix("torch.")
    if name is not None and name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    return name


def _portable_spec(model: NextGPT, folder: Path, target: Path, include_frozen: bool) -> ModelSpec:
    """The spec as seen from `folder`: with hashes, and with relative sources that still point to
    their parts.
    """
    spec = model.spec

    def place(part: Any, name: str) -> Any:
        source = resolve_source(part.source, model.root)
        if not isinstance(source, Path) or source == local_copy(part.source):
            return part  # a public part keeps its public name
        source = source.resolve()
        inside = source.is_relative_to(folder.resolve())
        part = replace(part, sha256=part.sha256 or folder_sha256(source))
        if include_frozen and not inside and isinstance(part, (EncoderSpec, DecoderSpec)):
            shutil.copytree(source, target / name)
            return _with_own_parts(replace(part, source=f"./{name}"), source, target / name)
        return replace(
            part, source=f"./{source.relative_to(folder.resolve())}" if inside else str(source)
        )

    encoders = tuple(
        place(part, f"encoders/{number}-{part.type}") for number, part in enumerate(spec.encoders)
    )
    decoders = {
        modality: place(part, f"decoders/{modality}") for modality, part in spec.decoders.items()
    }
    return replace(
        spec, language=place(spec.language, "language"), encoders=encoders, decoders=decoders
    )


def _with_own_parts(part: Any, source: Path, copy: Path) -> Any:
    """The part for a `copy` of `source`, after also copying what lies outside the folder: an
    autoencoder that decoders share, named by ``subfolders={"vae": "../image/vae"}``.
    """
    places: dict[str, str] = part.args.get("subfolders", {})
    shared = [name for name, place in places.items() if ".." in Path(place).parts]
    if not shared:
        return part
    for name in shared:
        shutil.copytree(source / places[name], copy / name)
    own = {name: place for name, place in places.items() if name not in shared}
    return replace(part, args={**part.args, "subfolders": own}, sha256=folder_sha256(copy))


def _checked_files(spec: ModelSpec, folder: Path, fresh: Path) -> dict[str, Path]:
    """Files for ``sha256.json``: the new ones, and those of the parts that stay in `folder`."""
    files = {path.relative_to(fresh).as_posix(): path for path in checkable(fresh)}
    sources = [spec.language.source, *(part.source for part in spec.encoders)]
    sources += [part.source for part in spec.decoders.values()]
    for source in sources:
        if source.startswith("./") and not (fresh / source).exists():
            for path in checkable(folder / source):
                if path.suffix != ".safetensors":
                    files[path.relative_to(folder).as_posix()] = path
    return files


def _as_type(tensors: dict[str, Tensor], dtype: str | None) -> dict[str, Tensor]:
    if dtype is None:
        return tensors
    wanted: torch.dtype = getattr(torch, dtype)
    return {n: t.to(wanted) if t.is_floating_point() else t for n, t in tensors.items()}
