"""The command line itself: an option that is given twice is refused, a fault is one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from beholder.errors import ConfigError

Function = TypeVar("Function", bound=Callable[..., Any])


class Verb(TyperCommand):
    """A verb whose options count once, unless they are lists.

    The last of two would silently take the place of the first: `--where A --where B` kept pictures
    by B alone.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; ConfigError if an option that takes one value comes twice."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option in dict.fromkeys(order):
            if order.count(option) > 1 and not _takes_many(option):
                raise ConfigError(f"{option.opts[0]} was given more than once; give it once")
        return super().parse_args(ctx, args)


class Verbs(typer.Typer):
    """A group of verbs."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        """Add a function as a verb; see `typer.Typer.command`."""
        return super().command(name, **{"cls": Verb, **options})


USAGE_ERROR: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
"""All errors in what was typed; where the class lies differs between versions of typer."""


def fault(error: Exception) -> str:
    """What is wrong with the words that were typed; the whole help if there were none."""
    said: str = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    if context is None or said.startswith("Usage:"):
        return said
    said = said.removesuffix(".").replace("Value error, ", "")
    return f"{said[:1].lower()}{said[1:]}; see {context.command_path} --help"


def _takes_many(option: Any) -> bool:
    return bool(option.multiple or option.nargs == -1 or getattr(option, "count", False))
