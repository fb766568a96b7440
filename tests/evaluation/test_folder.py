"""Folders of replies: flat, resumable, readable for others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from anyweave.evaluation.folder import fill_folder, read_folder, read_requests
from anyweave.generation import GenerationOptions
from anyweave.messages import Message
from anyweave.testing.model import tiny_model

OPTIONS = GenerationOptions(
    temperature=0.0, max_new_tokens=4, force=("image", "audio"), num_inference_steps=1, seed=5
)


def test_a_folder_of_replies(tmp_path: Path) -> None:
    model, folder = tiny_model(), tmp_path / "replies"
    (tmp_path / "p.txt").write_text("a dog\n\ntwo cats\n")
    requests = read_requests(tmp_path / "p.txt")
    assert [message.text for (message,) in requests] == ["a dog", "two cats"]
    fill_folder(model, requests, folder, name="tiny", options=OPTIONS)
    saved = read_folder(folder)
    assert list(saved) == ["0000", "0001"]
    assert saved["0001"].asked == ({"role": "user", "content": "two cats"},)
    assert {part.modality for part in saved["0000"].media()} == {"image", "audio"}
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert len(pictures) == 2 and pictures[0].startswith("0000-")
    # What is there stays; what is missing comes again, the same.
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".png"}
    times = (folder / "0000.json").stat().st_mtime_ns
    (folder / "0001.json").unlink()
    fill_folder(model, requests, folder, name="tiny", options=OPTIONS)
    assert (folder / "0000.json").stat().st_mtime_ns == times
    assert {name: (folder / name).read_bytes() for name in before} == before
    moved = folder.rename(tmp_path / "moved")
    assert all(Path(part.source).is_file() for part in read_folder(moved)["0001"].media())
    with pytest.raises(ValueError, match="replies of 'tiny' to other requests"):
        fill_folder(model, requests[:1], moved, name="tiny", options=OPTIONS)
    with pytest.raises(ValueError, match="choose another --out"):
        fill_folder(model, requests, moved, name="other", options=OPTIONS)


def test_torchmetrics_reads_the_pictures(tmp_path: Path) -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    asked = [[Message("user", text)] for text in ("a", "b", "c")]
    options = OPTIONS.with_overrides(force=("image",))
    folder = fill_folder(tiny_model(), asked, tmp_path / "r", name="tiny", options=options)
    pixels = [np.asarray(PIL.Image.open(path)) for path in sorted(folder.glob("*.png"))]
    pictures = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)

    class Means(torch.nn.Module):
        num_features = 3

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return given.float().mean((2, 3))

    metric = fid.FrechetInceptionDistance(feature=Means(), input_img_size=(3, 8, 8))
    metric.update(pictures, real=True)
    metric.update(pictures, real=False)
    assert float(metric.compute()) == pytest.approx(0.0, abs=1e-3)


def test_requests_end_with_a_user(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(
        '{"messages": [{"role": "user", "content": "hi"}, '
        '{"role": "assistant", "content": "ho"}]}\n'
    )
    assert [[m.text for m in c] for c in read_requests(path)] == [["hi"]]
    (tmp_path / "e.txt").write_text("\n")
    with pytest.raises(ValueError, match="holds no request"):
        read_requests(tmp_path / "e.txt")
