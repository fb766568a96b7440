"""Pictures in terminals: which way is chosen, what is drawn, and that no terminal makes us wait."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from rich.console import Console

from anyweave import media
from anyweave.cli import pictures, showing
from anyweave.cli.pictures import Protocol, draw, protocol
from anyweave.messages import MEDIA_TYPES, Media, Modality
from anyweave.testing.conversations import tiny_media

PIXELS = (np.mgrid[0:6, 0:9].sum(0)[..., None] * np.array([9, 5, 2])).astype(np.uint8)


class Screen(io.TextIOWrapper):
    """A terminal that keeps what it is told."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def console(screen: io.TextIOBase | None = None, **options: object) -> Console:
    given = {"force_terminal": True, "color_system": "truecolor", "width": 60, "height": 30}
    return Console(file=screen or Screen(), **{**given, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environ", "sixel", "expected"),
    [
        ({"TERM": "xterm-kitty"}, False, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, False, "kitty"),
        ({"TERM": "xterm-ghostty"}, False, "kitty"),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "230800"}, False, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, False, "iterm"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, False, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, False, "iterm"),
        ({"TERM": "foot"}, True, "sixel"),
        ({"TERM": "xterm-256color"}, False, "blocks"),
        # tmux hands the outer terminal's variables on and its pictures not.
        ({"TERM": "tmux-256color", "TMUX": "x", "KITTY_WINDOW_ID": "1"}, False, "blocks"),
        ({"TERM": "screen", "TERM_PROGRAM": "iTerm.app"}, True, "sixel"),
        ({"TERM": "dumb"}, True, "none"),
        ({}, False, "blocks"),
    ],
)
def test_terminals_are_known(
    environ: dict[str, str], sixel: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_attributes", lambda: {62, 4} if sixel else {62})
    assert protocol(console(), environ) == expected


@pytest.mark.parametrize(
    "where",
    [
        lambda: console(io.StringIO()),  # a pipe, whatever FORCE_COLOR says
        lambda: console(no_color=True),
        lambda: console(Screen("latin-1")),
        lambda: console(color_system=None),
    ],
)
def test_where_pictures_are_not_wanted_there_are_none(
    where: Callable[[], Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_attributes", set)
    assert protocol(where(), {"TERM": "xterm-256color"}) == "none"


def drawn(how: Protocol) -> str:
    screen = Screen()
    draw(PIXELS, how, console(screen))
    return screen.shown


def test_kitty_gets_the_picture_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_CHUNK", 40)
    pieces = re.findall(r"\x1b_G(.*?);(.*?)\x1b\\", drawn("kitty"))
    assert pieces[0][0] == "a=T,f=100,q=2,c=40,r=13,m=1"
    assert {head for head, _ in pieces[1:-1]} == {"m=1"} and pieces[-1][0] == "m=0"
    assert_picture("".join(data for _, data in pieces))


def test_iterm_gets_the_picture() -> None:
    found = re.search(
        r"\x1b]1337;File=inline=1;size=(\d+);width=40;height=13:(.*?)\x07", drawn("iterm")
    )
    assert found and int(found[1]) == len(base64.b64decode(found[2]))
    assert_picture(found[2])


def assert_picture(data: str) -> None:
    with PIL.Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert np.array_equal(np.asarray(picture), PIXELS)


def test_sixels_are_the_picture() -> None:
    shown = drawn("sixel")
    expected = PIL.Image.fromarray(PIXELS).resize((400, 260)).quantize(256).convert("RGB")
    assert np.abs(unsixel(shown) - np.asarray(expected).astype(float)).max() < 3  # of 100 steps


def unsixel(text: str) -> np.ndarray:
    """Pixels of a sixel picture, by the standard's words alone."""
    found = re.fullmatch(r'\x1bPq"1;1;(\d+);(\d+)(.*)\x1b\\\n', text, re.DOTALL)
    assert found
    width, height, body = int(found[1]), int(found[2]), found[3]
    palette: dict[int, list[float]] = {}
    pixels = np.full((height + 5, width, 3), np.nan)
    x = y = color = 0
    for token in re.finditer(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|([$-])|(?:!(\d+))?([?-~])", body):
        if token[1]:
            palette[int(token[1])] = [int(token[i]) * 2.55 for i in (2, 3, 4)]
        elif token[5]:
            color = int(token[5])
        elif token[6]:
            x, y = 0, y + 6 * (token[6] == "-")
        else:
            count = int(token[7] or 1)
            for bit in range(6):
                if (ord(token[8]) - 63) >> bit & 1:
                    pixels[y + bit, x : x + count] = palette[color]
            x += count
    return pixels[:height]


def test_blocks_are_two_pixels_each() -> None:
    screen = Screen()
    pair = np.array([[[250, 0, 0]], [[0, 0, 250]]], np.uint8)
    draw(pair, "blocks", console(screen, width=3))
    assert screen.shown == "\x1b[38;2;250;0;0;48;2;0;0;250m▀\x1b[0m\n"


def test_pictures_fit_the_window() -> None:
    tall = np.zeros((400, 100, 3), np.uint8)
    screen = Screen()
    draw(tall, "blocks", console(screen, width=60, height=30))
    assert screen.shown.count("\n") == 15


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("answer", [b"\x1b[?62;4;22c", b"", b"\x1b[?6"])
def test_a_terminal_is_asked_and_never_waited_for(answer: bytes) -> None:
    """A silent one, and one that breaks off, cost less than a second."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    script = (
        "import time; from anyweave.cli.pictures import _attributes; "
        "start = time.monotonic(); found = _attributes(); "
        "print('found', sorted(found), time.monotonic() - start < 2, 'end')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    heard, deadline = b"", time.monotonic() + 120
    while b"end" not in heard and time.monotonic() < deadline:
        heard += os.read(ours, 1024)
        if b"\x1b[c" in heard and answer:
            os.write(ours, answer)
            answer, full = b"", answer.endswith(b"c")
    child.wait(60)
    os.close(ours)
    expected = b"[4, 22, 62] True" if "full" in locals() and full else b"[] True"
    assert b"found " + expected in heard, heard


def saved(modality: Modality, folder: Path) -> Media:
    return MEDIA_TYPES[modality](media.store(tiny_media(modality, 1), folder / modality))


def test_media_are_drawn_and_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen()
    monkeypatch.setattr(showing, "out", console(screen))
    monkeypatch.setenv("PATH", str(tmp_path))
    player = tmp_path / "aplay"
    player.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/played\n')
    player.chmod(0o755)
    show = showing.shower("kitty", play=True)
    for modality in MEDIA_TYPES:
        show(saved(modality, tmp_path))
    assert screen.shown.count("a=T") == 2  # the picture, and the clip's stills
    assert (tmp_path / "played").read_text() == f"-q {tmp_path}/audio.wav\n"
    (tmp_path / "played").unlink()
    showing.shower("none", play=False)(saved("audio", tmp_path))
    assert not (tmp_path / "played").exists()
    player.write_text("#!/bin/sh\nexit 1\n")
    showing.shower("none", play=True)(saved("audio", tmp_path))
    assert "aplay cannot play it" in capsys.readouterr().out


def test_an_unknown_way_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="--pictures takes auto, kitty"):
        showing.shower("gif", play=True)
