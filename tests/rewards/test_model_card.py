import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, ModelCardData

import beholder
from beholder.errors import DataError
from beholder.eval.calibration import Fitting, calibrate
from beholder.eval.preference import score_pairs
from beholder.rewards import tiny
from beholder.rewards._model_card import model_card, write_card
from beholder.types import Preference, Scores


def top(card: str) -> ModelCardData:
    """The head of a card, as the hub's own client reads it."""
    data = ModelCard(card, ignore_metadata_errors=False).data
    assert isinstance(data, ModelCardData)
    return data


NASTY = "](http://x) <img src=x> | a\n# b `c` --- $d$"
RECORD = {
    "protocol": "imagereward/1",
    "meaning": "pairs ordered as people order them",
    "data": {"name": "hpdv2", "split": "test"},
    "aspects": {
        "overall": {"accuracy": 0.7123, "low": 0.68, "high": 0.74, "pairs": 300, "prompts": 60}
    },
}
SUMMARY = {
    "steps": 100,
    "best_step": 80,
    "metrics": {"eval/accuracy": 0.75},
    "pairs": {"training": 900, "held_out": 100},
    "dropped": {"truncated": 2},
}
CONFIG = {
    "reward": "mps",
    "options": {"towers": {"kind": "open_clip", "name": "ViT-B-32", "pretrained": "dfn2b"}},
    "train": "head",
    "preferences": "/home/me/secret/judgements",
    "run": "/home/me/runs/mine",
    "fit": {"steps": 100, "learning_rate": 0.001, "seed": 0},
}


def folder(place: Path, **files: Any) -> Path:
    """A saved reward with records beside it."""
    tiny.build().save_pretrained(place / "mine")
    for name, value in files.items():
        text = yaml.safe_dump(value) if name == "config" else json.dumps(value)
        suffix = "yaml" if name == "config" else "json"
        (place / "mine" / f"{name}.{suffix}").write_text(text)
    return place / "mine"


def config_of(place: Path, **changes: Any) -> Path:
    """A folder that was trained, without overwriting what a reward saved."""
    return folder(place, config=CONFIG, summary=SUMMARY, **changes)


def test_a_reward_alone_says_plainly_what_is_not_known(tmp_path: Path) -> None:
    card = model_card(folder(tmp_path))
    for text in (
        "Not evaluated",
        "Not calibrated",
        "How many judgements it learned from is not known",
        "How far annotators agree is not known",
        "is not recorded, so their licence is unknown",
    ):
        assert text in card
    assert "0." not in card.partition("## Use")[2].partition("## Limits")[0].replace(
        "Apache-2.0", ""
    )
    assert top(card).license == "unknown"


def test_the_two_lines_of_the_card_load_the_reward(tmp_path: Path) -> None:
    place = folder(tmp_path)
    card = model_card(place, "user/mine")
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0]
    load = "\n".join(code.splitlines()[:2]).replace("'user/mine'", repr(str(place)))
    known: dict[str, Any] = {}
    exec(load, known)
    assert known["reward"].options() == beholder.load(str(place)).options()


def test_a_trained_and_evaluated_reward_tells_all_of_it(tmp_path: Path) -> None:
    agreement = {
        "aspects": {
            "overall": {"answers": 1000, "percent": 0.81, "alpha_ordinal": {"value": 0.523}}
        }
    }
    fidelity = {"judge": {"aspects": {"overall": {"accuracy": 0.91, "low": 0.88, "high": 0.94}}}}
    place = config_of(tmp_path, evaluation=[RECORD], agreement=agreement, fidelity=fidelity)
    card = model_card(place, "user/mine")
    for text in (
        "| overall | 0.712 | 0.680 to 0.740 | 300 | 60 |",
        "hpdv2 test, protocol imagereward/1",
        "900 pairs to learn from, 100 held out.",
        "Not used: 2 truncated.",
        "| overall | 1000 | 81.0 % | 0.523 |",
        "| overall | 0.910 | 0.880 to 0.940 | not known | not known |",
        "Training measured itself on the prompts that it held out: 0.750",
        "It chose by them which weights were kept",
        "| learning rate | 0.001 |",
        "| weights kept of step | 80 |",
        "- open\\_clip ViT-B-32, dfn2b: apple-amlr",
    ):
        assert text in card, text
    assert "Not evaluated" not in card


def test_what_a_number_depends_on_stands_below_its_table(tmp_path: Path) -> None:
    one = {**RECORD["aspects"]["overall"], "tie_threshold": 0.2}  # type: ignore[index]
    record = {
        **RECORD,
        "aspects": {"overall": one, "detail": one},
        "tie_threshold_from": "given",
        "scored_by": {"overall": "overall", "detail": "total"},
        "pairs_left_out": 7,
        "data": {"name": "hpdv2", "split": "test", "limit": 50},
    }
    card = model_card(folder(tmp_path, evaluation=[record]))
    for text in (
        "Tie threshold (given): overall 0.2, detail 0.2.",
        "Judged by another score than its own: detail by total.",
        "7 pairs with a picture that has no score do not count.",
        "Of the first 50 records of the data alone.",
    ):
        assert text in card, text
    plain = model_card(folder(tmp_path / "plain", evaluation=[RECORD]))
    for text in ("Tie threshold", "another score", "do not count", "alone"):
        assert text not in plain.partition("## Calibration")[0]


