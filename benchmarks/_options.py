"""What all benchmarks share: two options, the line that says where, and where reports go."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from beholder.eval.cost import processor
from benchmarks._record import Missing, Row, record

ROOT = Path(__file__).parents[1]
PEERS, SERVING_PEERS = "BEHOLDER_PEERS", "BEHOLDER_SERVING_PEERS"
"""Environment variables: the interpreters of environments with the peers (`make peers`)."""
_FOLDERS = {PEERS: ".venv-peers", SERVING_PEERS: ".venv-peers-serving"}


def parser(about: str | None) -> argparse.ArgumentParser:
    """A parser with `--out` and `--record`; `about` is the text of --help."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", type=Path, help="also write the report to this file")
    made.add_argument("--record", type=Path, help="append what was found here, a line of JSON each")
    return made


def heading(*packages: str, note: str = "one thread") -> str:
    """A line: date, processor, what else is to be known, versions."""
    listed = ", ".join(f"{name} {installed(name)}" for name in packages if installed(name))
    python = platform.python_version()
    return f"{datetime.now(UTC).date()}, {processor()}, {note}, Python {python}, {listed}"


def installed(package: str) -> str:
    """Its version, "" if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def named(package: str) -> str:
    """Name and version."""
    return f"{package} {installed(package)}".strip()


def tell(
    given: argparse.Namespace, report: str, rows: Iterable[Row | Missing], *, said: bool = False
) -> None:
    """Print a report, unless it was `said` as it came, and keep it and the rows where asked."""
    text = report.rstrip("\n") + "\n"
    if not said:
        sys.stdout.write(text)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text, encoding="utf-8")
    record(rows, given.record)


def peers_python(variable: str = PEERS) -> Path | None:
    """The interpreter of the peers: of the variable, or of their folder; None without one."""
    told = os.environ.get(variable)
    python = Path(told) if told else ROOT / _FOLDERS[variable] / "bin" / "python"
    return python if python.is_file() else None
