"""Teach a model your own conversations: python examples/train_on_own_data.py [MODEL] [FOLDER]"""

import sys
from pathlib import Path

import numpy as np

from anyweave.data import MessagesJsonl, write_messages
from anyweave.messages import Image, Message
from anyweave.model import NextGPT
from anyweave.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from anyweave.training.stages import STAGES
from anyweave.training.trainer import Trainer

source = sys.argv[1] if len(sys.argv) > 1 else "emoji-mini"
folder = Path(sys.argv[2] if len(sys.argv) > 2 else "own-data")
folder.mkdir(parents=True, exist_ok=True)

# Your data: one conversation a line, media as files beside it. Here: names for plain colours.
rows = []
for name, colour in {"rust": (183, 65, 14), "teal": (0, 128, 128), "plum": (142, 69, 133)}.items():
    picture = Image(np.full((64, 64, 3), colour, np.uint8))
    rows.append(
        [Message("user", [picture, "Which colour?"]), Message("assistant", f"It is {name}.")]
    )
write_messages(rows, folder / "colours.jsonl")

# Ten lines of training: what learns is the stage's business (here adapters and projectors).
config = TrainConfig(
    name="colours",
    stage=STAGES["instruction_tuning"],
    model=ModelConfig(source=source),
    data=DataConfig(source="anyweave.data:MessagesJsonl", batch_size=3),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    steps=8,
    output_dir=str(folder / "run"),
)
model = NextGPT.from_pretrained(source)
report = Trainer(model, config, MessagesJsonl(folder / "colours.jsonl")).train()
print(report)
print(f"anyweave chat --model {folder / 'run' / 'model'}")
