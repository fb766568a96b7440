"""`import anyweave as aw`: the names, what they cost, and that editors see them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import anyweave as aw


def test_every_name_is_there_and_cheap_ones_load_no_torch() -> None:
    for name in aw.__all__:
        assert getattr(aw, name) is not None
        assert name in dir(aw)
    assert {"load", "train", "evaluate", "NextGPT", "ChatSession", "Message", "Image"} <= set(
        aw.__all__
    )
    code = (
        "import sys, anyweave as aw; dir(aw); aw.Message('user', [aw.Image('a.png'), 'hm?']);"
        "sys.exit(str({'torch', 'transformers', 'numpy', 'PIL'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_importing_takes_a_blink() -> None:
    code = "import time; t = time.perf_counter(); import anyweave; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    assert min(times) < 0.2


def test_the_lazy_names_are_those_that_type_checkers_see() -> None:
    tree = ast.parse(Path(aw.__file__).read_text(encoding="utf-8"))
    (checking,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in checking.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == aw._PLACES
    for_methods = {"push_to_hub", "save_pretrained"}  # of a model, which asks the front door
    assert set(aw.__all__) == {*seen, "__version__"} - for_methods


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Imag'; did you mean 'Image'"):
        aw.Imag  # noqa: B018
    from anyweave import media  # a room, not a name of the front door

    assert media.__name__ == "anyweave.media"
