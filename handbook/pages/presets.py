"""A page a preset of `beholder train` and `beholder tune`: why it is so, and its YAML."""

from __future__ import annotations

from importlib.resources import files

from beholder.configs._load import presets
from handbook.pieces import code, fenced, page, table

_FOLDER = "catalogue/presets"
_ROOMS = {"": "train", "tune": "tune"}


def pages() -> dict[str, str]:
    """The table, and one page a preset."""
    texts = {(room, name): _text(room, name) for room in _ROOMS for name in presets(room)}
    rows = [
        [f"[{name}](presets/{_file(room, name)})", code(f"beholder {_ROOMS[room]}"), _first(text)]
        for (room, name), text in texts.items()
    ]
    listed = page(
        "Presets",
        "Recipes that come with the package. Any key can be given on the command line after the "
        "name, as `fit.steps=300`; a YAML file of your own takes the name's place.",
        table(["preset", "verb", "what it is"], rows),
    )
    each = {
        f"{_FOLDER}/{_file(room, name)}": preset_page(name, _ROOMS[room], text)
        for (room, name), text in texts.items()
    }
    return {f"{_FOLDER}.md": listed, **each}


def preset_page(name: str, verb: str, text: str) -> str:
    """What stands above the YAML as prose, then the YAML."""
    said, yaml = apart(text)
    commands = [line for line in said if line.startswith("beholder ")]
    prose = " ".join(line for line in said if not line.startswith("beholder "))
    usage = "\n".join(commands) or f"beholder {verb} {name}"
    return page(name, prose, fenced(usage, "text"), fenced(yaml, "yaml"))


def apart(text: str) -> tuple[list[str], str]:
    """The comment that a file begins with, line by line, and the rest."""
    lines = text.splitlines()
    count = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line.lstrip("# ").rstrip() for line in lines[:count]], "\n".join(lines[count:])


def _text(room: str, name: str) -> str:
    return files("beholder.configs").joinpath(room, f"{name}.yaml").read_text(encoding="utf-8")


def _file(room: str, name: str) -> str:
    return f"{_ROOMS[room]}-{name}.md"


def _first(text: str) -> str:
    """The first sentence of the comment."""
    prose = " ".join(line for line in apart(text)[0] if not line.startswith("beholder "))
    head, stop, _ = prose.partition(". ")
    return f"{head}{stop.rstrip()}" if stop else prose
