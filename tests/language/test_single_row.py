"""One token at a time with the kernel for one row: the same numbers, and the switch is put back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from anyweave.language import single_row
from anyweave.language.single_row import matrix_vector

ROW = torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(0)).bfloat16()


def enabled() -> bool:
    return bool(torch._C._get_mkldnn_enabled())


@pytest.fixture(autouse=True)
def pays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a CPU where it pays; nothing else is set by the tests."""
    monkeypatch.setattr(single_row, "_pays", lambda: True)
    assert enabled()
    yield
    assert enabled() and single_row._inside == 0


@torch.inference_mode()
def test_a_lone_row_gives_the_same_numbers_by_the_other_kernel() -> None:
    weight = torch.randn(96, 64, generator=torch.Generator().manual_seed(1)).bfloat16()
    usual = torch.nn.functional.linear(ROW, weight)
    with matrix_vector(ROW):
        assert not enabled()
        lone = torch.nn.functional.linear(ROW, weight)
    torch.testing.assert_close(lone, usual, rtol=0.02, atol=0.05)


@pytest.mark.parametrize(
    "rows", [ROW.expand(1, 2, 64), ROW.expand(2, 1, 64), ROW.float()], ids=["two", "batch", "fp32"]
)
@torch.inference_mode()
def test_other_rows_are_left_to_the_usual_kernel(rows: torch.Tensor) -> None:
    with matrix_vector(rows):
        assert enabled()


def test_what_is_learned_from_is_left_to_the_usual_kernel() -> None:
    with matrix_vector(ROW):
        assert enabled()


@torch.inference_mode()
def test_the_switch_is_put_back_after_an_error_and_inside_another() -> None:
    with pytest.raises(RuntimeError, match="in the middle"), matrix_vector(ROW):
        with matrix_vector(ROW):
            pass
        assert not enabled()
        raise RuntimeError("in the middle")


def test_threads_that_overlap_leave_the_switch_as_it_was() -> None:
    entered, leave = threading.Barrier(3), threading.Barrier(3)

    def step() -> None:
        with torch.inference_mode(), matrix_vector(ROW):
            entered.wait()
            leave.wait()

    threads = [threading.Thread(target=step) for _ in range(2)]
    for thread in threads:
        thread.start()
    entered.wait()
    assert not enabled()
    leave.wait()
    for thread in threads:
        thread.join()
    assert enabled()
