"""A conversation: messages in, events or messages out. Keys, values and encoded media are kept
between turns.
"""

from __future__ import annotations

import operator
import secrets
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anyweave.batch import Sample
from anyweave.decoders.editing import Edit
from anyweave.decoders.sampling import Step, Steps
from anyweave.generation.context import context_limit, fit_context
from anyweave.generation.denoising import Denoising, decoder_arguments
from anyweave.generation.draft import Draft, Finder, unlearned
from anyweave.generation.engine import TokenEngine
from anyweave.generation.events import (
    Described,
    Done,
    Edited,
    EngineEvent,
    Event,
    Finished,
    MediaDone,
    Progress,
    SignalSpan,
    TextDelta,
    Usage,
)
from anyweave.generation.options import GenerationOptions
from anyweave.generation.reply import Reply
from anyweave.generation.sources import Source, Sources
from anyweave.language.replying import for_replies
from anyweave.messages import MEDIA_TYPES, Media, Message, Modality, Part, kind_of
from anyweave.model.any_to_any import NextGPT
from anyweave.processing import collate

T = TypeVar("T")
Said = Message | str | Part | Iterable[Part | str]
"""A user's turn: a message, or the parts of one."""


class ChatSession:
    """One conversation with one model.

    Not thread-safe: its work runs in the caller's thread, so sessions of one model must not be used
    from two threads at once. `batching.ReplyBatcher.chat` opens conversations that can each have
    their own thread and are answered together.

    A turn that ends in an error, or whose events are not read to `Done`, leaves the conversation
    unchanged. `messages` holds what the model still knows: when a turn and its reply no longer fit
    into the context, the oldest exchanges are dropped with their media, and the reply's
    `usage.dropped` says how many.
    """

    def __init__(
        self,
        model: NextGPT,
        options: GenerationOptions | None = None,
        *,
        messages: Iterable[Message] = (),
        finder: Finder | None = None,
    ) -> None:
        """`finder` is called for each medium before it is made (`retrieval.Finder`)."""
        # `eval` walks every module: slow for each new conversation with a model of many layers.
        self.model = model.eval() if _in_training(model) else model
        self.options = options or GenerationOptions()
        self.messages: list[Message] = list(messages)
        self._ids: list[int] = []  # ids so far; the engine may lack the last ones
        self._seen: list[Message] = []  # the messages whose media they include
        self._sources = Sources()
        self._finder = finder
        self._shortened: tuple[str, ...] = ()
        self._engine = self._new_engine()

    @property
    def generates(self) -> tuple[Modality, ...]:
        """The media that the model can answer with."""
        return tuple(self.model.spec.decoders)

    def conditioning_of(self, part: Media) -> Float[Tensor, "1 Q C"] | None:
        """The decoder's conditioning for a medium that this session made; None for others."""
        return self._sources.old(part)

    def reply(
        self, message: Said, options: GenerationOptions | None = None, **overrides: Any
    ) -> Reply:
        """Send a message and wait for the whole reply. Arguments as in `send`."""
        for event in self.send(message, options, **overrides):
            if isinstance(event, Done):
                return event.message
        raise AssertionError("send ends with Done")

    def send(
        self,
        message: Said,
        options: GenerationOptions | None = None,
        *,
        source: Media | None = None,
        **overrides: Any,
    ) -> Generator[Event, None, None]:
        """Send a message and stream the reply: text at once, then each medium with its progress,
        then `Done`.

        `overrides` replace single options for this turn. `source` is a medium to edit: decoders of
        its modality start from it (see `editing.edit`). Raises `ValueError` for a message that is
        not the user's, or that alone exceeds the model's context.
        """
        user = message if isinstance(message, Message) else Message("user", message)
        if user.role != "user":
            raise ValueError(f"a turn begins with a user's message, got one of role {user.role!r}")
        settings = (options or self.options).with_overrides(**overrides)
        if settings.seed is None:
            settings = replace(settings, seed=secrets.randbits(31))
        return self._turn(user, settings, source)

    def _turn(
        self, user: Message, options: GenerationOptions, source: Media | None
    ) -> Generator[Event, None, None]:
        draft = Draft()
        started = time.perf_counter()
        limit = context_limit(self.model.language, options)
        described = self._described(user)
        conversation, dropped = fit_context(
            self.model.processor, [*self.messages, user], options, limit
        )
        prompt, cached_tokens = self._prompt(conversation, options)
        prompt_tokens = len(self._ids)
        finished: Finished | None = None
        finder = self._finder if options.retrieve and options.decode_media else None
        with closing(self._speak(prompt, options)) as events:
            for event in events:
                if isinstance(event, TextDelta):
                    self._ids.extend(event.token_ids or ())
                    draft.add_text(event)
                    if event.text:  # ids without a complete character are kept, not shown
                        yield event
                elif isinstance(event, SignalSpan):
                    self._ids.extend((*event.call_ids, *event.token_ids))
                    decoder = self.model.spec.decoders.get(event.modality)
                    asked = draft.add_span(event, decoder, finder, conversation[-1].text)
                    yield asked
                    if told := unlearned(asked):
                        yield TextDelta(text=told, token_ids=None)
                else:
                    finished = event
        assert finished is not None
        draft.seconds["text"] = time.perf_counter() - started
        for index, found in draft.found.items():
            draft.parts[index] = found.part
            yield MediaDone(index=index, part=found.part, retrieved=found)
        yield from self._decode(draft, options, source, conversation)
        reply = draft.message()
        self.messages = [*conversation, reply]
        self._sources.keep(self.messages)
        usage = Usage(
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            completion_tokens=finished.num_tokens,
            dropped=dropped,
            described=described,
            context_length=limit,
            shortened=self._shortened,
            seconds=dict(draft.seconds),
            steps=dict(draft.steps),
        )
        yield Done(message=reply, finish_reason=finished.finish_reason, usage=usage)

    def _described(self, user: Message) -> tuple[Described, ...]:
        """Captioners' words for the media of `user`. Also describes those of earlier turns if not
        yet done.
        """
        processor = self.model.processor

        def read() -> tuple[Described, ...]:
            told: tuple[Described, ...] = ()
            for message in (*self.messages, user):
                media = message.media() if message.role == "user" else []
                told = tuple(
                    Described(modality=part.modality, words=processor.words(part))
                    for part in media
                    if processor.is_described(part.modality) and part.source is not None
                )
            return told

        return self._on_model(read) if any(map(processor.is_described, processor.encoders)) else ()

    def _new_engine(self) -> TokenEngine:
        processor = self.model.processor
        return TokenEngine(
            self.model.language,
            processor.signals,
            stops=(*processor.stops, *((i,) for i in self.model.language.eos_ids)),
            decode=processor.decode_text,
            num_text_ids=len(processor.tokenizer),
            calls=processor.calls,
            use_cache=self.options.use_cache,
        )

    def _prompt(
        self, conversation: Sequence[Message], options: GenerationOptions
    ) -> tuple[Float[Tensor, "1 L D"], int]:
        """Embeddings the engine has not seen yet, and how many prompt tokens it already has."""
        language = self._on_model(
            partial(
                for_replies,
                self.model.language,
                merge=options.merge_adapters,
                quantization=options.quantization,
            )
        )
        engine = self._engine
        if options.use_cache != engine.use_cache or language is not engine.language:
            # Keys and values from other weights are useless.
            engine.use_cache, engine.language = options.use_cache, language
            engine.reset()
            self._ids, self._seen = [], []
        seen = common_prefix(self._seen, conversation, same=operator.is_)
        sample, common = self._plan(conversation, seen)
        if common < 0:
            sample, common = self._plan(conversation, 0)
        self._ids, self._seen = self._ids[:common], []
        embeds = self._on_model(partial(self._embed_from, sample, common))
        # The engine consumes them when it generates.
        self._ids, self._seen = sample.input_ids.tolist(), list(conversation)
        self._shortened = sample.shortened
        return embeds, common

    # All work on the model is here: `batching` overrides it to serve conversations together.

    def _on_model(self, work: Callable[[], T]) -> T:
        return work()

    def _on_decoders(self, work: Callable[[], T]) -> T:
        return work()

    def _speak(
        self, prompt: Float[Tensor, "1 L D"], options: GenerationOptions
    ) -> Generator[EngineEvent, None, None]:
        return self._engine.generate(options, prompt)

    def _denoise(self, work: Denoising) -> Steps[list[np.ndarray]]:
        return work.steps()

    def _plan(self, conversation: Sequence[Message], seen: int) -> tuple[Sample, int]:
        """Render with the media of the messages after the first `seen` ones. Also returns how many
        positions need no feeding, or -1 if an omitted medium would have to be fed after all.
        """
        sample = self.model.processor.render(
            conversation,
            add_generation_prompt=True,
            train_on="none",
            new_from=seen,
            load_targets=False,
        )
        ids: list[int] = sample.input_ids.tolist()
        # The last position is always fed again: the first token is sampled from its state.
        # Equal ids do not imply equal media, so media rendered now are fed now.
        common = min(
            [common_prefix(self._ids, ids), len(ids) - 1, *(m.start for m in sample.media)]
        )
        common = self._engine.keep(common)
        given = {m.start + offset for m in sample.media for offset in range(m.length)}
        signals = self.model.processor.signals
        lost = any(
            signals.is_placeholder(ids[place]) and place not in given
            for place in range(common, len(ids))
        )
        return sample, -1 if lost and seen else common

    @torch.inference_mode()
    def _embed_from(self, sample: Sample, start: int) -> Float[Tensor, "1 L D"]:
        """Embeddings of the positions from `start`; media before it are neither encoded nor
        projected again.
        """
        rest = replace(
            sample,
            input_ids=sample.input_ids[start:],
            labels=sample.labels[start:],
            media=tuple(
                replace(m, start=m.start - start) for m in sample.media if m.start >= start
            ),
            targets=(),
        )
        return self.model.embed(collate([rest], pad_id=0).to(self.model.device))

    def _decode(
        self,
        draft: Draft,
        options: GenerationOptions,
        source: Media | None,
        conversation: Sequence[Message],
    ) -> Iterator[Event]:
        """Turn the reply's spans into media: one batch per modality, or one at a time."""
        captions = draft.captions()
        if not options.decode_media:
            for index, span in enumerate(draft.spans):
                draft.parts[index] = MEDIA_TYPES[span.modality](
                    caption=captions[index], token_ids=span.call_ids or None
                )
            return
        for modality, indices in _groups(
            draft.spans, batched=options.batch_media, but=draft.parts.keys()
        ):
            begun = time.perf_counter()
            found = self._sources.find(modality, conversation, source, options, len(indices))
            work = self._on_decoders(
                partial(self._prepare, modality, indices, draft, captions, options, found)
            )
            arrays = yield from self._generate(modality, indices, draft, work)
            draft.seconds[modality] += time.perf_counter() - begun
            rate = options.rate(modality, self.model.decoders[modality].rate)
            for place, (index, array) in enumerate(zip(indices, arrays, strict=True)):
                part = MEDIA_TYPES[modality](
                    source=array,
                    caption=captions[index],
                    rate=rate,
                    generated=True,
                    token_ids=draft.spans[index].call_ids or None,
                )
                draft.parts[index] = part
                self._sources.add(part, work.conditioning[place : place + 1])
                yield MediaDone(index=index, part=part, edited=_edited(work, found, place))

    @torch.inference_mode()
    def _prepare(
        self,
        modality: Modality,
        indices: tuple[int, ...],
        draft: Draft,
        captions: Mapping[int, str],
        options: GenerationOptions,
        found: Source | None,
    ) -> Denoising:
        decoder = self.model.decoders[modality]
        if kind_of(modality).said is not None:
            conditioning = decoder.encode_captions([draft.words(index) for index in indices])
        elif self.model.spec.bridge == "caption":
            conditioning = decoder.encode_captions([captions[index] for index in indices])
        else:
            hidden_TSD = torch.stack([draft.spans[index].hidden for index in indices])
            conditioning = self.model.condition(modality, hidden_TSD)
        if found is not None and not found.serves(captions[indices[0]], options, decoder):
            found = None
        return Denoising(
            decoder=decoder,
            conditioning=conditioning,
            seeds=[(options.seed or 0) + index for index in indices],
            arguments=decoder_arguments(
                self.model,
                modality,
                options,
                count=len(indices),
                source=None if found is None else found.part,
                old=None if found is None else found.old,
            ),
            alone=not options.batch_media,
            previews=options.previews,
        )

    def _generate(
        self, modality: Modality, indices: tuple[int, ...], draft: Draft, work: Denoising
    ) -> Generator[Event, None, list[np.ndarray]]:
        steps = self._denoise(work)
        with closing(steps):
            while True:
                try:
                    step = Step(*next(steps))
                except StopIteration as stop:
                    made: list[np.ndarray] = stop.value
                    return made
                draft.steps[modality] += len(indices)
                yield Progress(
                    modality=modality,
                    indices=indices,
                    step=step.number,
                    total=step.total,
                    previews=None if step.previews is None else tuple(step.previews),
                )


