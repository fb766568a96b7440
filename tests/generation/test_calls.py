"""Calls in words: an untrained model asks by tags, and what follows sees signal runs as ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from anyweave.generation import ChatSession, GenerationOptions
from anyweave.generation import engine as engine_module
from anyweave.messages import Image, Message, Text
from anyweave.model.any_to_any import NextGPT
from anyweave.model.spec import ModelSpec
from anyweave.testing.model import tiny_model, tiny_spec

WORDS: dict[str, Any] = {
    "bridge": "caption",
    "calls": "words",
    "lora": None,
    "output_projectors": {},
}


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model(**WORDS, signal_tokens=dict.fromkeys(("image", "video", "audio"), 2))


@pytest.fixture
def says(model: NextGPT, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the model say a text, one byte at a time; what it may not say is left out. What the
    engine says for it (the bracket after a tag's name, closing tags) is not in the text.
    """

    def speak(text: str, **options: Any) -> Message:
        ids = model.processor._encode(text)
        script: Iterator[int] = iter([*ids, *([model.processor.end_of_turn_id] * 500)])

        def scripted(logits: Any, *, allowed: Any, **_: Any) -> int:
            return next(i for i in script if allowed[i])

        monkeypatch.setattr(engine_module, "sample_token", scripted)
        settings = {"decode_media": False, "max_new_tokens": 200, **options}
        session = ChatSession(model, GenerationOptions(**settings))
        reply = session.reply("go")
        rendered = model.processor.render(session.messages, load_targets=False)
        assert rendered.input_ids.tolist()[: len(session._ids)] == session._ids
        assert session._engine.length in (len(session._ids), len(session._ids) - 1)
        return reply

    return speak


def shown(reply: Message) -> list[tuple[str, str | None]]:
    return [(p.modality, p.text if isinstance(p, Text) else p.caption) for p in reply.parts]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("hi <imagea red apple< there", ["hi ", "image: a red apple", " there"]),
        ("<audioa bell<<videorain<", ["audio: a bell", "video: rain"]),
        ("<imagea cat\nand more", ["image: a cat", "and more"]),  # a line ends the call
        ("<imagea cat", ["image: a cat"]),  # so does the end of the turn
        ("<image<\n! ?cat< x", ["image: cat", " x"]),  # a caption says something
        ("a <b> and <imagine", ["a <b> and <imagine"]),  # no call at all
        ("ends in <ima", ["ends in <ima"]),
        ("no</image, no", ["no</imag, no"]),  # of what is not open
    ],
)
def test_a_call_once_begun_ends_well(says: Any, said: str, expected: list[str]) -> None:
    parts = [text if kind == "text" else f"{kind}: {text}" for kind, text in shown(says(said))]
    assert parts == expected


def test_a_long_caption_is_closed(says: Any) -> None:
    (kind, caption), *_ = shown(says("<image" + "ab" * 100))
    assert kind == "image"
    assert caption == "ab" * 32


def test_what_is_not_allowed_cannot_be_called_for(says: Any) -> None:
    reply = says("<imagea cat", modalities=("text", "audio"))
    assert not reply.media()
    twice = says("<imagea<<imageb", max_media=1)
    assert [part.caption for part in twice.media()] == ["a"]


def test_forced_media_come_with_a_caption(model: NextGPT) -> None:
    for seed in range(3):
        options = GenerationOptions(seed=seed, temperature=1.0, max_new_tokens=5, force=("audio",))
        reply = ChatSession(model, options).reply("hello", decode_media=False)
        (sound,) = reply.media("audio")
        written = model.processor.decode_text(sound.token_ids or ())
        assert written.startswith("<audio>")
        assert written.endswith("</audio>")
        assert any(character.isalnum() for character in sound.caption or "")


def test_the_decoder_gets_the_words(model: NextGPT, says: Any) -> None:
    (picture,) = says("<imagea cat<", decode_media=True, seed=1).media()
    from anyweave.generation.depicting import depict

    alone = depict(model, "image", "a cat", seed=1)
    assert alone is not None
    assert (picture.source == alone.source).all()


def test_near_the_last_position_a_call_still_fits(says: Any, model: NextGPT) -> None:
    start = len(model.processor.render([Message("user", "go")], add_generation_prompt=True).labels)
    for room in (5, 18, 19, 22, 40):
        reply = says("<imagea cat<", context_length=start + room)
        assert bool(reply.media()) == (room >= 18), room


def test_history_is_written_as_calls(model: NextGPT) -> None:
    history = [Message("user", "a"), Message("assistant", [Image(caption="a <b> cat")])]
    sample = model.processor.render(history, load_targets=False)
    text = model.processor.decode_text(sample.input_ids.tolist())
    assert "<image>a b> cat</image>" in text
    assert len(sample.targets) == 1
    # Of examples nothing is learnt, of the reply its call is.
    learnt = sample.labels[sample.labels >= 0].tolist()
    assert "<image>a b> cat</image>" in model.processor.decode_text(learnt)
    assert "apple" not in model.processor.decode_text(learnt)


def test_an_own_system_message_still_explains_calls(model: NextGPT) -> None:
    sample = model.processor.render([Message("system", "Be brief."), Message("user", "x")])
    text = model.processor.decode_text(sample.input_ids.tolist())
    assert "Be brief.\n\nYou can answer with media" in text


def test_words_need_the_caption_bridge(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="bridge='caption'"):
        tiny_spec(tmp_path, calls="words")
    with pytest.raises(ValueError, match="calls"):
        ModelSpec.from_dict({**tiny_spec(tmp_path).to_dict(), "calls": "shouts"})
