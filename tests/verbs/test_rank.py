"""The verb rank on a table of scores, as a user calls it."""

import json
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest

from beholder.annotation.records.dataset import write_preferences
from beholder.eval.protocols import PROTOCOLS
from beholder.tables import ScoreTable
from beholder.types import Preference
from tests.sharded_runs import rows, write_run
from tests.shell import Shell

QUALITY = {"a": 0.0, "b": 1.0, "c": 2.0}


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints, 24 prompts of two kinds, two pictures each, two rewards."""
    folder = tmp_path_factory.mktemp("rank") / "scores"
    rows = [
        {
            "key": f"{m}{p}{s}",
            "image": f"/p/{m}{p}{s}.png",
            "prompt": f"prompt {p}",
            "model": m,
            "seed": s,
            "kind": ("colour", "count")[p % 2],
        }
        for p in range(24)
        for m in QUALITY
        for s in range(2)
    ]
    noise = np.random.default_rng(0).normal(size=(3, len(rows)))
    keys = [row["key"] for row in rows]
    better = [QUALITY[str(row["model"])] for row in rows]
    table = ScoreTable(folder)
    with table.writing() as writer:
        writer.add_inputs(rows)
        for k, (reward, part) in enumerate((("r", "detail"), ("q", "tone"))):
            writer.claim(reward, {"reward": reward, "weights": "0", "beholder": "1"})
            scored = {
                "key": keys,
                f"{reward}.total": (better + noise[k]).tolist(),
                f"{reward}.{part}": noise[2].tolist(),
                f"{reward}.error": [None] * len(keys),
            }
            writer.add_scores(reward, scored)
    return folder


def test_the_ranking_stays_on_top_and_the_rest_stands_beside_it(scores: Path, shell: Shell) -> None:
    words = ["rank", scores, "--score", "r.total", "--all-scores", "--category", "kind"]
    said = shell.json(*words, "--draws", 50, "--certainty", 0.9)
    assert [s["name"] for s in said["standings"]] == ["c", "b", "a"]  # type: ignore[attr-defined]
    assert said["scores"] == ["r.total", "q.total", "q.tone", "r.detail"]
    assert set(said["rankings"]) == set(said["scores"])  # type: ignore[call-overload]
    assert sorted(said["categories"]) == ["colour", "count"]  # type: ignore[call-overload]
    assert len(said["needed"]) == 2  # type: ignore[arg-type]


def test_people_read_groups_categories_objectives_and_prompts(
    scores: Path, shell: Shell, tmp_path: Path
) -> None:
    costs = tmp_path / "costs"
    costs.mkdir()
    for name, seconds in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
        (costs / f"{name}.json").write_text(json.dumps({"runtime": {"median": seconds}}))
    words = ["rank", scores, "--score", "r.total", "--score", "r.detail", "--category", "kind"]
    words += ["--pareto", "quality=r.total", "--pareto", f"time:min={costs}#runtime.median"]
    assert shell(*words, "--draws", 50, "--certainty", 0.9) == 0
    assert "colour, 12 prompts compared; too few to rely on" in shell.out
    assert "quality (more)  time (less)  on front" in shell.out
    assert "model, means" in shell.out
    front = {
        line.split()[0]: line.split()[3]
        for line in shell.out.split("on front")[1].splitlines()[2:5]
    }
    assert front == {"c": "yes", "b": "no", "a": "yes"}
    assert "prompts that tell neighbours apart by their win share of r.total" in shell.out


def test_results_are_written_whole_and_sent(scores: Path, shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "board"
    words = ["rank", scores, "--score", "r.total", "--draws", 20, "-o", out]
    said = shell.json(*words, "--log", f"tensorboard:{tmp_path / 'tb'}")
    written = json.loads((out / "leaderboard.json").read_text())
    assert written == {key: said[key] for key in written}
    results = json.loads((out / "results.json").read_text())
    assert "results" in results
    assert abs(results["date"] - time.time()) < 600
    assert list((tmp_path / "tb").rglob("events.out.tfevents.*"))
    assert sorted(p.name for p in out.iterdir()) == ["leaderboard.json", "results.json"]


def test_fixed_prompts_are_asked_for_by_name(scores: Path, shell: Shell) -> None:
    said = shell.json("rank", scores, "--score", "r.total", "--draws", 20, "--resample", "seeds")
    assert said["resample"] == "seeds"
    assert (
        shell("rank", scores, "--score", "r.total", "--resample", "seeds", "--certainty", 0.9) == 2
    )
    assert "holds the prompts fixed" in shell.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--score", "r.totl"], "did you mean 'r.total'"),
        ([], "--score: name the column that counts"),
        (["--by", "modell"], "--by: no column named 'modell'; did you mean 'model'?"),
        (["--score", "r.total", "--certainty", "90"], "--certainty is 90; give a probability"),
        (["--score", "r.total", "--limit", "2"], "--limit is for pictures that are drawn"),
        (["--score", "r.total", "--alpha", "2"], "alpha is 2"),
        (["--score", "r.total", "--pareto", "x"], "--pareto takes NAME=COLUMN"),
        (["--score", "r.total", "--pareto", "x:up=r.total"], "--pareto takes NAME=COLUMN"),
        (["--score", "r.total", "--pareto", "x=gone.json"], "neither a column nor a file"),
        (["--score", "r.total", "--pareto", "x=r.total"], "two objectives"),
        (["--score", "r.total", "--seeds", "2"], "--seeds is for pictures that are drawn"),
        (["--score", "r.total", "--dtype", "bf16"], "--dtype is for pictures that are drawn"),
        (["--score", "r.total", "--retry-failed"], "--retry-failed is for pictures that are drawn"),
        (["--score", "r.total", "--protocol", "mhp"], "give --judgements"),
        (["--score", "r.total", "-o", "s3://bucket/board"], "is not on this disk"),
        (["--score", "r.totl", "--log", "mlflow:x"], "no dashboard at"),
        (["--pipelines", "tiny"], "one of them"),
    ],
)
def test_a_wrong_call_is_one_line(scores: Path, shell: Shell, words: list[str], said: str) -> None:
    assert shell("rank", scores, *words) == 2
    assert said in shell.err
    assert shell.err.count("\n") == 1


def test_pictures_need_a_folder(shell: Shell) -> None:
    assert shell("rank") == 2
    assert "a folder of scores, or --pipelines" in shell.err
    assert shell("rank", "--pipelines", "tiny") == 2
    assert "--out DIR" in shell.err


def test_a_run_that_lacks_shards_is_ranked_and_leaves_with_3(shell: Shell, tmp_path: Path) -> None:
    part = rows("abcd", model=["x", "x", "y", "y"])
    part = part.set_column(2, "prompt", [["p", "q", "p", "q"]])
    write_run(tmp_path / "run", {"one": part, "two": None})
    said = shell.json("rank", tmp_path / "run", "--draws", 20, code=3)
    assert [s["name"] for s in said["standings"]] == ["y", "x"]  # type: ignore[attr-defined]
    assert "1 of 2 shards" in shell.err.splitlines()[-1]


def test_scores_at_an_address_are_ranked_with_those_beside_them(
    shell: Shell, tmp_path: Path
) -> None:
    """Shards keep step numbers as floats; they are named as in a table."""
    models = {"model": [1000.0, 1000.0, 2000.0, 2000.0]}
    prompts = {"prompt": ["p", "q", "p", "q"]}
    for reward, columns in (("mps", models), ("hps", {})):
        part = rows("abcd", reward, **columns)
        part = part.set_column(2, "prompt", [prompts["prompt"]])
        write_run(tmp_path / reward, {"one": part}, [reward])
    memory = fsspec.filesystem("memory")
    memory.put(f"{tmp_path / 'mps'}/", "/ranked/", recursive=True)
    words = ["rank", "memory://ranked", "--with", tmp_path / "hps", "--draws", 20]
    said = shell.json(*words, "--score", "hps.total", "--score", "mps.total")
    assert [s["name"] for s in said["standings"]] == ["2000", "1000"]  # type: ignore[attr-defined]
    assert said["scores"] == ["hps.total", "mps.total"]


def test_judged_pairs_are_counted_by_the_protocol_that_is_asked_for(
    scores: Path, shell: Shell, tmp_path: Path
) -> None:
    judged = [
        Preference(
            key=f"k{p}",
            prompt=f"prompt {p}",
            first=f"/p/a{p}0.png",
            second=f"/p/c{p}0.png",
            p_first={"overall": 0.0},
        )
        for p in range(3)
    ]
    write_preferences(judged, tmp_path / "judged")
    words = ["rank", scores, "--score", "r.total", "--draws", 20, "--judgements"]
    for name, protocol in PROTOCOLS.items():
        code = shell(*words, tmp_path / "judged", "--protocol", name, "--json")
        assert code == (2 if protocol.ties else 0)
        assert protocol.ties or f"{protocol.id}, on pairs" in shell.out
