"""The verb score: pictures to a table that resumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from beholder import _terminal as terminal
from beholder._verbs import score_sharded as sharded
from beholder._verbs import summaries

Alpha = Literal["white", "black", "drop"]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Rewards = Annotated[
    list[str],
    typer.Option(
        "--reward",
        "-r",
        help="A name, folder, hub repository, module:Class or http://host:port/name; NAME=... "
        "names its columns.",
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
Prompts = Annotated[
    str | None, typer.Option(help="A .txt with one prompt a line, or a manifest of file names.")
]
Retry = Annotated[
    bool, typer.Option("--retry-failed", help="Score rows with an error again, and lost shards.")
]
Pictures = Annotated[
    str | None,
    typer.Argument(help="Folder, glob, picture, manifest, data set, archives, or an address."),
]
Engine = Annotated[
    Literal["processes", "ranks", "ray"] | None,
    typer.Option(help="Score shard by shard: in processes, torchrun or SLURM ranks, or on Ray."),
]
Workers = Annotated[
    str | None, typer.Option(help="How many; 2:16 lets a pool of Ray grow. [engine]")
]
ShardSize = Annotated[
    int | None, typer.Option(min=1, help="Rows of a shard of a list: 10000 if none. [engine]")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Of torch in a worker on a CPU: 1 if none. [engine]")
]
Stall = Annotated[
    float | None,
    typer.Option(help="A worker silent for so long is replaced: 600 if none. [engine]"),
]
Count = Annotated[
    bool | None,
    typer.Option(
        "--count-sources/--no-count-sources",
        help="With --verify: open each source again and count it, or believe the scores.",
    ),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Count every row against its source; alone with -o too.")
]
RayAddress = Annotated[str | None, typer.Option(help="Of a Ray cluster. [engine]")]
Gpus = Annotated[
    float | None, typer.Option("--gpus-per-worker", help="Of a Ray worker: 1 if none. [engine]")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Pictures in one pass of the model.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(score)


def score(
    pictures: Pictures = None,
    reward: Rewards = [],  # noqa: B006  (typer reads it once)
    *,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder of the scores.")],
    prompts: Prompts = None,
    setting: Settings = [],  # noqa: B006
    batch_size: BatchSize = 32,
    alpha: Annotated[Alpha, typer.Option(help="Behind transparent pixels.")] = "white",
    retry_failed: Retry = False,
    device: Device = None,
    dtype: Dtype = None,
    engine: Engine = None,
    workers: Workers = None,
    shard_size: ShardSize = None,
    threads: Threads = None,
    stall_seconds: Stall = None,
    ray_address: RayAddress = None,
    gpus_per_worker: Gpus = None,
    verify: Verify = False,
    count_sources: Count = None,
    json: Json = False,
) -> None:
    """Score pictures into a table that resumes: a row each, with scores or the reason why not.

    Exit code 3 says that some rows have no score. The same command goes on after an interruption.
    With --engine a source of any size is scored shard by shard, by several workers.

    Example: beholder score out/ --prompts prompts.txt --reward mps --reward clipscore -o scores/
    """
    named: dict[str, Any] = {"pictures": pictures or "", "prompts": prompts, "rewards": reward}
    named |= {"settings": setting, "verify": verify, "count_sources": count_sources}
    asked = sharded.Asked(**named, out=out, json=json)
    how: dict[str, Any] = {"batch_size": batch_size, "alpha": alpha, "retry_failed": retry_failed}
    given: dict[str, Any] = {
        "shard_size": shard_size,
        "threads": threads,
        "stall_seconds": stall_seconds,
    }
    given |= {**sharded.pool(workers), "address": ray_address, "gpus": gpus_per_worker}
    given = {name: value for name, value in given.items() if value is not None}
    if not pictures:
        others = {"engine": engine, "device": device, "dtype": dtype, **given}
        sharded.verify_only(asked, {**others, **_unusual(how)})
    elif engine is None:
        sharded.refuse_without_engine(asked, given)
        _score_table(asked, how, device, dtype)
    else:
        sharded.score_sharded(asked, engine, {**how, **given, "device": device, "dtype": dtype})


def _unusual(how: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the scoring that were asked for."""
    usual = {"batch_size": 32, "alpha": "white", "retry_failed": False}
    return {name: value for name, value in how.items() if value != usual[name]}


def _score_table(
    asked: sharded.Asked, how: Mapping[str, Any], device: str | None, dtype: str | None
) -> None:
    from beholder.rewards.scoring import read_inputs, score_table  # noqa: PLC0415

    inputs = read_inputs(asked.pictures, asked.prompts)
    models = terminal.named_rewards(asked.rewards, asked.settings, device, dtype)
    out = Path(asked.out)
    with terminal.progress(len(inputs) if inputs.is_counted else None, "pictures") as advance:
        summary = score_table(inputs, models, out, progress=advance, **how)
    if asked.json:
        terminal.emit(summary.as_dict())
    else:
        terminal.say(summaries.score_text(summary, out))
    terminal.leave_if_missing(out, models, summary.failed)
