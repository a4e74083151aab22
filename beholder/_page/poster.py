"""Rich feedback as one PNG: the panels, words and bars of `beholder._page.feedback` by Pillow."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from beholder._page.document import write_whole
from beholder._page.feedback import (
    FILL,
    MARK,
    TINT,
    UNIT,
    Bar,
    Panel,
    PictureFeedback,
    Text,
    is_struck,
)
from beholder._page.lettering import Piece, draw_piece, set_lines, width_of
from beholder._page.thumbnails import Missing, fault_picture, opened
from beholder._page.wording import number, shorten
from beholder.errors import DataError
from beholder.types import WordLabel

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

PAPER, INK, SOFT, FAINT, GREY = "#ffffff", "#1d1a16", "#6b645a", "#e6e2d9", "#808080"
TEXT, SMALL = 19, 15
GAP, MARGIN, COLUMN = 14, 24, 400


def draw_poster(feedback: PictureFeedback, *, side: int = 384) -> Image:
    """One picture with its maps, prompt and scores, and the truth beside them if it is known.

    A picture that cannot be read becomes a panel that says why.

    Args:
        feedback: what to draw.
        side: the longest side of each panel in pixels.
    """
    panels = _panels(feedback, side)
    width = max(panels.width, COLUMN)
    wide = width if width < 2 * COLUMN else (width - 3 * GAP) * 3 // 5
    texts = _texts(feedback.texts, wide)
    if wide == width:
        said = _stack([texts, _bars(feedback.bars, width)])
    else:
        said = _beside([texts, _bars(feedback.bars, width - wide - 3 * GAP)], 3 * GAP)
    return _framed(_stack([panels, *_scale(feedback, side), said]))


def draw_grid(feedbacks: Sequence[PictureFeedback], *, side: int = 256) -> Image:
    """Several pictures below each other: panels, then prompt and scores at their right.

    Give `prediction.beside(truth)` to compare both. Raises DataError without a picture.
    """
    if not feedbacks:
        raise DataError("there is no picture to draw")
    panels = [_panels(feedback, side) for feedback in feedbacks]
    column = max(panel.width for panel in panels)
    rows = [
        _beside([_widened(panel, column, 0.0), _said(feedback)], 2 * GAP)
        for panel, feedback in zip(panels, feedbacks, strict=True)
    ]
    rule = _blank(rows[0].width, 1, FAINT)
    parts = [part for row in rows for part in (rule, row)][1:]
    return _framed(_stack([*parts, *_scale(feedbacks[0], side)]))


def save_png(feedback: PictureFeedback, path: str | os.PathLike[str], *, side: int = 384) -> Path:
    """The path of the poster as a PNG, written whole or not at all."""
    encoded = io.BytesIO()
    draw_poster(feedback, side=side).save(encoded, "PNG", optimize=True)
    return write_whole(Path(path), encoded.getvalue())


def _said(feedback: PictureFeedback) -> Image:
    return _stack([_texts(feedback.texts, COLUMN, most=3), _bars(feedback.bars, COLUMN)])


def _panels(feedback: PictureFeedback, side: int) -> Image:
    picture = opened(feedback.image)
    return _beside([_panel(panel, picture, side) for panel in feedback.panels], GAP)


def _panel(panel: Panel, picture: Image | Missing, side: int) -> Image:
    """The picture within a square of that side, its map over it, its name below."""
    from PIL import ImageOps  # noqa: PLC0415

    if isinstance(picture, Missing):
        shown = _missing(picture, side)
    else:
        shown = ImageOps.contain(picture, (side, side)).convert("RGBA")
        if panel.marked is not None:
            shown.alpha_composite(fault_picture(panel.marked, shown.size).convert("RGBA"))
    return _stack([_widened(shown, side), _line(panel.name, side)], 6)


def _missing(why: Missing, side: int) -> Image:
    reason = f"{why.code}: {shorten(why.reason, 160)}"
    text = _lines([(reason, None)], side - 2 * GAP, SMALL, SOFT)
    box = _blank(side, max(side, text.height), FAINT)
    box.alpha_composite(text, (GAP, (box.height - text.height) // 2))
    return box


def _scale(feedback: PictureFeedback, side: int) -> list[Image]:
    """The colours of the maps below the panels that have one; nothing without a map."""
    maps = len(feedback.panels) - 1
    if not maps:
        return []
    bar = _blank(maps * side + (maps - 1) * GAP, 12 + SMALL * 2, PAPER)
    ramp = _blank(bar.width, 12, GREY)
    levels = torch.linspace(0, 1, bar.width).expand(12, -1)
    ramp.alpha_composite(fault_picture(levels, ramp.size).convert("RGBA"))
    bar.alpha_composite(ramp)
    for tick in UNIT.ticks:
        label = _aligned(f"{tick:g}", bar.width, UNIT.at(tick) / 100)
        bar.alpha_composite(label, (0, 14))
    return [_beside([_blank(side, 1, PAPER), bar], GAP)]


def _texts(texts: Sequence[Text], width: int, most: int | None = None) -> Image:
    """The prompt with its misaligned words struck through, once for each who judges it."""
    said = (
        part
        for text in texts
        for part in (
            *([_line(text.said_by, width)] if text.said_by else []),
            _lines(text.pieces or [("no prompt", None)], width, TEXT, INK, most=most),
        )
    )
    return _stack(list(said), 4)


def _lines(
    pieces: Sequence[tuple[str, WordLabel | None]],
    width: int,
    size: int,
    ink: str,
    most: int | None = None,
) -> Image:
    from PIL import ImageDraw  # noqa: PLC0415

    lines = set_lines(pieces, size, width, most=most)
    leading = int(1.6 * size)
    block = _blank(width, leading * len(lines))
    canvas = ImageDraw.Draw(block, "RGBA")
    for k, line in enumerate(lines):
        for piece in line:
            _draw_word(canvas, piece, k * leading, size, ink)
    return block


def _draw_word(canvas: ImageDraw, piece: Piece, top: int, size: int, ink: str) -> None:
    """A piece of text, tinted by how probably it is misaligned, struck through if it is."""
    baseline = top + int(1.15 * size)
    left, right = piece.x, piece.x + piece.width
    if piece.word is not None:
        tint = f"{MARK}{round(255 * TINT * piece.word.p_misaligned):02x}"
        canvas.rounded_rectangle((left - 1, top + 1, right + 1, top + 1.55 * size), 3, tint)
    draw_piece(canvas, piece, (left, baseline), size, ink)
    if is_struck(piece.word):
        middle = baseline - 0.3 * size
        canvas.line((left - 1, middle, right + 1, middle), MARK, 2)


def _line(text: str, width: int) -> Image:
    return _lines([(text, None)], width, SMALL, SOFT, most=1)


def _bars(bars: Sequence[Bar], width: int) -> Image:
    rows = [_bar(bar, width) for bar in bars]
    if any(bar.truth is not None for bar in bars):
        rows.insert(0, _aligned("predicted / truth", width, 1.0))
    return _stack(rows, 2)


def _bar(bar: Bar, width: int) -> Image:
    """The name, a bar from 0 to the score with a tick at the truth, and the numbers."""
    from PIL import ImageDraw  # noqa: PLC0415

    value = number(bar.value) if bar.truth is None else f"{number(bar.value)} / {number(bar.truth)}"
    row = _aligned(value, width, 1.0)
    row.alpha_composite(_line(bar.name, 116))
    canvas = ImageDraw.Draw(row)
    left, right = 122, width - 100
    canvas.rectangle((left, 7, right, 16), FAINT)
    for score, top, ink in ((bar.value, 7, FILL), (bar.truth, 4, INK)):
        if score is not None and math.isfinite(score):
            end = left + (right - left) * UNIT.at(score) / 100
            canvas.rectangle((left if ink == FILL else end - 2, top, end, 23 - top), ink)
    return row


def _aligned(text: str, width: int, share: float) -> Image:
    """A small text with that share of the room that it leaves on its left."""
    return _widened(_line(text, math.ceil(width_of(text, SMALL))), width, share)


def _blank(width: int, height: int, colour: str = "#ffffff00") -> Image:
    from PIL import Image  # noqa: PLC0415

    return Image.new("RGBA", (max(width, 1), max(height, 1)), colour)


def _widened(picture: Image, width: int, share: float = 0.5) -> Image:
    """The picture with that share of the added room on its left."""
    wide = _blank(width, picture.height)
    wide.paste(picture, (round(share * (width - picture.width)), 0))
    return wide


def _stack(blocks: Sequence[Image], gap: int = GAP) -> Image:
    height = sum(block.height for block in blocks) + gap * (len(blocks) - 1)
    whole = _blank(max((block.width for block in blocks), default=1), height)
    top = 0
    for block in blocks:
        whole.paste(block, (0, top))
        top += block.height + gap
    return whole


def _beside(blocks: Sequence[Image], gap: int) -> Image:
    width = sum(block.width for block in blocks) + gap * (len(blocks) - 1)
    whole = _blank(width, max(block.height for block in blocks))
    left = 0
    for block in blocks:
        whole.paste(block, (left, 0))
        left += block.width + gap
    return whole


def _framed(block: Image) -> Image:
    """The block on white with a margin, without transparency."""
    from PIL import Image  # noqa: PLC0415

    page = Image.new("RGB", (block.width + 2 * MARGIN, block.height + 2 * MARGIN), PAPER)
    page.paste(block, (MARGIN, MARGIN), block)
    return page
