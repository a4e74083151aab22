"""The verb score: pictures to a table that resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from beholder import _summaries as summaries
from beholder import _terminal as terminal

Alpha = Literal["white", "black", "drop"]
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


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(score)


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
