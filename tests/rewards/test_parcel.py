import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, ModelCardData

import beholder
from beholder._terminal import finite
from beholder._verbs.evaluate_data import described, versions
from beholder.calibration import read_calibration
from beholder.errors import DataError
from beholder.eval.calibration import Fitting, calibrate
from beholder.eval.evaluation_record import PairData, evaluation_record, keep_evaluation
from beholder.eval.preference import evaluate, score_pairs
from beholder.eval.table_scores import TableScores
from beholder.rewards import Reward, tiny
from beholder.rewards._calibration import owner_of
from beholder.rewards._parcel import _public, pack
from beholder.types import Preference, Scores

PAIRS = [
    Preference(
        key=str(k),
        prompt=f"prompt {k}",
        first=f"/home/me/{k}.png",
        second=f"/home/me/{k + 1}.png",
        p_first={"overall": 0.25},
    )
    for k in range(4)
]


def evaluation(reward: Reward) -> dict[str, Any]:
    """The record that `evaluate --save` keeps of a reward, as it keeps it."""
    rows = [
        {"key": str(k), "image": f"/home/me/{k}.png", "prompt": f"prompt {p}", "r.total": float(k)}
        for p in range(4)
        for k in range(5)
        if (k, p) != (4, 3)
    ]
    record = evaluation_record(
        evaluate(TableScores(rows, "r"), PAIRS, draws=5),
        data=PairData(name="judgements", options={"root": "/home/me/data"}, preferences=PAIRS),
        reward=described("mine", reward),
        versions=versions(),
    )
    return cast("dict[str, Any]", finite(record))


class Numbered:
    """Scores a picture by the number it is called."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        return Scores(torch.tensor([float(Path(image).stem) for image in images]))


class Hub:
    """A folder that stands for the hub: what is uploaded can be fetched."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.made: dict[str, object] = {}
        monkeypatch.setattr("huggingface_hub.HfApi", lambda: self)
        monkeypatch.setattr("huggingface_hub.snapshot_download", self.fetch)

    def create_repo(self, repo: str, **options: object) -> Any:
        self.made = options

        class Address(str):
            repo_id = f"user/{repo.rpartition('/')[2]}"

        return Address(f"https://hub.example/{Address.repo_id}")

    def upload_folder(self, *, repo_id: str, folder_path: str) -> None:
        target = self.place / repo_id.replace("/", "--")
        target.mkdir()
        for path in Path(folder_path).iterdir():
            (target / path.name).write_bytes(path.read_bytes())

    def fetch(self, repo: str, allow_patterns: list[str]) -> str:
        """Only what the pattern names is fetched."""
        source = self.place / repo.replace("/", "--")
        fetched = self.place / "cache" / source.name
        fetched.mkdir(parents=True, exist_ok=True)
        for path in source.iterdir():
            if path.name in allow_patterns:
                (fetched / path.name).write_bytes(path.read_bytes())
        return str(fetched)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(tmp_path / "hub", monkeypatch)


def trained(place: Path) -> Path:
    """A folder as a run and an evaluation leave it."""
    reward = tiny.build(seed=3)
    reward.save_pretrained(place)
    keep_evaluation(place, evaluation(reward))
    summary = {"pairs": {"training": 90, "held_out": 10}, "metrics": {}, "steps": 7}
    summary["warnings"] = ["/home/me/lost/a.png and runs/lost/b.png cannot be read"]
    (place / "summary.json").write_text(json.dumps(summary))
    config = {"reward": "tiny", "preferences": "private/judgements", "run": str(place)}
    (place / "config.yaml").write_text(yaml.safe_dump(config))
    return place


def test_what_is_pushed_is_read_back_with_card_and_evaluation(tmp_path: Path, hub: Hub) -> None:
    hub.place.mkdir()
    reward = beholder.load(str(trained(tmp_path / "run")))
    assert reward.push_to_hub("mine", private=True) == "https://hub.example/user/mine"
    assert hub.made == {"private": True, "exist_ok": True}
    there = hub.place / "user--mine"
    assert {path.name for path in there.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
        "evaluation.json",
        "summary.json",
        "config.yaml",
    }
    card = ModelCard((there / "README.md").read_text(), ignore_metadata_errors=False)
    assert "beholder.load('user/mine')" in card.text
    assert isinstance(card.data, ModelCardData)
    kept = evaluation(reward)["aspects"]
    results = [one.metric_value for one in card.data.eval_results or ()]
    assert results == [round(kept["overall"]["accuracy"], 4)]
    again = beholder.load("user/mine")
    assert again.folder is not None
    assert json.loads((again.folder / "evaluation.json").read_text())[0]["aspects"] == kept
    picture = torch.rand(1, 3, 32, 32)
    assert torch.equal(again(picture, ["x"]).total, reward(picture, ["x"]).total)


