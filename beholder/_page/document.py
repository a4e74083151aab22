"""One self-contained HTML page: its frame, filled from templates and written whole or not at all.

A page asks nothing of the network, runs no script and opens from any folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from beholder._page import plots
from beholder._page.thumbnails import thumbnail
from beholder._page.wording import number, percent, shorten, visible

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
TONES = 8
"""Accent colours in the style sheet; a ninth name shares the colour of the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A large figure at the top of a page; its name gives it its colour."""

    name: str
    value: str
    unit: str = ""
    aside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The frame of a page; what is empty is not shown.

    Attributes:
        brand: what kind of page it is.
        title: the headline.
        summary: one or two sentences below it.
        notice: what the reader must know before trusting a number.
        figures: the most important numbers, and what they are in words.
        protocol: what makes the figures repeatable, name -> value.
        sections: id -> heading, in order; the template <id>.html.j2 is the section.
        commands: shell lines that repeat the run.
        methods: citations of what was used.
        style: the template of a further style sheet.
    """

    brand: str
    title: str
    summary: str = ""
    notice: str = ""
    figures: Sequence[Figure] = ()
    figures_are: str = ""
    protocol: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, str] = field(default_factory=dict)
    commands: Sequence[str] = ()
    methods: Sequence[str] = ()
    style: str = ""


def render_page(
    page: Page, templates: Path, names: Sequence[str], values: Mapping[str, object]
) -> str:
    """The whole HTML page; every text in it is escaped.

    Args:
        page: the frame.
        templates: the folder of the sections' templates and the style sheet.
        names: what has a colour of its own, such as aspects, in the order of the colours.
        values: what the templates know by name, beside the page.
    """
    tones = {name: k % TONES for k, name in enumerate(names)}
    environment = template_environment(templates)
    environment.filters["tone"] = lambda name: f"tone-{tones.get(name, TONES - 1)}"
    environment.globals |= {"plots": plots, "Axis": plots.Axis, "thumbnail": thumbnail}
    return environment.get_template("page.html.j2").render(page=page, **values)


def template_environment(*folders: Path) -> Environment:
    """What fills templates of these folders and of this one; every text in them is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "shorten": shorten}
    return environment


def write_whole(path: Path, contents: str | bytes) -> Path:
    """The path of the file, which holds the whole contents, or what it held before on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(contents.encode() if isinstance(contents, str) else contents)
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
