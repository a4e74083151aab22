import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beholder import load
from tests.shell import Shell

SMALL = ["--steps", "4", "--guidance", "2", "--device", "cpu"]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("".join(f"a {noun}\n" for noun in ("fox", "cat", "boat", "star", "tree")))
    return path


def test_a_preset_tunes_from_end_to_end_and_its_lora_draws(
    shell: Shell, tmp_path: Path, prompts: Path
) -> None:
    run, pictures = tmp_path / "run", tmp_path / "pictures"
    small = ["fit.steps=2", "pretraining.samples=4", "sampling.steps=4", "fit.log_every_steps=1"]
    code = shell("tune", "tiny_cpu", f"prompts={prompts}", f"run={run}", *small)
    assert code == 0, shell.err
    assert shell.out.strip() == str(run)
    assert "difference to the pipeline's own picture: 0" in shell.err
    assert (run / "report.html").is_file()
    code = shell(
        *("generate", "tiny", "--lora", str(run), "--prompts", str(prompts), "-o", str(pictures)),
        *("--base-until", "2", *SMALL, "--json"),
    )
    assert code == 0, shell.err
    assert json.loads(shell.out)["pictures"] == 5
    code = shell(
        *("score", str(pictures / "manifest.jsonl"), "-r", "tiny", "-o", str(tmp_path / "scores")),
    )
    assert code == 0, shell.err


def test_the_best_of_some_is_chosen_and_previews_are_measured(
    shell: Shell, tmp_path: Path, prompts: Path
) -> None:
    pictures = tmp_path / "pictures"
    code = shell(
        *("generate", "tiny", "--prompt", "a fox", "--prompt", "a cat", "-r", "tiny"),
        *("--best-of", "3", "--preview-step", "1", "-o", str(pictures), *SMALL),
    )
    assert code == 0, shell.err
    assert "2 pictures, 0 were done before" in shell.out
    code = shell(
        *("generate", "tiny", "--prompts", str(prompts), "-r", "tiny", "--measure-previews"),
        *(*SMALL, "--json"),
    )
    assert code == 0, shell.err
    found = json.loads(shell.out)
    assert [step["step"] for step in found["steps"]] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tune", "tiny_gpu"], "did you mean 'tiny_cpu'"),
        (["tune", "tiny_cpu", "algorithm=refi"], "did you mean 'refl'"),
        (["tune", "tiny_cpu", "rewards=tiny"], "did you mean 'reward'"),
        (["tune", "tiny_cpu", "prompts=nowhere.txt", "run=x"], "no prompts at nowhere.txt"),
        (["generate", "tiny", "-o", "x"], "give --prompt or --prompts"),
        (["generate", "tiny", "--prompt", "a"], "give --out, the folder where the pictures go"),
        (["generate", "tiny", "-o", "x", "--prompt", "a", "--best-of", "2"], "need a reward"),
        (["generate", "tiny", "-o", "x", "--prompt", "a", "--base-until", "2"], "give --lora"),
        (["generate", "nowhere", "-o", "x", "--prompt", "a"], "no pipeline at 'nowhere'"),
        (
            ["generate", "tiny", "-o", "x", "--prompt", "a", "--call", "sterps=3"],
            "sterps",
        ),
        (
            ["repair", "tiny", "a.png", "-o", "b.jpg", "--prompt", "a", "-r", "tiny"],
            "b.jpg is no .png",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code = shell(*words)
    assert code in {1, 2}
    assert told in shell.err
    assert shell.err.count("\n") == 1


def test_a_reward_without_maps_repairs_nothing(shell: Shell, tmp_path: Path) -> None:
    picture = tmp_path / "fox.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(picture)
    code = shell(
        *("repair", "tiny", str(picture), "--prompt", "a fox", "-r", "tiny"),
        *("--aspect", "overall", "-o", str(tmp_path / "out.png"), *SMALL),
    )
    assert code == 2
    assert "draws no map 'implausibility'" in shell.err
    assert not (tmp_path / "out.png").exists()


def test_the_tiny_pipeline_repaints_a_picture(shell: Shell, tmp_path: Path) -> None:
    picture = tmp_path / "fox.png"
    Image.fromarray(np.full((32, 32, 3), 200, np.uint8)).save(picture)
    load("richhf", size="tiny").save_pretrained(tmp_path / "rich")
    command = (
        *("repair", "tiny", str(picture), "--prompt", "a fox", "-r", str(tmp_path / "rich")),
        *("--threshold", "0", "--attempts", "1", "-o", str(tmp_path / "out.png"), *SMALL),
    )
    assert shell(*command) == 0, shell.err
    with Image.open(tmp_path / "out.png") as repaired:
        assert repaired.size == (32, 32)
    assert shell(*command, "--held-out", "tiny", "--aspect", "total", "--json") == 0, shell.err
    assert "reason" in json.loads(shell.out)


def test_a_config_without_an_algorithm_lists_them(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("reward: tiny\n")
    code = shell("tune", str(path))
    assert code == 2
    assert "algorithm=dpo|draft|nft|refl" in shell.err
    assert "refl_sd15_lora" in shell.err
