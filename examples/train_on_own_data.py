"""Teach a model your own conversations: python examples/train_on_own_data.py [MODEL] [FOLDER]"""

import sys
from pathlib import Path

import numpy as np

import anyweave as aw

source = sys.argv[1] if len(sys.argv) > 1 else "emoji-mini"
folder = Path(sys.argv[2] if len(sys.argv) > 2 else "own-data")
folder.mkdir(parents=True, exist_ok=True)

# Your data: one conversation a line, media as files beside it. Here: names for plain colours.
rows = []
for name, colour in {"rust": (183, 65, 14), "teal": (0, 128, 128), "plum": (142, 69, 133)}.items():
    picture = aw.Image(np.full((64, 64, 3), colour, np.uint8))
    rows.append(
        [aw.Message("user", [picture, "Which colour?"]), aw.Message("assistant", f"It is {name}.")]
    )
aw.write_messages(rows, folder / "colours.jsonl")

# Rates and batch are the model's own for fine-tuning; `settings` change single values.
report = aw.train(
    source,
    folder / "colours.jsonl",
    stage=3,
    steps=8,
    settings=["optimizer.learning_rate=1e-3"],
    output=folder / "run",
)
print(report)
print(aw.evaluate(folder / "run" / "model", folder / "colours.jsonl").to_markdown())
print(f"anyweave chat --model {folder / 'run' / 'model'}")
