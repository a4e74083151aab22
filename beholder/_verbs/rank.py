"""The verb rank: which checkpoint is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from beholder import _terminal as terminal
from beholder._verbs import rank_text as text
from beholder._verbs.given_table import given_table
from beholder._verbs.unfinished import tell_unfinished
from beholder.errors import ConfigError
from beholder.storage import Place, is_remote

if TYPE_CHECKING:
    from beholder._verbs.rank_pictures import Drawing
    from beholder.eval.leaderboard import Leaderboard, LeaderboardConfig
    from beholder.eval.pareto import Objective
    from beholder.tables import ScoreTable
    from beholder.types import Preference

Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Scores = Annotated[
    str | None,
    typer.Argument(
        help="A folder that `beholder score` wrote, or its address; left out with --pipelines."
    ),
]
Beside = Annotated[
    list[str],
    typer.Option("--with", help="A folder with further scores of the same pictures, by key."),
]
Columns = Annotated[
    list[str],
    typer.Option(
        "--score",
        help="What is compared, may be given often; the first decides the order. The only "
        "reward's total if none.",
    ),
]
AllScores = Annotated[
    bool, typer.Option("--all-scores", help="Totals and aspects of all rewards as well.")
]
Categories = Annotated[
    list[str], typer.Option("--category", help="A column whose values divide the prompts.")
]
Redrawn = Annotated[
    Literal["prompts", "seeds", "both"],
    typer.Option(
        help="What the conclusion is about: prompts like these; these very prompts (seeds); or "
        "both, on the safe side."
    ),
]
Alpha = Annotated[
    float, typer.Option(help="The chance that any two equal checkpoints are told apart.")
]
Pareto = Annotated[
    list[str],
    typer.Option(
        metavar="NAME[:min]=COLUMN|FILE[#FIGURE]",
        help="An objective: a score column, or numbers of checkpoints from a JSON or CSV file or "
        "a folder of what measure or cost printed, such as time:min=costs/#runtime.median.",
    ),
]
Judgements = Annotated[
    Path | None, typer.Option(help="A folder of `beholder annotate import`: does the score agree?")
]
Protocol = Annotated[
    Literal["imagereward", "hpdv2", "mhp"] | None,
    typer.Option(help="How judged pairs are counted: imagereward if none. [--judgements]"),
]
Certainty = Annotated[
    float | None,
    typer.Option(help="How many prompts tell neighbours apart with this probability, such as 0.9."),
]
Out = Annotated[
    str | None,
    typer.Option("--out", "-o", help="Folder of leaderboard.json, and of what is drawn."),
]
Log = Annotated[
    list[str], typer.Option(metavar="tensorboard:DIR|wandb:PROJECT", help="Where numbers go too.")
]
Pipelines = Annotated[
    str,
    typer.Option(
        metavar="A,B,C", help="Checkpoints that draw the prompts first; NAME=PATH names one."
    ),
]
Prompts = Annotated[str, typer.Option(help="With --pipelines: a file or a set, such as starter.")]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="With --pipelines: at most so many prompts, categories in turn."),
]
Seeds = Annotated[int, typer.Option(min=1, help="With --pipelines: pictures of each prompt.")]
Rewards = Annotated[
    list[str], typer.Option("--reward", "-r", help="With --pipelines: what scores the pictures.")
]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="REWARD.OPTION=VALUE", help="An option of a reward.")
]
Steps = Annotated[int, typer.Option(min=1, help="With --pipelines: of the scheduler.")]
Guidance = Annotated[float | None, typer.Option(help="With --pipelines; 0 turns it off.")]
Side = Annotated[int | None, typer.Option(min=8, help="With --pipelines: in pixels.")]
BatchSize = Annotated[int, typer.Option(min=1, help="With --pipelines: pictures at a time.")]
Device = Annotated[str | None, typer.Option(help="Where models run, such as cuda or cpu.")]
Dtype = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option(help="With --pipelines: of their weights; auto is bf16 where the GPU has it."),
]
Retry = Annotated[
    bool,
    typer.Option(
        "--retry-failed", help="With --pipelines: draw and score again what failed before."
    ),
]

_PLAIN = ("by", "resample", "alpha", "draws", "seed", "certainty")
"""Options that are settings of the leaderboard as they stand."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(rank)


