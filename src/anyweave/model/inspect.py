"""What a model is made of: parameters, licences, memory. `inspect_tables` renders this data.

No weight is read for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from anyweave import projectors
from anyweave.decoders.source import CAPTIONING
from anyweave.messages import Modality
from anyweave.model.architectures import ARCHITECTURES, parameter_count
from anyweave.model.architectures.licences import APACHE_2, Licence
from anyweave.model.build import build_output_projectors, describes, resolve_source
from anyweave.model.catalogue import (
    PAPER_TABLE_1,
    PAPER_TRAINED_SHARE,
    is_spec_name,
    named_spec,
)
from anyweave.model.checkpoint import find_checkpoint, read_spec
from anyweave.model.counting import (
    encoder_shape,
    meta_language,
    network_parameters,
    quantizable_parameters,
    stored_parameters,
)
from anyweave.model.memory import PRECISIONS, Memory, memory
from anyweave.model.roles import TrainedRole, adapters_file
from anyweave.model.sources import WEIGHTS, is_here
from anyweave.model.spec import EncoderSpec, ModelSpec, ProjectorSpec


@dataclass(frozen=True, kw_only=True)
class PartInfo:
    """One row. `role` is the role the part trains in, None for frozen parts."""

    part: str
    source: str
    role: TrainedRole | None
    parameters: int | None
    """None where counting would need weights that are not on this machine."""
    title: str | None = None
    networks: Mapping[str, int] = field(default_factory=dict)
    """Parameters by network, for a decoder whose architecture is known."""
    visiting: int = 0
    """Parameters of the largest network that replies need, for a decoder whose networks are on the
    device only while they run.
    """
    quantizable: int = 0
    """Parameters in linear layers that can be held in 8 or 4 bits: only the language model has any.
    """
    licence: str | None = None
    """None for trained parts, and for folders, which do not state one."""
    non_commercial: bool = False
    permissive: bool = False
    here: bool = True
    """Whether the weights are on this machine."""
    paper: str | None = None
    """This part's size in the paper's Table 1."""

    @property
    def trained(self) -> bool:
        return self.role is not None

    @property
    def is_encoder(self) -> bool:
        return self.part.startswith("encoder ")


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """What a model consists of. `source` is the name it was requested by."""

    source: str
    parts: tuple[PartInfo, ...]
    paper_trained_share: str | None = None

    @property
    def parameters(self) -> int:
        """Total over all parts whose size is known."""
        return sum(part.parameters or 0 for part in self.parts)

    @property
    def memory(self) -> tuple[Memory, ...]:
        """Memory of the weights, per precision."""
        return tuple(memory(self.parts, precision) for precision in PRECISIONS)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, including the sums."""
        return {
            "source": self.source,
            "parts": [asdict(part) for part in self.parts],
            "parameters": self.parameters,
            "trained_share": trained_share(self.parts),
            "non_commercial": any(part.non_commercial for part in self.parts),
            "memory": {
                row.precision: {
                    "frozen": row.frozen,
                    "trained": row.trained,
                    "optimizer": row.optimizer,
                    "reply": row.reply,
                    "reply_offloaded": row.reply_offloaded,
                    "training": row.training,
                    "training_from_caches": row.training_from_caches,
                }
                for row in self.memory
            },
        }


def inspect_checkpoint(source: str | Path, *, revision: str | None = None) -> ModelReport:
    """Every part of a named spec or a saved model, without loading weights.

    `source` is a name of `catalogue.SPECS`, an embedded name, a folder or a hub id. Raises
    `ValueError` if it is not found.
    """
    folder = None if is_spec_name(source) else find_checkpoint(source, revision=revision)
    spec = named_spec(str(source)) if folder is None else read_spec(folder)
    report = ModelReport(source=str(source), parts=tuple(inspect_spec(spec, folder)))
    if folder is not None or spec.name != "paper-7b":
        return report
    parts = tuple(replace(part, paper=PAPER_TABLE_1.get(part.part)) for part in report.parts)
    return replace(report, parts=parts, paper_trained_share=PAPER_TRAINED_SHARE)


def trained_share(parts: Sequence[PartInfo]) -> float:
    """Trained parameters as a share of all known ones, 0..1."""
    total = sum(part.parameters or 0 for part in parts)
    trained = sum(part.parameters or 0 for part in parts if part.trained)
    return trained / total if total else 0.0


