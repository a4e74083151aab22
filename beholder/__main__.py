"""The verbs: thin, each calls one function of one room."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from beholder import (
    __version__,
    _calibrate,
    _cost,
    _evaluate,
    _measure,
    _pipelines,
    _training,
)
from beholder import _rewards as reward_verbs
from beholder import _summaries as summaries
from beholder import _terminal as terminal
from beholder._annotate import app as annotate
from beholder.errors import ConfigError

Alpha = Literal["white", "black", "drop"]

app = typer.Typer(
    name="beholder",
    help="Human-preference rewards for pictures: annotate, train, score, filter, rank, tune.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(annotate, name="annotate")

Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Rewards = Annotated[
    list[str],
    typer.Option(
        "--reward",
        "-r",
        help="A name, folder, hub repository or module:Class; NAME=... names its columns.",
    ),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="REWARD.OPTION=VALUE", help="An option of a reward."),
]
Device = Annotated[str | None, typer.Option(help="Where the model runs, such as cuda or cpu.")]
Dtype = Annotated[
    str | None, typer.Option(help="fp32, bf16 or fp16; what the weights are loaded in if none.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Pictures in one pass of the model.")]
Scores = Annotated[Path, typer.Argument(help="A folder that `beholder score` wrote.")]


def main() -> None:
    """Run the command line; see `beholder --help`."""
    terminal.run(app)


def show_version(wanted: bool | None) -> None:
    """Print the version and stop."""
    if wanted:
        terminal.say(__version__)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=show_version, is_eager=True, help="Print the version."),
    ] = None,
) -> None:
    """Human-preference rewards for pictures: annotate, train, score, filter, rank, tune."""
    if debug:
        os.environ[terminal.DEBUG] = "1"


@app.command()
def quickstart(
    folder: Annotated[Path, typer.Argument(help="A new folder for everything.")] = Path(
        "quickstart"
    ),
    seed: Annotated[int, typer.Option(help="Of pictures, annotators and training.")] = 0,
    tune: Annotated[
        bool, typer.Option("--tune", help="Then tune a small pipeline with the trained reward.")
    ] = False,
    json: Json = False,
) -> None:
    """The whole loop on built-in data, offline, with simulated annotators; then open report.html.

    Example: beholder quickstart
    """
    from beholder.quickstart.run import run_quickstart  # noqa: PLC0415

    say = terminal.note if json else terminal.say
    with terminal.progress(None, "pictures") as advance:
        summary = run_quickstart(folder, seed=seed, say=say, progress=advance)
    if not json:
        terminal.say(summaries.quickstart_text(summary, folder))
    if tune:
        from beholder.quickstart.tune import tune_quickstart  # noqa: PLC0415

        with terminal.progress(None, "steps") as advance:
            summary["tuned"] = tune_quickstart(folder, seed=seed, say=say, progress=advance)
        if not json:
            terminal.say(summaries.tuned_text(summary["tuned"], folder))
    if json:
        terminal.emit(summary)


@app.command()
def score(
    pictures: Annotated[
        str, typer.Argument(help="Folder, glob, picture, CSV/JSONL/parquet manifest or data set.")
    ],
    reward: Rewards,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the table.")],
    prompts: Annotated[
        Path | None,
        typer.Option(help="A .txt with one prompt a line, or a manifest of file names."),
    ] = None,
    setting: Settings = [],  # noqa: B006  (typer reads it once)
    batch_size: BatchSize = 32,
    alpha: Annotated[Alpha, typer.Option(help="Behind transparent pixels.")] = "white",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Score rows with an error again.")
    ] = False,
    device: Device = None,
    dtype: Dtype = None,
    json: Json = False,
) -> None:
    """Score pictures into a table that resumes: a row each, with scores or the reason why not.

    Exit code 3 says that some rows have no score. The same command goes on after an interruption.

    Example: beholder score out/ --prompts prompts.txt --reward mps --reward clipscore -o scores/
    """
    from beholder.rewards.scoring import read_inputs, score_table  # noqa: PLC0415

    inputs = read_inputs(pictures, prompts)
    models = terminal.named_rewards(reward, setting, device, dtype)
    with terminal.progress(len(inputs), "pictures") as advance:
        summary = score_table(
            inputs,
            models,
            out,
            batch_size=batch_size,
            alpha=alpha,
            retry_failed=retry_failed,
            progress=advance,
        )
    if json:
        terminal.emit(summary.as_dict())
    else:
        terminal.say(summaries.score_text(summary, out))
    terminal.leave_if_missing(out, models, summary.failed)


@app.command("filter")
def filter_scores(
    scores: Scores,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for what is kept and dropped.")],
    where: Annotated[str, typer.Option(help='A rule, such as "mps.overall > 0.3".')] = "",
    top: Annotated[
        float | None, typer.Option(help="Keep the best: a share below 1, or a number of rows.")
    ] = None,
    column: Annotated[
        str, typer.Option("--score", help="What ranks the top; the only reward's total if none.")
    ] = "",
    by: Annotated[str, typer.Option(help="A column whose values each have their own top.")] = "",
    pictures: Annotated[
        Literal["none", "link", "copy"], typer.Option(help="What to do with the kept pictures.")
    ] = "none",
    calibration: Annotated[
        list[str],
        typer.Option(
            metavar="REWARD=FILE",
            help="A calibration.json for the columns REWARD.win; the table's own if none.",
        ),
    ] = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Keep pictures by a rule; every dropped one with its reason. Needs no model.

    Of a calibrated reward REWARD.win is the chance to win against its reference pictures.

    Example: beholder filter scores/ --where "mps.detail > 0" --top 0.2 -o kept/

    Example: beholder filter scores/ --where "mine.win > 0.7" -o kept/
    """
    from beholder.eval.filtering import Rule, default_score, filter_table  # noqa: PLC0415
    from beholder.eval.win_columns import table_calibrations  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    table = ScoreTable(scores)
    ranked_by = column or (default_score(table) if top is not None else "")
    rule = Rule(where=where, top=top, score=ranked_by, by=by)
    given = dict(terminal.split_spec(each) for each in calibration)
    known = table_calibrations(table, given)
    summary = filter_table(table, rule, out, pictures=pictures, calibrations=known)
    if json:
        terminal.emit(summary.as_dict())
    else:
        terminal.say(summaries.filter_text(summary, out))


