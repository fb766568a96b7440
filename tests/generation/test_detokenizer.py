"""Incremental text is the whole text, cut only between characters."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from anyweave.generation.detokenizer import REPLACEMENT, IncrementalDetokenizer
from anyweave.testing.language import byte_tokenizer

TOKENIZER = byte_tokenizer()


def decode(ids: Sequence[int]) -> str:
    return str(TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def pieces(ids: list[int]) -> list[tuple[str, tuple[int, ...]]]:
    detokenizer = IncrementalDetokenizer(decode)
    given = [detokenizer.push(token_id) for token_id in ids]
    given.append(detokenizer.flush())
    return [piece for piece in given if piece is not None]


@given(st.text(alphabet=st.characters(exclude_characters=REPLACEMENT, exclude_categories=["Cs"])))
def test_pieces_join_to_the_text(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False).input_ids
    found = pieces(ids)
    assert "".join(piece for piece, _ in found) == decode(ids) == text
    assert [i for _, piece_ids in found for i in piece_ids] == ids
    assert not any(REPLACEMENT in piece for piece, _ in found)


def test_a_character_waits_for_its_last_byte() -> None:
    ids = TOKENIZER("é", add_special_tokens=False).input_ids
    detokenizer = IncrementalDetokenizer(decode)
    assert detokenizer.push(ids[0]) is None
    assert detokenizer.push(ids[1]) == ("é", tuple(ids))
    assert detokenizer.flush() is None


def test_an_unfinished_character_keeps_its_ids() -> None:
    ids = TOKENIZER("ab🙂", add_special_tokens=False).input_ids[:-1]
    assert pieces(ids)[-1] == ("", tuple(ids[2:]))


def test_a_tokenizer_that_strips_the_first_space() -> None:
    words = {1: " one", 2: " two", 3: " three"}
    detokenizer = IncrementalDetokenizer(lambda ids: "".join(words[i] for i in ids).lstrip())
    given = [detokenizer.push(i) for i in (1, 2, 3)]
    assert [piece[0] for piece in given if piece] == ["one", " two", " three"]
