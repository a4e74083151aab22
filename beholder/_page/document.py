"""One self-contained HTML page: its frame, filled from templates and written whole or not at all.

A page asks nothing of the network and opens from any folder. Its policy lets run only the scripts
that are written into it, by their hashes; a page that names none runs none.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from beholder._page import plots
from beholder._page.thumbnails import Missing, Thumbnail, thumbnail
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
        scripts: files of the templates' folder that run as one script, in this order.
        data: elements at the end of the page that the scripts read.
        protocol_at_foot: whether the protocol stands with the commands and not below the title.
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
    scripts: Sequence[str] = ()
    data: Markup = field(default_factory=Markup)
    protocol_at_foot: bool = False

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Id and heading of every part that the page has."""
        foot = self.commands or self.methods or (self.protocol_at_foot and self.protocol)
        return [*self.sections.items(), *([("methods", "Repeat and cite")] if foot else [])]


def render_page(
    page: Page,
    templates: Path,
    names: Sequence[str],
    values: Mapping[str, object],
    draw: Callable[..., Thumbnail | Missing] = thumbnail,
) -> str:
    """The whole HTML page; every text in it is escaped.

    Args:
        page: the frame.
        templates: the folder of the sections' templates and the style sheet.
        names: what has a colour of its own, such as aspects, in the order of the colours.
        values: what the templates know by name, beside the page.
        draw: what makes thumbnails, called as `thumbnail` is.
    """
    tones = {name: k % TONES for k, name in enumerate(names)}
    environment = template_environment(templates)
    environment.filters["tone"] = lambda name: f"tone-{tones.get(name, TONES - 1)}"
    environment.globals |= {"plots": plots, "Axis": plots.Axis, "thumbnail": draw}
    script = script_of(templates, page.scripts)
    own = {"page": page, "script": script, "policy": policy(script)}
    return environment.get_template("page.html.j2").render(**own, **values)


def script_of(templates: Path, names: Sequence[str]) -> Markup:
    """The files as one script, which shares no name with any other; "" without files."""
    if not names:
        return Markup()
    files = "\n".join((templates / name).read_text(encoding="utf-8") for name in names)
    return Markup('(() => {{\n"use strict";\n{}}})();\n').format(Markup(files))


def policy(script: str) -> Markup:
    """The content security policy of a page: pictures and styles written into it, this script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = f"script-src 'sha256-{digest}'; " if script else ""
    return Markup(
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; {scripts}"
        "base-uri 'none'; form-action 'none'"
    )


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
