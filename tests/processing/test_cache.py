from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from filelock import FileLock

from anyweave.media import MediaError
from anyweave.messages import Audio, Image, Video
from anyweave.processing import FeatureCache, fingerprint, media_digest
from anyweave.processing.blobs import BlobStore
from anyweave.processing.cache import CacheError

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
    # The folder keeps its first writer's choice.
    other = FeatureCache(tmp_path)
    other.put("features", KEY, {"x": value})
    found = other.get("features", KEY)
    assert found is not None and torch.equal(found["x"], value.half())
    with pytest.raises(ValueError, match="keeps numbers float16, not as bfloat16"):
        FeatureCache(tmp_path, dtype=torch.bfloat16).put("caption", KEY, {"x": value})


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_damaged_entries_are_reported_and_computed_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = FeatureCache(tmp_path)
    cache.put("latents", KEY, {"x": torch.ones(3)})
    cache.put("features", KEY, {"x": torch.zeros(64)})
    (path,) = tmp_path.glob("*.shard")
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[:-7]
    elif damage == "flip":
        data[-5] ^= 1
    path.write_bytes(b"" if damage == "empty" else data)
    if damage == "gone":
        path.unlink()
    found = cache.get_or_compute("features", KEY, lambda: {"x": torch.ones(64)})
    assert torch.equal(found["x"], torch.ones(64))
    assert "damaged cache entry" in caplog.text
    stored = cache.get("features", KEY)
    assert stored is not None and torch.equal(stored["x"], torch.ones(64))
    # What was whole is still there, what was not is found.
    assert cache.verify() == (damage in ("empty", "gone"))
    assert cache.verify() == 0


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


def palette_picture(*colours: tuple[int, int, int], mode: str = "P") -> PIL.Image.Image:
    """Left half of the first colour, right half of the second, both by index."""
    picture = PIL.Image.new("P", (8, 8))
    picture.putdata([column // 4 for _ in range(8) for column in range(8)])
    picture.putpalette([value for colour in colours for value in colour])
    return picture.convert(mode)


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def test_digests_follow_colours_not_indices_or_modes() -> None:
    one = media_digest(Image(palette_picture(RED, BLUE)))
    assert one != media_digest(Image(palette_picture(GREEN, RED)))
    assert one == media_digest(Image(palette_picture(RED, BLUE, mode="RGB")))
    assert one == media_digest(Image(palette_picture(RED, BLUE, mode="RGBA")))
    assert one == media_digest(Image(np.asarray(palette_picture(RED, BLUE, mode="RGB"))))
    clear = palette_picture(RED, BLUE)
    clear.info["transparency"] = 0  # the red half is white to a reader
    assert one != media_digest(Image(clear))
    dark, light = (
        PIL.Image.fromarray(np.full((4, 4), value, np.uint16)) for value in (257, 65_535)
    )
    assert media_digest(Image(dark)) != media_digest(Image(light))


def test_digests_follow_orientation() -> None:
    array = np.zeros((4, 6, 3), np.uint8)
    array[0] = 255
    upright, turned = PIL.Image.fromarray(array), PIL.Image.fromarray(array)
    turned.getexif()[0x0112] = 6
    assert media_digest(Image(upright)) != media_digest(Image(turned))


def test_digests_follow_values_not_their_place_in_memory() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (4, 6, 6, 3), dtype=np.uint8)
    one = media_digest(Video(frames[::2, :, ::-1], rate=8))
    assert one == media_digest(Video(frames[::2, :, ::-1].copy(), rate=8.0, caption="a cat"))
    assert one != media_digest(Video(frames[::2, :, ::-1], rate=4))
    assert one != media_digest(Video(frames[::2], rate=8))
    wave = np.linspace(-0.5, 0.5, 8, dtype=np.float32)
    sound = media_digest(Audio(wave, rate=8000))
    for same in (wave.astype(">f4"), wave.astype(np.float64), wave[::-1].copy()[::-1]):
        assert media_digest(Audio(same, rate=8000)) == sound
    assert media_digest(Audio(wave[::-1], rate=8000)) != sound
    picture = Image(frames[0])
    assert media_digest(picture) == media_digest(Image(frames[0], rate=3.0))  # no rate is used


def test_digests_of_what_cannot_be_read_name_it(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="gone.png: no such file"):
        media_digest(Image(tmp_path / "gone.png"))
    with pytest.raises(MediaError, match="dtype float64"):
        media_digest(Image(np.zeros((4, 4, 3))))


def test_fingerprints_ignore_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 2})


