"""What is asked in the demonstration: three conversations in the manner of the paper's figures 12
to 19, on scenes that no training stage has seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from anyweave.world.scenes import AudioScene, ImageScene, Scene, VideoScene


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What the user says: words, and before them perhaps a scene, rendered into a file `name`."""

    text: str
    scene: Scene | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Script:
    """One conversation. `figures` are those of the paper that it resembles."""

    title: str
    figures: str
    turns: tuple[Turn, ...]


SCRIPTS: tuple[Script, ...] = (
    Script(
        title="A picture, its sound, a clip of it",
        figures="12 and 14",
        turns=(
            Turn(
                text="What do you see?",
                scene=ImageScene(object="sheep", background="beach", seed=11),
                name="picture.png",
            ),
            Turn(text="What does it sound like?"),
            Turn(text="Now a clip of it."),
            Turn(text="What do we get from sheep?"),
        ),
    ),
    Script(
        title="Asked for in words",
        figures="13, 18 and 19",
        turns=(
            Turn(text="Show me a picture of three foxes under a blue sky."),
            Turn(text="Show me a bee on a beach and let me hear it."),
            Turn(text="I am in a bad mood."),
        ),
    ),
    Script(
        title="A sound and a clip",
        figures="15, 16 and 17",
        turns=(
            Turn(
                text="What do you hear?",
                scene=AudioScene(sounds=("guitar",), take=9, seed=5),
                name="sound.wav",
            ),
            Turn(text="Show me a picture of that."),
            Turn(
                text="What happens in this clip?",
                scene=VideoScene(object="duck", motion="rising", background="night", seed=3),
                name="clip.mp4",
            ),
            Turn(text="Now just a picture of it."),
        ),
    ),
)


def scenes(scripts: tuple[Script, ...] = SCRIPTS) -> Iterator[Scene]:
    """Every scene that is shown to the model."""
    for script in scripts:
        for turn in script.turns:
            if turn.scene is not None:
                yield turn.scene
