"""The verb that tells what a network, a reward or a whole pipeline costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beholder import _terminal as terminal
from beholder.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from beholder.eval.cost import Cost
    from beholder.training.pipeline import Sampling

PROMPT = "a red fox"
_PICTURE, _STEPS = "1,3,512,512", 20
_KINDS = (
    'timm:NAME, hf:REPO or a folder of transformers, "module:Class", a torchscript file, a reward, '
    'or a diffusers pipeline: hub repository, folder or "tiny".'
)

Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Input = Annotated[
    list[str],
    typer.Option(
        "--input",
        metavar="[NAME=]SIZES[:TYPE]",
        help=f"Of one input, such as {_PICTURE}; may be given often.",
    ),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Replaces the first of the sizes.")]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="OPTION=VALUE", help="For what builds the network.")
]
Device = Annotated[str, typer.Option(help="Such as cuda or cpu; meta counts without computing.")]
Dtype = Annotated[str, typer.Option(help="fp32, bf16 or fp16.")]
Repeats = Annotated[
    int | None, typer.Option(min=0, help="Timed runs: 20, of a pipeline 3; 0 only counts.")
]
WarmUp = Annotated[int | None, typer.Option(min=0, help="Runs before them: 3, of a pipeline 1.")]
Backward = Annotated[bool, typer.Option("--backward", help="With gradients of the weights.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Of a pipeline's scheduler: 20 if none.")]
Guidance = Annotated[
    float | None, typer.Option(help="Of a pipeline; its own if none, 0 turns it off.")
]
Side = Annotated[int | None, typer.Option(min=8, help="Of a pipeline's pictures, in pixels.")]
Call = Annotated[
    list[str], typer.Option("--call", metavar="KEY=VALUE", help="More arguments of a pipeline.")
]
Prompt = Annotated[str | None, typer.Option(help="Of a reward or a pipeline.")]


def register(app: typer.Typer) -> None:
    """Add the verb to a command line."""
    app.command()(cost)


def cost(
    model: Annotated[str, typer.Argument(help=_KINDS)],
    inputs: Input = [],  # noqa: B006
    batch_size: BatchSize = None,
    device: Device = "cpu",
    dtype: Dtype = "fp32",
    repeats: Repeats = None,
    warm_up: WarmUp = None,
    backward: Backward = False,
    prompt: Prompt = None,
    steps: Steps = None,
    guidance: Guidance = None,
    height: Side = None,
    width: Side = None,
    call: Call = [],  # noqa: B006
    setting: Settings = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Parameters, FLOPs, time, memory and pictures a second of a network or a whole pipeline.

    Operations are counted while the network runs, two FLOPs a multiply-add; element-wise work
    counts nothing, by convention. Weights are random where no figure depends on them.

    Example: beholder cost timm:resnet50 --input 1,3,224,224
    """
    from beholder._verbs.cost_runs import per_step  # noqa: PLC0415
    from beholder._verbs.cost_text import cost_text  # noqa: PLC0415

    asked = _Asked(
        input=inputs,
        batch_size=batch_size,
        backward=backward,
        prompt=prompt,
        steps=steps,
        guidance=guidance,
        height=height,
        width=width,
        call=call,
    )
    told = _measured(model, _options(setting), (device, dtype), asked, _given(repeats, warm_up))
    if json:
        terminal.emit({**told.as_dict(), "per_step": per_step(told)})
    else:
        terminal.say(cost_text(model, told))


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is run; what was not asked for is None or empty."""

    input: list[str]
    batch_size: int | None
    backward: bool
    prompt: str | None
    steps: int | None
    guidance: float | None
    height: int | None
    width: int | None
    call: list[str]

    def refuse_others(self, what: str, *read: str) -> None:
        """Raise ConfigError for an option that was given but that nothing would read."""
        for option in fields(self):
            value = getattr(self, option.name)
            given = value is not None and value is not False and value != []  # 0 is given
            if given and option.name not in {"batch_size", *read}:
                raise ConfigError(f"--{option.name} means nothing for {what}; leave it out")


def _measured(
    model: str,
    options: Mapping[str, Any],
    where: tuple[str, str],
    asked: _Asked,
    timing: Mapping[str, int],
) -> Cost:
    from torch import nn  # noqa: PLC0415

    from beholder._verbs import cost_runs as runs  # noqa: PLC0415
    from beholder._verbs import networks as networks  # noqa: PLC0415
    from beholder.rewards import Reward  # noqa: PLC0415
    from beholder.rewards._precision import checked_device, dtype_named  # noqa: PLC0415

    device, dtype = checked_device(where[0]), dtype_named(where[1], where[0])
    found = networks.find_network(model, options, device, dtype)
    if isinstance(found, Reward):
        asked.refuse_others("a reward", "input", "prompt")
        return runs.reward_cost(found, _pictures(asked), asked.prompt or PROMPT, timing)
    if isinstance(found, nn.Module):
        asked.refuse_others("a network", "input", "backward")
        specs = [networks.input_spec(text, asked.batch_size) for text in asked.input]
        given = networks.input_tensors(specs, device, dtype)
        return runs.network_cost(found, given, timing, backward=asked.backward)
    asked.refuse_others("a pipeline", "prompt", "steps", "guidance", "height", "width", "call")
    prompts = [asked.prompt or PROMPT] * (asked.batch_size or 1)
    return runs.pipeline_cost(found, prompts, _sampling(asked), timing)


def _pictures(asked: _Asked) -> Tensor:
    import torch  # noqa: PLC0415

    from beholder._verbs.networks import input_spec  # noqa: PLC0415

    if len(asked.input) > 1:
        raise ConfigError(f"a reward takes one --input, its pictures; got {len(asked.input)}")
    spec = input_spec(next(iter(asked.input), _PICTURE), asked.batch_size)
    return spec.tensor(torch.device("cpu"), torch.float32)


def _sampling(asked: _Asked) -> Sampling:
    from beholder.configs._load import read_config  # noqa: PLC0415
    from beholder.training.pipeline import Sampling  # noqa: PLC0415

    return Sampling(
        steps=asked.steps or _STEPS,
        guidance=asked.guidance,
        height=asked.height,
        width=asked.width,
        call=read_config(None, asked.call),
    )


def _options(settings: list[str]) -> Mapping[str, Any]:
    for each in settings:
        if "=" not in each:
            raise ConfigError(f"--set takes OPTION=VALUE, got {each!r}")
    given = terminal.split_settings([f"network.{each}" for each in settings], ["network"])
    return given.get("network", {})


def _given(repeats: int | None, warm_up: int | None) -> dict[str, int]:
    options = {"repeats": repeats, "warm_up": warm_up}
    return {name: value for name, value in options.items() if value is not None}
