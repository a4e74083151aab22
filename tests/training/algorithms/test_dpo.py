import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from beholder.annotation.records.dataset import read_preferences, write_preferences
from beholder.calibration import Curve
from beholder.errors import BeholderError, ConfigError, DataError
from beholder.training._tuning.pairs import JudgedPairs
from beholder.training._tuning.pretraining import Denoising, Pretraining
from beholder.training.algorithms._base import PromptBatch, Studio
from beholder.training.algorithms.dpo import Dpo, DpoConfig
from beholder.training.fit.loop import Logs
from tests.calibrations import calibration
from tests.training.algorithms.studios import gradients, judged, moved, studio
from tests.training.pictures_on_disk import plain
from tests.training.tiny_pipelines import tiny_sampling
from tests.training.toy import Redness, SteppedRedness
from tests.training.toy_tuning import learn, toy_config

BATCH = PromptBatch(0, ("cat", "dog"), (11, 12))


def config(run: Path, family: str = "sd", **options: Any) -> DpoConfig:
    """Any difference of scores makes a sure pair."""
    given = {"temperature": 1e-9} | options
    return DpoConfig(run=str(run), sampling=tiny_sampling(family), prompts_per_batch=2, **given)


def step(algorithm: Dpo, batch: Any = BATCH, seed: int = 3) -> tuple[Tensor, Logs]:
    torch.manual_seed(seed)
    return algorithm.step(batch)


@pytest.mark.parametrize("family", ["sd", "sd3"])
@pytest.mark.parametrize(("kind", "by_hand"), [("dpo", math.log(2)), ("ipo", 0.25), ("kto", 0.5)])
def test_before_tuning_the_loss_is_that_of_a_model_which_prefers_nothing(
    tmp_path: Path, family: str, kind: str, by_hand: float
) -> None:
    loss, logs = step(Dpo(studio(family), config(tmp_path, family, loss=kind)))
    assert loss.item() == torch.tensor(by_hand).item()
    assert (logs["dpo/accuracy"], logs["kl/outputs"], logs["dpo/kept"]) == (0.5, 0, 1)
    assert (logs["dpo/winner_change"], logs["dpo/loser_change"]) == (0, 0)


@pytest.mark.parametrize("family", ["sd", "sd3"])
@pytest.mark.parametrize("kind", ["dpo", "ipo", "kto"])
def test_after_one_step_the_winner_s_error_fell_against_the_loser_s(
    tmp_path: Path, family: str, kind: str
) -> None:
    made = studio(family)
    algorithm = Dpo(made, config(tmp_path, family, loss=kind, beta=10.0))
    before, _ = step(algorithm)
    optimizer = torch.optim.SGD(made.trained.parameters(), lr=1e-2)
    before.backward()
    optimizer.step()
    after, logs = step(algorithm)
    assert after < before
    assert float(logs["dpo/winner_change"]) < float(logs["dpo/loser_change"])


@pytest.mark.parametrize("family", ["sd", "sd3"])
def test_both_pictures_of_a_pair_share_time_and_noise(tmp_path: Path, family: str) -> None:
    made = studio(family)
    preferences = judged(tmp_path / "data", [1.0, 0.0])
    given = config(tmp_path, family, preferences=str(preferences), beta=40.0)
    algorithm = Dpo(made, given)
    batch = next(algorithm.batches(0, 1))
    found = gradients(made, step(algorithm, batch)[0])
    pairs = JudgedPairs(tmp_path / "prepared", 2, 0, torch.device("cpu")).pairs(batch)
    driver, noise = made.driver, made.driver.noise
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    drawn = torch.randn(pairs.winners.shape, generator=generator)
    t = noise.draw(2, generator)
    errors = []
    for x0 in (pairs.winners, pairs.losers):
        x_t = noise.mix(x0, drawn, t)
        output = driver.predict(x_t, t, pairs.prompts, given.sampling)
        errors.append((output - noise.target(x0, drawn, t)).square().mean())
    # The loss's slope at log-odds of 0 is half of beta / 2.
    expected = gradients(made, 40 / 4 * (errors[0] - errors[1]))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_a_batch_without_a_sure_pair_teaches_nothing_and_logs_the_same_names(
    tmp_path: Path,
) -> None:
    made = studio()
    loss, logs = step(Dpo(made, config(tmp_path, temperature=1e9)))
    assert loss.item() == 0
    assert float(gradients(made, loss).abs().max()) == 0
    assert (logs["dpo/kept"], logs["dpo/accuracy"]) == (0, 0.5)
    assert logs.keys() == step(Dpo(made, config(tmp_path)))[1].keys()


