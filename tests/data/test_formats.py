"""Every format: its published form is read, what is written is read back the same, and what has no
place in it is said.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyweave.data import FORMATS, Records, resolve
from anyweave.data.conversion import convert
from anyweave.data.formats import recognise
from anyweave.data.pairs import PROMPTS
from anyweave.data.place import Place, ReadOptions
from anyweave.messages import MEDIA_MODALITIES, Audio, Image, Message, Text, Video

FILES = {"image": "a.png", "video": "c.mp4", "audio": "b.wav"}


def told(conversation, folder):
    """A conversation as plain values: media by name and caption."""
    return [
        (message.role, *map(lambda part: told_part(part, folder), message.parts))
        for message in conversation
    ]


def told_part(part, folder):
    if isinstance(part, Text):
        return part.text
    source = None if part.source is None else os.path.relpath(part.source, folder)
    return (part.modality, source, part.caption)


def read(path, format, **options):
    folder = Path(path).parent
    return [told(conversation, folder) for conversation in Records(path, format, **options)]


def ask(*parts):
    return ("user", *parts)


def say(*parts):
    return ("assistant", *parts)


A, B, C, D = (
    ("image", "a.png", None),
    ("audio", "b.wav", None),
    ("video", "c.mp4", None),
    ("image", "d.png", None),
)


def captioned(part, caption):
    return (*part[:2], caption)


def human(value, **more):
    return {"from": "human", "value": value, **more}


def gpt(value, **more):
    return {"from": "gpt", "value": value, **more}


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
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "?"}],
                },
                {"role": "assistant", "content": "Here: <image>"},
            ],
            "images": ["d.png"],
        },
        None,  # a list of parts and a list of media take from one row of media, which is not clear
    ),
    (
        "ms-swift",
        {"system": "S", "conversation": [{"human": "Hi", "assistant": "Yo"}]},
        [("system", "S"), ask("Hi"), say("Yo")],
    ),
]
PUBLISHED = [entry for entry in PUBLISHED if entry[2] is not None]


@pytest.mark.parametrize(("format", "row", "expected"), PUBLISHED)
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_published_rows(folder, write_json, format, row, expected, name):
    assert read(write_json([row], name), format) == [expected]


def pairs(path, format, **options):
    """Modality, file and caption of every record, in both tasks."""
    described = read(path, format, **options)
    made = read(path, format, task="generate", **options)
    for (user, reply), (request, shown) in zip(described, made, strict=True):
        modality, name, _ = user[1]
        assert user[2] in PROMPTS[modality]
        assert shown[1] == (modality, name, reply[1]) and request[1] == reply[1]
    return [(user[1][0], user[1][1], reply[1]) for user, reply in described]


def test_pairs_of_the_reference(write_json):
    path = write_json([{"caption": "a cat", "id": "001", "image_name": "a.png"}])
    assert pairs(path, "cc3m") == [("image", "a.png", "a cat")]
    path = write_json([{"caption": "a fox", "id": 12, "video_name": "c.mp4"}])
    assert pairs(path, "webvid") == [("video", "c.mp4", "a fox")]
    path = write_json([{"audio_id": 7, "audio_name": "b.wav", "caption": "rain"}])
    assert pairs(path, "audiocaps") == [("audio", "b.wav", "rain")]


def test_published_tables_of_pairs(folder):
    (folder / "000" / "12").mkdir(parents=True)
    (folder / "000" / "12" / "345.mp4").write_bytes((folder / "c.mp4").read_bytes())
    webvid = folder / "results_2M_train.csv"
    webvid.write_text('videoid,contentUrl,page_dir,name\n345,https://x/y,000/12,"A fox, red"\n')
    assert pairs(webvid, None) == [("video", "000/12/345.mp4", "A fox, red")]
    (folder / "Ya_-b.wav").write_bytes((folder / "b.wav").read_bytes())
    audiocaps = folder / "train.csv"
    audiocaps.write_text("audiocap_id,youtube_id,start_time,caption\n91139,a_-b,130,Rain falls\n")
    assert pairs(audiocaps, None) == [("audio", "Ya_-b.wav", "Rain falls")]
    (folder / "91139.flac").write_bytes((folder / "b.wav").read_bytes())
    assert pairs(audiocaps, None) == [("audio", "91139.flac", "Rain falls")]


def test_coco_in_the_karpathy_split(folder, write_json):
    def image(name, split, *captions):
        sentences = [{"raw": raw, "tokens": raw.split()} for raw in captions]
        return {"filename": name, "filepath": ".", "split": split, "sentences": sentences}

    path = write_json(
        {
            "dataset": "coco",
            "images": [
                image("a.png", "train", "a cat", "one cat"),
                image("d.png", "restval", "a dog"),
                image("a.png", "test", "it sits"),
            ],
        }
    )
    cat, more, dog = (
        ("image", "a.png", "a cat"),
        ("image", "a.png", "one cat"),
        ("image", "d.png", "a dog"),
    )
    assert pairs(path, None) == [cat, more, dog]
    assert pairs(path, "coco", split="restval") == [dog]
    assert pairs(path, "coco", split="test") == [("image", "a.png", "it sits")]
    with pytest.raises(ValueError, match="unknown split 'dev'; the Karpathy splits are train, res"):
        Records(path, "coco", split="dev")


def test_coco_as_published(write_json):
    path = write_json(
        {
            "info": {},
            "images": [{"id": 9, "file_name": "a.png"}],
            "annotations": [{"image_id": 9, "id": 1, "caption": "a cat"}],
        }
    )
    assert pairs(path, None) == [("image", "a.png", "a cat")]


def test_other_names_of_columns_and_folders(folder):
    elsewhere = folder / "tables"
    elsewhere.mkdir()
    table = elsewhere / "mine.tsv"
    table.write_text("picture\ttitle\na.png\ta cat\n")
    options = {"columns": {"image": "picture", "caption": "title"}}
    found = Records(table, "pairs", media={"image": folder}, **options)
    assert told(found[0], folder)[0][1] == A and found[0][1].text == "a cat"
    assert len(found) == 1 and found[-1] == found[0] == found[:1][0]
    with pytest.raises(IndexError, match="no record 1; there are 1"):
        found[1]


# --- round trips

PAIR = {m: [Message("user", [t(f), "What?"]), Message("assistant", f"a {m}")] for m, t, f in [
    ("image", Image, "a.png"), ("video", Video, "c.mp4"), ("audio", Audio, "b.wav"),
]}  # fmt: skip


def made(modality):
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

# Format, a conversation it can hold, and what it loses of it.
ROUND_TRIPS = [
    ("messages", [SYSTEM, *ANY], ()),
    ("messages", CAPTIONS, ()),
    ("sharegpt", [SYSTEM, *TALK], ()),
    ("llama-factory", [SYSTEM, *TALK], ()),
    ("ms-swift", [SYSTEM, *TALK], ()),
    ("nextgpt", ANY, ()),
    ("nextgpt", CAPTIONS, ()),
    ("mosit", ANY, ()),
    ("mosit-legacy", ANY, ()),
    ("t2m", CAPTIONS, ()),
    *(("t2m", [WORDS[0], made(modality)], ()) for modality in MEDIA_MODALITIES),
    *(("t2m-legacy", [WORDS[0], made(modality)], ()) for modality in MEDIA_MODALITIES),
    ("t2m-legacy", CAPTIONS, ()),
    ("llava", PAIR["image"], ()),
    ("llava", TALK[:2], ()),
    ("llava", WORDS, ()),
    ("videochat", [SYSTEM, *PAIR["video"], *WORDS], ()),
    ("alpaca", WORDS, ()),
]


def on_disk(conversation, folder):
    """The same conversation with its media's paths in a folder."""

    def part(part):
        if isinstance(part, Text) or part.source is None:
            return part
        return type(part)(folder / part.source, caption=part.caption)

    return [Message(message.role, map(part, message.parts)) for message in conversation]


