"""The verbs about rewards themselves: what there is, and published files converted."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from beholder import _terminal as terminal
from beholder._verbs import summaries

Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]


def register(app: typer.Typer) -> None:
    """Put the verbs into the command line."""
    app.command()(rewards)
    app.command()(convert)


def rewards(
    name: Annotated[str, typer.Argument(help="One reward's card; all in short if none.")] = "",
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The catalogue page of the documentation.")
    ] = False,
    json: Json = False,
) -> None:
    """The catalogue: what each reward measures, its range, licence, published accuracy, our parity.

    Example: beholder rewards hps
    """
    from beholder._verbs import catalogue as catalogue  # noqa: PLC0415
    from beholder.rewards import names, reward_class  # noqa: PLC0415

    cards = [reward_class(each).card for each in ([name] if name else names())]
    if json:
        terminal.emit([asdict(card) for card in cards])
    elif name:
        terminal.say(catalogue.card_text(cards[0]))
    elif markdown:
        terminal.say(catalogue.page(cards))
    else:
        terminal.say(catalogue.table_text(cards))


def convert(
    file: Annotated[Path, typer.Argument(help="A published .pt, .pth, .bin or .safetensors file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new reward folder.")],
    reward: Annotated[
        str, typer.Option("--reward", "-r", help="Whose file it is; its keys tell if none.")
    ] = "",
    setting: Annotated[
        list[str], typer.Option("--set", metavar="OPTION=VALUE", help="An option of the reward.")
    ] = [],  # noqa: B006  (typer reads it once)
    json: Json = False,
) -> None:
    """A published file of weights as a folder that `beholder.load` reads; never executes a pickle.

    Every key and what became of it stands in conversion.json beside the weights. Rewards with a
    vocabulary of their own fetch it, unless --set tokenizer=FILE gives it.

    Example: beholder convert HPS_v2.1_compressed.pt -o rewards/hps
    """
    from beholder.rewards._convert import convert as convert_file  # noqa: PLC0415

    options = terminal.split_settings([f"reward.{each}" for each in setting], ["reward"])
    done = convert_file(file, out, reward, **options.get("reward", {}))
    if json:
        terminal.emit(done.as_dict())
    else:
        terminal.say(summaries.conversion_text(done))