def test_a_reward_that_is_never_sure_ends_the_run(tmp_path: Path) -> None:
    algorithm = Dpo(studio(), config(tmp_path, temperature=1e9))
    with pytest.raises(BeholderError, match="give calibration or temperature"):
        for batch in islice(algorithm.batches(0, 1), 20):
            algorithm.step(batch)


@pytest.mark.parametrize("temperature", [1e-9, 1e9], ids=["pairs", "no pair"])
def test_the_loss_is_one_sum_of_its_terms(tmp_path: Path, temperature: float) -> None:
    made = moved(studio())
    latents = torch.randn(3, 4, 16, 16)
    denoising = Denoising(made.driver, tiny_sampling("sd"), latents, ["cat"] * 3, held_out=1)
    with_it = Studio(made.driver, made.trained, made.signal, made.prompts, made.start, denoising)
    plain, _ = step(Dpo(made, config(tmp_path, temperature=temperature)))
    pretraining = Pretraining(weight=0.25, batch=2)
    options = config(tmp_path, temperature=temperature, kl=0.5, pretraining=pretraining)
    loss, logs = step(Dpo(with_it, options))
    terms = plain.detach() + 0.5 * logs["kl/outputs"] + 0.25 * logs["pretraining/loss"]
    assert loss.item() == pytest.approx(float(terms), rel=1e-5)
    assert (float(logs["kl/outputs"]) > 0) == (temperature < 1)


def test_pictures_are_sampled_by_the_tuned_pipeline_or_by_the_base_one(tmp_path: Path) -> None:
    made = studio()
    _, start = step(Dpo(made, config(tmp_path)))
    moved(made)
    scores = [
        float(step(Dpo(made, config(tmp_path, rollout=rollout)))[1]["reward/mean"])
        for rollout in ("base", "current")
    ]
    assert scores[0] == float(start["reward/mean"]) != scores[1]


def test_judged_pairs_come_in_batches_that_depend_on_their_number_alone(tmp_path: Path) -> None:
    preferences = judged(tmp_path / "data", [1.0, 0.9, 0.5, 0.2, 0.8])
    options = config(tmp_path / "run", preferences=str(preferences))
    whole = list(islice(Dpo(studio(), options).batches(0, 1), 6))
    assert list(islice(Dpo(studio(), options).batches(1, 2), 2)) == [whole[1], whole[3]]
    assert [batch.number for batch in whole] == list(range(6))
    assert sorted(row for batch in whole[:2] for row in batch.rows) == [0, 1, 2, 3]  # no tie


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [(1.0, "red"), (1.0, "red"), (1.0, "blue")]),
        ({"soft_labels": True}, [(0.95, "red"), (0.7, "red"), (0.6, "blue")]),
        ({"soft_labels": True, "min_share": 0.7}, [(0.95, "red"), (0.7, "red")]),
        ({"soft_labels": True, "aspect": "detail"}, []),
        ({"relabel": True}, [(1.0, "red"), (1.0, "red"), (1.0, "red")]),
    ],
)
def test_which_pairs_are_learned_and_who_wins(
    tmp_path: Path, options: dict[str, Any], kept: list[tuple[float, str]]
) -> None:
    preferences = judged(tmp_path / "data", [0.95, 0.7, 0.4])
    given = config(tmp_path, preferences=str(preferences), **options)
    if not kept:  # of this aspect blue is better
        kept = [(0.95, "blue"), (0.7, "blue"), (0.6, "red")]
    Dpo(studio(), given)
    index = json.loads((tmp_path / "prepared" / "pairs.json").read_text())["pairs"]
    files = sorted((tmp_path / "data").glob("*.png"))  # 200-… is red, 60-… is blue
    found = [(round(p, 6), "red" if winner < 3 else "blue") for winner, _, p, _ in index]
    assert len(files) == 6
    assert found == kept


def test_a_relabelled_pair_is_as_sure_as_the_temperature_says(tmp_path: Path) -> None:
    preferences = judged(tmp_path / "data", [0.0])
    given = config(
        tmp_path, preferences=str(preferences), relabel=True, soft_labels=True, temperature=0.5
    )
    Dpo(studio(), given)
    ((_, _, p, _),) = json.loads((tmp_path / "prepared" / "pairs.json").read_text())["pairs"]
    margin = (200 - 60) / 255
    assert p == pytest.approx(1 / (1 + math.exp(-margin / 0.5)), rel=1e-5)


