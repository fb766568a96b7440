"""Builds a model from a spec. Only this code reads a `ModelSpec`; every part gets flat arguments.

Frozen parts are loaded with their weights (decoders on first use); trained parts start from seeded
initial values. `checkpoint.load_pretrained` calls this and then reads the trained weights.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from anyweave import encoders, projectors
from anyweave.decoders.opening import open_decoder
from anyweave.files import disk_stamp
from anyweave.language import CausalLM, lora
from anyweave.messages import MEDIA_MODALITIES, Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.model.decoder_adapters import adapters_of
from anyweave.model.decoder_pool import DecoderPool
from anyweave.model.hashing import check_sha256
from anyweave.model.lazy_encoder import LazyEncoder
from anyweave.model.sources import local_copy, missing_weights_explained
from anyweave.model.spec import DecoderSpec, EncoderSpec, LanguageSpec, ModelSpec
from anyweave.processing import Fingerprints, Processor, SignalTokens, fingerprint
from anyweave.processing.processor import DEFAULT_RATE
from anyweave.tensors import multiplies_bfloat16

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Where and how frozen parts are read; see the arguments of `build` with the same names."""

    root: Path | None = None
    dtype: str | None = None
    verify: bool = True
    quantization: str | None = None
    trust_remote_code: bool = False
    hub: Mapping[str, Any] = field(default_factory=dict)


_MOST_PARAMETERS = 4_000_000_000  # of one projector; the paper's largest have 31 million


def build(
    spec: ModelSpec,
    *,
    root: str | Path | None = None,
    device: torch.device | str | None = None,
    dtype: str | None = None,
    verify: bool = True,
    seed: int = 0,
    lazy_encoders: bool | None = None,
    blank: bool = False,
    quantization: str | None = None,
    trust_remote_code: bool = False,
    hub: Mapping[str, Any] | None = None,
) -> NextGPT:
    """The model that `spec` describes, everything frozen, in eval mode.

    Args:
        root: base folder for sources beginning with ``./``.
        device: where to put the model; None leaves it on the CPU.
        dtype: of the frozen language model and decoders; None takes the spec's. Trained parts are
            float32.
        verify: compare the frozen parts with the hashes in the spec.
        seed: for the trained parts' initial values.
        lazy_encoders: read an encoder on first use, as decoders always are. None: only if its
            folder's hash has just been verified, so that reading it later should not fail.
        blank: leave all trained parts uninitialised; the caller reads their values.
        quantization: "nf4" keeps the language model in 4 bits (QLoRA).
        trust_remote_code: let frozen parts that need Python code of their own run it.
        hub: `token` and `cache_dir` for frozen parts that come from the hub. Never saved.

    Raises:
        ValueError: a part cannot be found, is not the one the spec names, or does not fit another.
    """
    how = Reading(
        root=None if root is None else Path(root),
        dtype=dtype,
        verify=verify,
        quantization=quantization,
        trust_remote_code=trust_remote_code,
        hub=hub or {},
    )
    language = _build_language(spec, how, seed, blank)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        perception = build_encoders(spec.encoders, how, lazy_encoders)
        pool = decoder_pool(spec, how)
        model = assemble(spec, language, perception, pool, root=how.root, blank=blank)
    return placed(model, device)


def placed(model: NextGPT, device: torch.device | str | None) -> NextGPT:
    """The model on `device`; with None all of it is where the language model is (a quantised one is
    on a GPU from the start).
    """
    if device is None and model.device.type in ("cpu", "meta"):
        return model  # all of it is there
    return model.to(model.device if device is None else device)


def assemble(
    spec: ModelSpec,
    language: CausalLM,
    perception: dict[Modality, nn.Module],
    pool: DecoderPool,
    *,
    root: Path | None = None,
    blank: bool = False,
) -> NextGPT:
    """Assemble a model from frozen parts already built. Projectors are initialised from torch's
    random state, or left uninitialised if `blank`.
    """
    inputs = _build_input_projectors(spec, perception, language.hidden_size, blank)
    outputs = build_output_projectors(spec, language.hidden_size, blank)
    return NextGPT(
        spec=spec,
        root=root,
        language=language,
        processor=_build_processor(spec, language, perception, inputs, pool),
        fingerprints=_fingerprints(spec, root),
        encoders=perception,
        input_projectors=inputs,
        output_projectors=outputs,
        decoders=pool,
    )


