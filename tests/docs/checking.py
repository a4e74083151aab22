"""What can be said of a block without running it: are there such verbs, options, keys and names?"""

import ast
import importlib
import inspect
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import typer
import yaml

from beholder import names as reward_names
from beholder._command_line import USAGE_ERROR, fault
from beholder.errors import BeholderError
from tests.docs.blocks import COMMANDS, DATA, PROGRAMS, ROOT, Block
from tests.docs.commands import Command, beholder_words, commands

_EXTRA = re.compile(r"beholder\[([\w,-]+)\]")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
_BARE_REWARD = re.compile(r"[a-z][\w-]*")


def block_faults(block: Block) -> list[str]:
    """What is wrong with a block that is not run, a line each."""
    if wrong := block.fault():
        return [wrong]
    if block.language in DATA:
        return data_faults(block.language, block.text)
    if block.language in PROGRAMS:
        return program_faults(block.text, is_ours=block.way != "shown")
    if block.language in COMMANDS and block.way != "file" and block.way != "shown":
        return [wrong for command in commands(block.text) for wrong in command_faults(command)]
    return []


def data_faults(language: str, text: str) -> list[str]:
    """Why YAML, JSON or TOML cannot be read."""
    read: dict[str, Callable[[str], object]] = {
        "yaml": lambda given: list(yaml.safe_load_all(given)),
        "json": json.loads,
        "toml": tomllib.loads,
    }
    try:
        read[language](text)
    except (yaml.YAMLError, ValueError) as error:
        return [" ".join(str(error).split())]
    return []


def command_faults(command: Command) -> list[str]:
    """Verbs, options, configuration keys, rewards, extras and make targets that do not exist."""
    found = [wrong for line in command.text.splitlines() for wrong in _line_faults(line)]
    words = command.words
    if words[:1] == ("make",):
        targets = [word for word in words[1:] if "=" not in word]
        found += [f"make has no target {name!r}" for name in targets if name not in _targets()]
    return found


def _line_faults(line: str) -> list[str]:
    named = [name for extra in _EXTRA.finditer(line) for name in extra[1].split(",")]
    unknown = [f"there is no extra {name!r}" for name in named if name not in _extras()]
    return unknown + [wrong for words in beholder_words(line) if (wrong := verb_fault(words))]


@cache
def _extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


@cache
def _targets() -> set[str]:
    return set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))


def verb_fault(words: Sequence[str]) -> str:
    """Why the real command line refuses the words; nothing if it takes them. Nothing is run."""
    try:
        context = _parsed(words)
        _check_configuration(context)
        return _unknown_reward(context.params)
    except typer.Exit:
        return ""  # --help, --version
    except (USAGE_ERROR, BeholderError) as error:
        return fault(error) if isinstance(error, USAGE_ERROR) else str(error)


def _parsed(words: Sequence[str]) -> Any:
    """The context of the verb that the words call, its options read."""
    command: Any = command_line()
    context = command.make_context("beholder", list(words), resilient_parsing=False)
    while hasattr(command, "resolve_command"):
        given = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, given)
        context = command.make_context(name, rest, parent=context)
    return context


@cache
def command_line() -> Any:
    from beholder.__main__ import app

    return typer.main.get_command(app)


def _check_configuration(context: Any) -> None:
    """The keys of `train` and `tune` are known, and their values of the right kind."""
    verb, given = context.info_name, context.params
    if verb not in {"train", "tune"} or Path(str(given["config"])).suffix:
        return  # a file of the reader's own
    from beholder.configs._load import load_config

    room = "tune" if verb == "tune" else ""
    changes = given["changes"] or []
    load_config(given["config"], changes, _kind(verb, given["config"], changes), room)


def _kind(verb: str, config: str, changes: Sequence[str]) -> type[Any]:
    from beholder.configs._load import read_config
    from beholder.training.algorithms import config_class
    from beholder.training.reward import RewardTraining
    from beholder.training.richhf import RichHFTraining

    if verb == "tune":
        return config_class(str(read_config(config, changes, "tune")["algorithm"]))
    return RichHFTraining if "feedback" in read_config(config, changes) else RewardTraining


def _unknown_reward(given: dict[str, object]) -> str:
    """A reward that is named by one word has to be in the catalogue, or a column of a table."""
    named = given.get("reward") if "scores" not in given and "table" not in given else None
    specs = [named] if isinstance(named, str) else cast("Sequence[str]", named or ())
    for spec in specs:
        if _BARE_REWARD.fullmatch(spec) and spec not in reward_names():
            return f"no reward named {spec!r}"
    return ""


def program_faults(text: str, *, is_ours: bool = True) -> list[str]:
    """Why Python cannot compile the text, or what it takes from beholder that is not there."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return [f"line {error.lineno}: {error.msg}"]
    return list(_missing_names(tree)) if is_ours else []


def _missing_names(tree: ast.Module) -> Iterator[str]:
    known: dict[str, object] = {"beholder": importlib.import_module("beholder")}
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
            for alias in node.names:
                yield from _imported(str(node.module), alias, known)
        elif isinstance(node, ast.Import):
            missing = (a.name for a in node.names if _is_ours(a.name) and not _module(a.name))
            yield from (f"there is no module {name}" for name in missing)
    yield from _used(nodes, known)


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == "beholder"


def _used(nodes: Sequence[ast.AST], known: dict[str, object]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Attribute):
            yield from _attribute_faults(node, known)
        elif isinstance(node, ast.Call):
            yield from _keyword_faults(node, known)


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def _imported(module: str, alias: ast.alias, known: dict[str, object]) -> Iterator[str]:
    place = _module(module)
    if place is None:
        yield f"there is no module {module}"
        return
    found = getattr(place, alias.name, None) or _module(f"{module}.{alias.name}")
    if found is None:
        yield f"{module} has no {alias.name}"
    else:
        known[alias.asname or alias.name] = found


def _chain(node: ast.expr) -> list[str]:
    """`a.b.c` as names; nothing if it does not start with a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def _attribute_faults(node: ast.Attribute, known: dict[str, object]) -> Iterator[str]:
    first, *rest = _chain(node) or [""]
    here = known.get(first)
    for name in rest:
        if not isinstance(here, ModuleType):
            return
        inside = getattr(here, name, None) or _module(f"{here.__name__}.{name}")
        if inside is None:
            yield f"{here.__name__} has no {name}"
        here = inside


def _keyword_faults(node: ast.Call, known: dict[str, object]) -> Iterator[str]:
    first, *rest = _chain(node.func) or [""]
    called = known.get(first)
    for name in rest:
        called = getattr(called, name, None)
    if not callable(called):
        return
    taken = inspect.signature(called).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values()):
        return
    for keyword in node.keywords:
        if keyword.arg is not None and keyword.arg not in taken:
            yield f"{'.'.join([first, *rest])} has no argument {keyword.arg!r}"
