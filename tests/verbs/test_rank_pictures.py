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
from beholder.training.rendering import RenderConfig, Rendered
from tests.shell import Shell


class Studio:
    """Stands in for `render`: grey pictures, the brighter the later the checkpoint."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[str], list[str], list[int], RenderConfig]] = []

    def __call__(
        self,
        checkpoints: Sequence[str],
        prompts: Sequence[PromptRow],
        seeds: Sequence[int],
        out: Path,
        config: RenderConfig,
        progress: Callable[[int], object],
    ) -> Rendered:
        self.asked.append((checkpoints, [p.prompt for p in prompts], list(seeds), config))
        out.mkdir(parents=True, exist_ok=True)
        rows = []
        for k, name in enumerate(checkpoints):
            for prompt in prompts:
                for seed in seeds:
                    text = prompt.prompt
                    file = f"{name} {text} {seed}.png"
                    Image.new("L", (8, 8), 40 + 80 * k + seed).save(out / file)
                    rows.append(
                        {"image": file, "prompt": prompt.prompt, "model": name, "seed": seed}
                    )
                    progress(1)
        manifest = out / "manifest.jsonl"
        manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return Rendered(
            manifest=manifest,
            models=tuple(checkpoints),
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
    words += ["--pipelines", "one, two", "--seeds", 2, "--steps", 3, "--height", 32]
    first = shell.json(*words)
    assert "1 pictures could not be drawn" in shell.err
    ((checkpoints, texts, seeds, config),) = studio.asked
    assert (checkpoints, texts, seeds) == (["one", "two"], ["a red fox", "a blue cup"], [0, 1])
    assert (config.sampling.steps, config.sampling.height) == (3, 32)
    rows = list(ScoreTable(tmp_path / "out/scores").rows())
    assert [row["model"] for row in rows] == ["one"] * 4 + ["two"] * 4
    assert [s["pictures"] for s in first["standings"]] == [4, 4]  # type: ignore[attr-defined]
    assert json.loads((tmp_path / "out/leaderboard.json").read_text())["by"] == "model"
    assert shell.json(*words) == first  # nothing is scored twice

    prompts.write_text("a red fox\n")
    assert shell(*words) == 2
    assert "holds scores of 8 pictures, but 4 were asked for" in shell.err


def test_what_is_missing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--prompts, a file or a set"):
        Drawing(pipelines="a,b", reward=["tiny"]).scored(tmp_path)
    with pytest.raises(ConfigError, match="and --reward"):
        Drawing(pipelines="a,b", prompts="starter").scored(tmp_path)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"prompts": "x"}, "--prompts"),
        ({"reward": ["mps"]}, "--reward"),
        ({"seeds": 2}, "--seeds"),
    ],
)
def test_options_of_drawing_are_refused_without_it(option: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=f"{said} is for pictures that are drawn"):
        Drawing(**option).refuse()  # type: ignore[arg-type]
    Drawing(reward=[], setting=[]).refuse()
