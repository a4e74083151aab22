"""What people said: `beholder annotate import | agreement | aggregate | source`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from beholder import _terminal as terminal
from beholder._annotate import summaries
from beholder._annotate.options import Json, app
from beholder.errors import ConfigError

Embed = Annotated[bool, typer.Option("--embed", help="Store the pictures in the data set.")]
Notice = Annotated[str, typer.Option(help="What a reader of the data must know.")]


@app.command("import")
def import_judgements(
    exports: Annotated[list[Path], typer.Argument(help="JSON exports, oldest first.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the data set.")],
    mapping: Annotated[
        Path | None, typer.Option(help="JSONL or CSV that says which picture stood on which side.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder to which the server's picture paths are relative.")
    ] = None,
    aggregate: Annotated[
        Literal["votes", "reliability"], typer.Option(help="How annotators of pairs are joined.")
    ] = "votes",
    embed: Embed = False,
    salt: Annotated[
        str | None, typer.Option(envvar="BEHOLDER_SALT", help="Makes annotator ids unguessable.")
    ] = None,
    notice: Notice = "",
    json: Json = False,
) -> None:
    """Judgements from Label Studio's JSON export of either template; doubts are flagged.

    Example: beholder annotate import export.json --mapping mapping.jsonl --images media/ -o data/
    """
    from beholder.annotation.reading.importing import import_export  # noqa: PLC0415

    report = import_export(
        exports,
        out,
        mapping=mapping,
        images_root=images,
        aggregate=aggregate,
        embed=embed,
        salt=salt,
        notice=notice,
    )
    if json:
        terminal.emit(report.as_json())
    else:
        terminal.say(summaries.import_text(report, out))


@app.command()
def agreement(
    judgements: Annotated[Path, typer.Argument(help="What `pull` or `import` wrote.")],
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with the most disputed pictures.")
    ] = None,
    notice: Notice = "",
    json: Json = False,
) -> None:
    """How far annotators agree, and how far each can be trusted.

    Krippendorff's alpha, Cohen's and Fleiss' kappa, gold tasks, consensus, position bias, speed.

    Example: beholder annotate agreement judging/ --html agreement.html
    """
    from beholder._annotate import agreement_tables as tables  # noqa: PLC0415
    from beholder.annotation.judgements import agreement_report  # noqa: PLC0415
    from beholder.annotation.trust.rating_agreement import RatingAgreement  # noqa: PLC0415

    report = agreement_report(judgements, html=html, notice=notice)
    if json:
        terminal.emit(report.as_json())
    else:
        if isinstance(report, RatingAgreement):
            terminal.say(tables.rating_agreement_text(report))
        else:
            terminal.say(tables.agreement_text(report))
        if html is not None:
            terminal.say(f"\nopen {html}")


@app.command()
def aggregate(
    judgements: Annotated[Path, typer.Argument(help="What `pull` or `import` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the data sets.")],
    method: Annotated[
        Literal["votes", "bradley-terry", "dawid-skene"],
        typer.Option(help="How annotators of pairs are joined; ratings are averaged."),
    ] = "votes",
    heat: Annotated[
        Literal["disc", "gaussian"], typer.Option(help="What a point of a rating marks.")
    ] = "disc",
    radius: Annotated[
        float, typer.Option(help="Of the disc, or the Gaussian's deviation; share of the height.")
    ] = 0.05,
    size: Annotated[
        str, typer.Option(help="Of the heatmaps, as HEIGHTxWIDTH, or picture for its own.")
    ] = "512x512",
    embed: Embed = False,
    unbiased: Annotated[
        bool, typer.Option("--unbiased", help="Only pairs that no reward chose, for evaluation.")
    ] = False,
    notice: Notice = "",
    json: Json = False,
) -> None:
    """One answer from many annotators: preferences of pairs, or scores, heatmaps and words.

    Example: beholder annotate aggregate judging/ -o data/ --method bradley-terry
    """
    from beholder.annotation.joining.heatmaps import HeatConfig  # noqa: PLC0415
    from beholder.annotation.judgements import aggregate_folder  # noqa: PLC0415

    config = HeatConfig(shape=heat, radius=radius, size=_size(size))
    done = aggregate_folder(
        judgements,
        out,
        method=method,
        heat=config,
        embed=embed,
        unbiased=unbiased,
        notice=notice,
    )
    if json:
        terminal.emit(done.as_json())
    else:
        terminal.say(summaries.aggregate_text(done, out))


@app.command()
def source(
    name: Annotated[str, typer.Argument(help="Such as hpdv2; an unknown name lists all.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the data sets.")],
    place: Annotated[
        str | None, typer.Option("--from", help="A local folder or a hub repository.")
    ] = None,
    split: Annotated[str, typer.Option(help="As published.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    setting: Annotated[
        list[str], typer.Option("--set", metavar="OPTION=VALUE", help="An option of the source.")
    ] = [],  # noqa: B006  (typer reads it once)
    json: Json = False,
) -> None:
    """A public data set, or scenes made here, as ours: splits and tie rules kept, rows counted.

    Example: beholder annotate source hpdv2 --from HPDv2/ --split test -o data/hpdv2/

    Example: beholder annotate source scenes --set folder=pictures --split train -o scenes/
    """
    from beholder.annotation.sources import convert, load  # noqa: PLC0415

    options = terminal.split_settings([f"{name}.{one}" for one in setting], [name])
    found = load(name, **options.get(name, {}))
    report = convert(found, place, split, out, limit=limit)
    if json:
        terminal.emit(report.as_json())
    else:
        terminal.say(summaries.source_text(report, out))


def _size(text: str) -> tuple[int, int] | None:
    """Height and width from "512x512"; None for "picture"."""
    if text == "picture":
        return None
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise ConfigError(f"--size is {text!r}, expected HEIGHTxWIDTH, such as 512x512, or picture")
    return int(height), int(width)
