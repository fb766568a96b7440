"""Formats against what stands elsewhere: the reference's own samples, and the page that explains
them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from anyweave.data import FORMATS, Records
from anyweave.data.conversion import convert

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
def samples(root: Path) -> Path:
    """The reference's sample files, read in place; they have no licence and most have them not."""
    folder = Path(os.environ.get("ANYWEAVE_SAMPLES", root.parent / "shared" / "samples"))
    if not (folder / "cc3m.json").is_file():
        pytest.skip(f"no samples in {folder}; set ANYWEAVE_SAMPLES")
    return folder


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_of_the_reference(samples: Path, tmp_path: Path, name: str) -> None:
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


def examples(root: Path) -> Iterator[tuple[str, str, str]]:
    """Format and file of every example in the docs."""
    page = (root / "docs" / "formats.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"^### `(.*?)`\n(.*?)(?=^### |\Z)", page, re.M | re.S):
        for suffix, example in re.findall(r"^```(json|csv)\n(.*?)^```", text, re.M | re.S):
            one_line = " ".join(example.split()) if name == "messages" else example
            yield name, suffix if name != "messages" else "jsonl", one_line


def test_the_examples_of_the_docs(root: Path, tmp_path: Path) -> None:
    found = list(examples(root))
    assert {name for name, _, _ in found} == set(FORMATS) - {"webdataset"}
    for number, (name, suffix, example) in enumerate(found):
        path = tmp_path / f"{number}.{suffix}"
        path.write_text(example, encoding="utf-8")
        records = Records(path, name, check_media=False)
        assert len(records) > 0 and all(len(conversation) > 1 for conversation in records)
