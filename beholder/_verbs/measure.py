"""The verbs of the classical metrics: measure, and metrics, their catalogue."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from beholder import _terminal as terminal
from beholder._verbs import measure_text as texts
from beholder.errors import ConfigError

if TYPE_CHECKING:
    from accelerate import PartialState

    from beholder._verbs.text_parts import Asked as TextAsked
    from beholder.eval.measures._base import Need
    from beholder.eval.measures._chosen import Chosen
    from beholder.eval.measuring import Comparison, Setup
    from beholder.inputs import Inputs

NO_SIDE = "-"
"""What stands on a command line for a side that no metric needs."""

Alpha = Literal["white", "black", "drop"]
Protocol = Literal["tf1", "clean", "pytorch-legacy", "tm-antialias"]
Metrics = Annotated[
    list[str],
    typer.Option("--metric", "-m", help="A name of `beholder metrics`, or OWN_NAME=name."),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="METRIC.OPTION=VALUE", help="An option of a metric."),
]
Weights = Annotated[
    list[str],
    typer.Option(
        metavar="EXTRACTOR=FILE", help="Local weights; EXTRACTOR.MODEL where one has several."
    ),
]
Real = Annotated[
    str, typer.Argument(help='Pictures, videos, features or statistics; "-" for none.')
]
Fake = Annotated[str, typer.Argument(help="The same; what is judged.")]
Rewards = Annotated[
    list[str], typer.Option("--reward", "-r", help="Its mean over the fake side; as in `score`.")
]
Prompts = Annotated[
    Path | None, typer.Option(help="Of the fake side, where it brings none; as in `score`.")
]
Generate = Annotated[
    Path | None,
    typer.Option(help="FAKE is a diffusers pipeline: its pictures of --prompts go here."),
]
Steps = Annotated[int, typer.Option(min=1, help="With --generate.")]
Seed = Annotated[int, typer.Option(min=0, help="With --generate: of the first.")]
ProtocolName = Annotated[
    Protocol | None, typer.Option(help="How pictures come to Inception's size; tf1 if none.")
]
StandIn = Annotated[
    str, typer.Option(help="EXTRACTOR:LAYER in the place of Inception, such as dinov2:cls.")
]
Assume = Annotated[
    bool,
    typer.Option("--assume-protocol", help="Take what a reference file does not say to agree."),
]
Keep = Annotated[Path | None, typer.Option(help="Folder for both sides' features and statistics.")]
Cache = Annotated[
    Path | None, typer.Option(help="Folder of features by content; the user's cache if none.")
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep no features.")]
Behind = Annotated[Alpha, typer.Option(help="Behind transparent pixels.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Pictures or clips at a time.")]
Device = Annotated[str | None, typer.Option(help="Such as cuda or cpu.")]
Log = Annotated[
    list[str], typer.Option(metavar="tensorboard:DIR|wandb:PROJECT", help="Where values go too.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]


def register(app: typer.Typer) -> None:
    """Put the verbs into the command line."""
    app.command()(measure)
    app.command()(metrics)


def measure(
    real: Real,
    fake: Fake,
    metric: Metrics = [],  # noqa: B006  (typer reads it once)
    reward: Rewards = [],  # noqa: B006
    prompts: Prompts = None,
    generate: Generate = None,
    steps: Steps = 28,
    seed: Seed = 0,
    protocol: ProtocolName = None,
    setting: Settings = [],  # noqa: B006
    weights: Weights = [],  # noqa: B006
    features: StandIn = "",
    assume: Assume = False,
    keep: Keep = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    alpha: Behind = "white",
    batch_size: BatchSize = 32,
    device: Device = None,
    log: Log = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Classical metrics of generated pictures or videos, each with its protocol and interval.

    A picture that cannot be read is listed with its reason, a metric without value says why (exit
    code 3). On several GPUs: accelerate launch -m beholder measure ...

    Example: beholder measure real/ generated/ --metric fid --metric kid --protocol clean
    """
    from beholder.eval.measuring import Setup  # noqa: PLC0415

    asked = _asked(metric, reward, setting, protocol, log)
    setup = Setup(
        weights=_weights([each for each in weights if each.partition("=")[0] not in asked.texts]),
        device=device,
        batch_size=batch_size,
        cache=None if no_cache else cache or default_cache(),
        alpha=alpha,
        assume=assume,
        features=_features(features, setting),
        keep=keep,
    )
    if generate is not None:
        fake, prompts = str(_generated(fake, prompts, generate, steps, seed, device)), None
    _check(fake, prompts, asked)
    spoken = _spoken(fake, prompts, asked, weights, setup) if asked.reads_prompts else None
    compared = _compare(None if real == NO_SIDE else real, fake, asked.features, setup)
    if is_main_process():
        _tell(_with_texts(compared, spoken, setup), json, log)


