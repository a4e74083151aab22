"""A reward's card as notebooks show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from beholder._notebook.sheet import Sheet

if TYPE_CHECKING:
    from beholder.rewards._card import RewardCard

_FIRST = 3
"""Figures of one kind that are shown."""


def card_sheet(card: RewardCard, title: str = "") -> Sheet:
    """What a user must know before trusting a number; the title names the reward if none is given.

    Notes come last, one a line.
    """
    from beholder.rewards._card import range_text  # noqa: PLC0415  (it imports this module)

    accuracy = [f"{a.percent:g} % on {a.data} ({a.protocol})" for a in card.accuracy]
    parity = [f"{p.error / p.spread:.1g} of the spread, against {p.against}" for p in card.parity]
    rows = [
        ("measures", card.measures),
        ("paper", card.paper),
        ("range", f"{range_text(card)}; higher is better"),
        ("aspects", ", ".join(card.aspects)),
        ("prompt", "needed" if card.needs_prompt else "changes nothing"),
        ("gradient", "reaches the pixels" if card.differentiable else "none"),
        ("licence", f"code {card.code_license}, weights {card.weights_license}"),
        ("weights", card.weights),
        *(("published accuracy", said) for said in accuracy[:_FIRST]),
        *(("parity", said) for said in parity[:_FIRST]),
    ]
    return Sheet(title=title or card.name, rows=[row for row in rows if row[1]], notes=card.notes)
