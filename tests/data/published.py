"""Rows in the published form of each format, the conversations they are, and helpers of tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from anyweave.data import Records, write_messages
from anyweave.data.conversion import convert
from anyweave.messages import (
    Audio,
    Conversation,
    Image,
    Message,
    Modality,
    Part,
    Text,
    Video,
    kind_of,
)

ToldMedium = tuple[str, str | None, str | None]
"""Modality, file and caption."""
ToldPart = str | ToldMedium
Turn = tuple[ToldPart, ...]
"""The role, and then the parts."""

FILES = {"image": "a.png", "video": "c.mp4", "audio": "b.wav"}


def told(conversation: Conversation, folder: Path) -> list[Turn]:
    """A conversation as plain values: media by name and caption."""
    return [
        (message.role, *map(lambda part: told_part(part, folder), message.parts))
        for message in conversation
    ]


def told_part(part: Part, folder: Path) -> ToldPart:
    if isinstance(part, Text):
        return part.text
    source = None if part.source is None else os.path.relpath(part.source, folder)
    return (part.modality, source, part.caption)


def read(path: str | Path, format: str | None, **options: Any) -> list[list[Turn]]:
    folder = Path(path).parent
    return [told(conversation, folder) for conversation in Records(path, format, **options)]


def ask(*parts: ToldPart) -> Turn:
    return ("user", *parts)


def say(*parts: ToldPart) -> Turn:
    return ("assistant", *parts)


A, B, C, D = (
    ("image", "a.png", None),
    ("audio", "b.wav", None),
    ("video", "c.mp4", None),
    ("image", "d.png", None),
)


def captioned(part: ToldMedium, caption: str) -> ToldMedium:
    return (*part[:2], caption)


def human(value: str, **more: Any) -> dict[str, Any]:
    return {"from": "human", "value": value, **more}


def gpt(value: str, **more: Any) -> dict[str, Any]:
    return {"from": "gpt", "value": value, **more}


def pairs(path: str | Path, format: str | None, **options: Any) -> list[ToldMedium]:
    """Modality, file and caption of every record, in both tasks."""
    described = read(path, format, **options)
    made = read(path, format, task="generate", **options)
    found: list[ToldMedium] = []
    for (user, reply), (request, shown) in zip(described, made, strict=True):
        medium, caption = user[1], reply[1]
        assert isinstance(medium, tuple) and isinstance(caption, str)
        modality, name, _ = medium
        assert user[2] in kind_of(modality).prompts
        assert shown[1] == (modality, name, caption) and request[1] == caption
        found.append((modality, name, caption))
    return found


PAIR = {m: [Message("user", [t(f), "What?"]), Message("assistant", f"a {m}")] for m, t, f in [
    ("image", Image, "a.png"), ("video", Video, "c.mp4"), ("audio", Audio, "b.wav"),
]}  # fmt: skip


def made(modality: Modality) -> Message:
    kind = {"image": Image, "video": Video, "audio": Audio}[modality]
    return Message("assistant", ["Here.", kind(FILES[modality], caption=f"a {modality}")])


TALK = [
    Message("user", [Image("a.png"), Image("d.png"), "What is on these?\n\nSay it."]),
    Message("assistant", "A cat and a dog."),
    Message("user", ["Is it ", Audio("b.wav"), " that they say?"]),
    Message("assistant", "Yes."),
]
ANY = [
    *TALK[:3],
    Message("assistant", ["Yes. ", Video("c.mp4", caption="a fox"), "\nand", Image("a.png")]),
    Message("user", "Rain!"),
    Message("assistant", [Audio("b.wav", caption="rain")]),
]
WORDS = [Message("user", "Add 1 and 2."), Message("assistant", "3")]
CAPTIONS = [Message("user", "Rain!"), Message("assistant", ["Here.", Audio(caption="rain")])]
SYSTEM = Message("system", "Be brief.")


def on_disk(conversation: Conversation, folder: Path) -> Conversation:
    """The same conversation with its media's paths in a folder."""

    def part(part: Part) -> Part:
        if isinstance(part, Text) or part.source is None:
            return part
        return type(part)(folder / part.source, caption=part.caption)

    return [Message(message.role, map(part, message.parts)) for message in conversation]


def write(conversation: Conversation, folder: Path, format: str, name: str) -> tuple[str, ...]:
    """Write one conversation in a format, by way of our own."""
    ours = folder / f"ours-of-{name}.jsonl"
    write_messages([on_disk(conversation, folder)], ours)
    done = convert(Records(ours, "messages"), folder / name, format)
    assert done.written == 1
    return tuple(done.lost)


