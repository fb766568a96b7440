"""What a denoiser should say at a level, against the schedulers' own arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from anyweave.decoders.levels import Levels
from anyweave.decoders.pipeline_decoder import PipelineDecoder
from anyweave.testing.pipelines import tiny_pipeline

CLEAN, NOISE = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def _flow(scheduler: Any, probe: Any, sample: Any, target: Any) -> Any:
    sigma = float(probe.schedule[0]) / scheduler.config.num_train_timesteps
    plain = type(scheduler).from_config(scheduler.config, shift=1.0)
    plain.set_timesteps(sigmas=[sigma])  # from there to nothing but data in one step
    return plain.step(target, plain.timesteps[0], sample)[0]


def _unipc(scheduler: Any, probe: Any, sample: Any, target: Any) -> Any:
    plain = type(scheduler).from_config(scheduler.config)
    plain.set_timesteps(1000)
    index = int((plain.timesteps - probe.schedule[0]).abs().argmin())
    plain._step_index = index
    return plain.convert_model_output(target, sample=sample)


def _edm(scheduler: Any, probe: Any, sample: Any, target: Any) -> Any:
    return scheduler.precondition_outputs(sample, target, probe.sigmas[probe._step_index])


def _trigonometric(scheduler: Any, probe: Any, sample: Any, target: Any) -> Any:
    plain = type(scheduler).from_config(scheduler.config)
    plain.set_timesteps(
        1,
        timesteps=[float(probe.schedule[0]), 0.0],
        max_timesteps=None,
        intermediate_timesteps=None,
    )
    scale = scheduler.config.sigma_data
    return plain.step(target, plain.timesteps[:1], scale * sample)[1] / scale


def _diffusion(scheduler: Any, probe: Any, sample: Any, target: Any) -> Any:
    ddim = diffusers.DDIMScheduler.from_config(scheduler.config, clip_sample=False)
    ddim.set_timesteps(1000)
    return ddim.step(target, int(probe.schedule[0]), sample).pred_original_sample


@pytest.mark.parametrize("level", [100, 900])
@pytest.mark.parametrize(
    ("scheduler", "reached", "close"),
    [
        (diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0), _flow, 1e-5),
        (diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1), _flow, 1e-5),
        (
            diffusers.UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
            ),
            _unipc,
            0.02,  # it rounds times
        ),
        (diffusers.EDMDPMSolverMultistepScheduler(prediction_type="v_prediction"), _edm, 1e-4),
        (diffusers.SCMScheduler(prediction_type="trigflow"), _trigonometric, 1e-5),
        (diffusers.EulerDiscreteScheduler(), _diffusion, 1e-4),
        (diffusers.DPMSolverMultistepScheduler(prediction_type="v_prediction"), _diffusion, 1e-4),
    ],
    ids=lambda value: getattr(type(value), "__name__", None) if hasattr(value, "config") else None,
)
def test_the_target_leads_back_to_the_clean_latents(
    scheduler: Any, reached: Any, close: float, level: int
) -> None:
    probe, made = Levels(scheduler).at(level, CLEAN, NOISE, None)
    found = reached(scheduler, probe, made.noisy, made.target)
    torch.testing.assert_close(found, CLEAN, atol=close, rtol=close)
    more = Levels(scheduler).at(950, CLEAN, NOISE, None)[1]
    assert (more.noisy - CLEAN).norm() > (made.noisy - CLEAN).norm()


def test_a_scheduler_of_no_known_process() -> None:
    with pytest.raises(ValueError, match="KarrasVeScheduler is neither of flow matching nor of"):
        Levels(diffusers.KarrasVeScheduler())


@pytest.mark.parametrize("name", ["StableDiffusion3Pipeline", "StableDiffusionXLPipeline"])
def test_the_denoiser_is_asked_as_in_training(tmp_path: Path, name: str) -> None:
    """The loss is that of the denoiser called by hand."""
    pipeline = tiny_pipeline(name)
    pipeline.save_pretrained(tmp_path)
    decoder = PipelineDecoder.from_pretrained("image", tmp_path, height=16, width=16)
    conditioning = torch.randn(1, 6, 32, generator=torch.Generator().manual_seed(1))
    pooled, sequence = conditioning[:, 0, :24], conditioning[:, 1:]
    level = 400
    got = decoder.denoising_loss(
        conditioning, CLEAN, timesteps=torch.tensor([level]), noise=NOISE, snr_gamma=5.0
    )
    if name == "StableDiffusion3Pipeline":
        even = (level + 1) / 1000
        sigma = 3 * even / (1 + 2 * even)
        (said,) = pipeline.transformer(
            (1 - sigma) * CLEAN + sigma * NOISE,
            encoder_hidden_states=sequence,
            pooled_projections=pooled,
            timestep=torch.tensor([1000 * sigma]),
            return_dict=False,
        )
        expected = (said - (NOISE - CLEAN)).square().mean()
    else:
        alpha = diffusers.DDPMScheduler.from_config(pipeline.scheduler.config).alphas_cumprod[level]
        (said,) = pipeline.unet(
            alpha.sqrt() * CLEAN + (1 - alpha).sqrt() * NOISE,
            level,
            encoder_hidden_states=sequence,
            added_cond_kwargs={
                "text_embeds": pooled,
                "time_ids": torch.tensor([[16.0, 16, 0, 0, 16, 16]]),
            },
            return_dict=False,
        )
        snr = alpha / (1 - alpha)
        expected = (said - NOISE).square().mean() * min(1.0, 5.0 / float(snr))
    torch.testing.assert_close(got[0], expected, rtol=1e-4, atol=1e-5)
