"""The command line: a page a verb, from what `--help` reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from beholder.__main__ import app
from handbook.pieces import code, fenced, page, shown, table

_FOLDER = "reference/verbs"
_EXAMPLE = re.compile(r"^Examples?:\s*", re.MULTILINE)


def pages() -> dict[str, str]:
    """The table, and one page a verb; those of `annotate` are verbs of their own."""
    known = dict(verbs())
    rows = [
        [f"[{code(f'beholder {name}')}](verbs/{_file(name)})", shown(_first(verb))]
        for name, verb in known.items()
    ]
    listed = page(
        "Command line",
        "Every verb leaves with 0 (done), 1 (failed), 2 (asked wrongly) or 3 (done, but some rows "
        "could not be read); errors are one line, and `beholder --debug VERB` shows where one came "
        "from. The same command resumes what Ctrl-C stopped.",
        table(["verb", "what it does"], rows),
    )
    return {
        f"{_FOLDER}.md": listed,
        **{f"{_FOLDER}/{_file(name)}": verb_page(name, verb) for name, verb in known.items()},
    }


def verbs() -> Iterator[tuple[str, Any]]:
    """Each verb's name, such as "annotate push", and what parses it."""
    yield from _below(typer.main.get_command(app), "")


def verb_page(name: str, verb: Any) -> str:
    """What a verb does, its arguments and options, as `--help` says them."""
    said, example = _apart(verb.help or "")
    context = verb.context_class(verb, info_name=name)
    usage = " ".join(["beholder", name, *verb.collect_usage_pieces(context)])
    return page(
        f"beholder {name}",
        shown(said),
        fenced(usage, "text"),
        f"Example:\n\n{fenced(example, 'text')}" if example else "",
        _told("Arguments", "argument", verb, context),
        _told("Options", "option", verb, context),
    )


def _below(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, verb in group.commands.items():
        called = f"{prefix} {name}".strip()
        if hasattr(verb, "commands"):
            yield from _below(verb, called)
        else:
            yield called, verb


def _apart(text: str) -> tuple[str, str]:
    """What is said of a verb, and the commands of its example."""
    found = _EXAMPLE.search(text)
    if not found:
        return text.strip(), ""
    lines = (line.strip() for line in text[found.end() :].splitlines())
    return text[: found.start()].strip(), "\n".join(lines).strip()


def _told(title: str, kind: str, verb: Any, context: Any) -> str:
    """The table of a verb's arguments or options; "" if it has none."""
    records = [p.get_help_record(context) for p in verb.params if p.param_type_name == kind]
    rows = [[code(name), *_with_default(said)] for name, said in filter(None, records)]
    if not rows:
        return ""
    return f"## {title}\n\n{table([kind, 'what it is', 'default and bounds'], rows)}"


def _with_default(text: str) -> tuple[str, str]:
    """What an option is, and what `--help` has in brackets behind it."""
    said, _, bracket = text.partition("  [")
    default = bracket.removesuffix("]").removeprefix("default: ")
    return shown(said), code(default) if default else ""


def _first(verb: Any) -> str:
    return _apart(verb.help or "")[0].split("\n\n")[0]


def _file(name: str) -> str:
    return f"{name.replace(' ', '-')}.md"
