"""Tables: CSV files, the words that stand for them, and models that read and say them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyweave import media
from anyweave.data import Records
from anyweave.generation import ChatSession, GenerationOptions
from anyweave.generation.events import Done, EngineEvent, TextDelta
from anyweave.media.isolation import Decoder
from anyweave.media.showing import media_html
from anyweave.media.sniffing import sniff
from anyweave.media.table import CELL, COLUMNS, LETTERS, ROWS, TABLE, as_text, of_words, said
from anyweave.messages import MEDIA_TYPES, Media, Message
from anyweave.model import NextGPT
from anyweave.model.extending import with_modality
from anyweave.testing.model import tiny_model
from anyweave.training.launch import train

LEGS = np.array([["name", "legs"], ["cat", "4"], ["duck, wild", "2"]])
CSV = b'name,legs\ncat,4\n"duck, wild",2\n'
WORDS = '```csv\nname,legs\ncat,4\n"duck, wild",2\n```\n'


def table(source: object, **about: object) -> Media:
    return MEDIA_TYPES["table"](source, **about)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def speaking() -> NextGPT:
    return with_modality(tiny_model(), "table")


@pytest.mark.parametrize(
    "content",
    [CSV, CSV.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + CSV, b"name\tlegs\ncat\t4\nduck, wild\t2"],
)
def test_files(content: bytes, tmp_path: Path) -> None:
    np.testing.assert_array_equal(media.load(table(content)), LEGS)
    path = media.store(table(LEGS), tmp_path / "a")
    assert path.name == "a.csv" and path.read_bytes() == CSV and sniff(path) == "table"
    assert "<pre>```csv\nname,legs" in media_html(table(path))
    np.testing.assert_array_equal(media.load(table(np.eye(2))), [["1.0", "0.0"], ["0.0", "1.0"]])


def test_letters_come_from_another_process() -> None:
    decoder = Decoder()
    try:
        array, _ = decoder.read(table(CSV), 16_000, media.Limits())
        np.testing.assert_array_equal(array, LEGS)
    finally:
        decoder.close()


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"a,b\n1", "row 2 has 1 cells, the header has 2"),
        (b"\n\n", "it has no rows"),
        (b"a,b\0", "null bytes"),
        (b"\xff\xfe\xfa", "not a table that can be read .*codec can't decode"),
        (b"a,b\n" * 600 + b"x" * 100_000 + b",y", "are too much"),
        (b"a,b\n" + b"x" * 400_000 + b",y", "it is no CSV: field larger"),
        (LEGS[0], r"\[rows, columns\] with a header"),
        (np.array([[b"x"]]), "letters or numbers"),
    ],
)
def test_what_is_no_table(source: object, problem: str) -> None:
    with pytest.raises(media.MediaError, match=problem):
        media.load(table(source))


def test_words_and_back() -> None:
    assert said(LEGS) == WORDS
    again, changed = of_words(f"Here:\n{WORDS}")
    np.testing.assert_array_equal(again, LEGS)
    assert not changed
    for words, expected, told in (
        ("```csv\na,b\n1\n1,2,3\n```", [["a", "b"], ["1", ""], ["1", "2"]], "2 of 3 rows"),
        ("Two cats.", [["text"], ["Two cats."]], "no table"),
        ("```\n```", [["text"]], "is empty"),
    ):
        again, changed = of_words(words)
        np.testing.assert_array_equal(again, expected)
        assert told in changed
    with pytest.raises(ValueError, match="cannot be said in 4096 bytes"):
        said(np.array([["x"], ["y" * 5000]]))


def test_what_a_model_is_given_is_bounded_and_told() -> None:
    assert as_text(LEGS) == (WORDS, "")
    large = np.array([[f"c{c}" for c in range(20)], *[["x" * 100] * 20] * 200])
    words, note = as_text(large)
    assert len(words) < LETTERS + 200
    assert note.endswith(f"of 200 rows, {COLUMNS} of 20 columns, {CELL} letters of long cells")
    assert words.endswith(f"```\n(only {note})\n")
    long, note = as_text(np.array([["n"], *[[str(n)] for n in range(99)]]))
    assert note == f"{ROWS} of 99 rows" and long.count("\n") == ROWS + 4


def test_any_model_reads_tables_as_words() -> None:
    model = tiny_model()
    sample = model.processor.render([Message("user", [table(CSV), "how many?"])], train_on="none")
    assert WORDS + "how many?" in model.processor.decode_text(sample.input_ids.tolist())
    assert not sample.media and not sample.shortened
    long = table(np.array([["n"]] + [["1"]] * 99))
    *_, done = model.chat().send([long, "sum?"], max_new_tokens=2)
    assert isinstance(done, Done)
    assert done.usage.shortened == ("<table from ndarray>: only 50 of 99 rows are read",)


def test_a_reply_with_a_table(
    speaking: NextGPT, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The words before the signal tokens become the file."""
    tokenizer = speaking.processor.tokenizer
    ids = tuple(tokenizer(f"Here you are.\n{WORDS}", add_special_tokens=False)["input_ids"])
    speak = ChatSession._speak

    def spoken(
        self: ChatSession, prompt: torch.Tensor, options: GenerationOptions
    ) -> Iterator[EngineEvent]:
        yield TextDelta(text=speaking.processor.decode_text(ids), token_ids=ids)
        yield from (e for e in speak(self, prompt, options) if not isinstance(e, TextDelta))

    monkeypatch.setattr(ChatSession, "_speak", spoken)
    chat = speaking.chat()
    reply = chat.reply("a table of legs", max_new_tokens=1, modalities=("table",), force="table")
    (made,) = reply.media("table")
    assert made.caption == "Here you are" and made.generated
    again, _ = of_words(reply.text)
    np.testing.assert_array_equal(made.source, again)
    assert Path(reply.save(tmp_path)[-1]["path"]).read_bytes().startswith(b"name,legs\ncat,4")


