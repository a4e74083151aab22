"""The cards of the rewards as text: a table, one card, and the catalogue page of the docs."""

from __future__ import annotations

from collections.abc import Sequence

from beholder import _terminal as terminal
from beholder.rewards import RewardCard
from beholder.rewards._card import range_text

_HEAD = """# The rewards

Generated from the cards of the rewards by `beholder rewards --markdown`; do not edit.

**Published accuracy** is the share of people's pairs that a reward gets right, as its source says
it; figures of two protocols do not compare. **Parity** is the largest difference between our score
and another implementation's on the same weights and pictures, as a share of the standard deviation
of the scores; the table has the first figure of a card. Published weights were not at hand where
these rewards were written: parity was measured on small random models saved in the published
format, so it speaks of architecture, preprocessing and key names. BRISQUE and NIQE, whose
parameters come with the package, were compared as they are.
"""


def table_text(cards: Sequence[RewardCard]) -> str:
    """One line a reward: what it measures, range, licence, accuracy and parity."""
    rows = [
        [
            card.name,
            card.measures,
            range_text(card),
            card.weights_license,
            _best(card),
            _parity(card),
        ]
        for card in cards
    ]
    header = ["reward", "measures", "range", "weights", "published accuracy", "parity"]
    return terminal.table(rows, header)


def card_text(card: RewardCard) -> str:
    """A reward's card as a few lines."""
    gradient = "differentiable" if card.differentiable else "no gradient"
    facts = [
        ("measures", card.measures),
        ("paper", card.paper),
        ("licence", f"code {card.code_license}, weights {card.weights_license}"),
        ("weights", card.weights or "none"),
        ("range", f"{range_text(card)}, {gradient}"),
        *_facts(card),
        *(("note", note) for note in card.notes),
    ]
    return "\n".join([card.name, *(f"  {name:<10} {text}" for name, text in facts)])


def page(cards: Sequence[RewardCard]) -> str:
    """The catalogue page, in Markdown."""
    rows = [
        f"| [{card.name}](#{card.name}) | {card.measures} | {range_text(card)} | "
        f"{'yes' if card.needs_prompt else 'no'} | {'yes' if card.differentiable else 'no'} | "
        f"{card.weights_license} | {_best(card)} | {_parity(card)} |"
        for card in cards
    ]
    header = [
        "| reward | measures | range | prompt | gradient | weights | published accuracy | parity |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([_HEAD, *header, *rows, *map(_section, cards)])


def _section(card: RewardCard) -> str:
    licence = f"code {card.code_license}, weights {card.weights_license}"
    facts = [f"{name}: {text}" for name, text in _facts(card)]
    items = [f"{licence}: {card.weights or 'none'}", *facts, *card.notes]
    return "\n".join([f"\n## {card.name}\n", f"{card.paper}.\n", *(f"- {i}" for i in items)])


def _facts(card: RewardCard) -> list[tuple[str, str]]:
    """What a card may or may not have, each with its name."""
    errors = _errors(card)
    return [
        *([("aspects", ", ".join(card.aspects))] if card.aspects else []),
        *(
            ("accuracy", f"{a.data} {a.percent:g} % ({a.protocol}; {a.source})")
            for a in card.accuracy
        ),
        *(
            (
                "parity",
                f"{p.error:.1g} at a spread of {p.spread:.2g} against {p.against} ({p.how})",
            )
            for p in card.parity
        ),
        *([("precision", errors)] if errors else []),
    ]


def _best(card: RewardCard) -> str:
    return ", ".join(f"{a.percent:g} % {a.data}" for a in card.accuracy[:2]) or "none"


def _parity(card: RewardCard) -> str:
    if not card.parity:
        return "not measured"
    return f"{card.parity[0].error / card.parity[0].spread:.1g}"


def _errors(card: RewardCard) -> str:
    known = {
        "float pixels": card.float_error,
        "bf16": card.bf16_error,
        "fp16": card.fp16_error,
    }
    said = [f"{name} within {error:g}" for name, error in known.items() if error is not None]
    return f"{', '.join(said)} of the scores' standard deviation, on a small model" if said else ""
