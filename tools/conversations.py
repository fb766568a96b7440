"""Write docs/conversations.md from what ``anyweave demo --script docs/conversations.toml`` wrote.

    anyweave demo --script docs/conversations.toml --out runs/conversations
    python tools/conversations.py runs/conversations

Pictures of the conversations as they came out, with what we think of each: `verdict` in the script,
and `good`, the replies that did what a person would have wanted, counted by reading. What has not
been read yet is marked as such and not counted.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

import PIL.Image

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURES = "assets/conversations"

HEAD = """# Forty conversations

The user's side of these conversations was typed by hand (`docs/conversations.toml`), not made from
templates. An emoji-mini two versions before the shipped one answered with greedy decoding; no
conversation was changed or left out afterwards. Every emoji-mini is asked the first twenty; the
words and scenes of the other twenty are in no training data.
{verdict} Our view of each conversation is below it.

```sh
anyweave demo --script docs/conversations.toml --out runs/conversations
python tools/conversations.py runs/conversations
```
"""


def main(held: Path, docs: Path = DOCS) -> None:
    judged = tomllib.loads((docs / "conversations.toml").read_text("utf-8"))["talk"]
    talks = json.loads((held / "conversation.json").read_text("utf-8"))["talks"]
    (docs / PICTURES).mkdir(parents=True, exist_ok=True)
    page, good, replies, unread = [], 0, 0, 0
    for number, (talk, row) in enumerate(zip(talks, judged, strict=True), 1):
        if talk["title"] != row["title"]:
            raise SystemExit(f"{held}: talk {number} is {talk['title']!r}; hold them again")
        picture = f"{PICTURES}/{number:02d}.webp"
        with PIL.Image.open(held / "talks" / f"{number:02d}.png") as opened:
            opened.convert("RGB").save(docs / picture, quality=80, method=6)
        said, count = "Not read yet.", len(talk["exchanges"])
        if "good" in row:
            good, replies = good + row["good"], replies + count
            said = f"{row['good']} of {count}. {row.get('verdict', '')}".rstrip()
        else:
            unread += 1
        title = talk["title"]
        page.append(f"## {number}. {title}\n\n![{title}]({picture})\n\n{said}\n")
    verdict = (
        f"By our own judgement **{good} of {replies}** replies did what a person would have wanted."
    )
    if unread:
        verdict = f"{unread} of the {len(talks)} have not been judged yet." + (
            f" Of the others: {verdict}" if replies else ""
        )
    (docs / "conversations.md").write_text(
        "\n".join([HEAD.format(verdict=verdict), *page]), "utf-8"
    )
    print(f"{len(talks)} conversations, {unread} not judged yet; good: {good} of {replies} replies")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("held", type=Path, help="the folder that anyweave demo wrote")
    main(parser.parse_args().held)
