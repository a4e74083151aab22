"""Where the program of Label Studio is: given, named by a variable, or installed by us.

It shares no environment with this package, because it pins older versions of what we need.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from beholder.errors import AnnotationError

EXECUTABLE_VARIABLE = "BEHOLDER_LABEL_STUDIO"
"""Environment variable that names an installed `label-studio` to use."""
RELEASE = "1.23.2"
"""The release of Label Studio that is installed, and that the tests ran with."""
SERIES = "1.23."
"""Releases that `up` starts: another series may need other settings."""

ASK_RELEASE = "from importlib.metadata import version; print(version('label-studio'))"


def find_executable(given: Path | None, say: Callable[[str], object]) -> tuple[Path, str]:
    """The `label-studio` to start, and its release.

    `given` comes first, then the variable BEHOLDER_LABEL_STUDIO, then our own, which is installed
    on first use. Raises AnnotationError if it is no Label Studio of a supported release.
    """
    named = given or os.environ.get(EXECUTABLE_VARIABLE)
    executable = Path(named).expanduser().absolute() if named else _own(say)
    release = release_of(executable)
    if not release.startswith(SERIES):
        raise AnnotationError(
            f"{executable} is Label Studio {release}; expected {SERIES}x: "
            f"pip install label-studio=={RELEASE} there, or give none to have it installed"
        )
    return executable, release


def release_of(executable: Path) -> str:
    """The release of an installed `label-studio`, asked of the Python beside it.

    The program itself cannot be asked: `label-studio --version` goes on to start a server.
    """
    python = executable.resolve().parent / "python"
    if executable.is_file() and os.access(executable, os.X_OK) and python.exists():
        answer = _run([python, "-I", "-c", ASK_RELEASE])
        if answer.returncode == 0:
            return answer.stdout.strip()
    raise AnnotationError(
        f"{executable} is no label-studio of a virtual environment; "
        "give the path of its bin/label-studio"
    )


def last_line(text: str) -> str:
    """The last line that says something, at most 200 characters of it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def _own(say: Callable[[str], object]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beholder"
    home = cache / f"label-studio-{RELEASE}"
    cache.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(cache / f"{home.name}.lock"):
        if not _is_complete(home):
            say(f"installing Label Studio {RELEASE} into {home} (once; about 1 GB, some minutes)")
            _install(home)
    return home / "bin" / "label-studio"


def _is_complete(home: Path) -> bool:
    """Whether the environment was made to its end and the Python that it builds on exists."""
    return (home / "complete").exists() and (home / "bin" / "python").exists()


def _install(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    python = home / "bin" / "python"
    steps: Sequence[Sequence[str | Path]] = (
        (sys.executable, "-I", "-m", "venv", home),
        (python, "-I", "-m", "pip", "install", "--quiet", f"label-studio=={RELEASE}"),
    )
    for step in steps:
        done = _run(step)
        if done.returncode != 0:
            reason = last_line(done.stderr or done.stdout)
            raise AnnotationError(f"installing Label Studio {RELEASE} into {home} failed: {reason}")
    (home / "complete").touch()


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
