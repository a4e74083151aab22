import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, ModelCardData

import beholder
from beholder.errors import DataError
from beholder.rewards import tiny
from beholder.rewards._calibration import owner_of
from beholder.rewards._parcel import pack

EVALUATION = {
    "protocol": "imagereward/1",
    "data": {"name": "judgements", "options": {"root": "/home/me/data"}},
    "aspects": {"overall": {"accuracy": 0.7, "low": 0.6, "high": 0.8, "pairs": 9, "prompts": 4}},
    "unreadable": {"/home/me/secret.png": "missing"},
    "pictures_without_score": 1,
}


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
    record = {**EVALUATION, "reward": {"weights": owner_of(reward).weights}}
    (place / "evaluation.json").write_text(json.dumps([record]))
    summary = {"pairs": {"training": 90, "held_out": 10}, "metrics": {}, "steps": 7}
    (place / "summary.json").write_text(json.dumps(summary))
    config = {"reward": "tiny", "preferences": "/home/me/judgements", "run": str(place)}
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
    assert [one.metric_value for one in card.data.eval_results or ()] == [0.7]
    again = beholder.load("user/mine")
    assert again.folder is not None
    assert (
        json.loads((again.folder / "evaluation.json").read_text())[0]["aspects"]
        == (EVALUATION["aspects"])
    )
    picture = torch.rand(1, 3, 32, 32)
    assert torch.equal(again(picture, ["x"]).total, reward(picture, ["x"]).total)


def test_nothing_that_is_pushed_tells_of_this_machine(tmp_path: Path, hub: Hub) -> None:
    hub.place.mkdir()
    beholder.load(str(trained(tmp_path / "run"))).push_to_hub("user/mine")
    texts = [p for p in (hub.place / "user--mine").iterdir() if p.suffix != ".safetensors"]
    sent = "".join(path.read_text() for path in texts)
    assert "/home/me" not in sent
    assert "secret.png" not in sent
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


def test_an_evaluation_of_other_weights_stays_behind(tmp_path: Path) -> None:
    source = trained(tmp_path / "run")
    rows = json.loads((source / "evaluation.json").read_text())
    other = {**EVALUATION, "reward": {"weights": "other"}}
    (source / "evaluation.json").write_text(json.dumps([*rows, other, EVALUATION]))
    parcel = tmp_path / "parcel"
    reward = beholder.load(str(source))
    reward.save_pretrained(parcel)
    pack(parcel, source, "user/mine", owner_of(reward).weights)
    assert len(json.loads((parcel / "evaluation.json").read_text())) == 2


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
