"""Attacks by media: paths, URLs, bombs, hostile files. Each is tried on the server's own reader."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("fastapi")

from anyweave import media
from anyweave.media import Limits
from anyweave.messages import Media
from anyweave.serving import Settings, schema
from anyweave.serving.errors import ApiError
from anyweave.serving.files import FileStore
from anyweave.serving.intake import Encoded, Intake

PNG = media.encode("image", np.full((8, 8, 3), 90, np.uint8), format="png")


def finished(work: Generator[None, None, Media]) -> Any:
    """What it returns."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    """A reader with the usual settings: its decoding processes start once."""
    folder = tmp_path_factory.mktemp("usual")
    files = FileStore(folder, seconds=60, max_bytes=10**6)
    intake = Intake(Settings(folder=folder), files, 16_000)
    yield intake
    intake.close()


@pytest.fixture
def read(usual: Intake, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Reads one part as a user's message, on a server of the given settings."""
    made: list[Intake] = []

    def read(part: dict[str, Any], **settings: Any) -> Any:
        intake = usual
        if settings:
            files = FileStore(tmp_path / "files", seconds=60, max_bytes=10**6)
            intake = Intake(Settings(folder=tmp_path, **settings), files, 16_000)
            made.append(intake)
        message = schema.WireMessage.model_validate({"role": "user", "content": [part]})
        (turn,) = intake.turns([message])
        (encoded,) = turn.parts
        assert isinstance(encoded, Encoded)
        return finished(intake.decoded(encoded))

    yield read
    for intake in made:
        intake.close()


