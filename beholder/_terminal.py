"""What the verbs share: exit codes, tables, JSON, progress, rewards named on a command line."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from beholder._command_line import USAGE_ERROR, fault
from beholder.errors import BeholderError, ConfigError

if TYPE_CHECKING:
    from beholder.eval.report import Report
    from beholder.rewards import Reward

OK, FAILED, USAGE, SOME_ROWS_FAILED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes of every verb."""


DEBUG = "BEHOLDER_DEBUG"

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\N{LEFT-TO-RIGHT EMBEDDING}-\N{RIGHT-TO-LEFT OVERRIDE}"
    "\N{LEFT-TO-RIGHT ISOLATE}-\N{POP DIRECTIONAL ISOLATE}\ud800-\udfff]"
)
"""Control characters, those that reorder the text after them, and what UTF-8 cannot say."""


def run(command: Callable[..., object]) -> NoReturn:
    """Run a command line to its exit code; an expected error is one line.

    The environment variable BEHOLDER_DEBUG, which --debug sets, shows where it came from.
    """
    try:
        code = command(standalone_mode=False, prog_name="beholder")
    except USAGE_ERROR as error:
        _leave_mistyped(error)
    except (BeholderError, OSError) as error:
        if os.environ.get(DEBUG):
            raise
        sys.stderr.write(f"error: {one_line(str(error))}\n")
        sys.exit(USAGE if isinstance(error, ConfigError) else FAILED)
    except (KeyboardInterrupt, typer.Abort):
        _leave_interrupted()
    except SystemExit as leaving:
        code = leaving.code
    if code == INTERRUPTED:  # typer took the signal and says nothing
        _leave_interrupted()
    sys.exit(code if isinstance(code, int) else OK)


def _leave_mistyped(error: Exception) -> NoReturn:
    said = fault(error)
    sys.stderr.write(f"{said}\n" if "\n" in said else f"error: {one_line(said)}\n")
    sys.exit(USAGE)


def _leave_interrupted() -> NoReturn:
    sys.stderr.write("interrupted; the same command goes on where it stopped\n")
    sys.exit(INTERRUPTED)


def one_line(text: str) -> str:
    """Text without line breaks or control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def harmless(text: str) -> str:
    r"""Text that no terminal obeys: what is hidden is spelt out, an escape as \x1b.

    Names and prompts are of strangers. Line breaks and tabs stay.
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def say(text: str = "") -> None:
    """A line for people, on standard output."""
    sys.stdout.write(harmless(text) + "\n")


def note(text: str) -> None:
    """A line for people on standard error, where standard output is for programs."""
    sys.stderr.write(harmless(text) + "\n")


class _Notes(logging.Handler):
    """Log records as notes, on what standard error is at that time."""

    def emit(self, record: logging.LogRecord) -> None:
        note(self.format(record))


def show_log() -> None:
    """What the rooms log goes to standard error, a line each."""
    handler = _Notes()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("beholder")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)


