"""What a checkpoint *is*: the parts, where the frozen ones come from, and how the trained ones are
shaped.

A `ModelSpec` is written as ``spec.json`` beside the trained weights. Reading it is strict: an
unknown or missing key is an error that names the nearest known one. Only `build.py` reads a spec;
components take flat arguments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar, get_args

from anyweave.errors import nearest
from anyweave.messages import MEDIA_MODALITIES, Modality, kind_of
from anyweave.modalities import known_modalities
from anyweave.model.bounds import check_fields, check_source, shown

FORMAT_VERSION = 1
Bridge = Literal["signal", "caption"]
CallsBy = Literal["signals", "words"]
SIZE_NAMES = ("height", "width", "num_frames", "audio_length")
DTYPES = ("float32", "bfloat16", "float16")
SpecT = TypeVar("SpecT")


@dataclass(frozen=True, kw_only=True)
class LanguageSpec:
    """The frozen causal language model.

    `source`: a folder (``./x`` is relative to the checkpoint), a hub id, or a name that
    `anyweave.language` can fetch.
    """

    source: str
    revision: str | None = None
    gguf_file: str | None = None
    sha256: str | None = None
    """Hash of the folder's weights and configs (`checkpoint.folder_sha256`); None skips the check.
    """
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_fields(self, "language")
        check_source(self.source, "language.source")
        _one_of("language.dtype", self.dtype, DTYPES)


@dataclass(frozen=True, kw_only=True)
class LoraSpec:
    """Low-rank adapters on the language model (paper section 4.3, r = 32)."""

    r: int = 32
    alpha: float = 32.0
    dropout: float = 0.1
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")

    def __post_init__(self) -> None:
        if isinstance(self.r, int) and self.r < 1:
            raise ValueError(
                f"lora.r must be at least 1, got {self.r}; use lora=None for no adapters"
            )
        check_fields(self, "lora")


@dataclass(frozen=True, kw_only=True)
class DecoderLoraSpec:
    """Low-rank adapters in a decoder's denoiser. Their output is not scaled (alpha is `r`), which
    is how diffusers reads files that do not state alpha.
    """

    r: int = 16
    target_modules: tuple[str, ...] = ()
    """Names, or name suffixes, of linear layers and convolutions; empty means all."""

    def __post_init__(self) -> None:
        check_fields(self, "decoder.lora")


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """A frozen encoder and the modalities it reads. `type` is a name in
    `anyweave.encoders.ENCODERS`.
    """

    type: str
    source: str
    modalities: tuple[Modality, ...]
    sha256: str | None = None
    revision: str | None = None
    feature_dim: int | None = None
    """Width of the features: checked if given; lets `inspect` count without the weights."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """Keyword overrides of the encoder's `from_pretrained`."""

    def __post_init__(self) -> None:
        check_fields(self, "encoder")
        check_source(self.source, "encoder.source")
        for modality in self.modalities:
            _known_modality(f"encoder {self.type!r} modalities", modality)


@dataclass(frozen=True, kw_only=True)
class ProjectorSpec:
    """A trained projector: a name in `anyweave.projectors` and its keyword arguments, without the
    widths.
    """

    type: str
    args: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = False
    """Input side only: one module for all modalities (paper) or one each."""
    normalize: bool = False
    """Output side only: scale every conditioning vector to unit length, like CLAP's text
    embeddings.
    """

    def __post_init__(self) -> None:
        check_fields(self, "projector")


def caption_words(text: str) -> list[str]:
    """The words of two letters and more, in lower case: what `DecoderSpec.words` lists."""
    return re.findall(r"[^\W\d_]{2,}", text.lower())


