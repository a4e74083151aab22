import json
from pathlib import Path

import pytest
import torch

from beholder.errors import DataError
from beholder.quickstart.material import Sizes
from beholder.quickstart.painter import Painting
from beholder.quickstart.run import run_quickstart
from beholder.quickstart.tune import TuneSizes, compared, tune_quickstart
from beholder.training.algorithms._base import TuneFit
from beholder.training.fit.learner import FitConfig


def test_wins_are_counted_with_ties_as_halves() -> None:
    before, after = torch.tensor([0.1, 0.5, 0.3, 0.9]), torch.tensor([0.2, 0.6, 0.3, 0.8])
    told = compared(before, after, seed=0)
    assert told["win_rate"] == 0.625  # two wins, a tie and a loss
    assert told["pictures"] == 4
    assert 0 <= float(str(told["low"])) < 0.625 < float(str(told["high"])) <= 1
    same = compared(before, before, seed=0)
    assert (same["win_rate"], same["low"], same["high"]) == (0.5, 0.5, 0.5)


def test_a_folder_without_a_quickstart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no finished quickstart"):
        tune_quickstart(tmp_path)


@pytest.mark.weights
@pytest.mark.long
def test_the_loop_leaves_a_lora_and_what_the_judge_says_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "quickstart"
    few = FitConfig(steps=4, warmup_steps=1, checkpoint_every_steps=2, precision="fp32")
    run_quickstart(folder, sizes=Sizes(train_prompts=13, test_prompts=6, borrowed=1), fit=few)
    sizes = TuneSizes(
        painting=Painting(autoencoder_steps=2, steps=2, batch=4),
        prompts=12,
        judged=6,
        watching_steps=2,
        judge_pictures=24,
        judge_steps=3,
        fit=TuneFit(steps=1, warmup_steps=0, patience_evaluations=0),
    )
    lines: list[str] = []
    told = tune_quickstart(folder, sizes=sizes, say=lines.append)
    assert told["pictures"] == 6
    assert json.loads((folder / "tuned" / "judged.json").read_text()) == told
    assert (folder / "tuned" / "pytorch_lora_weights.safetensors").is_file()
    page = (folder / "tuned" / "report.html").read_text()
    assert "Preferred by the known truth" in page
    commands = [line.split("$ ")[1].split()[1] for line in lines if "$ " in line]
    assert commands == ["train", "tune"]
