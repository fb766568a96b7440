"""Render the media of the web page's examples: scenes of the emoji world that no training saw.

.venv/bin/python tools/page_examples.py
"""

from __future__ import annotations

from pathlib import Path

from anyweave import media
from emoji_mini.emoji_talk.talk import RATES, modality_of
from emoji_mini.emoji_world.render import render
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, Scene, SoundScene
from emoji_mini.emoji_world.sounds import TAKES

EXAMPLES = Path(__file__).resolve().parents[1] / "src/anyweave/serving/page/examples"
SCENES: dict[str, Scene] = {
    "sheep.png": PictureScene(object="sheep", background="beach", seed=11),
    "piano.flac": SoundScene(sounds=("piano",), take=TAKES - 1, seed=5),
    "duck.mp4": ClipScene(object="duck", motion="rising", background="night", seed=3),
}


def main(folder: Path = EXAMPLES) -> None:
    for name, scene in SCENES.items():
        assert scene.split == "test", name
        modality = modality_of(scene)
        path = folder / name
        media.save(modality, render(scene), path, rate=RATES[modality])
        print(name, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
