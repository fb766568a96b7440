"""Options of one reply. None is accepted and then ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from anyweave.errors import nearest
from anyweave.messages import MEDIA_MODALITIES, MODALITIES, Modality, kind_of


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """Options of one reply: first the language model's, then the diffusion decoders' (None is the
    decoder's own default).

    Raises `ValueError` for a value out of range or a modality that does not exist.
    """

    max_new_tokens: int = 256
    """Stop after this many tokens; a signal run that has begun is always completed."""
    context_length: int | None = None
    """Positions that a prompt and its reply may take together. None is the language model's own
    limit; a longer conversation drops its oldest exchanges.
    """
    temperature: float = 0.7
    """0 is greedy: always the likeliest token."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens with at least this share of probability."""
    top_k: int = 0
    """Sample from the k likeliest tokens; 0 means all."""
    repetition_penalty: float = 1.0
    """Above 1, lowers the logits of tokens already in this reply, except signal tokens."""
    seed: int | None = None
    """Seeds the sampling and, offset by the medium's number in the reply, each decoder. None draws
    a random one.
    """
    stop: tuple[str, ...] = ()
    """A reply's text ends before the first occurrence of any of these strings."""
    modalities: tuple[Modality, ...] | None = None
    """Media the model may answer with; None allows all. Text is always allowed."""
    force: tuple[Modality, ...] = ()
    """Media that the reply must contain; those the model did not ask for are appended."""
    max_media: int = 4
    """After this many media the model can ask for no more; forced ones are exempt."""
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    """Name of the sampling scheduler."""
    negative_prompt: str | None = None
    """What the media should not show; needs the decoder's text encoder."""
    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    fps: float | None = None
    """Frames per second written on a clip; does not change the frames."""
    audio_length: float | None = None
    """Seconds of sound."""
    edit: Literal["never", "auto", "always"] = "never"
    """Whether a new medium is made from the latest of its kind in the conversation, changing one
    thing and keeping the rest. "auto" does so if the model asks for nearly the same as before.
    """
    strength: float | None = None
    """Editing only: how far back towards noise the source goes; near 0 keeps it. None chooses it
    from what is to be changed.
    """
    retrieve: bool = True
    """Whether media may come from the conversation's index, if it has one."""
    decode_media: bool = True
    """False makes no media: the reply holds only their captions."""
    batch_media: bool = True
    """Decode the media of one modality in one batch; False decodes one at a time and needs less
    memory.
    """
    previews: bool = False
    """Add small preview pictures of pictures and clips to the progress events."""
    use_cache: bool = True
    """Keep keys and values between steps. False recomputes everything: slow, for tests."""

    merge_adapters: bool = True
    """Reply with the adapters merged into copies of the matrices they adapt: faster, at the cost of
    these copies' memory. Training and saving do not see the copies.
    """
    quantization: Literal["int8"] | None = None
    """8-bit copies of the language model's weights, for replies on a CPU: faster, for 50% more
    memory. Only weights are quantised, and prompts are read with the original weights.
    """

    def __post_init__(self) -> None:
        _at_least("max_new_tokens", self.max_new_tokens, 1)
        if self.context_length is not None:
            _at_least("context_length", self.context_length, 1)
        if self.quantization not in (None, "int8"):
            raise ValueError(
                f"unknown quantization {self.quantization!r} of replies; there is 'int8' (weights "
                "alone: with quantised activations the model no longer says the same)"
            )
        _at_least("temperature", self.temperature, 0)
        _at_least("top_k", self.top_k, 0)
        _at_least("max_media", self.max_media, 0)
        _share("top_p", self.top_p)
        _share("strength", 1.0 if self.strength is None else self.strength)
        if self.edit not in ("never", "auto", "always"):
            raise ValueError(f"edit is never, auto or always, got {self.edit!r}")
        if self.strength == 0:
            raise ValueError("strength must be above 0: at 0 the source itself is the answer")
        object.__setattr__(self, "stop", _stops(self.stop))
        if not 0.01 <= self.repetition_penalty <= 100:  # beyond, scores are no longer finite
            raise ValueError(
                f"repetition_penalty must be from 0.01 to 100, got {self.repetition_penalty}"
            )
        for name in ("num_inference_steps", "height", "width", "num_frames", "fps", "audio_length"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(
                    f"{name} must be above 0, got {value}; None is the default of the decoder"
                )
        for name, known in (("modalities", MODALITIES), ("force", MEDIA_MODALITIES)):
            object.__setattr__(self, name, _modalities(name, getattr(self, name), known))
        if self.modalities is not None:
            masked = [modality for modality in self.force if modality not in self.modalities]
            if masked:
                raise ValueError(
                    f"force names {', '.join(masked)}, which modalities={self.modalities} rules out"
                )

    def with_overrides(self, **overrides: Any) -> GenerationOptions:
        """The same options with some replaced. Raises `ValueError` for an unknown name."""
        known = [item.name for item in fields(self)]
        for name in overrides:
            if name not in known:
                raise ValueError(f"there is no generation option {name!r}; {nearest(name, known)}")
        return replace(self, **overrides)

    def decoder_arguments(self, modality: Modality) -> dict[str, Any]:
        """Keyword arguments for a decoder's `generate`: the options that are set and apply to this
        modality. A reply may hold several kinds of media, so sizes apply only where meaningful.
        """
        names = (*_SAMPLING_OPTIONS, *kind_of(modality).sizes)
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def rate(self, modality: Modality, default: float | None) -> float | None:
        """The rate of a generated medium: the decoder's own, or `fps` for media with frames."""
        counts_frames = "num_frames" in kind_of(modality).sizes
        return self.fps if counts_frames and self.fps is not None else default


_SAMPLING_OPTIONS = ("num_inference_steps", "guidance_scale", "scheduler")


def _modalities(name: str, given: Any, known: Sequence[Modality]) -> tuple[Modality, ...] | None:
    if given is None:
        return None
    values = (given,) if isinstance(given, str) else tuple(given)
    for value in values:
        if value not in known:
            raise ValueError(f"{name} names {value!r}; {nearest(value, known, 'it takes')}")
        if values.count(value) > 1:
            raise ValueError(f"{name} names {value!r} {values.count(value)} times; once is enough")
    return values


def _stops(given: str | Sequence[str]) -> tuple[str, ...]:
    stops = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(stop, str) and stop for stop in stops):
        raise ValueError(f"stop takes strings of one character or more, got {given!r}")
    return stops


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value}")
