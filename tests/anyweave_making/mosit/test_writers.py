"""Grammar and language model: what they write is what MosIT asks for."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import httpx2
import numpy as np
import pytest

from anyweave.data.written import write_conversation
from anyweave.messages import PAPER_MODALITIES
from anyweave_making.captions import tidy
from anyweave_making.collection import Item
from anyweave_making.journal import GivenUpError, Journal
from anyweave_making.llm import LLM
from anyweave_making.mosit import (
    ACTS,
    PHRASES,
    Act,
    Grammar,
    Prompter,
    Talk,
    Topic,
    build_drafts,
    grounded,
    read_examples,
    read_topics,
)
from anyweave_making.mosit.build import DRAFTS, draft_topics, read_dialogues
from anyweave_making.mosit.dialogue import media_of

from .conftest import TOPICS


def test_more_than_a_hundred_topics() -> None:
    topics = read_topics()
    assert len({topic.name for topic in topics}) == len(topics) > 100
    for topic in topics:
        assert all(topic.scenes[m] for m in PAPER_MODALITIES) and topic.why and topic.plans
    captions = [c for t in topics for captions in t.scenes.values() for c in captions]
    assert [caption for caption in captions if caption != tidy(caption)] == []


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("x =", "no file of topics"),
        ("", r"it has no \[\[topic\]\]"),
        ("[[topic]]\nimage = []", "topic 1: it needs a name"),
        ('[[topic]]\nname = "a"\nimages = []', "unknown key 'images'; known: name, image"),
        ('[[topic]]\nname = "a"\nimage = "b"', r"\(a\): image is a list of texts, got 'b'"),
        ('[[topic]]\nname = "a"\nwhy = ["b"]', r"\(a\): why is a question and its answer"),
    ],
)
def test_topics_of_ones_own(tmp_path: Path, toml: str, problem: str) -> None:
    (tmp_path / "t.toml").write_text(toml)
    with pytest.raises(ValueError, match=problem):
        read_topics(tmp_path / "t.toml")


def test_grounded_topics_ask_for_what_is_there(items: list[Item]) -> None:
    asked = Topic(
        name="camping",
        scenes={
            "image": ("tents beside lakes", "an owl"),
            "audio": ("campfires crackling", "an owl hooting in the dark"),
            "video": ("a parade",),
        },
    )
    thin = Topic(name="owls", scenes={"image": ("an owl",)})
    (found,) = grounded([asked, thin], items)
    assert found.scenes == {
        "image": ("a red tent beside a lake", "an owl on a branch"),
        "audio": ("a campfire crackling", "an owl hooting"),
    }
    with pytest.raises(ValueError, match="none of 1 topics has enough media"):
        grounded([Topic(name="tax law", scenes={})], items)


def test_the_grammar_writes_what_mosit_asks_for() -> None:
    topics = read_topics()
    grammar = Grammar(topics)
    made = [grammar.write(f"d{n}", topics[n % len(topics)], (0, n)) for n in range(250)]
    turns = [dialogue.num_turns for dialogue in made]
    assert set(turns) == {3, 4, 5, 6, 7} and 4.5 < np.mean(turns) < 5.1
    tags = {tag for dialogue in made for tag in dialogue.tags}
    assert tags >= {"explicit", "implicit", "perception", "reasoning", "suggestion", "planning"}
    seen = {
        (message.role, part.modality)
        for dialogue in made
        for message in dialogue.conversation
        for part in message.media()
    }
    assert len(seen) == 6  # all modalities on both sides
    for dialogue in made:
        kinds = [part.modality for part in media_of(dialogue.conversation)]
        assert all(a != b for a, b in itertools.pairwise(kinds))  # they switch
        assert all(m.role == "user" for m in dialogue.conversation[::2])
        said = write_conversation(dialogue.conversation)
        assert not re.search(r"[{}]|  |None", said), said
        captions = [part.caption for part in media_of(dialogue.conversation)]
        assert len(set(captions)) == len(captions)
    texts = {write_conversation(dialogue.conversation) for dialogue in made}
    assert len(texts) == len(made)


def test_the_same_seed_writes_the_same() -> None:
    grammar = Grammar(TOPICS)
    assert grammar.write("d", TOPICS[0], (1, 2)) == grammar.write("d", TOPICS[0], (1, 2))
    assert grammar.write("d", TOPICS[0], (1, 2)) != grammar.write("d", TOPICS[0], (1, 3))


def test_another_world_brings_topics_phrases_and_acts() -> None:
    topic = Topic(name="dots", scenes={"image": ("a red dot", "a blue dot"), "audio": ("a beep",)})

    def refuse(talk: Talk) -> None:
        talk.exchange([talk.phrase("refuse", x="a house")], ["There are only dots."], "reasoning")

    grammar = Grammar(
        [topic],
        phrases={**PHRASES, "refuse": ("I want {x}.", "{X}, please.")},
        acts={**ACTS, "refuse": Act(refuse, lambda talk: True, weight=5)},
        turns={3: 1.0},
    )
    dialogue = grammar.write("d", topic, (0,))
    said = write_conversation(dialogue.conversation)
    assert "There are only dots." in said and dialogue.num_turns == 3
    assert {part.caption for part in media_of(dialogue.conversation)} <= {
        "a red dot",
        "a blue dot",
        "a beep",
    }
    with pytest.raises(ValueError, match="no phrases for ask.audio, ask.image"):
        Grammar([topic], phrases={k: v for k, v in PHRASES.items() if not k.startswith("ask")})
    with pytest.raises(GivenUpError, match="silence: too little to make a dialogue of"):
        Grammar([topic]).write("d", Topic(name="silence", scenes={}), (0,))


def test_another_world_brings_its_own_talk() -> None:
    """What people say around things, what a whole dialogue is and who signs it are free too."""
    made = []

    class Counting(Talk):
        def before(self) -> str:
            return f"Number {self.turns}."

        def is_whole(self) -> bool:
            made.append(self)
            return len(made) % 2 == 0

    def ask(talk: Talk) -> None:
        talk.exchange([talk.phrase("ask")], ["No."])

    topic = Topic(name="silence", scenes={})
    grammar = Grammar(
        [topic],
        phrases={"ask": ("Say {topic}.",)},  # of `PHRASES` only our own acts need any
        acts={"ask": Act(ask, lambda talk: isinstance(talk, Counting), most=3)},
        turns={3: 1.0},
        begin=Counting,
        name="counting",
    )
    dialogue = grammar.write("d", topic, (0,))
    assert [m.text for m in dialogue.conversation[::2]] == [
        f"Number {n}. Say silence." for n in range(3)
    ]
    assert len(made) == 2 and dialogue.writer == grammar.name == "counting"
    assert Grammar(TOPICS).name == "grammar"


def test_drafts_go_on_and_use_every_topic(tmp_path: Path) -> None:
    grammar = Grammar(TOPICS)
    assert build_drafts(grammar, TOPICS, tmp_path / "w", num=4) == 4
    first = (tmp_path / "w" / DRAFTS).read_text()
    assert build_drafts(grammar, TOPICS, tmp_path / "w", num=9) == 9
    assert (tmp_path / "w" / DRAFTS).read_text().startswith(first)
    assert build_drafts(grammar, TOPICS, tmp_path / "whole", num=9) == 9
    assert (tmp_path / "whole" / DRAFTS).read_text() == (tmp_path / "w" / DRAFTS).read_text()
    named = [topic.name for topic in draft_topics(TOPICS, 9, 0)]
    assert sorted(named) == sorted(["camping", "baking", "owls"] * 3)
    with pytest.raises(ValueError, match="begun with topics"):
        build_drafts(grammar, TOPICS[1:], tmp_path / "w", num=9)


def test_a_language_model_writes(tmp_path: Path) -> None:
    asked = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.content.decode())
        text = "No." if len(asked) == 1 else read_examples()[0]
        return httpx2.Response(200, json={"choices": [{"message": {"content": text}}]})

    with Journal(tmp_path / "answers.jsonl") as answers:
        client = httpx2.Client(transport=httpx2.MockTransport(handle))
        llm = LLM(base_url="http://x/v1", model="big", answers=answers, http_client=client)
        writer = Prompter(llm, read_examples())
        assert build_drafts(writer, TOPICS, tmp_path / "w", num=5, workers=2) == 5
    assert len(asked) == 6
    assert "Now write one about camping" in "".join(asked)
    assert asked[1].count("Human:") > 4  # template dialogues are shown
    with Journal(tmp_path / "w" / DRAFTS) as journal:
        made = read_dialogues(journal)
    assert [dialogue.id for dialogue in made] == [f"mosit-0-{n:06d}" for n in range(5)]
    assert {dialogue.writer for dialogue in made} == {"big"} and len(made[0].tags) == 3
    assert len({writer.prompt(TOPICS[0], (0, n)).user for n in range(20)}) > 15
