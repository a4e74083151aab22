"""The verb serve: rewards over HTTP."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from beholder import _terminal as terminal
from beholder._verbs.score_sharded import reward_specs
from beholder.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from beholder.serving.settings import PoolSettings, ServeSettings, WorkerSettings

_CPU_STALL_SECONDS = 1800.0  # a batch of 32 takes a ViT-H cross model minutes there

Alpha = Literal["white", "black", "drop"]
Rewards = Annotated[
    list[str],
    typer.Option(
        "--reward",
        "-r",
        help="A name, folder, hub repository or module:Class; NAME=... names it. The first is the "
        "default.",
    ),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="REWARD.OPTION=VALUE", help="An option of a reward."),
]
Host = Annotated[str, typer.Option(help="Address to listen at; others than loopback need a token.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="A file that holds the token clients must send; or set BEHOLDER_TOKEN."),
]
Device = Annotated[
    str | None,
    typer.Option(help="Where the rewards go; cuda is spread over the GPUs, a worker process each."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes: one, or one a GPU, if none.")
]
Dtype = Annotated[
    str | None, typer.Option(help="fp32, bf16 or fp16; what the weights are loaded in if none.")
]
Queue = Annotated[
    int, typer.Option(min=1, help="Pictures accepted and unanswered at once; more get 429.")
]
Urls = Annotated[
    list[str],
    typer.Option(
        "--allow-urls",
        metavar="HOST",
        help="A host whose pictures may be fetched, such as cdn.example.org or *.example.org; "
        "none if never given. Private addresses are refused in any case.",
    ),
]
LabelStudio = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help="The Label Studio whose own pictures may be fetched, with the token in "
        "LABEL_STUDIO_API_KEY.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(serve)


def serve(
    reward: Rewards = [],  # noqa: B006  (typer reads it once)
    setting: Settings = [],  # noqa: B006
    *,
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    token_file: TokenFile = None,
    device: Device = None,
    workers: Workers = None,
    dtype: Dtype = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures in one pass.")] = 32,
    alpha: Annotated[Alpha, typer.Option(help="Behind transparent pixels.")] = "white",
    threads: Annotated[int, typer.Option(min=1, help="Of torch in a worker on a CPU.")] = 1,
    queue: Queue = 1024,
    timeout: Annotated[float, typer.Option(help="Seconds a request may take.")] = 60.0,
    drain: Annotated[float, typer.Option(help="Seconds to finish what was accepted.")] = 20.0,
    max_body: Annotated[int, typer.Option(min=1, help="MiB of a request.")] = 64,
    max_items: Annotated[int, typer.Option(min=1, help="Pictures of a request.")] = 256,
    allow_urls: Urls = [],  # noqa: B006
    label_studio: LabelStudio = "",
) -> None:
    """Answer over HTTP with scores, in batches across requests, until SIGTERM or Ctrl-C.

    Serves its own /v1/score, UniRL's /score, Flow-Factory's /compute and a Label Studio ML backend;
    /docs shows them. SIGHUP loads the weights anew. Ask it with beholder.load("http://HOST:PORT/NAME").

    Example: beholder serve --reward mps --reward hps --device cuda
    """
    if not reward:
        raise ConfigError("name at least one reward, as -r mps does; `beholder rewards` lists them")
    _check_installed()
    from beholder.serving import settings as of  # noqa: PLC0415
    from beholder.serving.access import access_of  # noqa: PLC0415

    how: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}
    how |= {"alpha": alpha, "threads": threads}
    each = of.WorkerSettings(rewards=reward_specs(reward, setting), **how)
    settings = of.ServeSettings(
        pool=pool_of(each, workers, queue),
        access=access_of(host, port, token_file, tuple(allow_urls), label_studio),
        limits=of.RequestLimits(body=max_body * 2**20, items=max_items),
        timeout=timeout,
        drain_seconds=drain,
    )
    _serve(settings, ", ".join(each.rewards))


def _serve(settings: ServeSettings, names: str) -> None:
    from beholder.serving.server import serve as serve_until_told  # noqa: PLC0415

    terminal.show_log()
    terminal.note(f"loading {names}")
    if unanswered := serve_until_told(settings, lambda address: _tell(names, address)):
        seconds = settings.drain_seconds
        terminal.note(f"{unanswered} accepted pictures were not answered in {seconds:g} seconds")
        raise typer.Exit(terminal.FAILED)


def _tell(names: str, address: str) -> None:
    terminal.note(f"{names} served at {address}; {address}/docs shows how to ask")


def pool_of(each: WorkerSettings, workers: int | None, queue: int) -> PoolSettings:
    """A worker a GPU where `each` is of "cuda", or as many as are asked for."""
    from beholder.rewards.sharded.processes import device_of  # noqa: PLC0415
    from beholder.serving.settings import PoolSettings  # noqa: PLC0415

    count = workers or _gpus(each.device)
    of_each = tuple(replace(each, device=device_of(each.device, k)) for k in range(count))
    is_slow = (each.device or "cpu").startswith("cpu")
    stall = _CPU_STALL_SECONDS if is_slow else PoolSettings(workers=()).stall_seconds
    return PoolSettings(workers=of_each, queue=queue, stall_seconds=stall)


def _gpus(device: str | None) -> int:
    import torch  # noqa: PLC0415

    return max(1, torch.cuda.device_count()) if device == "cuda" else 1


def _check_installed() -> None:
    for module in ("fastapi", "prometheus_client", "python_multipart", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(
                f'`beholder serve` needs {module}; pip install "beholder[serve]"'
            )