def write(conversation, folder, format, name):
    """Write one conversation in a format, by way of our own."""
    from anyweave.data import write_messages

    ours = folder / f"ours-of-{name}.jsonl"
    write_messages([on_disk(conversation, folder)], ours)
    done = convert(Records(ours, "messages"), folder / name, format)
    assert done.written == 1
    return tuple(done.lost)


@pytest.mark.parametrize(("format", "conversation", "lost"), ROUND_TRIPS)
def test_round_trips(folder, format, conversation, lost):
    assert write(conversation, folder, format, "out.json") == lost
    assert read(folder / "out.json", format) == [told(on_disk(conversation, folder), folder)]


@pytest.mark.parametrize("name", ["out.json", "out.jsonl", "out.csv", "out.tsv"])
@pytest.mark.parametrize("modality", MEDIA_MODALITIES)
def test_round_trips_of_pairs(folder, modality, name):
    own = {"image": "cc3m", "video": "webvid", "audio": "audiocaps"}[modality]
    for number, format in enumerate((own, "pairs")):
        lost = write(PAIR[modality], folder, format, f"{number}{name}")
        assert lost == ("words of the request",)
        assert pairs(folder / f"{number}{name}", format) == [
            (modality, FILES[modality], f"a {modality}")
        ]
    request = [Message("user", "Now!"), made(modality)]
    lost = write(request, folder, "pairs", f"made-{name}")
    assert set(lost) == {"words of the request", "words of the reply"}
    assert pairs(folder / f"made-{name}", "pairs") == [(modality, FILES[modality], f"a {modality}")]