def test_nothing_that_is_pushed_tells_of_this_machine(tmp_path: Path, hub: Hub) -> None:
    hub.place.mkdir()
    place = trained(tmp_path / "run")
    reward = beholder.load(str(place))
    found = calibrate(score_pairs(Numbered(), PAIRS * 10), Fitting(folds=2, draws=5))
    reward.calibration = replace(
        found,
        owner=owner_of(reward),
        judgements="/home/me/judgements",
        reference="private/reference",
        left_out={"detail": "no answer in /home/me/judgements/x"},
    )
    reward.push_to_hub("user/mine")
    texts = [p for p in (hub.place / "user--mine").iterdir() if p.suffix != ".safetensors"]
    sent = "".join(path.read_text() for path in texts)
    assert "/home/me" not in sent
    for told in ("private", "lost/", "/me/"):
        assert told not in sent
    assert "a.png and b.png cannot be read" in sent
    calibration = read_calibration(hub.place / "user--mine/calibration.json")
    assert (calibration.judgements, calibration.reference) == ("judgements", "reference")
    assert calibration.left_out == {"detail": "no answer in x"}
    assert calibration.owner == owner_of(reward)
    assert calibration.scores == found.scores
    assert str(tmp_path) not in sent


def test_weights_that_changed_leave_the_old_records_behind(
    tmp_path: Path, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.place.mkdir()
    reward = beholder.load(str(trained(tmp_path / "run")))
    with torch.no_grad():
        next(reward.parameters()).add_(1.0)
    reward.push_to_hub("user/mine")
    there = hub.place / "user--mine"
    assert "the weights changed since" in caplog.text
    assert not (there / "evaluation.json").exists()
    assert "Not evaluated" in (there / "README.md").read_text()


def test_an_evaluation_of_other_weights_or_options_stays_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = trained(tmp_path / "run")
    (own,) = json.loads((source / "evaluation.json").read_text())
    others = [
        {**own, "reward": {**own["reward"], **change}}
        for change in ({"weights": "other"}, {"options": {"seed": 4}}, {"weights": None})
    ]
    (source / "evaluation.json").write_text(json.dumps([own, *others]))
    parcel = tmp_path / "parcel"
    reward = beholder.load(str(source))
    reward.save_pretrained(parcel)
    pack(parcel, source, "user/mine", owner_of(reward).weights)
    (kept,) = json.loads((parcel / "evaluation.json").read_text())
    assert kept["reward"] == own["reward"]
    assert "3 of 4 records of evaluation.json are of other weights" in caplog.text


@pytest.mark.parametrize(("seed", "is_kept"), [(3, True), (4, False)])
def test_a_fidelity_of_another_student_stays_behind(
    tmp_path: Path, seed: int, is_kept: bool
) -> None:
    source = trained(tmp_path / "run")
    told = {"judge": {}, "reward": described("x", tiny.build(seed=seed))}
    (source / "fidelity.json").write_text(json.dumps(told))
    reward = beholder.load(str(source))
    reward.save_pretrained(tmp_path / "parcel")
    pack(tmp_path / "parcel", source, "user/mine", owner_of(reward).weights)
    assert (tmp_path / "parcel/fidelity.json").exists() == is_kept


@pytest.mark.parametrize(
    ("given", "key", "told"),
    [
        ("data/HPDv2/test", "", "test"),
        ("judging/preferences", "preferences", "preferences"),
        ("own/weights.safetensors", "weights", "weights.safetensors"),
        (r"data\me", "", "me"),
        ("google/vit-base-patch16-224", "folder", "google/vit-base-patch16-224"),
        ("imagereward/1", "protocol", "imagereward/1"),
        ("1 - strict inversions / pairs", "meaning", "1 - strict inversions / pairs"),
        ("see https://x.org/a/b/c", "", "see https://x.org/a/b/c"),
        ("lost ~/a/b.png, ../c/d.png", "", "lost b.png, d.png"),
        ("and/or", "", "and/or"),
        (["/a/b", 3, None], "", ["b", 3, None]),
    ],
)
def test_paths_are_cut_and_nothing_else(given: Any, key: str, told: Any) -> None:
    assert _public({key: given}, "") == {key: told}


def test_a_reward_that_came_from_no_folder_has_a_card_all_the_same(
    tmp_path: Path, hub: Hub
) -> None:
    hub.place.mkdir()
    tiny.build().push_to_hub("user/mine")
    assert "Not evaluated" in (hub.place / "user--mine" / "README.md").read_text()


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    source = trained(tmp_path / "run")
    (source / "summary.json").write_text("{]")
    beholder.load(str(source)).save_pretrained(tmp_path / "parcel")
    with pytest.raises(DataError, match=r"summary\.json cannot be read"):
        pack(tmp_path / "parcel", source, "user/mine", "")
