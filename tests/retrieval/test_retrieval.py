"""An index of a few media: built, resumed, searched, decided on, and spoken from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pixels

from anyweave.generation import ChatSession, Done, GenerationOptions, MediaDone
from anyweave.generation.terminal import told
from anyweave.messages import Message
from anyweave.model import NextGPT
from anyweave.retrieval import Decision, Finder, Index, build_index, building
from anyweave.testing.model import tiny_model

NAMES = ("cat", "red_apple", "hedgehog")


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for number, name in enumerate(NAMES):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Pixels.fromarray(pixels).save(folder / f"{name}.png")
    told = {"caption": "a prickly hedgehog", "source": "my garden", "licence": "CC0-1.0"}
    (folder / "hedgehog.json").write_text(json.dumps(told))
    (folder / "notes.txt").write_text("no medium")
    return folder


@pytest.fixture(scope="module")
def index(folder: Path, model: NextGPT, tmp_path_factory: pytest.TempPathFactory) -> Index:
    output = tmp_path_factory.mktemp("out") / "index"
    report = build_index(folder, model, output)
    assert report.media == {"image": 3} and sum(report.skipped.values()) == 1
    assert report.known == 0
    again = build_index(folder, model, output)
    assert again.known == 3 and again.media == report.media
    assert sum(again.skipped.values()) == 1
    return Index.load(output)


def _vectors(words: Sequence[str]) -> torch.Tensor:
    return torch.stack(
        [torch.nn.functional.one_hot(torch.tensor(sum(map(ord, w)) % 997), 997) for w in words]
    )


def test_words_find_captions(index: Index) -> None:
    best, *others = index.by_words("draw me a Hedgehog, prickly!", "image", _vectors)
    assert best.entry.caption == "a prickly hedgehog" and best.score == pytest.approx(1, abs=1e-4)
    assert best.entry.licence == "CC0-1.0" and all(other.score < 0.5 for other in others)
    assert index.by_words("a cat", "audio", _vectors) == []
    assert {entry.caption for entry in index.entries} == {"cat", "red apple", "a prickly hedgehog"}


def test_media_find_themselves(index: Index) -> None:
    for number, entry in enumerate(index.entries):
        best = index.by_features(index.features[str(number)], "image", limit=1)[0]
        assert best.entry == entry and best.score == pytest.approx(1, abs=1e-4)


def test_a_decision_is_learned() -> None:
    generator = np.random.default_rng(0)
    rows = [(float(s), float(m), 0.5, 0.0) for s, m in generator.uniform(0, 1, (80, 2))]
    wanted = [score > 0.6 for score, *_ in rows]
    decision = Decision.fitted(rows, wanted)
    assert (
        np.mean([decision.finds(row) == want for row, want in zip(rows, wanted, strict=True)]) > 0.9
    )
    assert Decision.threshold(0.6).finds((0.7, 0, 0, 0))
    assert not Decision.threshold(0.6).finds((0.5, 0, 0, 1))
    assert Decision().finds((0.7, 0, 0, 1)) and not Decision().finds((0.7, 0, 0, 0))
    with pytest.raises(ValueError, match="examples of both"):
        Decision.fitted(rows[:2], [True, True])


def test_a_reply_is_answered_from_the_index(index: Index, model: NextGPT) -> None:
    options = GenerationOptions(
        max_new_tokens=4, seed=1, num_inference_steps=1, force=("image",), max_media=0
    )
    for decision, found in ((None, True), (Decision.threshold(2.0), False)):
        session = ChatSession(model, options, finder=Finder(index, model, decision))
        *events, done = session.send("a prickly hedgehog")
        assert isinstance(done, Done)
        (medium,) = [event for event in events if isinstance(event, MediaDone)]
        assert (medium.retrieved is not None) == found and medium.part.generated != found
        if medium.retrieved is not None:
            assert "found in the index, not made from my garden; licence: CC0-1.0" in told(
                medium.retrieved
            )
            assert done.message.images[0].size == (16, 16)
            # What was found is known to the conversation as any medium.
            again = session.reply(Message("user", "hello"), force=())
            assert isinstance(again, Message)


def test_what_is_gone_or_changed_is_not_shown(
    model: NextGPT, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, shade in (("red apple", 200), ("apple", 20)):
        Pixels.new("L", (16, 16), shade).save(tmp_path / f"{name}.png")
    build_index(tmp_path, model, tmp_path / "index")
    find = Finder(Index.load(tmp_path / "index"), model, None)

    def found() -> str | None:
        medium = find("image", "a red apple", "a red apple")
        return None if medium is None else Path(str(medium.part.source)).stem

    assert found() == "red apple"
    (tmp_path / "red apple.png").unlink()
    assert found() == "apple" and "red apple.png is gone or has changed" in caplog.text
    Pixels.new("L", (24, 24), 90).save(tmp_path / "apple.png")
    assert found() is None


def test_a_stopped_build_keeps_what_was_indexed(
    model: NextGPT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_SAVE_EVERY", 1)
    media = tmp_path / "media"
    media.mkdir()
    for name in "abc":
        Pixels.new("L", (16, 16), ord(name)).save(media / f"{name}.png")
    build_index(media, model, tmp_path / "index")
    whole = Index.load(tmp_path / "index")
    Pixels.new("L", (24, 24), 7).save(media / "a.png")  # has to be read again
    ticks = iter([None, KeyboardInterrupt])

    def tick() -> None:
        if (stop := next(ticks)) is not None:
            raise stop

    with pytest.raises(KeyboardInterrupt):
        build_index(media, model, tmp_path / "index", tick=tick)
    left = Index.load(tmp_path / "index")
    assert [entry.caption for entry in left.entries] == ["a", "b", "c"]
    assert left.entries[0].stamp != whole.entries[0].stamp
    for number in "12":
        assert left.features[number].equal(whole.features[number])


def _picture(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Pixels.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)


@pytest.mark.parametrize("place", ["photos", "photos/index", "letters"])
def test_an_index_among_other_files_removes_none_and_reads_none_of_its_own(
    model: NextGPT, tmp_path: Path, place: str
) -> None:
    photos, letter = tmp_path / "photos", tmp_path / "letters" / "to_mother.txt"
    _picture(photos / "cat.png")
    letter.parent.mkdir()
    letter.write_text("dear")
    for known in (0, 1):
        report = build_index(photos, model, tmp_path / place)
        assert (report.known, report.skipped) == (known, {})
        assert len(Index.load(tmp_path / place).entries) == 1
    assert (photos / "cat.png").is_file() and letter.read_text() == "dear"


def test_a_damaged_index_is_built_again_and_what_left_the_folder_is_told(
    model: NextGPT, tmp_path: Path
) -> None:
    _picture(tmp_path / "one" / "cat.png")
    _picture(tmp_path / "two" / "dog.png")
    output = tmp_path / "index"
    build_index(tmp_path / "one", model, output)
    (output / "entries.jsonl").write_text("garbage")
    with pytest.raises(ValueError, match="build it again"):
        Index.load(output)
    assert build_index(tmp_path / "one", model, output).known == 0
    report = build_index(tmp_path / "two", model, output)
    assert (report.gone, [e.caption for e in Index.load(output).entries]) == (1, ["dog"])


def test_names_without_a_word_match_nothing(model: NextGPT, tmp_path: Path) -> None:
    _picture(tmp_path / "media" / "___.png")
    build_index(tmp_path / "media", model, tmp_path / "index")
    assert Finder(Index.load(tmp_path / "index"), model, None)("image", "a cat", "a cat") is None


def test_words_of_users_are_not_kept(index: Index, model: NextGPT) -> None:
    find = Finder(index, model, None)
    find.search("image", "a hedgehog")
    known = len(find._vectors)
    find.search("image", "twenty invented words such as brillig and slithy")
    assert len(find._vectors) == known


def test_mistakes(tmp_path: Path, model: NextGPT) -> None:
    with pytest.raises(ValueError, match="there is no index in"):
        Index.load(tmp_path)
    with pytest.raises(ValueError, match="there is no folder"):
        build_index(tmp_path / "none", model, tmp_path / "index")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no picture, clip or sound in"):
        build_index(tmp_path / "empty", model, tmp_path / "index")
    (tmp_path / "entries.jsonl").write_text('{"path": 1}\n')
    with pytest.raises(ValueError, match="is no list of media"):
        Index.load(tmp_path)
