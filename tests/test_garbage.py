from __future__ import annotations

import gc

import pytest

from anyweave import garbage
from anyweave.garbage import searched_later


@pytest.mark.parametrize("running", [True, False])
def test_the_search_goes_on_as_it_was(running: bool) -> None:
    (gc.enable if running else gc.disable)()
    try:
        with pytest.raises(ValueError), searched_later(), searched_later():
            assert not gc.isenabled()
            raise ValueError
        assert gc.isenabled() == running
    finally:
        gc.enable()


@pytest.mark.parametrize(("fresh", "lasting"), [(True, True), (True, False), (False, True)])
def test_what_lasts_is_not_looked_through_again_in_a_fresh_process(
    fresh: bool, lasting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "_FRESH", 10**9 if fresh else 0)
    gc.unfreeze()
    try:
        with searched_later(lasting=lasting):
            pass
        assert (gc.get_freeze_count() > 0) == (fresh and lasting)
    finally:
        gc.unfreeze()
