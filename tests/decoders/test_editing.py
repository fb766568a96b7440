"""Editing by inversion: every modality, every kind of prediction."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from anyweave.decoders.denoising import noising_of
from anyweave.decoders.editing import Course, Edit, changed_places
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.decoders.sampling import Progress, drain
from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave.testing.decoders import tiny_decoder


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample", "flow"])
def test_a_step_is_that_of_diffusers(kind: str) -> None:
    if kind == "flow":
        scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=3.0)
    else:
        scheduler = DDIMScheduler(
            prediction_type=kind, clip_sample=False, timestep_spacing="trailing"
        )
    scheduler.set_timesteps(5)
    course = Course.of(noising_of(scheduler), scheduler.timesteps)
    latents, prediction = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for index, time in enumerate(scheduler.timesteps[:-1]):  # the end is cleaner than DDIM's
        c, d = course.step(index)
        wanted = scheduler.step(prediction, time, latents, return_dict=False)[0]
        torch.testing.assert_close(c * latents + d * prediction, wanted, rtol=1e-3, atol=1e-3)


def _edited(
    decoder: LatentDiffusion,
    clean: torch.Tensor,
    edit: Edit,
    new: torch.Tensor,
    callback: Progress | None = None,
    **more: Any,
) -> torch.Tensor:
    seeds = list(range(len(clean)))
    options: dict[str, Any] = {"num_inference_steps": 6, **more}
    steps = decoder.latent_steps(new, seeds=seeds, latents=clean, edit=edit, **options)
    return drain(steps, callback)


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_same_words_give_the_source(modality: Modality, kind: str) -> None:
    decoder = tiny_decoder(modality, prediction_type=kind)
    caption = decoder.encode_captions(["a cat", "two dogs"])
    clean = drain(decoder.latent_steps(caption, seeds=[1, 2], num_inference_steps=2))
    edit, calls = Edit(caption, strength=0.5), list[tuple[int, int]]()
    back = _edited(
        decoder, clean, edit, caption, guidance_scale=1.0, callback=lambda *s: calls.append(s)
    )
    torch.testing.assert_close(back, clean, rtol=0.05, atol=0.05 * float(clean.abs().max()))
    assert edit.chosen == 0.5 and calls == [(n, 6) for n in range(1, 7)]


def test_progress_runs_forwards_however_much_is_changed() -> None:
    decoder = tiny_decoder("image")
    old, new = (decoder.encode_captions([words]) for words in ("a cat", "a bell"))
    clean = drain(decoder.latent_steps(old, seeds=[1], num_inference_steps=2))
    edit, calls = Edit(old), list[tuple[int, int]]()
    _edited(decoder, clean, edit, new, callback=lambda *step: calls.append(step))
    numbers = [number for number, _ in calls]
    assert numbers == sorted(set(numbers)) and calls[-1] == (12, 12)


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_what_both_words_tell_alike_stays_bit_for_bit(modality: Modality) -> None:
    decoder = tiny_decoder(modality)
    old, new = (decoder.encode_captions([words]) for words in ("a cat", "a bell, then rain"))
    clean = decoder.encode_media(decoder.generate(old, seeds=[1], num_inference_steps=2))
    edit = Edit(old)
    made = _edited(decoder, clean, edit, new)
    same = (made == clean).all(1).float().mean()
    assert float(same) == pytest.approx(1 - edit.changed[0], abs=1e-6)
    assert edit.chosen is not None and 0 < edit.chosen <= 1 and 0 < edit.changed[0] <= 1
    assert not torch.equal(made, clean)


def test_only_the_place_that_differs_is_open_to_change() -> None:
    told = torch.full((1, 16, 16), 0.1)
    told[0, 4:6, 4:6] = 5.0
    mask = changed_places(told)[0]
    assert mask[3:7, 3:7].all() and int(mask.sum()) == 16  # one cell wider


def test_mistakes() -> None:
    decoder = tiny_decoder("image")
    caption = decoder.encode_captions(["a cat"])
    with pytest.raises(ValueError, match="nothing to edit"):
        decoder.generate(caption, seeds=[0], edit=Edit(caption))
    clean = drain(decoder.latent_steps(caption, seeds=[1], num_inference_steps=2))
    with pytest.raises(ValueError, match="leave the scheduler out"):
        _edited(decoder, clean, Edit(caption), caption, scheduler="ddim")
