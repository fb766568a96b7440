"""lmms-eval runs a model of ours on a local task. It needs an environment of its own, so this is
skipped where it is not installed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("lmms_eval.evaluator")

from lmms_eval import models
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager

from anyweave.evaluation.lmms import Anyweave, manifest, messages_of, options_of
from anyweave.messages import Audio, Image
from anyweave.testing.model import tiny_model

TASK = """
task: local_dots
dataset_path: json
dataset_kwargs:
  data_files: {{test: {folder}/dots.jsonl}}
test_split: test
output_type: generate_until
doc_to_visual: !function dots.visual
doc_to_text: !function dots.text
doc_to_messages: !function dots.messages
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 6, temperature: 0, do_sample: false, until: ["."]}}
process_results: !function dots.results
metric_list:
  - {{metric: words, aggregation: mean, higher_is_better: true}}
"""
FUNCTIONS = """
import PIL.Image

def visual(doc):
    return [PIL.Image.open(doc["image"]).convert("RGB")]

def text(doc, lmms_eval_specific_kwargs=None):
    return "What is this?"

def messages(doc, lmms_eval_specific_kwargs=None):
    content = [{"type": "image", "url": visual(doc)[0]}, {"type": "text", "text": text(doc)}]
    return [{"role": "user", "content": content}]

def results(doc, results):
    return {"words": float(isinstance(results[0], str))}
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    rows = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        PIL.Image.fromarray(np.full((16, 16, 3), 60 * number, np.uint8)).save(path)
        rows.append(json.dumps({"image": str(path), "answer": "dot"}))
    (tmp_path / "dots.jsonl").write_text("\n".join(rows))
    (tmp_path / "dots.yaml").write_text(TASK.format(folder=tmp_path))
    (tmp_path / "dots.py").write_text(FUNCTIONS)
    return tmp_path


def test_a_local_task(task: Path) -> None:
    model: Any = Anyweave(model=tiny_model(), media_dir=str(task / "made"), batch_size=2)
    tasks = TaskManager(include_path=str(task), include_defaults=False)
    found = simple_evaluate(model, tasks=["local_dots"], task_manager=tasks)
    assert found["results"]["local_dots"]["words,none"] == 1.0
    assert len(found["samples"]["local_dots"]) == 3


def test_it_is_found_by_name() -> None:
    assert manifest().chat_class_path == "anyweave.evaluation.lmms.Anyweave"
    models.MODEL_REGISTRY_V2.register_manifest(manifest(), overwrite=True)
    assert models.get_model("anyweave") is Anyweave


def test_requests_become_ours() -> None:
    sound = {"array": np.zeros(4, np.float32), "sampling_rate": 8000}
    content = [{"type": "audio", "url": sound}, {"type": "text", "text": "x"}]
    (message,) = messages_of([{"role": "user", "content": content}])
    assert isinstance(message.parts[0], Audio) and message.parts[0].rate == 8000
    assert isinstance(
        messages_of([{"role": "user", "content": [{"type": "image", "url": "a.png"}]}])[0].parts[0],
        Image,
    )
    with pytest.raises(ValueError, match="cut it first"):
        messages_of([{"role": "user", "content": [{"type": "video", "url": "a", "end_time": 2}]}])
    assert options_of({"temperature": 0, "top_p": 1.0}, 9).temperature == 0.0
    assert options_of({"do_sample": True, "temperature": 0.4}, 9).temperature == 0.4
