from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anyweave.batch import IGNORE_INDEX, MediaInput, Sample, Target
from anyweave.processing import bucketed_batches, collate


def sample(length: int, **changes: Any) -> Sample:
    ids = torch.arange(length)
    return replace(Sample(ids, ids.clone()), **changes)


def test_right_padding() -> None:
    batch = collate([sample(2), sample(3)], pad_id=9)
    assert batch.input_ids.tolist() == [[0, 1, 9], [0, 1, 2]]
    assert batch.labels.tolist() == [[0, 1, IGNORE_INDEX], [0, 1, 2]]
    assert batch.attention_mask.tolist() == [[1, 1, 0], [1, 1, 1]]


def test_media_are_stacked_per_modality_in_row_order() -> None:
    picture = [
        MediaInput("image", start, 2, inputs=torch.full((3,), float(start))) for start in (4, 1)
    ]
    sound = MediaInput("audio", 0, 3, features=torch.ones(5, 6))
    batch = collate(
        [
            sample(9, media=(picture[1], picture[0])),
            sample(9),
            sample(9, media=(sound, picture[0])),
        ],
        0,
    )
    assert batch.media["image"].rows.tolist() == [0, 0, 2]
    assert batch.media["image"].starts.tolist() == [1, 4, 4]
    inputs, features = batch.media["image"].inputs, batch.media["audio"].features
    assert inputs is not None and inputs[:, 0].tolist() == [1.0, 4.0, 4.0]
    assert features is not None and features.shape == (1, 5, 6)
    assert "video" not in batch.media


def test_targets_may_miss_latents() -> None:
    full = Target("image", 1, 4, "a", latents=torch.ones(2, 3))
    bare = Target("image", 2, 4, "b")
    batch = collate([sample(9, targets=(bare, full)), sample(9, targets=(full,))], 0)
    targets = batch.targets["image"]
    assert targets.captions == ("b", "a", "a")
    assert targets.caption_embeddings is None
    assert targets.latents is not None and targets.latent_index is not None
    assert targets.latents.shape == (2, 2, 3) and targets.latent_index.tolist() == [1, 2]


def test_cached_and_raw_media_do_not_mix() -> None:
    raw = MediaInput("image", 0, 1, inputs=torch.ones(3))
    cached = MediaInput("image", 0, 1, features=torch.ones(2, 3))
    with pytest.raises(ValueError, match="1 of 2 image inputs in this batch come from the feature"):
        collate([sample(3, media=(raw,)), sample(3, media=(cached,))], 0)


def test_shapes_must_agree() -> None:
    media = [(MediaInput("audio", 0, 1, inputs=torch.ones(n)),) for n in (2, 3)]
    with pytest.raises(ValueError, match=r"audio inputs of one batch have different shapes"):
        collate([sample(3, media=m) for m in media], 0)


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="empty list"):
        collate([], 0)


@given(st.lists(st.integers(1, 500), max_size=200), st.integers(1, 9), st.integers(0, 3))
def test_bucketed_batches_hold_every_index_once(lengths: list[int], size: int, epoch: int) -> None:
    batches = bucketed_batches(lengths, size, 1, epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in batches)
    assert batches == bucketed_batches(lengths, size, 1, epoch)


def test_bucketed_batches_differ_by_epoch_and_pad_little() -> None:
    lengths = [(i * 37) % 400 + 1 for i in range(1000)]
    batches = bucketed_batches(lengths, 10, seed=0, epoch=0)
    assert batches != bucketed_batches(lengths, 10, seed=0, epoch=1)
    padded = sum(max(lengths[i] for i in b) * len(b) for b in batches)
    assert padded < 1.1 * sum(lengths)
    assert all(len(b) == 10 for b in bucketed_batches(lengths[:999], 10, 0, 0, drop_last=True))
    with pytest.raises(ValueError, match="batch_size is 0"):
        bucketed_batches(lengths, 0, 0, 0)
