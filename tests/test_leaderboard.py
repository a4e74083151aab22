"""docs/leaderboard.md says what the cards say, and its commands are ones that the verbs take."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import typer.main

from beholder._verbs import evaluate as _evaluate
from beholder._verbs import rewards as _rewards
from beholder.annotation import sources
from beholder.rewards import names, reward_class

PAGE = (Path(__file__).parents[1] / "docs/leaderboard.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^beholder (.+?)(?:  # .*)?$", PAGE, re.MULTILINE)
COLUMNS = ("ImageReward test", "HPDv2 test", "Pick-a-Pic test", "MHP overall", "HPDv3 test")
ROWS = {
    "aesthetic": "Aesthetic v2",
    "blipscore": "BLIP score",
    "clipscore": "CLIP, CLIPScore",
    "hps": "HPSv2.1",
    "hpsv3": "HPSv3",
    "imagereward": "ImageReward",
    "mps": "MPS",
    "pickscore": "PickScore",
}


def published() -> dict[str, dict[str, str]]:
    """Row -> column -> cell of the first table."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    start = next(k for k, row in enumerate(cells) if row[0] == "reward")
    assert tuple(cells[start][1:]) == COLUMNS
    return {
        row[0]: dict(zip(COLUMNS, row[1:], strict=True)) for row in cells[start + 1 : start + 11]
    }


def test_every_published_figure_of_a_card_stands_in_the_table() -> None:
    table = published()
    for name in names():
        for told in reward_class(name).card.accuracy:
            if told.data in COLUMNS:
                assert f"{told.percent:g}" in table[ROWS[name]][told.data], (name, told.data)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_that_the_verbs_take(command: str) -> None:
    app = typer.Typer()
    _evaluate.register(app)
    _rewards.register(app)
    verbs = typer.main.get_command(app)
    words = shlex.split(command)
    context = verbs.commands[words[0]].make_context(words[0], words[1:])  # type: ignore[attr-defined]
    if words[0] == "evaluate":
        name, _, split = context.params["dataset"].split(":")
        assert split in sources.load(name).card.splits
        reward = Path(context.params["reward"]).name.removesuffix("_v2")
        assert reward in names()
    else:
        assert context.params["reward"] in {"", *names()}


def test_there_are_commands_for_every_row_that_a_reward_here_has() -> None:
    text = "\n".join(COMMANDS)
    for name in ROWS:
        assert re.search(rf"^evaluate (rewards/)?{name} ", text, re.MULTILINE), name
