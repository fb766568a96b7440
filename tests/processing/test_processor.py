from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyweave.batch import IGNORE_INDEX, Cut, Sample
from anyweave.messages import PAPER_MODALITIES, Audio, Image, Message, Part, Role, Text, Video
from anyweave.processing import (
    ConversationTooLongError,
    FeatureCache,
    Fingerprints,
    Processor,
    SampleCache,
    collate,
)
from anyweave.processing.layout import Piece, TurnLayout, fit

from .conftest import make_medium, make_processor

PROCESSOR = make_processor()
SIGNALS = PROCESSOR.signals


def spoken(message: Message) -> list[int]:
    """The ids that the model speaks to say a reply, whatever stands before it."""
    asked, turn = [Message("user", "x")], PROCESSOR.turn_ids["assistant"]
    prompt = PROCESSOR.render(asked, add_generation_prompt=True).input_ids.tolist()
    whole = PROCESSOR.render([*asked, message], load_targets=False).input_ids.tolist()
    return whole[len(prompt) : len(whole) - len(turn.end) - len(turn.suffix)]


def parts(role: Role) -> st.SearchStrategy[tuple[Part, ...]]:
    text = st.text(max_size=8).map(Text)
    spoken = st.lists(st.integers(0, 255), min_size=1, max_size=4).map(
        lambda ids: Text("?", token_ids=tuple(ids))
    )
    media = st.builds(
        make_medium, st.sampled_from(PAPER_MODALITIES), st.integers(0, 255), st.just("a cat")
    )
    return st.lists(
        st.one_of(text, spoken, media) if role == "assistant" else st.one_of(text, media),
        max_size=5,
    ).map(tuple)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    turns = draw(st.integers(1, 5))
    roles: list[Role] = [("user", "assistant")[i % 2] for i in range(turns)]
    return [Message(role, draw(parts(role))) for role in roles]


@given(conversations())
def test_every_medium_has_its_place_in_order(conversation: list[Message]) -> None:
    sample = PROCESSOR.render(conversation)
    ids = sample.input_ids.tolist()
    entered = [p for m in conversation if m.role == "user" for p in m.media()]
    left = [p for m in conversation if m.role == "assistant" for p in m.media()]
    assert [m.modality for m in sample.media] == [p.modality for p in entered]
    assert [t.modality for t in sample.targets] == [p.modality for p in left]
    for medium in sample.media:
        span = ids[medium.start : medium.start + medium.length]
        assert span == [SIGNALS.placeholder(medium.modality)] * medium.length
    for target in sample.targets:
        assert tuple(ids[target.start : target.start + target.length]) == SIGNALS.ids(
            target.modality
        )
    placeholders = sum(SIGNALS.is_placeholder(i) for i in ids)
    assert placeholders == sum(m.length for m in sample.media)
    signals = sum(SIGNALS.modality_of(i) is not None for i in ids)
    assert signals == sum(t.length for t in sample.targets)


@given(conversations(), parts("assistant"))
def test_a_reply_extends_its_prompt(conversation: list[Message], reply: tuple[Part, ...]) -> None:
    if conversation[-1].role == "assistant":
        conversation = conversation[:-1]
    message = Message("assistant", reply)
    prompt = PROCESSOR.render(conversation, add_generation_prompt=True).input_ids.tolist()
    said = [*prompt, *spoken(message), PROCESSOR.end_of_turn_id]
    whole = PROCESSOR.render([*conversation, message]).input_ids.tolist()
    assert whole[: len(said)] == said
    later = PROCESSOR.render([*conversation, message, Message("user", "and?")]).input_ids.tolist()
    assert later[: len(whole)] == whole


@given(st.lists(conversations(), min_size=1, max_size=4))
def test_a_batch_holds_what_its_samples_hold(many: list[list[Message]]) -> None:
    samples = [PROCESSOR.render(conversation) for conversation in many]
    batch = collate(samples, PROCESSOR.pad_id)
    for row, sample in enumerate(samples):
        alone = collate([sample], PROCESSOR.pad_id)
        length = sample.length
        assert torch.equal(batch.input_ids[row, :length], alone.input_ids[0])
        assert torch.equal(batch.labels[row, :length], alone.labels[0])
        assert int(batch.attention_mask[row].sum()) == length
        assert (batch.labels[row, length:] == IGNORE_INDEX).all()
        for modality, media in alone.media.items():
            mine = batch.media[modality].rows == row
            assert torch.equal(batch.media[modality].starts[mine], media.starts)
            inputs = batch.media[modality].inputs
            assert inputs is not None and media.inputs is not None
            assert torch.equal(inputs[mine], media.inputs)
        for modality, targets in alone.targets.items():
            mine = batch.targets[modality].rows == row
            assert torch.equal(batch.targets[modality].starts[mine], targets.starts)


