"""YAML and key=value into frozen dataclasses, strictly: nothing unknown, nothing converted."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_type_hints

from beholder.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_NOT_PRESETS = {"mps_conditions"}
_SHOWN = 80  # characters of a value in an error
Config = TypeVar("Config")


def presets(room: str = "") -> list[str]:
    """Names of the presets that `load_config` finds in the package, or in a `room` of it."""
    found = {path.name for path in files("beholder.configs").joinpath(room).iterdir()}
    names = {name.removesuffix(".yaml") for name in found if name.endswith(".yaml")}
    return sorted(names - _NOT_PRESETS)


def load_config(
    source: str | Path | None, overrides: Sequence[str], kind: type[Config], room: str = ""
) -> Config:
    """The configuration in a YAML file or preset, with `overrides` put over it.

    Values keep their YAML type: a number is no text and true is no number; only a whole number may
    stand for a real one. YAML is read by the rules of version 1.2, so 1e-5 is a number and no, on
    and 12:30 are texts.

    Args:
        source: a file, or the name of a preset; None takes the defaults of `kind`.
        overrides: "key=value", with dots into nested keys, such as "fit.steps=300"; the value is
            YAML.
        kind: a frozen dataclass.
        room: the folder of the presets, such as "tune".

    Raises:
        ConfigError: if there is no such file or preset, it is not YAML, or a key is unknown, given
            twice, of another type or out of range; the text says which and what was expected.
    """
    given = read_config(source, overrides, room)
    _refuse_unknown(given, kind)
    return _validated(given, kind)


def read_config(
    source: str | Path | None, overrides: Sequence[str], room: str = ""
) -> dict[str, object]:
    """What a configuration gives, unchecked, to tell what kind it is; errors as `load_config`."""
    given = {} if source is None else _read(source, room)
    for override in overrides:
        _put(given, override)
    return given


def _read(source: str | Path, room: str) -> dict[str, object]:
    if Path(source).is_file():
        where, text = str(source), _text(Path(source))
    elif str(source) in presets(room):
        where = f"preset {source}"
        place = files("beholder.configs").joinpath(room)
        text = place.joinpath(f"{source}.yaml").read_text(encoding="utf-8")
    else:
        raise ConfigError(
            f"no configuration file {str(source)!r}, nor a preset of that name; "
            f"{_suggestion(str(source), presets(room))}"
        )
    given = _parse(text, where)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ConfigError(f"{where} holds {_shown(given)}, expected keys with values")
    return given


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text in UTF-8: {error.reason}") from error


def _put(given: dict[str, object], override: str) -> None:
    path, sign, text = override.partition("=")
    *parents, last = path.split(".")
    if not (sign and all([*parents, last])):
        raise ConfigError(f"expected key=value, got {override!r}")
    place = given
    for depth, parent in enumerate(parents, 1):
        inside = place.setdefault(parent, {})
        if not isinstance(inside, dict):
            raise ConfigError(
                f"{override!r}: {'.'.join(parents[:depth])} is {_shown(inside)}, it holds no keys"
            )
        place = inside
    place[last] = _parse(text, override)


def _parse(text: str, where: str) -> Any:
    import yaml  # noqa: PLC0415

    try:
        return yaml.load(text, _loader())
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


@cache
def _loader() -> Any:
    """PyYAML's safe loader with the scalars of YAML 1.2, without repeated keys and aliases."""
    import yaml  # noqa: PLC0415

    class Strict(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ConfigError("aliases (*name) are not read; write the value out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for key in keys:
                if not isinstance(key, str):
                    raise ConfigError(f"key {key!r} must be a text; put it in quotes")
                if keys.count(key) > 1:
                    line = node.start_mark.line + 1
                    raise ConfigError(f"key {key!r} is given twice (mapping at line {line})")
            return super().construct_mapping(node, deep)

    Strict.yaml_implicit_resolvers = {}
    for tag, pattern, first in _SCALARS:
        Strict.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))
    return Strict


_SCALARS = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    (
        "float",
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+"
        r"|\.(?:inf|nan))$",
        "-+0123456789.",
    ),
)
"""Tag, pattern and first characters of YAML 1.2's plain scalars (core schema, 10.3.2).

Left out are 0o17, 0x1f and whole numbers that start with 0: they stay texts.
"""


def _refuse_unknown(given: Mapping[str, object], kind: type, path: str = "") -> None:
    types = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"unknown key {path + key!r}; {_suggestion(key, known, path)}")
        inner = types[key]
        if is_dataclass(inner) and isinstance(value, Mapping):
            _refuse_unknown(value, cast("type", inner), f"{path}{key}.")
        named = get_args(inner)[1:]  # what a mapping of names to parts holds
        if named and is_dataclass(named[0]) and isinstance(value, Mapping):
            for name, part in value.items():
                if isinstance(part, Mapping):
                    _refuse_unknown(part, cast("type", named[0]), f"{path}{key}.{name}.")


def _validated(given: Mapping[str, object], kind: type[Config]) -> Config:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    # By way of JSON: only there a strict dataclass may come as keys with values.
    try:
        return TypeAdapter(kind).validate_json(json.dumps(given, default=_refuse), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigError("; ".join(map(_fault, details))) from error


def _refuse(value: object) -> None:
    raise ConfigError(f"{_shown(value)} is no text, number, true, false, null, list or mapping")


def _fault(detail: ErrorDetails) -> str:
    own = detail.get("ctx", {}).get("error")
    path = ".".join(map(str, detail["loc"]))
    if isinstance(own, ConfigError):
        return f"{path}.{own}" if path else str(own)
    expected = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{path} is {_shown(detail['input'])}, {expected}"


def _suggestion(name: str, known: Sequence[str], path: str = "") -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {path + close[0]!r}?" if close else f"known: {', '.join(known)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
