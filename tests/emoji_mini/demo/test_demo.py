"""The demonstration on the tiny model: everything is written, and the page needs nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from anyweave.messages import PAPER_MODALITIES, Message
from anyweave.testing.conversations import tiny_media
from anyweave.testing.model import tiny_model
from emoji_mini.demo import read_scripts, run_demo
from emoji_mini.demo.contact import WIDTH, draw_talk
from emoji_mini.demo.page import write_page
from emoji_mini.demo.record import Exchange, Record, Shown, Talk
from emoji_mini.demo.script import SCRIPTS, Script, Turn, scenes
from emoji_mini.demo.show import _reply
from emoji_mini.demo.spectrogram import spectrogram
from emoji_mini.emoji_talk.phrases import tables
from emoji_mini.emoji_talk.talk import MODALITIES
from emoji_mini.emoji_world.held_out import held_out_words, leaks, plain
from emoji_mini.emoji_world.reading import scene_of
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, SoundScene


def test_the_script_covers_every_direction_on_unseen_scenes() -> None:
    shown = list(scenes())
    assert {type(scene) for scene in shown} == set(MODALITIES)
    assert {scene.split for scene in shown} == {"test"}
    assert 12 <= sum(len(script.turns) for script in SCRIPTS) <= 18


@pytest.mark.parametrize(
    ("kind", "caption"),
    [
        (ClipScene, "a sheep growing on a white background"),
        (PictureScene, "three foxes in the snow"),
        (PictureScene, "a dragon between two castles at night"),
        (PictureScene, "a bee on a beach"),
        (ClipScene, "a dolphin leaping on a white background"),
        (PictureScene, "a cat on a white background"),
        (PictureScene, "three cats on a white background"),
        (PictureScene, "three rabbits on a white background"),
    ],
)
def test_what_is_asked_for_in_words_is_held_out_too(
    kind: type[PictureScene | ClipScene], caption: str
) -> None:
    scene = scene_of(kind, caption)
    assert scene is not None and scene.split == "test"


def test_it_runs_and_writes_everything(tmp_path: Path) -> None:
    model = tiny_model().save_pretrained(tmp_path / "model")
    script = Script(
        title="Everything",
        figures="12",
        turns=tuple(
            Turn(text="What is it?", scene=scene, name=name)
            for scene, name in zip(scenes(), ("picture.png", "sound.wav", "clip.mp4"), strict=True)
        ),
    )
    said: list[str] = []
    page = run_demo(
        model,
        tmp_path / "out",
        seed=1,
        say=lambda text: said.append(text),
        scripts=[script],
        max_new_tokens=4,
    )
    assert page == tmp_path / "out" / "index.html"
    record = json.loads((tmp_path / "out" / "conversation.json").read_text())
    turns = record["talks"][0]["exchanges"]
    assert [turn["user"][0]["modality"] for turn in turns] == ["image", "audio", "video"]
    for turn in turns:
        assert (tmp_path / "out" / turn["user"][0]["path"]).is_file()
        assert turn["user"][0]["truth"]
        assert turn["user"][1] == {"modality": "text", "text": "What is it?"}
        assert turn["seconds"]["text"] > 0
    assert any("you> [inputs/picture.png]" in line for line in said)
    with PIL.Image.open(tmp_path / "out" / "talks" / "01.png") as picture:
        assert picture.width == WIDTH


def test_a_script_of_ones_own(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8), "red").save(tmp_path / "dot.png")
    script = tmp_path / "script.toml"
    script.write_text(
        """
        [[talk]]
        title = "Mine"
        turns = [
          { text = "What is it?", image = "dot.png" },
          { text = "And this?", audio = "a cow mooing" },
          { text = "Draw it." },
        ]
        """
    )
    (talk,) = read_scripts(script)
    given, heard, asked = talk.turns
    assert (given.modality, given.file) == ("image", tmp_path / "dot.png")
    assert isinstance(heard.scene, SoundScene) and heard.scene.sounds == ("cow",)
    assert heard.name == "1-2.wav"
    assert asked.scene is None and asked.file is None
    model = tiny_model().save_pretrained(tmp_path / "model")
    page = run_demo(
        model, tmp_path / "out", say=lambda text: None, scripts=[talk], max_new_tokens=4
    )
    (kept,) = (page.parent / "inputs").glob("*-dot.png")  # of this turn, whatever others are called
    assert kept.read_bytes() == (tmp_path / "dot.png").read_bytes()
    with pytest.raises(ValueError, match="earlier conversations .*--overwrite"):
        run_demo(model, tmp_path / "out", say=lambda text: None, scripts=[talk])
    assert "in the manner of the paper" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no \\[\\[talk\\]\\]"),
        ("[[talk", "no script"),
        ("[[talk]]\ntitle='x'", "title and turns"),
        ("[[talk]]\ntitle='x'\nturns=[{text='a', sound='b'}]", "at most one medium"),
        ("[[talk]]\ntitle='x'\nturns=[{text='a', image='a dragon'}]", "neither a file"),
    ],
)
def test_a_bad_script_says_what_is_wrong(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "script.toml").write_text(text)
    with pytest.raises(ValueError, match=problem):
        read_scripts(tmp_path / "script.toml")


def test_the_documented_conversations_were_never_trained_on() -> None:
    """No table of phrases and no held-out request has their words. The first twenty are older than
    the world and its tables, and stay as they are.
    """
    talks = read_scripts(Path(__file__).parents[3] / "docs" / "conversations.toml")
    assert len(talks) == 40
    said = [turn.text for talk in talks[20:] for turn in talk.turns]
    assert held_out_words().isdisjoint(map(plain, said))
    assert leaks(texts(tables()), said) == []
    assert {scene.split for scene in scenes(talks[20:])} == {"test"}


def texts(value: object) -> Iterator[str]:
    """Every string of a table."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Iterable):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    (tmp_path / "media").mkdir()
    parts = [part for m in PAPER_MODALITIES for part in ("<b>see</b>", tiny_media(m, 0, "a <dot>"))]
    reply = _reply(Message("assistant", parts), tmp_path, "1-1")
    exchange = Exchange(
        user=(Shown(modality="text", text="Show me & play me everything."),),
        reply=reply,
        seconds={"text": 0.5, "image": 0.25},
        tokens=9,
        finish_reason="length",
    )
    talk = Talk(title="All", figures="13", exchanges=(exchange,))
    return Record(model="tiny", seed=0, threads=1, load_seconds=1.0, talks=(talk,))


