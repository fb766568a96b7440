"""The pack is replaced by a pack; other people's folders are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from emoji_mini.world.assets import build_pack


def test_a_foreign_folder_is_not_replaced_by_a_pack(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists already: not overwriting it"):
        build_pack(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
