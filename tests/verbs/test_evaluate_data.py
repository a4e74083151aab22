"""Pairs from folders and published data sets, and what describes a reward."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import beholder
from beholder._verbs.evaluate_data import (
    described,
    has_learned,
    own_figures,
    published_figures,
    read_pairs,
    source_name,
    versions,
)
from beholder.annotation.records.dataset import write_preferences
from beholder.errors import ConfigError
from beholder.eval.evaluation_record import PairData
from beholder.rewards import RewardCard, reward_class, tiny
from beholder.rewards._calibration import owner_of
from beholder.rewards._card import Accuracy
from beholder.types import Preference
from tests.annotation.sources.published import touch, write_json


def row(ranks: list[int], raw: list[list[int]] | None = None) -> dict[str, Any]:
    said = [{"rank": each, "user_hash": f"u{k}"} for k, each in enumerate(raw or [])]
    names = [f"{n}.png" for n in range(len(ranks))]
    return {"prompt": "fox", "image_path": names, "rank": ranks, "raw_annotations": said}


def hpdv2(folder: Path, *rows: dict[str, Any]) -> Path:
    write_json(folder / "test.json", list(rows))
    touch(folder / "test", "0.png", "1.png", "2.png")
    return folder


def test_a_published_ranking_is_its_pairs(tmp_path: Path) -> None:
    data = read_pairs(f"hpdv2:{hpdv2(tmp_path / 'd', row([2, 1, 2]))}:test", [], "other")
    assert (data.name, data.split, data.title) == ("hpdv2", "test", "hpdv2 test")
    said = [
        (Path(p.first).name, Path(p.second).name, p.p_first["overall"]) for p in data.preferences
    ]
    assert said == [("0.png", "1.png", 0.0), ("0.png", "2.png", 0.5), ("1.png", "2.png", 1.0)]


def test_several_annotators_of_a_prompt_are_not_joined(tmp_path: Path) -> None:
    folder = hpdv2(tmp_path / "d", row([1, 2], [[1, 2], [2, 1], [1, 2]]))
    data = read_pairs(f"hpdv2:{folder}", ["raw=true"], "test")
    assert [p.p_first["overall"] for p in data.preferences] == [1.0, 0.0, 1.0]
    assert len({p.key for p in data.preferences}) == 3
    assert data.options == {"raw": True}


def test_pairs_of_missing_pictures_stay_for_the_reward_to_report(tmp_path: Path) -> None:
    folder = hpdv2(tmp_path / "d", row([1, 2, 3]))
    (folder / "test/0.png").unlink()
    assert len(read_pairs(f"hpdv2:{folder}", [], "test").preferences) == 3


def test_a_row_that_gives_no_pair_is_counted_with_its_reason(tmp_path: Path) -> None:
    folder = hpdv2(tmp_path / "d", row([1, 2]), {"prompt": "", "image_path": [], "rank": []})
    assert sum(read_pairs(f"hpdv2:{folder}", [], "test").rows_left_out.values()) == 1


def test_a_place_may_hold_a_colon_but_a_wrong_split_is_named(tmp_path: Path) -> None:
    folder = hpdv2(tmp_path / "a:b", row([1, 2]))
    assert len(read_pairs(f"hpdv2:{folder}", [], "test").preferences) == 1
    with pytest.raises(ConfigError, match="no split 'tset'; expected one of train, test"):
        read_pairs(f"hpdv2:{folder}:tset", [], "test")


def test_a_folder_of_judgements_is_named_by_itself(tmp_path: Path) -> None:
    said = [Preference(key="k", prompt="x", first="a", second="b", p_first={"overall": 1.0})]
    write_preferences(said, tmp_path / "mine/preferences")
    data = read_pairs(str(tmp_path / "mine"), [], "test")
    assert (data.name, data.split, list(data.preferences)) == ("mine", "", said)
    (tmp_path / "mine/report.json").write_text('{"source": "pickapic-v2", "split": "train"}')
    data = read_pairs(str(tmp_path / "mine"), [], "test")
    assert (data.name, data.split) == ("pickapic", "train")
    assert source_name(str(tmp_path / "mine")) == ""
    assert source_name("hpdv2:x:test") == "hpdv2"


def converted(place: Path, **report: object) -> PairData:
    """A folder called as a data set, with such a report."""
    said = [Preference(key="k", prompt="x", first="a", second="b", p_first={"overall": 1.0})]
    write_preferences(said, place / "hpdv2/preferences")
    if report:
        write_json(place / "hpdv2/report.json", {"source": "hpdv2", "split": "test", **report})
    return read_pairs(str(place / "hpdv2"), [], "test")


def test_a_folder_is_a_published_test_set_only_if_its_report_says_so(tmp_path: Path) -> None:
    assert published_figures(converted(tmp_path / "named")) == []
    assert published_figures(converted(tmp_path / "old", left_out={})) == []
    cut = converted(tmp_path / "cut", limit=100, options={"raw": "True"}, left_out={"no label": 3})
    assert published_figures(cut) == []
    assert (cut.limit, cut.options, cut.rows_left_out) == (100, {"raw": "True"}, {"no label": 3})
    assert cut.as_dict()["limit"] == 100
    assert published_figures(converted(tmp_path / "train", limit=None, split="train")) == []
    assert published_figures(converted(tmp_path / "whole", limit=None, left_out={})) != []


@pytest.mark.parametrize(
    ("config", "learned"),
    [
        ({"preferences": "data"}, True),
        ({"preferences": "data/preferences"}, True),
        ({"mix": {"a": {"preferences": "data"}}}, True),
        ({"feedback": "data"}, True),
        ({"preferences": "other", "evaluation": "data"}, False),
    ],
)
def test_what_a_run_learned_from_is_known(
    tmp_path: Path, config: dict[str, Any], learned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/preferences").mkdir(parents=True)
    tiny.build().save_pretrained(tmp_path / "run")
    (tmp_path / "run/config.yaml").write_text(json.dumps(config))
    reward = beholder.load(str(tmp_path / "run"))
    assert has_learned(reward, str(tmp_path / "data")) == learned
    assert not has_learned(beholder.load("tiny"), "data")


def test_a_reward_is_described_by_what_moves_its_scores() -> None:
    one = described("mine", beholder.load("tiny"))
    assert (one["name"], one["reward"], one["options"]) == ("mine", "tiny", {"seed": 0})
    assert one["resize"] == [
        {
            **{"size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3, "fit": "squash"},
            **{"interpolation": "bicubic", "crop_offset": "floor", "half": False},
            "resampling": "pillow",
        }
    ]
    half = described("mine", beholder.load("tiny", dtype=torch.bfloat16))
    other = described("mine", beholder.load("tiny", seed=1))
    assert (one["dtype"], half["dtype"]) == ("float32", "bfloat16")
    assert len({str(each["weights"]) for each in (one, half, other)}) == 3
    assert one["weights"] == owner_of(beholder.load("tiny")).weights
    assert all(len(str(each["weights"])) == 64 for each in (one, half, other))


def test_published_figures_are_those_of_the_same_test_split() -> None:
    data = PairData(name="imagerewarddb", split="test", preferences=(), is_published=True)
    found = {(p.reward, p.percent) for p in published_figures(data)}
    assert {("imagereward", 65.14), ("mps", 67.5), ("blipscore", 57.76)} <= found
    assert published_figures(PairData(name="imagerewarddb", split="train", preferences=())) == []
    assert published_figures(PairData(name="my own", preferences=())) == []
    assert [p.percent for p in own_figures(data, reward_class("mps").card)] == [67.5]


def test_the_card_of_the_reward_at_hand_counts_too_and_none_twice() -> None:
    data = PairData(name="hpdv2", split="test", preferences=(), is_published=True)
    old = RewardCard(name="hps", paper="", accuracy=(Accuracy("HPDv2 test", 83.3, "p", "s"),))
    found = [p.percent for p in published_figures(data, [old, old]) if p.reward == "hps"]
    assert found == [83.3, 84.1]


def test_versions_name_what_computes() -> None:
    found = versions()
    assert found["beholder"] == beholder.__version__
    assert (
        found["torch"] == torch.__version__.partition("+")[0] or found["torch"] == torch.__version__
    )
