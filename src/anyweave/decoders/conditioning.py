"""The shapes that conditioning may have."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def check_conditioning(conditioning: Tensor, width: int, *, name: str, as_vector: bool) -> None:
    """Raise `ValueError` unless `conditioning` is [B, Q, `width`], with Q = 1 for a vector."""
    shape = list(conditioning.shape)
    if len(shape) != 3 or shape[2] != width or (as_vector and shape[1] != 1):
        tokens = "1" if as_vector else "Q"
        raise ValueError(f"the {name} of this decoder must be [B, {tokens}, {width}], got {shape}")


def expand_negative(
    negative: Float[Tensor, "#B Q C"], conditioning: Float[Tensor, "B Q C"]
) -> Float[Tensor, "B Q C"]:
    """One row of `negative` for every row of `conditioning`.

    Raises `ValueError` if the tokens, the width or the number of rows do not fit.
    """
    fits = negative.shape[0] in (1, len(conditioning))
    if not fits or negative.shape[1:] != conditioning.shape[1:]:
        raise ValueError(
            f"negative or unconditional conditioning {list(negative.shape)} does not fit "
            f"{list(conditioning.shape)}; it needs the same tokens and width, and one row or B rows"
        )
    return negative.expand_as(conditioning)
