"""Found or drawn: all pictures of the larger world as the index, asked for in people's words.

    python -m emoji_mini.evaluation.retrieval emoji-mini OUT --number 120

Half of the things that are asked for emoji-mini can draw. The others it was never shown: those are
to be found. OUT gets the pictures, the index, ``report.json`` and ``decision.json``, which is
fitted on one half of the requests and measured on the other.
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
from emoji_mini.emoji_world.captions import call
from emoji_mini.emoji_world.pack import PACK, load_pack
from emoji_mini.emoji_world.things import THINGS
from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import OBJECTS


def write_collection(folder: Path, side: int = 96) -> None:
    """Every thing of the world as a picture with its caption, source and licence beside it."""
    folder.mkdir(parents=True)
    licence = json.loads((PACK / "index.json").read_text("utf-8"))["licences"]["pictures.zip"]
    source, _, name = licence.rpartition(", ")
    for number, thing in enumerate(THINGS.values()):
        sprite = Image.fromarray(load_pack().picture(thing.name), "RGBA")
        sprite.thumbnail((side, side))
        canvas = Image.new("RGB", (side, side), "white")
        canvas.paste(sprite, ((side - sprite.width) // 2, (side - sprite.height) // 2), sprite)
        canvas.save(folder / f"{number:03}.png")
        told = {"caption": thing.one, "source": source, "licence": name}
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
    groups = [
        [t for t in THINGS.values() if (t.name in OBJECTS) == drawable]
        for drawable in (True, False)
    ]
    requests = say.usable(say.IMAGE_REQUESTS, "test")
    asked = []
    for number in range(args.number):
        group = groups[number % 2]
        thing = group[int(rng.integers(len(group)))]
        words = requests[int(rng.integers(len(requests)))].format(x=call(rng, thing))
        asked.append((thing, words))
    options = GenerationOptions(
        temperature=0.0, max_new_tokens=32, decode_media=False, force=("image",), max_media=1
    )
    with ReplyBatcher(model) as batcher:
        replies = list(
            batcher.map(lambda pair: batcher.chat(options).reply(pair[1]).media("image")[0], asked)
        )
    rows, wanted, ranks = [], [], []
    for (thing, words), part in zip(asked, replies, strict=True):
        matches = finder.search("image", words)
        found = [match.entry.caption for match in matches]
        ranks.append(found.index(thing.one) if thing.one in found else None)
        rows.append(finder.facts(matches, words, part.caption or ""))
        wanted.append(thing.name not in OBJECTS)
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
                for (_, words), part, rank, row in zip(asked, replies, ranks, rows, strict=True)
            ],
        },
    )


if __name__ == "__main__":
    main()