def _with_texts(
    compared: Comparison | None,
    spoken: tuple[Inputs, dict[str, TextAsked]] | None,
    setup: Setup,
) -> Comparison:
    """What was measured of features, of prompts, or of both."""
    if spoken is None:
        return cast("Comparison", compared)
    told = _said(*spoken, setup)
    return told if compared is None else merged(compared, told)


def _check(fake: str, prompts: Path | None, asked: _Asked) -> None:
    if fake == NO_SIDE:
        raise ConfigError("the second side is what is judged; give pictures, videos or a file")
    if prompts is not None and not asked.reads_prompts:
        raise ConfigError("--prompts is read by --reward, --generate and metrics of prompts alone")


def _tell(compared: Comparison, json: bool, log: Sequence[str] = ()) -> None:
    from beholder._verbs.tracking import measurement_values, track  # noqa: PLC0415

    if json:
        terminal.emit(compared.as_dict())
    else:
        terminal.say(texts.comparison_text(compared))
    for place in log:
        terminal.note(track(place, measurement_values(compared.measurements)))
    values = [each.value for each in compared.measurements]
    if all(value is None for value in values):
        raise typer.Exit(terminal.FAILED)
    if compared.failures or None in values:
        raise typer.Exit(terminal.SOME_ROWS_FAILED)


def metrics(
    name: Annotated[str, typer.Argument(help="One metric and its options; all if none.")] = "",
    json: Json = False,
) -> None:
    """The catalogue of metrics: what each is, of which paper, and its options.

    Example: beholder metrics fid
    """
    known = texts.cards()
    if name and name not in known:
        raise ConfigError(f"unknown metric {name!r}; known are {', '.join(known)}")
    if json:
        terminal.emit(asdict(known[name]) if name else {k: asdict(c) for k, c in known.items()})
    else:
        terminal.say(texts.card_text(name, known[name]) if name else texts.catalogue_text(known))


def default_cache() -> Path:
    """Where features are kept unless a person says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beholder/features"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a command line asks for: metrics of features, and of texts and rewards by name."""

    features: Sequence[Chosen]
    texts: Mapping[str, str]
    rewards: Sequence[str]
    settings: Mapping[str, Mapping[str, object]]
    reward_settings: Sequence[str]

    @property
    def reads_prompts(self) -> bool:
        """Whether rows are read for a second time, with their prompts."""
        return bool(self.texts or self.rewards)


def _asked(
    metric: Sequence[str],
    reward: Sequence[str],
    setting: Sequence[str],
    protocol: str | None,
    log: Sequence[str],
) -> _Asked:
    from beholder._verbs.text_metrics import METRICS  # noqa: PLC0415
    from beholder._verbs.tracking import check_place  # noqa: PLC0415
    from beholder.eval.measures import names as feature_metrics  # noqa: PLC0415
    from beholder.eval.measures._chosen import choose  # noqa: PLC0415

    if not metric and not reward:
        raise ConfigError("name a --metric of `beholder metrics`, or a --reward")
    for place in log:
        check_place(place)
    pairs = [(name, of or name) for name, _, of in (each.partition("=") for each in metric)]
    columns = [terminal.split_spec(spec)[0] for spec in reward]
    names = [name for name, _ in pairs] + columns
    if len(set(names)) < len(names):
        raise ConfigError("two metrics share a name; give one its own, such as --metric fid2=fid")
    known = {*METRICS, *feature_metrics()}
    for _, each in pairs:
        if each not in known:
            raise ConfigError(f"unknown metric {each!r}; known are {', '.join(sorted(known))}")
    options = terminal.split_settings(setting, [*names, "features"], "metrics")
    return _Asked(
        [
            choose(each, options.get(name, {}), name=name, protocol=protocol)
            for name, each in pairs
            if each not in METRICS
        ],
        {name: each for name, each in pairs if each in METRICS},
        reward,
        options,
        [each for each in setting if each.partition(".")[0] in columns],
    )


def _weights(given: Sequence[str]) -> dict[str, Path]:
    from beholder.eval.extractors import names  # noqa: PLC0415

    found = {}
    for each in given:
        name, sign, path = each.partition("=")
        if not sign or name.partition(".")[0] not in names():
            raise ConfigError(
                f"--weights takes EXTRACTOR=FILE, got {each!r}; extractors are {', '.join(names())}"
            )
        found[name] = Path(path)
    return found


def _features(spec: str, setting: Sequence[str]) -> Need | None:
    """The extractor that stands in for Inception, with its options "features.option=value"."""
    from beholder.eval.measures._base import Need  # noqa: PLC0415

    own = [each for each in setting if each.startswith("features.")]
    options = terminal.split_settings(own, ["features"]).get("features", {})
    if not spec and options:
        raise ConfigError(f"{own[0]} is an option of --features EXTRACTOR:LAYER; give that too")
    if not spec:
        return None
    extractor, _, layer = spec.partition(":")
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return Need(extractor=extractor, layer=layer, settings=tuple(sorted(settings.items())))


