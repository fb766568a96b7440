"""From the released checkpoint to a folder that `NextGPT.from_pretrained` loads.

    spec.json processor.json *.safetensors     what was trained, by role, as in every checkpoint
    language/                                  the derived base model (see `base`), frozen
    conversion.json                            which file this was made from

Written beside the target, then renamed: the folder is complete or not there.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from anyweave.files import check_new, whole_folder, write_json
from anyweave.model.checkpoint import PROCESSOR_FILE, SPEC_FILE, processor_facts
from anyweave.model.hashing import folder_sha256, write_hashes
from anyweave.model.roles import ROLES, TrainedRole, role_file
from anyweave.model.spec import ModelSpec
from anyweave.processing import Processor, SignalTokens
from legacy_2023.base import Progress, bytes_needed, read_base, write_language
from legacy_2023.delta import Delta, read_delta
from legacy_2023.layout import EMBEDDING, HEAD, Layout
from legacy_2023.spec import Parts, legacy_spec

CONVERSION_FILE = "conversion.json"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was converted; written as ``conversion.json``.

    `sha256` is the file's: there are two public uploads under one name. `absent` are tensors that
    it lacks.
    """

    source: str
    sha256: str
    stage: str
    absent: tuple[str, ...]
    language_sha256: str


def convert(
    file: str | Path,
    out: str | Path,
    *,
    base: str | Path,
    parts: Parts | None = None,
    layout: Layout | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Convert ``pytorch_model.pt`` into the new folder `out`, whole or not at all.

    Args:
        base: folder of Vicuna-7B v0.
        parts: where encoder and decoders come from; written into the spec, not read here.
        layout: sizes, for other checkpoints of the same code.
        progress: called with the bytes of the language model written, and the total.

    Raises:
        ValueError: `file` or `base` is not what it should be, `out` holds something, or there is
            too little space.
    """
    file, out, layout = Path(file), Path(out), layout or Layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    check_new(out)
    delta = read_delta(file, layout)
    language = read_base(base, layout)
    rows = {
        name: tensor[: layout.kept_rows] for name, tensor in delta.tensors["vocabulary"].items()
    }
    _check_space(file, out, bytes_needed(language, rows, out.parent))
    with whole_folder(out) as temporary:
        tokenizer = write_language(
            language, rows, temporary / "language", progress or (lambda done, total: None)
        )
        _write_roles(temporary, delta, layout)
        record = Conversion(
            source=file.name,
            sha256=delta.sha256,
            stage="3" if delta.adapted else "1 or 2",
            absent=delta.absent,
            language_sha256=folder_sha256(temporary / "language"),
        )
        spec = legacy_spec(
            layout,
            parts or Parts(),
            adapted=delta.adapted,
            reads_media=not delta.absent,
            language_sha256=record.language_sha256,
        )
        write_json(temporary / SPEC_FILE, spec.to_dict())
        write_json(temporary / PROCESSOR_FILE, _facts(spec, layout, tokenizer))
        write_json(temporary / CONVERSION_FILE, asdict(record))
        write_hashes(temporary)
    return record


def _check_space(file: Path, out: Path, language: int) -> None:
    # What is not the language model is smaller than the file it comes from.
    needed, free = language + file.stat().st_size, shutil.disk_usage(out.parent).free
    if free < needed:
        raise ValueError(
            f"the converted checkpoint takes {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB "
            f"are free on the disk of {out}; choose a folder on another one"
        )


def _write_roles(folder: Path, delta: Delta, layout: Layout) -> None:
    vocabulary = delta.tensors["vocabulary"]
    roles: dict[TrainedRole, Mapping[str, Tensor]] = {
        "signal_rows": {
            "input_rows": vocabulary[EMBEDDING][layout.kept_rows :],
            "output_rows": vocabulary[HEAD][layout.kept_rows :],
        }
    }
    roles |= {role: delta.tensors[role] for role in ROLES if role in delta.tensors}
    for role, tensors in roles.items():
        save_file(dict(tensors), folder / role_file(role), {"format": "pt", "role": role})


def _facts(
    spec: ModelSpec, layout: Layout, tokenizer: PreTrainedTokenizerBase
) -> dict[str, object]:
    signals = SignalTokens(dict(spec.signal_tokens), layout.kept_rows)
    tokens = dict.fromkeys(spec.input_modalities, 1)
    return processor_facts(Processor(tokenizer, signals, spec.template, {}, tokens))
