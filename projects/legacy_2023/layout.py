"""Every tensor of the 2023 checkpoint: its name, its shape, and what it is called here.

The file holds what that code trained: the whole embedding and head of the language model, LoRA
adapters (after stage 3 only), one linear input projection, three output projectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave.model.roles import TrainedRole
from anyweave.processing.signals import DEFAULT_COUNTS

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
INPUT_PROJECTION = ("llama_proj.weight", "llama_proj.bias")
MEDIA_TOKENS = ("<Img>", "</Img>")
PLAIN, ADAPTED = "llama_model.", "llama_model.base_model.model."
ADAPTED_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj")
OUTPUT_PROJECTIONS: Mapping[Modality, str] = {
    "image": "gen_text_hidden_fcs.0",
    "video": "gen_text_hidden_fcs_video.0",
    "audio": "gen_text_hidden_fcs_audio.0",
}
Place = Literal[TrainedRole, "vocabulary"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Sizes of such a checkpoint. The defaults are the released one's; tests have smaller ones.

    Rows of the vocabulary: `text_rows`, then `MEDIA_TOKENS`, then the signal tokens of image, video
    and audio, which is also our order.
    """

    hidden: int = 4096
    layers: int = 32
    text_rows: int = 32000
    """Tokens of the base model's tokenizer."""
    base_rows: int = 32001
    """Rows of the base model's matrices: Vicuna v0 has one more, [PAD], than its tokenizer."""
    lora_rank: int = 32
    features: int = 1024
    signals: Mapping[Modality, int] = field(default_factory=lambda: dict(DEFAULT_COUNTS))
    conditioning: Mapping[Modality, tuple[int, int]] = field(
        default_factory=lambda: {"image": (77, 768), "video": (77, 1024), "audio": (1, 512)}
    )
    """Queries and width of each output projector."""
    width: int = 512
    ffn: int = 2048
    heads: int = 4
    blocks: int = 4

    @property
    def kept_rows(self) -> int:
        """Rows of the language model as it is here: text and `MEDIA_TOKENS`, no signal tokens."""
        return self.text_rows + len(MEDIA_TOKENS)

    @property
    def rows(self) -> int:
        """Rows of the checkpoint's embedding and head."""
        return self.kept_rows + sum(self.signals.values())


@dataclass(frozen=True)
class Entry:
    """One tensor of the file: where it goes, its name there, its shape. "vocabulary" is split into
    the language model's rows and the signal rows.
    """

    place: Place
    name: str
    shape: tuple[int, ...]


def entries(layout: Layout, *, adapted: bool) -> dict[str, Entry]:
    """Every tensor that a file must hold, by its name there.

    `adapted`: a file of stage 3, whose language model peft has wrapped and given adapters.
    """
    prefix = ADAPTED if adapted else PLAIN
    rows = (layout.rows, layout.hidden)
    found = {f"{prefix}{name}": Entry("vocabulary", name, rows) for name in (EMBEDDING, HEAD)}
    if adapted:
        found |= dict(_adapters(layout))
    # One module for all modalities, which a checkpoint names by the first of them.
    weight, bias = INPUT_PROJECTION
    first = PAPER_MODALITIES[0]
    sizes = (layout.hidden, layout.features)
    found[weight] = Entry("input_projectors", f"{first}.fc.weight", sizes)
    found[bias] = Entry("input_projectors", f"{first}.fc.bias", sizes[:1])
    for modality, legacy in OUTPUT_PROJECTIONS.items():
        for name, ours, shape in _output_projector(layout, *layout.conditioning[modality]):
            found[f"{legacy}.{name}"] = Entry("output_projectors", f"{modality}.{ours}", shape)
    return found


def _adapters(layout: Layout) -> Iterator[tuple[str, Entry]]:
    shapes = {"lora_A": (layout.lora_rank, layout.hidden)}
    shapes["lora_B"] = shapes["lora_A"][::-1]
    for number in range(layout.layers):
        for linear in ADAPTED_LAYERS:
            for matrix, shape in shapes.items():
                name = f"model.layers.{number}.self_attn.{linear}.{matrix}"
                yield f"{ADAPTED}{name}.default.weight", Entry("lora", name, shape)


def _output_projector(
    layout: Layout, queries: int, out_dim: int
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name there, name here, shape."""
    width, ffn = layout.width, layout.ffn
    linear = {"fc": ("in_fc", width, layout.hidden), "model": ("out_fc", out_dim, width)}
    for name, (ours, rows, columns) in linear.items():
        yield f"{name}.weight", f"{ours}.weight", (rows, columns)
        yield f"{name}.bias", f"{ours}.bias", (rows,)
    yield "query_embs", "query_embs", (1, queries, width)
    attention = {
        "in_proj_weight": (3 * width, width),
        "in_proj_bias": (3 * width,),
        "out_proj.weight": (width, width),
        "out_proj.bias": (width,),
    }
    feed_forward = {
        "linear1.weight": (ffn, width),
        "linear1.bias": (ffn,),
        "linear2.weight": (width, ffn),
        "linear2.bias": (width,),
    }
    norm = {"weight": (width,), "bias": (width,)}
    halves = {"encoder": ("self_attn",), "decoder": ("self_attn", "multihead_attn")}
    for half, attentions in halves.items():
        block: dict[str, tuple[int, ...]] = dict(feed_forward)
        for attended in attentions:
            block |= {f"{attended}.{name}": shape for name, shape in attention.items()}
        for number in range(1, len(attentions) + 2):
            block |= {f"norm{number}.{name}": shape for name, shape in norm.items()}
        for layer in range(layout.blocks):
            for name, shape in block.items():
                full = f"tfm.{half}.layers.{layer}.{name}"
                yield full, full, shape
        for name, shape in norm.items():
            full = f"tfm.{half}.norm.{name}"
            yield full, full, shape