def emit(values: object) -> None:
    """Numbers for programs: JSON on standard output, NaN and infinities as null."""
    text = json.dumps(finite(values), indent=2, ensure_ascii=False, default=str)
    sys.stdout.write(_HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def finite(values: object) -> object:
    """The same values with non-finite numbers as None, which JSON can say."""
    if isinstance(values, Mapping):
        return {str(key): finite(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [finite(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Aligned columns: text to the left, numbers to the right."""
    cells = [[cell(value) for value in row] for row in rows]
    columns = list(zip(header, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(isinstance(row[k], (int, float)) for row in rows) for k in range(len(header))]

    def line(values: Sequence[str]) -> str:
        padded = [
            v.rjust(w) if right else v.ljust(w)
            for v, w, right in zip(values, widths, numeric, strict=True)
        ]
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(header), rule, *map(line, cells)])


def cell(value: object) -> str:
    """A table cell: floats with three digits."""
    return f"{value:.3f}" if isinstance(value, float) else one_line(str(value))


def interval(value: float, low: float, high: float) -> str:
    """A value with its interval, such as "0.912 [0.880, 0.940]"."""
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


@contextmanager
def progress(total: int | None, unit: str) -> Iterator[Callable[[int], object]]:
    """A bar with rate and time left on a terminal, nothing when piped; yields `advance(n)`."""
    from tqdm import tqdm  # noqa: PLC0415

    with tqdm(total=total, unit=unit, unit_scale=True, disable=None, file=sys.stderr) as bar:
        yield bar.update


def named_rewards(
    specs: Sequence[str],
    settings: Sequence[str],
    device: str | None,
    dtype: str | None = None,
) -> dict[str, Reward]:
    """Rewards by the name of their columns.

    Each spec is what `beholder.load` takes, or "column=spec"; settings are "column.option=value";
    dtype is "fp32", "bf16" or "fp16", None keeps what the weights are loaded in.
    Raises ConfigError if two rewards share a column name, or a setting names none of them.
    """
    from beholder.rewards import load  # noqa: PLC0415
    from beholder.rewards._precision import dtype_named  # noqa: PLC0415

    pairs = [split_spec(spec) for spec in specs]
    columns = [column for column, _ in pairs]
    for column in columns:
        if columns.count(column) > 1:
            raise ConfigError(
                f"two rewards would share the columns {column!r}; name one, such as "
                f"--reward mine={dict(pairs)[column]}"
            )
    options = split_settings(settings, columns)
    precision = None if dtype is None else dtype_named(dtype, device)
    return {
        column: load(
            spec,
            device=device,
            dtype=precision,
            **options.get(column, {}),  # type: ignore[arg-type]
        )
        for column, spec in pairs
    }


def leave_if_missing(table: Path, rewards: Iterable[str], failed: int) -> None:
    """Exit with SOME_ROWS_FAILED if rows of a table lack a score; `failed` are of this run."""
    from beholder.tables import ScoreTable  # noqa: PLC0415

    counts = ScoreTable(table).error_counts()
    missing = sum(sum(counts.get(name, {}).values()) for name in rewards)
    if missing and not failed:
        note(f"{missing} scores are missing since an earlier run; see --retry-failed")
    if missing:
        raise typer.Exit(SOME_ROWS_FAILED)


def with_explanations(page: Report, spec: str, device: str | None) -> Report:
    """The report with what the reward that `spec` names says of its best and worst pictures.

    MPS shows its word masks and attention, RichHF its heatmaps, scores and misaligned words.
    Raises ConfigError for a reward that explains nothing.
    """
    from beholder.eval.overview import explained, with_feedback  # noqa: PLC0415
    from beholder.rewards import load  # noqa: PLC0415
    from beholder.rewards.mps import MPS  # noqa: PLC0415
    from beholder.rewards.richhf import RichHF  # noqa: PLC0415

    reward = load(spec, device=device)
    if isinstance(reward, MPS):
        return explained(page, reward.explain, fit=reward.towers.preprocess.fit)
    if isinstance(reward, RichHF):
        return with_feedback(page, reward.explain)
    raise ConfigError(f"{spec!r} explains nothing; --explain takes an MPS or RichHF reward")


def split_spec(spec: str) -> tuple[str, str]:
    """Column name and what to load; without "column=" a folder is named by its last part."""
    column, sign, rest = spec.partition("=")
    if sign and column.isidentifier():
        return column, rest
    spec = spec.rstrip("/") if spec.startswith(("http://", "https://")) else spec
    is_own = ":" in spec and "/" not in spec  # module:Class
    name = spec.rpartition(":")[2] if is_own else Path(spec).name
    if spec.startswith(("http://", "https://")) and spec.count("/") == _BARE:
        name = "remote"  # the first that is served there, whatever it is
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name), spec


_BARE = 2  # slashes of an address without a path


def split_settings(
    settings: Sequence[str], columns: Sequence[str], kind: str = "rewards"
) -> dict[str, dict[str, object]]:
    """Options of each reward from "column.option=value"; values are read as YAML.

    `kind` is what a message calls the owners of options.
    """
    options: dict[str, dict[str, object]] = {}
    for setting in settings:
        path, sign, value = setting.partition("=")
        column, dot, option = path.partition(".")
        if not (sign and dot and option):
            raise ConfigError(f"--set takes {kind[:-1]}.option=value, got {setting!r}")
        if column not in columns:
            raise ConfigError(f"--set names {column!r}, but the {kind} are {', '.join(columns)}")
        if option == "token":
            raise ConfigError(
                f"every user of a machine reads its command lines; set BEHOLDER_TOKEN or --set "
                f"{column}.token_file=FILE instead of --set {path}"
            )
        options.setdefault(column, {})[option] = _value(path, value)
    return options


def _value(option: str, text: str) -> object:
    """What an option's text says: JSON, or YAML that JSON is not."""
    import yaml  # noqa: PLC0415

    try:
        return json.loads(text)  # YAML reads 1e-06 as a word
    except json.JSONDecodeError:
        pass
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {option}: {text!r} is neither JSON nor YAML") from error