def labelled(processor: Processor, **arguments: Any) -> list[int]:
    conversation = [
        Message("user", "q"),
        Message("assistant", "ab"),
        Message("user", "q"),
        Message("assistant", [Text("c"), make_medium("audio"), Text("d")]),
    ]
    labels = processor.render(conversation, **arguments).labels
    return [int(i) for i in labels if i != IGNORE_INDEX]


def test_labels_are_the_assistants_words_first_signals_and_ends() -> None:
    a, b, c, d = (spoken(Message("assistant", x))[0] for x in "abcd")
    end, run = PROCESSOR.end_of_turn_id, SIGNALS.ids("audio")
    assert labelled(PROCESSOR) == [a, b, end, c, run[0], d, end]
    assert labelled(PROCESSOR, train_on="last") == [c, run[0], d, end]
    assert labelled(PROCESSOR, train_on="none") == []
    assert labelled(make_processor(supervise_run="all")) == [a, b, end, c, *run, d, end]


def test_labels_stand_at_their_own_ids() -> None:
    sample = PROCESSOR.render([Message("user", "q"), Message("assistant", "answer")])
    supervised = sample.labels != IGNORE_INDEX
    assert torch.equal(sample.labels[supervised], sample.input_ids[supervised])


def test_rates_reach_the_encoder_and_arrays_reach_the_targets() -> None:
    sample = PROCESSOR.render(
        [
            Message("user", [make_medium("audio", 255), make_medium("video", 7)]),
            Message("assistant", [make_medium("image", 9, "nine"), Image(caption="known by name")]),
        ]
    )
    heard, seen = (medium.inputs for medium in sample.media)
    assert heard is not None and heard.tolist() == [1.0, 16000.0]
    assert seen is not None and seen.tolist() == [7.0, 8.0]
    assert sample.targets[0].caption == "nine" and int(sample.targets[0].array.mean()) == 9
    assert sample.targets[1].array is None


def test_media_of_earlier_messages_can_be_left_out() -> None:
    conversation = [
        Message("user", [make_medium("image")]),
        Message("assistant", [make_medium("audio")]),
        Message("user", [make_medium("video")]),
    ]
    whole = PROCESSOR.render(conversation, add_generation_prompt=True)
    rest = PROCESSOR.render(conversation, add_generation_prompt=True, new_from=2)
    assert torch.equal(whole.input_ids, rest.input_ids)
    assert [m.modality for m in rest.media] == ["video"] and not rest.targets
    assert rest.media[0].start == whole.media[1].start


def test_length_needs_no_media() -> None:
    conversation = [Message("user", [Image("missing.png"), "what?"]), Message("assistant", "x")]
    sample = PROCESSOR.render([Message("user", [make_medium("image"), "what?"]), conversation[1]])
    assert PROCESSOR.length(conversation) == sample.length


def test_long_conversations_are_refused_with_numbers() -> None:
    conversation = [Message("user", "x" * 50), Message("assistant", "y" * 50)]
    total = PROCESSOR.length(conversation)
    with pytest.raises(
        ConversationTooLongError, match=f"{total} tokens in 2 turns, the limit is 64"
    ):
        make_processor(max_length=64).render(conversation)


EXCHANGES = [
    Message("user", [Image(np.zeros((4, 4, 3), np.uint8)), "what is it?"]),
    Message("assistant", "a bus, white and red"),
    Message("user", "and behind it?"),
    Message("assistant", ["an advertisement:", Image(caption="a poster")]),
]


def cut_at(limit: int, conversation: list[Message] = EXCHANGES) -> Sample:
    return make_processor(max_length=limit, truncate="end", system_prompt="S").render(
        conversation, load_targets=False
    )


def test_long_conversations_are_cut_at_their_end_and_keep_what_answers_are_about() -> None:
    whole = cut_at(10_000)
    assert not whole.cut
    for limit in range(whole.length - 1, 0, -1):
        try:
            sample = cut_at(limit)
        except ConversationTooLongError:
            break
        # A beginning of the same conversation, the picture in it, that ends in an answer.
        assert sample.length <= limit
        assert torch.equal(sample.input_ids, whole.input_ids[: sample.length])
        assert torch.equal(sample.labels, whole.labels[: sample.length])
        assert [medium.modality for medium in sample.media] == ["image"]
        assert (sample.labels != IGNORE_INDEX).any()
        assert sample.cut.tokens == whole.length - sample.length > 0
        assert sample.cut.media == 1 - len(sample.targets)
    else:
        pytest.fail("one token cannot hold a conversation")
    assert sample.length == limit + 1, "the last that fits has one token of its first answer"


