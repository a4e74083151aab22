"""The verbs that run a diffusers pipeline: tune, generate, repair. Thin, as all verbs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beholder import _terminal as terminal
from beholder.errors import ConfigError

if TYPE_CHECKING:
    from beholder.eval._estimate import Estimate
    from beholder.training.generate import Generation
    from beholder.training.guidance import PreviewAgreement, Repaired
    from beholder.training.pipeline import Driver, Sampling

_LEAST_CANDIDATES = 4  # of each prompt, to measure previews on

Pipeline = Annotated[
    str, typer.Argument(help='Hub repository, folder, "module:function", or "tiny" for a dry run.')
]
Reward = Annotated[str, typer.Option("--reward", "-r", help="What `beholder.load` takes.")]
Lora = Annotated[
    Path | None, typer.Option(help="Folder of `beholder tune`, or any LoRA that diffusers loads.")
]
Steps = Annotated[int, typer.Option(min=1, help="Of the scheduler.")]
Guided = Annotated[
    float | None, typer.Option("--guidance", help="Classifier-free guidance; 0 turns it off.")
]
Side = Annotated[int | None, typer.Option(min=8, help="In pixels; the pipeline's own if none.")]
Call = Annotated[
    list[str], typer.Option("--call", metavar="KEY=VALUE", help="More arguments of its call.")
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="REWARD.OPTION=VALUE", help="An option of the reward."),
]
Device = Annotated[str | None, typer.Option(help="Where everything runs, such as cuda or cpu.")]
Dtype = Annotated[str, typer.Option(help="Of the pipeline: auto, fp32, bf16 or fp16.")]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Folder of pictures and manifest; --measure-previews has none."
    ),
]
Prompt = Annotated[list[str], typer.Option(help="A prompt; may be given often.")]
Prompts = Annotated[str, typer.Option(help="A .txt with one prompt a line, a table or a data set.")]
BestOf = Annotated[int, typer.Option(min=1, help="Keep the best of so many.")]
PreviewStep = Annotated[
    int | None, typer.Option(min=0, help="Reject candidates after this step, from 0.")
]
Keep = Annotated[int, typer.Option(min=1, help="Candidates that go on from there.")]
MeasurePreviews = Annotated[
    bool,
    typer.Option("--measure-previews", help="No pictures: which previews can be trusted?"),
]
Guide = Annotated[float, typer.Option(min=0, help="Scale of reward guidance.")]
Search = Annotated[
    int, typer.Option(min=0, help="Iterations of noise optimisation, for 1 to 4 steps.")
]
BaseUntil = Annotated[
    int, typer.Option(min=0, help="With --lora: the base model draws the first steps.")
]
Aspect = Annotated[str, typer.Option(help="Of the reward: what decides.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the first picture.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Pictures at a time.")]
KeepScheduler = Annotated[
    bool, typer.Option("--keep-scheduler", help="For distilled models that need their own.")
]
Marking = Annotated[
    str, typer.Option("--reward", "-r", help="A reward that draws maps, such as RichHF.")
]
HeldOut = Annotated[
    str, typer.Option(help="A second reward, which must not find the repair worse.")
]
Attempts = Annotated[int, typer.Option(min=1, help="Repairs to choose from.")]
Strength = Annotated[float, typer.Option(min=0.01, max=1, help="How much is redrawn.")]
Threshold = Annotated[float, typer.Option(help="A fault above it is repainted.")]
Kind = Annotated[str, typer.Option(help="Which map.")]
Rises = Annotated[str, typer.Option(help="Which score has to rise.")]
Longest = Annotated[
    int | None, typer.Option(min=8, help="Longest side while repainting; 1024 if none.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to a command line."""
    for verb in (tune, generate, repair):
        app.command()(verb)


def tune(
    config: Annotated[str, typer.Argument(help="A YAML file, or a preset such as tiny_cpu.")],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Over the file: run=..., fit.steps=..."),
    ] = None,
) -> None:
    """Tune a diffusers pipeline with a reward into a LoRA; the same command goes on after a stop.

    The key "algorithm" chooses refl, draft, dpo or nft. RUN/report.html shows how it goes, beside a
    reward that is not learned from. On several GPUs: accelerate launch -m beholder tune CONFIG ...

    Example: beholder tune refl_sd15_lora prompts=prompts.txt reward=mps held_out_reward=clipscore
    """
    from beholder.configs._load import load_config, presets, read_config  # noqa: PLC0415
    from beholder.training.algorithms import config_class, names  # noqa: PLC0415
    from beholder.training.tune import tune as run  # noqa: PLC0415

    terminal.show_log()
    given = changes or []
    algorithm = read_config(config, given, "tune").get("algorithm")
    if not isinstance(algorithm, str):
        raise ConfigError(
            f"{config} names no algorithm; give algorithm={'|'.join(names())}, or a preset: "
            f"{', '.join(presets('tune'))}"
        )
    folder = run(load_config(config, given, config_class(algorithm), "tune"))
    terminal.say(str(folder))


