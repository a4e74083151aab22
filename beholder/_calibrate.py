"""The verb that finds out how far people agree with a reward's margins, and keeps it."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from beholder import _terminal as terminal
from beholder.errors import ConfigError, DataError

if TYPE_CHECKING:
    from beholder.calibration import Calibration, Measured, ScoreCalibration
    from beholder.eval.calibration import Fitting
    from beholder.rewards import Reward
    from beholder.types import Scores

_PICTURES_AT_ONCE = 256  # between two moves of the progress bar


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("calibrate")(calibrate)


def calibrate(
    reward: Annotated[str, typer.Argument(help="What `beholder.load` takes.")],
    judgements: Annotated[Path, typer.Argument(help="A folder of `beholder annotate import`.")],
    method: Annotated[
        Literal["temperature", "isotonic"],
        typer.Option(help="One number, or any rising curve, which needs 200 pairs."),
    ] = "temperature",
    reference: Annotated[
        str,
        typer.Option(
            help="Pictures that a score is compared with; those that were judged if none."
        ),
    ] = "",
    prompts: Annotated[Path | None, typer.Option(help="Of the pictures of --reference.")] = None,
    total_by: Annotated[str, typer.Option(help="The answers that judge the total.")] = "overall",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="A file; calibration.json in the reward's folder if none."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="An HTML file with reliability diagrams to write.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the prompts for honest numbers.")] = 5,
    draws: Annotated[int, typer.Option(min=1, help="How often prompts are redrawn.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of folds and draws.")] = 0,
    setting: Annotated[
        list[str],
        typer.Option("--set", metavar="REWARD.OPTION=VALUE", help="An option of the reward."),
    ] = [],  # noqa: B006  (typer reads it once)
    device: Annotated[
        str | None, typer.Option(help="Where the model runs, such as cuda or cpu.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """How likely people agree with a reward's margins: probabilities, ties, and how right they are.

    Kept beside the weights as calibration.json, where `score`, `filter` and DPO find it. Of a
    published reward give --out FILE, and load it with --set REWARD.calibration=FILE.

    Example: beholder calibrate runs/my-reward judgements/ --report calibration.html
    """
    from beholder.eval.calibration import Fitting  # noqa: PLC0415

    place = _place(reward, out)
    ((name, model),) = terminal.named_rewards([reward], setting, device).items()
    fitting = Fitting(method=method, total_by=total_by, folds=folds, draws=draws, seed=seed)
    found = _found(model, judgements, fitting, _pictures(model, reference, prompts))
    if reference:
        found = replace(found, reference=f"{found.reference} of {reference}")
    found = _kept(model, found, place)
    if report is not None:
        from beholder.eval.calibration_page import write_calibration_page  # noqa: PLC0415

        line = shlex.join(["beholder", *sys.argv[1:]])
        write_calibration_page(found, report, name=name, commands=[line])
    if json:
        terminal.emit({"reward": name, "file": str(place), **numbers(found)})
    else:
        terminal.say(calibration_text(name, found))
        terminal.say(f"\n{place}")


def _place(reward: str, out: Path | None) -> Path:
    """Where the calibration goes; ConfigError for a reward without a folder of its own."""
    from beholder.calibration import FILE  # noqa: PLC0415

    folder = Path(terminal.split_spec(reward)[1])
    if out is not None:
        return out
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{reward!r} is no folder that keeps its calibration; give --out FILE")
    return folder / FILE


def _pictures(model: Reward, reference: str, prompts: Path | None) -> Scores | None:
    """Scores of the pictures of a reference set; None if there is none."""
    from beholder.inputs import read_inputs  # noqa: PLC0415
    from beholder.types import Scores  # noqa: PLC0415

    if not reference:
        if prompts is not None:
            raise ConfigError("--prompts are those of the pictures of --reference; name them")
        return None
    rows = read_inputs(reference, prompts)
    if model.card.needs_prompt and not rows.has_prompts:
        raise DataError(f"the reward needs prompts, but {reference} has none; give --prompts")
    parts = []
    pictures = (row for row in rows if row.image is not None)
    with terminal.progress(len(rows), "pictures") as advance:
        while some := list(islice(pictures, _PICTURES_AT_ONCE)):
            images = [row.image for row in some if row.image is not None]
            scores = model.score(images, [row.prompt or "" for row in some])
            parts.append(replace(scores, maps={}, words=()))
            advance(len(some))
    return Scores.concatenate(parts)


def _found(
    model: Reward, judgements: Path, fitting: Fitting, reference: Scores | None
) -> Calibration:
    """The calibration on a folder of judgements."""
    from beholder.annotation.records.dataset import read_preferences  # noqa: PLC0415
    from beholder.eval.calibration import calibrate as fit  # noqa: PLC0415
    from beholder.eval.preference import count_pictures, score_pairs  # noqa: PLC0415

    said = read_preferences(judgements)
    with terminal.progress(count_pictures(said), "pictures") as advance:
        judged = score_pairs(model, said, progress=advance)
    return replace(fit(judged, fitting, reference=reference), judgements=str(judgements))


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
    return "\n".join(lines)


def _ranged(found: Measured) -> str:
    return terminal.interval(found.value, found.low, found.high)


def _ties(found: ScoreCalibration) -> tuple[str, float, str, str]:
    from beholder.eval.calibration_page import curve_text  # noqa: PLC0415

    plain, aware = found.plain_accuracy, found.tie_accuracy
    return curve_text(found), found.curve.tie_threshold, _ranged(aware), _ranged(plain)
