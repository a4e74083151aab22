"""The verb report: a score table as one page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beholder import _terminal as terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from beholder.tables import ScoreTable

Device = Annotated[str | None, typer.Option(help="Where the model runs, such as cuda or cpu.")]
Scores = Annotated[str, typer.Argument(help="A folder that `beholder score` wrote.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")]
Name = Annotated[str, typer.Option("--reward", "-r", help="Whose columns; the first if none.")]
Further = Annotated[
    list[str] | None,
    typer.Option("--score", help="Further columns to rank by; the other rewards if none."),
]
Judgements = Annotated[Path | None, typer.Option(help="A folder of `beholder annotate import`.")]
By = Annotated[str, typer.Option(help="The column that names the checkpoint.")]
Category = Annotated[str, typer.Option(help="The column that divides the prompts.")]
Aspect = Annotated[str, typer.Option(help="What decides best, worst and rank.")]
Pictures = Annotated[int, typer.Option(min=0, help="Most in the gallery; 0 leaves it out.")]
Seed = Annotated[int, typer.Option(help="Of the gallery and of the intervals.")]
Explain = Annotated[
    str, typer.Option(help="MPS or RichHF to load; it explains the best and worst pictures.")
]
Title = Annotated[str, typer.Option(help="The headline.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(report)


def report(
    scores: Scores,
    out: Out,
    reward: Name = "",
    column: Further = None,
    judgements: Judgements = None,
    by: By = "",
    category: Category = "",
    aspect: Aspect = "total",
    pictures: Pictures = 400,
    seed: Seed = 0,
    explain: Explain = "",
    title: Title = "",
    device: Device = None,
) -> None:
    """One self-contained HTML file: leaderboard, radar, gallery, disagreements, maps.

    It opens from any folder and asks nothing of the network.

    Example: beholder report scores/ --judgements judgements/ --by model -o report.html
    """
    from beholder.annotation.records.dataset import read_preferences  # noqa: PLC0415
    from beholder.eval.overview import Overview, overview  # noqa: PLC0415
    from beholder.eval.report import write_report  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    table = ScoreTable(scores)
    parts = Overview(
        judgements=read_preferences(judgements) if judgements else (),
        by=by,
        category=category,
        aspect=aspect,
        scores=column or (),
        pictures=pictures,
        seed=seed,
        title=title,
        commands=[shlex.join(["beholder", *sys.argv[1:]])],
    )
    page = overview(table, reward or _first_reward(table, column or ()), parts)
    if explain:
        page = terminal.with_explanations(page, explain, device)
    terminal.say(str(write_report(page, out)))


def _first_reward(table: ScoreTable, columns: Sequence[str]) -> str:
    """The reward of the first column that is named, or the table's first; told if it is a choice.

    Raises ConfigError if the table has no reward.
    """
    from beholder.errors import ConfigError  # noqa: PLC0415

    known = table.rewards
    named = [name for name in (column.partition(".")[0] for column in columns) if name in known]
    if named or len(known) == 1:
        return (named or known)[0]
    if not known:
        raise ConfigError(f"{table.folder} has no scores of a reward; `beholder score` adds some")
    terminal.note(f"{known[0]} decides; --reward takes another of {', '.join(known)}")
    return known[0]
