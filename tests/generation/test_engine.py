"""The token loop on a random language model: caches, forced runs and masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from anyweave.generation.engine import TokenEngine
from anyweave.generation.events import Finished, SignalSpan, TextDelta
from anyweave.generation.options import GenerationOptions
from anyweave.language import CausalLM
from anyweave.processing import SignalTokens
from anyweave.testing.language import tiny_language_model

COUNTS = {"image": 4, "video": 5, "audio": 3}
STOP = 257
PROMPT = [10, 20, 30, 40, 50]


@pytest.fixture
def language() -> CausalLM:
    return tiny_language_model(num_signals=sum(COUNTS.values()))


def engine(language: CausalLM, **options: Any) -> TokenEngine:
    signals = SignalTokens(COUNTS, language.base_vocab_size)
    return TokenEngine(
        language,
        signals,
        decode=lambda ids: "".join(chr(0x4E00 + i) for i in ids),
        **{"stops": [[STOP]], **options},
    )


def speak(talker: TokenEngine, **options: Any) -> list[Any]:
    talker.feed_ids(PROMPT)
    settings = {"max_new_tokens": 30, "temperature": 1.0, "seed": 0, **options}
    return list(talker.generate(GenerationOptions(**settings)))


def ids_of(events: list[Any]) -> list[int]:
    return [i for event in events if not isinstance(event, Finished) for i in event.token_ids or ()]


def spans(events: list[Any]) -> Iterator[SignalSpan]:
    return (event for event in events if isinstance(event, SignalSpan))


def favour(language: CausalLM, token_id: int, strength: float = 10.0) -> None:
    """Make `token_id` likely everywhere: its head row gets a direction that a bias pushes along."""
    direction = torch.zeros(language.hidden_size)
    direction[0] = strength
    norm = language.decoder.norm
    assert isinstance(norm, torch.nn.Module)
    norm.register_forward_hook(lambda m, i, out: out + direction)
    with torch.no_grad():
        signals = language.signals.output_rows
        rows = language.model.get_output_embeddings().weight
        row = (
            rows[token_id] if token_id < language.base_vocab_size else signals[token_id - len(rows)]
        )
        row.zero_()
        row[0] = strength


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_cache_changes_nothing(language: CausalLM, temperature: float) -> None:
    options: dict[str, Any] = {"temperature": temperature, "force": ("image", "audio")}
    cached = speak(engine(language), **options)
    plain = speak(engine(language, use_cache=False), **options)
    assert ids_of(cached) == ids_of(plain)
    for one, other in zip(spans(cached), spans(plain), strict=True):
        torch.testing.assert_close(one.hidden, other.hidden, atol=1e-4, rtol=1e-4)


def test_a_run_in_one_forward_equals_token_by_token(language: CausalLM) -> None:
    at_once, stepwise = engine(language), engine(language)
    for talker in (at_once, stepwise):
        talker.feed_ids(PROMPT)
    run = at_once.signals.ids("video")
    before = at_once.num_forwards
    hidden = at_once.feed_ids(run)
    assert at_once.num_forwards == before + 1
    each = torch.cat([stepwise.feed_ids([token_id]) for token_id in run])
    torch.testing.assert_close(hidden, each, atol=1e-5, rtol=1e-5)


def test_span_states_are_those_after_each_token(language: CausalLM) -> None:
    talker = engine(language)
    events = speak(talker, force=("image",), modalities=("image",), max_media=0)
    ids = PROMPT + ids_of(events)
    hidden, _ = language(language.embed(torch.tensor([ids])))
    (span,) = spans(events)
    assert span.forced
    assert span.token_ids == talker.signals.ids("image")
    torch.testing.assert_close(span.hidden, hidden[0, -4:], atol=1e-4, rtol=1e-4)
    assert talker.length == len(ids)


def test_a_sampled_first_signal_gives_a_whole_run(language: CausalLM) -> None:
    talker = engine(language)
    favour(language, talker.signals.first("audio"))
    events = speak(talker, temperature=0.0, max_media=2)
    found = list(spans(events))
    assert [(span.modality, span.forced) for span in found] == [("audio", False)] * 2
    assert all(span.token_ids == talker.signals.ids("audio") for span in found)
    assert all(span.hidden.shape == (3, 32) for span in found)
    finished = events[-1]
    assert finished == Finished(
        finish_reason=finished.finish_reason, num_tokens=len(ids_of(events))
    )


@pytest.mark.parametrize("token", ["later signal", "masked modality", "row without a token"])
def test_what_must_not_be_said_is_never_said(language: CausalLM, token: str) -> None:
    talker = engine(language, num_text_ids=260)
    wanted = {
        "later signal": talker.signals.ids("image")[1],
        "masked modality": talker.signals.first("image"),
        "row without a token": 262,
    }[token]
    favour(language, wanted)
    for seed in range(3):
        talker.reset()
        events = speak(talker, seed=seed, modalities=("text", "audio"))
        assert wanted not in ids_of(events)
        assert all(i < 260 or talker.signals.modality_of(i) for i in ids_of(events))


def test_forced_media_are_appended_only_if_missing(language: CausalLM) -> None:
    talker = engine(language)
    favour(language, talker.signals.first("image"))
    events = speak(talker, temperature=0.0, max_media=1, force=("image", "video"))
    assert [(span.modality, span.forced) for span in spans(events)] == [
        ("image", False),
        ("video", True),
    ]
    assert isinstance(events[-2], SignalSpan)


def test_stops_at_the_end_of_turn(language: CausalLM) -> None:
    favour(language, STOP)
    talker = engine(language)
    events = speak(talker, temperature=0.0, force=("image",))
    assert [type(event) for event in events] == [SignalSpan, Finished]
    assert events[-1].finish_reason == "stop"
    assert talker.length == len(PROMPT) + 4  # the end of turn is reported, not consumed


def follow(language: CausalLM, script: list[int]) -> None:
    """Say `script` and nothing else, whatever was fed: one id for each set of logits."""
    ids = iter(script)

    def logits(hidden: torch.Tensor) -> torch.Tensor:
        scores = torch.zeros(language.base_vocab_size + language.num_signals)
        scores[next(ids)] = 10.0
        return scores

    language.logits = logits  # type: ignore[method-assign]


def test_an_ending_of_several_ids_is_never_shown(language: CausalLM) -> None:
    follow(language, [60, 1, 2, 61, 1, 1, 2, 3])
    talker = engine(language, stops=[[STOP], [1, 2, 3], [9]])
    events = speak(talker, temperature=0.0)
    assert ids_of(events) == [60, 1, 2, 61, 1]
    assert [event.text for event in events[:-1]] == [chr(0x4E00 + i) for i in (60, 1, 2, 61, 1)]
    assert events[-1] == Finished(finish_reason="stop", num_tokens=5)
    assert talker.length == len(PROMPT) + 5  # and it is not consumed


def test_what_only_looked_like_an_ending_is_text(language: CausalLM) -> None:
    image = language.base_vocab_size
    follow(language, [1, 2, image, 1, 2, 9])
    events = speak(engine(language, stops=[[1, 2, 3], [9]]), temperature=0.0)
    assert [event.token_ids for event in events[:-1]] == [
        *((1,), (2,), tuple(range(image, image + 4)), (1,), (2,))
    ]
    follow(language, [60, 1, 2])
    events = speak(engine(language, stops=[[1, 2, 3]]), temperature=0.0, max_new_tokens=3)
    assert ids_of(events) == [60, 1, 2]


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_forced_run_follows_the_reply_and_not_its_ending(
    language: CausalLM, use_cache: bool
) -> None:
    runs = []
    for stops, script in (([[9]], [60, 61, 9]), ([[1, 2, 3]], [60, 61, 1, 2, 3])):
        follow(language, script)
        talker = engine(language, stops=stops, use_cache=use_cache)
        runs.append(next(spans(speak(talker, temperature=0.0, force=("image",)))))
    torch.testing.assert_close(runs[0].hidden, runs[1].hidden)


def test_a_cache_that_cannot_be_cut_forces_nothing(
    language: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(language, [60, 1, 2, 3])
    talker = engine(language, stops=[[1, 2, 3]])

    def keep(length: int) -> int:
        talker.reset()
        return 0

    monkeypatch.setattr(talker, "keep", keep)
    with pytest.raises(ValueError, match="nothing can be forced after this reply"):
        speak(talker, temperature=0.0, force=("image",))


def test_stops_at_the_limit(language: CausalLM) -> None:
    events = speak(engine(language), max_new_tokens=7, modalities=())
    assert events[-1] == Finished(finish_reason="length", num_tokens=7)
    assert all(isinstance(event, TextDelta) for event in events[:-1])


def test_same_seed_same_tokens(language: CausalLM) -> None:
    first, again, other = (speak(engine(language), seed=seed) for seed in (5, 5, 6))
    assert ids_of(first) == ids_of(again) != ids_of(other)


@pytest.mark.parametrize("use_cache", [True, False])
def test_keep_forgets_the_rest(language: CausalLM, use_cache: bool) -> None:
    talker, fresh = engine(language, use_cache=use_cache), engine(language)
    talker.feed_ids(PROMPT)
    talker.feed_ids([60, 70])
    assert talker.keep(3) == 3
    hidden = talker.feed_ids([99, 98])
    expected = fresh.feed_ids([*PROMPT[:3], 99, 98])
    torch.testing.assert_close(hidden, expected[3:], atol=1e-5, rtol=1e-5)
    assert talker.keep(0) == 0
    with pytest.raises(ValueError, match="nothing to continue"):
        list(talker.generate(GenerationOptions()))


def test_modalities_the_model_lacks(language: CausalLM) -> None:
    talker = TokenEngine(
        language, SignalTokens({"image": 4}, language.base_vocab_size), stops=[[STOP]], decode=str
    )
    with pytest.raises(
        ValueError,
        match="force asks for audio, which this model cannot generate; it generates text, image",
    ):
        speak(talker, force=("audio",))


@pytest.mark.parametrize("force", [(), ("image",)])
def test_text_ends_before_a_stop_string(language: CausalLM, force: tuple[str, ...]) -> None:
    options = {"max_new_tokens": 12, "modalities": ("image",), "max_media": 0}
    plain = "".join(e.text for e in speak(engine(language), **options) if hasattr(e, "text"))
    assert len(plain) > 8
    stop = plain[4:7]
    talker = engine(language)
    events = speak(talker, **options, stop=("never said", stop, plain[6:9]), force=force)
    *_, end = events
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == plain[: plain.index(stop)]
    assert (end.finish_reason, [s.modality for s in spans(events)]) == ("stop", list(force))
    # What was said beyond it is not in the sequence that goes on.
    assert talker.length == len(PROMPT) + len(ids_of(events))


def test_what_may_begin_a_stop_string_is_held_back_and_given_in_the_end(language: CausalLM) -> None:
    options = {"max_new_tokens": 8, "modalities": ("text",)}
    plain = "".join(e.text for e in speak(engine(language), **options) if hasattr(e, "text"))
    events = speak(engine(language), **options, stop=(plain[-2:] + "?",))
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == plain
    assert events[-1].finish_reason != "stop" or len(plain) < 8