@pytest.mark.parametrize(
    ("config", "summary", "place", "chosen"),
    [
        ({"fit": {"evaluate_every_steps": 10}}, {}, "prompts that it held out", True),
        ({"fit": {"evaluate_every_steps": 10}}, {"best_step": 100}, "prompts that it", True),
        ({"fit": {"evaluate_every_steps": 100}}, {"best_step": 100}, "prompts that it", False),
        ({"evaluation": "/x/dev"}, {}, "judgements of dev", True),
        ({"fit": {}}, {"best_step": None}, "prompts that it held out", False),
    ],
)
def test_training_says_what_it_measured_itself_on_and_whether_that_chose(
    tmp_path: Path, config: dict[str, Any], summary: dict[str, Any], place: str, chosen: bool
) -> None:
    files = {"config": {**CONFIG, **config}, "summary": {**SUMMARY, **summary}}
    card = model_card(folder(tmp_path, **files))
    assert f"measured itself on the {place}" in card
    assert ("chose by them which weights" in card) == chosen


def test_the_hub_reads_the_head(tmp_path: Path) -> None:
    data = top(model_card(config_of(tmp_path, evaluation=[RECORD]), "user/mine"))
    assert data.license == "apple-amlr"
    assert data.library_name == "beholder"
    assert data.model_name == "mine"
    assert data.eval_results is not None
    (result,) = data.eval_results
    assert (result.metric_value, result.dataset_name) == (0.7123, "hpdv2 test")


def test_no_place_of_this_machine_is_told(tmp_path: Path) -> None:
    card = model_card(config_of(tmp_path))
    assert "From judgements (names of folders)" in card
    assert "/home/me" not in card
    assert str(tmp_path) not in card


def test_names_and_warnings_cannot_break_out_of_their_line(tmp_path: Path) -> None:
    record = {**RECORD, "data": {"name": NASTY}, "meaning": NASTY}
    record["aspects"] = {NASTY: {"accuracy": 0.5, "low": 0.4, "high": 0.6, "pairs": NASTY}}
    summary = {**SUMMARY, "warnings": [NASTY], "dropped": {NASTY: NASTY}}
    config = {**CONFIG, "mix": {NASTY: {}}, "reward": NASTY, "loss": {"name": NASTY}}
    place = folder(tmp_path, config=config, summary=summary, evaluation=[record])
    card = model_card(place, "user/mine")
    body = card.split("---\n\n", 1)[1]
    assert "<img" not in re.sub(r"\\<", "", body)
    assert not re.search(r"(?<!\\)\]\(http", body)
    assert not re.search(r"^# b", body, re.MULTILINE)
    results = top(card).eval_results
    assert results is not None
    (result,) = results
    assert result.dataset_name == NASTY


def test_a_warning_of_the_run_is_told_at_the_top(tmp_path: Path) -> None:
    place = folder(tmp_path, config=CONFIG, summary={**SUMMARY, "warnings": ["loss stuck"]})
    assert "> **Please note.** loss stuck" in model_card(place).partition("## Use")[0]


class Coin:
    """Scores by picture, drawn once."""

    def __init__(self) -> None:
        self.values = np.random.default_rng(0).normal(size=80)

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        return Scores(torch.tensor([self.values[int(image)] for image in images]))


def test_calibration_is_told_with_its_temperature_and_error(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    coin = Coin()
    pairs = [
        Preference(
            key=str(k),
            prompt=f"prompt {k // 2}",
            first=str(k),
            second=str(k + 1),
            p_first={
                "overall": float(
                    random.random() < 1 / (1 + np.exp(coin.values[k + 1] - coin.values[k]))
                )
            },
        )
        for k in range(79)
    ]
    found = calibrate(score_pairs(coin, pairs), Fitting(draws=20))
    place = folder(tmp_path)
    (place / "calibration.json").write_text(found.to_json())
    card = model_card(place)
    total = found.scores["total"]
    errors = f"{total.before.ece.value:.3f} → {total.after.ece.value:.3f}"
    assert f"| total | {total.curve.temperature:.4f} | {errors} |" in card
    assert "Not calibrated" not in card


@pytest.mark.parametrize(
    "name", ["evaluation.json", "summary.json", "config.yaml", "calibration.json"]
)
def test_a_damaged_record_is_named(tmp_path: Path, name: str) -> None:
    place = folder(tmp_path)
    (place / name).write_text("{]")
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        model_card(place)


def test_a_folder_without_a_reward_has_no_card(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no reward"):
        model_card(tmp_path)


def test_the_card_is_written_beside_the_weights(tmp_path: Path) -> None:
    place = folder(tmp_path)
    assert write_card(place) == place / "README.md"
    assert (place / "README.md").read_text() == model_card(place)
