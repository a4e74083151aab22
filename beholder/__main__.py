"""The verbs: thin, each calls one function of one room."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from beholder import __version__
from beholder import _terminal as terminal
from beholder._annotate import app as annotate
from beholder._command_line import Verbs
from beholder._verbs import (
    calibrate,
    cost,
    demo,
    evaluate,
    export,
    measure,
    pipelines,
    rank,
    report,
    rewards,
    score,
    serve,
    summaries,
    training,
)
from beholder._verbs import filter as filters
from beholder.errors import ConfigError

app = Verbs(
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
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="REWARD.OPTION=VALUE", help="An option of a reward."),
]
Device = Annotated[str | None, typer.Option(help="Where the model runs, such as cuda or cpu.")]


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


VERBS = (
    score,
    filters,
    rank,
    report,
    export,
    training,
    evaluate,
    calibrate,
    rewards,
    serve,
    demo,
    pipelines,
    measure,
    cost,
)
for verbs in VERBS:
    verbs.register(app)

if __name__ == "__main__":
    main()
