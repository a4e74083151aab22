from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._tuning.pairs_online import repeated, sample_groups
from beholder.training._tuning.pretraining import Denoising, Pretraining
from beholder.training.algorithms._base import PromptBatch, Studio, TuneFit
from beholder.training.algorithms.nft import Nft, NftConfig
from beholder.training.fit.loop import Logs, Task, fit
from beholder.training.fit.processes import Processes
from beholder.training.pipeline import Sampling
from beholder.training.preference_losses import optimality
from tests.training.algorithms.studios import gradients, moved, studio
from tests.training.tiny_pipelines import tiny_sampling
from tests.training.toy import SteppedRedness
from tests.training.toy_tuning import learn, toy_config

BATCH = PromptBatch(0, ("cat", "dog"), (11, 12))


def config(family: str = "sd", **options: Any) -> NftConfig:
    given: dict[str, Any] = {"group": 3, "prompts_per_batch": 2, "kl": 0.0} | options
    return NftConfig(sampling=tiny_sampling(family), **given)


def step(algorithm: Nft, batch: PromptBatch = BATCH, seed: int = 3) -> tuple[Tensor, Logs]:
    torch.manual_seed(seed)
    return algorithm.step(batch)


def weights(made: Studio) -> Tensor:
    return torch.cat([w.detach().flatten() for w in made.trained.parameters()])


def old(algorithm: Nft) -> Tensor:
    return torch.cat([w.flatten() for w in algorithm.state().values()])


@pytest.mark.parametrize("family", ["sd", "sd3"])
def test_the_first_step_goes_to_good_samples_and_away_from_bad_ones(family: str) -> None:
    made = studio(family)
    given = config(family, times_per_sample=2)
    found = gradients(made, step(Nft(made, given))[0])
    driver, noise, sampling = made.driver, made.driver.noise, tiny_sampling(family, guidance=0)
    sampled = sample_groups(driver, sampling, BATCH.prompts, BATCH.seeds, 3)
    prompts = repeated(BATCH.prompts, 3)
    r = optimality(made.signal.labels(sampled.pixels, prompts).reshape(2, 3), "global").flatten()
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    x0 = sampled.latents.repeat_interleave(2, 0)
    drawn = torch.randn(x0.shape, generator=generator)
    t = noise.draw(12, generator)
    x_t = noise.mix(x0, drawn, t)
    predicted = noise.x0(driver.predict(x_t, t, repeated(prompts, 2), sampling), x_t, t)
    error = (predicted - x0).flatten(1)
    distance = error.detach().abs().mean(1)
    by_hand = (2 * r.repeat_interleave(2) - 1) * error.square().mean(1) / distance
    torch.testing.assert_close(found, gradients(made, by_hand.mean()), rtol=1e-3, atol=1e-5)


