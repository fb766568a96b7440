"""The token loop: ids and embeddings in, text and signal spans out. It knows nothing of messages,
media or decoders.

    prefill [1, L, D] -> sample a token -> feed it -> ...   one forward per text token
                      -> a first signal id -> feed its whole run of S ids in one forward
                                           -> states [S, D]

Legend: L new positions, D width, V ids that have logits, S tokens of one signal run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import Cache

from anyweave.generation.context import context_limit
from anyweave.generation.detokenizer import IncrementalDetokenizer
from anyweave.generation.ending import EndOfTurn, StopStrings
from anyweave.generation.events import EngineEvent, Finished, FinishReason, SignalSpan, TextDelta
from anyweave.generation.options import GenerationOptions
from anyweave.generation.sampling import sample_token
from anyweave.language import CausalLM
from anyweave.messages import Modality
from anyweave.processing import SignalTokens
from anyweave.processing.calls import MOST_WORDS, Calls


@dataclass(frozen=True)
class Wanted:
    """The engine continues once these positions are fed: `embeds` ``[1, L, D]``."""

    embeds: Tensor


class TokenEngine:
    """One sequence in progress: what the language model has consumed, and its key-value cache.

    Each of `stops` is a run of ids that ends a turn and is not part of the reply. `decode` turns
    text ids into text. With `calls` the model asks for media in words, followed by a signal run.
    """

    def __init__(
        self,
        language: CausalLM,
        signals: SignalTokens,
        *,
        stops: Sequence[Sequence[int]],
        decode: Callable[[Sequence[int]], str],
        num_text_ids: int | None = None,
        calls: Calls | None = None,
        use_cache: bool = True,
    ) -> None:
        self.language = language
        self.calls = calls
        self.signals = signals
        self.stops = tuple(tuple(stop) for stop in stops)
        self.decode = decode
        # An embedding matrix may have more rows than the tokenizer has tokens; these are not text.
        self.num_text_ids = signals.base_vocab if num_text_ids is None else num_text_ids
        self.use_cache = use_cache
        self.num_forwards = 0
        self.reset()

    @property
    def caches(self) -> bool:
        """Whether the cache is used. Without it everything is fed again: correct, but slower."""
        return self.use_cache and self.language.feeding.cached

    @property
    def _cuttable(self) -> Cache | None:
        """The cache if it can be cropped: no sliding windows or running states."""
        cache, croppable = self.cache, self.language.feeding.croppable
        return None if cache is None or not croppable or any(cache.is_sliding) else cache

    def reset(self) -> None:
        """Forget everything consumed."""
        self.length = 0
        self.cache: Cache | None = None
        self._embeds_1LD: Tensor | None = None  # everything consumed, only without cache
        self._fed_LD: Tensor | None = None  # states after the positions consumed last
        self._logits_V: Tensor | None = None  # at the last position, if already known

    def keep(self, length: int) -> int:
        """Truncate the consumed sequence to `length` positions; returns how many actually remain.

        A cache that cannot be cropped (sliding windows, running states) is dropped: 0 remain.
        """
        if length >= self.length:
            return self.length
        if length == 0:
            self.reset()
        elif self._embeds_1LD is not None:
            self._embeds_1LD = self._embeds_1LD[:, :length]
            self.length = length
        elif (cache := self._cuttable) is not None:
            cache.crop(length - self.length)  # negative: how many positions to drop
            self.length = length
        else:
            self.reset()
        self._fed_LD = self._logits_V = None
        return self.length

    @torch.inference_mode()
    def feed(self, embeds: Float[Tensor, "1 L D"]) -> Float[Tensor, "L D"]:
        """Consume new positions in one forward; returns the state after each of them."""
        if self.caches:
            new = torch.arange(self.length, self.length + embeds.shape[1], device=embeds.device)
            try:
                hidden_1LD, _ = self.language(
                    embeds,
                    past_key_values=self.open_cache(),
                    use_cache=True,
                    position_ids=new[None],
                )
            except BaseException:
                self.take_back()
                raise
        else:
            seen = (
                embeds if self._embeds_1LD is None else torch.cat([self._embeds_1LD, embeds], dim=1)
            )
            self._embeds_1LD = seen
            hidden_1LD, _ = self.language(seen)
        hidden_LD = hidden_1LD[0, -embeds.shape[1] :]
        self.fed(hidden_LD)
        return hidden_LD

    def open_cache(self) -> Cache:
        """The key-value cache of what was consumed, created if needed."""
        if self.cache is None:
            self.cache = self.language.new_cache()
        return self.cache

    def take_back(self) -> bool:
        """Undo a forward that failed half-way, leaving positions in only some cache layers. False
        if it cannot be undone; everything is then forgotten.
        """
        cache = self._cuttable
        if cache is None:
            self.reset()
            return False
        for layer in cache.layers:
            layer.crop(min(self.length - layer.get_seq_length(), 0))
        return True

    def fed(self, hidden: Float[Tensor, "L D"], logits: Float[Tensor, "V"] | None = None) -> None:
        """Record that new positions were consumed, here or by whoever holds `cache`: the state
        after each, and the last one's logits if known.
        """
        self.num_forwards += 1
        self.length += len(hidden)
        self._fed_LD, self._logits_V = hidden, logits

    def feed_ids(self, ids: Sequence[int]) -> Float[Tensor, "L D"]:
        """Consume tokens in one forward; returns the state after each of them."""
        return self.feed(self._embed(ids))

    def generate(
        self, options: GenerationOptions, prompt: Float[Tensor, "1 L D"] | None = None
    ) -> Generator[EngineEvent, None, None]:
        """Consume `prompt`, then generate until the end of turn, `max_new_tokens` or the model's
        last position; the last event is `Finished`. Forced media are always completed: their
        positions are reserved.

        Raises `ValueError` for a forced or allowed modality without signal tokens, when nothing was
        fed, or when forced media no longer fit.
        """
        for event in self.steps(options, prompt):
            if isinstance(event, Wanted):
                self.feed(event.embeds)
            else:
                yield event

    def steps(
        self, options: GenerationOptions, prompt: Float[Tensor, "1 L D"] | None = None
    ) -> Generator[EngineEvent | Wanted, None, None]:
        """`generate` for a caller that feeds: after each `Wanted` the caller must consume its
        positions, by `feed` or together with other sequences (then it reports them with `fed`).
        """
        if prompt is not None:
            yield Wanted(prompt)
        if self._fed_LD is None:
            raise ValueError("nothing to continue: feed the prompt before generating")
        _check_modalities(options, self.signals)
        limit = context_limit(self.language, options)
        if self._room(limit, options.force) < 0:
            raise ValueError(
                f"{self.length} of the language model's {limit} positions are taken, and the "
                "forced media do not fit into the rest"
            )
        generator = torch.Generator().manual_seed(options.seed or 0)
        text = IncrementalDetokenizer(self.decode)
        strings = StopStrings(options.stop)
        ending = EndOfTurn(self.stops, *([self.calls.uncertain] if self.calls else []))
        said: list[int] = []
        emitted: list[Modality] = []
        count = unfed = 0
        finish_reason: FinishReason = "length"
        while count < options.max_new_tokens:
            owed = [modality for modality in options.force if modality not in emitted]
            if (room := self._room(limit, owed)) < 1:
                break
            media = self._speakable(options, len(emitted), owed, room)
            token_id, called = self._next(options, said, media, generator, ending.held)
            if end := ending.completed_by(token_id):
                self._forget(len(end) - 1, options)
                count -= len(end) - 1
                finish_reason = "stop"
                break
            if called is not None:
                assert self.calls is not None
                spoken = (*ending.held, token_id)
                ending.release()
                tag, before, _ = self.calls.opened(spoken, called)
                for certain in spoken[: len(spoken) - tag]:
                    yield from _deltas(text.push(certain), strings)
                yield from _deltas(text.flush(), strings)
                if before:  # the tag's first token brings it
                    yield from strings.push(TextDelta(text=before, token_ids=()))
                yield from strings.release()
                if strings.found:
                    unfed = 1 - tag  # all of the tag but its last token was consumed
                    break
                others = [m for m in owed if m != called]
                count += yield from self._speak_call(
                    called,
                    options,
                    generator,
                    room=min(self._room(limit, others), options.max_new_tokens - count),
                    ids=spoken[len(spoken) - tag :],
                )
                text = IncrementalDetokenizer(self.decode)
                emitted.append(called)
                continue
            modality = self.signals.modality_of(token_id)
            if modality is not None:
                yield from _last_words(ending, text, strings)
                if strings.found:
                    break
                yield from self._speak_run(modality)
                text = IncrementalDetokenizer(self.decode)
                emitted.append(modality)
                count += self.signals.count(modality)
                continue
            said.append(token_id)
            count += 1
            # Yielded before it is consumed: the listener need not wait for the forward that only
            # the next token needs. Stopping here leaves a sequence without this token.
            for certain in ending.push(token_id):
                yield from _deltas(text.push(certain), strings)
            if strings.found:
                unfed = 1
                break
            yield Wanted(self._embed([token_id]))
        yield from _last_words(ending, text, strings)
        if strings.found:
            self._forget(strings.hidden - unfed, options)
            finish_reason = "stop"
        owed = [modality for modality in options.force if modality not in emitted]
        for place, modality in enumerate(owed):
            if self.calls is not None:
                left = self._room(limit, owed[place + 1 :])
                count += yield from self._speak_call(modality, options, generator, room=left)
            else:
                yield from self._speak_run(modality, forced=True)
                count += self.signals.count(modality)
        yield Finished(finish_reason=finish_reason, num_tokens=count)

    def allowed_ids(self, media: Sequence[Modality]) -> Bool[Tensor, "V"]:
        """Mask of ids that may be sampled: every text id, and for each modality in `media` only the
        id that opens a run. `V` counts base vocabulary and signal ids.
        """
        allowed_V = torch.zeros(self.signals.base_vocab + self.signals.total, dtype=torch.bool)
        allowed_V[: self.num_text_ids] = True
        for modality in media:
            allowed_V[self.signals.first(modality)] = True
        return allowed_V

    def _room(self, limit: int | None, owed: Sequence[Modality]) -> float:
        """Positions left for text after reserving those of the media that must follow."""
        if limit is None:
            return math.inf
        return limit - self.length - sum(map(self._cost, owed))

    def _cost(self, modality: Modality, *, begun: bool = False) -> int:
        """Least number of positions a medium takes; `begun`: once its tag's name is generated."""
        words = 0 if self.calls is None else self.calls.length(modality, begun=begun)
        return self.signals.count(modality) + words

    def _speakable(
        self, options: GenerationOptions, num_media: int, owed: Sequence[Modality], room: float
    ) -> tuple[Modality, ...]:
        """The media that may be requested now: allowed, below the limit, with room for the run."""
        if num_media >= options.max_media:
            return ()
        return tuple(
            m
            for m in self.signals.modalities
            if (options.modalities is None or m in options.modalities)
            and (m in owed or self._cost(m, begun=True) <= room)
        )

    def _forget(self, count: int, options: GenerationOptions) -> None:
        """Remove the ids of an ending that were consumed before it was complete."""
        if self.keep(self.length - count) == 0 and options.force:
            raise ValueError(
                "nothing can be forced after this reply: its ending takes several tokens, and the "
                "cache of this model cannot be cut back to where the reply ends; use "
                "use_cache=False"
            )

    def _speak_run(self, modality: Modality, forced: bool = False) -> Iterator[SignalSpan | Wanted]:
        """Feed a whole run in one forward: it can never be cut short or garbled."""
        ids = self.signals.ids(modality)
        yield Wanted(self._embed(ids))
        assert self._fed_LD is not None
        yield SignalSpan(modality=modality, hidden=self._fed_LD, token_ids=ids, forced=forced)

    def _next(
        self,
        options: GenerationOptions,
        said: Sequence[int],
        media: Sequence[Modality],
        generator: torch.Generator,
        held: Sequence[int],
    ) -> tuple[int, Modality | None]:
        """The next token, and the modality that it calls for in words, if any. Tokens that would
        call for a modality outside `media`, or close an unopened tag, are rejected.
        """
        if (calls := self.calls) is None:
            return self._sample(options, said, media, generator), None
        banned: list[int] = []
        while True:
            token_id = self._sample(options, said, (), generator, banned)
            spoken = (*held, token_id)
            called = calls.begun(spoken)
            if not calls.closes(spoken) and (called is None or called in media):
                return token_id, called
            banned.append(token_id)

    def _speak_call(
        self,
        modality: Modality,
        options: GenerationOptions,
        generator: torch.Generator,
        *,
        room: float,
        ids: Sequence[int] = (),
    ) -> Generator[SignalSpan | Wanted, None, int]:
        """A call in words, then its run; returns their number of ids, including `ids`.

        `ids` are the opening tag as the model began it, all but the last already consumed; without
        them the call is forced. Once begun, a call is always well-formed: its caption is not empty,
        and a closing tag follows when the model closes it, ends its line or its turn, or after
        `MOST_WORDS`.
        """
        assert self.calls is not None
        forced, calls = not ids, self.calls
        rest = calls.opened(ids, modality)[2] if ids else calls.opening[modality]
        yield Wanted(self._embed((*ids[-1:], *rest)))
        call: list[int] = [*ids, *rest]
        words: list[int] = []
        closing = calls.closing[modality]
        most = min(MOST_WORDS, room - len(closing) - self.signals.count(modality))
        banned: list[int] = []
        while len(words) < max(most, 1):
            token_id = self._sample(options, words, (), generator, banned)
            caption = calls.caption([*call, *words, token_id], modality)
            over = calls.is_over(caption) or any(stop[0] == token_id for stop in self.stops)
            if not words and (over or not any(c.isalnum() for c in caption)):
                banned.append(token_id)
                continue
            if over:
                break
            words.append(token_id)
            banned = []
            yield Wanted(self._embed([token_id]))
        call = [*call, *words, *closing]
        run = self.signals.ids(modality)
        yield Wanted(self._embed((*closing, *run)))
        assert self._fed_LD is not None
        yield SignalSpan(
            modality=modality,
            hidden=self._fed_LD[-len(run) :],
            token_ids=run,
            forced=forced,
            caption=" ".join(calls.caption([*call[: -len(closing)]], modality).split()),
            call_ids=tuple(call),
        )
        return len(call) + len(run)

    @torch.inference_mode()
    def _embed(self, ids: Sequence[int]) -> Float[Tensor, "1 L D"]:
        return self.language.embed(torch.tensor([list(ids)], device=self.language.device))

    @torch.inference_mode()
    def _sample(
        self,
        options: GenerationOptions,
        said: Sequence[int],
        media: Sequence[Modality],
        generator: torch.Generator,
        banned: Sequence[int] = (),
    ) -> int:
        assert self._fed_LD is not None
        if self._logits_V is None:
            self._logits_V = self.language.logits(self._fed_LD[-1])
        allowed_V = self.allowed_ids(media)
        allowed_V[list(banned)] = False
        return sample_token(
            self._logits_V,
            allowed=allowed_V,
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=options.top_k,
            repetition_penalty=options.repetition_penalty,
            said=said,
            generator=generator,
        )


def _check_modalities(options: GenerationOptions, signals: SignalTokens) -> None:
    for name in ("modalities", "force"):
        for modality in getattr(options, name) or ():
            if modality != "text" and modality not in signals.modalities:
                raise ValueError(
                    f"{name} asks for {modality}, which this model cannot generate; "
                    f"it generates {', '.join(('text', *signals.modalities))}"
                )


def _deltas(given: tuple[str, tuple[int, ...]] | None, strings: StopStrings) -> Iterator[TextDelta]:
    if given is not None:
        yield from strings.push(TextDelta(text=given[0], token_ids=given[1]))


def _last_words(
    ending: EndOfTurn, text: IncrementalDetokenizer, strings: StopStrings
) -> Iterator[TextDelta]:
    """Yield held-back text when no more text follows."""
    for held in ending.release():
        yield from _deltas(text.push(held), strings)
    yield from _deltas(text.flush(), strings)
    yield from strings.release()
