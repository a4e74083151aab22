"""Numbers, tables and pictures for dashboards: TensorBoard, or wandb where it is installed.

What is sent is said by `track`; a dashboard is named as "tensorboard:FOLDER" or "wandb:PROJECT".
Names of numbers are room/name, such as "rank/mps.total/mean/sd15".
"""

from __future__ import annotations

import importlib
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beholder.errors import BeholderError, ConfigError, ImageError, MissingDependencyError
from beholder.images import ImageSource, read_images

if TYPE_CHECKING:
    from torch import Tensor

    from beholder.eval.filtering import FilterSummary
    from beholder.eval.leaderboard import Leaderboard
    from beholder.eval.measures._base import Measurement

_LOG = logging.getLogger(__name__)

Table = tuple[Sequence[str], Sequence[Sequence[object]]]
"""Names of the columns, and the rows."""


def track(
    spec: str,
    values: Mapping[str, float],
    *,
    step: int | None = None,
    tables: Mapping[str, Table] | None = None,
    pictures: Mapping[str, ImageSource] | None = None,
) -> str:
    """Send numbers to a dashboard; gives a line that says where they are.

    Numbers that are not finite are left out. Pictures that cannot be read are left out and named in
    the log.

    Args:
        spec: "tensorboard:FOLDER"; or "wandb:PROJECT" or "wandb:ENTITY/PROJECT", which WANDB_MODE
            and WANDB_DIR steer as usual.
        values: by name.
        step: on the axis of training steps; None is 0.
        tables: by name.
        pictures: by name, as `beholder.images` reads them.

    Raises:
        ConfigError, MissingDependencyError: as of `check_place`.
        BeholderError: if wandb refuses.
    """
    kind, place = check_place(spec)
    finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
    return _DASHBOARDS[kind](place, step or 0, finite, tables or {}, _read(pictures or {}))


def check_place(spec: str) -> tuple[str, str]:
    """Kind and place of a dashboard; to be asked before work that takes long.

    Raises:
        ConfigError: if the spec names no dashboard that is known, or a file.
        MissingDependencyError: if wandb is asked for and is not installed.
    """
    kind, sign, place = spec.partition(":")
    if not sign or not place or kind not in _DASHBOARDS:
        raise ConfigError(
            f"no dashboard at {spec!r}; give tensorboard:FOLDER, wandb:PROJECT or "
            "wandb:ENTITY/PROJECT"
        )
    if kind == "wandb":
        _imported_wandb()
    elif Path(place).is_file():
        raise ConfigError(f"{spec} is a file; give a folder for TensorBoard's own")
    return kind, place


def leaderboard_values(board: Leaderboard) -> dict[str, float]:
    """Mean, win rate and strength of every checkpoint under each score, and in each category."""
    told = {}
    for category, rankings in {"": board.rankings, **board.categories}.items():
        for score, ranking in rankings.items():
            room = "/".join(filter(None, ("rank", score, category)))
            for one in ranking.standings:
                told[f"{room}/mean/{one.name}"] = one.mean
                told[f"{room}/win_rate/{one.name}"] = one.win_rate
                told[f"{room}/strength/{one.name}"] = one.strength
    return told


def leaderboard_tables(board: Leaderboard) -> dict[str, Table]:
    """The ranking by each score, best first, with intervals and groups not told apart."""
    header = ("checkpoint", "group", "mean", "low", "high", "win rate", "strength", "prompts")
    told: dict[str, Table] = {}
    for score, ranking in board.rankings.items():
        group = {n: k for k, tier in enumerate(board.tiers.get(score, ()), 1) for n in tier}
        rows = [
            (
                one.name,
                group.get(one.name, ""),
                one.mean,
                one.mean_interval.low,
                one.mean_interval.high,
                one.win_rate,
                one.strength,
                one.prompts,
            )
            for one in ranking.standings
        ]
        told[f"rank/{score}"] = (header, rows)
    return told