def generate(
    pipeline: Pipeline,
    out: Out = None,
    prompt: Prompt = [],  # noqa: B006
    prompts: Prompts = "",
    reward: Reward = "",
    lora: Lora = None,
    best_of: BestOf = 1,
    preview_step: PreviewStep = None,
    keep: Keep = 1,
    measure_previews: MeasurePreviews = False,
    guide: Guide = 0.0,
    search: Search = 0,
    base_until: BaseUntil = 0,
    steps: Steps = 28,
    guidance: Guided = None,
    height: Side = None,
    width: Side = None,
    call: Call = [],  # noqa: B006
    aspect: Aspect = "total",
    seed: Seed = 0,
    batch_size: BatchSize = 4,
    keep_scheduler: KeepScheduler = False,
    setting: Settings = [],  # noqa: B006
    device: Device = None,
    dtype: Dtype = "auto",
    json: Json = False,
) -> None:
    """Pictures of prompts: the best of n, early rejection, reward guidance, or plain.

    Writes PNGs and a manifest for `beholder score`; the same command goes on after a stop. Exit
    code 3 says that some pictures have no score.

    Example: beholder generate MODEL --prompts prompts.txt -r mps --best-of 8 -o out/
    """
    from beholder.training.generate import Generation  # noqa: PLC0415

    ways = {"best_of": best_of, "preview_step": preview_step, "keep": keep, "guide": guide}
    ways |= {"search": search, "base_until": base_until, "seed": seed, "batch_size": batch_size}
    config = Generation(**ways)  # type: ignore[arg-type]
    _check_given(out or measure_previews, "--out, the folder where the pictures go")
    _check_given(lora or not base_until, "--lora, whose adapters --base-until hands over to")
    texts = _prompts(prompt, prompts)
    signal = _signal(reward, setting, aspect, device)
    driver = _driver(pipeline, lora, device, dtype, keep_scheduler=keep_scheduler)
    sampling = _sampling(steps, guidance, height, width, call)
    if measure_previews or out is None:
        return _measure(driver, signal, texts, sampling, config, json)
    said = {"pipeline": pipeline, "lora": str(lora or ""), "reward": reward, "aspect": aspect}
    return _make(driver, signal, texts, sampling, config, out, said, json)


def repair(
    pipeline: Pipeline,
    picture: Annotated[Path, typer.Argument(help="The picture.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")],
    prompt: Annotated[str, typer.Option(help="What it should show.")],
    reward: Marking,
    held_out: HeldOut = "",
    lora: Lora = None,
    attempts: Attempts = 4,
    strength: Strength = 0.7,
    threshold: Threshold = 0.5,
    kind: Kind = "implausibility",
    aspect: Rises = "plausibility",
    longest: Longest = None,
    steps: Steps = 28,
    guidance: Guided = None,
    call: Call = [],  # noqa: B006
    seed: Seed = 0,
    setting: Settings = [],  # noqa: B006
    device: Device = None,
    dtype: Dtype = "auto",
    json: Json = False,
) -> None:
    """Repaint what a reward marks as faulty; kept only if it is better, pixels outside exactly.

    Example: beholder repair MODEL fox.png --prompt "a red fox" -r runs/richhf -o repaired.png
    """
    from beholder.eval.repair import Acceptance, RepairMask  # noqa: PLC0415
    from beholder.training.guidance import RepairConfig  # noqa: PLC0415
    from beholder.training.guidance import repair as mend  # noqa: PLC0415

    if out.suffix != ".png":
        raise ConfigError(f"{out.name} is no .png, which keeps every pixel exactly; name one")
    asked = [name for name in (reward, held_out) if name]
    model, *more = terminal.named_rewards(asked, setting, device).values()
    config = RepairConfig(
        strength=strength,
        attempts=attempts,
        seed=seed,
        mask=RepairMask(threshold=threshold),
        acceptance=Acceptance(kind=kind, aspect=aspect),
    )
    driver = _driver(pipeline, lora, device, dtype, options=_repairing(pipeline))
    sampling = _sampling(steps, guidance, longest, longest, call)
    found = mend(driver, model, picture, prompt, sampling, config, held_out=next(iter(more), None))
    _save(found, out)
    if json:
        terminal.emit({"accepted": found.accepted, "reason": found.reason, "seed": found.seed})
    else:
        terminal.say(f"{out}: {'repaired' if found.accepted else 'as it was'}: {found.reason}")


