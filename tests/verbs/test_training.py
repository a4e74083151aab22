"""The verbs train, distill and push: what a person types, reads, and gets back in exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

import beholder
from beholder._verbs import training as verbs
from beholder.annotation.records.dataset import read_preferences, write_preferences
from beholder.eval.evaluation_record import pairs_hash
from beholder.rewards import tiny
from beholder.rewards._calibration import owner_of
from beholder.rewards._model_card import model_card
from tests.shell import Shell
from tests.training.brightness import preferences
from tests.training.score_tables import make_table

QUICK = ["fit.steps=4", "fit.evaluate_every_steps=4", "fit.checkpoint_every_steps=4"]


@pytest.fixture(autouse=True)
def _own_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verbs of this module alone, as the command line registers them."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    verbs.register(app)
    monkeypatch.setattr("beholder.__main__.app", app)


def judgements(folder: Path, prompts: int = 10) -> Path:
    write_preferences(preferences(folder, prompts=prompts), folder / "pairs")
    return folder / "pairs"


def scores(folder: Path) -> Path:
    """A table in which the pictures of ten prompts are judged by their number."""
    rows = [
        {"key": f"{p}-{k}", "image": f"{p}-{k}.png", "prompt": f"prompt {p}"}
        for p in range(10)
        for k in range(4)
    ]
    numbers = [float(k % 4) + 0.01 * k for k in range(40)]
    return make_table(folder, rows, {"vlm": {"total": [*numbers[:39], None]}}).folder


def test_train_says_where_the_reward_is(tmp_path: Path, shell: Shell) -> None:
    run = tmp_path / "run"
    given = [f"preferences={judgements(tmp_path)}", f"run={run}", *QUICK]
    assert shell("train", "tiny_cpu", *given) == 0
    assert shell.out.strip() == str(run)
    assert beholder.load(str(run)).card.name == "tiny"


def test_what_a_run_found_wrong_with_itself_is_said_last_and_loud(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "summary.json").write_text(json.dumps({"warnings": ["the loss\nnever moved"]}))
    monkeypatch.setattr("beholder.training.reward.train_reward", lambda _: run)
    assert shell("train", "tiny_cpu", f"run={run}") == 0
    assert shell.err.splitlines()[-1] == "WARNING (run): the loss never moved"


def test_fractions_give_a_table_a_page_and_what_twice_the_data_would_give(
    tmp_path: Path, shell: Shell
) -> None:
    run = tmp_path / "run"
    given = [f"preferences={judgements(tmp_path)}", f"run={run}", *QUICK]
    assert shell("train", "tiny_cpu", *given, "--fractions", "0.5,1") == 0
    lines = shell.out.splitlines()
    assert lines[0].split() == [
        *("fraction", "run", "pairs", "prompts", "accuracy", "[95%]", "held-out", "prompts")
    ]
    assert lines[2].startswith("0.5")
    assert lines[3].startswith("1 ")
    assert "2 sizes were measured, 3 are needed" in lines[4]
    assert lines[5] == str(run)
    assert (run / "curve.html").is_file()
    assert json.loads((run / "curve.json").read_text())["points"][1]["fraction"] == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["tiny_cpu", "--fractions", "a,b"], "takes numbers with commas"),
        (["tiny_cpu", "--repeats", "2"], "--repeats is of --fractions"),
        (["richhf_tiny_cpu", "--fractions", "1"], "RichHF's feedback has no curve"),
        (["tiny_cpu", "--fractions", "2"], "at most 1, got 2"),
    ],
)
def test_fractions_that_make_no_curve_are_refused(
    words: list[str], text: str, shell: Shell
) -> None:
    assert shell("train", *words) == 2
    assert text in shell.err


def test_distill_writes_pairs_and_says_what_became_of_the_rows(
    tmp_path: Path, shell: Shell
) -> None:
    out = tmp_path / "pairs"
    assert shell("distill", scores(tmp_path), "--judge", "vlm", "-o", out, "--held-out", 0.2) == 0
    assert "pairs to learn from" in shell.out
    assert "judged by vlm" in shell.out
    assert "1 rows left out: vlm: truncated" in shell.out
    made = read_preferences(out)
    assert len({pair.prompt for pair in made}) == 8
    assert len(read_preferences(out / "held_out")) in {9, 12}


def test_distill_takes_a_column_a_temperature_and_a_few_pairs(tmp_path: Path, shell: Shell) -> None:
    told = shell.json(
        *("distill", scores(tmp_path), "--judge", "vlm", "-o", tmp_path / "pairs"),
        *("--aspect", "vlm.total=alignment", "--temperature", 2, "--pairs-per-prompt", 2),
        *("--least", 0.6, "--held-out", 0),
    )
    assert told["aspects"] == {"alignment": ["vlm.total"]}
    assert told["curves"]["vlm.total"]["temperature"] == 2  # type: ignore[index]
    assert told["pairs"] == {"training": 20, "held_out": 0, "left_out": 37}
    assert all(p.p_first.keys() == {"alignment"} for p in read_preferences(tmp_path / "pairs"))


def test_the_fidelity_of_a_student_is_told_and_kept_in_its_folder(
    tmp_path: Path, shell: Shell
) -> None:
    pairs = preferences(tmp_path, prompts=10)
    nodes = list(dict.fromkeys((side, p.prompt) for p in pairs for side in (p.first, p.second)))
    student = tmp_path / "student"
    tiny.build().save_pretrained(student)
    rows = [{"key": str(k), "image": i, "prompt": p} for k, (i, p) in enumerate(nodes)]
    said = tiny.build().score([i for i, _ in nodes], [p for _, p in nodes])
    numbers = {"total": said.total.tolist(), "overall": said.aspects["overall"].tolist()}
    make_table(tmp_path, rows, {"judge": numbers})
    write_preferences(pairs, tmp_path / "people")
    given = ["distill", tmp_path / "scores", "--judge", "judge", "-o", tmp_path / "pairs"]
    asked = [*given, "--held-out", 0.3, "--student", student, "--people", tmp_path / "people"]
    assert shell(*asked) == 0
    assert "student with its judges" in shell.out
    assert "judge with people" in shell.out
    kept: Any = json.loads((student / "fidelity.json").read_text())
    assert kept["judge"]["aspects"]["overall"]["accuracy"] == 1
    assert kept["reward"]["weights"] == owner_of(tiny.build()).weights
    assert list(kept["judges"]) == ["judge"]
    assert kept["versions"]["beholder"] == beholder.__version__
    held_out = read_preferences(tmp_path / "pairs/held_out")
    people = read_preferences(tmp_path / "people")
    assert kept["pairs"] == {"judge": pairs_hash(held_out), "people": pairs_hash(people)}
    Path(held_out[0].first).unlink()
    assert shell(*asked) == 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--aspect", "vlm.total"], "--aspect takes NAME=VALUE"),
        (["--people", "x"], "--people is compared with --student"),
        (["--temperature", "1", "--calibration", "vlm=x"], "one of them"),
        (["--calibration", "other=x"], "which is no judge"),
        (["--judge", "vml"], "did you mean 'vlm'"),
    ],
)
def test_what_distill_cannot_do_is_one_line(
    tmp_path: Path, words: list[str], text: str, shell: Shell
) -> None:
    given = ["distill", scores(tmp_path), "--judge", "vlm", "-o", tmp_path / "pairs"]
    assert shell(*given, *words) == 2
    assert text in shell.err


def test_push_uploads_the_folder_and_says_where(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}

    class Hub:
        def create_repo(self, repo: str, **options: object) -> Any:
            class Address(str):
                repo_id = repo

            sent.update(options)
            return Address(f"https://hub.example/{repo}")

        def upload_folder(self, *, repo_id: str, folder_path: str) -> None:
            sent["files"] = {path.name for path in Path(folder_path).iterdir()}

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    tiny.build().save_pretrained(tmp_path / "mine")
    told = shell.json("push", tmp_path / "mine", "user/mine", "--private")
    assert told["address"] == "https://hub.example/user/mine"
    assert sent["private"] is True
    assert "README.md" in sent["files"]


def test_agreement_goes_into_the_card_from_a_file_alone(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beholder.rewards.Reward.push_to_hub", lambda *_, **__: "address")
    tiny.build().save_pretrained(tmp_path / "mine")
    told = {"aspects": {"overall": {"answers": 9, "percent": 0.5}}, "annotators": {"ann": 1}}
    (tmp_path / "told.json").write_text(json.dumps(told))
    words = ["push", tmp_path / "mine", "user/mine", "--agreement"]
    assert shell(*words, tmp_path / "told.json") == 0
    assert "| overall | 9 | 50.0 % |" in model_card(tmp_path / "mine")
    assert "ann" not in json.loads((tmp_path / "mine/agreement.json").read_text())
    (tmp_path / "told.json").write_text("[]")
    assert shell(*words, tmp_path / "told.json") == 1
    assert "tells of no agreement" in shell.err
    assert shell(*words, tmp_path / "nowhere.json") == 1


def test_pushing_a_folder_without_a_reward_is_refused(tmp_path: Path, shell: Shell) -> None:
    assert shell("push", tmp_path, "user/mine") == 2
    assert "holds no reward" in shell.err
