"""The group of verbs, and what they share."""

from __future__ import annotations

from typing import Annotated

import typer

from beholder._command_line import Verbs

app = Verbs(
    help="Ask people on Label Studio, collect what they say, and see how far to trust it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
"""`beholder annotate`."""

Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
