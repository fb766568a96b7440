"""Terminal chats with scripted lines: what is said, saved and survived."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from anyweave import media
from anyweave.generation import ChatSession, GenerationOptions
from anyweave.generation.terminal import converse, parse_line
from anyweave.media.sniffing import sniff
from anyweave.messages import Audio, Image, Text, Video
from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_media
from anyweave.testing.model import tiny_model

OPTIONS = GenerationOptions(max_new_tokens=3, temperature=1.0, seed=3, modalities=("text",))
FREE = GenerationOptions(max_new_tokens=3, temperature=1.0, seed=3)


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for modality, name in (("image", "a dot.png"), ("video", "clip.mp4"), ("audio", "bell.wav")):
        part = tiny_media(modality, 1)
        media.save(modality, part.source, tmp_path / name, rate=part.rate)
    return tmp_path


class Terminal:
    """Lines to be typed, and all that was printed. An exception among the lines is raised."""

    def __init__(self, lines: Iterable[str | type[BaseException]]) -> None:
        self.lines = iter(lines)
        self.printed = ""
        self.statuses: list[str | None] = []

    def ask(self) -> str:
        line = next(self.lines, EOFError)
        if isinstance(line, str):
            return line
        raise line

    def say(self, text: str, *, end: str = "\n") -> None:
        self.printed += text + end

    def run(self, make_session: Callable[[], ChatSession], output: Path) -> str:
        converse(make_session, output, ask=self.ask, say=self.say, status=self.statuses.append)
        return self.printed


def test_words_and_media_keep_their_order(files: Path) -> None:
    line = f"look @\"{files}/a dot.png\" and @{files}/clip.mp4, or @'{files}/bell.wav'? me@home"
    parts = parse_line(line)
    assert [type(part) for part in parts] == [Text, Image, Text, Video, Text, Audio, Text]
    assert [part.text for part in parts if isinstance(part, Text)] == [
        "look",
        "and",
        ", or",
        "? me@home",
    ]


def test_a_medium_alone_is_a_message(files: Path) -> None:
    (part,) = parse_line(f"@{files}/bell.wav")
    assert isinstance(part, Audio)


def test_content_and_not_the_name_decides(files: Path) -> None:
    (files / "bell.wav").rename(files / "picture.png")
    assert sniff(files / "picture.png") == "audio"
    still, moving = tiny_media("image", 0).source, tiny_media("video", 0).source
    media.save("video", moving, files / "moving.gif", rate=8)
    media.save("image", still, files / "still.webp")
    assert (sniff(files / "moving.gif"), sniff(files / "still.webp")) == ("video", "image")
    (files / "notes.png").write_text("hello")
    with pytest.raises(media.MediaError, match="notes.png"):
        sniff(files / "notes.png")


def test_replies_are_printed_and_their_media_saved(model: NextGPT, files: Path) -> None:
    terminal = Terminal(["/force image audio", f'@"{files}/a dot.png" what is it?', "", "and now?"])
    printed = terminal.run(lambda: ChatSession(model, FREE), files / "out")
    saved = sorted(path.name for path in (files / "out").iterdir())
    assert any(name.startswith("turn-1-") and name.endswith(".png") for name in saved)
    assert any(name.startswith("turn-1-") and name.endswith(".wav") for name in saved)
    assert all(str(files / "out" / name) in printed for name in saved)
    assert any(status and "image 1: step 1 of 2" in status for status in terminal.statuses)
    assert terminal.statuses[-1] is None


def test_files_of_an_earlier_chat_stay(model: NextGPT, tmp_path: Path) -> None:
    for _ in range(2):
        Terminal(["/force image", "hi", "/quit"]).run(lambda: ChatSession(model, OPTIONS), tmp_path)
    # `modalities` forbids what /force asks for: nothing is drawn, and it is said why
    assert not list(tmp_path.iterdir())
    free = GenerationOptions(max_new_tokens=1, temperature=0, seed=1, max_media=0)
    for _ in range(2):
        Terminal(["/force image", "hi", "/quit"]).run(lambda: ChatSession(model, free), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["turn-1-1.png", "turn-2-1.png"]


def test_mistakes_end_nothing(model: NextGPT, tmp_path: Path) -> None:
    lines: list[str | type[BaseException]]
    lines = ["@no/such.png what?", "/dance", "/force smell", "/help", KeyboardInterrupt, "hello"]
    sessions: list[ChatSession] = []

    def make() -> ChatSession:
        sessions.append(ChatSession(model, OPTIONS))
        return sessions[-1]

    printed = Terminal(lines).run(make, tmp_path)
    assert "no/such.png" in printed
    assert "no command /dance" in printed
    assert "got smell" in printed
    assert "Ctrl-C stops a reply" in printed
    assert len(sessions) == 1
    assert [message.text for message in sessions[0].messages][:1] == ["hello"]


def test_reset_begins_again(model: NextGPT, tmp_path: Path) -> None:
    sessions: list[ChatSession] = []

    def make() -> ChatSession:
        sessions.append(ChatSession(model, OPTIONS))
        return sessions[-1]

    Terminal(["one", "/reset", "two", "/quit", "never"]).run(make, tmp_path)
    assert [session.messages[0].text for session in sessions] == ["one", "two"]


def test_an_interrupted_reply_is_forgotten(model: NextGPT, tmp_path: Path) -> None:
    session = ChatSession(model, OPTIONS)
    terminal = Terminal(["one", "two"])
    say = terminal.say
    stopped: list[str] = []

    def interrupting(text: str, *, end: str = "\n") -> None:
        if end == "" and not stopped:
            stopped.append(text)
            raise KeyboardInterrupt
        say(text, end=end)

    terminal.say = interrupting  # type: ignore[method-assign]
    printed = terminal.run(lambda: session, tmp_path)
    assert stopped
    assert "stopped" in printed, printed
    assert "error" not in printed, printed
    assert [message.text for message in session.messages if message.role == "user"] == ["two"]
