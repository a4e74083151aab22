"""The verb on a folder of judgements and a tiny reward, from fit to filter."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

import beholder
from beholder._verbs.calibrate import calibration_text, register
from beholder.annotation.records.dataset import read_preferences, write_preferences
from beholder.calibration import Curve, read_calibration
from beholder.errors import ConfigError, DataError
from beholder.eval.evaluation_record import pairs_hash
from beholder.rewards.tiny import build
from beholder.types import Preference
from tests.calibrations import calibration

PROMPTS = [f"a {thing} {k}" for k in range(4) for thing in ("cat", "red fox", "lamp")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for k in range(12):
        pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def judgements(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People agree with the reward where it is sure, and toss a coin where it is not."""
    reward, generator = build(seed=1), np.random.default_rng(1)
    files = sorted(map(str, pictures.glob("*.png")))
    rows = []
    for prompt in PROMPTS:
        total = reward.score(files, prompt).total
        for k in range(0, 12, 2):
            p = torch.sigmoid((total[k] - total[k + 1]) / 0.1).item()
            says = float(generator.random() < p)
            rows.append(
                Preference(
                    key=f"{prompt}{k}",
                    prompt=prompt,
                    first=files[k],
                    second=files[k + 1],
                    p_first={"overall": says},
                )
            )
    folder = tmp_path_factory.mktemp("judgements")
    write_preferences(rows, folder)
    return folder


