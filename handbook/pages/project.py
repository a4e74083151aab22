"""What lies outside docs/ and belongs to the site: the root's own pages, and what was measured."""

from __future__ import annotations

from pathlib import Path

from handbook.pieces import items, page

ROOT = Path(__file__).parents[2]
INCLUDED = {f"project/{name}": name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")}
"""Pages of the site that are files of the repository."""

RESULTS = "benchmarks/results"


def pages() -> dict[str, str]:
    """The files of the root as they are, and the list of what was measured."""
    included = {uri: (ROOT / file).read_text(encoding="utf-8") for uri, file in INCLUDED.items()}
    return {**included, "project/measurements.md": measurements(ROOT / RESULTS)}


def measurements(folder: Path) -> str:
    """A link to each file of results, the newest first."""
    found = sorted((p for p in folder.iterdir() if p.is_file()), key=_date, reverse=True)
    return page(
        "Measurements",
        "What `make bench` and the modules of `benchmarks/` wrote, as it was kept: ratios to the "
        "peers or to plain loops, with machine and versions.",
        items(f"[{path.name}](../../{RESULTS}/{path.name})" for path in found),
    )


def _date(path: Path) -> tuple[str, str]:
    """The date in a name such as scoring-2026-11-29.txt, then the name."""
    return "-".join(path.stem.split("-")[-3:]), path.name