def inline(content: bytes, modality: str = "image") -> dict[str, Any]:
    return {"type": modality, "base64": base64.b64encode(content).decode()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A media root beside a secret, with links that lead out of it."""
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "a.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    (tmp_path / "root-of-another").mkdir()
    (tmp_path / "root-of-another" / "b.png").write_bytes(PNG)
    return root


PATHS = [
    "../secret.png",
    "inner/../../secret.png",
    "{parent}/secret.png",
    "file://{parent}/secret.png",
    "file:///etc/passwd",
    "file://evil.example/share/a.png",
    "out.png",
    "up/secret.png",
    "loop",
    "../root-of-another/b.png",
    "%2e%2e/secret.png",
    "file://{root}/%2e%2e/secret.png",
    "a\x00.png",
    "x" * 5000,
    "",
    ".",
    "/dev/zero",
    "/proc/self/environ",
    "~/secret.png",
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_never_leave_the_media_root(read: Any, root: Path, path: str) -> None:
    path = path.format(root=root, parent=root.parent)
    fields = ["url"] if path.startswith("file:") else ["url", "path"]
    for name in fields:
        for allowed in (None, root):
            with pytest.raises(ApiError) as caught:
                read({"type": "image", name: path}, media_root=allowed)
            assert caught.value.status == 400
            # The answer is the same whether or not there is such a file.
            assert str(root.parent) not in caught.value.message


def test_files_below_the_media_root_are_read(read: Any, root: Path) -> None:
    for url in ("inner/a.png", str(root / "inner/a.png"), f"file://{root}/inner/a.png"):
        assert read({"type": "image", "url": url}, media_root=root).source.shape == (8, 8, 3)
    assert read({"type": "image", "path": "inner/a.png"}, media_root=root).source.shape[0] == 8


@pytest.mark.parametrize("url", ["ftp://x/a.png", "gopher://x", "jar:file:///x", "s3://b/k"])
def test_other_schemes_are_refused(read: Any, url: str) -> None:
    with pytest.raises(ApiError, match="are not read"):
        read({"type": "image_url", "image_url": {"url": url}})


def bomb_png(side: int) -> bytes:
    """A picture of side x side pixels in a few kilobytes."""
    buffer = io.BytesIO()
    PIL.Image.new("1", (side, side)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def itxt_bomb() -> bytes:
    """A small picture with a text chunk that inflates to 256 MB."""
    text = b"k\0\0" + zlib.compress(b"\0" * 2**28, 9)
    chunk = len(text).to_bytes(4, "big") + b"zTXt" + text
    chunk += zlib.crc32(b"zTXt" + text).to_bytes(4, "big")
    return PNG[:33] + chunk + PNG[33:]


def test_a_picture_that_unpacks_to_far_more_is_refused(read: Any) -> None:
    bomb = bomb_png(12_000)
    assert len(bomb) < 100_000
    with pytest.raises(ApiError, match="pixels, more than the limit") as caught:
        read(inline(bomb))
    assert caught.value.code == "invalid_media"


def test_a_text_chunk_that_unpacks_to_far_more_is_refused(read: Any) -> None:
    with pytest.raises(ApiError) as caught:
        read(inline(itxt_bomb()))
    assert caught.value.code == "invalid_media"


def test_a_clip_and_a_sound_that_are_too_long_are_refused(read: Any) -> None:
    limits = Limits(max_frames=3, max_seconds=1)
    clip = media.encode("video", np.zeros((4, 16, 16, 3), np.uint8), rate=8, format="mp4")
    sound = media.encode("audio", np.zeros(32_000, np.float32), rate=16_000, format="flac")
    for part in (inline(clip, "video"), inline(sound, "audio")):
        with pytest.raises(ApiError, match="more than the limit"):
            read(part, media_limits=limits)


@pytest.mark.parametrize(
    "content",
    [
        b"<svg onload=alert(1)></svg>",
        b"<!doctype html><script>",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"MZ",
    ],
)
def test_what_is_no_medium_is_refused(read: Any, content: bytes) -> None:
    for modality in ("image", "video", "audio"):
        with pytest.raises(ApiError) as caught:
            read(inline(content, modality))
        assert caught.value.code == "invalid_media"


def test_a_medium_that_kills_its_decoder_is_a_mistake_of_the_callers(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes on, and so does the next request."""
    import anyweave.media.isolation as isolation

    dies = "import os, sys; from multiprocessing.connection import Connection as C; "
    dies += "c = C(int(sys.argv[1])); c.send('ready'); c.recv(); os.kill(os.getpid(), 11)"
    with monkeypatch.context() as patch:
        patch.setattr(isolation, "_START", dies)
        with pytest.raises(ApiError, match="SIGSEGV"):
            read(inline(PNG), max_media=1)  # any setting: a reader of its own
    assert read(inline(PNG)).source.shape == (8, 8, 3)


def test_media_are_decoded_in_another_process(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("decoded in the server's process")

    monkeypatch.setattr("anyweave.media.image.load_image", never)
    assert read(inline(PNG)).source.shape == (8, 8, 3)


def test_too_many_messages_and_media_are_refused(read: Any, tmp_path: Path) -> None:
    intake = Intake(
        Settings(max_media=2, max_messages=3), FileStore(tmp_path, seconds=1, max_bytes=1), 16_000
    )
    part = inline(PNG)
    three = schema.WireMessage.model_validate({"role": "user", "content": [part] * 3})
    with pytest.raises(ApiError, match="at most 2"):
        intake.turns([three])
    one = schema.WireMessage.model_validate({"role": "user", "content": "x"})
    with pytest.raises(ApiError, match="at most 3"):
        intake.turns([one] * 4)
    long = schema.WireMessage.model_validate({"role": "user", "content": "x" * 200_000})
    with pytest.raises(ApiError, match="200,001 characters"):
        intake.turns([one, long])
    # A model that asks for media in words reads captions.
    caption = {"type": "image_url", "caption": "x" * 200_001}
    told = {"role": "assistant", "content_parts": [caption]}
    with pytest.raises(ApiError, match="200,002 characters"):
        intake.turns([schema.WireMessage.model_validate(told), one])
    intake.close()


def test_whoever_waits_for_a_decoder_can_be_stopped(usual: Intake) -> None:
    taken = [usual._decoders.get() for _ in range(usual._decoders.qsize())]
    work = usual.decoded(Encoded("image", PNG, None, "here"))
    assert next(work) is None
    work.close()
    for decoder in taken:
        usual._decoders.put(decoder)
    assert finished(usual.decoded(Encoded("image", PNG, None, "here"))).source.shape == (8, 8, 3)


def test_a_medium_of_ours_that_is_gone_is_told_by_its_whole_address_too(read: Any) -> None:
    gone = f"http://127.0.0.1:8000/v1/files/file-{'0' * 40}/content"
    with pytest.raises(ApiError, match="any more") as caught:
        read({"type": "image_url", "image_url": {"url": gone}})
    assert caught.value.code == "no_such_part"


@pytest.mark.parametrize(
    "file_id",
    ["file-../../etc/passwd", "file-" + "0" * 40, "file-" + "g" * 40, "file-*", "file-" + "0" * 41],
)
def test_ids_are_no_paths_and_are_not_guessed(read: Any, tmp_path: Path, file_id: str) -> None:
    store = FileStore(tmp_path / "files", seconds=60, max_bytes=10**6)
    store.put(store.new_id(), PNG, "png")
    assert store.path(file_id) is None
    for part in (
        {"type": "file", "file": {"file_id": file_id}},
        {"type": "image_url", "image_url": {"url": f"/v1/files/{file_id}/content"}},
        {"type": "image_url", "id": file_id},
    ):
        with pytest.raises(ApiError):
            read(part)


def test_files_leave_when_they_are_old_or_too_many(tmp_path: Path) -> None:
    import os

    store = FileStore(tmp_path / "files", seconds=60, max_bytes=3 * len(PNG))
    assert (tmp_path / "files").stat().st_mode & 0o77 == 0  # nobody else on this machine reads them
    ids = [store.new_id() for _ in range(4)]
    for age, file_id in zip((50, 40, 30, 20), ids, strict=True):
        store.put(file_id, PNG, "png")
        written = store.path(file_id)
        assert written is not None
        stat = written.stat()
        os.utime(written, (stat.st_atime - age, stat.st_mtime - age))
    store.sweep()
    assert [store.path(i) is not None for i in ids] == [False, True, True, True]
    kept = store.path(ids[1])
    assert kept is not None
    os.utime(kept, (0, 0))
    assert store.path(ids[1]) is None
