"""The verb filter: which pictures to keep, and why the others are not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from beholder import _terminal as terminal
from beholder._verbs.filter_text import filter_text
from beholder.errors import ConfigError

if TYPE_CHECKING:
    from beholder.eval.filtering import Rule
    from beholder.tables import ScoreTable

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}

Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Scores = Annotated[
    str, typer.Argument(help="A folder that `beholder score` wrote, or the address of one.")
]
Beside = Annotated[
    list[str],
    typer.Option("--with", help="A folder with further scores of the same pictures, by key."),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for what is kept and dropped.")
]
Where = Annotated[str, typer.Option(help='A rule, such as "mps.overall > 0.3".')]
Top = Annotated[
    float | None, typer.Option(help="Keep the best: a share below 1, or a number of rows.")
]
Score = Annotated[
    str,
    typer.Option(
        "--score", help="What ranks rows: a column or numbers; the only reward's total if none."
    ),
]
By = Annotated[str, typer.Option(help="A column whose values each have their own top.")]
Budget = Annotated[
    str, typer.Option(help="Keep at most so many of what is left, the best: 2M, 500k or 1234.")
]
Stratify = Annotated[str, typer.Option(help="A column whose values share the budget.")]
Shares = Annotated[
    Literal["proportional", "equal"],
    typer.Option(help="Of the budget: proportional to the rows in the whole table, or equal."),
]
Dedup = Annotated[
    float | None,
    typer.Option(help="Of pictures as like as this cosine keep the best, such as 0.95."),
]
Embeddings = Annotated[
    str, typer.Option(help="A file of embeddings by key: .npz, .npy or parquet; made if none.")
]
Embedder = Annotated[str, typer.Option(help="What makes them: thumbprint, clip, dinov2, ...")]
Weights = Annotated[
    str, typer.Option("--embedder-weights", help="A file for it; published weights if none.")
]
Device = Annotated[str, typer.Option(help="Where the embedder runs, such as cuda or cpu.")]
Against = Annotated[
    str, typer.Option(help="An evaluation set: drop rows with its pictures or prompts.")
]
AgainstThreshold = Annotated[
    float | None,
    typer.Option(help="The cosine from which on a picture is one of the evaluation set."),
]
AgainstPrompts = Annotated[
    str, typer.Option(help="A file of further prompts to drop: text, JSON or a manifest.")
]
Pictures = Annotated[
    Literal["none", "link", "copy", "webdataset", "dataset"],
    typer.Option(help="How the kept pictures come along."),
]
PerShard = Annotated[
    int, typer.Option("--samples-per-tar", min=1, help="Pictures in one tar or parquet file.")
]
NoJsonl = Annotated[bool, typer.Option("--no-jsonl", help="Write rows as parquet only, faster.")]
NoCard = Annotated[bool, typer.Option("--no-card", help="Write no card.html.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count only, write nothing.")]
Calibrations = Annotated[
    list[str],
    typer.Option(
        "--calibration",
        metavar="REWARD=FILE",
        help="A calibration.json for the columns REWARD.win; the table's own if none.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("filter")(filter_scores)


def filter_scores(
    scores: Scores,
    out: Out = None,
    where: Where = "",
    top: Top = None,
    column: Score = "",
    by: By = "",
    budget: Budget = "",
    stratify: Stratify = "",
    shares: Shares = "proportional",
    beside: Beside = [],  # noqa: B006  (typer reads it once)
    calibration: Calibrations = [],  # noqa: B006
    dedup: Dedup = None,
    embeddings: Embeddings = "",
    embedder: Embedder = "thumbprint",
    embedder_weights: Weights = "",
    device: Device = "cpu",
    against: Against = "",
    against_threshold: AgainstThreshold = None,
    against_prompts: AgainstPrompts = "",
    pictures: Pictures = "none",
    samples_per_tar: PerShard = 1000,
    no_jsonl: NoJsonl = False,
    no_card: NoCard = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Keep pictures by a rule; every dropped one with its reason. Needs no model.

    Rules know quantile(column, q), zscore, robust, minmax and percentile, within groups as
    zscore(mps.total, model), and abs, min, max. REWARD.win is the chance of a calibrated reward to
    win against its reference pictures.

    Example: beholder filter scores/ --where "mps.detail > 0" --top 0.2 -o kept/

    Example: beholder filter scores/ --where "mps.total > quantile(mps.total, 0.5)" --dedup 0.95
    --budget 2M --stratify source --score "zscore(mps.total) + zscore(clipscore.total)" -o kept/
    """
    best = {"where": where, "top": top, "score": column, "by": by, "budget": budget}
    shared = {"stratify": stratify, "shares": shares}
    like = {"dedup": dedup, "embeddings": embeddings, "embedder": embedder, "against": against}
    near = {"against_threshold": against_threshold, "against_prompts": against_prompts}
    made = {"embedder_weights": embedder_weights, "device": device}
    written = {"pictures": pictures, "per_shard": samples_per_tar}
    files = {"jsonl": not no_jsonl, "card": not no_card}
    asked = _Asked(scores, beside, best | shared, like | near | made, written | files)
    _filter(asked, calibration, None if dry_run else out, dry_run=dry_run, json=json)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked on the command line: options of a rule, of likeness and of what is written."""

    scores: str
    beside: Sequence[str]
    rule: dict[str, Any]
    likeness: dict[str, Any]
    written: dict[str, Any]


def _filter(
    asked: _Asked, calibration: Sequence[str], out: Path | None, *, dry_run: bool, json: bool
) -> None:
    from beholder.eval.filtering import Distinct, Output, decide, refuse_full, write_decided  # noqa: PLC0415
    from beholder.eval.win_columns import table_calibrations  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    if out is None and not dry_run:
        raise ConfigError("give a folder by --out, or --dry-run to count only")
    table = ScoreTable(asked.scores, also=asked.beside)
    rule, distinct = _rule(table, asked.rule), Distinct(**asked.likeness)
    output = Output(**asked.written, command=_command(asked))
    if out is not None:
        refuse_full(out)
    given = dict(terminal.split_spec(each) for each in calibration)
    with terminal.progress(None, "rows") as advance:
        decided = decide(
            table,
            rule,
            distinct=distinct,
            calibrations=table_calibrations(table, given),
            progress=advance,
        )
    summary = decided.summary() if out is None else write_decided(decided, out, output)
    if json:
        terminal.emit(summary.as_dict())
    else:
        terminal.say(filter_text(summary, out))


def _rule(table: ScoreTable, options: Mapping[str, Any]) -> Rule:
    from beholder.eval.filtering import Rule, default_score  # noqa: PLC0415

    budget = rows_of(options["budget"]) if options["budget"] else None
    ranks = budget is not None or options["top"] is not None
    score = options["score"] or (default_score(table) if ranks else "")
    return Rule(**{**options, "budget": budget, "score": score})


def rows_of(text: str) -> int:
    """A number of rows: "2M", "500k", "1.5B" or "1234"; ConfigError if it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmb]?)", text.strip().lower().replace("_", ""))
    rows = Decimal(found[1]) * _UNITS[found[2]] if found else Decimal("0.5")
    if rows != int(rows) or rows < 1:
        raise ConfigError(f"a budget is a number of rows such as 2M, 500k or 1234, got {text!r}")
    return int(rows)


def _command(asked: _Asked) -> str:
    """A shell line that keeps the same rows; where they go is not part of it."""
    words = ["beholder", "filter", asked.scores]
    for folder in asked.beside:
        words += ["--with", folder]
    options = {**asked.rule, **asked.likeness}
    defaults = {"shares": "proportional", "embedder": "thumbprint", "device": "cpu"}
    for name, value in options.items():
        if value not in ("", None, defaults.get(name)):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, "-o", "kept/"])