def test_the_temperature_is_fitted_once_on_judgements(tmp_path: Path) -> None:
    preferences = judged(tmp_path / "data", [1.0, 1.0, 1.0, 0.0])
    options: dict[str, Any] = {
        "temperature": None,
        "calibration": str(preferences),
        "soft_labels": True,
    }
    given = config(tmp_path / "run", preferences=str(preferences), relabel=True, **options)
    Dpo(studio(), given)
    index = json.loads((tmp_path / "run" / "prepared" / "pairs.json").read_text())["pairs"]
    assert [p for _, _, p, _ in index] == pytest.approx([0.75] * 4, abs=0.01)
    kept = json.loads((tmp_path / "run" / "curve.json").read_text())["temperature"]
    assert kept == pytest.approx(0.55 / math.log(3), rel=0.02)
    shutil.rmtree(preferences / "data")
    with pytest.raises(DataError):
        Dpo(studio(), config(tmp_path / "other", temperature=None, calibration=str(preferences)))
    Dpo(studio(), config(tmp_path / "run", temperature=None, calibration=str(preferences)))


def calibrated_studio(curve: Curve) -> Studio:
    """A pipeline judged by a reward that carries a calibration."""
    reward = Redness()
    reward.calibration = calibration(curve)
    return studio(reward=reward)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.8]),  # of two margins the smaller is a tie by the reward's own curve
        ({"temperature": 0.5}, [0.751, 0.581]),
        ({"calibration": "preferences"}, [0.75, 0.58]),
    ],
    ids=["its own", "temperature", "calibration"],
)
def test_a_calibrated_reward_decides_which_pairs_are_sure_and_options_go_before_it(
    tmp_path: Path, options: dict[str, Any], expected: list[float]
) -> None:
    curve = Curve(knots=(0.0, 0.2, 0.55), levels=(0.5, 0.65, 0.8), tie_threshold=0.4)
    preferences = judged(tmp_path / "data", [0.0])
    rows = read_preferences(preferences)
    small = replace(rows[0], key="small", second=plain(tmp_path / "data", (120, 60, 60), (32, 32)))
    given: dict[str, Any] = {
        k: str(preferences) if v == "preferences" else v for k, v in options.items()
    }
    if "calibration" in options:  # people agree in three of four
        given["calibration"] = str(judged(tmp_path / "other", [1.0, 1.0, 1.0, 0.0]))
    write_preferences([*rows, small], tmp_path / "both")
    asked = config(
        tmp_path / "run",
        preferences=str(tmp_path / "both"),
        relabel=True,
        soft_labels=True,
        min_probability=0.5,
        **{"temperature": None} | given,
    )
    Dpo(calibrated_studio(curve), asked)
    index = json.loads((tmp_path / "run" / "prepared" / "pairs.json").read_text())["pairs"]
    assert [p for _, _, p, _ in index] == pytest.approx(expected, abs=0.02)


def test_a_run_goes_on_as_sure_as_it_began_whatever_becomes_of_the_calibration(
    tmp_path: Path,
) -> None:
    given = config(tmp_path, temperature=None, min_probability=0.5)
    first = step(Dpo(calibrated_studio(Curve(temperature=1e-9)), given))[1]
    later = step(Dpo(calibrated_studio(Curve(tie_threshold=1.0)), given))[1]
    assert (first["dpo/kept"], later["dpo/kept"]) == (1, 1)
    anew = config(tmp_path / "new", temperature=None, min_probability=0.5)
    assert step(Dpo(calibrated_studio(Curve(tie_threshold=1.0)), anew))[1]["dpo/kept"] == 0


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"beta": 0}, "beta"),
        ({"candidates": 1}, "candidates"),
        ({"min_share": 0.4}, "min_share"),
        ({"min_probability": 1.0}, "min_probability"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": 1.0, "calibration": "x"}, "leave one out"),
        ({"relabel": True}, "name their folder"),
        ({"kl": -1}, "kl"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: Mapping[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        DpoConfig(**wrong)


@pytest.mark.long
def test_online_dpo_learns_red_and_forgets_less_than_a_third(tmp_path: Path) -> None:
    """It turns away from losers, so it forgets more than the others for the same share of red."""
    pretraining = Pretraining(weight=0.8, samples=512, batch=64)
    pairs = {"temperature": 0.1, "min_probability": 0.9, "beta": 3.0, "prompts_per_batch": 12}
    made = toy_config(DpoConfig, 250, 2e-3, pretraining=pretraining, run=str(tmp_path), **pairs)
    torch.manual_seed(0)
    outcome = learn(made, tmp_path, SteppedRedness())
    assert outcome.red[0] < 0.25
    assert outcome.red[1] > 0.7
    assert outcome.forgot < 0.3
