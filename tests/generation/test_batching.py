"""Many conversations together say what each says alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from anyweave.generation import ChatSession, Done, GenerationOptions, Progress, worker
from anyweave.generation.batching import ReplyBatcher
from anyweave.generation.denoising import Denoising
from anyweave.language import packing
from anyweave.language.packing import PackedRows
from anyweave.messages import Image, Message
from anyweave.model import NextGPT
from anyweave.testing.model import tiny_model

OPTIONS = GenerationOptions(max_new_tokens=12, temperature=1.0, seed=3, num_inference_steps=2)


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


@pytest.fixture
def batcher(model: NextGPT) -> Iterator[ReplyBatcher]:
    with ReplyBatcher(model, max_rows=4) as opened:
        yield opened


def picture(seed: int = 0) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 255, (24, 30, 3), dtype=np.uint8))


def together(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Each in a thread of its own, all at once."""
    gate = threading.Barrier(len(works))

    def at_once(work: Callable[[], Any]) -> Any:
        gate.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(at_once, works))


def talk(session: ChatSession, turns: Sequence[Any], **overrides: Any) -> list[Done]:
    done = []
    for number, turn in enumerate(turns):
        *_, last = session.send(turn, seed=number, **overrides)
        assert isinstance(last, Done)
        done.append(last)
    return done


def same(one: Message, other: Message) -> None:
    assert one.text == other.text
    assert [m.modality for m in one.media()] == [m.modality for m in other.media()]
    for a, b in zip(one.media(), other.media(), strict=True):
        assert a.caption == b.caption
        np.testing.assert_allclose(a.source.astype(float), b.source.astype(float), atol=1.5)


TALKS: list[tuple[list[Any], dict[str, Any]]] = [
    (["hello", "and a picture", "more"], {"force": ("image",)}),
    ([[picture(), "what is this?"], "again"], {"force": ("image", "audio")}),
    (["a much longer question than all of the others, " * 8, "short"], {"temperature": 0.0}),
    (["hi", "ho", "he"], {"force": ("image",), "guidance_scale": 3.0}),
    (["x"], {"max_new_tokens": 1}),
    (["one", "two"], {"merge_adapters": False, "force": ("video",)}),
    (["no memory", "none"], {"use_cache": False}),
]


def test_conversations_together_say_what_each_says_alone(
    model: NextGPT, batcher: ReplyBatcher
) -> None:
    alone = [talk(ChatSession(model, OPTIONS), turns, **given) for turns, given in TALKS]
    works = [partial(talk, batcher.chat(OPTIONS), turns, **given) for turns, given in TALKS]
    batched = together(works)
    for one, other in zip(alone, batched, strict=True):
        for a, b in zip(one, other, strict=True):
            same(a.message, b.message)
            assert a.finish_reason == b.finish_reason
            for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "steps"):
                assert getattr(a.usage, name) == getattr(b.usage, name)


def test_only_who_asked_for_previews_gets_them(batcher: ReplyBatcher) -> None:
    options = replace(OPTIONS, force=("image",), modalities=("image",), max_media=0)
    options = replace(options, num_inference_steps=12)

    def progress(previews: bool) -> list[Any]:
        chat = batcher.chat(replace(options, previews=previews))
        events = list(chat.send("hello"))
        return [event.previews for event in events if isinstance(event, Progress)]

    found = together([partial(progress, previews=n % 2 == 1) for n in range(4)])
    for number, previews in enumerate(found):
        assert len(previews) == 12
        assert all((p is None) == (number % 2 == 0) for p in previews)
        assert all(p is None or [small.ndim for small in p] == [3] for p in previews)


