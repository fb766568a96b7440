"""Training steps on made-up batches: the trainer's forward pass, losses and optimizer, but no data.

Features, caption embeddings and latents are given as if from a complete cache, which is how large
models train: the only frozen parts that run are the language model and, with `denoising`, the
UNets.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any

import torch

from anyweave.batch import IGNORE_INDEX, Batch, BatchMedia, BatchTargets
from anyweave.benchmarking.hardware import measured, reset_peak_memory
from anyweave.benchmarking.report import BenchReport, Phase
from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.messages import MEDIA_MODALITIES, Modality
from anyweave.model import NextGPT
from anyweave.model.decoder_adapters import add_adapters
from anyweave.training.attention import fast_attention
from anyweave.training.config import ObjectiveConfig, OptimizerConfig
from anyweave.training.objective import compute_terms
from anyweave.training.optim import build_optimizer
from anyweave.training.stages import STAGES, Stage, needs_language, set_trainable
from anyweave.training.trainer import NOTHING_SAID

STAGE_NUMBERS = dict(enumerate(STAGES.values(), start=1))


def bench_train(
    model: NextGPT,
    *,
    stage: int = 3,
    batch_size: int = 4,
    length: int = 512,
    steps: int = 5,
    denoising: bool = False,
    decoder_lora: bool = False,
    gradient_checkpointing: bool = False,
    precision: str = "bf16",
    scale: float = 1.0,
) -> BenchReport:
    """Time `steps` optimizer steps of stage 1, 2 or 3, or of 4, in which only decoder adapters
    train, and the forward and backward pass within them.

    `batch_size` conversations of `length` tokens, one medium each. `decoder_lora`: decoder adapters
    train too, which enables the denoising loss. `precision` "bf16" runs under autocast. `scale` is
    only reported. Raises `ValueError` for a stage that does not exist or a `length` too short for
    its media.
    """
    if stage not in STAGE_NUMBERS:
        raise ValueError(f"stage is {', '.join(map(str, STAGE_NUMBERS))}, got {stage}")
    chosen = STAGE_NUMBERS[stage]
    if decoder_lora:
        roles = dict.fromkeys((*chosen.trainable, "decoder_lora"))
        chosen = replace(chosen, trainable=tuple(roles))
    if "decoder_lora" in chosen.trainable:
        denoising = True
        add_adapters(model, {modality: {} for modality in model.spec.decoders})
    if not denoising:
        chosen = replace(
            chosen, losses={k: v for k, v in chosen.losses.items() if k != "denoising"}
        )
    device = model.device
    reset_peak_memory(device)
    parameters = set_trainable(model, chosen.trainable)
    optimizer = build_optimizer(parameters, OptimizerConfig())
    trained = [p for named in parameters.values() for p in named.values()]
    if gradient_checkpointing:
        model.language.enable_gradient_checkpointing()
        model.decoders.enable_gradient_checkpointing()
    model.train()
    batch = made_up_batch(
        model,
        batch_size=batch_size,
        length=length,
        reads=stage != 2,
        shows=stage != 1,
        latents=denoising,
    )

    def learn() -> None:
        with fast_attention(device):
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                loss = _loss(model, batch, chosen, denoising)
            loss.backward()

    def update() -> None:
        torch.nn.utils.clip_grad_norm_([p for p in trained if p.grad is not None], 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def step() -> None:
        learn()
        update()

    seconds, flop = measured(device, step, repeats=steps)
    sizes: dict[str, Any] = {"samples": batch_size, "tokens": batch_size * length}
    phases = [Phase(name=f"optimizer step, stage {stage}", seconds=seconds, flop=flop, **sizes)]
    seconds, flop = measured(device, learn, repeats=max(1, steps // 2))
    phases.append(Phase(name="of it forward and backward", seconds=seconds, flop=flop, **sizes))
    model.eval()
    return BenchReport.of(
        model,
        "bench train",
        phases,
        precision=precision,
        scale=scale,
        settings={
            "batch": batch_size,
            "tokens": length,
            "denoising": "on" if denoising else "off",
            "decoder_lora": "on" if "decoder_lora" in chosen.trainable else "off",
            "gradient checkpointing": "on" if gradient_checkpointing else "off",
            "trained parameters": f"{sum(p.numel() for p in trained):,}",
        },
    )


def made_up_batch(
    model: NextGPT,
    *,
    batch_size: int,
    length: int,
    reads: bool,
    shows: bool,
    latents: bool = False,
) -> Batch:
    """Random tokens, the second half supervised. Conversations take the modalities in turn: with
    `reads`, a medium is given as features; with `shows`, one is requested as signal tokens.

    Shapes are those of the model's encoders, spec and decoders; `latents` loads the decoders.
    """
    signals, processor = model.processor.signals, model.processor
    longest = max(processor.num_input_tokens.values(), default=0) + max(
        signals.counts.values(), default=0
    )
    if length < longest + 4:
        raise ValueError(f"conversations of {length} tokens cannot hold their media ({longest})")
    ids = torch.randint(0, 256, (batch_size, length))
    labels = torch.where(torch.arange(length) < length // 2, IGNORE_INDEX, ids)
    media: dict[Modality, BatchMedia] = {}
    targets: dict[Modality, BatchTargets] = {}
    for modality, rows in _turns(tuple(model.encoders.keys()) if reads else (), batch_size).items():
        encoder: Any = model.encoders[modality]
        count = processor.num_input_tokens[modality]
        ids[rows, 2 : 2 + count] = signals.placeholder(modality)
        labels[rows, 2 : 2 + count] = IGNORE_INDEX
        features = torch.randn(len(rows), encoder.num_patches(modality), encoder.feature_dim)
        media[modality] = BatchMedia(rows, torch.full_like(rows, 2), count, features=features)
    for modality, rows in _turns(signals.modalities if shows else (), batch_size).items():
        run = torch.tensor(signals.ids(modality))
        start = length - 1 - len(run)
        ids[rows, start:-1] = run
        labels[rows, start:-1] = torch.where(run == run[0], run, IGNORE_INDEX)
        part = model.spec.decoders[modality]
        conditioning = (len(rows), part.conditioning_tokens, part.conditioning_dim)
        targets[modality] = BatchTargets(
            rows,
            torch.full_like(rows, start),
            len(run),
            captions=("a caption",) * len(rows),
            caption_embeddings=torch.randn(conditioning),
            latents=_latents(model, modality, len(rows)) if latents else None,
            latent_index=torch.arange(len(rows)) if latents else None,
        )
    return Batch(ids, torch.ones_like(ids), labels, media, targets).to(model.device)


def _loss(model: NextGPT, batch: Batch, stage: Stage, denoising: bool) -> torch.Tensor:
    terms = compute_terms(
        model,
        model(batch) if needs_language(model, stage) else NOTHING_SAID,
        batch,
        stage,
        ObjectiveConfig(),
        denoising=denoising,
        row_seeds=list(range(len(batch.input_ids))),
    )
    return torch.stack([term.weight * term.sum / term.count for term in terms.values()]).sum()


def _turns(modalities: Container[str], batch_size: int) -> dict[Modality, torch.Tensor]:
    ordered = [modality for modality in MEDIA_MODALITIES if modality in modalities]
    rows = {m: torch.arange(k, batch_size, len(ordered)) for k, m in enumerate(ordered)}
    return {modality: found for modality, found in rows.items() if len(found)}


def _latents(model: NextGPT, modality: Modality, count: int) -> torch.Tensor:
    codec = model.decoders[modality].codec
    return torch.randn(count, *codec.latent_shape(MediaSize()))
