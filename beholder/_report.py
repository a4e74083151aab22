"""The verb report: a score table as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beholder import _terminal as terminal

Device = Annotated[str | None, typer.Option(help="Where the model runs, such as cuda or cpu.")]
Scores = Annotated[Path, typer.Argument(help="A folder that `beholder score` wrote.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(report)


def report(
    scores: Scores,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")],
    reward: Annotated[
        str, typer.Option("--reward", "-r", help="Whose columns; the only reward if none.")
    ] = "",
    judgements: Annotated[
        Path | None, typer.Option(help="A folder of `beholder annotate import`.")
    ] = None,
    by: Annotated[str, typer.Option(help="The column that names the checkpoint.")] = "",
    aspect: Annotated[str, typer.Option(help="What decides best, worst and rank.")] = "total",
    explain: Annotated[
        str, typer.Option(help="MPS or RichHF to load; it explains the best and worst pictures.")
    ] = "",
    title: Annotated[str, typer.Option(help="The headline.")] = "",
    device: Device = None,
) -> None:
    """One self-contained HTML file: accuracy, ranking, best, worst, disagreements, word masks.

    Example: beholder report scores/ --judgements judgements/ --by model -o report.html
    """
    from beholder.annotation.records.dataset import read_preferences  # noqa: PLC0415
    from beholder.eval.filtering import default_score  # noqa: PLC0415
    from beholder.eval.overview import Overview, overview  # noqa: PLC0415
    from beholder.eval.report import write_report  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    table = ScoreTable(scores)
    name = reward or default_score(table).removesuffix(".total")
    said = read_preferences(judgements) if judgements else ()
    page = overview(table, name, Overview(judgements=said, by=by, aspect=aspect, title=title))
    if explain:
        page = terminal.with_explanations(page, explain, device)
    terminal.say(str(write_report(page, out)))
