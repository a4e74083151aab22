"""The verb filter: which pictures to keep, and why the others are not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from beholder import _summaries as summaries
from beholder import _terminal as terminal

Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Scores = Annotated[Path, typer.Argument(help="A folder that `beholder score` wrote.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("filter")(filter_scores)


def filter_scores(
    scores: Scores,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for what is kept and dropped.")],
    where: Annotated[str, typer.Option(help='A rule, such as "mps.overall > 0.3".')] = "",
    top: Annotated[
        float | None, typer.Option(help="Keep the best: a share below 1, or a number of rows.")
    ] = None,
    column: Annotated[
        str, typer.Option("--score", help="What ranks the top; the only reward's total if none.")
    ] = "",
    by: Annotated[str, typer.Option(help="A column whose values each have their own top.")] = "",
    pictures: Annotated[
        Literal["none", "link", "copy"], typer.Option(help="What to do with the kept pictures.")
    ] = "none",
    calibration: Annotated[
        list[str],
        typer.Option(
            metavar="REWARD=FILE",
            help="A calibration.json for the columns REWARD.win; the table's own if none.",
        ),
    ] = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Keep pictures by a rule; every dropped one with its reason. Needs no model.

    Of a calibrated reward REWARD.win is the chance to win against its reference pictures.

    Example: beholder filter scores/ --where "mps.detail > 0" --top 0.2 -o kept/

    Example: beholder filter scores/ --where "mine.win > 0.7" -o kept/
    """
    from beholder.eval.filtering import Rule, default_score, filter_table  # noqa: PLC0415
    from beholder.eval.win_columns import table_calibrations  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    table = ScoreTable(scores)
    ranked_by = column or (default_score(table) if top is not None else "")
    rule = Rule(where=where, top=top, score=ranked_by, by=by)
    given = dict(terminal.split_spec(each) for each in calibration)
    known = table_calibrations(table, given)
    summary = filter_table(table, rule, out, pictures=pictures, calibrations=known)
    if json:
        terminal.emit(summary.as_dict())
    else:
        terminal.say(summaries.filter_text(summary, out))