def test_the_page_stands_alone(record: Record, tmp_path: Path) -> None:
    page = write_page(record, tmp_path).read_text(encoding="utf-8")
    assert not re.findall(r"https?://", page)
    links = re.findall(r'(?:src|href|poster)="([^"]*)"', page)
    inside = [link for link in links if link.startswith("data:")]
    assert len(inside) == 6  # picture, above and below; clip and its still; sound, spectrogram
    assert [link for link in links if link not in inside] == ["#talk-1"]
    assert 'id="talk-1"' in page
    assert "&lt;b&gt;see&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "0.8 s (text 0.5 s, image 0.2 s; cut off at the token limit)" in page


def test_the_picture_holds_words_and_media(record: Record, tmp_path: Path) -> None:
    picture = draw_talk(record.talks[0], tmp_path)
    assert picture.width == WIDTH
    assert picture.height > 3 * 192  # three media, one below the other


def test_pitch_goes_up_and_time_to_the_right() -> None:
    rate = 16_000
    time = np.arange(rate) / rate
    wave = np.where(time < 0.5, np.sin(2 * np.pi * 200 * time), np.sin(2 * np.pi * 4000 * time))
    light = spectrogram(wave.astype(np.float32), rate).astype(int).sum(axis=2)
    assert light.shape == (128, 256)
    low, high = light[:, 64].argmax(), light[:, 192].argmax()
    assert high < low  # rows are counted from the top


def test_silence_is_dark() -> None:
    assert spectrogram(np.zeros(5120, np.float32), 16_000).max() < 60
