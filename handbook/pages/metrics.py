"""The catalogue of classical metrics: a table, and a page each."""

from __future__ import annotations

from beholder._verbs.measure_text import MetricCard, cards
from handbook.pieces import code, facts, fenced, page, shown, table

_FOLDER = "catalogue/metrics"


def pages() -> dict[str, str]:
    """The table, and one page a metric."""
    known = cards()
    rows = [
        [f"[{name}](metrics/{name}.md)", shown(card.title), card.of, card.better or "neither"]
        for name, card in known.items()
    ]
    listed = page(
        "Metrics",
        "What `beholder measure` knows; `beholder metrics` prints the same. "
        "[The guide](../metrics.md) says what people get wrong about each.",
        table(["metric", "what it is", "of", "better"], rows),
    )
    each = {f"{_FOLDER}/{name}.md": metric_page(name, card) for name, card in known.items()}
    return {f"{_FOLDER}.md": listed, **each}


def metric_page(name: str, card: MetricCard) -> str:
    """A metric: its definition, what it needs, and its options."""
    return page(
        name,
        f"{shown(card.title)}: {shown(card.definition)}.",
        facts(
            {
                "of": card.of,
                "better": card.better or "neither",
                "real side": "needed" if card.needs_real else "none",
                "prompts": "needed" if card.needs_prompts else "not read",
                "statistics without features": "are enough" if card.reads_statistics else "",
            }
        ),
        fenced(command(name, card), "bash"),
        _options(name, card),
    )


def command(name: str, card: MetricCard) -> str:
    """How it is measured on a command line."""
    sides = "real/ generated/" if card.needs_real else "generated/"
    prompts = " --prompts prompts.txt" if card.needs_prompts else ""
    return f"beholder measure {sides}{prompts} --metric {name}"


def _options(name: str, card: MetricCard) -> str:
    if not card.options:
        return ""
    rows = [
        [code(f"--set {name}.{key}=…"), code("none" if value is None else value)]
        for key, value in card.options.items()
    ]
    said = fenced(card.about, "text") if card.about else ""
    return "\n\n".join(filter(None, ["## Options", table(["option", "default"], rows), said]))
