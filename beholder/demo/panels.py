"""What rewards say, as HTML that fits a light and a dark page; every text in it is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from beholder._notebook.plain import figure
from beholder._page.document import template_environment
from beholder.demo.judging import Judgement, Verdict, refused
from beholder.rewards import Reward
from beholder.rewards._card import RewardCard, range_text
from beholder.rewards._card_sheet import card_sheet

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


def style() -> str:
    """The style sheet of everything below, for the head of the page."""
    page = _environment()
    return "".join(page.get_template(name).render() for name in ("demo.css", "feedback.css"))


def picture_panel(judgements: Sequence[Judgement]) -> str:
    """Scores, what they mean, and maps and words where a reward has them."""
    template = _environment().get_template("picture.html.j2")
    return template.render(judgements=judgements, refused=refused(judgements))


def pair_panel(verdicts: Sequence[Verdict]) -> str:
    """Which picture each reward prefers, by how much and how likely people agree."""
    template = _environment().get_template("pair.html.j2")
    return template.render(verdicts=verdicts, refused=refused(verdicts))


def cards_panel(rewards: Mapping[str, Reward]) -> str:
    """The card of every reward."""
    sheets = (card_sheet(reward.card, name) for name, reward in rewards.items())
    return "".join(sheet.html() for sheet in sheets)


def share(value: float, card: RewardCard) -> float | None:
    """Where a score lies in its range, in percent; None if the range has no end."""
    low, high = card.score_range
    if math.isinf(low) or math.isinf(high) or math.isnan(value):
        return None
    return min(max(100 * (value - low) / (high - low), 0.0), 100.0)


def meaning(card: RewardCard) -> str:
    """What a high score means, or the paper that says it."""
    return f"measures {card.measures}" if card.measures else card.paper


@cache
def _environment() -> Environment:
    environment = template_environment(_TEMPLATES)
    environment.filters |= {"figure": figure}
    environment.globals |= {"meaning": meaning, "range_text": range_text, "share": share}
    return environment
