"""Two checkpoints that are drawn, scored and ranked by one command."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from beholder._verbs.rank_pictures import Drawing
from beholder.errors import ConfigError
from beholder.prompt_sets import PromptRow
from beholder.tables import ScoreTable
from beholder.training import rendering
from beholder.training.rendering import Checkpoint, RenderConfig, Rendered
from tests.shell import Shell


class Studio:
    """Stands in for `render`: grey pictures, the brighter the later the checkpoint."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], list[str], list[int], RenderConfig]] = []

    def __call__(
        self,
        checkpoints: Sequence[Checkpoint],
        prompts: Sequence[PromptRow],
        seeds: Sequence[int],
        out: Path,
        config: RenderConfig,
        progress: Callable[[int], object],
    ) -> Rendered:
        names = [checkpoint.name for checkpoint in checkpoints]
        self.asked.append((names, [p.prompt for p in prompts], list(seeds), config))
        out.mkdir(parents=True, exist_ok=True)
        rows = []
        for k, name in enumerate(names):
            for prompt in prompts:
                for seed in seeds:
                    text = prompt.prompt
                    file = f"{name} {text} {seed}.png"
                    Image.new("L", (8, 8), 40 + 80 * k + seed).save(out / file)
                    rows.append(
                        {
                            "image": file,
                            "prompt": prompt.prompt,
                            "model": name,
                            "seed": seed,
                            "render_seconds": 1.0 + k,
                        }
                    )
                    progress(1)
        manifest = out / "manifest.jsonl"
        manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return Rendered(
            manifest=manifest,
            models=tuple(names),
            pictures=len(rows),
            done_before=0,
            failed={"gone": "memory: none left"},
            seconds={},
        )


def test_a_command_draws_scores_and_ranks(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio()
    monkeypatch.setattr(rendering, "render", studio)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red fox\na blue cup\n")
    words = ["rank", "--prompts", prompts, "-r", "tiny", "-o", tmp_path / "out", "--draws", 20]
    words += [
        "--pipelines",
        "one=tiny, two=some:pipeline",
        "--seeds",
        2,
        "--steps",
        3,
        "--height",
        32,
    ]
    words += ["--dtype", "bf16", "--retry-failed"]
    first = shell.json(*words)
    assert "1 pictures could not be drawn" in shell.err
    assert shell.err.splitlines()[0] == (
        "8 pictures, less those drawn before: 2 checkpoints x 2 prompts x 2 seeds, "
        "3 steps each, own width x 32"
    )
    ((checkpoints, texts, seeds, config),) = studio.asked
    assert (checkpoints, texts, seeds) == (["one", "two"], ["a red fox", "a blue cup"], [0, 1])
    assert (config.sampling.steps, config.sampling.height) == (3, 32)
    assert (config.dtype, config.retry_failed) == ("bf16", True)
    rows = list(ScoreTable(tmp_path / "out/scores").rows())
    assert [row["model"] for row in rows] == ["one"] * 4 + ["two"] * 4
    assert [s["pictures"] for s in first["standings"]] == [4, 4]  # type: ignore[attr-defined]
    assert json.loads((tmp_path / "out/leaderboard.json").read_text())["by"] == "model"
    assert shell.json(*words) == first  # nothing is scored twice

    cost = ["--pareto", "quality=tiny.total", "--pareto", "cost:min=render_seconds"]
    said = shell.json("rank", tmp_path / "out/scores", *cost, "--draws", 20)
    assert [p["values"]["cost"] for p in said["pareto"]] == [  # type: ignore[attr-defined]
        {"one": 1.0, "two": 2.0}[p["name"]]
        for p in said["pareto"]  # type: ignore[attr-defined]
    ]

    assert shell(*words, "--limit", 1) == 2
    assert studio.asked[-1][1] == ["a red fox"]
    assert "holds scores of 8 pictures, but 4 were asked for" in shell.err


def test_what_is_missing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--prompts, a file or a set"):
        Drawing(pipelines="a=tiny,b=m:f", reward=["tiny"]).scored(tmp_path)
    with pytest.raises(ConfigError, match="and --reward"):
        Drawing(pipelines="a=tiny,b=m:f", prompts="starter").scored(tmp_path)


def test_one_checkpoint_is_refused_before_it_draws(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--pipelines names tiny alone; a ranking takes two"):
        Drawing(pipelines="tiny", prompts="starter", reward=["tiny"]).scored(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_same_checkpoint_twice_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="--prompts"):
        Drawing(pipelines="tiny,m:f,other=tiny").scored(tmp_path)
    said = capsys.readouterr().err
    assert said == "tiny and other are the same checkpoint under two names\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"prompts": "x"}, "--prompts"),
        ({"reward": ["mps"]}, "--reward"),
        ({"seeds": 2}, "--seeds"),
        ({"limit": 2}, "--limit"),
    ],
)
def test_options_of_drawing_are_refused_without_it(option: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=f"{said} is for pictures that are drawn"):
        Drawing(**option).refuse()  # type: ignore[arg-type]
    Drawing(reward=[], setting=[]).refuse()
