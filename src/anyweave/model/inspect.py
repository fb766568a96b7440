"""How large each part is and how much of it trains; data here, tables are drawn elsewhere.

`inspect_model` counts a model in memory. `inspect_checkpoint` and `inspect_spec` count without
reading any weight: safetensors headers, configs and modules on the meta device.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from anyweave import encoders, projectors
from anyweave.language.fetch import SOURCES, cache_folder
from anyweave.messages import Modality
from anyweave.model.any_to_any import ROLES, NextGPT, Role
from anyweave.model.build import build_output_projectors, resolve_source
from anyweave.model.checkpoint import find_checkpoint, read_spec
from anyweave.model.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class PartInfo:
    """One row: `role` is what the part trains as, None for frozen parts."""

    part: str
    source: str
    role: Role | None
    parameters: int | None
    """None where counting would need weights that are not on this machine."""
    loaded: bool = True


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """What a checkpoint consists of. `source` is the name it was asked for by."""

    source: str
    parts: tuple[PartInfo, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the sums."""
        return {
            "source": self.source,
            "parts": [asdict(part) for part in self.parts],
            "parameters": sum(part.parameters or 0 for part in self.parts),
            "trained_share": trained_share(self.parts),
        }


def inspect_checkpoint(source: str | Path, *, revision: str | None = None) -> ModelReport:
    """Every part of a saved model, without loading weights.

    `source` is an embedded name, a folder or a hub id. Raises `ValueError` where it leads nowhere.
    """
    folder = find_checkpoint(source, revision=revision)
    return ModelReport(source=str(source), parts=tuple(inspect_spec(read_spec(folder), folder)))


def trained_share(parts: Sequence[PartInfo]) -> float:
    """Trained parameters over all that are known, 0..1."""
    total = sum(part.parameters or 0 for part in parts)
    trained = sum(part.parameters or 0 for part in parts if part.role is not None)
    return trained / total if total else 0.0


def inspect_model(model: NextGPT) -> list[PartInfo]:
    """Every part of a model in memory. Decoders that are not loaded are counted by their files."""
    spec = model.spec
    own = {role: _count(model.parameters_of(role).values()) for role in ROLES}
    language = _count(model.language.parameters()) - own["signal_rows"] - own["lora"]
    rows = [_frozen("language model", spec.language.source, language)]
    for part in spec.encoders:
        encoder = model.encoders[part.modalities[0]]
        rows.append(_frozen(_encoder_name(part), part.source, _count(encoder.parameters())))
    for modality, decoder in spec.decoders.items():
        loaded = modality in model.decoders.loaded
        count = (
            _count(model.decoders[modality].parameters())
            if loaded
            else _stored(resolve_source(decoder.source, model.root))
        )
        rows.append(_frozen(f"{modality} decoder", decoder.source, count, loaded))
    rows += [_trained(role, count) for role, count in own.items() if count]
    return rows


def inspect_spec(spec: ModelSpec, root: str | Path | None = None) -> list[PartInfo]:
    """Every part of a spec, without loading weights. Unknown counts are None."""
    root = None if root is None else Path(root)
    language = _meta_language(spec, root)
    rows = [
        _frozen(
            "language model",
            spec.language.source,
            None if language is None else _count(language.parameters()),
            False,
        )
    ]
    for part in spec.encoders:
        count = _stored(resolve_source(part.source, root))
        rows.append(_frozen(_encoder_name(part), part.source, count, False))
    for modality, decoder in spec.decoders.items():
        count = _stored(resolve_source(decoder.source, root))
        rows.append(_frozen(f"{modality} decoder", decoder.source, count, False))
    hidden = None if language is None else int(language.config.get_text_config().hidden_size)
    rows.append(_trained("input_projectors", _input_projectors(spec, root, hidden)))
    if spec.output_projectors:
        rows.append(_trained("output_projectors", _output_projectors(spec, hidden)))
    signals = sum(spec.signal_tokens.values())
    if signals:
        rows.append(_trained("signal_rows", None if hidden is None else 2 * signals * hidden))
    if spec.lora is not None:
        rows.append(_trained("lora", None if language is None else _lora(spec, language)))
    return [row for row in rows if row.parameters != 0]


def _meta_language(spec: ModelSpec, root: Path | None) -> Any:
    source = resolve_source(spec.language.source, root)
    if source in SOURCES:
        # Only if it was fetched before: counting must not download.
        known = SOURCES[str(source)]
        source = cache_folder() / "language" / f"{source}-{known.sha256[:12]}"
        if not source.is_dir():
            return None
    try:
        config = AutoConfig.from_pretrained(str(source), revision=spec.language.revision)
    except OSError:
        return None
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def _input_projectors(spec: ModelSpec, root: Path | None, hidden: int | None) -> int | None:
    if not spec.encoders:
        return 0
    if hidden is None:
        return None
    total = 0
    shared: set[int] = set()
    for part in spec.encoders:
        width = part.feature_dim or _feature_dim(part.type, resolve_source(part.source, root))
        if width is None:
            return None
        for modality in part.modalities:
            projector = spec.input_projector_for(modality)
            if projector.shared and id(projector) in shared:
                continue
            shared.add(id(projector))
            kind = projectors.resolve("input", projector.type)
            with torch.device("meta"):
                module = kind(in_dim=width, out_dim=hidden, **projector.args)
            total += _count(module.parameters())
    return total


def _output_projectors(spec: ModelSpec, hidden: int | None) -> int | None:
    if hidden is None:
        return None
    with torch.device("meta"):
        built: dict[Modality, nn.Module] = build_output_projectors(spec, hidden)
    return sum(_count(module.parameters()) for module in built.values())


def _feature_dim(kind: str, source: str | Path) -> int | None:
    """The width an encoder class gives when built from its folder's config alone, on the meta
    device.
    """
    config = Path(source) / "config.json"
    if not config.is_file():
        return None
    try:
        with torch.device("meta"):
            encoder = encoders.resolve(kind)(**json.loads(config.read_text(encoding="utf-8")))
    except (
        TypeError
    ):  # a class that is not built from flat arguments: the spec can state feature_dim
        return None
    return int(encoder.feature_dim)


def _lora(spec: ModelSpec, language: nn.Module) -> int:
    assert spec.lora is not None
    return sum(
        spec.lora.r * (module.in_features + module.out_features)
        for name, module in language.named_modules()
        if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in spec.lora.target_modules
    )


def _stored(folder: str | Path) -> int | None:
    """Weights in a folder's safetensors files, from their headers alone: integer buffers are not
    counted, the few floating-point ones are.
    """
    files = sorted(Path(folder).rglob("*.safetensors")) if Path(folder).is_dir() else []
    files = [path for path in files if path.name != "unconditional.safetensors"]
    if not files:
        return None
    total = 0
    for path in files:
        with safe_open(path, framework="pt") as stored:
            slices = [stored.get_slice(key) for key in stored.keys()]  # noqa: SIM118
        total += sum(math.prod(s.get_shape()) for s in slices if "F" in s.get_dtype())
    return total


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _encoder_name(part: Any) -> str:
    return f"encoder {part.type} ({', '.join(part.modalities)})"


def _frozen(part: str, source: str, count: int | None, loaded: bool = True) -> PartInfo:
    return PartInfo(part=part, source=source, role=None, parameters=count, loaded=loaded)


def _trained(role: Role, count: int | None) -> PartInfo:
    return PartInfo(part=role.replace("_", " "), source="trained", role=role, parameters=count)