def rank(
    scores: Scores = None,
    beside: Beside = [],  # noqa: B006
    by: Annotated[str, typer.Option(help="The column that names the checkpoint.")] = "model",
    column: Columns = [],  # noqa: B006
    all_scores: AllScores = False,
    category: Categories = [],  # noqa: B006
    resample: Redrawn = "prompts",
    alpha: Alpha = 0.05,
    pareto: Pareto = [],  # noqa: B006
    judgements: Judgements = None,
    protocol: Protocol = None,
    certainty: Certainty = None,
    draws: Annotated[int, typer.Option(min=1, help="How often it is redrawn.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    out: Out = None,
    log: Log = [],  # noqa: B006
    pipelines: Pipelines = "",
    prompts: Prompts = "",
    limit: Limit = None,
    seeds: Seeds = 4,
    reward: Rewards = [],  # noqa: B006
    setting: Settings = [],  # noqa: B006
    steps: Steps = 28,
    guidance: Guidance = None,
    height: Side = None,
    width: Side = None,
    batch_size: BatchSize = 4,
    device: Device = None,
    dtype: Dtype = "auto",
    retry_failed: Retry = False,
    json: Json = False,
) -> None:
    """Rank checkpoints: Bradley-Terry strength, win rate and mean, with paired 95 % intervals.

    Who is told apart, by exact tests corrected for their number; by category, by objective, beside
    people. With --pipelines it draws and scores the pictures first, and goes on after a stop.

    Example: beholder rank scores/ --by model --score mps.overall --category category
    """
    _rank(dict(locals()))


def _rank(options: Mapping[str, Any]) -> None:
    """The verb, its options by their names."""
    from beholder._verbs.rank_pictures import Drawing  # noqa: PLC0415
    from beholder._verbs.tracking import check_place  # noqa: PLC0415
    from beholder.eval._ranking.neighbours import certainty_fault  # noqa: PLC0415
    from beholder.eval.leaderboard import leaderboard  # noqa: PLC0415
    from beholder.tables import unknown  # noqa: PLC0415

    folder = _folder(options["out"])
    for place in options["log"]:
        check_place(place)
    if why := certainty_fault(options["certainty"], options["alpha"]):
        raise ConfigError(f"--{why}")
    scores = _scores(options["scores"], folder, Drawing.of(options))
    table = given_table(str(scores), options["beside"])
    if options["by"] not in table.columns:
        raise ConfigError(f"--by: {unknown('column', options['by'], table.columns)}")
    board = leaderboard(table, _config(table, options))
    _tell(board, json=options["json"])
    if folder is not None:
        _write(board, table, folder)
    for place in options["log"]:
        _track(board, place)
    if code := tell_unfinished(table):
        raise typer.Exit(code)


def _config(table: ScoreTable, options: Mapping[str, Any]) -> LeaderboardConfig:
    """What the verb's options say, by their names."""
    from beholder.eval.leaderboard import LeaderboardConfig  # noqa: PLC0415

    return LeaderboardConfig(
        scores=_columns(table, options["column"], all_scores=options["all_scores"]),
        categories=options["category"],
        pareto=[objective(each, table.columns) for each in options["pareto"]],
        judgements=_judgements(options["judgements"], options["protocol"]),
        protocol=options["protocol"] or "imagereward",
        **{name: options[name] for name in _PLAIN},
    )


def _folder(out: str | None) -> Path | None:
    """The folder of results; ConfigError if it is not on this disk."""
    if out is not None and is_remote(out):
        raise ConfigError(f"--out {out} is not on this disk; give a local folder and copy it there")
    return None if out is None else Path(Place(out).path)


def _scores(scores: str | None, out: Path | None, drawing: Drawing) -> str | Path:
    """The folder of scores that was given, or that of what is drawn and scored now."""
    if bool(scores) == bool(drawing.pipelines):
        raise ConfigError("give a folder of scores, or --pipelines that draw pictures; one of them")
    if scores is not None:
        drawing.refuse()
        return scores
    if out is None:
        raise ConfigError("--pipelines needs a folder for pictures and scores: --out DIR")
    return drawing.scored(out)


def _columns(table: ScoreTable, given: Sequence[str], *, all_scores: bool) -> list[str]:
    from beholder.tables import score_parts  # noqa: PLC0415

    known = table.columns
    every = [f"{reward}.{part}" for reward in table.rewards for part in score_parts(known, reward)]
    chosen = [*given, *(every if all_scores else [])]
    return list(dict.fromkeys(chosen)) or [_only_total(table)]


def _only_total(table: ScoreTable) -> str:
    from beholder.eval.filtering import default_score  # noqa: PLC0415

    try:
        return default_score(table)
    except ConfigError as error:
        raise ConfigError(f"--score: {error}") from error


def objective(given: str, columns: Sequence[str]) -> Objective:
    """An objective from "NAME[:min]=COLUMN" or "NAME[:min]=FILE[#FIGURE]"."""
    from beholder.eval._ranking.figures import checkpoint_figures  # noqa: PLC0415
    from beholder.eval.pareto import Objective  # noqa: PLC0415

    name, sign, source = given.partition("=")
    name, colon, way = name.partition(":")
    if not (name and sign and source) or (colon and way not in {"min", "max"}):
        raise ConfigError(
            f"--pareto takes NAME=COLUMN, NAME:min=COLUMN or NAME:min=FILE#FIGURE, got {given!r}"
        )
    if source in columns:
        return Objective(name=name, minimise=way == "min", column=source, source=source)
    if not Path(source.partition("#")[0]).exists():
        raise ConfigError(f"--pareto {name}: {source!r} is neither a column nor a file")
    values = checkpoint_figures(source)
    return Objective(name=name, minimise=way == "min", values=values, source=source)


def _judgements(folder: Path | None, protocol: str | None) -> Sequence[Preference]:
    if folder is None:
        if protocol is not None:
            raise ConfigError("--protocol says how people's pairs are counted; give --judgements")
        return ()
    from beholder.annotation.records.dataset import read_preferences  # noqa: PLC0415

    return read_preferences(folder)


def _tell(board: Leaderboard, *, json: bool) -> None:
    if json:
        terminal.emit({**board.rankings[board.scores[0]].as_dict(), **board.as_dict()})
    else:
        terminal.say(text.leaderboard_text(board))


def _write(board: Leaderboard, table: ScoreTable, out: Path) -> None:
    """leaderboard.json with everything, results.json in the shape that lm-eval's has."""
    from beholder.eval.results_json import results_json  # noqa: PLC0415

    rewards = {reward: table.config(reward) for reward in table.rewards}
    out.mkdir(parents=True, exist_ok=True)
    for name, values in (
        ("leaderboard.json", board.as_dict()),
        ("results.json", results_json(board, rewards, date=time())),
    ):
        whole = dumps(terminal.finite(values), indent=2, ensure_ascii=False, default=str)
        partial = out / f".{name}.partial"
        partial.write_text(whole + "\n", encoding="utf-8")
        partial.replace(out / name)


def _track(board: Leaderboard, place: str) -> None:
    from beholder._verbs.tracking import leaderboard_tables, leaderboard_values, track  # noqa: PLC0415

    terminal.note(track(place, leaderboard_values(board), tables=leaderboard_tables(board)))