def test_round_trip_of_coco(folder, write_json):
    rows = [{"image": name, "caption": c} for name, c in (("a.png", "a cat"), ("a.png", "it sits"))]
    convert(Records(write_json(rows), "pairs"), folder / "coco.json", "coco")
    assert recognise(folder / "coco.json", ReadOptions()).name == "coco"
    assert pairs(folder / "coco.json", "coco") == [
        ("image", "a.png", "a cat"),
        ("image", "a.png", "it sits"),
    ]


@pytest.mark.parametrize(
    ("format", "conversation", "problem"),
    [
        ("pairs", TALK, "a pair is one question with one answer and one medium; this has 4 mess"),
        ("cc3m", PAIR["video"], "its medium is video; this format is for image"),
        ("coco", PAIR["audio"], "its medium is audio; this format is for image"),
        ("alpaca", PAIR["image"], "Alpaca is text; this has media"),
        ("alpaca", [*WORDS, *WORDS], "Alpaca is one request and one reply; this has 4 messages"),
        ("llava", ANY, "the assistant makes a medium; LLaVA's replies are words"),
        ("videochat", TALK, "VideoChat asks about one medium, shown in the first turn"),
        ("t2m-legacy", WORDS, "one request in words and one reply with one medium"),
        ("mosit-legacy", CAPTIONS, r"known by its caption alone \('rain'\) has no file"),
        ("sharegpt", CAPTIONS, r"known by its caption alone \('rain'\) has no file"),
        ("sharegpt", [Message("user", "an <image> tag"), WORDS[1]], "has the letters <image>"),
    ],
)
def test_what_has_no_meaning_in_a_format(folder, format, conversation, problem):
    with pytest.raises(ValueError, match=rf"ours-of-out.json.jsonl:1: .*{problem}.*--skip leaves"):
        write(conversation, folder, format, "out.json")


def test_what_is_lost_is_said(folder):
    assert write([SYSTEM, *WORDS], folder, "alpaca", "1.json") == ("system messages",)
    assert write(ANY, folder, "ms-swift", "2.json") == ("captions of media",)
    assert write([SYSTEM, *ANY], folder, "mosit", "3.json") == ("system messages",)
    first = [WORDS[0], Message("assistant", [Audio("b.wav", caption="rain"), "Here."])]
    assert write(first, folder, "t2m-legacy", "4.json") == ("place of the medium",)


# --- what is wrong with rows


