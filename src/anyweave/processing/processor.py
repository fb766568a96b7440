"""The one renderer: messages become a `Sample` of ids, labels and media, and generated ids become
parts again.

Training, chat, evaluation and serving all go through `Processor.render`, so a reply fed back as a
training sample has exactly the ids that the model spoke. A user's medium becomes a run of
placeholder ids plus a `MediaInput`; an assistant's becomes its signal run plus a `Target`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from anyweave.batch import IGNORE_INDEX, MediaInput, Sample, Target
from anyweave.media.errors import explain
from anyweave.messages import (
    Media,
    Message,
    Modality,
    Part,
    Role,
    Text,
    Video,
    broken_rules,
    kind_of,
)
from anyweave.processing.cache import media_digest
from anyweave.processing.calls import Calls
from anyweave.processing.layout import Piece, Supervision, Truncation, TurnLayout, fit
from anyweave.processing.native import NATIVE, native_template
from anyweave.processing.signals import SignalTokens
from anyweave.processing.template import Template, encode_text, resolve_template

# What frozen parts and the libraries behind them raise on media that they cannot take.
STUMBLES = (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError)
DEFAULT_RATE = 16_000  # Hz, where neither encoder nor decoder names another
_DESCRIBED = "What the user shows you is described to you, as in [image: a dog on a sofa]."
_MOST_WORDED = 4096  # media whose descriptions are remembered
TrainOn = Literal["assistant", "last", "none"]


class MediaEncoder(Protocol):
    """What the processor needs from a frozen encoder (`anyweave.encoders.Encoder` has it)."""

    def preprocess(
        self, modality: Modality, array: np.ndarray, *, rate: float | None = None
    ) -> Tensor: ...


class MediaCaptioner(Protocol):
    """A frozen part that puts media into words, which replace them in the prompt."""

    def describe(
        self, modality: Modality, array: np.ndarray, *, rate: float | None = None
    ) -> str: ...


class Processor:
    """Renders conversations for one model.

    Args:
        tokenizer: of the language model; it is copied, the caller's stays untouched.
        signals: ids of signal and placeholder tokens.
        template: a `Template`, a name from `TEMPLATES`, or "native": the tokenizer's own.
        encoders: the frozen encoder that preprocesses each user modality; absent ones are refused
            in user turns. One with `describe` instead is a captioner: its words replace the medium.
        num_input_tokens: placeholder positions per medium, which is the input projector's token
            count.
        system_prompt: overrides the template's default.
        max_length: most ids in a sample; longer ones raise, or with ``truncate="end"`` are cut at
            their end, as `Sample.cut` reports. A prompt to reply to is never cut.
        supervise_run: "first" learns the first id of a signal run (the rest is forced while
            generating), "all" every id.
        input_rate: sample rate in Hz at which the user's audio is read; None takes the encoder's
            own `sample_rate`, or 16000 if it has none.
        target_rate: likewise for the assistant's audio; a function is called when one is read, as
            the decoder may not exist before.
        own_tokenizer: do not copy the tokenizer, because nobody else uses it.
        calls_in_words: the model asks for media in words (`calls.Calls`), which every system
            message explains.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        signals: SignalTokens,
        template: Template | str,
        encoders: Mapping[Modality, MediaEncoder | MediaCaptioner],
        num_input_tokens: Mapping[Modality, int],
        *,
        system_prompt: str | None = None,
        max_length: int | None = None,
        truncate: Truncation = "error",
        supervise_run: Literal["first", "all"] = "first",
        input_rate: int | None = None,
        target_rate: int | Callable[[], int] = DEFAULT_RATE,
        own_tokenizer: bool = False,
        calls_in_words: bool = False,
    ) -> None:
        if len(tokenizer) > signals.base_vocab:
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens but signal ids start at "
                f"{signals.base_vocab}; "
                "give SignalTokens the number of rows of the base embedding matrix"
            )
        # Whether special tokens are split is state of the tokenizer, and threads may share ours.
        self.tokenizer = tokenizer if own_tokenizer else copy.deepcopy(tokenizer)
        self.signals = signals
        self.template = (
            native_template(self.tokenizer) if template == NATIVE else resolve_template(template)
        )
        # Everything but text is encoded now: afterwards the tokenizer's handling of special tokens
        # never changes, and threads may render at the same time.
        self.control = self.template.bind(self.tokenizer)
        self.turn_ids = self.control.turns
        encode_text(self.tokenizer, "a")
        self.encoders: dict[Modality, Any] = dict(encoders)
        self._words: dict[str, str] = {}
        self.num_input_tokens = dict(num_input_tokens)
        self.calls = (
            Calls(signals.modalities, encode=self._encode, decode=self.decode_text)
            if calls_in_words
            else None
        )
        self.system_prompt = self.template.system_prompt if system_prompt is None else system_prompt
        self.max_length = max_length
        self.truncate = truncate
        self.supervise_run = supervise_run
        own_rate = getattr(self.encoders.get("audio"), "sample_rate", None)
        self.input_rate = input_rate or own_rate or DEFAULT_RATE
        self.target_rate = target_rate

    def _encode(self, text: str) -> tuple[int, ...]:
        return encode_text(self.tokenizer, text)

    def cost(self, modality: Modality) -> int:
        """The fewest positions that asking for a medium takes."""
        words = 0 if self.calls is None else self.calls.length(modality)
        return self.signals.count(modality) + words

    @property
    def end_of_turn_id(self) -> int:
        """The id that ends a reply; the first of them where a template ends turns in several."""
        return self.turn_ids["assistant"].end[0]

    @property
    def stops(self) -> tuple[tuple[int, ...], ...]:
        """All runs of ids at which generation stops (see `BoundTemplate`)."""
        return self.control.stops

    @property
    def pad_id(self) -> int:
        """The id that collate pads with; any ordinary id does, the attention mask hides it."""
        pad = self.tokenizer.pad_token_id
        return self.end_of_turn_id if pad is None else int(pad)

    # messages -> Sample

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = False,
        train_on: TrainOn = "assistant",
        new_from: int = 0,
        load_targets: bool | None = None,
        read: bool = True,
    ) -> Sample:
        """One conversation as ids, labels, media and targets.

        Args:
            messages: an optional system message, then user and assistant turns.
            add_generation_prompt: end with the opening of an assistant turn, ready to generate.
            train_on: labels on every assistant turn, on the last one only, or nowhere. Labels are
                not shifted.
            new_from: media of messages before this index are left out of the sample (their ids
                stay): a chat that holds them in its KV cache neither reads nor encodes them again.
            load_targets: read the assistant's media into `Target.array`; False keeps captions only.
                By default they are read for training, but not with a generation prompt.
            read: whether media are read at all; otherwise `read` does it later, for what a cache
                does not have.

        Raises:
            ValueError: no messages, a modality that the model cannot take or make, or too many ids.
        """
        load = (not add_generation_prompt) if load_targets is None else load_targets
        turns = self._layout(messages, train_on)
        prompt = self.turn_ids["assistant"].prefix if add_generation_prompt else ()
        if add_generation_prompt and turns[-1].role == "assistant":
            raise ValueError(
                "add_generation_prompt asks for a reply, but the last message is the assistant's; "
                "end with a user message"
            )
        opening = self._opening(turns)
        truncate = "error" if add_generation_prompt else self.truncate
        turns, cut = fit(turns, len(opening) + len(prompt), self.max_length, truncate)
        ids: list[int] = list(opening)
        labels: list[int] = [IGNORE_INDEX] * len(opening)
        media: list[MediaInput] = []
        targets: list[Target] = []
        for turn in turns:
            for piece in turn.pieces:
                if piece.media is not None and turn.index >= new_from:
                    part, place = piece.media, (len(ids), len(piece.ids))
                    if turn.role == "assistant":
                        targets.append(Target(part.modality, *place, part.caption, part))
                    else:
                        media.append(MediaInput(part.modality, *place, part))
                labels += _labels(piece)
                ids += piece.ids
        ids += prompt
        labels += [IGNORE_INDEX] * len(prompt)
        sample = Sample(
            input_ids=torch.tensor(ids, dtype=torch.long),
            labels=torch.tensor(labels, dtype=torch.long),
            media=tuple(media),
            targets=tuple(targets),
            cut=cut,
            shortened=tuple(p.shortened for turn in turns for p in turn.pieces if p.shortened),
        )
        return self.read(sample, targets=load) if read else sample

    def read(self, sample: Sample, *, targets: bool) -> Sample:
        """The sample with its media read, where they have no features or latents yet; `targets`:
        the assistant's too. Raises `MediaError`.
        """
        media = (
            medium
            if medium.part is None or medium.features is not None
            else replace(medium, inputs=self.preprocess(medium.part))
            for medium in sample.media
        )
        made = map(self._read_target, sample.targets) if targets else sample.targets
        return replace(sample, media=tuple(media), targets=tuple(made))

    def length(self, messages: Sequence[Message]) -> int:
        """Number of ids of a conversation, without reading its media (for length bucketing)."""
        turns = self._layout(messages, "none")
        overhead = len(self._opening(turns))
        kept, _ = fit(turns, overhead, self.max_length, self.truncate)
        return overhead + sum(turn.length for turn in kept)

    def turn_lengths(self, messages: Sequence[Message]) -> list[int]:
        """Number of ids of each message, without reading its media. What opens a conversation (its
        first id, a default system prompt) belongs to none of them.
        """
        return [turn.length for turn in self._layout(messages, "none") if turn.index >= 0]

    def decode_text(self, ids: Sequence[int]) -> str:
        """Plain text of ids; signal, placeholder and special tokens are left out."""
        plain = [int(i) for i in ids if int(i) < self.signals.base_vocab]
        return str(
            self.tokenizer.decode(
                plain, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    # pieces

    def _layout(self, messages: Sequence[Message], train_on: TrainOn) -> list[TurnLayout]:
        problems = broken_rules(messages)
        if problems:
            raise ValueError(problems[0])
        last_reply = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=-1)
        turns: list[TurnLayout] = []
        opened = self._opened(messages)
        users = [place for place, (message, _) in enumerate(opened) if message.role == "user"]
        joined = self.control.system_opens_user and opened[0][0].role == "system"
        for place, (message, index) in enumerate(opened):
            learn = train_on == "assistant" or (train_on == "last" and index == last_reply)
            learn = learn and message.role == "assistant" and index >= 0
            opens = place in users[:1]
            turn = self._turn(message, index, learn, opens)
            if opens and joined:
                turn = replace(turn, pieces=turn.pieces[bool(self.turn_ids["user"].prefix) :])
            turns.append(turn)
        return turns

    def _opened(self, messages: Sequence[Message]) -> list[tuple[Message, int]]:
        """The messages with their indices, after what is said and shown before them all (-1)."""
        said = list(enumerate(messages))
        opening = said[:1] if messages[0].role == "system" else []
        told = [_DESCRIBED] if any(map(self.is_described, self.encoders)) else []
        explanation = " ".join([*([self.calls.explanation] if self.calls else []), *told])
        system: tuple[Part | str, ...] = opening[0][1].parts if opening else ()
        if not opening and self.system_prompt:
            system = (self.system_prompt,)
        if explanation:
            system = (*system, f"\n\n{explanation}" if system else explanation)
        shown = [] if self.calls is None else self.calls.examples
        return [
            *([(Message("system", system), 0 if opening else -1)] if system or opening else []),
            *((message, -1) for message in shown),
            *((message, index) for index, message in said[len(opening) :]),
        ]

    def _opening(self, turns: Sequence[TurnLayout]) -> tuple[int, ...]:
        control = self.control
        return control.opening_with_system if turns[0].role == "system" else control.opening

    def _turn(self, message: Message, index: int, learn: bool, opens: bool = False) -> TurnLayout:
        control = self.turn_ids[message.role]
        supervised: Supervision = "all" if learn else "none"
        begins_with_text = opens and isinstance(next(iter(message.parts), None), Text)
        pieces = [
            Piece(control.prefix, control=True),
            Piece(self.control.before_first_text if begins_with_text else (), control=True),
            *self._content(message, supervised),
            Piece(control.end, supervised, control=True),
            Piece(control.suffix, control=True),
        ]
        return TurnLayout(message.role, index, tuple(piece for piece in pieces if piece.ids))

    def _content(self, message: Message, supervised: Supervision) -> list[Piece]:
        pieces = []
        so_far = ""  # the text since the last medium
        for part in message.parts:
            if isinstance(part, Text):
                pieces.append(Piece(self._text_ids(part), supervised))
                so_far += part.text
                continue
            line = "\n" if so_far and not so_far.endswith("\n") else ""
            if message.role == "assistant":
                if self.calls is not None:  # never cut inside: a call is whole or absent
                    call = Text("", token_ids=self.calls.ids(part))
                    pieces.append(Piece(self._text_ids(call), supervised, control=True))
                elif (words := _said(part)) and words.strip() not in so_far:
                    pieces.append(Piece(self._text_ids(Text(line + words)), supervised))
                run = self.signals.ids(part.modality)
                pieces.append(
                    Piece(run, self.supervise_run if supervised == "all" else "none", part)
                )
            elif self.is_described(part.modality):
                words = f"[{part.modality}: {self.words(part)}]"
                pieces.append(Piece(encode_text(self.tokenizer, words)))
            elif part.modality not in self.encoders and kind_of(part.modality).as_text:
                pieces.append(self._in_words(part, line))
            else:
                run = self._placeholders(part.modality, message.role)
                around = [Piece(ids, control=True) for ids in self.control.around_media]
                pieces += [around[0], Piece(run, "none", part), around[1]]
            so_far = ""
        return pieces

    def _in_words(self, part: Media, line: str) -> Piece:
        """A user medium that is read as words."""
        to_text = kind_of(part.modality).as_text
        assert to_text is not None
        words, left_out = to_text(load_array(part, DEFAULT_RATE)[0])
        note = f"{part.name}: only {left_out} are read" if left_out else ""
        return Piece(self._text_ids(Text(line + words)), shortened=note)

    def _text_ids(self, part: Text) -> tuple[int, ...]:
        if part.token_ids is None:
            return encode_text(self.tokenizer, part.text)
        outside = [i for i in part.token_ids if not 0 <= i < self.signals.base_vocab]
        if outside:
            raise ValueError(
                f"Text.token_ids holds {outside[0]}, outside the base vocabulary of "
                f"{self.signals.base_vocab}; "
                "signal runs are media parts"
            )
        return tuple(part.token_ids)

    def _placeholders(self, modality: Modality, role: Role) -> tuple[int, ...]:
        if modality not in self.encoders or not self.num_input_tokens.get(modality):
            able = ", ".join(self.encoders) or "text only"
            raise ValueError(
                f"this model takes no {modality} as input (in a {role} message); it takes {able}"
            )
        return (self.signals.placeholder(modality),) * self.num_input_tokens[modality]

    # media

    def is_described(self, modality: Modality) -> bool:
        """Whether a captioner puts the user's media of this kind into words."""
        return hasattr(self.encoders.get(modality), "describe")

    def words(self, part: Media) -> str:
        """A user's medium in its captioner's words, remembered by content. Raises `MediaError` for
        one that cannot be read.
        """
        digest = media_digest(part)
        if (known := self._words.get(digest)) is not None:
            return known
        array, rate = load_array(part, self.input_rate)
        reason = f"the {part.modality} captioner cannot describe it, shape {list(array.shape)}"
        with explain(part.name, reason, "leave it out, or convert it", STUMBLES):
            said = self.encoders[part.modality].describe(part.modality, array, rate=rate)
        words: str = " ".join(said.split()) or "nothing that the captioner could name"
        while len(self._words) >= _MOST_WORDED:
            self._words.pop(next(iter(self._words)), None)
        self._words[digest] = words
        return words

    def preprocess(self, part: Media) -> Tensor:
        """A user medium as its encoder's input tensor, without batch axis. An error in the
        encoder's own preprocessing becomes a `MediaError` with the medium's name.
        """
        if part.source is None:
            raise ValueError(
                f"a {part.modality} in a user message has no source to read; give a path, bytes or "
                "array"
            )
        array, rate = load_array(part, self.input_rate)
        reason = f"the {part.modality} encoder cannot prepare it, shape {list(array.shape)}"
        with explain(part.name, reason, "leave it out, or convert it", STUMBLES):
            return self.encoders[part.modality].preprocess(part.modality, array, rate=rate)

    def _read_target(self, target: Target) -> Target:
        if target.part is None or target.part.source is None or target.latents is not None:
            return target
        array, rate = load_array(target.part, self._target_rate(target.modality))
        return replace(target, array=array, rate=rate)

    def _target_rate(self, modality: Modality) -> int:
        if modality != "audio":
            return DEFAULT_RATE  # nothing to resample, and no decoder to ask
        return self.target_rate() if callable(self.target_rate) else self.target_rate


def load_array(part: Media, sample_rate: int) -> tuple[np.ndarray, float | None]:
    """A medium as an array and its rate: Hz for audio, frames/s for video, None for images, the
    part's own for other kinds.
    """
    from anyweave import media

    if isinstance(part, Video):
        return media.load_video_with_rate(part)
    return media.read(part, sample_rate=sample_rate)


def _said(part: Media) -> str:
    """The words that a medium is made from, if they have to come before it; the model's own replies
    already have them.
    """
    to_words = kind_of(part.modality).said
    if to_words is None or part.source is None or part.generated:
        return ""
    with explain(part.name, "it cannot be said", "make it smaller", STUMBLES):
        return to_words(load_array(part, DEFAULT_RATE)[0])


def _labels(piece: Piece) -> list[int]:
    if piece.supervised == "all":
        return list(piece.ids)
    if piece.supervised == "first":
        return [piece.ids[0], *[IGNORE_INDEX] * (len(piece.ids) - 1)]
    return [IGNORE_INDEX] * len(piece.ids)
