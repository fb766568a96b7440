"""A few tiny conversations that cover every direction: media in, media out, both, text."""

from __future__ import annotations

import numpy as np

from anyweave.messages import (
    MEDIA_TYPES,
    PAPER_MODALITIES,
    Conversation,
    Image,
    Media,
    Message,
    Modality,
)


def tiny_media(modality: Modality, number: int, caption: str | None = None) -> Media:
    """Noise as an array, fixed by `number`: 16 x 16 pictures, clips of 4 such frames, sounds of
    0.32 s.
    """
    draw = np.random.default_rng(number)
    if modality == "audio":
        wave = draw.uniform(-0.5, 0.5, 5120).astype(np.float32)
        return MEDIA_TYPES[modality](wave, rate=16000.0, caption=caption)
    shape = (16, 16, 3) if modality == "image" else (4, 16, 16, 3)
    pixels = draw.integers(0, 256, shape, dtype=np.uint8)
    return MEDIA_TYPES[modality](pixels, rate=8.0 if modality == "video" else None, caption=caption)


def tiny_conversations() -> list[Conversation]:
    """Nine conversations: each modality in and out, text only, media on both sides (one as a
    caption alone), a longer one.
    """
    made: list[Conversation] = []
    for number, modality in enumerate(PAPER_MODALITIES):
        name = f"thing {number}"
        asked = Message("user", [tiny_media(modality, number), "what is it?"])
        made.append([asked, Message("assistant", name)])
        shown = tiny_media(modality, 10 + number, caption=name)
        made.append([Message("user", f"show {name}"), Message("assistant", ["here: ", shown])])
    made.append([Message("user", "hi"), Message("assistant", "hello")])
    reply = Message("assistant", [Image(caption="a dot"), "and", tiny_media("audio", 21, "a beep")])
    made.append([Message("user", [tiny_media("image", 20), "louder"]), reply])
    made.append(
        [
            Message("user", "tell me more " * 3),
            Message("assistant", "gladly " * 5),
            Message("user", [tiny_media("audio", 30), "and this?"]),
            Message("assistant", "a sound"),
        ]
    )
    return made
