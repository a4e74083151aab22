"""Texts that try to become code wherever they are shown, put into all that a page is told."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

FIRED = "window.fired=1"
"""What no page ever does."""

HOSTILE = (
    f"</script></style></title></textarea></svg><script>{FIRED}</script>"
    f"\" onload=\"{FIRED}\" ' onmouseover='{FIRED}' ` onfocus=`{FIRED}` autofocus "
    f"<img src=x onerror={FIRED}><svg/onload={FIRED}><iframe srcdoc='<script>parent.fired=1'>"
    f"<a href='javascript:{FIRED}'>x</a><base href=//evil.example><meta http-equiv=refresh>"
    f"<!-- --!> ]]> </template>${{{FIRED}}} {{{{ 7*7 }}}} {{% raw %}} &lt;script&gt; "
    "url(//evil.example) \u2028\u202e\x1b]0;x\x07"
)
"""It leaves elements, attributes, comments, strings of scripts, styles and templates."""

_PLACES = frozenset({"image", "first", "second", "images", "of_image", "fit"})


def poisoned(value: Any, text: str = HOSTILE, *, kept: frozenset[str] = frozenset()) -> Any:
    """The same value with `text` in every text and name that it holds, at its start and its end.

    Equal texts stay equal, so that names are found again. Fields that say where a picture is, and
    those in `kept`, stay as they are.
    """

    def each(one: Any) -> Any:
        if type(one) is str:
            return f"{text}{one}{text}"
        if is_dataclass(one) and not isinstance(one, type):
            mine = (f.name for f in fields(one) if f.init and f.name not in _PLACES | kept)
            return replace(one, **{name: each(getattr(one, name)) for name in mine})
        if isinstance(one, Mapping):
            return {each(key): each(part) for key, part in one.items()}
        if isinstance(one, Sequence) and not isinstance(one, (str, bytes)):
            return type(one)(map(each, one)) if isinstance(one, (list, tuple)) else one
        return one

    return each(value)


def plain(value: Any, *, kept: frozenset[str] = frozenset()) -> Any:
    """What `poisoned` is compared with: the same texts made as long by harmless letters."""
    return poisoned(value, "abcdef, ghijk " * (len(HOSTILE) // 14), kept=kept)


def written(folder: Path, name: str, html: str) -> Path:
    """The page as a file."""
    path = folder / f"{name}.html"
    path.write_text(html, encoding="utf-8")
    return path
