"""Whether the judge of pictures and a person agree: 100 generated pictures of mixed quality.

    python -m emoji_mini.evaluation.eye draw OUT    # numbered pages, and OUT/judge.json
    python -m emoji_mini.evaluation.eye agree OUT   # with OUT/eye.txt: OUT/report.md

``eye.txt`` has a line per picture, "17 count relation": the facts that somebody who looked at the
page called wrong; "17" alone is a picture that is right. A wrong object also makes the count wrong,
and a wrong count the relation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.progress import track

from anyweave.evaluation.metrics import Proportion
from anyweave.files import read_object, write_json
from anyweave.model.any_to_any import NextGPT
from emoji_mini.emoji_world.render import contact_sheet
from emoji_mini.emoji_world.sampling import sample_picture
from emoji_mini.parts.flow import make
from emoji_mini.parts.seeing import Judge, facts_table

# Sampler steps and guidance, from what replies use down to clearly too little.
QUALITIES = ((12, 3.0), (12, 3.0), (6, 3.0), (4, 2.0), (3, 1.5))
_NEEDS = {"count": "object", "relation": "count"}  # as in the judge's facts
PAGE, COLUMNS, EDGE, LINE = 20, 5, 192, 26


def draw(model: NextGPT, number: int, folder: Path, seed: int = 9) -> None:
    """Draw `number` held-out captions, keep what the judge says of each, and lay them on pages."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    scenes = [sample_picture(rng, "test") for _ in range(number)]
    judge, decoder = Judge(), model.decoders["image"]
    cells, said = [], {}
    for place, scene in enumerate(track(scenes, "drawing", transient=True)):
        steps, guidance = QUALITIES[place % len(QUALITIES)]
        caption = scene.caption
        picture = make(decoder, [caption], num_inference_steps=steps, guidance_scale=guidance)[0]
        said[str(place)] = {"caption": caption, "facts": judge.look([picture])[0].facts(scene)}
        cells.append(_cell(place, caption, picture))
    for start in range(0, number, PAGE):
        page = contact_sheet(cells[start : start + PAGE], COLUMNS)
        page.save(folder / f"page-{start // PAGE + 1}.webp", quality=85)
    write_json(folder / "judge.json", said, indent=1)


def _cell(number: int, caption: str, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    cell = Image.new("RGB", (EDGE, EDGE + LINE), "white")
    cell.paste(Image.fromarray(picture).resize((EDGE - 4, EDGE - 4)), (0, LINE))
    words, half = f"{number}: {caption}", 0
    if len(words) > 32:
        half = words.rfind(" ", 0, 33)
    ImageDraw.Draw(cell).text((1, 0), f"{words[:half]}\n{words[half:].strip()}".strip(), "black")
    return np.asarray(cell)


def agreement(
    judge: Mapping[str, Mapping[str, dict[str, bool]]], eye: str
) -> tuple[list[dict[str, bool]], list[dict[str, bool]]]:
    """Of each picture, whether both agree on a fact, and whether the judge calls it right; fact
    "all" is the whole picture. Raises `ValueError` for a picture or a fact that the judge does not
    know.
    """
    same: list[dict[str, bool]] = []
    right: list[dict[str, bool]] = []
    lines = [line.split() for line in eye.splitlines() if line.strip()]
    if missing := sorted(set(judge) - {line[0] for line in lines}, key=int):
        raise ValueError(f"nobody has looked at pictures {', '.join(missing)}")
    for number, *wrong in lines:
        if number not in judge or not set(wrong) <= set(judge[number]["facts"]):
            raise ValueError(f"the judge knows no such picture or fact: {number} {' '.join(wrong)}")
        facts = judge[number]["facts"]
        by_eye = dict.fromkeys(facts, True) | dict.fromkeys(wrong, False)
        for fact, needed in _NEEDS.items():
            if fact in by_eye and not by_eye[needed]:
                by_eye[fact] = False
        whole = all(facts.values())
        agreed = {fact: holds == by_eye[fact] for fact, holds in facts.items()}
        same.append(agreed | {"all": whole == (not wrong)})
        right.append(facts | {"all": whole})
    return same, right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["draw", "agree"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="emoji-mini")
    parser.add_argument("--number", type=int, default=100, help="pictures to draw")
    args = parser.parse_args()
    if args.verb == "draw":
        draw(NextGPT.from_pretrained(args.model), args.number, args.folder)
        return
    same, right = agreement(
        read_object(args.folder / "judge.json"), (args.folder / "eye.txt").read_text()
    )
    share = Proportion.of(facts["all"] for facts in same)
    rows = {"judge and eye agree": same, "the judge calls it right": right}
    report = f"# Judge and eye\n\n{facts_table('pictures', rows)}\nOn whole pictures: {share}.\n"
    (args.folder / "report.md").write_text(report)
    sys.stdout.write(report)


if __name__ == "__main__":
    main()
