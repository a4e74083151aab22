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
    by B alone. Its help names what an option takes in words: `<text>` and `<whole number>`.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        for parameter in self.params:
            _speak_plainly(parameter)

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


_PLAIN = {
    "str": "text",
    "int": "whole number",
    "int range": "whole number",
    "float": "number",
    "float range": "number",
    "Path": "path",
}
"""What a user calls that which Python calls so."""


def plain_type(label: str) -> str:
    """What typer calls a type, such as `<list[str]>`, for people: `<text>...` if it may repeat."""
    inner = label.removeprefix("<").removesuffix(">")
    each = inner.removeprefix("list[").removesuffix("]") if inner.startswith("list[") else inner
    return f"<{_PLAIN.get(each, each)}>{'' if each == inner else '...'}"


def _speak_plainly(parameter: Any) -> None:
    """Let a parameter name its type in plain words; older releases of typer have none to name."""
    named = getattr(parameter, "display_type", None)
    if named is not None:
        parameter.display_type = lambda context: plain_type(named(context))


def _takes_many(option: Any) -> bool:
    return bool(option.multiple or option.nargs == -1 or getattr(option, "count", False))