def decoder_pool(spec: ModelSpec, how: Reading) -> DecoderPool:
    """The decoders of a spec, each loaded on first use."""
    return DecoderPool(
        {
            modality: partial(_load_decoder, modality, part, how)
            for modality, part in spec.decoders.items()
        },
        adapters_of(spec),
    )


def resolve_source(source: str, root: Path | None) -> str | Path:
    """Resolve a spec's source to something loadable: ``./x`` below `root`, an existing folder, a
    copy in the models folder (see `sources`), or else the name unchanged.
    """
    if source.startswith("./"):
        if root is None:
            raise ValueError(
                f"source {source!r} is relative to a checkpoint folder; pass root=... to build"
            )
        path = root / source
        if not path.is_dir():
            raise ValueError(
                f"the checkpoint {root} lacks its part {source!r}; fetch the whole folder again"
            )
        return path
    path = Path(source).expanduser()
    return path if path.is_dir() else local_copy(source) or source


def _build_language(spec: ModelSpec, how: Reading, seed: int, blank: bool) -> CausalLM:
    """The frozen language model with its signal rows and, if the spec has them, adapters."""
    part: LanguageSpec = spec.language
    source = resolve_source(part.source, how.root)
    if how.verify and isinstance(source, Path):
        check_sha256("language model", source, part.sha256)
    with missing_weights_explained("language model", source):
        language = CausalLM.from_pretrained(
            source,
            gguf_file=part.gguf_file,
            revision=part.revision,
            dtype=getattr(torch, how.dtype) if how.dtype else _language_dtype(part),
            num_signals=sum(spec.signal_tokens.values()),
            seed=seed,
            blank=blank,
            quantization=how.quantization,
            trust_remote_code=how.trust_remote_code,
            **how.hub,
        )
    if spec.lora is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            lora.attach(language, **asdict(spec.lora), blank=blank)
    return language


def _language_dtype(part: LanguageSpec) -> torch.dtype:
    """The spec's, or float32 where half precision would be emulated."""
    wanted: torch.dtype = getattr(torch, part.dtype)
    if wanted == torch.float32 or multiplies_bfloat16():
        return wanted
    logger.info(
        "this processor has no %s instructions: the language model runs in float32, several times "
        "faster and in twice the memory; dtype=%r keeps the memory",
        *(part.dtype, part.dtype),
    )
    return torch.float32


def build_output_projectors(
    spec: ModelSpec, hidden_size: int, blank: bool = False
) -> dict[Modality, nn.Module]:
    """One projector per generated modality, shaped by its decoder's conditioning."""
    built: dict[Modality, nn.Module] = {}
    for modality, part in spec.output_projectors.items():
        built[modality] = _construct(
            f"{modality} output projector",
            projectors.resolve("output", part.type),
            blank,
            in_dim=hidden_size,
            out_dim=spec.decoders[modality].conditioning_dim,
            num_queries=spec.decoders[modality].conditioning_tokens,
            **part.args,
        )
        if part.normalize:
            built[modality].register_forward_hook(_to_unit_length)
    return built


def _to_unit_length(module: nn.Module, args: Any, conditioning: Tensor) -> Tensor:
    return functional.normalize(conditioning, dim=-1)