def _edited(work: Denoising, found: Source | None, place: int) -> Edited | None:
    if found is None or "latents" not in work.arguments:
        return None
    given = work.arguments.get("strength")
    edit: Edit = work.arguments.get("edit") or Edit(work.conditioning, chosen=given)
    return Edited(
        caption=found.part.caption or "",
        strength=edit.chosen,
        changed=edit.changed[place] if edit.changed else None,
        known=found.old is not None,
    )


def _in_training(model: NextGPT) -> bool:
    """Whether the model, or a part that `train` switches separately, is in training mode."""
    parts = (model, model.language, *model.input_projectors.values())
    return any(part.training for part in (*parts, *model.output_projectors.values()))


def _groups(
    spans: Sequence[SignalSpan], *, batched: bool, but: Collection[int] = ()
) -> list[tuple[Modality, tuple[int, ...]]]:
    """Indices of spans to decode together, in the order of each group's first span, without those
    in `but`.
    """
    left = [(index, span) for index, span in enumerate(spans) if index not in but]
    if not batched:
        return [(span.modality, (index,)) for index, span in left]
    groups: dict[Modality, list[int]] = {}
    for index, span in left:
        groups.setdefault(span.modality, []).append(index)
    return [(modality, tuple(indices)) for modality, indices in groups.items()]


def common_prefix(
    left: Sequence[Any], right: Sequence[Any], same: Callable[[Any, Any], bool] = operator.eq
) -> int:
    """Length of the common prefix."""
    length = 0
    for a, b in zip(left, right, strict=False):
        if not same(a, b):
            break
        length += 1
    return length
