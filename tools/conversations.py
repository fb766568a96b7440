"""Write docs/conversations.md of what ``anyweave demo --script docs/conversations.toml`` wrote.

    anyweave demo --script docs/conversations.toml --out runs/conversations
    python tools/conversations.py runs/conversations

Pictures of the conversations as they came out, with what we think of each: `verdict` in the script,
and `good`, the replies that did what a person would have wanted, counted by reading.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

import PIL.Image

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURES = DOCS / "assets" / "conversations"

HEAD = """# Twenty conversations

Nobody wrote templates for these: the user's side was typed by hand (`docs/conversations.toml`) and
held with the shipped model, greedily; none was changed or left out afterwards. (Of three sets of
weights that were tried, these were chosen, also because they did best here.) By our own reading
**{good} of {replies}** replies did what a person would have wanted; what we think of each
conversation stands below it.

```sh
anyweave demo --script docs/conversations.toml --out runs/conversations
python tools/conversations.py runs/conversations
```
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("held", type=Path, help="the folder that anyweave demo wrote")
    held = parser.parse_args().held
    judged = tomllib.loads((DOCS / "conversations.toml").read_text())["talk"]
    talks = json.loads((held / "conversation.json").read_text())["talks"]
    PICTURES.mkdir(parents=True, exist_ok=True)
    page, good, replies = [], 0, 0
    for number, (talk, row) in enumerate(zip(talks, judged, strict=True), 1):
        count = len(talk["exchanges"])
        picture = PICTURES / f"{number:02d}.webp"
        with PIL.Image.open(held / "talks" / f"{number:02d}.png") as opened:
            opened.convert("RGB").save(picture, quality=80, method=6)
        good, replies = good + row.get("good", 0), replies + count
        page.append(
            f"## {number}. {talk['title']}\n\n"
            f"![{talk['title']}]({picture.relative_to(DOCS).as_posix()})\n\n"
            f"{row.get('good', 0)} of {count}. {row.get('verdict', '')}".rstrip()
            + "\n"
        )
    text = "\n".join([HEAD.format(good=good, replies=replies), *page])
    (DOCS / "conversations.md").write_text(text)


if __name__ == "__main__":
    main()
