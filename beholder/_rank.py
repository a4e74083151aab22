"""The verb rank: which checkpoint is better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from beholder import _summaries as summaries
from beholder import _terminal as terminal

Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Scores = Annotated[Path, typer.Argument(help="A folder that `beholder score` wrote.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(rank)


def rank(
    scores: Scores,
    by: Annotated[str, typer.Option(help="The column that names the checkpoint.")] = "model",
    column: Annotated[
        str, typer.Option("--score", help="What is compared; the only reward's total if none.")
    ] = "",
    draws: Annotated[int, typer.Option(min=1, help="How often prompts are redrawn.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    json: Json = False,
) -> None:
    """Rank checkpoints: Bradley-Terry strength, win rate and mean, with paired 95 % intervals.

    Example: beholder rank scores/ --by model --score mps.overall
    """
    from beholder.eval.filtering import default_score  # noqa: PLC0415
    from beholder.eval.ranking import rank as compare  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    table = ScoreTable(scores)
    score = column or default_score(table)
    result = compare(
        table.arrays([by, "prompt", score]), score=score, by=by, draws=draws, seed=seed
    )
    if json:
        terminal.emit(result.as_dict())
    else:
        terminal.say(summaries.ranking_text(result))
