"""Kinds of media beside the paper's: one entry, and every room knows them."""

from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyweave import media
from anyweave.data import Records, read_messages, write_messages
from anyweave.data.stats import measure
from anyweave.generation.options import GenerationOptions
from anyweave.media.isolation import Decoder
from anyweave.media.provenance import inspect_file
from anyweave.media.showing import media_html
from anyweave.media.sniffing import sniff
from anyweave.messages import (
    MEDIA_MODALITIES,
    MEDIA_TYPES,
    Media,
    Message,
    register_modality,
)
from anyweave.model.spec import EncoderSpec
from anyweave.processing import SignalTokens

MODULE = """
import io
import numpy as np

def read(content):
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.ndim != 3:
        raise ValueError(f"a block has three axes, this has {array.ndim}")
    return array

def write(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
"""
BLOCK = np.arange(8, dtype=np.float32).reshape(2, 2, 2)


@pytest.fixture
def block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Media]:
    """The class of a toy modality, whose functions stand in a module of its own."""
    (tmp_path / "blocks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "blocks", raising=False)
    import blocks  # type: ignore[import-not-found]

    return register_modality("block", read=blocks.read, write=blocks.write, formats=("block",))


def test_names_are_three_until_others_are_asked_for(block: type[Media]) -> None:
    assert list(MEDIA_MODALITIES) == ["image", "video", "audio", "block"]
    assert block is MEDIA_TYPES["block"] and block.modality == "block"
    with pytest.raises(ValueError, match="unknown modality 'blok'; did you mean 'block'"):
        MEDIA_TYPES["blok"]
    with pytest.raises(ValueError, match="unknown value 'blok'; did you mean 'block'"):
        EncoderSpec(type="x", source="./x", modalities=("blok",))
    with pytest.raises(ValueError, match="'blok'; did you mean 'block'"):
        GenerationOptions(force=("blok",))


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        ({"kind": "image", "read": bytes, "write": bytes}, "already|has a modality 'image'"),
        ({"kind": "Big Name", "read": bytes, "write": bytes}, "named by a small word"),
        ({"kind": "text", "read": bytes, "write": bytes}, "named by a small word"),
        ({"kind": "smell"}, "it needs read .* and write"),
        ({"kind": "smell", "read": bytes, "write": bytes, "formats": ()}, "needs a suffix"),
        ({"kind": "smell", "read": bytes, "write": bytes, "formats": ("a", "b")}, "one format"),
        ({"kind": "smell", "read": bytes, "write": bytes, "signal_tokens": 0}, "at least 1"),
    ],
)
def test_what_is_no_modality(about: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        register_modality(**about)  # type: ignore[arg-type]


def test_bytes_files_and_arrays(block: type[Media], tmp_path: Path) -> None:
    content = media.encode("block", BLOCK, format="block")
    path = media.store(block(BLOCK), tmp_path / "a")
    assert path.suffix == ".block" and path.read_bytes() == content
    for source in (content, path, BLOCK):
        np.testing.assert_array_equal(media.load(block(source)), BLOCK)
    assert sniff(path) == "block"
    assert inspect_file(path).modality == "block"
    flat = io.BytesIO()
    np.save(flat, BLOCK[0])
    with pytest.raises(media.MediaError, match="not a block .* three axes, this has 2.*: block"):
        media.load(block(flat.getvalue()))
    with pytest.raises(media.MediaError, match="bytes, more than the limit"):
        media.load(block(content), limits=media.Limits(max_bytes=10))
    with pytest.raises(media.MediaError, match="cannot be written as 'png'; choose one of block"):
        media.encode("block", BLOCK, format="png")
    assert 'download="block.block"' in media_html(block(BLOCK, caption="<b>"))


def test_it_is_read_by_another_process(block: type[Media]) -> None:
    decoder = Decoder()
    try:
        read = decoder.read(
            block(media.encode("block", BLOCK, format="block")), 16_000, media.Limits()
        )
        np.testing.assert_array_equal(read[0], BLOCK)
        with pytest.raises(media.MediaError, match="not a block"):
            decoder.read(block(b"nothing"), 16_000, media.Limits())
    finally:
        decoder.close()
    again = pickle.loads(pickle.dumps(block(BLOCK, caption="x", generated=True)))
    assert type(again) is block and again.caption == "x" and again.generated


def test_data(block: type[Media], tmp_path: Path) -> None:
    """Our own format, content parts, placeholders, pairs and samples."""
    path = media.store(block(BLOCK), tmp_path / "a")
    shown = [Message("user", [block(path), "what is it?"]), Message("assistant", "a cube")]
    made = [Message("user", "a cube"), Message("assistant", [block(path, caption="a cube")])]
    write_messages([shown, made], tmp_path / "own.jsonl")
    assert [list(found) for found in read_messages(tmp_path / "own.jsonl")] == [shown, made]
    turns = [{"from": "human", "value": "<block>so?"}, {"from": "gpt", "value": "a cube"}]
    rows: dict[str, list[dict[str, Any]]] = {
        "pairs.jsonl": [{"block": "a.block", "caption": "a cube"}],
        "placeholders.jsonl": [{"conversations": turns, "blocks": ["a.block"]}],
    }
    for name, found in rows.items():
        import json

        (tmp_path / name).write_text("\n".join(map(json.dumps, found)))
        (conversation,) = Records(tmp_path / name)
        assert conversation[0].media() == [block(path)], name
        assert conversation[1].text == "a cube"
    samples = tmp_path / "samples"
    samples.mkdir()
    media.store(block(BLOCK), samples / "1")
    (samples / "1.txt").write_text("a cube")
    (conversation,) = Records(samples)
    assert [part.modality for part in conversation[0].media()] == ["block"]
    assert measure([shown, made]).in_out == "T+B→T+B"


def test_a_tag_is_no_placeholder_where_there_is_nothing_of_it(
    block: type[Media], tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"conversations": [{"from": "human", "value": "a <block> element"},'
        ' {"from": "gpt", "value": "yes"}]}'
    )
    (conversation,) = Records(tmp_path / "rows.jsonl")
    assert conversation[0].text == "a <block> element"


def test_ids_do_not_depend_on_what_else_is_known(block: type[Media]) -> None:
    plain = SignalTokens({"image": 4, "audio": 2}, 100)
    assert plain.placeholder("audio") == 100 + 6 + 2 and not plain.is_placeholder(109)
    both = SignalTokens({"block": 3, "image": 4, "audio": 2}, 100)
    assert both.ids("image") == plain.ids("image") and both.ids("audio") == plain.ids("audio")
    assert both.ids("block") == (106, 107, 108)
    assert both.token(107) == "[BLOCK1]" and both.token(both.placeholder("block")) == "<block>"
    register_modality("ant", read=bytes, write=bytes)
    assert SignalTokens({"block": 3, "image": 4, "audio": 2}, 100) == both
