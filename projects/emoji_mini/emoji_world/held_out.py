"""The held-out requests (`held_out/requests.toml`): what the finished model is asked, and never
trained on.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, Scene, SoundScene

REQUESTS = Path(__file__).parents[1] / "held_out" / "requests.toml"
Medium = Literal["picture", "clip", "sound"]
ANY_MOTION = "bouncing"  # stands in where a clip may have any motion
_LITERAL_LETTERS = 12  # a template with fewer letters of its own ("Show me {x}!") proves nothing
_PLACE = re.compile(r"\{\w*\}")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is said and what is wanted: `scenes` in order (none for words), or an `unknown` thing.

    `free` names the fields of the first scene that may be anything: what was not said.
    """

    say: str
    media: tuple[Medium, ...] = ()
    scenes: tuple[Scene, ...] = ()
    free: tuple[str, ...] = ()
    unknown: str = ""


@lru_cache(maxsize=1)
def held_out_requests() -> tuple[Request, ...]:
    """All requests. Raises `ValueError` for a row that wants what the world does not have."""
    table = tomllib.loads(REQUESTS.read_text("utf-8"))
    requests = [_picture(row) for row in table["picture"]]
    requests += [_clip(row) for row in table["clip"]]
    requests += [
        Request(say=row["say"], media=("sound",), scenes=(SoundScene(sounds=tuple(row["sounds"])),))
        for row in table["sound"]
    ]
    requests += [_several(row) for row in table["several"]]
    requests += [Request(say=say) for say in table["words"]]
    requests += [
        Request(say=row["say"], media=(row["medium"],), unknown=row["thing"])
        for row in table["unknown"]
    ]
    return tuple(requests)


@lru_cache(maxsize=1)
def held_out_words() -> frozenset[str]:
    """What the held-out requests say, in `plain` words."""
    return frozenset(plain(request.say) for request in held_out_requests())


def leaks(phrases: Iterable[str], asked: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """Pairs of a held-out request and the phrase, or template with {places}, that produces it.
    `asked` replaces these requests, for example with those of another benchmark.

    Every table of phrases that training uses must be checked here, and the result must be empty.
    Templates of a word or two are common property and pass; conversations that would hold a whole
    request are rejected when drawn (`emoji_talk.source`).
    """
    if asked is None:
        asked = [request.say for request in held_out_requests()]
    said = {plain(request): request for request in asked}
    found = []
    for phrase in phrases:
        words = plain(phrase)
        if "{" not in words:
            found += [(said[words], phrase)] if words in said else []
            continue
        if len(re.sub(r"\W", "", _PLACE.sub("", words))) < _LITERAL_LETTERS:
            continue
        pattern = re.compile("(.+)".join(map(re.escape, _PLACE.split(words))))
        found += [(say, phrase) for key, say in said.items() if pattern.fullmatch(key)]
    return found


def plain(words: str) -> str:
    """Words in lower case, without outer punctuation or doubled spaces: nothing hides a match."""
    return " ".join(words.lower().split()).strip(" .,!?:;-")


def _picture(row: dict[str, Any]) -> Request:
    wanted = {"object" if key == "thing" else key: row[key] for key in row if key != "say"}
    free = () if "background" in row else ("background",)
    return Request(say=row["say"], media=("picture",), scenes=(PictureScene(**wanted),), free=free)


def _clip(row: dict[str, Any]) -> Request:
    scene = ClipScene(
        object=row["thing"],
        motion=row.get("motion", ANY_MOTION),
        background=row.get("background", "white"),
    )
    free = tuple(field for field in ("motion", "background") if field not in row)
    return Request(say=row["say"], media=("clip",), scenes=(scene,), free=free)


def _several(row: dict[str, Any]) -> Request:
    makers: dict[str, Any] = {
        "picture": lambda name: PictureScene(object=name),
        "clip": lambda name: ClipScene(object=name, motion=ANY_MOTION),
        "sound": lambda name: SoundScene(sounds=(name,)),
    }
    wanted = [(medium, name) for part in row["media"] for medium, name in part.items()]
    return Request(
        say=row["say"],
        media=tuple(medium for medium, _ in wanted),
        scenes=tuple(makers[medium](name) for medium, name in wanted),
        free=("background", "motion"),
    )
