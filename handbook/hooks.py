"""What mkdocs calls while it builds the site."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # mkdocs knows this file alone

from handbook import navigation, pages, placing  # noqa: E402

_LOG = logging.getLogger("mkdocs.plugins.handbook")
_MADE: dict[str, str] = {}


def on_config(config: Any) -> Any:
    """The configuration with a menu of everything that is made."""
    if not _MADE:  # once, also for a server that builds again
        _MADE.update(pages.made())
    config.nav = navigation.expanded(config.nav, _MADE)
    return config


def on_files(files: Any, config: Any) -> Any:
    """All files: those of docs/, those that are made, and those that either leads to."""
    from mkdocs.structure.files import File  # noqa: PLC0415

    for uri, text in _MADE.items():
        files.append(File.generated(config, uri, content=text))
    led_to = {
        file
        for each in files.documentation_pages()
        for file in placing.foreign_files(each.content_string, each.src_uri)
    }
    for file in sorted(led_to):
        _append(files, config, file)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """A page as the site has it."""
    return placing.adapted(markdown, page.file.src_uri)


def on_post_build(config: Any) -> None:
    """Write the search's index as a script, too, for a site that is opened as files."""
    index = Path(config.site_dir) / "search" / "search_index.json"
    text = index.read_text(encoding="utf-8")
    index.with_suffix(".js").write_text(f"var __index = {text}", encoding="utf-8")
    _LOG.info("%d sections to search", len(json.loads(text)["docs"]))


def _append(files: Any, config: Any, file: str) -> None:
    if not placing.exists(file):
        _LOG.warning("a page leads to %s, which is not in the repository", file)
        return
    if (ROOT / file).is_dir():
        _append_outside_menu(files, config, file, content=placing.folder_page(file))
        for inner in placing.folder_files(file):
            _append(files, config, inner)
    else:
        _append_outside_menu(files, config, file, abs_src_path=str(ROOT / file))


def _append_outside_menu(files: Any, config: Any, file: str, **held: str) -> None:
    """A page that others lead to, or a file to download; a page of its own if it is Markdown."""
    from mkdocs.structure.files import File  # noqa: PLC0415

    uri = placing.uri_of(file)
    if files.get_file_from_path(uri) is None:
        added = File.generated(config, uri, **held)
        added.inclusion = added.inclusion.NOT_IN_NAV
        files.append(added)
