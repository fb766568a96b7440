"""Every filter drops what it is for, and says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from anyweave.data.messages_jsonl import write_messages
from anyweave.messages import Image, Message
from anyweave_making.collection import Item
from anyweave_making.mosit import (
    Dialogue,
    Filler,
    Filters,
    Grammar,
    read_conversation,
    read_held_out,
    select,
)
from anyweave_making.mosit.duplicates import near_duplicates, shingles
from anyweave_making.mosit.held_out import HeldOut

from .conftest import TOPICS

MakeDialogue = Callable[..., Dialogue]

GOOD = """Human: [image: a red tent beside a lake] What is it, and why is it red of all colours?
Machine: A tent. Red is easy to find again in the snow and the fog.
Human: I like it. What would I hear there at night, with the fire nearly out?
Machine: This, most likely: [audio: a campfire crackling]
Human: Thanks a lot, that is a good sound to fall asleep to.
Machine: Sleep well, and do not forget to close the tent against the flies."""


@pytest.fixture
def dialogue(filler: Filler) -> MakeDialogue:
    def make(text: str = GOOD, id: str = "d") -> Dialogue:
        written = Dialogue(id=id, topic="t", writer="w", conversation=read_conversation(text))
        return filler.fill(written)

    return make


def reason(
    dialogue: Dialogue, filters: Filters | None = None, held_out: HeldOut | None = None
) -> str | None:
    selection = select([dialogue], filters or Filters(), held_out)
    assert len(selection.kept) + len(selection.dropped) == 1
    return selection.dropped.get(dialogue.id)


def test_a_good_one_is_kept(dialogue: MakeDialogue) -> None:
    assert reason(dialogue()) is None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("[audio: a campfire crackling]", "[audio: a brass band]", "a medium was not found"),
        ("[audio: a campfire crackling]", "[image: an owl on a branch]", "fewer than 2 modalities"),
        ("Human: Thanks", "Machine: x\nHuman: Thanks", None),
        ("A tent.", "Here is a picture of it.", "words hand over a medium that is not there"),
        ("A tent.", "I made you a short recording.", "words hand over a medium that is not there"),
        ("A tent.", "In the picture you sent I see a tent.", None),
        ("This, most likely:", "Here is the sound:", None),
    ],
)
def test_one_thing_wrong(
    dialogue: MakeDialogue, before: str, after: str, expected: str | None
) -> None:
    text = GOOD.replace(before, after).replace("Machine: x\nHuman: Thanks", "Human: Thanks")
    assert text != GOOD or expected is None
    assert reason(dialogue(text)) == expected


def test_turns_and_sides(dialogue: MakeDialogue) -> None:
    short = "\n".join(GOOD.splitlines()[:4])
    assert reason(dialogue(short)) == "not 3 to 7 turns"
    assert reason(dialogue(short), Filters(min_turns=2)) is None
    given = GOOD.replace("This, most likely: [audio", "No idea. Do you?").replace(
        "What would I hear", "[audio: a campfire crackling] What would I hear"
    )
    given = given.replace(": a campfire crackling]\nHuman: Thanks", "\nHuman: Thanks")
    assert reason(dialogue(given)) == "media on one side only"
    assert reason(dialogue(given), Filters(both_sides=False)) is None


def test_a_file_that_is_something_else(
    dialogue: MakeDialogue, items: list[Item], tmp_path: Path
) -> None:
    good = dialogue()
    (image, audio) = [p for m in good.conversation for p in m.media()]
    for path in (items[-1].path, tmp_path / "none.png"):
        wrong = good.with_media([replace(image, source=str(path)), audio], good.origins)
        assert reason(wrong) == "a file is not what its placeholder says"


def test_evaluation_sets_do_not_leak(
    dialogue: MakeDialogue, items: list[Item], tmp_path: Path
) -> None:
    held = tmp_path / "test.jsonl"
    write_messages([[Message("user", Image(items[0].path)), Message("assistant", "hm")]], held)
    assert reason(dialogue(), held_out=read_held_out([held])) == "a medium of an evaluation set"
    (tmp_path / "a.csv").write_text("path,caption,modality\nx,A campfire  crackling.,audio\n")
    (tmp_path / "b.csv").write_text("path,caption,modality\nx,an owl hooting in the hills,audio\n")
    (tmp_path / "c.txt").write_text("so what would i hear there at night with the fire out\nhi\n")
    leaks = {
        name: reason(dialogue(), held_out=read_held_out([tmp_path / name]))
        for name in ("a.csv", "b.csv", "c.txt")
    }
    # Three words are nobody's; eight in a row are no accident.
    assert leaks == {"a.csv": None, "b.csv": None, "c.txt": "words of an evaluation set"}
    (tmp_path / "d.txt").write_text("Thanks a lot, that is a good sound to fall asleep to!\n")
    leaking = read_held_out([tmp_path / "d.txt"])
    assert reason(dialogue(), held_out=leaking) == "words of an evaluation set"
    with pytest.raises(ValueError, match="no such file; give an evaluation set"):
        read_held_out([tmp_path / "none.txt"])


def test_near_duplicates(dialogue: MakeDialogue) -> None:
    other = GOOD.replace("Sleep well", "Good night")
    different = GOOD.replace("tent", "boat").replace("Human: I like it.", "Human: Hm, no.")
    made = [dialogue(text, id=str(n)) for n, text in enumerate((GOOD, other, different))]
    strict = select(made, Filters(max_similarity=0.9))
    assert strict.dropped == {"1": "near duplicate"}
    assert [d.id for d in strict.kept] == ["0", "2"]
    assert select(made, Filters(max_similarity=0.99)).dropped == {}
    assert strict.counts() == {"near duplicate": 1}


def test_duplicates_are_found_among_many() -> None:
    texts = [
        f"{n} bottles stand on wall number {n * 7} and {n + 3} of them fall" for n in range(300)
    ]
    texts += [texts[5] + " down", texts[17]]
    assert near_duplicates(texts, 0.8) == {300: 5, 301: 17}
    assert shingles("One, two THREE four") == shingles("one two three. four")
    assert near_duplicates(["", ""], 0.5) == {1: 0}


def test_balance_of_modalities(filler: Filler) -> None:
    grammar = Grammar(TOPICS)
    made = [filler.fill(grammar.write(str(n), TOPICS[n % 3], (0, n))) for n in range(60)]
    lopsided = [
        d for d in made if sum(p.modality == "image" for m in d.conversation for p in m.media()) > 1
    ]
    counts = _counts(lopsided)
    worst = max(counts.values()) / min(counts.values())
    assert worst > 1.3
    filters = Filters(max_imbalance=1.15, max_similarity=1.0)
    selection = select(lopsided, filters)
    after = _counts(selection.kept)
    assert max(after.values()) <= 1.15 * min(after.values())
    assert set(selection.counts()) == {"too many of one modality"}
    assert selection.kept and selection.kept == [d for d in lopsided if d in selection.kept]
    assert select(lopsided, replace(filters, max_imbalance=None)).dropped == {}


def _counts(dialogues: Sequence[Dialogue]) -> dict[str, int]:
    kinds = [p.modality for d in dialogues for m in d.conversation for p in m.media()]
    return {kind: kinds.count(kind) for kind in ("image", "video", "audio")}
