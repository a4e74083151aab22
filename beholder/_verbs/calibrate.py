"""The verb that finds out how far people agree with a reward's margins, and keeps it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from beholder import _terminal as terminal
from beholder.errors import ConfigError, DataError

if TYPE_CHECKING:
    from beholder.calibration import Calibration, Measured, ScoreCalibration
    from beholder.eval.calibration import Fitting
    from beholder.inputs import Inputs, Row
    from beholder.rewards import Reward
    from beholder.types import Preference

_PICTURES_AT_ONCE = 256  # between two moves of the progress bar
_NAMED = 5
"""Pictures without a score that are named; all are counted."""
_OF_LOADING = {"calibration", "device", "dtype"}
"""What `beholder.load` takes that is no option of a reward."""


Method = Annotated[
    Literal["temperature", "isotonic"],
    typer.Option(help="One number, or any rising curve, which needs 200 pairs."),
]
Reference = Annotated[
    str,
    typer.Option(help="Pictures that a score is compared with; those that were judged if none."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="A file; calibration.json in the reward's folder if none."),
]
Page = Annotated[
    Path | None, typer.Option("--report", help="An HTML file with reliability diagrams to write.")
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="REWARD.OPTION=VALUE", help="An option of the reward."),
]
Device = Annotated[str | None, typer.Option(help="Where the model runs, such as cuda or cpu.")]
Dtype = Annotated[
    str | None,
    typer.Option(help="fp32, bf16 or fp16, as it will score; as the weights are if none."),
]


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("calibrate")(calibrate)


def calibrate(
    reward: Annotated[str, typer.Argument(help="What `beholder.load` takes.")],
    judgements: Annotated[Path, typer.Argument(help="A folder of `beholder annotate import`.")],
    method: Method = "temperature",
    reference: Reference = "",
    prompts: Annotated[Path | None, typer.Option(help="Of the pictures of --reference.")] = None,
    total_by: Annotated[str, typer.Option(help="The answers that judge the total.")] = "overall",
    out: Out = None,
    report: Page = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the prompts for honest numbers.")] = 5,
    draws: Annotated[int, typer.Option(min=1, help="How often prompts are redrawn.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of folds and draws.")] = 0,
    setting: Settings = [],  # noqa: B006  (typer reads it once)
    device: Device = None,
    dtype: Dtype = None,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """How likely people agree with a reward's margins: probabilities, ties, and how right they are.

    Kept beside the weights as calibration.json, where `score`, `filter` and DPO find it. Of a
    published reward, or with --set or --dtype, give --out FILE and load it with
    --set REWARD.calibration=FILE. The judgements should not be those that it was trained on.
    Exits with 3 if a picture has no score.

    Example: beholder calibrate runs/my-reward held-out/ --report calibration.html
    """
    from beholder.eval.calibration import Fitting  # noqa: PLC0415

    place = _place(reward, out, setting, dtype)
    fitting = Fitting(method=method, total_by=total_by, folds=folds, draws=draws, seed=seed)
    said = _judgements(judgements, fitting, reward)
    rows = _rows(reference, prompts)
    ((name, model),) = terminal.named_rewards([reward], setting, device, dtype).items()
    if rows is not None and model.card.needs_prompt and not rows.has_prompts:
        raise DataError(f"the reward needs prompts, but {reference} has none; give --prompts")
    found = _found(model, said, fitting, _named_data(judgements, said))
    if rows is not None:
        found = _compared(model, found, rows, _last_part(reference))
    found = _kept(model, found, place)
    if report is not None:
        _write_page(found, report, name)
    if json:
        terminal.emit({"reward": name, "file": str(place), **numbers(found)})
    else:
        terminal.say(calibration_text(name, found))
        terminal.say(f"\n{place}")
    if found.pairs_left_out or found.reference_left_out:
        raise typer.Exit(terminal.SOME_ROWS_FAILED)


def _write_page(found: Calibration, report: Path, name: str) -> None:
    from beholder.eval.calibration_page import write_calibration_page  # noqa: PLC0415

    line = shlex.join(["beholder", *sys.argv[1:]])
    write_calibration_page(found, report, name=name, commands=[line])


def _place(reward: str, out: Path | None, setting: Sequence[str], dtype: str | None) -> Path:
    """Where the calibration goes.

    ConfigError for a reward without a folder of its own, or one that is not loaded as its folder
    says: there the calibration would be another's.
    """
    from beholder.calibration import FILE  # noqa: PLC0415

    if out is not None:
        return out
    column, spec = terminal.split_spec(reward)
    config = Path(spec) / "config.json"
    if not config.is_file():
        raise ConfigError(f"{reward!r} is no folder that keeps its calibration; give --out FILE")
    saved = _mapping(config).get("options") or {}
    given = terminal.split_settings(setting, [column]).get(column, {})
    other = [k for k, value in given.items() if k not in _OF_LOADING and saved.get(k) != value]
    other = [f"--set {column}.{option}" for option in other]
    other += [f"--dtype {dtype}"] if dtype not in (None, "fp32") else []
    if other:
        raise ConfigError(
            f"{' and '.join(other)} make another reward than {spec} keeps, so its folder cannot "
            "keep the calibration; give --out FILE"
        )
    return config.with_name(FILE)


def _mapping(path: Path) -> Mapping[str, Any]:
    """What a JSON or YAML file holds; nothing if it is no mapping or cannot be read."""
    import yaml  # noqa: PLC0415

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _judgements(folder: Path, fitting: Fitting, reward: str) -> list[Preference]:
    """What people said; refused before any picture is scored if it cannot suffice."""
    from beholder.annotation.records.dataset import read_preferences  # noqa: PLC0415
    from beholder.eval.calibration import check_judgements  # noqa: PLC0415

    said = read_preferences(folder)
    check_judgements(said, fitting)
    if folder.resolve() in _trained_on(Path(terminal.split_spec(reward)[1])):
        terminal.note(
            f"warning: the reward was trained on {folder}, where it is surer than on anything "
            "new; calibrate on pairs that it did not learn from"
        )
    return said


def _trained_on(run: Path) -> set[Path]:
    """The folders of preferences in the `config.yaml` of a training run."""
    config = _mapping(run / "config.yaml")
    mix = config.get("mix")
    parts = mix.values() if isinstance(mix, dict) else []
    sources = [config, *(part for part in parts if isinstance(part, dict))]
    named = (source.get("preferences") for source in sources)
    return {Path(each).resolve() for each in named if isinstance(each, str) and each}


def _rows(reference: str, prompts: Path | None) -> Inputs | None:
    """The pictures of a reference set; None if there is none."""
    from beholder.inputs import read_inputs  # noqa: PLC0415

    if reference:
        return read_inputs(reference, prompts)
    if prompts is not None:
        raise ConfigError("--prompts are those of the pictures of --reference; name them")
    return None


def _found(
    model: Reward, said: Sequence[Preference], fitting: Fitting, judgements: str
) -> Calibration:
    """The calibration on what people said; pictures without a score are named."""
    from beholder.eval.calibration import calibrate as fit  # noqa: PLC0415
    from beholder.eval.preference import count_pictures, score_pairs  # noqa: PLC0415

    with terminal.progress(count_pictures(said), "pictures") as advance:
        judged = score_pairs(model, said, progress=advance)
    _name_faults(judged.unreadable())
    return replace(fit(judged, fitting), judgements=judgements)


def _compared(model: Reward, found: Calibration, rows: Inputs, reference: str) -> Calibration:
    """The calibration with the pictures of a reference set."""
    from beholder.eval.calibration import with_reference  # noqa: PLC0415
    from beholder.types import Scores  # noqa: PLC0415

    parts: list[Scores] = []
    faults: dict[str, str] = {}
    absent = 0
    with terminal.progress(len(rows), "pictures") as advance:
        for some in _batches(rows):
            there = [(row, row.image) for row in some if row.image is not None]
            absent += len(some) - len(there)
            scores = model.score([image for _, image in there], [r.prompt or "" for r, _ in there])
            parts.append(replace(scores, maps={}, words=()))
            faults |= {there[k][0].key: why for k, why in scores.errors.items()}
            advance(len(some))
    _name_faults(faults)
    found = with_reference(found, Scores.concatenate(parts))
    if absent:
        missing = {**found.reference_left_out, "no-picture": absent}
        found = replace(found, reference_left_out=missing)
    return replace(found, reference=f"{found.reference} of {reference}")


def _batches(rows: Inputs) -> Iterator[list[Row]]:
    left = iter(rows)
    while some := list(islice(left, _PICTURES_AT_ONCE)):
        yield some


def _name_faults(faults: Mapping[str, str]) -> None:
    """A line on standard error for each of a few pictures without a score."""
    for picture, why in islice(faults.items(), _NAMED):
        terminal.note(f"{picture} has no score: {why}")
    if len(faults) > _NAMED:
        terminal.note(f"… and {len(faults) - _NAMED} more")


def _named_data(folder: Path, said: Sequence[Preference]) -> str:
    """The judgements by name and hash, which say nothing of the machine."""
    from beholder.eval.evaluation_record import pairs_hash  # noqa: PLC0415

    return f"{_last_part(folder)}, pairs {pairs_hash(said)}"


def _last_part(path: str | Path) -> str:
    return Path(os.path.abspath(path)).name  # noqa: PTH100  (a glob is no path to resolve)


def _kept(model: Reward, found: Calibration, place: Path) -> Calibration:
    """The calibration, bound to the reward and written."""
    from beholder.rewards._calibration import owned, write_calibration  # noqa: PLC0415

    bound = owned(model, found)
    write_calibration(bound, place)
    return bound


def numbers(found: Calibration) -> dict[str, object]:
    """What `calibration.json` holds, without bins and reference set."""
    told = asdict(found)
    for score in told["scores"].values():
        score["reference"] = len(score["reference"])
        for when in ("before", "after"):
            del score[when]["bins"]
    return told


def calibration_text(name: str, found: Calibration) -> str:
    """A table of every score before and after, and what was left out."""
    total = found.scores["total"]
    head = (
        f"{name}: {found.method} on {total.pairs:,} pairs of {total.prompts:,} prompts; 95 % "
        f"intervals over prompts; after: {found.folds} folds, each fitted on the others"
    )
    header = ("score", "pairs", "error before", "after", "log-loss before", "after", "gain")
    rows = [
        (
            score,
            each.pairs,
            *map(_ranged, (each.before.ece, each.after.ece)),
            *map(_ranged, (each.before.log_loss, each.after.log_loss, each.log_loss_gain)),
        )
        for score, each in found.scores.items()
    ]
    ties = [(score, *_ties(each)) for score, each in found.scores.items()]
    tie_header = ("score", "curve", "tie if |2P-1| <=", "accuracy with ties", "without")
    lines = [head, "", terminal.table(rows, header), "", terminal.table(ties, tie_header)]
    lines += [f"left out: {aspect}: {why}" for aspect, why in found.left_out.items()]
    lines += _missing(found)
    return "\n".join(lines)


def _missing(found: Calibration) -> Iterator[str]:
    """What pictures without a score cost."""
    if found.pairs_left_out:
        yield (
            f"left out: {found.pairs_left_out:,} pairs with a picture without a score "
            f"({_counted(found.unreadable)})"
        )
    if found.reference_left_out:
        yield f"without a score in the reference set: {_counted(found.reference_left_out)}"


def _counted(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {code}" for code, count in codes.items())


def _ranged(found: Measured) -> str:
    return terminal.interval(found.value, found.low, found.high)


def _ties(found: ScoreCalibration) -> tuple[str, float, str, str]:
    from beholder.eval.calibration_page import curve_text  # noqa: PLC0415

    plain, aware = found.plain_accuracy, found.tie_accuracy
    return curve_text(found), found.curve.tie_threshold, _ranged(aware), _ranged(plain)
