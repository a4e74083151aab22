"""The verb report: a score table as one page."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beholder import _terminal as terminal
from beholder._verbs import rank
from beholder._verbs.given_table import given_table
from beholder._verbs.unfinished import tell_unfinished
from beholder.errors import ConfigError
from beholder.eval.protocols import ProtocolName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from beholder.eval.overview import Overview
    from beholder.eval.pareto import Objective
    from beholder.tables import ScoreTable

Device = Annotated[str | None, typer.Option(help="Where the model runs, such as cuda or cpu.")]
Scores = Annotated[
    str, typer.Argument(help="A folder that `beholder score` wrote, or the address of one.")
]
Out = Annotated[str, typer.Option("--out", "-o", help="The HTML file to write.")]
Beside = Annotated[
    list[str],
    typer.Option("--with", help="A folder with further scores of the same pictures, by key."),
]
Protocol = Annotated[ProtocolName, typer.Option(help="How pairs that people judged are counted.")]
Draws = Annotated[int, typer.Option(min=1, help="How often the leaderboard is redrawn.")]
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

_PLAIN = (
    *("protocol", "by", "category", "aspect", "pictures", "seed", "title"),
    *("resample", "alpha", "draws"),
)
"""Options that are parts of the report as they stand."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(report)


def report(
    scores: Scores,
    out: Out,
    reward: Name = "",
    column: Further = None,
    beside: Beside = [],  # noqa: B006  (typer reads it once)
    judgements: Judgements = None,
    protocol: Protocol = "imagereward",
    by: By = "",
    category: Category = "",
    resample: rank.Redrawn = "prompts",
    alpha: rank.Alpha = 0.05,
    draws: Draws = 2000,
    pareto: rank.Pareto = [],  # noqa: B006
    aspect: Aspect = "total",
    pictures: Pictures = 400,
    seed: Seed = 0,
    explain: Explain = "",
    title: Title = "",
    device: Device = None,
) -> None:
    """One self-contained HTML file: leaderboard, radar, gallery, disagreements, maps.

    It opens from any folder and asks nothing of the network. The options of `beholder rank` give
    its leaderboard.

    Example: beholder report scores/ --judgements judgements/ --by model -o report.html
    """
    options = dict(locals())  # by their names, before anything else has one
    from beholder.eval.overview import overview  # noqa: PLC0415
    from beholder.eval.report import write_report  # noqa: PLC0415

    _refuse_remote(out)
    table = given_table(scores, beside)
    page = overview(table, reward or _first_reward(table, column or ()), _parts(table, options))
    if explain:
        page = terminal.with_explanations(page, explain, device)
    terminal.say(str(write_report(page, Path(out))))
    if code := tell_unfinished(table):
        raise typer.Exit(code)


def _parts(table: ScoreTable, options: Mapping[str, Any]) -> Overview:
    """What the verb's options say, by their names."""
    from beholder.annotation.records.dataset import read_preferences  # noqa: PLC0415
    from beholder.eval.overview import Overview  # noqa: PLC0415

    folder = options["judgements"]
    return Overview(
        judgements=read_preferences(folder) if folder else (),
        scores=options["column"] or (),
        pareto=_objectives(options["pareto"], table, options["by"]),
        commands=[shlex.join(["beholder", *sys.argv[1:]])],
        **{name: options[name] for name in _PLAIN},
    )


def _refuse_remote(out: str) -> None:
    from beholder.storage import is_remote  # noqa: PLC0415

    if is_remote(out):
        raise ConfigError(f"a report is written to this disk, not to {out}; give a path")


def _objectives(given: Sequence[str], table: ScoreTable, by: str) -> list[Objective]:
    """The objectives of the trade-offs; ConfigError without checkpoints to compare."""
    if given and not by:
        raise ConfigError("--pareto compares checkpoints; name their column by --by, such as model")
    return [rank.objective(each, table.columns) for each in given]


def _first_reward(table: ScoreTable, columns: Sequence[str]) -> str:
    """The reward of the first column that is named, or the table's first; told if it is a choice.

    Raises ConfigError if the table has no reward.
    """
    known = table.rewards
    named = [name for name in (column.partition(".")[0] for column in columns) if name in known]
    if named or len(known) == 1:
        return (named or known)[0]
    if not known:
        raise ConfigError(f"{table.address} has no scores of a reward; `beholder score` adds some")
    terminal.note(f"{known[0]} decides; --reward takes another of {', '.join(known)}")
    return known[0]
