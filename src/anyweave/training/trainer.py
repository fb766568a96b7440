"""The one training loop: every stage, one process or several, CPU or GPU.

    plan.step(n) -> indices -> Renderer -> FrozenFeatures -> Batch
        -> NextGPT -> terms -> gradients -> Adam

A step depends only on the weights, the optimizer state and its number, so a resumed run gives the
same losses as an uninterrupted one.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from anyweave.batch import Batch, ModelOutput
from anyweave.files import write_json
from anyweave.model.any_to_any import NextGPT
from anyweave.model.roles import ROLES
from anyweave.processing.cache import FeatureCache
from anyweave.tensors import multiplies_bfloat16
from anyweave.training.attention import fast_attention
from anyweave.training.config import TrainConfig
from anyweave.training.contrast import caption_contrasts
from anyweave.training.distributed import sum_over_processes
from anyweave.training.features import FrozenFeatures, Rendered
from anyweave.training.identity import data_identity
from anyweave.training.interruption import Interruption
from anyweave.training.loading import rendered_steps, within_budget
from anyweave.training.objective import compute_terms, pays_denoising, term_counts
from anyweave.training.optim import build_optimizer, set_learning_rates
from anyweave.training.parallel import DivergenceError, choose
from anyweave.training.plan import (
    BatchPlan,
    EpochSource,
    Lengths,
    Source,
    is_streamed,
    step_seed,
    total_steps,
)
from anyweave.training.progress import training_bar
from anyweave.training.report import RunLog, TrainReport, write_report
from anyweave.training.resume import (
    Counters,
    checkpoints,
    load_newest,
    optimizer_state,
    save_checkpoint,
)
from anyweave.training.run_folder import CONFIG_FILE, claimed
from anyweave.training.stages import by_caption, needs_language, set_trainable

logger = logging.getLogger(__name__)
_SKIPPED, _CUT = "skipped: ", "cut: "
_PATIENCE = 200  # steps without any gradient allowed at the start of a run

NOTHING_SAID = ModelOutput(
    logits=torch.empty(0, 0), labels=torch.empty(0, dtype=torch.long), conditioning={}
)
SampleWriter = Callable[[NextGPT, Path, Sequence[str]], None]
"""Writes the model's replies to prompts into a folder (`generation.samples.write_samples`). The
caller passes it in: this package must not import generation.
"""


class Trainer:
    """Trains `model` on `source` as `config` says.

    `write_samples` is called every `config.sample_every` steps in the main process, with the model
    in eval mode. Raises `ValueError` at once for a role without parameters or an empty source.
    """

    def __init__(
        self,
        model: NextGPT,
        config: TrainConfig,
        source: Source | EpochSource,
        *,
        write_samples: SampleWriter | None = None,
    ) -> None:
        self.model, self.config, self.source = model, config, source
        self.write_samples = write_samples
        if config.sample_every and write_samples is None:
            logger.warning(
                "sample_every=%d writes nothing: the trainer was given no write_samples; give it "
                "anyweave.generation.samples.write_samples, or start the run with launch.run",
                config.sample_every,
            )
        self.run = Path(config.output_dir)
        # We handle precision ourselves: an Accelerator's is global to the process and could not
        # differ between two runs.
        self.accelerator = Accelerator(
            mixed_precision="no",
            # On CPUs, accelerate treats several processes as one unless told otherwise.
            cpu=not torch.accelerator.is_available(),
        )
        self.device = self.accelerator.device
        self.parallel = choose(self.accelerator, config)
        self.parallel.place(model)
        rates = {role: config.optimizer.rate(role) for role in config.stage.trainable}
        self.parameters = set_trainable(model, config.stage.trainable, rates)
        self.autocast = config.precision == "bf16" and multiplies_bfloat16()
        if config.precision == "bf16" and not self.autocast:
            logger.warning("no bfloat16 instructions here: the run is in float32, which is faster")
        self.by_caption = by_caption(model, config.stage)
        self.needs_language = needs_language(model, config.stage)
        if config.gradient_checkpointing:
            model.language.enable_gradient_checkpointing()
            model.decoders.enable_gradient_checkpointing()
        cache = FeatureCache(config.cache_dir) if config.cache_dir is not None else None
        self.frozen = FrozenFeatures(model, cache)
        self.contrasts = (
            caption_contrasts(
                self.frozen,
                source,
                config.objective.contrast_conversations,
                progress=self.accelerator.is_main_process,
            )
            if config.stage.losses.get("contrast", 0) > 0
            else {}
        )
        if self.contrasts:
            heads = nn.ModuleDict(dict(self.contrasts.items()))
            self.parameters["contrast_heads"] = dict(heads.named_parameters())
        self.optimizer = build_optimizer(self.parameters, config.optimizer)
        self.renderer = self.frozen.renderer(source, config.data.max_length)
        self.plan = self._plan()
        self.total_steps = total_steps(self.plan, config.steps, config.epochs)
        self.progress = Counters()
        self.interruption = Interruption()
        self._stop = False

    def train(self, *, resume: bool = False) -> TrainReport:
        """Run all steps, or with `resume` those after the newest checkpoint, and write the run
        folder.

        Ctrl-C finishes the step, saves a checkpoint and returns a report with `interrupted`. Raises
        `ValueError` if the run folder is in use, holds unrelated files or a different run, or holds
        a run while `resume` is off; `DivergenceError` after `max_bad_steps` bad steps in a row.
        """
        with ExitStack() as held:
            self._claim(held, resume)
            return self._train(resume)

    def _train(self, resume: bool) -> TrainReport:
        self._open_run(resume)
        self.parallel.adopt(self.model, self.parameters, self.optimizer)
        log = RunLog(self.run / "log.jsonl", from_step=self.progress.step) if self._main else None
        started, done_before = time.monotonic(), self.progress.step
        losses: dict[str, float] = {}
        self.model.train()
        with (
            self.interruption,
            training_bar(self.total_steps, self.progress.step, self._main) as show,
        ):
            ended = started
            for number, rendered in rendered_steps(
                self.plan,
                self.renderer,
                self.config,
                rank=self.accelerator.process_index,
                steps=range(self.progress.step, self.total_steps),
            ):
                record = self._step(number, rendered)
                began, ended = ended, time.monotonic()
                record["seconds"] = ended - began
                losses = record["losses"] or losses
                if log is not None:
                    log.write(record)
                    show(record)
                    if self.progress.step % self.config.log_every == 0:
                        logger.info("%s", json.dumps(record))
                self._check_that_it_learns()
                self._after_step()
                if self._stopping():
                    break
        self.model.eval()
        report = self._report(losses, time.monotonic() - started)
        if self.progress.step > done_before or not checkpoints(self.run):
            self._save()
        if self._main:
            write_report(report)
        if report.finished:
            if self._main:
                self.model.save_pretrained(self.run / "model")
        self.accelerator.wait_for_everyone()
        return report

    # --- one step ---

    def _step(self, number: int, rendered: Sequence[Sequence[Rendered]]) -> dict[str, Any]:
        denoising = pays_denoising(number, self.config.stage, self.config.objective)
        rates = set_learning_rates(self.optimizer, number, self.total_steps, self.config.optimizer)
        batches = self._batches(number, rendered, denoising)
        counts = sum_over_processes(self._facts(rendered, batches, denoising))
        # All processes stop after the same step, whichever of them got the signal.
        self._stop = counts.pop("stop") > 0
        samples, tokens = int(counts.pop("samples")), int(counts.pop("tokens"))
        for kind, kept in ((_SKIPPED, self.progress.skipped), (_CUT, self.progress.cut)):
            for name in [name for name in counts if name.startswith(kind)]:
                what = name.removeprefix(kind)
                kept[what] = kept.get(what, 0) + int(counts.pop(name))
        sums = sum_over_processes(self._backward(number, batches, counts, denoising))
        losses = {name: value / counts[name] for name, value in sums.items()}
        norm = self._apply_gradients(losses)
        self.progress.step = number + 1
        self.progress.samples += samples
        self.progress.tokens += tokens
        return {
            "step": number + 1,
            "losses": losses,
            "grad_norm": norm,
            "learning_rates": rates,
            "samples": samples,
            "tokens": tokens,
            "bad_steps": self.progress.bad_steps,
        }

    def _facts(
        self,
        rendered: Sequence[Sequence[Rendered]],
        batches: Sequence[tuple[Batch, list[int]]],
        denoising: bool,
    ) -> dict[str, float]:
        """What this process adds to the step: counts by loss term, sizes, skipped items."""
        facts = {"stop": float(self.interruption.requested), "samples": 0.0, "tokens": 0.0}
        for batch, _ in batches:
            stage, captioned = self.config.stage, self.by_caption
            counts = term_counts(
                batch, stage, denoising=denoising, captioned=captioned, contrasts=self.contrasts
            )
            for name, count in counts.items():
                facts[name] = facts.get(name, 0.0) + count
            facts["samples"] += len(batch.input_ids)
            facts["tokens"] += int(batch.attention_mask.sum())
        for item in (item for micro in rendered for item in micro):
            found: dict[str, float] = {}
            if item.problem is not None:
                found[f"{_SKIPPED}{item.problem}"] = 1
            for what in item.lost:
                found[f"{_SKIPPED}{what} (not read; the rest of the item is kept)"] = 1
            if item.sample is not None and (cut := item.sample.cut):
                lost = {"conversations": 1, "tokens": cut.tokens, "media": cut.media}
                found |= {f"{_CUT}{what}": number for what, number in lost.items()}
            if denoising and self.by_caption and item.sample is not None:
                unnamed = [t for t in item.sample.targets if t.caption is None]
                why = "a medium without a caption teaches a decoder nothing under bridge='caption'"
                found |= {f"{_SKIPPED}{why}": len(unnamed)} if unnamed else {}
            for name, number in found.items():
                facts[name] = facts.get(name, 0.0) + number
        return facts

    def _batches(
        self, number: int, rendered: Sequence[Sequence[Rendered]], denoising: bool
    ) -> list[tuple[Batch, list[int]]]:
        """Collated micro-batches with a seed per conversation, split to fit `max_padded_tokens`;
        empty ones are left out.
        """
        aligned = self.config.stage.losses.get("alignment", 0) > 0 or bool(self.contrasts)
        captions = aligned or (denoising and self.by_caption)
        batches = []
        for micro in rendered:
            for part in within_budget(micro, self.config.data.max_padded_tokens):
                samples = self.frozen.complete(part, latents=denoising)
                batch = self.frozen.batch(samples, captions=captions).to(self.device)
                seeds = [step_seed(self.config.seed, number, item.index) for item in part]
                batches.append((batch, seeds))
        return batches

    def _backward(
        self,
        number: int,
        batches: Sequence[tuple[Batch, list[int]]],
        counts: dict[str, float],
        denoising: bool,
    ) -> dict[str, float]:
        """Gradients of the whole step's mean losses; returns this process's sums by term."""
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        rank = self.accelerator.process_index
        for micro, (batch, row_seeds) in enumerate(self.parallel.micro_batches(batches)):
            torch.manual_seed(step_seed(self.config.seed, number, micro, f"rank{rank}"))
            with fast_attention(self.device):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                    output = self.model(batch) if self.needs_language else NOTHING_SAID
                    terms = compute_terms(
                        self.model,
                        output,
                        batch,
                        self.config.stage,
                        self.config.objective,
                        denoising=denoising,
                        row_seeds=row_seeds,
                        contrasts=self.contrasts,
                    )
                weighted = [term.weight * term.sum / counts[name] for name, term in terms.items()]
                total = self.parallel.total(weighted, output)
                if total is not None:
                    total.backward()
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + float(term.sum.detach())
        return sums

    def _apply_gradients(self, losses: dict[str, float]) -> float:
        """Clip and step, or leave the weights unchanged if something is not finite. Returns the
        gradient norm.
        """
        finite = all(math.isfinite(value) for value in losses.values())
        norm = self.parallel.apply(finite=finite)
        if finite and math.isfinite(norm):
            self.progress.bad_in_a_row = 0
            self.progress.moved += norm > 0
            return norm
        self.progress.bad_steps += 1
        self.progress.bad_in_a_row += 1
        logger.warning("step skipped, not finite: losses %s, gradient norm %s", losses, norm)
        if self.progress.bad_in_a_row >= self.config.max_bad_steps:
            raise DivergenceError(
                f"{self.progress.bad_in_a_row} steps in a row had no finite loss or gradient "
                f"(last: {losses}, gradient "
                f"norm {norm}). Lower optimizer.learning_rate, lower optimizer.clip or use "
                f"precision=fp32, then "
                f"resume from {self.run / 'checkpoints'}"
            )
        return norm

    def _check_that_it_learns(self) -> None:
        """Raises `ValueError` if the first epoch or `_PATIENCE` steps taught nothing."""
        done, enough = self.progress, min(self.plan.steps_per_epoch, self.total_steps, _PATIENCE)
        if done.moved or done.bad_steps or done.step < enough:
            return
        reasons = sorted(done.skipped, key=lambda reason: -done.skipped[reason])
        if not done.samples:
            why = f"none of {sum(done.skipped.values())} conversations could be used"
        else:
            learns = ", ".join(self.config.stage.trainable)
            why = f"no conversation held anything that teaches {learns}"
            reasons = [f"its losses were {sorted(self.config.stage.losses)}", *reasons]
        listed = "; ".join(reasons[:3])
        raise ValueError(
            f"nothing was learned in {done.step} steps, and no model is written: {why} ({listed}). "
            "anyweave data validate checks the data; data.max_length is "
            f"{self.config.data.max_length} tokens"
        )

    # --- around the steps ---

    @property
    def _main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    def _stopping(self) -> bool:
        alone = self.accelerator.num_processes == 1
        return self._stop or (alone and self.interruption.requested)

    def _plan(self) -> BatchPlan:
        data = self.config.data
        return BatchPlan(
            size=len(self.source),
            lengths=Lengths(self.source) if data.bucketing else None,
            batch_size=data.batch_size,
            world=self.accelerator.num_processes,
            accumulation=self.config.grad_accumulation,
            seed=self.config.seed,
            window=data.bucket_window,
            shuffle=data.shuffle,
            streamed=is_streamed(self.source),
        )

    def _claim(self, held: ExitStack, resume: bool) -> None:
        """Claim the run folder; all processes learn whether the main one could."""
        refused: ValueError | OSError | None = None
        if self._main:
            try:
                held.enter_context(claimed(self.run, self.config.to_dict(), resume=resume))
            except (ValueError, OSError) as error:
                refused = error
        if sum_over_processes({"refused": float(refused is not None)})["refused"]:
            raise refused or ValueError(f"{self.run} cannot be used; the first process says why")

    def _open_run(self, resume: bool) -> None:
        found = checkpoints(self.run)
        if found:
            self.progress = load_newest(
                found, self.parameters, self.optimizer, self.config.to_dict()
            )
            self._go_on_with_the_same_data()
            if self.progress.frozen not in ("", self._frozen_weights()):
                raise ValueError(
                    f"cannot continue {self.run} exactly: what it does not train has other weights "
                    "than when it was begun. Start from the same model, or begin a new run in "
                    "another output_dir"
                )
            logger.info("continuing %s after step %d", self.run, self.progress.step)
        else:
            if resume:
                logger.info("no checkpoint in %s yet, starting at step 0", self.run)
            self.progress.order = list(self.plan.division)
            self.progress.data = data_identity(self.source)
            self.progress.frozen = self._frozen_weights()
        if self._main:
            self.run.mkdir(parents=True, exist_ok=True)
            write_json(self.run / CONFIG_FILE, self.config.to_dict())
        self.accelerator.wait_for_everyone()

    def _frozen_weights(self) -> str:
        return self.model.weights_sha256(r for r in ROLES if r not in self.config.stage.trainable)

    def _go_on_with_the_same_data(self) -> None:
        begun, now = self.progress.data, data_identity(self.source)
        if begun and begun != now:
            raise ValueError(
                f"cannot continue {self.run} exactly: its data are not what they were when it was "
                "begun (other rows, or other files). Put them back, or start a new run in another "
                f"output_dir from {self.run / 'model'} or another checkpoint"
            )
        if self.progress.order:
            together, accumulation = self.progress.order
            self.plan = replace(self.plan, order=(together, accumulation))

    def _after_step(self) -> None:
        step, config = self.progress.step, self.config
        if (
            config.checkpoint_every
            and step % config.checkpoint_every == 0
            and step < self.total_steps
        ):
            self._save()
        if (
            self.write_samples is not None
            and config.sample_every
            and step % config.sample_every == 0
        ):
            if self._main:
                self.model.eval()
                folder = self.run / "samples" / f"step-{step:07d}"
                self.write_samples(self.model, folder, config.sample_prompts)
                self.model.train()
            self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        if self._main:
            save_checkpoint(
                self.run,
                self.parameters,
                optimizer_state(self.optimizer),
                self.progress,
                self.config.to_dict(),
                keep=self.config.keep,
            )
        self.accelerator.wait_for_everyone()

    def _report(self, losses: dict[str, float], seconds: float) -> TrainReport:
        return TrainReport(
            output_dir=self.run,
            steps=self.progress.step,
            total_steps=self.total_steps,
            interrupted=self._stopping() and self.progress.step < self.total_steps,
            seconds=seconds,
            samples=self.progress.samples,
            tokens=self.progress.tokens,
            bad_steps=self.progress.bad_steps,
            losses=losses,
            skipped=dict(self.progress.skipped),
            cut=dict(self.progress.cut),
        )