def _save(found: Repaired, out: Path) -> None:
    from PIL import Image  # noqa: PLC0415

    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(found.pixels.permute(1, 2, 0).contiguous().numpy()).save(out)


def _prompts(given: list[str], source: str) -> list[str]:
    from beholder.training._tuning.prompts import read_prompts  # noqa: PLC0415

    if bool(given) == bool(source):
        raise ConfigError("give --prompt or --prompts, one of them")
    return given or read_prompts(source)


def _signal(reward: str, settings: list[str], aspect: str, device: str | None) -> Any:
    from beholder.training._tuning.signal import Signal  # noqa: PLC0415

    if not reward:
        return None
    ((_, model),) = terminal.named_rewards([reward], settings, device).items()
    return Signal(model, aspect)


def _driver(
    pipeline: str,
    lora: Path | None,
    device: str | None,
    dtype: str,
    *,
    keep_scheduler: bool = False,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Driver:
    import torch  # noqa: PLC0415

    from beholder.training._pipeline.loading import chosen_dtype, load_pipeline  # noqa: PLC0415

    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    driver = load_pipeline(
        pipeline, options, place, chosen_dtype(dtype, place), keep_scheduler=keep_scheduler
    )
    if lora is not None:
        driver.load_lora(lora)
    return driver


def _check_given(given: object, what: str) -> None:
    if not given:
        raise ConfigError(f"give {what}")


def _repairing(pipeline: str) -> dict[str, int]:
    """Options that a pipeline is loaded with to repaint pictures; only "tiny" has a choice."""
    from beholder.training._pipeline.tiny import INPAINTING_CHANNELS  # noqa: PLC0415

    return {"latent_channels": INPAINTING_CHANNELS} if pipeline == "tiny" else {}


def _sampling(
    steps: int, guidance: float | None, height: int | None, width: int | None, call: list[str]
) -> Sampling:
    from beholder.configs._load import read_config  # noqa: PLC0415
    from beholder.training.pipeline import Sampling  # noqa: PLC0415

    return Sampling(
        steps=steps, guidance=guidance, height=height, width=width, call=read_config(None, call)
    )


def _make(
    driver: Driver,
    signal: Any,
    texts: list[str],
    sampling: Sampling,
    config: Generation,
    out: Path,
    said: Mapping[str, object],
    json: bool,
) -> None:
    from beholder.training.generate import generate as make  # noqa: PLC0415

    with terminal.progress(len(texts), "pictures") as advance:
        made = make(driver, signal, texts, sampling, config, out, advance, made_by=said)
    if json:
        terminal.emit(made.as_dict())
    else:
        terminal.say(f"{out}: {made.pictures} pictures, {made.done_before} were done before")
        for name, why in made.errors.items():
            terminal.say(f"  {name}: {why}")
    if made.errors:
        raise typer.Exit(terminal.SOME_ROWS_FAILED)


def _measure(
    driver: Driver,
    signal: Any,
    texts: list[str],
    sampling: Sampling,
    config: Generation,
    json: bool,
) -> None:
    from beholder.training.guidance import Candidates, preview_agreement  # noqa: PLC0415

    if signal is None:
        raise ConfigError("--measure-previews compares scores; give --reward")
    each = max(config.best_of, _LEAST_CANDIDATES)
    candidates = Candidates(each=each, seed=config.seed, batch_size=config.batch_size)
    with terminal.progress(len(texts) * each * sampling.steps, "steps") as advance:
        found = preview_agreement(driver, signal, texts, sampling, candidates, progress=advance)
    if json:
        terminal.emit(found.as_dict())
    else:
        _tell_agreement(found)


def _estimated(found: Estimate) -> str:
    """A number with its interval; why there is none, if so."""
    if found.value is None or found.low is None or found.high is None:
        return found.why or "unknown"
    return terminal.interval(found.value, found.low, found.high)


def _tell_agreement(found: PreviewAgreement) -> None:
    rows = [
        [
            step.step,
            _estimated(step.spearman),
            _estimated(step.kept[0]),
            _estimated(step.regret),
        ]
        for step in found.steps
    ]
    terminal.say(terminal.table(rows, ["step", "rank correlation", "best is best", "regret (sd)"]))
    trusted = found.trusted_step()
    terminal.say(
        "no step can be trusted to 90 %"
        if trusted is None
        else f"previews can be trusted from step {trusted} on: --preview-step {trusted}"
    )
