"""A whole page inside a notebook: a frame that shares nothing with the page around it."""

from __future__ import annotations

from html import escape

HEIGHT = 640
"""Of the frame in pixels; it can be dragged taller."""

_BASE = '<base href="about:srcdoc">'
"""Without it a link to a part of the page would open the notebook inside the frame."""


def framed(page: str, title: str) -> str:
    """An iframe that holds a page of ours; its own scripts run, in an origin of their own.

    They reach neither the notebook nor what it stores, and the page's own policy still holds.
    """
    inside = page.replace("<head>", f"<head>{_BASE}", 1)
    style = f"width: 100%; height: {HEIGHT}px; border: 0; resize: vertical"
    return (
        f'<iframe sandbox="allow-scripts" title="{escape(title)}" style="{style}" '
        f'srcdoc="{escape(inside)}"></iframe>'
    )
