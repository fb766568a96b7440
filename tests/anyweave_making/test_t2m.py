"""T2M: captions become requests and replies that differ, and a stopped run goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from anyweave.data import read_messages
from anyweave.data.stats import measure_file
from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave_making.collection import Item
from anyweave_making.journal import GivenUpError, Journal
from anyweave_making.llm import LLM
from anyweave_making.t2m import Exchange, LLMWriter, TemplateWriter, build_t2m, t2m_prompts

CAPTIONS = {
    "image": ("A cat asleep on a sofa.", "Two dogs run on a beach", "Paris at night"),
    "video": ("waves breaking on rocks", "A woman is kneading dough"),
    "audio": ("A man talks while a dog barks", "a bell ringing"),
}


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    made = []
    for modality, captions in CAPTIONS.items():
        for number, caption in enumerate(captions):
            path = tmp_path / f"{modality}{number}.bin"
            path.write_bytes(caption.encode())
            made.append(Item(modality=modality, path=path, caption=caption, licence="CC0"))
    return made


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_hundreds_of_phrasings(modality: Modality) -> None:
    item = Item(modality=modality, path=Path("x"), caption="a bell ringing on a hill")
    made = [TemplateWriter().write(item, (0, n)) for n in range(1000)]
    assert len({exchange.request for exchange in made}) > 500
    assert len({(exchange.before, exchange.after) for exchange in made}) > 250
    # Each one says what is wanted, keeps no slot open and ends like a sentence.
    for exchange in made:
        assert "a bell ringing on a hill" in exchange.request.lower()
        assert not re.search(r"[{}]|  ", exchange.request + exchange.before + exchange.after)
        assert re.search(r"[.?!:]$", exchange.before)
    assert TemplateWriter().write(item, (0, 5)) == made[5]


def test_sentences_stay_grammatical_around_clauses() -> None:
    item = Item(modality="audio", path=Path("x"), caption="A man talks while a dog barks")
    for number in range(300):
        exchange = TemplateWriter().write(item, (1, number))
        said = f"{exchange.request} {exchange.before}"
        assert not re.search(r"\b(of|with|like|hear|see) a man talks", said), said


def test_the_dataset(items: list[Item], tmp_path: Path) -> None:
    facts = build_t2m(items, tmp_path / "t2m", work=tmp_path / "work", per_item=2, seed=3)
    assert facts["stats"]["in_out"] == "T→T+I/A/V"
    assert facts["stats"]["instances"] == 2 * len(items)
    stats = measure_file(tmp_path / "t2m")
    assert stats.media == {m: len(captions) for m, captions in CAPTIONS.items()}
    user, assistant = next(read_messages(tmp_path / "t2m" / "messages.jsonl"))
    (medium,) = assistant.media()
    assert user.text and assistant.text and medium.caption == "A cat asleep on a sofa."
    assert Path(medium.source) == items[0].path  # in place
    assert all(group["licence"] == "CC0" for group in facts["media"])
    assert "| writer | templates |" in (tmp_path / "t2m" / "README.md").read_text()


def test_the_same_seed_and_a_stop_make_the_same_dataset(items: list[Item], tmp_path: Path) -> None:
    build_t2m(items, tmp_path / "a", work=tmp_path / "wa", seed=1)

    class Stops(TemplateWriter):
        left = 4

        def write(self, item: Item, seed: Sequence[int]) -> Exchange:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            return super().write(item, seed)

    with pytest.raises(KeyboardInterrupt):
        build_t2m(items, tmp_path / "b", work=tmp_path / "wb", seed=1, writer=Stops())
    assert not (tmp_path / "b").exists()
    build_t2m(items, tmp_path / "b", work=tmp_path / "wb", seed=1)
    build_t2m(items, tmp_path / "c", work=tmp_path / "wc", seed=2)
    read = [(tmp_path / name / "messages.jsonl").read_text() for name in "abc"]
    assert read[0] == read[1] != read[2]
    with pytest.raises(ValueError, match="this work was begun with seed=1, now it is 2"):
        build_t2m(items, tmp_path / "d", work=tmp_path / "wa", seed=2)
    with pytest.raises(ValueError, match="begun with items"):
        build_t2m(items[1:], tmp_path / "d", work=tmp_path / "wa", seed=1)


def answering(answers: Journal, reply: Callable[[str], str]) -> LLM:
    """A model whose endpoint is a function of the question."""
    import httpx2

    def handle(request: httpx2.Request) -> httpx2.Response:
        text = reply(json.loads(request.content)["messages"][1]["content"])
        return httpx2.Response(200, json={"choices": [{"message": {"content": text}}]})

    client = httpx2.Client(transport=httpx2.MockTransport(handle))
    return LLM(base_url="http://x/v1", model="big", answers=answers, http_client=client, retries=1)


def test_a_language_model_writes(items: list[Item], tmp_path: Path) -> None:
    asked = []

    def reply(question: str) -> str:
        asked.append(question)
        if "Paris" in question:
            return "I would rather not."
        return 'Sure: {"request": "I want it", "reply": "Here it is: <medium> Nice?"}'

    with Journal(tmp_path / "answers.jsonl") as answers:
        writer = LLMWriter(answering(answers, reply))
        facts = build_t2m(items, tmp_path / "t2m", work=tmp_path / "w", writer=writer, workers=3)
        assert facts["dropped"] == {"no usable answer": 1}
        assert len(asked) == len(items) + 1  # one was asked twice
        assert "Medium: image\nCaption: A cat asleep on a sofa." in asked
        build_t2m(items, tmp_path / "again", work=tmp_path / "w2", writer=writer)
        assert len(asked) == len(items) + 1  # all answers were kept
        estimate = writer._llm.estimate(t2m_prompts(items), output_tokens=80)
        assert estimate.requests == estimate.cached == len(items)
    user, assistant = next(read_messages(tmp_path / "t2m" / "messages.jsonl"))
    assert user.text == "I want it" and assistant.text == "Here it is: Nice?"


@pytest.mark.parametrize(
    "answer", ["{}", '{"request": "x", "reply": "no mark"}', '{"request": 1, "reply": "<medium>"}']
)
def test_answers_that_are_no_exchange(items: list[Item], tmp_path: Path, answer: str) -> None:
    with (
        Journal(tmp_path / "answers.jsonl") as answers,
        pytest.raises(GivenUpError, match="no usable answer in 2 attempts"),
    ):
        LLMWriter(answering(answers, lambda question: answer)).write(items[0], (0, 0))


def test_an_exchange_is_a_conversation(items: list[Item]) -> None:
    user, assistant = Exchange("Show me.", "Look:", "Nice?").conversation(items[0])
    assert [part.modality for part in assistant.parts] == ["text", "image", "text"]
    assert assistant.text == "Look: Nice?" and user.text == "Show me."
    assert Exchange("x", "", "Nice?").conversation(items[0])[1].text == "Nice?"
