"""Render the media of the web page's examples: scenes of the emoji world that no training saw.

.venv/bin/python tools/page_examples.py
"""

from __future__ import annotations

from pathlib import Path

from anyweave import media
from emoji_mini.demo.script import SCRIPTS, scenes
from emoji_mini.world.catalogue import RATES
from emoji_mini.world.draft import modality_of
from emoji_mini.world.render import render

EXAMPLES = Path(__file__).resolve().parent.parent / "src/anyweave/serving/page/examples"
NAMES = {"image": "sheep.png", "audio": "piano.flac", "video": "duck.mp4"}


def main() -> int:
    EXAMPLES.mkdir(exist_ok=True)
    for scene in scenes(SCRIPTS):
        modality = modality_of(scene)
        path = EXAMPLES / NAMES[modality]
        media.save(modality, render(scene), path, rate=RATES[modality])
        print(path.name, f"{path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