def test_nothing_is_cut_inside_a_medium_or_behind_a_question() -> None:
    processor = make_processor(system_prompt="S")
    first = processor.render(EXCHANGES[:2]).length
    text = processor.render([*EXCHANGES[:3], Message("assistant", "an advertisement:")]).length
    assert cut_at(first + 3).length == first, "no question without an answer"
    end = len(processor.turn_ids["assistant"].end + processor.turn_ids["assistant"].suffix)
    sample = cut_at(text - end + 1)
    assert (sample.length, len(sample.targets)) == (text - end, 0), "no part of a signal run"
    assert sample.cut == Cut(turns=1, tokens=sample.cut.tokens, media=1)


def test_no_answer_fits() -> None:
    with pytest.raises(ConversationTooLongError, match="limit is 40; and its first answer begins"):
        cut_at(40, [Message("user", "z" * 120), Message("assistant", "yes")])


def test_a_prompt_is_never_cut() -> None:
    processor = make_processor(max_length=40, truncate="end")
    with pytest.raises(ConversationTooLongError):
        processor.render([Message("user", "z" * 120)], add_generation_prompt=True)


def test_cutting_costs_what_the_conversation_is_long() -> None:
    roles: tuple[Role, ...] = ("user", "assistant")
    turns = [
        TurnLayout(role, n, (Piece((1, 2), control=True), Piece((3,) * 8, "all")))
        for n, role in enumerate(roles * 20_000)
    ]
    kept, cut = fit(turns, 1, 150_000, "end")
    assert (len(kept), cut.turns, cut.tokens) == (15_000, 25_001, 250_001)


def test_system_messages_replace_the_default_prompt() -> None:
    processor = make_processor(system_prompt="default")
    text = processor.tokenizer.decode(
        processor.render([Message("system", "mine"), Message("user", "x")]).input_ids.tolist()
    )
    assert "mine" in text and "default" not in text


@pytest.mark.parametrize(
    ("conversation", "arguments", "message"),
    [
        ([], {}, "no messages"),
        ([Message("user", "a"), Message("system", "b")], {}, "message 1 is a system message"),
        ([Message("assistant", "a")], {"add_generation_prompt": True}, "last message is the ass"),
        ([Message("user", [Image()])], {}, "image in a user message has no source"),
        ([Message("assistant", [Text("x", token_ids=(264,))])], {}, "outside the base vocabulary"),
    ],
)
def test_refused_conversations(
    conversation: list[Message], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PROCESSOR.render(conversation, **arguments)


def test_modalities_that_the_model_lacks_are_refused() -> None:
    deaf = make_processor(encoders={"image": PROCESSOR.encoders["image"]})
    with pytest.raises(ValueError, match="takes no audio as input.*it takes image"):
        deaf.render([Message("user", [Audio(np.zeros(8, np.float32), rate=16000)])])


def test_a_tokenizer_larger_than_the_matrix_is_refused() -> None:
    from anyweave.processing import SignalTokens

    with pytest.raises(ValueError, match="tokens but signal ids start at 100"):
        make_processor(signals=SignalTokens({"image": 1}, 100))


def test_a_cache_gives_other_forms_of_the_same_media(tmp_path: Any) -> None:
    cache = FeatureCache(tmp_path)
    names: Fingerprints = {"features": {"image": "enc"}, "latents": {"video": "dec"}}
    stored = SampleCache(names, cache)
    asked, drawn = make_medium("image", 3), make_medium("video", 4, "four")
    conversation = [Message("user", [asked]), Message("assistant", [drawn])]

    def render(stored: SampleCache) -> Sample:
        sample = stored.find(PROCESSOR.render(conversation, read=False), targets=True)
        assert sample.media[0].inputs is None and sample.targets[0].array is None
        return PROCESSOR.read(sample, targets=True)

    cold = render(stored)
    assert cold.media[0].features is None and cold.targets[0].latents is None
    assert cold.media[0].inputs is not None and cold.targets[0].array is not None
    stored.keep("features", cold.media[0].key, torch.ones(2, 3))
    stored.keep("latents", cold.targets[0].key, torch.ones(4))
    warm = render(stored)
    assert torch.equal(warm.input_ids, cold.input_ids)
    features, latents = warm.media[0].features, warm.targets[0].latents
    assert features is not None and latents is not None
    assert warm.media[0].inputs is None and features.shape == (2, 3)
    assert warm.targets[0].array is None and latents.shape == (4,)
    assert render(SampleCache(names)).media[0].key is None  # no cache, no keys


def test_the_tokenizer_given_stays_as_it_was() -> None:
    from anyweave.testing.language import byte_tokenizer

    tokenizer = byte_tokenizer()
    processor = make_processor(tokenizer=tokenizer)
    processor.render([Message("user", [Video(np.zeros((1, 2, 2, 3), np.uint8), rate=8.0)])])
    assert tokenizer("<|im_end|>", add_special_tokens=False).input_ids == [257]
