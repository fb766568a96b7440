"""Conversations on the tiny model: events, memory, seeds, editing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from anyweave.batch import BatchMedia
from anyweave.generation import (
    ChatSession,
    Done,
    GenerationOptions,
    MediaDone,
    MediaStarted,
    Progress,
    TextDelta,
    spoken_caption,
)
from anyweave.generation.draft import Draft
from anyweave.generation.events import Retrieved, SignalSpan
from anyweave.messages import Image, Message, Modality, Text
from anyweave.model import NextGPT
from anyweave.model.build import build
from anyweave.model.spec import DecoderSpec
from anyweave.processing import collate
from anyweave.testing.model import tiny_model, tiny_spec

PLAIN = DecoderSpec(source="./d", conditioning_tokens=2, conditioning_dim=4)
OPTIONS = GenerationOptions(max_new_tokens=12, temperature=1.0, seed=3, num_inference_steps=2)


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


def picture(seed: int = 0) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 255, (24, 30, 3), dtype=np.uint8))


def say(session: ChatSession, *parts: Any, **overrides: Any) -> tuple[list[Any], Done]:
    events = list(session.send(Message("user", list(parts)), **overrides))
    assert isinstance(events[-1], Done)
    return events, events[-1]


def arrays(message: Message) -> list[np.ndarray]:
    return [part.source for part in message.media()]


def test_events_of_one_reply(model: NextGPT) -> None:
    events, done = say(
        ChatSession(model, OPTIONS), picture(), "hello", force=("image", "video", "audio")
    )
    kinds = [type(event) for event in events]
    assert kinds.index(MediaStarted) > kinds.index(TextDelta)
    started = [event for event in events if isinstance(event, MediaStarted)]
    finished = {event.index: event.part for event in events if isinstance(event, MediaDone)}
    assert [finished[event.index].modality for event in started] == [e.modality for e in started]
    assert [part.modality for part in done.message.media()] == [e.modality for e in started]
    forms = {
        part.modality: (part.source.dtype.name, part.source.shape, part.rate)
        for part in finished.values()
    }
    assert forms["image"] == ("uint8", (16, 16, 3), None)
    assert forms["video"] == ("uint8", (4, 16, 16, 3), 8.0)
    assert forms["audio"][0] == "float32"
    assert forms["audio"][2] == 16000
    steps = [event for event in events if isinstance(event, Progress) and event.modality == "image"]
    assert [(event.step, event.total) for event in steps] == [(1, 2), (2, 2)]
    assert done.usage.steps["video"] == 2 * len(done.message.media("video"))
    assert set(done.usage.seconds) == {"text", "image", "video", "audio"}
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == done.message.text


def test_a_reply_renders_to_the_ids_that_were_spoken(model: NextGPT) -> None:
    session = ChatSession(model, OPTIONS)
    for turn in ("one", "two"):
        session.reply(Message("user", [turn, picture()]), force=("audio", "image"))
        rendered = model.processor.render(session.messages).input_ids.tolist()
        assert rendered[: len(session._ids)] == session._ids
        # Only the end of the turn was not consumed.
        assert rendered[len(session._ids)] == model.processor.end_of_turn_id


def test_a_new_turn_costs_only_its_new_tokens(
    model: NextGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[int] = []
    encoded: list[int] = []
    session = ChatSession(model, OPTIONS)
    feed, encode = session._engine.feed, model.encode

    def feed_noted(embeds: torch.Tensor) -> torch.Tensor:
        fed.append(embeds.shape[1])
        return feed(embeds)

    def encode_noted(modality: Modality, media: BatchMedia) -> torch.Tensor:
        encoded.append(len(media.rows))
        return encode(modality, media)

    monkeypatch.setattr(session._engine, "feed", feed_noted)
    monkeypatch.setattr(model, "encode", encode_noted)
    _, first = say(session, picture(), "hello", force=("image",))
    assert first.usage.cached_tokens == 0
    assert fed[0] == first.usage.prompt_tokens
    spoken = len(session._ids)
    fed.clear()
    _, second = say(session, "again")
    assert second.usage.cached_tokens == spoken
    assert fed[0] == second.usage.prompt_tokens - spoken
    say(session, picture(1), "more")
    assert encoded == [1, 1]


def test_memory_changes_nothing(model: NextGPT) -> None:
    talks: list[Sequence[Message]] = []
    for use_cache in (True, False):
        session = ChatSession(model, replace(OPTIONS, use_cache=use_cache))
        session.reply(Message("user", [picture(), "hello"]), force=("image",))
        session.reply("again", force=("image",))
        talks.append(session.messages)
    fresh = ChatSession(model, OPTIONS, messages=talks[0][:2])
    fresh.reply("again", force=("image",))
    for other in (talks[1], fresh.messages):
        for a, b in zip(talks[0], other, strict=True):
            assert a.text == b.text
            assert [m.modality for m in a.media()] == [m.modality for m in b.media()]
    one, two = (arrays(messages[3])[-1].astype(float) for messages in (talks[0], fresh.messages))
    np.testing.assert_allclose(one, two, atol=1.5)


def test_another_picture_at_the_same_place_is_seen(model: NextGPT) -> None:
    """Placeholder ids are equal for all pictures: the memory must not be fooled."""
    session = ChatSession(model, replace(OPTIONS, temperature=0.0))
    session.reply(Message("user", [picture(0), "hello"]))
    session.messages.clear()
    again = session.reply(Message("user", [picture(1), "hello"]))
    fresh = ChatSession(model, replace(OPTIONS, temperature=0.0)).reply(
        Message("user", [picture(1), "hello"])
    )
    assert again == fresh


def test_editing_history_reaches_back_to_its_media(model: NextGPT) -> None:
    session = ChatSession(model, OPTIONS)
    session.reply(Message("user", [picture(0), "hello"]))
    session.messages = [Message("system", "Be brief."), *session.messages]
    reply = session.reply("again")
    fresh = ChatSession(model, OPTIONS, messages=session.messages[:3]).reply("again")
    assert reply == fresh


def test_fixed_seed_reproduces_exactly(model: NextGPT) -> None:
    greedy = replace(OPTIONS, temperature=0.0, force=("image", "audio"))
    first, second = (ChatSession(model, greedy).reply("hello") for _ in range(2))
    assert first == second
    for a, b in zip(arrays(first), arrays(second), strict=True):
        assert np.array_equal(a, b)
    other = ChatSession(model, replace(greedy, seed=4)).reply("hello")
    assert first.text == other.text
    assert not np.array_equal(arrays(first)[-1], arrays(other)[-1])


def test_batched_and_single_decoding_agree(model: NextGPT) -> None:
    options = replace(OPTIONS, temperature=1.0, force=("image", "video"), max_media=4)
    batched = ChatSession(model, options).reply("hello")
    single = ChatSession(model, replace(options, batch_media=False)).reply("hello")
    assert [p.modality for p in batched.media()] == [p.modality for p in single.media()]
    for a, b in zip(arrays(batched), arrays(single), strict=True):
        np.testing.assert_allclose(a.astype(float), b.astype(float), atol=1.5)


def test_a_turn_that_was_not_read_to_its_end_leaves_no_trace(model: NextGPT) -> None:
    session = ChatSession(model, OPTIONS)
    first = session.reply("hello")
    events = session.send(Message("user", [picture(), "stop"]), force=("image",))
    for event in events:
        if isinstance(event, Progress):
            break
    events.close()
    assert session.messages[1:] == [first]
    reply = session.reply("again")
    assert reply == ChatSession(model, OPTIONS, messages=session.messages[:2]).reply("again")


@pytest.mark.parametrize("heard", [1, 2, 3, 5, 7, 9, 11])
def test_whoever_stops_listening_anywhere_leaves_the_conversation_as_it_was(
    model: NextGPT, heard: int
) -> None:
    """Text is said before its token is consumed: a stop between the two must not be felt."""
    session = ChatSession(model, OPTIONS)
    session.reply(Message("user", [picture(), "hello"]))
    events = session.send("stop", force=("image",), seed=5)
    for _ in range(heard):
        next(events)
    events.close()
    # The same words again: the same ids, of which the engine lacks the last.
    for words, seed in (("stop", 5), ("again", 6)):
        plain = ChatSession(model, replace(OPTIONS, use_cache=False), messages=session.messages)
        expected = plain.reply(words, force=("image",), seed=seed)
        reply = session.reply(words, force=("image",), seed=seed)
        assert [part.token_ids for part in reply.parts if isinstance(part, Text)] == [
            part.token_ids for part in expected.parts if isinstance(part, Text)
        ]
        for one, other in zip(arrays(reply), arrays(expected), strict=True):
            np.testing.assert_allclose(one.astype(float), other.astype(float), atol=1.5)


def test_a_forward_that_ends_half_way_leaves_the_conversation_as_it_was(model: NextGPT) -> None:
    """Ctrl-C, or no memory, after some layers have taken new positions into their cache."""
    session = ChatSession(model, OPTIONS)
    session.reply("hello")
    events = session.send("stop", seed=5)
    for _ in range(3):
        next(events)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    layers = session._engine.language.decoder.layers
    assert isinstance(layers, torch.nn.ModuleList)
    hook = layers[-1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(events)
    hook.remove()
    fresh = ChatSession(model, OPTIONS, messages=session.messages)
    assert session.reply("again", seed=6) == fresh.reply("again", seed=6)


def test_a_turn_may_go_without_cache(model: NextGPT) -> None:
    session, plain = ChatSession(model, OPTIONS), ChatSession(model, OPTIONS)
    assert session.reply("hello", use_cache=False) == plain.reply("hello")
    assert session._engine.cache is None
    assert session.reply("again", seed=4) == plain.reply("again", seed=4)
    assert session._engine.cache is not None


def test_text_comes_before_the_forward_that_only_the_next_token_needs(model: NextGPT) -> None:
    session = ChatSession(model, OPTIONS)
    events = session.send("hello")
    forwards = [session._engine.num_forwards for e in events if isinstance(e, TextDelta)]
    assert forwards[0] == 1  # the prompt's
    assert forwards == sorted(forwards)


def test_opening_a_conversation_walks_no_modules(
    model: NextGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[bool] = []
    train = NextGPT.train

    def train_noted(self: NextGPT, mode: bool = True) -> NextGPT:
        walked.append(mode)
        return train(self, mode)

    monkeypatch.setattr(NextGPT, "train", train_noted)
    ChatSession(model, OPTIONS)
    assert walked == []
    model.language.train()
    ChatSession(model, OPTIONS)
    assert walked == [False]
    assert not any(module.training for module in model.modules())


def test_only_allowed_media(model: NextGPT) -> None:
    for seed in range(4):
        options = replace(OPTIONS, seed=seed, temperature=3.0, max_new_tokens=25)
        reply = ChatSession(model, options).reply("hello", modalities=("text", "audio"))
        assert not reply.media("image")
        assert not reply.media("video")


def test_caption_bridge_reads_the_reply(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny_spec(tmp_path, bridge="caption", output_projectors={})
    model = build(spec, root=tmp_path)
    asked: list[list[str]] = []
    decoder = model.decoders["image"]
    encode = decoder.encode_captions

    def encode_noted(texts: Sequence[str]) -> torch.Tensor:
        asked.append(list(texts))
        return encode(texts)

    monkeypatch.setattr(decoder, "encode_captions", encode_noted)
    reply = ChatSession(model, OPTIONS).reply("hello", force=("image",), modalities=("image",))
    assert asked[0] == [part.caption for part in reply.media("image")]


def test_words_that_a_decoder_never_learned_are_told_behind_its_medium(tmp_path: Any) -> None:
    spec = tiny_spec(tmp_path)
    learned = {**spec.decoders, "image": replace(spec.decoders["image"], words="a cat")}
    model = build(replace(spec, decoders=learned), root=tmp_path)
    options = replace(OPTIONS, force=("image",), modalities=("image",))
    events, done = say(ChatSession(model, options), "hello")
    (started,) = (event for event in events if isinstance(event, MediaStarted))
    assert started.unknown_words
    (place,) = (n for n, part in enumerate(done.message.parts) if part in done.message.media())
    note = done.message.parts[place + 1]
    assert isinstance(note, Text)
    assert f'I have never learned "{started.unknown_words[0]}"' in note.text
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == done.message.text

    empty = ChatSession(model, options, finder=lambda modality, asked, caption: None)
    assert "never learned" in empty.reply("hello").text
    walrus = Retrieved(part=Image(np.zeros((4, 4, 3), np.uint8)), score=1.0, source="", licence="")
    with_index = ChatSession(model, options, finder=lambda modality, asked, caption: walrus)
    reply = with_index.reply("hello")
    assert "never learned" not in reply.text
    assert reply.media("image") == [walrus.part]


def test_what_is_told_of_one_medium_is_not_the_caption_of_the_next() -> None:
    draft = Draft()
    decoder = replace(PLAIN, words="a cat")
    draft.add_text(TextDelta(text="Here is a walrus.", token_ids=None))
    for index in range(2):
        span = SignalSpan(modality="image", hidden=torch.zeros(1, 1), token_ids=(1,))
        assert draft.add_span(span, decoder).caption == "a walrus"
        draft.parts[index] = Image(caption="a walrus")
    kinds = [type(part) for part in draft.message().parts]
    assert kinds == [Text, Image, Text, Image, Text]


def test_negative_prompt_changes_the_picture(model: NextGPT) -> None:
    options = replace(OPTIONS, temperature=0.0, force=("image",), guidance_scale=4.0)
    plain = ChatSession(model, options).reply("hello")
    other = ChatSession(model, options).reply("hello", negative_prompt="blurred")
    assert not np.array_equal(arrays(plain)[0], arrays(other)[0])


def test_user_mistakes(model: NextGPT) -> None:
    session = ChatSession(model, OPTIONS)
    with pytest.raises(
        ValueError, match="begins with a user's message, got one of role 'assistant'"
    ):
        session.send(Message("assistant", "hi"))
    with pytest.raises(ValueError, match="did you mean 'temperature'"):
        session.send("hi", temprature=0)
    assert session.messages == []


@pytest.mark.parametrize(
    ("texts", "caption"),
    [
        (["Sure! Here it is: a red dog on a hill."], "a red dog on a hill"),
        (["Sure! Here is a picture of two cats at night."], "two cats at night"),
        (["4 minus 3 is 1. This is the sound of a bell ringing."], "a bell ringing"),
        (["Yes, I hear a harp playing."], "a harp playing"),
        (["A cat.", "  "], "A cat"),
        (["one\ntwo"], "two"),
        ([], ""),
    ],
)
def test_spoken_caption(texts: list[str], caption: str) -> None:
    assert spoken_caption(texts) == caption


def test_reply_parts_keep_their_ids(model: NextGPT) -> None:
    reply = ChatSession(model, OPTIONS).reply("hello", force=("image",))
    texts = [part for part in reply.parts if isinstance(part, Text)]
    assert texts
    assert all(part.token_ids for part in texts)


def test_text_only_model(tmp_path: Any) -> None:
    spec = tiny_spec(tmp_path, output_projectors={}, decoders={}, signal_tokens={}, encoders=())
    reply = ChatSession(build(spec, root=tmp_path), OPTIONS).reply("hello")
    assert not reply.media()
    assert torch.is_grad_enabled()


def adapted() -> NextGPT:
    """A model of its own, whose adapters say something."""
    model = tiny_model()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters_of("lora").values():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def interrupt(session: ChatSession) -> None:
    """A turn that is left, and one that fails, after the engine has worked."""
    events = session.send("stop", force=("image",))
    next(events)
    events.close()

    def fail(*_: Any) -> None:
        raise RuntimeError("the language model fails in the middle of its work")

    norm = session._engine.language.decoder.norm
    assert isinstance(norm, torch.nn.Module)
    hook = norm.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        session.reply("fail")
    hook.remove()


@pytest.mark.parametrize("quantization", [None, "int8"])
def test_replies_leave_no_trace_in_training_and_saving(tmp_path: Path, quantization: Any) -> None:
    talked, silent = adapted(), adapted()
    sessions = [ChatSession(talked, replace(OPTIONS, quantization=quantization)) for _ in range(2)]
    for session in (*sessions, *sessions):
        session.reply("hello")
        interrupt(session)
    files = [
        model.save_pretrained(tmp_path / name) for model, name in ((talked, "a"), (silent, "b"))
    ]
    names = sorted(path.name for path in files[0].iterdir())
    assert "lora.safetensors" in names
    for name in names:
        one, other = (file / name for file in files)
        if one.suffix == ".safetensors":  # its header is in no fixed order
            a, b = load_file(one), load_file(other)
            assert a.keys() == b.keys()
            assert all(torch.equal(a[key], b[key]) for key in a), name
        elif name != "sha256.json":  # of files whose headers differ
            assert one.read_bytes() == other.read_bytes(), name
    batch = collate(
        [talked.processor.render([Message("user", "hi"), Message("assistant", "yes")])], pad_id=0
    )
    losses = []
    for model in (talked, silent):
        trained = list(model.parameters_of("lora").values())
        for parameter in trained:
            parameter.requires_grad_(True)
        torch.manual_seed(0)  # of the dropout
        model.train()
        optimizer = torch.optim.AdamW(trained, lr=0.01)
        for _ in range(3):
            output = model(batch)
            loss = torch.nn.functional.cross_entropy(output.logits, output.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
    assert losses[:3] == losses[3:]
    assert losses[2] < losses[0]
    # What was learnt is said: also by the sessions that were open before.
    sessions[0].messages.clear()
    for session in (sessions[0], ChatSession(talked, replace(OPTIONS, quantization=quantization))):
        assert session.reply("hello") == ChatSession(silent, session.options).reply("hello")


def test_merged_adapters_say_what_unmerged_ones_say() -> None:
    model = adapted()
    greedy = replace(OPTIONS, temperature=0.0, force=("image",))
    one, other = (
        ChatSession(model, replace(greedy, merge_adapters=merge)).reply("hello")
        for merge in (True, False)
    )
    assert one == other
    for a, b in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_allclose(a.astype(float), b.astype(float), atol=1.5)


def test_quantised_activations_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="with quantised activations the model no longer says"):
        GenerationOptions(quantization="int8-dynamic")  # type: ignore[arg-type]
