"""The command line in this process: many times faster than a process of its own."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from beholder.__main__ import main


@dataclass(frozen=True)
class Said:
    """The exit code of a verb, and what it printed."""

    code: int
    out: str
    err: str


def run_verb(words: Sequence[str], environment: dict[str, str] | None = None) -> Said:
    """`beholder WORDS`, with further variables set meanwhile."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["beholder", *words])
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _code_of_main()
    return Said(code, out.getvalue(), err.getvalue())


def _code_of_main() -> int:
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)