def test_rows_share_forwards_and_media_share_steps(
    model: NextGPT, batcher: ReplyBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    made: list[list[int]] = []
    decoder = model.decoders["image"]
    feed, generate = PackedRows.feed, decoder.generate_steps

    def counted(self: PackedRows, pieces: Sequence[Any], *rest: Any) -> Any:
        rows.append(len(pieces))
        return feed(self, pieces, *rest)

    def noted(conditioning: Any, *, seeds: Sequence[int], **given: Any) -> Any:
        made.append(list(seeds))
        return generate(conditioning, seeds=seeds, **given)

    monkeypatch.setattr(PackedRows, "feed", counted)
    monkeypatch.setattr(decoder, "generate_steps", noted)
    options = replace(OPTIONS, force=("image",), modalities=("image",), max_media=0)
    options = replace(options, num_inference_steps=12)  # long enough for others to come to wait
    talks = [partial(batcher.chat(options).reply, "hello", seed=n) for n in range(8)]
    assert len(together(talks)) == 8
    assert max(rows) == 4  # max_rows
    assert sum(rows) > 2 * len(rows)
    assert sorted(seed for seeds in made for seed in seeds) == list(range(8))
    assert max(map(len, made)) > 1


def test_only_equal_works_are_made_together(model: NextGPT) -> None:
    def work(**changes: Any) -> Denoising:
        arguments = {"num_inference_steps": 2, "negative": torch.zeros(1, 2, 3), **changes}
        return Denoising(
            decoder=model.decoders["image"],
            conditioning=torch.zeros(1, 2, 3),
            seeds=[0],
            arguments=arguments,
        )

    assert work().fits(work())
    for other in (
        work(num_inference_steps=3),
        work(negative=torch.ones(1, 2, 3)),
        work(height=16),
        replace(work(), alone=True),
        replace(work(), decoder=model.decoders["video"]),
    ):
        assert not work().fits(other)
        assert not other.fits(work())
    assert not work(latents=torch.zeros(1)).fits(work(latents=torch.zeros(1)))


@pytest.mark.parametrize("heard", [1, 3, 7, 11])
def test_who_stops_listening_leaves_the_conversation_as_it_was(
    model: NextGPT, batcher: ReplyBatcher, heard: int
) -> None:
    session, alone = batcher.chat(OPTIONS), ChatSession(model, OPTIONS)
    for one in (session, alone):
        one.reply([picture(), "hello"])

    def stopped() -> Message:
        with closing(session.send("stop", force=("image",), seed=5)) as events:
            for _ in range(heard):
                next(events)
        return session.reply("again", seed=6)

    others = [partial(batcher.chat(OPTIONS).reply, "hello", seed=n) for n in range(3)]
    reply, *told = together([stopped, *others])
    same(reply, alone.reply("again", seed=6))
    for n, other in enumerate(told):
        same(other, ChatSession(model, OPTIONS).reply("hello", seed=n))


def test_nobody_waits_for_decoders_elsewhere_but_who_asked_them(
    model: NextGPT, batcher: ReplyBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    class Elsewhere(dict[str, Any]):
        elsewhere = True

    class Far:
        """Embeds a caption when another conversation has been answered."""

        rate = None
        decoder = model.decoders["image"]

        def encode_captions(self, captions: Sequence[str]) -> torch.Tensor:
            assert answered.wait(30)
            return self.decoder.encode_captions(captions)

        def generate_steps(self, *given: Any, **how: Any) -> Any:
            return self.decoder.generate_steps(*given, **how)

    monkeypatch.setattr(model, "decoders", Elsewhere(image=Far()))
    options = replace(OPTIONS, force=("image",), modalities=("image",), negative_prompt="rain")

    def other() -> None:
        batcher.chat(replace(OPTIONS, modalities=("text",))).reply("hello")
        answered.set()

    reply, _ = together([partial(batcher.chat(options).reply, "draw"), other])
    assert any(isinstance(part, Image) for part in reply.parts)


def test_an_error_is_one_conversations_own(
    model: NextGPT, batcher: ReplyBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is wrong, one whose forward fails, one whose decoder fails: the rest goes on."""
    generate = model.decoders["image"].generate_steps

    def failing(conditioning: Any, *, seeds: Sequence[int], **given: Any) -> Any:
        if 13 in seeds:
            raise RuntimeError("out of memory")
        return generate(conditioning, seeds=seeds, **given)

    monkeypatch.setattr(model.decoders["image"], "generate_steps", failing)

    def fails(match: str, options: GenerationOptions, words: str) -> None:
        session = batcher.chat(options)
        with pytest.raises((ValueError, RuntimeError), match=match):
            session.reply(words)
        assert session.messages == []

    options = replace(OPTIONS, force=("image",), modalities=("image",), max_media=0)
    works: list[Callable[[], Any]] = [
        lambda: fails("does not fit", replace(OPTIONS, context_length=50), "long " * 50),
        lambda: fails("out of memory", replace(options, seed=13), "hello"),
        *(partial(batcher.chat(options).reply, "hello", seed=n) for n in range(4)),
    ]
    _, _, *told = together(works)
    for n, reply in enumerate(told):
        same(reply, ChatSession(model, options).reply("hello", seed=n))


def test_what_failed_together_is_tried_alone(
    model: NextGPT, batcher: ReplyBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(self: PackedRows, rows: Sequence[Any], caches: Any, starts: Any) -> Any:
        caches[0].update(*[torch.zeros(1, 2, rows[0].shape[1], 8)] * 2, 0)  # half a forward
        raise torch.OutOfMemoryError("out of memory")

    pack = worker.pack_rows(model.language)
    assert pack is not None
    monkeypatch.setattr(PackedRows, "feed", out_of_memory)
    monkeypatch.setattr(worker, "pack_rows", lambda language: pack)
    works = [partial(batcher.chat(OPTIONS).reply, "hello", seed=n) for n in range(3)]
    for n, reply in enumerate(together(works)):
        same(reply, ChatSession(model, OPTIONS).reply("hello", seed=n))


def test_the_least_recently_used_cache_leaves(model: NextGPT) -> None:
    with ReplyBatcher(model, max_cached_tokens=150) as batcher:
        sessions = [batcher.chat(OPTIONS) for _ in range(3)]
        alone = [ChatSession(model, OPTIONS) for _ in sessions]
        for number, (session, plain) in enumerate(zip(sessions, alone, strict=True)):
            user = Message("user", [picture(number), "hello, how are you doing?"])
            same(session.reply(user), plain.reply(user))
        held = [session._engine.length for session in sessions]
        assert sum(held) <= 150
        assert held[0] == 0 < held[2]
        for session, plain in zip(reversed(sessions), reversed(alone), strict=True):
            (done,) = talk(session, ["again"])
            assert (done.usage.cached_tokens > 0) == (session is sessions[2])
            same(done.message, plain.reply("again", seed=0))


def test_a_conversation_answers_one_turn_at_a_time(batcher: ReplyBatcher) -> None:
    session = batcher.chat(OPTIONS)
    with closing(session.send("hello")) as events:
        next(events)
        with pytest.raises(ValueError, match="is still answering: read its events to the end"):
            session.reply("and this?")
    assert session.reply("hello").text


def test_closing_ends_what_is_not_complete(model: NextGPT) -> None:
    batcher = ReplyBatcher(model)
    session = batcher.chat(replace(OPTIONS, max_new_tokens=1000))
    events = session.send("hello")
    next(events)
    batcher.close()
    batcher.close()
    with pytest.raises(ValueError, match="not complete: its ReplyBatcher was closed"):
        list(events)
    assert session.messages == []
    with pytest.raises(ValueError, match="over: its ReplyBatcher was closed"):
        session.reply("hello")


def test_the_end_of_the_context_is_the_same_together(model: NextGPT, batcher: ReplyBatcher) -> None:
    turns = [f"turn {number}, which says a little" for number in range(5)]
    options = replace(OPTIONS, context_length=160)
    alone = talk(ChatSession(model, options), turns)
    assert any(done.usage.dropped for done in alone)
    works = [lambda: talk(batcher.chat(options), turns) for _ in range(3)]
    for told in together(works):
        for a, b in zip(alone, told, strict=True):
            assert a.usage.dropped == b.usage.dropped
            same(a.message, b.message)


def test_a_long_prompt_is_read_in_pieces_and_others_speak(
    model: NextGPT, batcher: ReplyBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PROMPT_TOKENS", 16)
    long = "many words of one who explains at length, " * 8
    works = [partial(batcher.chat(OPTIONS).reply, words) for words in (long, "hi", long)]
    for words, reply in zip((long, "hi", long), together(works), strict=True):
        same(reply, ChatSession(model, OPTIONS).reply(words))


def test_a_model_that_cannot_be_packed_takes_turns_and_says_so(
    model: NextGPT, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "is_plain", lambda config: False)
    with ReplyBatcher(model) as batcher:
        works = [partial(batcher.chat(OPTIONS).reply, "hello", seed=n) for n in range(3)]
        for n, reply in enumerate(together(works)):
            same(reply, ChatSession(model, OPTIONS).reply("hello", seed=n))
    assert "LlamaForCausalLM cannot take several conversations in one forward" in caplog.text


def test_map_keeps_the_order_and_takes_few_ahead(model: NextGPT, batcher: ReplyBatcher) -> None:
    taken: list[int] = []

    def seeds() -> Iterator[int]:
        for seed in range(40):
            taken.append(seed)
            yield seed

    def work(seed: int) -> Message:
        if seed == 15:
            raise ValueError("not this one")
        return batcher.chat(OPTIONS).reply("hello", seed=seed)

    results = batcher.map(work, seeds())
    for seed in range(3):
        same(next(results), ChatSession(model, OPTIONS).reply("hello", seed=seed))
    assert len(taken) <= 3 + 2 * 4
    with pytest.raises(ValueError, match="not this one"):
        list(results)
    assert len(taken) < 40


def test_limits_are_positive(model: NextGPT) -> None:
    for name in ("max_rows", "max_cached_tokens"):
        limit: dict[str, Any] = {name: 0}
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            ReplyBatcher(model, **limit)


@pytest.mark.slow
def test_a_trained_model_says_the_same_together() -> None:
    """In bfloat16 sums of another order may turn a close choice of words, hardly of media."""
    model = NextGPT.from_pretrained("emoji-mini")
    options = GenerationOptions(temperature=0.0, seed=0, max_new_tokens=40, decode_media=False)
    requests = [
        "Show me a red dog on a hill.",
        "Hello, who are you?",
        "What does a bell sound like?",
        "I would like a clip of a horse that runs to the left.",
        "What is 3 plus 4?",
        "Two cats at night, please, and the sound of rain.",
        "Tell me about a train in a few words.",
        "Draw a house.",
    ]
    alone = [ChatSession(model, options).reply(request) for request in requests]
    with ReplyBatcher(model) as batcher:
        told = together([partial(batcher.chat(options).reply, r) for r in requests])
    pairs = list(zip(alone, told, strict=True))
    media = [[[m.modality for m in one.media()] for one in pair] for pair in pairs]
    assert sum(one == other for one, other in media) >= len(requests) - 1
    assert sum(one.text == other.text for one, other in pairs) >= len(requests) - 2
