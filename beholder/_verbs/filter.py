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
from beholder._verbs.filter_text import filter_text, nothing_kept
from beholder._verbs.given_table import given_table
from beholder._verbs.unfinished import tell_unfinished
from beholder.errors import ConfigError
from beholder.storage import Place, is_remote

if TYPE_CHECKING:
    from beholder.eval.filtering import FilterSummary, Rule
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
    str | None, typer.Option("--out", "-o", help="Folder for what is kept and dropped.")
]
Where = Annotated[str, typer.Option(help='A rule, such as "mps.overall > 0.3".')]
Top = Annotated[
    float | None, typer.Option(help="Keep the best: a share below 1, or a number of rows.")
]
Score = Annotated[
    str,
    typer.Option(
        "--score", help="What is best: a column or numbers; the only reward's total if none."
    ),
]
By = Annotated[str, typer.Option(help="A column whose values each have their own top.")]
Budget = Annotated[
    str, typer.Option(help="Keep at most so many of what is left, the best: 2M, 500k or 1234.")
]
Stratify = Annotated[str, typer.Option(help="A column whose values share the budget.")]
Shares = Annotated[
    Literal["proportional", "equal"] | None,
    typer.Option(
        help="Of the budget: proportional to the rows in the whole table, which is meant if none, "
        "or equal."
    ),
]
Dedup = Annotated[
    float | None,
    typer.Option(help="Of pictures as like as this cosine keep the best, such as 0.95."),
]
Embeddings = Annotated[
    str, typer.Option(help="A file of embeddings by key: .npz, .npy or parquet; made if none.")
]
Embedder = Annotated[
    str, typer.Option(help="What makes them: thumbprint, clip, dinov2, ...; thumbprint if none.")
]
Weights = Annotated[
    str, typer.Option("--embedder-weights", help="A file for it; published weights if none.")
]
Device = Annotated[
    str, typer.Option(help="Where the embedder runs, such as cuda; the cpu if none.")
]
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
    int | None,
    typer.Option(
        "--samples-per-tar", min=1, help="Pictures in one tar or parquet file; 1000 if none."
    ),
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
Log = Annotated[
    list[str], typer.Option(metavar="tensorboard:DIR|wandb:PROJECT", help="Where counts go too.")
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
    shares: Shares = None,
    beside: Beside = [],  # noqa: B006  (typer reads it once)
    calibration: Calibrations = [],  # noqa: B006
    dedup: Dedup = None,
    embeddings: Embeddings = "",
    embedder: Embedder = "",
    embedder_weights: Weights = "",
    device: Device = "",
    against: Against = "",
    against_threshold: AgainstThreshold = None,
    against_prompts: AgainstPrompts = "",
    pictures: Pictures = "none",
    samples_per_tar: PerShard = None,
    no_jsonl: NoJsonl = False,
    no_card: NoCard = False,
    dry_run: DryRun = False,
    log: Log = [],  # noqa: B006
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
    asked = _Asked.of(dict(locals()))
    refuse_idle(asked.rule | asked.likeness | asked.written)
    _check_places(log)
    folder = _folder(out, dry_run=dry_run)
    table = given_table(asked.scores, asked.beside)
    summary = _filter(asked, table, folder, json=json)
    _track(summary, log)
    if code := tell_unfinished(table):
        raise typer.Exit(code)


_RULE = ("where", "top", "by", "budget", "stratify", "shares")
_LIKENESS = (
    *("dedup", "embeddings", "embedder", "embedder_weights", "device"),
    *("against", "against_threshold", "against_prompts"),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked on the command line: options of a rule, of likeness and of what is written."""

    scores: str
    beside: Sequence[str]
    calibration: Sequence[str]
    rule: dict[str, Any]
    likeness: dict[str, Any]
    written: dict[str, Any]

    @staticmethod
    def of(options: Mapping[str, Any]) -> _Asked:
        """What the verb's options say, by their names."""
        return _Asked(
            options["scores"],
            options["beside"],
            options["calibration"],
            {name: options[name] for name in _RULE} | {"score": options["column"]},
            {name: options[name] for name in _LIKENESS},
            {
                "pictures": options["pictures"],
                "per_shard": options["samples_per_tar"],
                "jsonl": not options["no_jsonl"],
                "card": not options["no_card"],
            },
        )


def refuse_idle(options: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option that nothing reads, given what else is asked."""
    compares = options["dedup"] is not None or bool(options["against"])
    packs = options["pictures"] in ("webdataset", "dataset")
    embeds = "" if compares else "--dedup or --against"
    needs = dict.fromkeys(("embeddings", "embedder", "embedder_weights", "device"), embeds)
    needs["shares"] = "" if options["stratify"] else "--stratify"
    needs["per_shard"] = "" if packs else "--pictures webdataset or dataset"
    needs["against_threshold"] = "" if options["against"] else "--against"
    for name, lacks in needs.items():
        if lacks and options[name] not in ("", None):
            raise ConfigError(f"{_option(name)} is read with {lacks} only; give that too")
    if not options["embeddings"]:
        return
    if options["embedder"]:
        raise ConfigError("--embeddings says what made them; give that or --embedder, not both")
    for name in ("embedder_weights", "device"):
        if options[name] and not options["against"]:
            raise ConfigError(f"{_option(name)} makes embeddings, and --embeddings has them")


def _option(name: str) -> str:
    return "--samples-per-tar" if name == "per_shard" else f"--{name.replace('_', '-')}"


def _folder(out: str | None, *, dry_run: bool) -> Path | None:
    """Where to write, None for nowhere; ConfigError if it is not on this disk, or not said."""
    if out is None and not dry_run:
        raise ConfigError("give a folder by --out, or --dry-run to count only")
    if out is not None and is_remote(out):
        raise ConfigError(f"{out} is not on this disk; give a folder on it, and upload that")
    return None if out is None or dry_run else Path(Place(out).path)


def _filter(asked: _Asked, table: ScoreTable, out: Path | None, *, json: bool) -> FilterSummary:
    from beholder.eval.filtering import Distinct, Output, decide, refuse_full, write_decided  # noqa: PLC0415
    from beholder.eval.win_columns import table_calibrations  # noqa: PLC0415

    rule = _rule(table, asked.rule, needs_best=asked.likeness["dedup"] is not None)
    distinct = Distinct(**_given(asked.likeness))
    output = Output(**_given(asked.written), command=_command(asked))
    if out is not None:
        refuse_full(out)
    given = dict(terminal.split_spec(each) for each in asked.calibration)
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
    if not summary.kept:
        terminal.note(nothing_kept(summary))
    return summary


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not left open."""
    return {name: value for name, value in options.items() if value not in ("", None)}


def _rule(table: ScoreTable, options: Mapping[str, Any], *, needs_best: bool) -> Rule:
    from beholder.eval.filtering import Rule, default_score  # noqa: PLC0415

    budget = rows_of(options["budget"]) if options["budget"] else None
    score = options["score"]
    if not score and (budget is not None or options["top"] is not None):
        score = default_score(table)
    elif not score and needs_best:
        score = _best_of_copies(table)
    return Rule(**_given({**options, "budget": budget, "score": score}))


def _best_of_copies(table: ScoreTable) -> str:
    """The only reward's total; "" and a note if nothing says which of two pictures is better."""
    from beholder.eval.filtering import default_score  # noqa: PLC0415

    try:
        return default_score(table)
    except ConfigError as error:
        terminal.note(f"{error}, by --score; without it the earliest of near-duplicates is kept")
        return ""


def _check_places(places: Sequence[str]) -> None:
    """Raise before any work for a dashboard that cannot be sent to."""
    from beholder._verbs.tracking import check_place  # noqa: PLC0415

    for place in places:
        check_place(place)


def _track(summary: FilterSummary, places: Sequence[str]) -> None:
    from beholder._verbs.tracking import filter_tables, filter_values, track  # noqa: PLC0415

    for place in places:
        terminal.note(track(place, filter_values(summary), tables=filter_tables(summary)))


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
    for given in asked.calibration:
        words += ["--calibration", given]
    for name, value in _given({**asked.rule, **asked.likeness}).items():
        words += [_option(name), str(value)]
    return shlex.join([*words, "-o", "kept/"])