def build_encoders(
    parts: Sequence[EncoderSpec], how: Reading, lazy: bool | None
) -> dict[Modality, nn.Module]:
    """Frozen encoders by modality; `lazy` is `lazy_encoders` of `build`."""
    reading = {**how.hub, "trust_remote_code": how.trust_remote_code}
    built: dict[Modality, nn.Module] = {}
    for part in parts:
        source = resolve_source(part.source, how.root)
        skeleton = getattr(encoders.resolve(part.type), "skeleton", None)
        known = how.verify and part.sha256 is not None and isinstance(source, Path)
        if known and not lazy:
            assert isinstance(source, Path)
            check_sha256(f"encoder {part.type!r}", source, part.sha256)
        load = partial(_load_encoder, part, how.root, how.verify and bool(lazy), reading)
        if (known if lazy is None else lazy) and skeleton is not None:
            with missing_weights_explained("encoder", source):
                options = dict(part.args) | understood(skeleton, reading)
                encoder = LazyEncoder(skeleton(source, **options), load)
        else:
            encoder = load()
        unable = [modality for modality in part.modalities if modality not in encoder.modalities]
        if unable:
            raise ValueError(
                f"encoder {part.type!r} from {source} reads {', '.join(encoder.modalities)}, "
                f"but the spec wants {', '.join(unable)} of it"
            )
        if not describes(part) and part.feature_dim not in (None, encoder.feature_dim):
            raise ValueError(
                f"encoder {part.type!r} from {source} gives features of width "
                f"{encoder.feature_dim}, the spec says {part.feature_dim}; correct feature_dim"
            )
        built |= dict.fromkeys(part.modalities, encoder)
    return {modality: built[modality] for modality in MEDIA_MODALITIES if modality in built}


def describes(part: EncoderSpec) -> bool:
    """Whether an encoder gives words instead of features, and so needs no projector."""
    return hasattr(encoders.resolve(part.type), "describe")


def _load_encoder(
    part: EncoderSpec, root: Path | None, verify: bool, reading: Mapping[str, Any]
) -> Any:
    source = resolve_source(part.source, root)
    if verify and isinstance(source, Path):
        check_sha256(f"encoder {part.type!r}", source, part.sha256)
    with missing_weights_explained("encoder", source):
        load = encoders.resolve(part.type).from_pretrained
        return load(source, **_reading(part), **understood(load, reading))


def _build_input_projectors(
    spec: ModelSpec, perception: dict[Modality, Any], hidden_size: int, blank: bool
) -> dict[Modality, nn.Module]:
    built: dict[Modality, nn.Module] = {}
    shared: nn.Module | None = None
    widths = {m: e.feature_dim for m, e in perception.items() if not hasattr(e, "describe")}
    together = {m: width for m, width in widths.items() if spec.input_projector_for(m).shared}
    for modality, width in widths.items():
        part = spec.input_projector_for(modality)
        if part.shared and len(set(together.values())) > 1:
            raise ValueError(
                "one shared input projector needs features of one width, the encoders give "
                f"{together}; set shared=False"
            )
        if part.shared and shared is not None:
            built[modality] = shared
            continue
        kind = projectors.resolve("input", part.type)
        built[modality] = _construct(
            f"{modality} input projector",
            kind,
            blank,
            in_dim=width,
            out_dim=hidden_size,
            **part.args,
        )
        if part.shared:
            shared = built[modality]
    return built


def _build_processor(
    spec: ModelSpec,
    language: CausalLM,
    perception: dict[Modality, Any],
    inputs: dict[Modality, Any],
    pool: DecoderPool,
) -> Processor:
    return Processor(
        language.given_tokenizer,
        SignalTokens(
            {**dict.fromkeys(spec.input_modalities, 0), **spec.signal_tokens},
            language.base_vocab_size,
        ),
        spec.template,
        perception,
        {m: projector.num_tokens(perception[m].num_patches(m)) for m, projector in inputs.items()},
        system_prompt=spec.system_prompt or None,
        target_rate=partial(_target_rate, pool),
        own_tokenizer=True,
        calls_in_words=spec.calls == "words",
    )


def _fingerprints(spec: ModelSpec, root: Path | None) -> Fingerprints:
    """Names of the frozen parts in feature cache keys."""
    return {
        "features": {m: _identity(part, root) for part in spec.encoders for m in part.modalities},
        "caption": {m: _identity(part, root) for m, part in spec.decoders.items()},
        "latents": {m: _latents_identity(part, root) for m, part in spec.decoders.items()},
    }


def _target_rate(pool: DecoderPool) -> int:
    """The rate at which the assistant's sounds are read: their decoder's."""
    return round(pool.rate("audio") or DEFAULT_RATE)


def _latents_identity(part: DecoderSpec, root: Path | None) -> str:
    """Identifies a decoder and how media are fitted to it, for cached latents. The number is the
    version of the fitting; changing it invalidates latents in old caches.
    """
    return fingerprint("latents", 2, _identity(part, root), part.size)