def test_the_old_policy_follows_once_an_optimizer_step_and_ever_slower() -> None:
    made = studio()
    fits = TuneFit(accumulation=2)
    options = config(fit=fits, old_decay_per_step=0.2, old_decay_most=0.5)
    algorithm = Nft(made, options)
    batches = list(islice(algorithm.batches(1, 2), 10))  # of the second of two processes
    expected = weights(made)
    for batch in batches:
        optimizer_step, place = divmod(batch.number, 4)
        if place == 1:
            moved(made, seed=optimizer_step)
            decay = min(0.2 * optimizer_step, 0.5)
            expected = decay * expected + (1 - decay) * weights(made)
        algorithm.step(batch)
        torch.testing.assert_close(old(algorithm), expected)
        if place == 1:
            moved(made, seed=100)  # between the batches of a step nothing follows
    assert [batch.number // 4 for batch in batches] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_the_old_policy_samples_and_the_weights_come_back() -> None:
    made = studio()
    algorithm = Nft(made, config())
    _, start = step(algorithm)
    moved(made)
    before = weights(made)
    _, same = step(algorithm)  # of the same optimizer step
    assert float(same["reward/mean"]) == float(start["reward/mean"])
    assert float(same["nft/from_old"]) > 0
    assert torch.equal(weights(made), before)
    _, later = step(Nft(made, config()))
    assert float(later["reward/mean"]) != float(start["reward/mean"])
    assert float(later["nft/from_old"]) == 0


def test_an_interrupted_run_ends_with_the_same_weights_and_old_policy(tmp_path: Path) -> None:
    def run(folder: Path, steps: int) -> tuple[Tensor, Tensor]:
        made = studio()
        fits = TuneFit(steps=steps, checkpoint_every_steps=1, ema_decay=0, learning_rate=1e-2)
        options = config(fit=fits, old_decay_per_step=0.3, group=2, prompts_per_batch=1)
        algorithm = Nft(made, options)
        trained = made.driver.trained(algorithm.state())
        fit(Task(algorithm.step, algorithm.batches), trained, fits, folder, Processes(cpu=True))
        return weights(made), old(algorithm)

    whole = run(tmp_path / "whole", 4)
    run(tmp_path / "cut", 2)
    again = run(tmp_path / "cut", 4)
    assert torch.equal(whole[0], again[0])
    assert torch.equal(whole[1], again[1])
    assert not torch.equal(*whole)


def test_guidance_is_off_whatever_the_sampling_says() -> None:
    made = studio()
    guided = NftConfig(
        sampling=tiny_sampling("sd", guidance=9.0), group=3, prompts_per_batch=2, kl=0.0
    )
    loss, logs = step(Nft(made, guided))
    expected, told = step(Nft(made, config()))
    assert (loss.item(), logs) == (expected.item(), told)


def test_pictures_without_a_score_and_equal_groups_teach_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = studio()
    nan = float("nan")
    scores = torch.tensor([0.1, nan, 0.4, 0.5, 0.5, 0.5])
    monkeypatch.setattr(made.signal, "labels", lambda *_: scores)
    loss, logs = step(Nft(made, config()))
    assert logs["nft/kept"] == 2 / 6
    assert logs["reward/failed"] == 1
    assert float(gradients(made, loss).abs().max()) > 0
    monkeypatch.setattr(made.signal, "labels", lambda *_: torch.full((6,), 0.5))
    nothing, told = step(Nft(made, config()))
    assert (nothing.item(), told["nft/kept"]) == (0, 0)
    assert float(gradients(made, nothing).abs().max()) == 0
    assert told.keys() == logs.keys()


def test_the_loss_is_one_sum_of_its_terms() -> None:
    made = moved(studio())
    latents = torch.randn(3, 4, 16, 16)
    denoising = Denoising(made.driver, tiny_sampling("sd"), latents, ["cat"] * 3, held_out=1)
    with_it = Studio(made.driver, made.trained, made.signal, made.prompts, made.start, denoising)
    plain, _ = step(Nft(made, config()))
    options = config(kl=0.5, pretraining=Pretraining(weight=0.25, batch=2))
    loss, logs = step(Nft(with_it, options))
    terms = plain.detach() + 0.5 * logs["kl/outputs"] + 0.25 * logs["pretraining/loss"]
    assert loss.item() == pytest.approx(float(terms), rel=1e-5)
    assert float(logs["kl/outputs"]) > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"group": 1},
        {"times_per_sample": 0},
        {"beta": 0},
        {"old_decay_per_step": -0.1},
        {"old_decay_most": 1.0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        NftConfig(sampling=Sampling(), **wrong)


@pytest.mark.long
def test_nft_learns_red_without_a_gradient_and_keeps_denoising(tmp_path: Path) -> None:
    pretraining = Pretraining(weight=0.26, samples=512, batch=64)
    options = {"prompts_per_batch": 4, "spread": "group", "times_per_sample": 2}
    made = toy_config(NftConfig, 150, 4e-3, pretraining=pretraining, run=str(tmp_path), **options)
    torch.manual_seed(0)
    outcome = learn(made, tmp_path, SteppedRedness())
    assert outcome.red[0] < 0.25
    assert outcome.red[1] > 0.7
    assert outcome.forgot < 0.2
