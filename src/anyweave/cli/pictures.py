"""Pictures in the terminal, by the best protocol it supports: kitty, iTerm2 or sixel graphics, else
two coloured half blocks per cell.
"""

from __future__ import annotations

import base64
import io
import os
import re
import select
import time
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
import PIL.Image
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

Protocol = Literal["kitty", "iterm", "sixel", "blocks", "none"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
_CELLS = 40  # columns at most
_CELL = (10, 20)  # rough size of a cell in pixels, for protocols that count pixels
_PATIENCE = 0.3  # seconds a terminal has to report its attributes
_CHUNK = 4096
_SIXEL = 4  # the terminal attribute for sixel graphics


def protocol(console: Console, environ: Mapping[str, str] = os.environ) -> Protocol:
    """How to draw on `console`; "none" for a pipe, a file, or if colours are disabled.

    Known terminals are recognised by the variables they set. Others are queried; those that do not
    answer at once get blocks.
    """
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if not console.file.isatty() or console.no_color or term in ("dumb", "unknown"):
        return "none"
    inside = "TMUX" in environ or term.startswith(("screen", "tmux"))  # multiplexer: query it
    if not inside:
        if "kitty" in term or "ghostty" in term or "KITTY_WINDOW_ID" in environ:
            return "kitty"
        if program in ("iTerm.app", "WezTerm") or environ.get("LC_TERMINAL") == "iTerm2":
            return "iterm"
        if "KONSOLE_VERSION" in environ:
            return "kitty"
    if _SIXEL in _attributes():
        return "sixel"
    utf8 = (console.encoding or "").lower().replace("-", "").startswith("utf8")
    return "blocks" if utf8 and console.color_system else "none"


def draw(pixels: np.ndarray, how: Protocol, console: Console) -> None:
    """Draw ``uint8[H, W, 3]`` below the cursor, in at most 40 columns and half the rows."""
    if how == "none":
        return
    picture = PIL.Image.fromarray(pixels)
    # A cell is twice as high as wide.
    fit = min(min(_CELLS, console.width - 2) / picture.width, console.height / picture.height)
    columns, rows = max(1, round(picture.width * fit)), max(1, round(picture.height * fit / 2))
    if how == "blocks":
        console.print(_blocks(picture.resize((columns, rows * 2))), end="")
        return
    if how == "sixel":
        picture = picture.resize((columns * _CELL[0], rows * _CELL[1]))
    console.file.write(_ENCODERS[how](picture, columns, rows) + "\n")
    console.file.flush()


def _png(picture: PIL.Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _kitty(picture: PIL.Image.Image, columns: int, rows: int) -> str:
    """https://sw.kovidgoyal.net/kitty/graphics-protocol: a PNG in chunks, displayed at once."""
    data = base64.b64encode(_png(picture)).decode()
    pieces = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    # q=2: suppresses the terminal's response, which would be read as typed input.
    heads = [f"a=T,f=100,q=2,c={columns},r={rows},"] + [""] * (len(pieces) - 1)
    more = [1] * (len(pieces) - 1) + [0]
    return "".join(
        f"\x1b_G{head}m={flag};{piece}\x1b\\"
        for head, flag, piece in zip(heads, more, pieces, strict=True)
    )


def _iterm(picture: PIL.Image.Image, columns: int, rows: int) -> str:
    """https://iterm2.com/documentation-images.html"""
    data = _png(picture)
    how = f"inline=1;size={len(data)};width={columns};height={rows}"
    return f"\x1b]1337;File={how}:{base64.b64encode(data).decode()}\x07"


def _sixel(picture: PIL.Image.Image, columns: int, rows: int) -> str:
    """Bands of six lines; in each, one pass per colour (DEC STD 070)."""
    indexed = picture.quantize(256)
    palette = np.array(indexed.getpalette(), int).reshape(-1, 3) * 100 // 255
    height, width = indexed.height, indexed.width
    out = [f'\x1bPq"1;1;{width};{height}']
    out += [f"#{i};2;{r};{g};{b}" for i, (r, g, b) in enumerate(palette)]
    pixels = np.asarray(indexed)
    for top in range(0, height, 6):
        band = pixels[top : top + 6]
        weights = 1 << np.arange(len(band))[:, None]
        for color in np.unique(band):
            codes = (63 + ((band == color) * weights).sum(0)).astype(np.uint8).tobytes().decode()
            packed = re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", codes)
            out.append(f"#{color}{packed}$")
        out.append("-")
    return "".join(out) + "\x1b\\"


_ENCODERS: Mapping[str, Callable[[PIL.Image.Image, int, int], str]] = {
    "kitty": _kitty,
    "iterm": _iterm,
    "sixel": _sixel,
}


def _blocks(picture: PIL.Image.Image) -> Text:
    """Upper half blocks: the upper pixel is the foreground colour, the lower the background."""
    pixels = np.asarray(picture)
    text = Text(no_wrap=True, end="")
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            text.append("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
        text.append("\n")
    return text


def _attributes() -> set[int]:
    """The terminal's answer to "primary device attributes"; empty without an answer in time."""
    try:
        import termios
        import tty

        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except (ImportError, OSError):  # Windows, or no terminal
        return set()
    answer = b""
    try:
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal)  # the answer arrives like typed input: no echo, no Enter
            os.write(terminal, b"\x1b[c")
            deadline = time.monotonic() + _PATIENCE
            while not answer.endswith(b"c") and (left := deadline - time.monotonic()) > 0:
                if select.select([terminal], [], [], left)[0]:
                    answer += os.read(terminal, 64)
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
    except (OSError, termios.error):
        return set()
    finally:
        os.close(terminal)
    found = re.search(rb"\x1b\[\?([0-9;]*)c", answer)
    return {int(number) for number in found[1].split(b";") if number} if found else set()
