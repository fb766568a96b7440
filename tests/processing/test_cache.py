from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from anyweave.messages import Audio, Image
from anyweave.processing import FeatureCache, fingerprint, media_digest

KEY = FeatureCache.key("content", "encoder")


def test_round_trip_of_several_types(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    tensors = {
        "a": torch.randn(3, 4),
        "b": torch.arange(5),
        "c": torch.randn(2, 6).bfloat16().T,
        "d": torch.tensor(True),
    }
    assert cache.get("features", KEY) is None
    cache.put("features", KEY, tensors)
    found = cache.get("features", KEY)
    assert found is not None and found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert cache.get("latents", KEY) is None


def test_half_storage_gives_the_same_values_computed_or_read(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, dtype=torch.float16)
    value = torch.randn(7)
    first = cache.get_or_compute("latents", KEY, lambda: {"x": value})
    second = cache.get_or_compute("latents", KEY, lambda: pytest.fail("computed twice"))
    assert first["x"].dtype == torch.float16 and torch.equal(first["x"], second["x"])
    # A cache of another type in the same folder does not read these.
    assert FeatureCache(tmp_path).get("latents", KEY) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damaged_entries_are_reported_and_computed_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = FeatureCache(tmp_path)
    cache.put("features", KEY, {"x": torch.zeros(64)})
    path = cache.path("features", KEY)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[:-7]
    elif damage == "flip":
        data[-5] ^= 1
    else:
        data = bytearray()
    path.write_bytes(data)
    found = cache.get_or_compute("features", KEY, lambda: {"x": torch.ones(64)})
    assert torch.equal(found["x"], torch.ones(64))
    assert "damaged cache entry" in caplog.text
    stored = cache.get("features", KEY)
    assert stored is not None and torch.equal(stored["x"], torch.ones(64))


def test_digests_follow_content_not_names(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(b"same")
    one, two = (media_digest(Image(tmp_path / name)) for name in ("one.png", "two.png"))
    assert one == two == media_digest(Image(b"same"))
    assert one != media_digest(Audio(b"same"))
    wave = np.zeros(8, np.float32)
    assert media_digest(Audio(wave, rate=8000)) != media_digest(Audio(wave, rate=16000))
    assert media_digest(Image(np.zeros((2, 3, 3), np.uint8))) != media_digest(
        Image(np.zeros((3, 2, 3), np.uint8))
    )
    with pytest.raises(ValueError, match="image without a source"):
        media_digest(Image(caption="x"))


def test_fingerprints_ignore_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 2})


def test_prune_removes_the_oldest(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    keys = [FeatureCache.key(str(i), "e") for i in range(4)]
    for age, key in enumerate(keys):
        cache.put("features", key, {"x": torch.zeros(100)})
        os.utime(cache.path("features", key), (age, age))
    size = cache.path("features", keys[0]).stat().st_size
    assert cache.prune(2 * size) == 2
    assert [cache.get("features", key) is not None for key in keys] == [False, False, True, True]


def test_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown cache kind 'moods'"):
        FeatureCache(tmp_path).path("moods", KEY)  # type: ignore[arg-type]


def _write_often(folder: Path) -> None:
    cache = FeatureCache(folder)
    for _ in range(30):
        cache.put("features", KEY, {"x": torch.arange(1000.0)})
        found = cache.get("features", KEY)
        assert found is not None and torch.equal(found["x"], torch.arange(1000.0))


def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write_often, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert not list(tmp_path.rglob(".part-*"))
