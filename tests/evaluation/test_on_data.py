"""A model on anybody's data: losses are the held-out ones, decisions are counted turn by turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import anyweave as aw
from anyweave.evaluation.metrics import Decisions
from anyweave.evaluation.on_data import DataReport
from anyweave.generation.chat import ChatSession
from anyweave.messages import MEDIA_TYPES, Conversation, Message, Modality
from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_conversations, tiny_media
from anyweave.testing.model import tiny_model
from anyweave.training.held_out import held_out_losses


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


def turn(said: str, *wanted: Modality) -> list[Message]:
    media = [MEDIA_TYPES[modality](caption="a dot") for modality in wanted]
    return [Message("user", said), Message("assistant", ["here", *media])]


# What the model is made to answer, by the user's words.
GIVES: dict[str, tuple[Modality, ...]] = {
    "right": ("image",),
    "false": ("audio",),
    "two": ("image", "video"),
    "none": (),
}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replies as `GIVES` says; returns what each was asked after."""
    seen: list[list[str]] = []

    def reply(session: ChatSession, message: Message, *_: Any, **__: Any) -> Message:
        seen.append([m.text for m in (*session.messages, message)])
        media = [MEDIA_TYPES[modality](caption="x") for modality in GIVES[message.text]]
        return Message("assistant", media)

    monkeypatch.setattr(ChatSession, "reply", reply)
    return seen


def test_decisions_are_counted_turn_by_turn(model: NextGPT, scripted: list[list[str]]) -> None:
    conversations: list[Conversation] = [
        [*turn("right", "image"), *turn("false"), *turn("two", "image", "audio")],
        [Message("system", "be kind"), *turn("none"), Message("assistant", "and more")],
    ]
    report = aw.evaluate(model, conversations)
    assert report.decisions == Decisions(
        hits=2, extra=2, missed=1, exact=2, replies=4, words_only=2, false_draws=1
    )
    assert report.decisions.precision == 0.5 and report.decisions.recall == pytest.approx(2 / 3)
    assert report.by_modality["image"].f1 == 1.0
    assert report.by_modality["video"].extra == 1 and report.by_modality["audio"].missed == 1
    assert report.conversations == 2
    # Every turn is asked for after the data's own turns, not after what was answered.
    assert scripted == [
        ["right"],
        ["right", "here", "false"],
        ["right", "here", "false", "here", "two"],
        ["be kind", "none"],
    ]


def test_losses_are_the_held_out_ones_and_no_decoder_draws(
    model: NextGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(*_: Any, **__: Any) -> None:
        raise AssertionError("a decoder was asked to draw")

    kind = type(model.decoders["image"])
    monkeypatch.setattr(kind, "latent_steps", generate)
    source = tiny_conversations()
    done: list[tuple[int, int]] = []
    report = aw.evaluate(model, source, progress=lambda at, all: done.append((at, all)))
    found = held_out_losses(model, source, max_length=None, progress=False)
    nats, tokens = (sum(column) for column in zip(*found.language, strict=True))
    assert report.language.value == pytest.approx(nats / tokens)
    assert report.language.trials == report.conversations == len(source)
    assert set(report.alignment) == {"image", "video", "audio"}
    assert done[-1] == (9, 9)
    assert json.loads(json.dumps(report.to_dict()))["alignment_error"]["image"]["trials"] == 2
    text = report.to_markdown()
    assert "| language, nats per token | 9 |" in text
    assert "| alignment error, video | 1 | captions alike |" in text


@pytest.mark.parametrize("format", [None, "alpaca"])
def test_any_format_is_read(model: NextGPT, tmp_path: Path, format: str | None) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"instruction": "hi", "input": "", "output": "hello"}] * 2))
    report = aw.evaluate(model, path, format=format)
    assert isinstance(report, DataReport) and report.conversations == 2
    assert report.decisions.replies == 2 and report.alignment == {}


def test_a_model_by_its_folder(tmp_path: Path) -> None:
    folder = tiny_model().save_pretrained(tmp_path / "model")
    aw.write_messages([turn("right")], tmp_path / "a.jsonl")
    assert aw.evaluate(folder, tmp_path / "a.jsonl").conversations == 1


def test_nothing_is_left_out_in_silence(model: NextGPT, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no conversation"):
        aw.evaluate(model, [])
    picture = aw.Image(tmp_path / "none.png")
    with pytest.raises(ValueError, match="held-out conversation cannot be used.*none.png"):
        aw.evaluate(model, [[Message("user", [picture]), Message("assistant", "a dot")]])
    assert tiny_media("image", 1).source is not None