@pytest.mark.parametrize(
    ("format", "row", "problem"),
    [
        ("llava", {"image": "a.png", "conversations": []}, "conversations: a list of at least one"),
        ("llava", {"image": "a.png"}, "the key 'conversations' is missing"),
        ("llava", {"conversations": [human("<image>?"), gpt("!")]}, "more <image> placeholders th"),
        (
            "llava",
            {"image": ["a.png", "d.png"], "conversations": [human("<image>?"), gpt("!")]},
            "1 more image media than <image> placeholders",
        ),
        (
            "llava",
            {"conversations": [{"from": "cat", "value": "x"}, human("?"), {"from": "gpt"}]},
            "conversations[0]: unknown role \"cat\"; known: user, human, assistant, gpt, system",
        ),
        ("llava", {"image": "no.png", "conversations": [human("?")]}, "image: no such media file"),
        ("mosit", {"text": "x"}, "neither 'conversations' (2024) nor 'conversation' (2023)"),
        (
            "mosit",
            {
                "output_image": ["a.png"],
                "image_captions": ["a", "b"],
                "conversations": [human("?"), gpt("<image>")],
            },
            "output_image: 1 names but 2 captions",
        ),
        ("t2m", {"mm_name": "a.png", "conversation": [human("?", input_modality="smell")]},
         "unknown input_modality \"smell\""),
        ("sharegpt", {"images": []}, "no turns; they stand in messages, conversations"),
        (
            "ms-swift",
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0]: unknown role \"tool\"; known: user, human",
        ),
        ("pairs", {"caption": "a cat"}, "no medium; its key is one of image, image_name"),
        ("pairs", {"image": "a.png"}, "no caption; its key is one of caption, text"),
        ("pairs", {"image": "a.png", "caption": "  "}, "caption: the caption is empty"),
        ("pairs", {"image": "https://x/a.png", "caption": "a"}, "is a URL; download it and give"),
        ("alpaca", {"instruction": "x"}, "the key 'output' is missing"),
        ("videochat", {"video": "c.mp4", "QA": [{"q": "?"}]}, "QA[0]: the key 'a' is missing"),
        ("videochat", ["QA"], "an object is needed, got"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(write_json, format, row, problem):
    path = write_json([{"fine": 1}, row], "rows.jsonl")
    with pytest.raises(ValueError) as caught:
        Records(path, format)[1]
    assert str(caught.value).startswith(f"{path}:2: ") and problem in str(caught.value)


def test_captions_stand_for_media_that_were_never_published(write_json):
    row = {
        "image_list": [{"image_name": "gone.jpg", "caption": "a fox"}],
        "conversation": [human("A fox!"), gpt("Here. <Image>gone.jpg</Image>")],
    }
    path = write_json([row])
    with pytest.raises(ValueError, match=r"no such media file: .*gone.jpg"):
        Records(path, "mosit")[0]
    found = read(path, "mosit", captions_only=True)
    assert found == [[ask("A fox!"), say("Here.", ("image", None, "a fox"))]]


DEEP: list = []
for _ in range(300):
    DEEP = [DEEP]
HOSTILE = [10**5000, float("inf"), float("nan"), {1: 2, None: 3}, DEEP, b"\xff", "../" * 2000, "\0"]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "image", "<image>", "\ud800"])
    | st.integers(0, len(HOSTILE) - 1).map(lambda number: HOSTILE[number]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "path", "bytes", "from"]), inner, max_size=2)
    ),
    max_leaves=4,
)
KNOWN_ROWS = [
    *((format, row) for format, row, _ in PUBLISHED),
    ("messages", {"messages": [{"role": "user", "content": [{"type": "image", "path": "a.png"}]}]}),
    ("webvid", {"videoid": 1, "page_dir": "0", "name": "a fox"}),
    ("audiocaps", {"audiocap_id": 1, "youtube_id": "a", "start_time": 3, "caption": "rain"}),
    ("coco", {"image": "a.png", "caption": "a cat"}),
]


