"""Talk to a model from Python: python examples/chat.py [MODEL] [FOLDER]"""

import sys

import anyweave as aw
from anyweave.generation import Done, Progress, TextDelta
from emoji_mini.emoji_world.render import render
from emoji_mini.emoji_world.scenes import PictureScene

model = aw.load(sys.argv[1] if len(sys.argv) > 1 else "emoji-mini")
folder = sys.argv[2] if len(sys.argv) > 2 else "chat"
session = model.chat(aw.GenerationOptions(temperature=0.0, max_new_tokens=48, seed=0))

# Wait for a whole reply. A medium is a path, encoded bytes, an array or a PIL image.
picture = aw.Image(render(PictureScene(object="cow", background="snow")))
reply = session.reply([picture, "What is this?"])
print(reply.text)

# Or watch the next one come; the session remembers what was said and seen.
for event in session.send("What sound does it make?", force=("audio",)):
    if isinstance(event, TextDelta):
        print(event.text, end="", flush=True)
    elif isinstance(event, Progress):
        print(f"\r{event.modality}: step {event.step} of {event.total}", end="", flush=True)
    elif isinstance(event, Done):
        print()
        for part in event.message.save(folder):
            print(part)