def test_training_says_the_table_before_its_tokens(speaking: NextGPT, tmp_path: Path) -> None:
    (tmp_path / "legs.csv").write_bytes(CSV)
    part = {"type": "table", "path": "legs.csv", "caption": "legs"}
    replies = [[{"type": "text", "text": "Here:"}, part], [{"type": "text", "text": WORDS}, part]]
    asked = {"role": "user", "content": "legs?"}
    rows = [{"messages": [asked, {"role": "assistant", "content": spoken}]} for spoken in replies]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    records = Records(tmp_path / "rows.jsonl")
    first, second = (speaking.processor.render(c) for c in records)
    signals = speaking.processor.signals
    for sample, words in ((first, f"Here:\n{WORDS}"), (second, WORDS)):
        learnt = [i for i in sample.labels.tolist() if i >= 0]
        assert learnt.count(signals.first("table")) == 1
        assert speaking.processor.decode_text(learnt).startswith(words)
    report = train(speaking, list(records), output=tmp_path / "run", stage=3, steps=1)
    assert report is not None and not any("table" in name for name in speaking.output_projectors)
    large = table(np.array([["x"], ["y" * 5000]]))
    with pytest.raises(media.MediaError, match="cannot be said .* make it smaller"):
        speaking.processor.render([Message("user", "?"), Message("assistant", large)])


def test_a_checkpoint_keeps_it(speaking: NextGPT, tmp_path: Path) -> None:
    folder = speaking.save_pretrained(tmp_path / "model")
    again = NextGPT.from_pretrained(folder)
    assert again.spec.output_modalities == ("image", "video", "audio", "table")
    assert again.spec.decoders["table"].type == again.spec.decoders["table"].source == "table"
    for name, rows in speaking.language.signals.state_dict().items():
        assert torch.equal(rows, again.language.signals.state_dict()[name])


PIECES = st.sampled_from([*"ab,;|\t\"' \n\r\0\x1c\u2028é", "```", "```csv\n"])


@given(st.lists(PIECES, max_size=14).map("".join))
def test_whatever_was_said_is_a_table_that_can_be_read(words: str) -> None:
    assert TABLE.read is not None and TABLE.write is not None
    for whole in (words, f"```csv\n{words}\n```\n"):
        cells, _ = of_words(whole)
        np.testing.assert_array_equal(TABLE.read(TABLE.write(cells)), cells)