def _compare(
    real: str | None, fake: str, chosen: Sequence[Chosen], setup: Setup
) -> Comparison | None:
    """The comparison of features; None without any, and in a process that only helped."""
    from beholder.eval.measuring import fill_cache  # noqa: PLC0415
    from beholder.eval.measuring import measure as compare  # noqa: PLC0415

    if not chosen:
        return None
    if processes() > 1:
        state = _state()
        fill_cache(real, fake, chosen, setup, share=state.process_index, shares=state.num_processes)
        state.wait_for_everyone()
        if not state.is_main_process:
            return None
    return compare(real, fake, chosen, setup, terminal.progress)


def processes() -> int:
    """How many processes `accelerate launch` or torchrun started; 1 without them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this process tells the result."""
    return processes() == 1 or bool(_state().is_main_process)


def _state() -> PartialState:
    import torch  # noqa: PLC0415
    from accelerate import PartialState  # noqa: PLC0415

    return PartialState(cpu=not torch.cuda.is_available())


def _spoken(
    fake: str, prompts: Path | None, asked: _Asked, weights: Sequence[str], setup: Setup
) -> tuple[Inputs, dict[str, TextAsked]]:
    """The rows and models of metrics of prompts, ready before anything is computed."""
    from beholder._verbs.text_metrics import METRICS, ask, check_prompts  # noqa: PLC0415
    from beholder._verbs.text_parts import Asked  # noqa: PLC0415
    from beholder.inputs import read_inputs  # noqa: PLC0415
    from beholder.videos import read_video_rows  # noqa: PLC0415

    kinds = {METRICS[metric].takes for metric in asked.texts.values()}
    kinds |= {"pictures"} if asked.rewards else set()
    if len(kinds) > 1:
        raise ConfigError("metrics of pictures and of videos do not go together")
    inputs = read_video_rows(fake, prompts) if kinds == {"videos"} else read_inputs(fake, prompts)
    files = dict(each.split("=", 1) for each in weights if "=" in each)
    models = {
        name: ask(metric, asked.settings.get(name, {}), files.get(name), setup.device)
        for name, metric in asked.texts.items()
    }
    loaded = terminal.named_rewards(asked.rewards, asked.reward_settings, setup.device)
    models |= {name: Asked(model=model) for name, model in loaded.items()}
    check_prompts(inputs, models)
    return inputs, models


def _said(inputs: Inputs, models: Mapping[str, TextAsked], setup: Setup) -> Comparison:
    """The metrics of prompts, and the means of rewards."""
    from beholder._verbs.text_metrics import measure_texts  # noqa: PLC0415
    from beholder._verbs.text_parts import TextRun  # noqa: PLC0415

    with terminal.progress(len(inputs), "rows") as advance:
        run = TextRun(batch_size=setup.batch_size, alpha=setup.alpha, progress=advance)
        return measure_texts(inputs, models, run)


def merged(features: Comparison, spoken: Comparison) -> Comparison:
    """Both, as one; a row of the fake side that failed in either has failed."""
    known = {each.key for each in features.fake.failures}
    more = [each for each in spoken.fake.failures if each.key not in known]
    failures = [*features.fake.failures, *more]
    used = None if spoken.fake.rows is None else spoken.fake.rows - len(failures)
    return replace(
        features,
        measurements=[*features.measurements, *spoken.measurements],
        fake=replace(features.fake, used=used, failures=failures),
    )


def _generated(
    pipeline: str, prompts: Path | None, folder: Path, steps: int, seed: int, device: str | None
) -> Path:
    """The manifest of the pictures that a pipeline makes of prompts; goes on after a stop."""
    import torch  # noqa: PLC0415

    from beholder.training._pipeline.loading import chosen_dtype, load_pipeline  # noqa: PLC0415
    from beholder.training._tuning.prompts import read_prompts  # noqa: PLC0415
    from beholder.training.generate import MANIFEST, Generation  # noqa: PLC0415
    from beholder.training.generate import generate as make  # noqa: PLC0415
    from beholder.training.pipeline import Sampling  # noqa: PLC0415

    if processes() > 1:
        raise ConfigError(
            "--generate makes its pictures in one process; run it once without a launcher, or "
            "`beholder generate`, then measure the folder"
        )
    if prompts is None:
        raise ConfigError("--generate draws pictures of --prompts; give them")
    texts = read_prompts(str(prompts))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    driver = load_pipeline(pipeline, {}, place, chosen_dtype("auto", place))
    with terminal.progress(len(texts), "pictures") as advance:
        make(
            driver,
            None,
            texts,
            Sampling(steps=steps),
            Generation(seed=seed),
            folder,
            advance,
            made_by={"pipeline": pipeline},
        )
    return folder / MANIFEST