def places(value, path=()):
    """The paths to all values in a row."""
    yield path
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    for key, found in inner.items() if isinstance(inner, dict) else ():
        yield from places(found, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@given(
    data=st.data(),
    known=st.sampled_from(KNOWN_ROWS),
    task=st.sampled_from(["describe", "generate"]),
)
def test_any_row_is_read_or_refused(data, known, task):
    format, row = known
    for _ in range(data.draw(st.integers(1, 2))):
        row = replaced(row, data.draw(st.sampled_from(list(places(row)))), data.draw(ANYTHING))
    options = ReadOptions(check_media=data.draw(st.booleans()), task=task)
    place = Place("rows.json:1", Path("none"), options)
    if isinstance(row, dict):
        assert {known.recognises(row) for known in map(resolve, FORMATS)} <= {True, False, None}
    try:
        conversation = resolve(format).read(row, place)
        " ".join(place.lost).encode()
    except ValueError as error:
        assert str(error).startswith("rows.json:1: ")
        str(error).encode()
    else:
        assert all(isinstance(message, Message) for message in conversation)


# --- names


def test_all_formats_resolve_and_know_their_names():
    for name in FORMATS:
        assert resolve(name).name == name
    with pytest.raises(ValueError, match="unknown format 'lava'; did you mean 'llava'?"):
        resolve("lava")
    with pytest.raises(ValueError, match="unknown format 'zzz'; known formats: messages, coco"):
        resolve("zzz")


@pytest.mark.parametrize(("format", "row", "expected"), PUBLISHED)
def test_formats_are_known_by_sight(folder, write_json, format, row, expected):
    assert read(write_json([row]), None) == [expected]  # whatever it is called


def test_rows_that_nobody_knows(write_json):
    with pytest.raises(ValueError, match="in no format that is known by sight; name it: messages"):
        Records(write_json([{"x": 1}]))


def test_a_wrong_option():
    with pytest.raises(ValueError, match="unknown task 'draw'; a task is describe, generate"):
        ReadOptions(task="draw")
    with pytest.raises(ValueError, match="media folders are for image, video, audio, got 'smell'"):
        ReadOptions(media={"smell": "x"})


# --- the reference's own samples, where somebody has them

SAMPLES = {
    "cc3m": ("pairs", "cc3m"),
    "webvid": ("pairs", "webvid"),
    "audiocap": ("pairs", "audiocaps"),
    "cc3m_comprehension": ("nextgpt",),
    "webvid_comprehension": ("nextgpt",),
    "audiocap_comprehension": ("nextgpt",),
    "cc3m_generation": ("t2m", "nextgpt"),
    "webvid_generation": ("t2m", "nextgpt"),
    "audiocap_generation": ("t2m", "nextgpt"),
}


@pytest.fixture(scope="module")
def samples(root) -> Path:
    """The reference's sample files, read in place; they have no licence and most have them not."""
    folder = Path(os.environ.get("ANYWEAVE_SAMPLES", root.parent / "shared" / "samples"))
    if not (folder / "cc3m.json").is_file():
        pytest.skip(f"no samples in {folder}; set ANYWEAVE_SAMPLES")
    return folder


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_of_the_reference(samples, tmp_path, name):
    source = samples / f"{name}.json"
    for format in (None, *SAMPLES[name]):
        records = Records(source, format)
        assert len(records) > 2
        target = tmp_path / f"{format}.jsonl"
        assert convert(records, target).written == len(records)
        assert list(Records(target)) == list(records)
        back = tmp_path / f"{format}.json"
        written = records.format.name
        assert not convert(Records(target), back, written).lost
        assert list(Records(back, written)) == list(records)


# --- the page that explains them


def examples(root):
    """Format and file of every example in the docs."""
    page = (root / "docs" / "formats.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"^### `(.*?)`\n(.*?)(?=^### |\Z)", page, re.M | re.S):
        for suffix, example in re.findall(r"^```(json|csv)\n(.*?)^```", text, re.M | re.S):
            one_line = " ".join(example.split()) if name == "messages" else example
            yield name, suffix if name != "messages" else "jsonl", one_line


def test_the_examples_of_the_docs(root, tmp_path):
    found = list(examples(root))
    assert {name for name, _, _ in found} == set(FORMATS) - {"webdataset"}
    for number, (name, suffix, example) in enumerate(found):
        path = tmp_path / f"{number}.{suffix}"
        path.write_text(example, encoding="utf-8")
        records = Records(path, name, check_media=False)
        assert len(records) > 0 and all(len(conversation) > 1 for conversation in records)


def test_records_take_every_option_of_reading_by_name() -> None:
    """Editors see them; a new option that is not passed on would be read with its default."""
    taken = inspect.signature(Records).parameters
    options = dataclasses.fields(ReadOptions)
    assert set(taken) == {"path", "format", *(item.name for item in options)}
    for item in options:
        default = None if item.name == "columns" else getattr(ReadOptions(), item.name)
        assert taken[item.name].default == default
    assert set(taken) == {
        "path",
        "format",
        *(item.name for item in dataclasses.fields(ReadOptions)),
    }
