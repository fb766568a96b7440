"""What emoji-mini is taught with: data sets that were written, and media to look at."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from anyweave.data.messages_jsonl import write_messages
from anyweave.data.stats import DATASET_FILE
from anyweave.messages import Conversation, Message
from emoji_mini.world.sources import written_source


def _said(conversation: Conversation) -> str:
    return conversation[0].text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, num in (("emoji-mosit", 3), ("emoji-chats", 5)):
        rows = [
            [Message("user", [f"{name} {n}"]), Message("assistant", ["Yes."])] for n in range(num)
        ]
        (tmp_path / name).mkdir()
        write_messages(rows, tmp_path / name / DATASET_FILE)
    return tmp_path


def test_every_conversation_comes_once_an_epoch(folder: Path) -> None:
    source = written_source(folder, datasets=["emoji-mosit", "emoji-chats"], seed=4).epoch(0)
    assert len(source) == 8
    epoch = [_said(source[index]) for index in range(8)]
    assert sorted(epoch) == sorted(
        [*(f"emoji-mosit {n}" for n in range(3)), *(f"emoji-chats {n}" for n in range(5))]
    )
    again = written_source(folder, datasets=["emoji-mosit", "emoji-chats"], seed=4).epoch(0)
    assert [_said(again[index]) for index in range(8)] == epoch
    other = written_source(folder, datasets=["emoji-mosit", "emoji-chats"], seed=5).epoch(0)
    assert [_said(other[index]) for index in range(8)] != epoch


def test_media_to_look_at_come_between_them(folder: Path) -> None:
    source = written_source(folder, datasets=["emoji-mosit"], looked_at=40, seed=4).epoch(0)
    assert len(source) == 43
    kinds = Counter(source[n][0].text.startswith("emoji-mosit") for n in range(43))
    assert kinds == {True: 3, False: 40}
    seen = Counter(
        (message.role, part.modality, isinstance(part.source, np.ndarray))
        for n in range(43)
        for message in source[n]
        for part in message.media()
    )
    # The user's media are rendered, the assistant's are captions.
    assert {found for role, _, found in seen if role == "user"} == {True}
    assert {found for role, _, found in seen if role == "assistant"} <= {False}
    assert {modality for role, modality, _ in seen if role == "user"} == {"image", "video", "audio"}


def test_what_is_not_there_is_named_with_the_command_that_writes_it(folder: Path) -> None:
    path = folder / "emoji-jokes" / DATASET_FILE
    with pytest.raises(ValueError, match=f"there is no {path}") as error:
        written_source(folder, datasets=["emoji-mosit", "emoji-jokes"])
    assert str(error.value).endswith(f"anyweave data emoji {folder}")
    nowhere = folder / "nowhere"
    with pytest.raises(ValueError, match=re.escape(f"anyweave data emoji {nowhere}")):
        written_source(nowhere, datasets=["emoji-mosit"])


def test_a_mixture_of_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="source"):
        written_source(folder, datasets=[])
    with pytest.raises(ValueError, match="size must be at least 0, got -1"):
        written_source(folder, datasets=["emoji-mosit"], looked_at=-1)
