"""The verb demo: a page on which to try rewards by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from beholder import _terminal as terminal
from beholder.errors import ConfigError, MissingDependencyError

Rewards = Annotated[
    list[str],
    typer.Option(
        "--reward",
        "-r",
        help="A name, folder, hub repository, address or module:Class; NAME=... names it.",
    ),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="REWARD.OPTION=VALUE", help="An option of a reward."),
]
Examples = Annotated[
    str,
    typer.Option(
        metavar="SOURCE",
        help="Pictures and prompts to begin with, as `beholder score` takes them; a few are drawn "
        "if none.",
    ),
]
Host = Annotated[str, typer.Option(help="Address to listen at; others than loopback need a token.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="A file that holds the password of the page; or set BEHOLDER_TOKEN."),
]
Device = Annotated[str | None, typer.Option(help="Where the rewards run, such as cuda or cpu.")]
Dtype = Annotated[
    str | None, typer.Option(help="fp32, bf16 or fp16; what the weights are loaded in if none.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(demo)


def demo(
    reward: Rewards = [],  # noqa: B006  (typer reads it once)
    setting: Settings = [],  # noqa: B006
    *,
    examples: Examples = "",
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 7860,
    token_file: TokenFile = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """A page to try rewards by hand: drop a picture and a prompt, see scores, maps and words.

    Or drop two pictures: which one is preferred, and how likely people agree. It asks nothing of
    the network; Ctrl-C ends it.

    Example: beholder demo --reward runs/rich --reward clipscore
    """
    if not reward:
        raise ConfigError("name at least one reward, as -r mps does; `beholder rewards` lists them")
    if importlib.util.find_spec("gradio") is None:
        raise MissingDependencyError('`beholder demo` needs gradio; pip install "beholder[demo]"')
    from beholder.demo.running import listening_at, run_demo  # noqa: PLC0415
    from beholder.serving.access import access_of  # noqa: PLC0415

    access = access_of(host, port, token_file, (), "")
    with listening_at(access) as door:  # an address that is taken is told before weights are loaded
        terminal.note(f"loading {', '.join(reward)}")
        rewards = terminal.named_rewards(reward, setting, device, dtype)
        run_demo(rewards, access, door, examples=examples, ready=_tell)


def _tell(address: str) -> None:
    terminal.note(f"open {address} in a browser; Ctrl-C ends it")
