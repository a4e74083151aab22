"""evaluate and power as a user calls them: real files in, tables and records out, exit codes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

import beholder
from beholder import _terminal
from beholder._verbs import evaluate as _evaluate
from beholder.annotation.joining.feedback import write_feedback
from beholder.annotation.records.dataset import write_preferences
from beholder.annotation.sources import convert, load
from beholder.rewards.scoring import Row, score_table, weights_hash
from beholder.types import ASPECTS, Preference
from tests.annotation.sources.published import picked, write_json, write_parquet
from tests.training.spots import feedback


class Verbs:
    """Runs the two verbs in this process; keeps what they printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.out = self.err = ""

    def __call__(self, *words: object) -> int:
        app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
        _evaluate.register(app)
        self._monkeypatch.setattr("sys.argv", ["beholder", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            _terminal.run(app)
        self.out, self.err = self._capsys.readouterr()
        return int(stop.value.code or 0)

    def json(self, *words: object, code: int = 0) -> dict[str, Any]:
        assert self(*words, "--json") == code, self.err
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verbs:
    return Verbs(monkeypatch, capsys)


def draw(folder: Path, names: Sequence[str], seed: int = 0) -> None:
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def hpdv2(tmp_path: Path) -> Path:
    """Six rankings of four pictures as HPDv2 publishes them, each by two annotators too."""
    generator = np.random.default_rng(1)

    def ranks() -> list[int]:
        return [int(r) for r in generator.permutation(4) + 1]

    rows = []
    for k in range(6):
        names = [f"{k}_{n}.png" for n in range(4)]
        draw(tmp_path / "HPDv2/test", names, seed=k)
        raw = [{"rank": ranks(), "user_hash": f"u{person}"} for person in range(2)]
        rows.append(
            {"prompt": f"fox {k}", "image_path": names, "rank": ranks(), "raw_annotations": raw}
        )
    write_json(tmp_path / "HPDv2/test.json", rows)
    return tmp_path / "HPDv2"


@pytest.fixture
def judgements(tmp_path: Path) -> Path:
    draw(tmp_path / "p", [f"{k}.png" for k in range(12)])
    said = [
        Preference(
            key=f"q{k}",
            prompt=f"prompt {k // 2}",
            first=str(tmp_path / f"p/{k}.png"),
            second=str(tmp_path / f"p/{(k + 1) % 12}.png"),
            p_first=dict.fromkeys(ASPECTS, float(k % 3 > 0)),
        )
        for k in range(12)
    ]
    write_preferences(said, tmp_path / "judgements/preferences")
    return tmp_path / "judgements"


def by_hand(hpdv2: Path, field: str = "rank") -> float:
    """1 - inversions / pairs of the published rankings, with scores asked for one by one."""
    reward, found = beholder.load("tiny"), []
    for row in json.loads((hpdv2 / "test.json").read_text()):
        paths = [str(hpdv2 / "test" / name) for name in row["image_path"]]
        scores = reward.score(paths, [row["prompt"]] * 4).total.tolist()
        asked = [row["rank"]] if field == "rank" else [a["rank"] for a in row["raw_annotations"]]
        for ranks in asked:
            right = sum(
                (scores[i] > scores[j]) == (ranks[i] < ranks[j])
                for i in range(4)
                for j in range(i + 1, 4)
            )
            found.append(right / 6)
    return float(np.mean(found))


def test_hpdv2_is_read_as_published_and_counted_as_published(hpdv2: Path, verbs: Verbs) -> None:
    found = verbs.json("evaluate", "tiny", f"hpdv2:{hpdv2}:test", "--protocol", "hpdv2")
    assert found["protocol"] == "hpdv2/1"
    assert found["aspects"]["overall"]["accuracy"] == pytest.approx(by_hand(hpdv2))
    assert found["aspects"]["overall"]["prompts"] == 6
    assert (found["data"]["name"], found["data"]["split"]) == ("hpdv2", "test")
    reward = beholder.load("tiny")
    assert found["reward"]["weights"] == weights_hash(reward)
    assert found["reward"]["dtype"] == "float32"
    assert found["reward"]["resize"][0]["fit"] == "squash"
    assert {"beholder", "torch", "pillow"} <= set(found["versions"])
    published = {(p["reward"], p["percent"]) for p in found["published"]}
    assert {("hps", 84.1), ("mps", 83.5), ("pickscore", 79.8)} <= published


def test_each_annotator_of_raw_rankings_counts(hpdv2: Path, verbs: Verbs) -> None:
    words = ["evaluate", "tiny", f"hpdv2:{hpdv2}", "--protocol", "hpdv2", "--read", "raw=true"]
    found = verbs.json(*words)
    assert found["aspects"]["overall"]["accuracy"] == pytest.approx(by_hand(hpdv2, "raw"))
    assert (found["aspects"]["overall"]["pairs"], found["aspects"]["overall"]["prompts"]) == (72, 6)


def test_a_converted_data_set_gives_the_same_numbers_and_the_same_hash(
    hpdv2: Path, tmp_path: Path, verbs: Verbs
) -> None:
    convert(load("hpdv2"), hpdv2, "test", tmp_path / "converted")
    one = verbs.json("evaluate", "tiny", f"hpdv2:{hpdv2}")
    two = verbs.json("evaluate", "tiny", tmp_path / "converted")
    assert one["aspects"] == two["aspects"]
    assert one["data"] == two["data"]


def test_a_person_reads_a_small_table(hpdv2: Path, verbs: Verbs) -> None:
    assert verbs("evaluate", "tiny", f"hpdv2:{hpdv2}", "--protocol", "hpdv2") == 0
    assert "tiny on hpdv2 test, protocol hpdv2/1: 1 - strict inversions" in verbs.out
    assert "published for HPDv2 test" in verbs.out


def test_a_missing_picture_is_counted_and_told(hpdv2: Path, verbs: Verbs) -> None:
    (hpdv2 / "test/0_0.png").unlink()
    found = verbs.json("evaluate", "tiny", f"hpdv2:{hpdv2}", code=3)
    assert list(found["unreadable"]) == [str(hpdv2 / "test/0_0.png")]
    assert (found["pairs"], found["pairs_left_out"]) == (36, 3)
    assert found["aspects"]["overall"]["pairs"] == 33
    assert verbs("evaluate", "tiny", f"hpdv2:{hpdv2}") == 3
    assert "1 pictures have no score; 3 pairs with them do not count" in verbs.out


def test_pickapic_chooses_its_threshold_on_the_validation_split(
    tmp_path: Path, verbs: Verbs
) -> None:
    for split, seed in (("validation_unique", 0), ("test_unique", 1)):
        generator = np.random.default_rng(seed)
        rows = []
        for k in range(8):
            first = float(generator.choice([0.0, 0.5, 1.0]))
            uids = [f"{split}-{k}-{side}" for side in "ab"]
            draw(tmp_path / "drawn", [f"{uid}.png" for uid in uids], seed=seed * 100 + k)
            data = [(tmp_path / f"drawn/{uid}.png").read_bytes() for uid in uids]
            rows.append(picked(first, 1 - first, caption=f"fox {k}", image_0_uid=uids[0],
                               image_1_uid=uids[1], jpg_0=data[0], jpg_1=data[1]))  # fmt: skip
        rows.append(picked(None, None, has_label=False))
        write_parquet(tmp_path / f"pick/data/{split}-00000-of-00001.parquet", rows)
    place = f"pickapic:{tmp_path / 'pick'}"
    read = ["--read", f"pictures={tmp_path / 'unpacked'}", "--read", "version=v1"]
    words = ["evaluate", "tiny", f"{place}:test_unique", "--protocol", "pickapic", *read]
    found = verbs.json(*words, "--validation", f"{place}:validation_unique")
    overall = found["aspects"]["overall"]
    assert overall["pairs"] == 8
    assert overall["tie_threshold"] in [k / 10 for k in range(11)]
    assert found["tie_threshold_from"].startswith("chosen on pickapic validation_unique, pairs ")
    assert found["data"]["rows_left_out"] == {"the pair has no label": 1}
    assert found["data"]["options"] == {"version": "v1"}  # where pictures lie moves no number
    assert {p["reward"] for p in found["published"]} >= {"pickscore", "hpsv3"}
    again = verbs.json(*words, "--tie-threshold", overall["tie_threshold"])
    assert again["tie_threshold_from"] == "given"
    assert again["aspects"] == found["aspects"]
    assert verbs(*words) == 2
    assert "needs tie_threshold or validation" in verbs.err
    assert verbs("evaluate", "tiny", place) == 2
    assert "--read pictures=FOLDER" in verbs.err


def test_a_failure_among_the_validation_pairs_is_told_too(judgements: Path, verbs: Verbs) -> None:
    other = judgements.parent / "other"
    said = [
        Preference(
            key=k, prompt="x", first=first, second=second, p_first=dict.fromkeys(ASPECTS, 1.0)
        )
        for k, first, second in (
            ("a", str(judgements.parent / "p/0.png"), str(judgements.parent / "p/1.png")),
            ("b", str(judgements.parent / "p/0.png"), "gone.png"),
        )
    ]
    write_preferences(said, other / "preferences")
    words = ["evaluate", "tiny", judgements, "--protocol", "pickapic", "--validation", other]
    found = verbs.json(*words, code=3)
    assert found["unreadable"] == {}
    assert found["tie_threshold_from"].endswith("without 1 pairs with a picture that has no score")


def test_two_rewards_are_compared_on_the_same_pairs(judgements: Path, verbs: Verbs) -> None:
    words = ["evaluate", "tiny", judgements, "--set", "other.seed=3", "--against", "other=tiny"]
    found = verbs.json(*words, "--protocol", "mhp")
    (other,) = found["against"]
    assert other["reward"]["options"] == {"seed": 3}
    assert [d["aspect"] for d in found["differences"]] == list(ASPECTS)
    for told in found["differences"]:
        one, two = (x["aspects"][told["aspect"]]["accuracy"] for x in (found, other))
        assert told["difference"] == pytest.approx(one - two)
        assert told["p"] <= told["p_holm"] <= 1
    assert verbs(*words) == 0
    assert "tiny - other" in verbs.out
    assert "p (Holm)" in verbs.out


def test_saved_numbers_stand_in_the_rewards_folder_and_tell_the_power(
    judgements: Path, tmp_path: Path, verbs: Verbs
) -> None:
    folder = tmp_path / "reward"
    beholder.load("tiny").save_pretrained(folder)
    words = ["evaluate", folder, judgements, "--save", "--set", "other.seed=3"]
    assert verbs(*words, "--against", "other=tiny") == 0
    assert verbs(*words[:4], "--protocol", "hpdv2") == 0
    assert verbs(*words[:4]) == 0  # keeps the difference
    assert verbs(*words, "--against", "other=tiny") == 0
    kept = json.loads((folder / "evaluation.json").read_text())
    assert [k["protocol"] for k in kept] == ["hpdv2/1", "imagereward/1"]
    against = [each["against"] for each in kept[1]["differences"]]
    assert {each["weights"] for each in against} == {weights_hash(beholder.load("tiny", seed=3))}
    assert len(against) == len(ASPECTS)
    assert kept[1]["data"]["name"] == "judgements"
    assert beholder.load(str(folder)).card.name == "tiny"  # the file harms nothing
    told = verbs.json("power", folder, "--within", "0.1")
    assert [e["protocol"] for e in told["evaluations"]] == ["hpdv2/1", "imagereward/1"]
    (gap, *_) = told["evaluations"][1]["differences"]
    assert (gap["first"], gap["second"], gap["prompts"]) == ("reward", "other", 6)
    assert told["evaluations"][1]["accuracies"][0]["within"] == 0.1
    assert verbs("power", folder, "--by", "step") == 2
    assert "--by and --score are of a score table" in verbs.err
    assert verbs("power", folder) == 0
    assert "prompts for +-0.02" in verbs.out
    assert verbs("evaluate", "tiny", judgements, "--save") == 2
    assert "'tiny' is none" in verbs.err


def test_power_says_how_many_prompts_tell_checkpoints_apart(tmp_path: Path, verbs: Verbs) -> None:
    draw(tmp_path / "p", [f"{m}{k}.png" for m in "ab" for k in range(6)])
    rows = [
        Row(
            key=f"{m}{k}",
            image=str(tmp_path / f"p/{m}{k}.png"),
            prompt=f"p{k}",
            name=f"{m}{k}.png",
            extra={"model": m},
        )
        for m in "ab"
        for k in range(6)
    ]
    score_table(rows, {"tiny": beholder.load("tiny")}, tmp_path / "scores")
    (told,) = verbs.json("power", tmp_path / "scores", "--power", "0.9")["checkpoints"]
    assert (told["first"], told["second"], told["prompts"]) == ("a", "b", 6)
    assert told["needed"] >= 2
    assert verbs("power", tmp_path / "scores") == 0
    assert "prompts tell a difference of" in verbs.out
    assert verbs("power", tmp_path / "scores", "--by", "modl") == 2
    assert verbs("power", tmp_path / "scores", "--alpha", "2") == 2
    assert verbs("power", tmp_path / "scores", "--within", "0.1") == 2
    assert "--within is of a reward's evaluation.json" in verbs.err
    assert verbs("power", tmp_path / "p") == 1


def test_rich_feedback_is_measured_by_its_own_figures(tmp_path: Path, verbs: Verbs) -> None:
    write_feedback(feedback(tmp_path, 4), tmp_path / "data")
    beholder.load("richhf", size="tiny").save_pretrained(tmp_path / "reward")
    next(tmp_path.glob("0-*.png")).unlink()
    assert verbs("evaluate", tmp_path / "reward", tmp_path / "data") == 3
    assert "plausibility.plcc" in verbs.out
    assert "not scored, file not found: 1" in verbs.out
    assert verbs("evaluate", "tiny", tmp_path / "data", "--against", "tiny") == 2
    assert "leave out what is for pairs: --against" in verbs.err


@pytest.mark.parametrize(
    "words",
    [
        ["--protocol", "hpdv2"],
        ["--tie-threshold", "0.1"],
        ["--read", "raw=true"],
        ["--validation", "x"],
        ["--save"],
    ],
)
def test_what_means_nothing_on_rich_feedback_is_refused(
    tmp_path: Path, verbs: Verbs, words: list[str]
) -> None:
    write_feedback(feedback(tmp_path, 1), tmp_path / "data")
    assert verbs("evaluate", "tiny", tmp_path / "data", *words) == 2
    assert f"leave out what is for pairs: {words[0]}" in verbs.err


def test_draws_and_seed_are_those_of_rich_feedback_too(tmp_path: Path, verbs: Verbs) -> None:
    write_feedback(feedback(tmp_path, 4), tmp_path / "data")
    words = ["evaluate", "tiny", tmp_path / "data", "--draws", "7", "--seed", "3"]
    found = verbs.json(*words)
    assert (found["draws"], found["seed"]) == (7, 3)


def test_what_is_wrong_shows_before_a_reward_is_loaded(
    judgements: Path, verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> dict[str, Any]:
        raise AssertionError("loaded")

    monkeypatch.setattr("beholder._terminal.named_rewards", load)
    assert verbs("evaluate", "tiny", judgements, "--protocol", "pickapic") == 2
    assert verbs("evaluate", "tiny", judgements / "nowhere") == 1
    assert verbs("evaluate", "tiny", f"hpdv2:{judgements / 'nowhere'}") == 1
    pickapic = ["evaluate", "tiny", judgements, "--protocol", "pickapic"]
    assert verbs(*pickapic, "--tie-threshold", "1.5") == 2
    assert verbs(*pickapic, "--tie-threshold", "0.1", "--validation", "x") == 2


def test_a_reward_that_is_judged_by_what_it_learned_is_warned_of(
    judgements: Path, tmp_path: Path, verbs: Verbs
) -> None:
    beholder.load("tiny").save_pretrained(tmp_path / "run")
    (tmp_path / "run/config.yaml").write_text(f"preferences: {judgements}\n")
    assert verbs("evaluate", tmp_path / "run", judgements, "--draws", "5") == 0
    assert "WARNING: run was trained on" in verbs.err
    assert verbs("evaluate", "tiny", judgements, "--draws", "5") == 0
    assert "WARNING" not in verbs.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere"], 1, "give a folder of judgements, or a published data set as NAME:PLACE"),
        (["hpdv2:nowhere"], 1, "nowhere"),
        (["richhf18k:x"], 2, "richhf18k holds feedback, not pairs"),
        (["hpdv2:x", "--read", "rew=1"], 2, "has no option 'rew'"),
        (["judgements", "--read", "raw=true"], 2, "is a folder of judgements"),
        (["judgements", "--protocol", "pickapic"], 2, "needs tie_threshold"),
        (["judgements", "--tie-threshold", "0.1"], 2, "takes no tie threshold"),
        (["judgements", "--protocol", "pickscore"], 2, "pickscore"),
        (["judgements", "--against", "tiny"], 2, "two rewards would share"),
    ],
)
def test_bad_input_is_one_clear_line(
    words: list[str],
    code: int,
    says: str,
    judgements: Path,
    verbs: Verbs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(judgements.parent)
    assert verbs("evaluate", "tiny", *words) == code
    assert says in verbs.err