@app.command()
def rank(
    scores: Scores,
    by: Annotated[str, typer.Option(help="The column that names the checkpoint.")] = "model",
    column: Annotated[
        str, typer.Option("--score", help="What is compared; the only reward's total if none.")
    ] = "",
    draws: Annotated[int, typer.Option(min=1, help="How often prompts are redrawn.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    json: Json = False,
) -> None:
    """Rank checkpoints: Bradley-Terry strength, win rate and mean, with paired 95 % intervals.

    Example: beholder rank scores/ --by model --score mps.overall
    """
    from beholder.eval.filtering import default_score  # noqa: PLC0415
    from beholder.eval.ranking import rank as compare  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    table = ScoreTable(scores)
    score = column or default_score(table)
    result = compare(
        table.arrays([by, "prompt", score]), score=score, by=by, draws=draws, seed=seed
    )
    if json:
        terminal.emit(result.as_dict())
    else:
        terminal.say(summaries.ranking_text(result))


@app.command()
def report(
    scores: Scores,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")],
    reward: Annotated[
        str, typer.Option("--reward", "-r", help="Whose columns; the only reward if none.")
    ] = "",
    judgements: Annotated[
        Path | None, typer.Option(help="A folder of `beholder annotate import`.")
    ] = None,
    by: Annotated[str, typer.Option(help="The column that names the checkpoint.")] = "",
    aspect: Annotated[str, typer.Option(help="What decides best, worst and rank.")] = "total",
    explain: Annotated[
        str, typer.Option(help="MPS or RichHF to load; it explains the best and worst pictures.")
    ] = "",
    title: Annotated[str, typer.Option(help="The headline.")] = "",
    device: Device = None,
) -> None:
    """One self-contained HTML file: accuracy, ranking, best, worst, disagreements, word masks.

    Example: beholder report scores/ --judgements judgements/ --by model -o report.html
    """
    from beholder.annotation.records.dataset import read_preferences  # noqa: PLC0415
    from beholder.eval.filtering import default_score  # noqa: PLC0415
    from beholder.eval.overview import Overview, overview  # noqa: PLC0415
    from beholder.eval.report import write_report  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    table = ScoreTable(scores)
    name = reward or default_score(table).removesuffix(".total")
    said = read_preferences(judgements) if judgements else ()
    page = overview(table, name, Overview(judgements=said, by=by, aspect=aspect, title=title))
    if explain:
        page = terminal.with_explanations(page, explain, device)
    terminal.say(str(write_report(page, out)))


@app.command()
def explain(
    picture: Annotated[Path, typer.Argument(help="A picture.")],
    prompt: Annotated[str, typer.Option(help="What it should show.")],
    reward: Annotated[
        str, typer.Option("--reward", "-r", help="RichHF, as `beholder.load` takes.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .png or .html file to write.")],
    setting: Settings = [],  # noqa: B006
    device: Device = None,
    json: Json = False,
) -> None:
    """What is wrong with one picture, and where: heatmaps over it, scores, misaligned words.

    Example: beholder explain fox.png --prompt "a red fox" --reward runs/richhf -o explained.png
    """
    from beholder._page.feedback import PictureFeedback  # noqa: PLC0415
    from beholder._page.poster import save_png  # noqa: PLC0415
    from beholder.eval.report import METHODS, Report, write_report  # noqa: PLC0415

    if out.suffix not in {".png", ".html"}:
        raise ConfigError(f"{out.name} is neither .png nor .html; name one of them")
    ((_, model),) = terminal.named_rewards([reward], setting, device).items()
    said = PictureFeedback.of(picture, prompt, model.score([picture], [prompt]))
    if not said.maps:
        raise ConfigError(f"{reward!r} draws no heatmaps; give a RichHF reward")
    if out.suffix == ".png":
        save_png(said, out)
    else:
        page = Report(title=prompt, feedback=[said], methods=[METHODS["richhf"]])
        write_report(page, out)
    if json:
        terminal.emit(summaries.feedback_numbers(said))
    else:
        terminal.say(str(out))


for verbs in (_training, _evaluate, _calibrate, reward_verbs, _pipelines, _measure, _cost):
    verbs.register(app)

if __name__ == "__main__":
    main()
