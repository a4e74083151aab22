"""What the verbs of the classical metrics tell a person."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from beholder._terminal import one_line, table

if TYPE_CHECKING:
    from beholder._verbs.text_metrics import TextMetric
    from beholder.eval.extraction import Failure
    from beholder.eval.measures._base import Measure, Measurement
    from beholder.eval.measuring import Comparison
    from beholder.eval.sides import SideSummary

_LISTED = 10
_ORIGIN = ("extractor", "weights", "layer", "resize", "decode", "clips")
_WIDTH = 98


def comparison_text(compared: Comparison) -> str:
    """Every number with its interval and protocol, then what became of the rows."""
    header = ["metric", "value", "95 %", "real", "fake"]
    found = compared.measurements
    origins = list(dict.fromkeys(origin for m in found if (origin := _origin(m))))
    lines = [table([_row(m) for m in found], header), ""]
    lines += [line for n, origin in enumerate(origins, 1) for line in _wrapped(f"[{n}] {origin}")]
    lines += [line for m in found for line in _about(m, origins)]
    lines += [line for side in (compared.real, compared.fake) if side for line in _rows_of(side)]
    return "\n".join(lines)


def _row(found: Measurement) -> list[object]:
    return [
        found.metric,
        _number(found.value),
        "" if found.low is None or found.high is None else _interval(found.low, found.high),
        "" if found.real is None else str(found.real),
        "" if found.fake is None else str(found.fake),
    ]


def _number(value: float | None) -> str:
    """Six digits, so that small and large metrics both say enough."""
    return "none" if value is None else f"{value:.6g}"


def _interval(low: float, high: float) -> str:
    return f"[{low:.4g}, {high:.4g}]"


def _origin(found: Measurement) -> str:
    """What made the features of a number, in a line; "" where it has none."""
    given = {key: found.protocol.get(key) for key in _ORIGIN}
    if not given["extractor"]:
        return ""
    network = f"{given.pop('extractor')}, weights {given.pop('weights')}"
    return ", ".join([network, *(f"{key} {value}" for key, value in given.items() if value)])


def _about(found: Measurement, origins: Sequence[str]) -> list[str]:
    """How a number was made, beside its features, which stand above under a number."""
    if found.why:
        return _wrapped(f"{found.metric}: {one_line(found.why)}")
    origin = _origin(found)
    features = [f"features [{origins.index(origin) + 1}]"] if origin else []
    told_above = _ORIGIN if origin else ()
    own = {k: v for k, v in found.protocol.items() if k not in told_above and v not in ("", None)}
    told = [", ".join(features + [f"{key} {value}" for key, value in own.items()])]
    if found.interval:
        told.append(f"interval: {found.interval}")
    plain = {key: value for key, value in found.details.items() if _is_plain(value)}
    told += [f"{key} {_told(value)}" for key, value in plain.items()]
    return _wrapped(f"{found.metric}: {'; '.join(told)}")


def _is_plain(value: object) -> bool:
    """Whether a detail is short enough for people: a number, a word, or a list of words."""
    if isinstance(value, list | tuple):
        return all(isinstance(each, str) for each in value)
    return isinstance(value, str | float | int)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False)


def _told(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _rows_of(side: SideSummary) -> list[str]:
    if side.kind == "reference":
        return [f"{side.source}: a file of features or statistics"]
    lines = [
        f"{side.source}: {side.rows} {side.kind}, {side.used} used, {len(side.failures)} failed, "
        f"{side.cached} were known"
    ]
    lines += [f"  {_failure(each)}" for each in side.failures[:_LISTED]]
    if len(side.failures) > _LISTED:
        lines.append(f"  and {len(side.failures) - _LISTED} more; --json lists all")
    return lines


def _failure(found: Failure) -> str:
    """Why a row failed; most reasons name the file already."""
    reason = one_line(f"{found.code}: {found.reason}")
    return reason if found.key in found.reason else f"{found.key}: {reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCard:
    """What the catalogue says of a metric.

    Attributes:
        title, definition: what it is.
        better: "lower", "higher", or "" if neither.
        of: "pictures" or "videos".
        needs_real: whether it compares with a real side.
        needs_prompts: whether the fake side has to have prompts.
        reads_statistics: whether statistics without features are enough.
        options: with their defaults.
        about: what the options mean, one a line.
    """

    title: str
    definition: str
    better: str
    of: str
    needs_real: bool
    needs_prompts: bool
    reads_statistics: bool
    options: Mapping[str, object]
    about: str = ""


def cards() -> dict[str, MetricCard]:
    """The catalogue, by name."""
    from beholder._verbs.text_metrics import METRICS  # noqa: PLC0415
    from beholder.eval.measures import find, names  # noqa: PLC0415

    features = {name: _of_features(find(name)) for name in names()}
    spoken = {name: _of_texts(metric) for name, metric in METRICS.items()}
    return dict(sorted({**features, **spoken}.items()))


def _of_features(measure: Measure) -> MetricCard:
    options = measure.options()
    doc = (measure.options.__doc__ or "").partition("Attributes:")[2]
    return MetricCard(
        title=measure.title,
        definition=measure.definition,
        better=measure.best,
        of=measure.takes,
        needs_real=measure.has_real,
        needs_prompts=False,
        reads_statistics=measure.from_sums,
        options={field.name: getattr(options, field.name) for field in fields(options)},
        about=textwrap.dedent(doc).strip(),
    )


def _of_texts(metric: TextMetric) -> MetricCard:
    return MetricCard(
        title=metric.title,
        definition=metric.definition,
        better="higher",
        of=metric.takes,
        needs_real=False,
        needs_prompts=True,
        reads_statistics=False,
        options=metric.settings,
        about=f"Every other option is one of the reward {metric.reward}."
        if metric.reward
        else "size: side of the square to which pictures are resized, in pixels.",
    )


def catalogue_text(known: Mapping[str, MetricCard]) -> str:
    """Every metric in a line."""
    rows = [[name, card.of, card.better, card.title] for name, card in known.items()]
    return table(rows, ["metric", "of", "better", "what it is"])


def card_text(name: str, card: MetricCard) -> str:
    """One metric: its definition, and its options with their defaults."""
    needs = [
        "a real side" if card.needs_real else "no real side",
        *(["prompts"] if card.needs_prompts else []),
        *(["statistics are enough"] if card.reads_statistics else []),
    ]
    lines = [f"{name}: {card.title}, of {card.of}; needs {', '.join(needs)}"]
    lines += [*_wrapped(card.definition), ""]
    lines += [f"  --set {name}.{key}={value}" for key, value in card.options.items()]
    return "\n".join([*lines, "", *card.about.splitlines()])
