"""Change a picture by instruction: python examples/edit_picture.py [MODEL] [PICTURE] [FOLDER]

The decoder starts from the picture instead of from noise. A small `strength` keeps most of it.
"""

import sys
from pathlib import Path

from anyweave import media
from anyweave.generation import ChatSession, GenerationOptions, edit
from anyweave.messages import Image
from anyweave.model import NextGPT
from emoji_mini.emoji_world.render import render
from emoji_mini.emoji_world.scenes import PictureScene

arguments = dict(enumerate(sys.argv))
model = NextGPT.from_pretrained(arguments.get(1, "emoji-mini"))
given = Image(arguments.get(2) or render(PictureScene(object="apple", count=2)))
folder = Path(arguments.get(3, "edited"))
folder.mkdir(parents=True, exist_ok=True)
picture = Image(media.save("image", media.load(given), folder / "before.png"))
options = GenerationOptions(
    temperature=0.0, max_new_tokens=32, num_inference_steps=20, seed=0, modalities=("image",)
)

for strength in (0.4, 0.6, 0.8):
    session = ChatSession(model, options)
    reply = edit(session, picture, "Make it two lemons at night.", strength=strength)
    path = media.save("image", reply.media("image")[0].source, folder / f"after-{strength}.png")
    print(reply.text, path)
