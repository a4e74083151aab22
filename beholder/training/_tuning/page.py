"""The report of a tuning as one HTML page: what it gained, what it may have lost, what it made."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from beholder._page.curves import Guide, Series, curve, short
from beholder._page.document import Figure, Page, render_page, write_whole
from beholder._page.thumbnails import Missing, Thumbnail, thumbnail
from beholder._page.wording import number
from beholder.training._tuning.record import (
    DENOISING,
    GAP,
    HELD_OUT,
    REWARD,
    Record,
    read_record,
)
from beholder.training._tuning.samples import chosen_steps, read_sample_prompts, read_samples
from beholder.training._tuning.telling import (
    SIGMA,
    doubts,
    methods,
    protocol,
    summary,
    title,
    use_lines,
)

MOST_COLUMNS, MOST_ROWS = 6, 12
"""Of the grid of samples: 72 thumbnails make about 2 MB."""

MOST_EVALUATIONS = 60
"""In the table of exact figures."""

_TEMPLATES = Path(__file__).parent / "templates"
_LEARNED, _WATCHED = "learned reward", "held-out reward"
_GAP, _LOSS, _BEST = "gap", "denoising loss", "best step"
_TONES = (_LEARNED, _WATCHED, _GAP, _LOSS, _BEST)
_NAMES = {
    "reward/mean": "Reward of the pictures learned from",
    "eval/failed": "Share of pictures without a score",
}
_SHOWN = {REWARD, HELD_OUT, GAP, DENOISING, "reward/std"}


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot with its heading; `tone` names what gives the colour, `about` explains it."""

    name: str
    tone: str
    plot: Markup
    about: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A sample after a step."""

    step: int
    drawn: Thumbnail | Missing


@dataclass(frozen=True, slots=True)
class Row:
    """The samples of a prompt."""

    prompt: str
    cells: Sequence[Cell]


def write_run_report(folder: Path) -> Path:
    """The path of `report.html` in a run's folder, written whole from what the folder holds.

    It may be written while the run goes on and of a run of another machine. What is missing is
    left out. Raises ConfigError if the folder is not one of a tuning.
    """
    record = read_record(folder)
    samples = sample_rows(folder, record.best_step)
    values = {
        "rewards": [panel for panel in reward_panels(record) if panel.plot],
        "evaluations": evaluations(record),
        "samples": samples,
        "shape": shape(samples),
        "learning": list(learning_panels(record)),
        "checks": record.checks,
        "use": use_lines(record, str(folder)) if record.is_finished else (),
        "best": record.best_step,
        "finished": record.is_finished,
        "watched": record.is_watched,
        "short": short,
    }
    html = render_page(frame(record, values), _TEMPLATES, _TONES, values)
    return write_whole(folder / "report.html", html)


def frame(record: Record, values: Mapping[str, object]) -> Page:
    """The masthead and the sections; one whose values are empty is left out."""
    headings = {
        "rewards": "What it gained",
        "samples": "What it makes",
        "learning": "How it learned",
        "checks": "Self-test",
        "use": "Use it",
    }
    folder = str(record.folder)
    config = shlex.quote(str(record.folder / "config.yaml"))
    return Page(
        brand="Beholder tuning",
        title=title(record),
        summary=summary(record),
        notice=" ".join([*doubts(record), str(record.judged.get("notice", ""))]).strip(),
        figures=list(figures(record)),
        figures_are="Changes at the best step",
        protocol=protocol(record),
        sections={name: heading for name, heading in headings.items() if values.get(name)},
        commands=[f"beholder tune {config} {shlex.quote(f'run={folder}')}"],
        methods=methods(record),
        style="tuning.css",
    )


def figures(record: Record) -> Iterator[Figure]:
    """What a judge says, if one was asked, and the changes at the best step, in large."""
    if (judged := record.judged) and "win_rate" in judged:
        value, low, high = (number(100 * judged[key], 0) for key in ("win_rate", "low", "high"))
        name = f"Preferred by {judged['judge']}"
        unit = "\N{NO-BREAK SPACE}%"
        aside = f"{low} to {high}, {judged['pictures']} pairs"
        yield Figure(name=name, value=value, unit=unit, aside=aside)
    for name, key in ((_LEARNED, REWARD), (_WATCHED, HELD_OUT)):
        if record.points(key):
            change = record.change(key)
            aside = f"{short(change.before)} → {short(change.after)}"
            yield Figure(name=name, value=signed(change.gain), unit=SIGMA, aside=aside)
    if gaps := record.gaps():
        aside = "learned less held out"
        gap = signed(record.at_best(gaps))
        yield Figure(name=_GAP, value=gap, unit=SIGMA, aside=aside)
    if record.points(DENOISING):
        change = record.change(DENOISING)
        aside = f"{short(change.before)} → {short(change.after)}"
        share = signed(100 * change.share, 1)
        yield Figure(name=_LOSS, value=share, unit="\N{NO-BREAK SPACE}%", aside=aside)
    if record.best_step is not None:
        aside = f"of {record.step} so far"
        if record.is_finished:
            aside = f"of {record.step}, stopped early" if record.is_stopped else f"of {record.step}"
        yield Figure(name=_BEST, value=str(record.best_step), aside=aside)


def signed(value: float, digits: int = 2) -> str:
    """A change with its sign; an en dash if it is not known."""
    text = number(value, digits)
    return f"+{text}" if value > 0 and float(text) != 0 else text


def reward_panels(record: Record) -> Iterator[Panel]:
    """Gains of both rewards, the gap, the denoising loss."""
    guide = _guide(record)
    lines = [
        Series(name=name, points=record.gains(key), tone=tone, marked=True)
        for name, key, tone in (("learned", REWARD, "tone-0"), ("held out", HELD_OUT, "tone-1"))
    ]
    gains = curve(lines, "Gain in base standard deviations", guide=guide, level=0.0, height=260)
    yield Panel(f"Gain of the reward, in{SIGMA}", "", gains)
    gap = [Series(name="gap", points=record.gaps(), tone="tone-2", marked=True)]
    plot = curve(gap, "Gap in base standard deviations", guide=guide, level=0.0)
    yield Panel(
        f"Gap, in{SIGMA}", _GAP, plot, "Learned less held out. It grows where the reward is fooled."
    )
    points = record.points(DENOISING)
    loss = [Series(name="denoising loss", points=points, tone="tone-3", marked=True)]
    plot = curve(loss, "Denoising loss", guide=guide, level=points[0][1] if points else None)
    yield Panel(
        "Denoising loss", _LOSS, plot, "How well the pipeline still knows its own pictures."
    )


def learning_panels(record: Record) -> Iterator[Panel]:
    """Every other number of the run over its steps, the reward and the distance first."""
    others = [key for key in record.metrics() if _is_of_learning(key, record)]
    for key in sorted(others, key=_place):
        spread = [y for _, y in record.points("reward/std")] if key == "reward/mean" else []
        points = record.points(key)
        line = Series(
            name=key,
            points=points,
            spread=spread if len(spread) == len(points) else (),
            tone="tone-4",
        )
        if plot := curve([line], key, guide=_guide(record)):
            about = "Band: one standard deviation of the pictures of a step." if line.spread else ""
            yield Panel(_heading(key), _BEST, plot, about)


def _is_of_learning(key: str, record: Record) -> bool:
    """Whether a number is worth a plot of its own: not shown above, and not the same all along."""
    if key in _SHOWN or key.startswith("time/") or key.endswith("_gain"):
        return False
    return len({value for _, value in record.points(key)}) > 1


def _place(key: str) -> tuple[bool, bool, bool]:
    """Rewards first, then distances to the base model, then losses, then the rest."""
    return not key.startswith("reward/"), not _is_distance(key), key != "train/loss"


def _is_distance(key: str) -> bool:
    return "kl" in key.split("/")


def _heading(key: str) -> str:
    if _is_distance(key):
        return "Distance to the base model"
    room, _, name = key.rpartition("/")
    return _NAMES.get(key, f"{name.replace('_', ' ')}, {room}".removesuffix(", train"))


def _guide(record: Record) -> Guide | None:
    best = record.best_step
    if best is None:
        return None
    return Guide(best, f"kept: step {best}" if record.is_finished else f"best: step {best}")


def evaluations(record: Record) -> list[Mapping[str, float]]:
    """The evaluations as rows of a table, at most `MOST_EVALUATIONS`, evenly chosen."""
    keys = {
        "reward": record.points(REWARD),
        "held_out": record.points(HELD_OUT),
        "gain": record.gains(REWARD),
        "held_out_gain": record.gains(HELD_OUT),
        "gap": record.gaps(),
        "denoising": record.points(DENOISING),
    }
    columns = {name: dict(points) for name, points in keys.items()}
    steps = [int(step) for step, _ in keys["reward"]]
    shown = chosen_steps(steps, record.best_step, MOST_EVALUATIONS)
    return [
        {"step": step, **{name: column.get(step, math.nan) for name, column in columns.items()}}
        for step in shown
    ]


def sample_rows(folder: Path, best: int | None) -> list[Row]:
    """The samples of the first prompts over the first, the best, the last and other steps."""
    samples = read_samples(folder)
    prompts = read_sample_prompts(folder)
    steps = chosen_steps(list(samples), best, MOST_COLUMNS)
    count = min(len(samples[steps[0]]), MOST_ROWS) if steps else 0
    return [
        Row(
            prompts[row] if row < len(prompts) else "",
            [Cell(step, thumbnail(samples[step][row])) for step in steps],
        )
        for row in range(count)
    ]


def shape(rows: Sequence[Row]) -> float:
    """Width / height of the samples; 1 if none can be read."""
    drawn = (cell.drawn for row in rows for cell in row.cells)
    first = next((found for found in drawn if isinstance(found, Thumbnail)), None)
    return first.width / first.height if first else 1.0
