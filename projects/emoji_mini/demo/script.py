"""What the demonstration asks: conversations in the manner of the paper's figures 12 to 19 and as
people talk, on scenes unseen in training; or a file of your own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyweave.messages import PAPER_MODALITIES, Modality
from emoji_mini.emoji_talk.talk import MODALITIES
from emoji_mini.emoji_world.reading import scene_of
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, Scene, SoundScene
from emoji_mini.emoji_world.sounds import TAKES


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What the user says: words, optionally after a medium, which is a file or a scene rendered
    into a file `name`.
    """

    text: str
    scene: Scene | None = None
    name: str = ""
    modality: Modality | None = None
    """The file's modality."""
    file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Script:
    """One conversation. `figures` names the paper's figures that it resembles, if any."""

    title: str
    figures: str = ""
    turns: tuple[Turn, ...]


SCRIPTS: tuple[Script, ...] = (
    Script(
        title="Look, listen, watch",
        figures="12 and 14",
        turns=(
            Turn(
                text="What do you see?",
                scene=PictureScene(object="sheep", background="beach", seed=11),
                name="picture.png",
            ),
            Turn(text="What does it sound like?"),
            Turn(text="Now a clip in which it grows."),
            Turn(text="What do we get from sheep?"),
        ),
    ),
    Script(
        title="Just ask",
        figures="13, 18 and 19",
        turns=(
            Turn(text="Show me three foxes in the snow."),
            Turn(text="Now a dragon between two castles at night."),
            Turn(text="Show me a bee on a beach and let me hear it."),
            Turn(text="Film a dolphin that is leaping out of the water."),
            Turn(text="I am in a bad mood."),
        ),
    ),
    Script(
        title="From a sound, from a clip",
        figures="15, 16 and 17",
        turns=(
            Turn(
                text="What do you hear?",
                scene=SoundScene(sounds=("owl",), take=TAKES - 1, seed=5),
                name="sound.wav",
            ),
            Turn(text="Show me a picture of that."),
            Turn(
                text="What happens in this clip?",
                scene=ClipScene(
                    object="butterfly", motion="flapping its wings", background="grass", seed=3
                ),
                name="clip.mp4",
            ),
            Turn(text="Now just a picture of it."),
        ),
    ),
    Script(
        title="The way people talk",
        turns=(
            Turn(text="hey, got a kitten for my phone?"),
            Turn(text="aww. make it three!"),
            Turn(text="same for the bunnies"),
            Turn(text="cool. and a sewing machine?"),
        ),
    ),
)


def scenes(scripts: tuple[Script, ...] = SCRIPTS) -> Iterator[Scene]:
    """Every scene that is shown to the model."""
    for script in scripts:
        for turn in script.turns:
            if turn.scene is not None:
                yield turn.scene


_SUFFIXES: dict[Modality, str] = {"image": ".png", "video": ".mp4", "audio": ".wav"}
_SCENES = {modality: kind for kind, modality in MODALITIES.items()}


def read_scripts(path: str | Path) -> tuple[Script, ...]:
    """The conversations of a TOML file::

        [[talk]]
        title = "At the zoo"
        turns = [
          { text = "What is it?", image = "photos/zoo.jpg" },
          { text = "And this?", audio = "a cow mooing" },
          { text = "Draw two of them." },
        ]

    A medium is a file, relative to the script, or a caption of the emoji world, which is rendered.
    Raises `ValueError` naming the talk for anything not in that form.
    """
    path = Path(path)
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("talk", [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: no script ({error}); see anyweave demo --help") from error
    if not rows:
        raise ValueError(f"{path}: it has no [[talk]]")
    return tuple(_script(row, path, number) for number, row in enumerate(rows, 1))


def _script(row: dict[str, Any], path: Path, number: int) -> Script:
    turns = row.get("turns")
    if not isinstance(row.get("title"), str) or not isinstance(turns, list) or not turns:
        raise ValueError(f"{path}: talk {number} needs a title and turns")
    return Script(
        title=row["title"],
        turns=tuple(_turn(turn, path, f"{number}-{place}") for place, turn in enumerate(turns, 1)),
    )


def _turn(row: dict[str, Any], path: Path, name: str) -> Turn:
    media = [modality for modality in PAPER_MODALITIES if modality in row]
    if set(row) - {"text", *media} or not isinstance(row.get("text"), str) or len(media) > 1:
        raise ValueError(f"{path}: turn {name} is a text and at most one medium, got {row}")
    if not media:
        return Turn(text=row["text"])
    modality, named = media[0], str(row[media[0]])
    file = path.parent / named
    if file.is_file():
        return Turn(text=row["text"], modality=modality, file=file)
    scene = scene_of(_SCENES[modality], named, seed=int(name.replace("-", "")))
    if scene is None:
        raise ValueError(
            f"{path}: turn {name}: {named!r} is neither a file nor a caption of the emoji world "
            "such as 'two foxes on a beach'"
        )
    return Turn(text=row["text"], scene=scene, name=f"{name}{_SUFFIXES[modality]}")
