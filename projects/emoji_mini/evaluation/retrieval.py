"""Found or drawn: all things of the world, and some that it lacks, asked for in people's words.

    python -m emoji_mini.evaluation.retrieval emoji-mini OUT --number 120

emoji-mini can draw half of the things asked for. It was never shown the others (those of
`own_data`), which must be found. OUT gets the pictures, the index, ``report.json`` and
``decision.json``, which is fitted on one half of the requests and measured on the other.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

import anyweave
from anyweave.evaluation.metrics import Proportion
from anyweave.files import check_new, write_json
from anyweave.generation import GenerationOptions, ReplyBatcher
from anyweave.retrieval import Decision, Finder, Index, build_index
from emoji_mini.emoji_talk.phrases import phrases
from emoji_mini.emoji_world.captions import call
from emoji_mini.emoji_world.pack import PACK, load_pack
from emoji_mini.emoji_world.sampling import pick
from emoji_mini.emoji_world.things import THINGS, article_of
from emoji_mini.evaluation.own_data import NEW_THINGS, new_thing

NEW = {name: f"{article_of(name)} {name}" for name in NEW_THINGS}


def write_collection(folder: Path, side: int = 96) -> None:
    """Every thing as a picture with its caption, source and licence beside it."""
    folder.mkdir(parents=True)
    licence = json.loads((PACK / "index.json").read_text("utf-8"))["licences"]["pictures.zip"]
    source, _, name = licence.rpartition(", ")
    pictures = {one: new_thing(name) for name, one in NEW.items()}
    for thing in THINGS.values():
        pictures[thing.one] = Image.fromarray(load_pack().picture(thing.name), "RGBA")
    for number, (caption, picture) in enumerate(pictures.items()):
        sprite = picture.copy()
        sprite.thumbnail((side, side))
        canvas = Image.new("RGB", (side, side), "white")
        canvas.paste(sprite, ((side - sprite.width) // 2, (side - sprite.height) // 2), sprite)
        canvas.save(folder / f"{number:03}.png")
        told = {"caption": caption, "source": source, "licence": name}
        write_json(folder / f"{number:03}.json", told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    parser.add_argument("--number", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    check_new(args.output)
    write_collection(args.output / "pictures")
    model = anyweave.load(args.model)
    build_index(args.output / "pictures", model, args.output / "index")
    finder = Finder(Index.load(args.output / "index"), model, None)
    rng = np.random.default_rng(args.seed)
    known = tuple(THINGS.values())
    asked = []
    for number in range(args.number):
        thing, one = pick(rng, known), pick(rng, tuple(NEW.values()))
        new = bool(number % 2)
        line = pick(rng, phrases("picture", "test"))
        words = line.format(x=one if new else call(rng, thing))
        asked.append((one if new else thing.one, new, words))
    options = GenerationOptions(
        temperature=0.0, max_new_tokens=32, decode_media=False, force=("image",), max_media=1
    )
    with ReplyBatcher(model) as batcher:
        replies = list(
            batcher.map(lambda pair: batcher.chat(options).reply(pair[2]).media("image")[0], asked)
        )
    rows, wanted, ranks = [], [], []
    for (caption, new, words), part in zip(asked, replies, strict=True):
        matches = finder.search("image", words)
        found = [match.entry.caption for match in matches]
        ranks.append(found.index(caption) if caption in found else None)
        rows.append(finder.facts(matches, words, part.caption or ""))
        wanted.append(new)
    half = len(rows) // 2
    decision = Decision.fitted(rows[:half], wanted[:half])
    best = max(
        (row[0] for row in rows[:half]),
        key=lambda t: sum((row[0] >= t) == w for row, w in zip(rows[:half], wanted, strict=False)),
    )
    rest = list(zip(rows[half:], wanted[half:], ranks[half:], strict=True))
    figures = {
        "recall@1": [rank == 0 for rank in ranks],
        "recall@5": [rank is not None for rank in ranks],
        "recall@1 of what cannot be drawn": [
            r == 0 for r, w in zip(ranks, wanted, strict=True) if w
        ],
        "decision": [decision.finds(row) == w for row, w, _ in rest],
        "decision by a threshold": [(row[0] >= best) == w for row, w, _ in rest],
        "found and right, of what cannot be drawn": [
            decision.finds(row) and rank == 0 for row, w, rank in rest if w
        ],
        "drawn, of what can be": [not decision.finds(row) for row, w, _ in rest if not w],
    }
    decision.save(args.output / "decision.json")
    write_json(
        args.output / "report.json",
        {
            "figures": {name: Proportion.of(values).to_dict() for name, values in figures.items()},
            "decision": vars(decision),
            "asked": [
                {"words": words, "drawn": part.caption, "rank": rank, "facts": row}
                for (*_, words), part, rank, row in zip(asked, replies, ranks, rows, strict=True)
            ],
        },
    )


if __name__ == "__main__":
    main()