def inspect_spec(spec: ModelSpec, root: str | Path | None = None) -> list[PartInfo]:
    """Every part of a spec, without loading weights. Unknown counts are None."""
    root = None if root is None else Path(root)
    language = meta_language(spec, root)
    count = None if language is None else parameter_count(language)
    row = _frozen("language model", spec.language.source, root, count)
    rows = [row if language is None else replace(row, quantizable=quantizable_parameters(language))]
    widths: dict[Modality, int | None] = {}
    for part in spec.encoders:
        count, width = encoder_shape(part, root)
        if not describes(part):
            widths |= dict.fromkeys(part.modalities, width)
        rows.append(_frozen(_encoder_name(part), part.source, root, count))
    rows += [_decoder(modality, spec, root) for modality in spec.decoders]
    hidden = None if language is None else int(language.config.get_text_config().hidden_size)
    rows += _planned_projectors(spec, widths, hidden)
    if signals := sum(spec.signal_tokens.values()):
        rows.append(
            _trained("signal rows", "signal_rows", None if hidden is None else 2 * signals * hidden)
        )
    if spec.lora is not None:
        rows.append(_trained("lora", "lora", None if language is None else _lora(spec, language)))
    for modality, decoder in spec.decoders.items():
        if decoder.lora is not None:
            stored = None if root is None else stored_parameters(root / adapters_file(modality))
            rows.append(_trained(f"{modality} decoder lora", "decoder_lora", stored))
    return rows


# ---------------------------------------------------------------------- trained parts


def _projector_name(side: str, modality: Modality, *, shared: bool = False) -> str:
    return f"{side} projector" if shared else f"{modality} {side} projector"


def _planned_projectors(
    spec: ModelSpec, widths: Mapping[Modality, int | None], hidden: int | None
) -> list[PartInfo]:
    rows: dict[str, PartInfo] = {}
    for modality, width in widths.items():
        projector = spec.input_projector_for(modality)
        name = _projector_name("input", modality, shared=projector.shared)
        if name not in rows:
            count = _input_projector(projector, width, hidden)
            rows[name] = _trained(name, "input_projectors", count)
    built: Mapping[Modality, nn.Module | None] = dict.fromkeys(spec.output_projectors)
    if hidden is not None:
        with torch.device("meta"):
            built = build_output_projectors(spec, hidden)
    for modality, module in built.items():
        count = None if module is None else parameter_count(module)
        name = _projector_name("output", modality)
        rows[name] = _trained(name, "output_projectors", count)
    return list(rows.values())


def _input_projector(spec: ProjectorSpec, width: int | None, hidden: int | None) -> int | None:
    if width is None or hidden is None:
        return None
    kind = projectors.resolve("input", spec.type)
    with torch.device("meta"):
        return parameter_count(kind(in_dim=width, out_dim=hidden, **spec.args))


def _lora(spec: ModelSpec, language: nn.Module) -> int:
    assert spec.lora is not None
    return sum(
        spec.lora.r * (module.in_features + module.out_features)
        for name, module in language.named_modules()
        if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in spec.lora.target_modules
    )


# ---------------------------------------------------------------------- rows


def _encoder_name(part: EncoderSpec) -> str:
    # Captioners are read in half precision, like language models; encoders in float32.
    kind = "captioner" if part.type == "captioner" else f"encoder {part.type}"
    return f"{kind} ({', '.join(part.modalities)})"


def _decoder(modality: Modality, spec: ModelSpec, root: Path | None) -> PartInfo:
    decoder = spec.decoders[modality]
    source = decoder.source
    networks = network_parameters(source, root)
    count = sum(networks.values()) or stored_parameters(resolve_source(source, root))
    row = _frozen(f"{modality} decoder", source, root, count)
    drawing = [size for name, size in networks.items() if not name.startswith(CAPTIONING)]
    visiting = max(drawing, default=0) if decoder.args.get("offload") else 0
    return replace(row, networks=networks, visiting=visiting)


def _frozen(part: str, source: str, root: Path | None, count: int | None) -> PartInfo:
    resolved = resolve_source(source, root)
    found = ARCHITECTURES.get(source)
    licence: Licence | None = None if found is None else found.licence
    if isinstance(resolved, Path) and resolved.resolve().is_relative_to(WEIGHTS):
        licence = APACHE_2  # shipped with this package, see NOTICE
    return PartInfo(
        part=part,
        source=source,
        role=None,
        parameters=count,
        title=None if found is None else found.title,
        licence=licence.name if licence is not None else None,
        non_commercial=licence is not None and licence.non_commercial,
        permissive=licence is not None and licence.permissive,
        here=is_here(resolved),
    )


def _trained(part: str, role: TrainedRole, count: int | None) -> PartInfo:
    return PartInfo(part=part, source="trained", role=role, parameters=count)