def run(*words: object, code: int = 0) -> str:
    """What the verb prints; its error is raised."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    given = ["calibrate", *map(str, words), "--draws", "50"]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_a_folder_gets_its_calibration_and_a_page(
    judgements: Path, pictures: Path, tmp_path: Path
) -> None:
    folder, page = tmp_path / "mine", tmp_path / "calibration.html"
    build(seed=1).save_pretrained(folder)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(["a cat"] * 12))
    told = json.loads(
        run(folder, judgements, "--reference", pictures, "--prompts", prompts, "--json",
            "--report", page)
    )  # fmt: skip
    reward = beholder.load(str(folder))
    assert reward.calibration is not None
    total = reward.calibration.scores["total"]
    assert total.curve.temperature == pytest.approx(0.1, rel=0.5)
    assert told["scores"]["total"]["curve"]["temperature"] == total.curve.temperature
    assert told["file"] == str(folder / "calibration.json")
    assert len(total.reference) == told["scores"]["total"]["reference"] == 12
    assert reward.calibration.reference == f"12 pictures of {pictures.name}"
    hashed = pairs_hash(read_preferences(judgements))
    assert reward.calibration.judgements == f"{judgements.name}, pairs {hashed}"
    kept = (folder / "calibration.json").read_text()
    assert not [here for here in (judgements, pictures, tmp_path) if str(here.parent) in kept]
    assert total.after.log_loss.value < total.before.log_loss.value
    won = reward.win_probability(reward.score(sorted(pictures.glob("*.png")), "a cat"))
    assert won.total.mean().item() == pytest.approx(0.5, abs=1e-6)  # against themselves
    assert "How sure mine is" in page.read_text()


def test_a_published_reward_has_its_calibration_in_a_file(judgements: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.json"
    with pytest.raises(ConfigError, match="no folder that keeps its calibration; give --out FILE"):
        run("tiny", judgements)
    printed = run("tiny", judgements, "--set", "tiny.seed=1", "--out", file)
    assert str(file) in printed
    assert beholder.load("tiny", seed=1, calibration=file).calibration == read_calibration(file)
    again = run("tiny", judgements, "--set", "tiny.seed=1", "--out", file)
    assert again == printed


def test_options_that_do_not_fit_are_refused(
    judgements: Path, pictures: Path, tmp_path: Path
) -> None:
    build(seed=1).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="--prompts are those of the pictures of --reference"):
        run(tmp_path, judgements, "--prompts", tmp_path / "prompts.txt")
    with pytest.raises(DataError, match="the reward needs prompts"):
        run(tmp_path, judgements, "--reference", pictures)
    with pytest.raises(DataError, match="too few for the method isotonic"):
        run(tmp_path, judgements, "--method", "isotonic")
    assert not (tmp_path / "calibration.json").exists()


def test_the_table_says_before_and_after_and_what_was_left_out() -> None:
    found = calibration(Curve(temperature=0.5, tie_threshold=0.2))
    lines = calibration_text("mine", found).splitlines()
    assert lines[0].startswith("mine: temperature on 150 pairs of 30 prompts")
    assert lines[4].split("  ")[0] == "total"
    for shown in ("0.100 [0.090, 0.110]", "0.010 [0.000, 0.020]", "0.050 [0.040, 0.060]"):
        assert shown in lines[4]
    assert "T = 0.5" in lines[8]
    assert "0.200" in lines[8]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--set", "mine.seed=2"], "--set mine.seed"),
        (["--dtype", "bf16"], "--dtype bf16"),
    ],
)
def test_a_folder_keeps_no_calibration_of_a_reward_other_than_it_holds(
    judgements: Path, tmp_path: Path, words: list[str], named: str
) -> None:
    folder, file = tmp_path / "mine", tmp_path / "c.json"
    build(seed=1).save_pretrained(folder)
    with pytest.raises(ConfigError, match=f"{named} make another reward.*give --out FILE"):
        run(folder, tmp_path / "no-judgements", *words)  # refused before anything is read
    assert not (folder / "calibration.json").exists()
    run(folder, judgements, "--set", "mine.seed=1")
    assert beholder.load(str(folder)).calibration is not None
    if "--dtype" in words:
        run(folder, judgements, *words, "--out", file)
        half = beholder.load(str(folder), dtype=torch.bfloat16, calibration=file)
        assert half.calibration == read_calibration(file)


def test_pictures_without_a_score_are_named_counted_and_leave_with_3(
    judgements: Path, pictures: Path, tmp_path: Path
) -> None:
    said = read_preferences(judgements)
    broken = tmp_path / "broken.png"
    broken.write_bytes(Path(said[0].first).read_bytes()[:60])
    rows = [replace(p, first=str(broken)) if p.first == said[0].first else p for p in said]
    write_preferences(rows, tmp_path / "said")
    lines = ["image,prompt", *(f"{picture},a cat" for picture in sorted(pictures.glob("*.png")))]
    (tmp_path / "reference.csv").write_text("\n".join([*lines, f"{broken},a cat", ",a cat"]))
    out = tmp_path / "c.json"
    given = ("tiny", tmp_path / "said", "--set", "tiny.seed=1", "--out", out)
    printed = run(*given, "--reference", tmp_path / "reference.csv", code=3)
    found = read_calibration(out)
    assert (found.pairs_left_out, found.scores["total"].pairs) == (12, 60)
    assert (sum(found.unreadable.values()), found.reference) == (1, "12 pictures of reference.csv")
    (code,) = found.unreadable
    assert found.reference_left_out == {code: 1, "no-picture": 1}
    assert f"left out: 12 pairs with a picture without a score (1 {code})" in printed
    assert f"without a score in the reference set: 1 {code}, 1 no-picture" in printed
    assert f"{broken} has no score: {code}" in printed
    printed = run(*given, "--json", code=3)
    told = json.JSONDecoder().raw_decode(printed, printed.index("{"))[0]
    assert told["pairs_left_out"] == 12
    assert str(tmp_path) not in out.read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [(["--total-by", "looks"], "nobody was asked"), (["--method", "isotonic"], "too few")],
)
def test_judgements_that_cannot_suffice_cost_no_scoring(
    judgements: Path, pictures: Path, tmp_path: Path, words: list[str], why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a reward was loaded")

    monkeypatch.setattr(beholder.rewards, "load", load)
    with pytest.raises((ConfigError, DataError), match=why):
        run("tiny", judgements, "--reference", pictures, *words, "--out", tmp_path / "c.json")


@pytest.mark.parametrize("mixed", [False, True])
def test_judgements_that_the_reward_was_trained_on_are_warned_of(
    judgements: Path, tmp_path: Path, mixed: bool
) -> None:
    build(seed=1).save_pretrained(tmp_path)
    assert "trained on" not in run(tmp_path, judgements)
    source = {"preferences": str(judgements)}
    config = {"preferences": "preferences", "mix": {"own": source}} if mixed else source
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    assert f"warning: the reward was trained on {judgements}" in run(tmp_path, judgements)