def _reading(part: EncoderSpec | DecoderSpec) -> dict[str, Any]:
    """Arguments for a part's `from_pretrained`: its `args`, and the revision if one is named."""
    return dict(part.args) | ({} if part.revision is None else {"revision": part.revision})


def _identity(part: EncoderSpec | DecoderSpec, root: Path | None) -> str:
    """Identifies a frozen part in cache keys: by its hash if it has one, so that moving the folder
    keeps the cache valid; otherwise by the folder's path and current content, so that another
    folder or other weights never match its entries.
    """
    return fingerprint(part.type, part.sha256 or _whereabouts(part, root), dict(part.args))


def _whereabouts(part: EncoderSpec | DecoderSpec, root: Path | None) -> tuple[str, str | None]:
    # Not `resolve_source`: a missing decoder is an error only when it is needed.
    below = root if root is not None and part.source.startswith("./") else Path()
    path = below / Path(part.source).expanduser()
    if path.exists():
        return str(path.resolve()), disk_stamp(path)
    return part.source, part.revision


def understood(load: Any, reading: Mapping[str, Any]) -> dict[str, Any]:
    """The reading options that a part's loader accepts. One that reads plain files takes none; one
    without `trust_remote_code` never runs foreign code.
    """
    taken = inspect.signature(load).parameters
    return {name: value for name, value in reading.items() if name in taken}


def _load_decoder(modality: Modality, part: DecoderSpec, how: Reading) -> Any:
    source = resolve_source(part.source, how.root)
    if how.verify and isinstance(source, Path):
        check_sha256(f"{modality} decoder", source, part.sha256)
    arguments = part.defaults | _reading(part)
    if how.dtype is not None:
        arguments["dtype"] = getattr(torch, how.dtype)
    with missing_weights_explained(f"{modality} decoder", source):
        decoder = open_decoder(part.type, modality, source, arguments, how.hub)
    want = (part.conditioning_tokens, part.conditioning_dim)
    takes = getattr(decoder, "takes", None)  # decoders that accept any number of rows have it
    if tuple(decoder.conditioning_shape) != want and not (takes is not None and takes(*want)):
        raise ValueError(
            f"the {modality} decoder in {source} is conditioned by "
            f"{tuple(decoder.conditioning_shape)} (tokens, width), "
            f"the spec says {want}; correct conditioning_tokens and conditioning_dim"
        )
    return decoder


def _construct(what: str, kind: Any, blank: bool = False, **arguments: Any) -> nn.Module:
    """Build a projector. The arguments may come from anywhere, so its size is computed before any
    memory is allocated.
    """
    try:
        sketch = _sketch(kind, arguments)
        size = 0 if sketch is None else sum(p.numel() for p in sketch.parameters())
        if size > _MOST_PARAMETERS:
            raise ValueError(f"it would have {size:,} parameters, at most {_MOST_PARAMETERS:,}")
        if blank and sketch is not None and (emptied := _emptied(sketch)) is not None:
            return emptied
        made: nn.Module = kind(**arguments)
        return made
    except (TypeError, ValueError, ArithmeticError, AssertionError, LookupError) as error:
        raise ValueError(
            f"{what}: {kind.__name__} does not take these arguments: {error}"
        ) from error
    except RuntimeError as error:  # torch, on negative sizes or out of memory
        raise ValueError(f"{what}: {kind.__name__} cannot be made: {error}") from error


def _sketch(kind: Any, arguments: dict[str, Any]) -> nn.Module | None:
    """The projector on the meta device; None for a third-party one that computes in `__init__`."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            sketch: nn.Module = kind(**arguments)
            return sketch
    except NotImplementedError:
        return None


def _emptied(sketch: nn.Module) -> nn.Module | None:
    """`sketch` with uninitialised memory, or None where that would lose something: shared weights,
    or tensors that are neither parameters nor buffers.
    """
    names = {name for name, _ in sketch.named_parameters()}
    loose = any(isinstance(v, Tensor) for m in sketch.modules() for v in vars(m).values())
    emptied = sketch.to_empty(device="cpu")
    same = names == {name for name, _ in emptied.named_parameters()}
    return emptied if same and not loose else None
