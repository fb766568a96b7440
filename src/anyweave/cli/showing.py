"""Shows replies' media in the terminal: pictures and clips are drawn, sounds played."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import cast

import numpy as np

from anyweave import media
from anyweave.cli.console import out, print_plain
from anyweave.cli.pictures import PROTOCOLS, Protocol, draw, protocol
from anyweave.messages import PAPER_MODALITIES, Media, kind_of

# Programs that play a file and exit, likeliest first; all run quietly without a window.
_PLAYERS = (
    ("afplay",),
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"),
    ("mpv", "--no-video", "--really-quiet"),
    ("play", "-q"),
)
_STILLS = 4  # of a clip
_LONGEST = 120  # seconds; a player that hangs is killed


def shower(pictures: str, *, play: bool) -> Callable[[Media], None]:
    """A function that shows each of a reply's media, a file, once it is saved.

    `pictures` is a protocol to draw with or "auto". Raises `ValueError` for an unknown one.
    """
    if pictures not in ("auto", *PROTOCOLS):
        raise ValueError(f"--pictures takes auto, {', '.join(PROTOCOLS)}; got {pictures!r}")
    how = protocol(out) if pictures == "auto" else cast("Protocol", pictures)
    player = next((p for p in _PLAYERS if shutil.which(p[0])), None)
    audible = play and out.file.isatty() and player is not None

    def show(part: Media) -> None:
        if part.modality not in PAPER_MODALITIES:
            kind, array = kind_of(part.modality), media.load(part)
            if kind.picture is not None and how != "none":
                draw(kind.picture(array), how, out)
            elif kind.as_text is not None:
                print_plain(kind.as_text(array)[0])
        elif part.modality == "audio":
            if audible and player is not None:
                _play(part, player)
        elif how != "none":
            draw(_still(part), how, out)

    return show


def _still(part: Media) -> np.ndarray:
    """A picture, or stills of a clip side by side: ``uint8[H, W, 3]``."""
    array = media.load(part)
    if array.ndim == 3:
        return array
    chosen = np.linspace(0, len(array) - 1, min(_STILLS, len(array))).round().astype(int)
    return np.concatenate(list(array[chosen]), axis=1)


def _play(part: Media, player: tuple[str, ...]) -> None:
    """Play it to its end, or until Ctrl-C, which stops nothing else."""
    try:
        done = subprocess.run(
            [*player, str(part.source)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST,
        )
    except KeyboardInterrupt:
        return
    except (OSError, subprocess.TimeoutExpired) as error:
        print_plain(f"({player[0]} cannot play it: {error})")
        return
    if done.returncode:
        print_plain(f"({player[0]} cannot play it; --no-play leaves sounds alone)")
