"""The public data sets and the sets of prompts that come by name."""

from __future__ import annotations

import importlib

from beholder import prompt_sets
from beholder.annotation import sources
from beholder.annotation.sources import SourceCard
from handbook.pieces import code, fenced, items, page, shown, table


def pages() -> dict[str, str]:
    """One page of both."""
    cards = [sources.load(name).card for name in sources.names()]
    return {
        "catalogue/data.md": page(
            "Data sets and prompts",
            "## Public judgements",
            "`beholder annotate source` streams them into the same records as your own "
            "annotations, with their splits and tie rules.",
            fenced("beholder annotate source hpdv2 --from HPDv2/ -o judgements/", "text"),
            *map(_source, cards),
            "## Sets of prompts",
            "What `--prompts` takes by name; a file of your own works as well.",
            items(f"{code(name)}: {_about(name)}" for name in prompt_sets.names()),
        )
    }


def _source(card: SourceCard) -> str:
    rows = [
        [split, ", ".join(f"{one.count:,} {one.of}" for one in counts)]
        for split, counts in card.splits.items()
    ]
    said = [
        f"### {card.name}",
        f"{shown(card.paper).removesuffix('.')}.",
        items(
            [
                f"records: {card.kind}",
                f"on the hub: {code(card.repository)}" if card.repository else "made here",
                f"licence of the annotations: {shown(card.licence)}",
                f"ties: {shown(card.ties)}",
            ]
        ),
        table(["split", "published"], rows) if rows else "",
    ]
    return "\n\n".join(filter(None, said))


def _about(name: str) -> str:
    module = importlib.import_module(f"beholder.prompt_sets.{name}")
    return shown((module.__doc__ or "").strip().split("\n\n")[0])