def filter_values(summary: FilterSummary) -> dict[str, float]:
    """Counts of a filter, and the share that it kept."""
    return {
        "filter/rows": summary.rows,
        "filter/kept": summary.kept,
        "filter/dropped": summary.dropped,
        "filter/kept_share": summary.kept / summary.rows if summary.rows else math.nan,
        "filter/pictures_missing": summary.pictures_missing,
    }


def filter_tables(summary: FilterSummary) -> dict[str, Table]:
    """Why rows were dropped, the most frequent reason first."""
    rows = sorted(summary.reasons.items(), key=lambda reason: -reason[1])
    return {"filter/reasons": (("reason", "rows"), rows)}


def measurement_values(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Values of metrics with the ends of their intervals; one without a value is left out."""
    told: dict[str, float] = {}
    for one in measurements:
        ends = {"": one.value, "/low": one.low, "/high": one.high}
        told |= {f"measure/{one.metric}{e}": v for e, v in ends.items() if v is not None}
    return told


def _tags(names: Iterable[str]) -> Iterator[str]:
    """Names as TensorBoard takes them, letters of any script; equal ones get a number."""
    taken: set[str] = set()
    for name in names:
        tag = plain = re.sub(r"[^\w./-]+", "_", name)
        count = 1
        while tag in taken:
            count += 1
            tag = f"{plain}_{count}"
        taken.add(tag)
        yield tag


def _read(pictures: Mapping[str, ImageSource]) -> dict[str, Tensor]:
    """Pixels (3, h, w), uint8, of those pictures that can be read."""
    found = {}
    for name, picture in zip(pictures, read_images(list(pictures.values())), strict=True):
        if isinstance(picture, ImageError):
            _LOG.warning("picture %s is left out: %s", name, picture)
        else:
            found[name] = picture
    return found


def _tensorboard(
    folder: str,
    step: int,
    values: Mapping[str, float],
    tables: Mapping[str, Table],
    pictures: Mapping[str, Tensor],
) -> str:
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (costs a second)

    with SummaryWriter(folder) as writer:
        for tag, value in zip(_tags(values), values.values(), strict=True):
            writer.add_scalar(tag, value, step)
        for tag, table in zip(_tags(tables), tables.values(), strict=True):
            writer.add_text(tag, _markdown(table), step)
        for tag, pixels in zip(_tags(pictures), pictures.values(), strict=True):
            writer.add_image(tag, pixels, step)
    return f"{folder}: tensorboard --logdir {folder}"


def _markdown(table: Table) -> str:
    header, rows = table
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "\\|").split())


def _wandb(
    project: str,
    step: int,
    values: Mapping[str, float],
    tables: Mapping[str, Table],
    pictures: Mapping[str, Tensor],
) -> str:
    wandb = _imported_wandb()
    entity, _, name = project.rpartition("/")
    try:
        run = wandb.init(project=name, entity=entity or None, job_type="beholder")
        told: dict[str, Any] = dict(values)
        for key, (header, rows) in tables.items():
            data = [[_plain(cell) for cell in row] for row in rows]
            told[key] = wandb.Table(columns=list(header), data=data)
        for key, pixels in pictures.items():
            told[key] = wandb.Image(pixels.permute(1, 2, 0).numpy())
        run.log(told, step=step)
        run.finish()
    except wandb.Error as error:
        raise BeholderError(
            f"wandb refused: {error}; log in with `wandb login`, or set WANDB_MODE=offline"
        ) from error
    return f"wandb project {project}, run {run.name or run.id}"


def _plain(cell: object) -> object:
    """A cell with None for a number that is not finite."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _imported_wandb() -> Any:
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise MissingDependencyError(
            "sending numbers to wandb needs its package: pip install wandb"
        ) from error


_DASHBOARDS = {"tensorboard": _tensorboard, "wandb": _wandb}
