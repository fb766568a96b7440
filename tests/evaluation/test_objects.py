"""Boxes whose right verdict is known by hand, and a tiny random OWL-ViT in the pipeline's place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from anyweave.evaluation.objects import (
    Box,
    PipelineDetector,
    judge,
    overlap,
    pictures_of,
    read_records,
    relations,
    score_pictures,
    spatial_score,
)

LEFT, RIGHT, LOW = Box(0, 40, 20, 60), Box(70, 40, 90, 60), Box(0, 80, 20, 100)
PICTURE = PIL.Image.new("RGB", (100, 100))


class Seen:
    def __init__(self, boxes: dict[str, list[Box]], colours: dict[Box, str] | None = None) -> None:
        self._boxes, self._colours = boxes, colours or {}

    def boxes(self, picture: Any, names: Sequence[str]) -> dict[str, list[Box]]:
        return {name: self._boxes.get(name, []) for name in names}

    def colour(self, picture: Any, box: Box, name: str) -> str:
        return self._colours[box]


def test_places() -> None:
    assert relations(LEFT, RIGHT) == {"left of"} and relations(RIGHT, LEFT) == {"right of"}
    assert relations(LEFT, LOW) == {"above"} and relations(LOW, LEFT) == {"below"}
    assert relations(LEFT, LEFT) == set()
    assert relations(Box(0, 0, 20, 20), Box(3, 0, 23, 20)) == set()  # within the margin
    assert relations(Box(0, 0, 10, 10), Box(50, 50, 60, 60)) == {"left of", "above"}
    assert overlap(Box(0, 0, 2, 2), Box(1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert spatial_score(LEFT, RIGHT, "left of") == 1.0
    assert spatial_score(RIGHT, LEFT, "left of") == spatial_score(LEFT, LOW, "left of") == 0.0
    assert spatial_score(Box(0, 0, 2, 2), Box(1, 0, 3, 2), "left of") == pytest.approx(0.3)


CUP, TWO = {"class": "cup", "count": 1}, {"class": "cup", "count": 2}
BESIDE = [CUP, {"class": "dog", "count": 1, "position": ["left of", 0]}]
CASES: list[tuple[str, dict[str, Any], dict[str, list[Box]], bool]] = [
    ("there", {"include": [CUP]}, {"cup": [LEFT]}, True),
    ("not there", {"include": [CUP]}, {"dog": [LEFT]}, False),
    (
        "two",
        {"include": [TWO], "exclude": [{"class": "cup", "count": 3}]},
        {"cup": [LEFT, LOW]},
        True,
    ),
    (
        "three",
        {"include": [TWO], "exclude": [{"class": "cup", "count": 3}]},
        {"cup": [LEFT, LOW, RIGHT]},
        False,
    ),
    ("red", {"include": [{**CUP, "color": "red"}]}, {"cup": [LEFT, RIGHT]}, True),
    ("blue", {"include": [{**CUP, "color": "green"}]}, {"cup": [LEFT, RIGHT]}, False),
    ("beside", {"include": BESIDE}, {"cup": [RIGHT], "dog": [LEFT]}, True),
    ("beside, wrong", {"include": BESIDE}, {"cup": [LEFT], "dog": [RIGHT]}, False),
    ("beside nothing", {"include": BESIDE}, {"dog": [LEFT]}, False),
]


@pytest.mark.parametrize(("tag", "record", "boxes", "right"), CASES, ids=[c[0] for c in CASES])
def test_verdicts(tag: str, record: Any, boxes: dict[str, list[Box]], right: bool) -> None:
    seen = Seen(boxes, {LEFT: "red", RIGHT: "blue"})
    verdict = judge({"tag": tag, **record}, PICTURE, seen)
    assert verdict.right is right and bool(verdict.why) is not right
    if tag.startswith("beside"):
        assert verdict.spatial == float(right)


def test_genevals_own_layout(tmp_path: Path) -> None:
    rows = [{"tag": t, "prompt": t, "include": [CUP]} for t in ("a", "a", "b")]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    records = read_records(tmp_path / "m.jsonl")
    for number in range(3):
        folder = tmp_path / "made" / f"{number:05d}" / "samples"
        folder.mkdir(parents=True)
        for sample in range(2):
            PICTURE.save(folder / f"{sample:04d}.png")
    found = pictures_of(tmp_path / "made", records)
    figures, verdicts = score_pictures(records, [*found[:2], []], Seen({"cup": [LEFT]}))
    assert len(verdicts) == 5 and verdicts[-1].why == "no picture was made"
    assert (figures["a"].value, figures["b"].value, figures["overall"].value) == (1.0, 0.0, 0.5)
    assert figures["spatial score"].value is None
    (tmp_path / "made" / "00001" / "samples" / "0000.png").unlink()
    (tmp_path / "made" / "00001" / "samples" / "0001.png").unlink()
    with pytest.raises(ValueError, match="1 of 3 records have no picture .00001"):
        pictures_of(tmp_path / "made", records)
    (tmp_path / "m.jsonl").write_text('{"prompt": "x"}\n')
    with pytest.raises(ValueError, match="line 1: a record has tag"):
        read_records(tmp_path / "m.jsonl")


def tiny_owlvit() -> Any:
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "a": 4, "photo": 5, "of": 6, "cup": 7}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", model_max_length=16
    )
    layers = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    text = {**layers, "vocab_size": 8, "num_attention_heads": 2, "max_position_embeddings": 16}
    vision = {**layers, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    config = transformers.OwlViTConfig(text_config=text, vision_config=vision, projection_dim=32)
    return transformers.pipeline(
        "zero-shot-object-detection",
        model=transformers.OwlViTForObjectDetection(config),
        tokenizer=tokenizer,
        image_processor=transformers.OwlViTImageProcessorPil(
            size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32}
        ),
    )


def test_a_detector_of_transformers() -> None:
    detector = PipelineDetector(tiny_owlvit(), threshold=0.0)
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    found = detector.boxes(PIL.Image.fromarray(noise), ["cup", "a"])
    assert set(found) == {"cup", "a"} and found["cup"]
    for boxes in found.values():
        assert all(overlap(a, b) < 0.5 for n, a in enumerate(boxes) for b in boxes[:n])
        assert [box.score for box in boxes] == sorted((b.score for b in boxes), reverse=True)
    with pytest.raises(ValueError, match="name a --classifier"):
        detector.colour(PICTURE, LEFT, "cup")
