"""The end of the context: defined, bounded and told, for learned and for rotary positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from anyweave.generation import ChatSession, Done, Dropped, GenerationOptions
from anyweave.generation.terminal import converse
from anyweave.language.byte_tokenizer import byte_tokenizer
from anyweave.messages import Image, Message, Text
from anyweave.model import NextGPT
from anyweave.model.build import build
from anyweave.testing.model import tiny_spec

LIMIT = 256
OPTIONS = GenerationOptions(
    max_new_tokens=16, seed=0, temperature=1.0, num_inference_steps=1, modalities=("text",)
)
_IDS = {"vocab_size": 264, "bos_token_id": 259, "eos_token_id": 257, "pad_token_id": 258}
_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": LIMIT,
}
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaConfig(**_IDS, **_SIZES, intermediate_size=64),
    "opt": lambda: transformers.OPTConfig(**_IDS, **_SIZES, ffn_dim=64, word_embed_proj_dim=32),
    "gpt2": lambda: transformers.GPT2Config(
        **_IDS, n_embd=32, n_layer=2, n_head=4, n_positions=LIMIT
    ),
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    tiny_spec(folder)
    return folder


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request: pytest.FixtureRequest, parts: Path) -> NextGPT:
    return make(parts, CONFIGS[request.param]())


def make(parts: Path, config: Any) -> NextGPT:
    folder = parts / type(config).__name__
    config.initializer_range = 0.2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    spec = tiny_spec(parts, lora=None)
    spec = replace(spec, language=replace(spec.language, source=f"./{folder.name}"))
    return build(spec, root=parts)


def picture(seed: int) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 255, (24, 30, 3), dtype=np.uint8))


def endless(model: NextGPT, options: GenerationOptions = OPTIONS) -> ChatSession:
    """A chat whose replies never end by themselves."""
    session = ChatSession(model, options)
    session._engine.stops = ()
    return session


def say(session: ChatSession, *parts: Any, **overrides: Any) -> Done:
    *_, done = session.send(Message("user", list(parts)), **overrides)
    assert isinstance(done, Done)
    return done


def spoken(message: Message) -> list[Any]:
    return [p.token_ids if isinstance(p, Text) else p.modality for p in message.parts]


def test_a_long_chat_forgets_its_oldest_exchanges_and_says_so(model: NextGPT) -> None:
    system = Message("system", "Be brief.")
    session = ChatSession(model, OPTIONS, messages=[system])
    told: list[Dropped] = []
    said = 1
    for turn in range(8):
        before = session.messages
        done = say(session, picture(turn), f"turn {turn}: tell me more", seed=turn)
        told.append(done.usage.dropped)
        said += 2
        assert done.usage.context_length == LIMIT
        assert done.usage.prompt_tokens + OPTIONS.max_new_tokens <= LIMIT
        assert session._engine.length <= LIMIT
        gone = done.usage.dropped
        assert len(session.messages) == len(before) + 2 - gone.messages
        assert session.messages[0] is system
        assert session.messages[1].role == "user"
        assert gone.messages == 2 * gone.exchanges
        assert gone.media == gone.exchanges  # each had one picture
        lost = before[1 : 1 + gone.messages]
        assert gone.tokens == sum(model.processor.turn_lengths([system, *lost])[1:])
        # What is left is a conversation like any other.
        plain = replace(OPTIONS, use_cache=False, seed=turn)
        replay = ChatSession(model, plain, messages=session.messages[:-2])
        assert spoken(replay.reply(session.messages[-2])) == spoken(done.message)
    assert sum(gone.messages for gone in told) == said - len(session.messages)
    cuts = [bool(gone) for gone in told]
    assert any(cuts)
    assert all(sum(pair) < 2 for pair in zip(cuts, cuts[1:], strict=False))  # slack: not each turn


def test_a_turn_after_a_cut_is_cached_again(model: NextGPT) -> None:
    session = endless(model)
    turns = (say(session, f"{turn}: please go on and on") for turn in range(20))
    done = next(done for done in turns if done.usage.dropped)
    assert done.usage.cached_tokens < 20
    length = session._engine.length
    assert say(session, "more").usage.cached_tokens == length


def test_a_turn_that_cannot_fit_is_refused(model: NextGPT) -> None:
    session = endless(model)
    first = session.reply("hello")
    with pytest.raises(ValueError, match=rf"it takes \d{{3}} tokens, .*has {LIMIT} positions"):
        session.reply("long " * 60)
    with pytest.raises(ValueError, match="and the forced media 5"):
        session.reply("x" * (LIMIT - 60), force=("video",), modalities=None, context_length=210)
    assert session.messages[1:] == [first]
    assert session.reply("again").parts


def test_a_reply_ends_at_the_last_position(model: NextGPT) -> None:
    session = endless(model)
    session.reply("hello")
    done = say(session, "x" * 200, max_new_tokens=500, seed=2)
    usage = done.usage
    assert usage.dropped.exchanges == 1  # room was made before the reply was cut
    assert done.finish_reason == "length"
    assert usage.prompt_tokens + usage.completion_tokens == LIMIT == session._engine.length
    assert say(session, "and now?").usage.dropped.exchanges == 1


def test_forced_media_keep_their_positions(model: NextGPT) -> None:
    session = endless(model, replace(OPTIONS, modalities=None, max_media=0))
    done = say(session, "x" * 210, max_new_tokens=500, force=("image", "video"))
    assert done.finish_reason == "length"
    assert [part.modality for part in done.message.media()] == ["image", "video"]
    assert done.usage.prompt_tokens + done.usage.completion_tokens == LIMIT


def test_no_run_begins_that_cannot_end(model: NextGPT) -> None:
    for seed in range(6):
        session = ChatSession(model, replace(OPTIONS, modalities=None, max_media=99))
        done = say(session, "x" * 200, max_new_tokens=500, temperature=5.0, seed=seed)
        assert session._engine.length <= LIMIT
        assert done.usage.prompt_tokens + done.usage.completion_tokens <= LIMIT


def test_an_interrupted_turn_forgets_nothing(model: NextGPT) -> None:
    session = endless(model)
    while say(session, "go on").usage.prompt_tokens + 60 < LIMIT:
        pass
    before = list(session.messages)
    events = session.send("x" * 60)
    next(events)
    events.close()
    assert session.messages == before
    assert say(session, "x" * 60).usage.dropped


def test_a_shorter_context_can_be_asked_for_and_a_longer_one_only_without_a_table(
    model: NextGPT,
) -> None:
    session = ChatSession(model, replace(OPTIONS, context_length=100))
    usages = [say(session, f"turn {turn}, go on").usage for turn in range(4)]
    assert all(usage.prompt_tokens + usage.completion_tokens <= 100 for usage in usages)
    assert usages[-1].dropped
    longer: dict[str, Any] = {"context_length": 2 * LIMIT}
    if model.language.has_position_table:
        with pytest.raises(ValueError, match=f"has a table of {LIMIT} positions"):
            session.reply("hello", **longer)
    else:
        assert say(session, "x" * 300, **longer).usage.prompt_tokens > LIMIT


def test_what_knows_no_limit_has_none(parts: Path) -> None:
    mamba = transformers.MambaConfig(**_IDS, hidden_size=32, num_hidden_layers=1, state_size=4)
    language = make(parts, mamba).language
    assert language.context_length is None
    assert not language.has_position_table
    with pytest.raises(ValueError, match="context_length must be at least 1"):
        GenerationOptions(context_length=0)


def test_the_terminal_shows_what_was_forgotten(parts: Path, tmp_path: Path) -> None:
    model, lines, printed = make(parts, CONFIGS["llama"]()), iter(["go on and on"] * 8), []

    def ask() -> str:
        if (line := next(lines, None)) is None:
            raise EOFError
        return line

    def say_it(text: str, *, end: str = "\n") -> None:
        printed.append(text)

    converse(lambda: ChatSession(model, OPTIONS), tmp_path, ask=ask, say=say_it)
    assert any("it has forgotten the oldest" in line for line in printed)
    lines = iter(["x" * 200])
    options = replace(OPTIONS, max_new_tokens=99)
    converse(lambda: ChatSession(model, options), tmp_path, ask=ask, say=say_it)
    assert any(f"{LIMIT} positions, and they are taken" in line for line in printed)