# One row of each published form, and the conversation it is.
PUBLISHED = [
    (
        "llava",
        {"id": "1", "image": "a.png", "conversations": [human("<image>\nWhat?"), gpt("A cat.")]},
        [ask(A, "What?"), say("A cat.")],
    ),
    (
        "llava",
        {"id": 1, "image": "a.png", "conversations": [human("What?\n<image>"), gpt("A cat.")]},
        [ask("What?", A), say("A cat.")],
    ),
    (  # the reference names the picture again in every turn
        "llava",
        {
            "input_image": ["a.png", "a.png"],
            "conversations": [
                human("<image>\nWhat?"),
                gpt("A cat."),
                human("<image>\nSure?"),
                gpt("Yes."),
            ],
        },
        [ask(A, "What?"), say("A cat."), ask("Sure?"), say("Yes.")],
    ),
    (
        "llava",
        {
            "image_name": "a.png",
            "output_modality": "text",
            "conversation": [
                human("What?", input_modality="image"),
                gpt("A cat.", caption="", output_modality="text"),
                human("Sure?", input_modality="image"),
                gpt("Yes.", caption="", output_modality="text"),
            ],
        },
        [ask(A, "What?"), say("A cat."), ask("Sure?"), say("Yes.")],
    ),
    (
        "videochat",
        {"video": "c.mp4", "QA": [{"i": "Be brief.", "q": "What?", "a": "A fox."}]},
        [("system", "Be brief."), ask(C, "What?"), say("A fox.")],
    ),
    (
        "videochat",
        {"video": "c.mp4", "conversations": [human("<video>\nWhat?"), gpt("A fox.")]},
        [ask(C, "What?"), say("A fox.")],
    ),
    (
        "alpaca",
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        [ask("Add.\n1 and 2"), say("3")],
    ),
    ("alpaca", {"instruction": "Hi.", "input": "", "output": "Yo."}, [ask("Hi."), say("Yo.")]),
    (  # with the dummy picture of the reference
        "alpaca",
        {
            "image_name": "00000.jpg",
            "output_modality": "text",
            "conversation": [
                human("Hi.", input_modality="text"),
                gpt("Yo.", caption="", output_modality="text"),
            ],
        },
        [ask("Hi."), say("Yo.")],
    ),
    (
        "t2m",
        {
            "audio_captions": ["rain"],
            "audio_caption_embeddings": ["34706.wav.npy"],
            "conversations": [human("Play rain."), gpt("Here. <audio>")],
            "source_data": {},
        },
        [ask("Play rain."), say("Here.", ("audio", None, "rain"))],
    ),
    *(
        (
            "t2m",
            {
                key: "b.wav",
                "output_modality": "audio",
                "conversation": [
                    human("Play rain.", input_modality="text"),
                    gpt("Here.", caption="rain", output_modality="audio"),
                ],
                "source_data": {"audiocap_id": 1},
            },
            [ask("Play rain."), say("Here.", captioned(B, "rain"))],
        )
        for key in ("mm_name", "image_name")
    ),
    (
        "nextgpt",
        {
            "output_image": "a.png",
            "image_captions": "a cat",
            "image_caption_embeddings": "a.png.npy",
            "conversations": [human("Show a cat"), gpt("Sure thing! <image>")],
        },
        [ask("Show a cat"), say("Sure thing!", captioned(A, "a cat"))],
    ),
    (
        "mosit",
        {
            "image_list": [
                {"image_name": "a.png", "data_source": "mosit", "caption": "a cat"},
                {"image_name": "d.png", "data_source": "mosit", "caption": "a dog"},
            ],
            "video_list": [],
            "audio_list": [{"audio_name": "b.wav", "data_source": "x", "caption": "miaow"}],
            "conversation": [
                human("Is this <Image>a.png</Image> a cat?"),
                gpt("Yes. It goes <Audio>b.wav</Audio> and a dog is <Image>d.png</Image>"),
            ],
        },
        [
            ask("Is this ", captioned(A, "a cat"), " a cat?"),
            say("Yes. It goes ", captioned(B, "miaow"), " and a dog is", captioned(D, "a dog")),
        ],
    ),
    (
        "mosit",
        {
            "image_captions": ["a cat", "a dog"],
            "image_caption_embeddings": ["mosit_i_0.jpg.npy", "mosit_i_1.jpg.npy"],
            "video_captions": ["a fox runs"],
            "conversations": [
                human("Pets?"),
                gpt("<image> or\n<image>\n?"),
                human("Move!"),
                gpt("<video>"),
            ],
        },
        [
            ask("Pets?"),
            say(("image", None, "a cat"), "or", ("image", None, "a dog"), "?"),
            ask("Move!"),
            say(("video", None, "a fox runs")),
        ],
    ),
    (
        "sharegpt",
        {
            "system": "Be brief.",
            "conversations": [human("<image><audio>Same?"), gpt("Yes.")],
            "images": ["a.png"],
            "audios": "b.wav",
        },
        [("system", "Be brief."), ask(A, B, "Same?"), say("Yes.")],
    ),
    (
        "llama-factory",
        {
            "messages": [
                {"role": "user", "content": "<image>Who?"},
                {"role": "assistant", "content": "A cat."},
                {"role": "user", "content": "And <image>?"},
                {"role": "assistant", "content": "A dog."},
            ],
            "images": ["a.png", "d.png"],
        },
        [ask(A, "Who?"), say("A cat."), ask("And ", D, "?"), say("A dog.")],
    ),
    (
        "llama-factory",
        {
            "instruction": "Who?",
            "input": "",
            "output": "A cat.",
            "images": ["a.png"],  # no placeholder: it comes first
            "history": [["Hi", "Yo"]],
        },
        [ask(A, "Hi"), say("Yo"), ask("Who?"), say("A cat.")],
    ),
    (
        "ms-swift",
        {"query": "<video>What?", "response": "A fox.", "videos": ["c.mp4"], "history": []},
        [ask(C, "What?"), say("A fox.")],
    ),
    (
        "ms-swift",
        {"system": "S", "conversation": [{"human": "Hi", "assistant": "Yo"}]},
        [("system", "S"), ask("Hi"), say("Yo")],
    ),
]