def test_prune_removes_the_oldest(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, shard_bytes=1000)
    keys = [FeatureCache.key(str(i), "e") for i in range(4)]
    for key in keys:
        cache.put("features", key, {"x": torch.zeros(200)})
    count, size = cache.store.usage()
    assert count == 4 and len(list(tmp_path.glob("*.shard"))) == 4
    assert cache.prune(size // 2) == 2
    assert [cache.get("features", key) is not None for key in keys] == [False, False, True, True]
    assert cache.store.usage() == (2, size // 2) and len(list(tmp_path.glob("*.shard"))) == 2


def test_a_full_cache_says_so_once_and_stays_of_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = FeatureCache(tmp_path, max_bytes=2500, shard_bytes=1000)
    keys = [FeatureCache.key(str(i), "e") for i in range(5)]
    for key in keys:
        found = cache.get_or_compute("features", key, lambda: {"x": torch.ones(200)})
        assert torch.equal(found["x"], torch.ones(200))
    assert cache.full and caplog.text.count("is full") == 1
    # The bound is the folder's: it holds for others, and for those who do not give it.
    other = FeatureCache(tmp_path)
    assert [other.get("features", key) is not None for key in keys] == [True, True] + [False] * 3
    assert not other.put("features", keys[4], {"x": torch.ones(200)})
    other.prune(1000)
    assert other.put("features", keys[4], {"x": torch.ones(200)}) and not other.full


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_with_the_folder(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")
    cache.put("caption", KEY, {"x": torch.ones(3)})
    for shard in (tmp_path / "cache").glob("*.shard"):
        shard.unlink()
        shard.symlink_to("/dev/full")
    with pytest.raises(CacheError, match=r"cache cannot be written \(No space left.*make room"):
        cache.put("caption", "ab" * 32, {"x": torch.ones(3)})


def test_the_older_layout_is_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "features" / "ab").mkdir(parents=True)
    assert FeatureCache(tmp_path).get("features", KEY) is None
    assert "older layout" in caplog.text


def test_nothing_is_made_before_something_is_stored(tmp_path: Path) -> None:
    assert FeatureCache(tmp_path / "cache").get("features", KEY) is None
    assert not (tmp_path / "cache").exists()


def test_a_damaged_index_says_what_to_do(tmp_path: Path) -> None:
    FeatureCache(tmp_path).put("features", KEY, {"x": torch.ones(2)})
    for file in tmp_path.glob("index.sqlite*"):
        file.write_bytes(b"this is no index " * 300)
    with pytest.raises(CacheError, match="damaged .*remove the folder"):
        FeatureCache(tmp_path).get("features", KEY)


def test_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown cache kind 'moods'"):
        FeatureCache(tmp_path).get("moods", KEY)  # type: ignore[arg-type]


def _write_often(folder: Path, first: int) -> None:
    cache = FeatureCache(folder, shard_bytes=20_000)
    for number in range(first, first + 30):
        cache.put("features", FeatureCache.key(str(number), "e"), {"x": torch.full((500,), number)})
        found = cache.get("features", FeatureCache.key(str(number), "e"))
        assert found is not None and torch.equal(found["x"], torch.full((500,), number))


def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    parent = FeatureCache(tmp_path)
    parent.put("latents", KEY, {"x": torch.ones(1)})  # its index is open when it forks
    context = multiprocessing.get_context("fork")
    # Every second one writes the same entries.
    workers = [context.Process(target=_write_often, args=(tmp_path, 20 * n)) for n in (0, 1, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert parent.store.usage()[0] == 51 and parent.verify() == 0


def test_one_process_at_a_time_opens_the_index(tmp_path: Path) -> None:
    """Two that set its journal up at once get "database is locked" from SQLite, now and then."""
    cache = FeatureCache(tmp_path)
    with ThreadPoolExecutor(1) as other:
        with FileLock(tmp_path / "index.lock"):
            stored = other.submit(cache.put, "features", KEY, {"x": torch.ones(1)})
            with pytest.raises(TimeoutError):
                stored.result(timeout=0.2)
        assert stored.result(timeout=60)
    assert cache.get("features", KEY) is not None


def _write_for_ever(folder: Path) -> None:
    cache = FeatureCache(folder, shard_bytes=200_000)
    for number in itertools.count():
        value = torch.full((10_000,), float(number))
        cache.put("features", FeatureCache.key(str(number), "e"), {"x": value})


def test_a_killed_writer_loses_nothing_finished(tmp_path: Path) -> None:
    """Killed with -9 three times, wherever it was; every entry that is there is whole."""
    before = 0
    for _ in range(3):
        writer = multiprocessing.get_context("fork").Process(
            target=_write_for_ever, args=(tmp_path,)
        )
        writer.start()
        cache = FeatureCache(tmp_path)
        deadline = time.monotonic() + 60
        while cache.store.usage()[0] < before + 7 and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        count, size = cache.store.usage()
        assert count >= before + 7
        keys = {key for _, key in cache.store.keys()}
        assert keys == {FeatureCache.key(str(number), "e") for number in range(count)}
        assert cache.verify() == 0
        # Bytes that nobody reads: at most the one that was being written at each kill.
        assert size <= (count + 3) * 40_100
        before = count


def test_a_foreign_folder_becomes_no_cache(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CacheError, match="holds notes.txt and no feature cache"):
        BlobStore(tmp_path).put("features", "00", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
