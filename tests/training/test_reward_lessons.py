"""What `train_reward` learns from beside plain pairs: rankings, mixtures and ratings."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from beholder.annotation.records.dataset import write_preferences
from beholder.configs._load import load_config
from beholder.errors import ConfigError, DataError
from beholder.rewards import Reward, load
from beholder.training.fit.journal import read_journal
from beholder.training.fit.learner import FitConfig
from beholder.training.judged.data import make_batch
from beholder.training.judged.mixing import Source
from beholder.training.judged.preference import learned
from beholder.training.objectives import LossConfig, build_objective
from beholder.training.reward import RewardTraining, train_reward
from beholder.training.towers.scorers import PixelScorer
from beholder.types import Preference
from tests.rewards import tiny_towers
from tests.training.brightness import FIT, pictures, preferences, tiny_mps

OVERALL = {"aesthetics": 0.0, "detail": 0.0, "alignment": 0.0}


def config(folder: Path, **changes: Any) -> RewardTraining:
    fit = FitConfig(**{"steps": 4, **FIT, **changes.pop("fit", {})})
    given: dict[str, Any] = {"reward": "tiny", "train": "all", "device": "cpu"}
    given |= {"run": str(folder / "run"), "pairs_per_batch": 12, "aspect_weights": OVERALL}
    return RewardTraining(fit=fit, **{**given, **changes})


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def rankings(folder: Path, prompts: int, seed: int = 0) -> list[Preference]:
    """All pairs of four pictures for each prompt, under one key."""
    pairs = preferences(folder, prompts, each=4, seed=seed)
    return [replace(p, key=p.prompt, p_first={"overall": p.p_first["overall"]}) for p in pairs]


def ratings(folder: Path, prompts: int = 12, rows: Sequence[Sequence[str]] = ()) -> Path:
    """A manifest in which the rating of a picture is its brightness."""
    made = pictures(folder, prompts, each=4)
    path = folder / "ratings.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "prompt", "overall"])
        for prompt, shown in made.items():
            writer.writerows([Path(image).name, prompt, grey / 255] for image, grey in shown)
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("loss", ["plackett_luce", "rank_hinge"])
def test_rankings_are_learned_from_the_pairs_that_they_were_made_of(
    tmp_path: Path, loss: str
) -> None:
    pairs = rankings(tmp_path, 12)
    given = config(tmp_path, loss=LossConfig(name=loss), fit={"steps": 40})  # type: ignore[arg-type]
    summary = read(train_reward(given, pairs) / "summary.json")
    told = {"rankings": 11, "pairs": 0, "incomplete": 0, "cyclic": 0, "soft": 0}
    assert summary["rankings"] == told
    assert summary["pairs"] == {"training": 66, "held_out": 6}
    first = read_journal(tmp_path / "run" / "metrics.jsonl")[0]
    assert summary["metrics"]["eval/accuracy"] >= 0.8
    assert summary["metrics"]["eval/loss"] < first["eval/loss"]


def two_sets(folder: Path) -> dict[str, Source]:
    for name, prompts, seed in (("many", 6, 1), ("few", 3, 2)):
        write_preferences(rankings(folder, prompts, seed), folder / name)
    return {
        "many": Source(preferences=str(folder / "many"), share=0.25),
        "few": Source(preferences=str(folder / "few"), share=0.75),
    }


def test_a_mixture_tells_its_sets_and_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    fit = {"steps": 6, "checkpoint_every_steps": 3}
    given = config(tmp_path, mix=two_sets(tmp_path), prompt_weights="inverse", fit=fit)
    run = train_reward(given)
    sources = read(run / "summary.json")["sources"]
    assert {name: sum(counts.values()) for name, counts in sources.items()} == {
        "many": 36,
        "few": 18,
    }
    whole = (run / "model.safetensors").read_bytes()
    shutil.rmtree(run / "checkpoints" / "step-00000006")
    (run / "model.safetensors").unlink()
    train_reward(given)
    assert (run / "model.safetensors").read_bytes() == whole
    with pytest.raises(ConfigError, match=r"mix\.few\.share was 0\.75, now 0\.5"):
        source = replace(given.mix["few"], share=0.5)
        train_reward(replace(given, mix={**given.mix, "few": source}))


def test_sets_in_memory_must_be_those_of_the_mixture(tmp_path: Path) -> None:
    pairs, mix = rankings(tmp_path, 4), two_sets(tmp_path)
    with pytest.raises(ConfigError, match="mix names many, few, but pairs were given of other"):
        train_reward(config(tmp_path, mix=mix), {"other": pairs})
    run = train_reward(config(tmp_path, mix=mix), {"few": pairs[:12], "many": pairs[12:]})
    assert read(run / "summary.json")["sources"]["few"]["training"] in (6, 12)


def test_ratings_are_learned_and_bad_rows_are_told(tmp_path: Path) -> None:
    bad = [["0-0-0.png", "x", "bright"], ["gone.png", "x", "0.5"], ["", "x", "0.5"]]
    path = ratings(tmp_path, rows=bad)
    loss = LossConfig(name="regression")
    given = config(tmp_path, ratings=str(path), loss=loss, fit={"steps": 80})
    run = train_reward(given)
    summary = read(run / "summary.json")
    assert summary["metrics"]["eval/srcc"] >= 0.8
    assert summary["metrics"]["eval/plcc"] >= 0.8
    before = read_journal(run / "metrics.jsonl")[0]
    assert summary["metrics"]["eval/mse"] < before["eval/mse"] / 2
    assert summary["ratings"] == {"training": 44, "held_out": 4}
    told = read(run / "dropped.json")
    assert told["counts"] == {"value": 1, "missing": 1, "picture": 1}
    dark, bright = str(tmp_path / "dark.png"), str(tmp_path / "bright.png")
    for name, grey in ((dark, 30), (bright, 220)):
        Image.new("RGB", (32, 32), (grey,) * 3).save(name)
    scores = load(str(run)).score([dark, bright], "prompt number 1").named("overall")
    assert scores[1] > scores[0]


def test_ratings_to_judge_by_take_the_place_of_prompts_held_out(tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    path = ratings(tmp_path, 4)
    made = pictures(tmp_path / "others", 2, each=3, seed=1)
    rows = [(image, prompt, str(grey / 255)) for prompt, p in made.items() for image, grey in p]
    lines = ["image,prompt,overall", *(",".join(row) for row in rows)]
    (tmp_path / "others.csv").write_text("\n".join(lines))
    given = config(
        tmp_path,
        ratings=str(path),
        evaluation=str(tmp_path / "others.csv"),
        loss=LossConfig(name="regression"),
    )
    assert read(train_reward(given) / "summary.json")["ratings"] == {"training": 16, "held_out": 6}


def test_a_leak_is_refused_and_leaves_no_claim_or_dropped_and_told(tmp_path: Path) -> None:
    pairs, others = rankings(tmp_path, 4), rankings(tmp_path, 2, seed=1)
    others += [replace(p, prompt=p.prompt.upper()) for p in others[:6]]
    leak = [replace(p, prompt=f" {others[0].prompt} ") for p in pairs[:6]]
    with pytest.raises(DataError, match="6 judgements to learn from leak"):
        train_reward(config(tmp_path), [*leak, *pairs[6:]], others)
    run = train_reward(config(tmp_path, leaks="drop"), [*leak, *pairs[6:]], others)
    summary = read(run / "summary.json")
    assert summary["pairs"] == {"training": 18, "held_out": 18}
    assert summary["dropped"] == {"leak": 6}


def test_in_batch_negatives_are_learned_by_a_reward_with_embeddings(tmp_path: Path) -> None:
    given = config(
        tmp_path,
        reward="pickscore",
        options={"towers": tiny_towers.OPEN_CLIP},
        loss=LossConfig(name="in_batch"),
        aspect_weights={},
    )
    metrics = read(train_reward(given, rankings(tmp_path, 4)) / "summary.json")["metrics"]
    assert 0 < metrics["eval/loss"] < 10


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ratings": "r.csv"}, "loss.name is 'kl' and ratings is 'r.csv'"),
        ({"loss": LossConfig(name="regression")}, "loss.name is 'regression' and ratings is ''"),
        ({"ratings": "r.csv", "preferences": "p"}, "preferences and ratings are set"),
        ({"mix": {"a": Source(preferences="p")}, "preferences": "p"}, "preferences and mix are"),
        ({"balance": "equal"}, "balance is 'equal'"),
    ],
)
def test_settings_that_contradict_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        RewardTraining(**changes)


def test_a_mixture_is_read_from_yaml_and_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("mix: {mine: {preferences: a, share: 2}, others: {preferences: b, share: 1}}")
    found = load_config(path, ["leaks=drop", "loss.name=plackett_luce"], RewardTraining)
    assert found.mix["mine"] == Source(preferences="a", share=2.0)
    with pytest.raises(ConfigError, match=r"mix\.mine\.shar"):
        load_config(path, ["mix.mine.shar=1"], RewardTraining)
    with pytest.raises(ConfigError, match="share must be above 0"):
        load_config(path, ["mix.mine.share=-1"], RewardTraining)


def rows_through(reward: Reward, kind: type[nn.Module]) -> Counter[str]:
    """Counts the rows that pass the first layer of this kind, of pictures or of texts."""
    seen: Counter[str] = Counter()

    def count(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen["rows"] += len(out)

    # the table of words, not that of places: the larger one
    layers = [module for module in reward.modules() if isinstance(module, kind)]
    max(layers, key=lambda m: sum(p.numel() for p in m.parameters())).register_forward_hook(count)
    return seen


def cosine() -> Reward:
    return load("pickscore", towers=tiny_towers.OPEN_CLIP)


@pytest.mark.parametrize(
    ("build", "loss", "own_texts"),
    [(tiny_mps, "plackett_luce", 2), (cosine, "plackett_luce", 0), (cosine, "in_batch", 0)],
)
def test_each_picture_and_prompt_of_a_batch_passes_its_tower_once(
    tmp_path: Path, build: Any, loss: Any, own_texts: int
) -> None:
    reward = build().train()
    batch = make_batch(rankings(tmp_path, 3), ["overall"], ranked=True)
    assert (len(batch.edges["overall"]), len(batch.pictures), len(batch.prompts)) == (18, 12, 3)
    shown, read_texts = rows_through(reward, nn.Conv2d), rows_through(reward, nn.Embedding)
    scorer, objective = PixelScorer(reward), build_objective(LossConfig(name=loss), reward)
    weights = {"overall": 1.0}
    for passes in (1, 2):
        _, found = learned(scorer, objective, batch, scorer.load(batch), weights)
        assert shown["rows"] == 12 * passes
        assert read_texts["rows"] == (3 + own_texts) * passes
    found.backward()
    assert all(w.grad is None or torch.isfinite(w.grad).all() for w in reward.parameters())
    assert any(w.grad is not None and w.grad.abs().sum() > 0 for w in reward.parameters())
