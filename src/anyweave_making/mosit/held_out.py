"""What evaluation sets hold, so that none of it gets into a training set."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from anyweave.data import read_messages
from anyweave.files import file_digest
from anyweave.messages import Text
from anyweave_making.collection import read_collection
from anyweave_making.mosit.dialogue import Dialogue, media_of

__all__ = ["HeldOut", "read_held_out"]

_RUN = 8  # shared words in a row that are no accident
_SHORTEST = 5  # words; shorter texts ("What is this?") are common property


@dataclass(frozen=True)
class HeldOut:
    """Texts, runs of words and file hashes that may not be trained on."""

    texts: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()

    def leak(self, dialogue: Dialogue, digests: Iterable[str]) -> str:
        """What of a dialogue whose media files have these `digests` is held out; "" if nothing."""
        if not self.digests.isdisjoint(digests):
            return "a medium of an evaluation set"
        for text in _texts_of(dialogue):
            plain = _plain(text)
            if " ".join(plain) in self.texts or not self.runs.isdisjoint(_runs(plain)):
                return "words of an evaluation set"
        return ""


def read_held_out(paths: Iterable[str | Path]) -> HeldOut:
    """What evaluation sets hold: `messages` files, tables of captions (see `collection`) or plain
    text with one text per line.
    """
    texts: set[str] = set()
    runs: set[str] = set()
    digests: set[str] = set()
    for path in map(Path, paths):
        said, files = _read(path)
        for text in said:
            plain = _plain(text)
            if len(plain) >= _SHORTEST:
                texts.add(" ".join(plain))
            runs.update(_runs(plain))
        digests.update(file_digest(file) for file in files)
    return HeldOut(frozenset(texts), frozenset(runs), frozenset(digests))


def _read(path: Path) -> tuple[list[str], list[Path]]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; give an evaluation set")
    if path.suffix.lower() == ".txt":
        return path.read_text(encoding="utf-8").splitlines(), []
    with open(path, encoding="utf-8-sig") as file:
        first = next((line for line in file if line.strip()), "")
    if path.suffix.lower() != ".jsonl" or '"messages"' not in first:
        items = read_collection(path, check_media=False)
        return [item.caption for item in items], [i.path for i in items if i.path.is_file()]
    texts: list[str] = []
    files: list[Path] = []
    for conversation in read_messages(path, check_media=False):
        for message in conversation:
            for part in message.parts:
                texts.append(part.text if isinstance(part, Text) else part.caption or "")
                if not isinstance(part, Text) and part.source and Path(part.source).is_file():
                    files.append(Path(part.source))
    return texts, files


def _texts_of(dialogue: Dialogue) -> list[str]:
    captions = [part.caption or "" for part in media_of(dialogue.conversation)]
    return [message.text for message in dialogue.conversation] + captions


def _plain(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _runs(words: list[str]) -> set[str]:
    return {" ".join(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1)}