@dataclass(frozen=True, kw_only=True)
class DecoderSpec:
    """A frozen latent diffusion decoder and the defaults of its calls. `type` is a name in
    `anyweave.decoders.DECODERS`.
    """

    source: str
    conditioning_tokens: int
    """Q: how many conditioning vectors the denoiser reads (77 for SD-1.5, 1 for AudioLDM)."""
    conditioning_dim: int
    """C: their width."""
    type: str = "latent_diffusion"
    sha256: str | None = None
    revision: str | None = None
    guidance_scale: float | None = None
    """None is the decoder's own default."""
    num_inference_steps: int = 20
    args: Mapping[str, Any] = field(default_factory=dict)
    """Keyword overrides of the decoder's `from_pretrained`."""
    generate: Mapping[str, Any] = field(default_factory=dict)
    """Further call defaults, such as height, width, num_frames, audio_length, scheduler."""
    lora: DecoderLoraSpec | None = None
    """Adapters in the denoiser, which train in the role `decoder_lora`. None, as in the paper,
    leaves the decoder unchanged.
    """
    words: str | None = None
    """The words of the captions that it was trained on, lower case, separated by spaces: replies
    then say which words it never learned. None if any may have been among them.
    """

    def unknown_words(self, caption: str) -> tuple[str, ...]:
        """The words of `caption` that the decoder never learned, in lower case, each once. Numerals
        and single letters do not count. Empty where nobody can tell: `words` is None, or adapters
        may have taught it more.
        """
        if self.words is None or self.lora is not None:
            return ()
        known = set(self.words.split())
        return tuple(dict.fromkeys(w for w in caption_words(caption) if w not in known))

    @property
    def defaults(self) -> dict[str, Any]:
        """Default arguments of the decoder's calls."""
        said = {
            "num_inference_steps": self.num_inference_steps,
            "guidance_scale": self.guidance_scale,
            **self.generate,
        }
        return {name: value for name, value in said.items() if value is not None}

    @property
    def size(self) -> dict[str, Any]:
        """The size of its media, where `generate` gives one: used for replies and for training the
        denoising loss.
        """
        return {name: self.generate[name] for name in SIZE_NAMES if name in self.generate}

    def __post_init__(self) -> None:
        check_fields(self, "decoder")
        check_source(self.source, "decoder.source")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One any-to-any model: frozen ends, trained bridges.

    Raises `ValueError` when the parts contradict each other, for example an output projector
    without a decoder.
    """

    name: str
    language: LanguageSpec
    template: str = "native"
    """A name in `anyweave.processing.TEMPLATES`, or "native": the language model's own
    `chat_template`."""
    lora: LoraSpec | None = None
    encoders: tuple[EncoderSpec, ...] = ()
    input_projector: ProjectorSpec | Mapping[Modality, ProjectorSpec] = field(
        default_factory=lambda: ProjectorSpec(type="grouping")
    )
    output_projectors: Mapping[Modality, ProjectorSpec] = field(default_factory=dict)
    decoders: Mapping[Modality, DecoderSpec] = field(default_factory=dict)
    signal_tokens: Mapping[Modality, int] = field(default_factory=dict)
    """How many signal tokens request one medium, per modality that can be generated."""
    system_prompt: str = ""
    bridge: Bridge = "signal"
    """"signal": hidden states condition the decoder; "caption": the reply's own words do (pipeline
    ablation).
    """
    calls: CallsBy = "signals"
    """How the language model asks for media: "signals", as trained; "words", untrained, with tags
    that its prompt explains (`processing.calls`). Words need the caption bridge.
    """
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)
    """How stages that start from this checkpoint differ from `training.recipes.fine_tune`, as
    `TrainConfig` settings: ``{"optimizer.learning_rate": 2e-4}``.
    """
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        check_fields(self, "spec")
        _one_of("bridge", self.bridge, get_args(Bridge))
        _one_of("calls", self.calls, get_args(CallsBy))
        if self.calls == "words" and self.bridge != "caption":
            raise ValueError(
                "calls='words' gives decoders a caption and no trained states; use "
                f"bridge='caption' with it, not {self.bridge!r}"
            )
        _check_inputs(self)
        _check_outputs(self)
        if self.format_version != FORMAT_VERSION:
            raise ValueError(
                f"this spec has format_version {self.format_version}, this library reads "
                f"{FORMAT_VERSION}; "
                "install the version of anyweave that wrote it, or convert the checkpoint"
            )

    @property
    def input_modalities(self) -> tuple[Modality, ...]:
        """The media modalities that the model reads, in the order of `MEDIA_MODALITIES`."""
        read = {modality for encoder in self.encoders for modality in encoder.modalities}
        return tuple(modality for modality in MEDIA_MODALITIES if modality in read)

    @property
    def output_modalities(self) -> tuple[Modality, ...]:
        """The media modalities that the model generates, in the order of `MEDIA_MODALITIES`."""
        return tuple(modality for modality in MEDIA_MODALITIES if modality in self.signal_tokens)

    def input_projector_for(self, modality: Modality) -> ProjectorSpec:
        """The input projector of one modality, whether one is given for all or one per modality."""
        if isinstance(self.input_projector, ProjectorSpec):
            return self.input_projector
        return self.input_projector[modality]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` restores an equal spec."""
        return _plain(asdict(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelSpec:
        """Read a spec strictly. Raises `ValueError` naming an unknown key and its nearest known
        one.
        """
        values = _known(cls, data, "spec")
        values["language"] = _read(LanguageSpec, values["language"], "spec.language")
        if values.get("lora") is not None:
            values["lora"] = _read(LoraSpec, values["lora"], "spec.lora")
        values["encoders"] = tuple(
            _read(EncoderSpec, item, f"spec.encoders[{number}]")
            for number, item in enumerate(_listed(values.get("encoders", ()), "spec.encoders"))
        )
        if "input_projector" in values:
            values["input_projector"] = _read_input_projector(values["input_projector"])
        for name, kind in (
            ("output_projectors", ProjectorSpec),
            ("decoders", DecoderSpec),
        ):
            given = _mapping(values.get(name, {}), f"spec.{name}")
            values[name] = {
                key: _read(kind, item, f"spec.{name}.{key}") for key, item in given.items()
            }
        return cls(**values)


def read_decoder_lora(given: DecoderLoraSpec | Mapping[str, Any]) -> DecoderLoraSpec:
    """A `DecoderLoraSpec`, also from plain values. Raises `ValueError` for an unknown key."""
    if isinstance(given, DecoderLoraSpec):
        return given
    return _read(DecoderLoraSpec, given, "decoder_lora")


def _read_input_projector(data: Any) -> ProjectorSpec | dict[Modality, ProjectorSpec]:
    if isinstance(data, Mapping) and data and all(key in MEDIA_MODALITIES for key in data):
        return {
            key: _read(ProjectorSpec, item, f"spec.input_projector.{key}")
            for key, item in data.items()
        }
    return _read(ProjectorSpec, data, "spec.input_projector")


def _read(kind: type[SpecT], data: Any, where: str) -> SpecT:
    values = _known(kind, data, where)
    if kind is DecoderSpec and values.get("lora") is not None:
        values["lora"] = _read(DecoderLoraSpec, values["lora"], f"{where}.lora")
    return kind(**values)


def _known(kind: type, data: Any, where: str) -> dict[str, Any]:
    """The keyword arguments in `data`, with lists as tuples, after checking the keys against the
    dataclass `kind`.
    """
    data = _mapping(data, where)
    names = [item.name for item in fields(kind)]
    for key in data:
        if key not in names:
            hint = nearest(key, names, "known keys")
            raise ValueError(f"{where} has no key {shown(key)}; {hint}")
    required = [
        f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING
    ]
    missing = [name for name in required if name not in data]
    if missing:
        raise ValueError(
            f"{where} lacks {', '.join(missing)}; it has {', '.join(data) or 'no keys'}"
        )
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a mapping, got {type(value).__name__}")
    return value


def _listed(value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, tuple):  # lists are tuples by now
        raise ValueError(f"{where} must be a list, got {type(value).__name__}")
    return value


def _check_inputs(spec: ModelSpec) -> None:
    seen: dict[Modality, str] = {}
    for encoder in spec.encoders:
        for modality in encoder.modalities:
            if modality in seen:
                raise ValueError(
                    f"{modality} is read by two encoders, {seen[modality]!r} and "
                    f"{encoder.type!r}; keep one"
                )
            seen[modality] = encoder.type
    if isinstance(spec.input_projector, ProjectorSpec):
        return
    missing = [
        modality for modality in spec.input_modalities if modality not in spec.input_projector
    ]
    if missing:
        raise ValueError(
            f"no input projector for {', '.join(missing)}; input_projector has "
            f"{list(spec.input_projector)}"
        )
    unread = [modality for modality in spec.input_projector if modality not in seen]
    if unread:
        raise ValueError(
            f"input projector for {', '.join(unread)} without an encoder; add one to `encoders`"
        )


def _check_outputs(spec: ModelSpec) -> None:
    for name in ("output_projectors", "decoders", "signal_tokens"):
        for modality in getattr(spec, name):
            _known_modality(name, modality)
    for modality in spec.signal_tokens:
        if modality not in spec.decoders:
            raise ValueError(
                f"{modality} has signal tokens but no decoder; `decoders` has {list(spec.decoders)}"
            )
    for modality in spec.output_projectors:
        if modality not in spec.decoders:
            raise ValueError(
                f"output projector for {modality} without a decoder; `decoders` has "
                f"{list(spec.decoders)}"
            )
    for modality in spec.decoders:
        if modality not in spec.signal_tokens:
            raise ValueError(
                f"the {modality} decoder can never be asked for: signal_tokens has "
                f"{dict(spec.signal_tokens)}"
            )
        bridged = spec.bridge == "signal" and kind_of(modality).said is None
        if bridged and modality not in spec.output_projectors:
            raise ValueError(
                f"the {modality} decoder has no output projector; add "
                f"output_projectors[{modality!r}] or use bridge='caption'"
            )


def _known_modality(what: str, value: str) -> None:
    if value not in MEDIA_MODALITIES:
        hint = nearest(value, known_modalities())
        raise ValueError(f"{what[:200]}: unknown value {shown(value)}; {hint}")


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = nearest(value, known)
        raise ValueError(f"{what[:200]}: unknown value {shown(value)}; {hint}")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
