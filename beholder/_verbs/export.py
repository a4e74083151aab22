"""The verb export: a score table as files that other programs read."""

from __future__ import annotations

from typing import Annotated

import typer

from beholder import _terminal as terminal
from beholder._verbs.given_table import given_table

Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(export)


def export(
    scores: Annotated[str, typer.Argument(help="A folder that `beholder score` wrote.")],
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", help="A .parquet, .csv or .jsonl; or a new folder of parquet shards."
        ),
    ],
    columns: Annotated[
        str, typer.Option(help='Which ones, such as "key,image,mps.total"; all if none.')
    ] = "",
    further: Annotated[
        list[str],
        typer.Option("--with", help="A folder with further scores of the same pictures."),
    ] = [],  # noqa: B006  (typer reads it once)
    also: Annotated[list[str], typer.Option(hidden=True)] = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Write a score table as one file or as shards, for pandas, polars, datasets and the like.

    Example: beholder export scores/ -o table.parquet --columns key,prompt,mps.total
    """
    from beholder.eval.exporting import export_table  # noqa: PLC0415

    table = given_table(scores, [*further, *also])
    asked = [name.strip() for name in columns.split(",")] if columns else None
    with terminal.progress(len(table), "rows") as advance:
        made = export_table(table, out, asked, progress=advance)
    if json:
        terminal.emit(made.as_dict())
    else:
        files = "" if made.files == 1 else f" in {made.files} files"
        terminal.say(f"{made.out}: {made.rows} rows of {len(made.columns)} columns{files}")
