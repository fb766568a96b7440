"""The published architecture, written again from its description, small enough to run."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave.testing.decoders import MAX_TOKENS, WIDTH, write_tiny_decoder
from anyweave.testing.encoders import TINY_IMAGEBIND, tiny_imagebind
from anyweave.testing.language import word_mark_tokenizer
from legacy_2023.layout import Layout
from legacy_2023.spec import Parts

TEXT_ROWS = len(word_mark_tokenizer())
TINY = Layout(
    hidden=32,
    layers=2,
    text_rows=TEXT_ROWS,
    base_rows=TEXT_ROWS + 1,
    lora_rank=2,
    features=TINY_IMAGEBIND["out_dim"],
    conditioning={"image": (MAX_TOKENS, WIDTH), "video": (MAX_TOKENS, WIDTH), "audio": (1, WIDTH)},
    width=16,
    ffn=32,
    heads=2,
    blocks=2,
)


class Mapper(nn.Module):
    """One output projector: queries attend to the projected states of the signal tokens."""

    def __init__(self, layout: Layout, queries: int, out_dim: int) -> None:
        super().__init__()
        self.fc = nn.Linear(layout.hidden, layout.width)
        with warnings.catch_warnings():  # of nested tensors, which norm_first rules out
            warnings.simplefilter("ignore", UserWarning)
            self.tfm = nn.Transformer(
                d_model=layout.width,
                nhead=layout.heads,
                num_encoder_layers=layout.blocks,
                num_decoder_layers=layout.blocks,
                dim_feedforward=layout.ffn,
                dropout=0.0,
                norm_first=True,
                batch_first=True,
            )
        self.model = nn.Linear(layout.width, out_dim)
        self.query_embs = nn.Parameter(torch.randn(1, queries, layout.width))

    def forward(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        source = self.fc(hidden + embeddings)
        return self.model(self.tfm(source, self.query_embs.repeat(len(source), 1, 1)))


class Published(nn.Module):
    """All of it but the frozen ends. `adapted` as after stage 3, plain as after stages 1 and 2."""

    def __init__(self, layout: Layout, *, adapted: bool = True) -> None:
        super().__init__()
        self.layout = layout
        llama = LlamaForCausalLM(llama_config(layout, layout.rows)).requires_grad_(False)
        llama.model.embed_tokens.requires_grad_(True)  # that code trained both matrices whole
        llama.lm_head.requires_grad_(True)
        self.llama_model: Any = llama
        if adapted:
            lora = LoraConfig(
                r=layout.lora_rank,
                lora_alpha=layout.lora_rank,
                target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
            )
            self.llama_model = get_peft_model(llama, lora)
            llama.model.embed_tokens.requires_grad_(True)
            llama.lm_head.requires_grad_(True)
        self.llama_proj = nn.Linear(layout.features, layout.hidden)
        mappers = {m: Mapper(layout, *layout.conditioning[m]) for m in PAPER_MODALITIES}
        self.gen_text_hidden_fcs = nn.ModuleList([mappers["image"]])
        self.gen_text_hidden_fcs_video = nn.ModuleList([mappers["video"]])
        self.gen_text_hidden_fcs_audio = nn.ModuleList([mappers["audio"]])
        self.eval()

    @property
    def llama(self) -> LlamaForCausalLM:
        found = [m for m in self.llama_model.modules() if isinstance(m, LlamaForCausalLM)]
        return found[0]

    def mapper(self, modality: Modality) -> Mapper:
        suffix = "" if modality == "image" else f"_{modality}"
        return getattr(self, f"gen_text_hidden_fcs{suffix}")[0]

    def trained(self) -> OrderedDict[str, nn.Parameter]:
        """What that code saved."""
        return OrderedDict(
            (name, nn.Parameter(parameter.detach().half(), requires_grad=False))
            for name, parameter in self.named_parameters()
            if parameter.requires_grad
        )


def llama_config(layout: Layout, rows: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=rows,
        hidden_size=layout.hidden,
        intermediate_size=2 * layout.hidden,
        num_hidden_layers=layout.layers,
        num_attention_heads=layout.hidden // 8,
        num_key_value_heads=layout.hidden // 8,
        max_position_embeddings=2048,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
    )


def write_base(folder: Path, layout: Layout, rows: int | None = None, **options: Any) -> Path:
    """A base model folder, in several files."""
    torch.manual_seed(1)
    model = LlamaForCausalLM(llama_config(layout, rows or layout.base_rows)).half()
    model.save_pretrained(folder, **{"max_shard_size": "30KB", **options})
    word_mark_tokenizer().save_pretrained(folder)
    return folder


def published(base: Path, *, adapted: bool = True) -> Published:
    """The architecture on the layers of `base`, everything that trains drawn anew."""
    torch.manual_seed(2)
    model = Published(TINY, adapted=adapted)
    layers = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32).model
    with torch.no_grad():
        own = dict(model.llama.model.named_parameters())
        for name, parameter in layers.named_parameters():
            if name != "embed_tokens.weight":
                own[name if name in own else name.replace(".weight", ".base_layer.weight")].copy_(
                    parameter
                )
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)  # peft starts it at zero
            parameter.copy_(parameter.half())
    return model


@pytest.fixture(scope="session")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base model, encoder and decoders on disk."""
    folder = tmp_path_factory.mktemp("frozen")
    write_base(folder / "vicuna", TINY)
    tiny_imagebind(towers=("vision", "audio")).save_pretrained(folder / "imagebind")
    for modality in PAPER_MODALITIES:
        write_tiny_decoder(folder / modality, modality)
    return folder


@pytest.fixture(scope="session")
def base(frozen: Path) -> Path:
    return frozen / "vicuna"


@pytest.fixture(scope="session")
def parts(frozen: Path) -> Parts:
    decoders: Mapping[Modality, str] = {m: str(frozen / m) for m in PAPER_MODALITIES}
    return Parts(encoder=str(frozen / "imagebind"), decoders=decoders)


@pytest.fixture(scope="session", params=[True, False], ids=["stage3", "stage2"])
def original(request: pytest.FixtureRequest, base: Path) -> Published:
    return published(base, adapted=request.param)


@pytest.fixture(scope="session")
def delta_file(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """A file of stage 3."""
    path = tmp_path_factory.mktemp("delta") / "pytorch_model.pt"
    torch.save(published(base).trained(), path)
    return path
