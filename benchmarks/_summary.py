"""Results as a page of Markdown, and the few of them that the README shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks._record import Row
from benchmarks._results import Change, Results, changes

BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
_HEADER = ("area", "what", "against", "ratio [range]", "goal", "last", "results")


def page(now: Results, before: Results | None) -> str:
    """All ratios beside the last committed ones, what is missing, and what it took."""
    found = list(changes(now, before))
    since = f"the last committed ones, of {before.date}" if before else "nothing: the first ones"
    listed = ", ".join(f"{name} {number}" for name, number in now.versions.items())
    parts = [
        f"# Benchmarks, {now.date}",
        f"{now.machine}\n\n{listed}",
        "A ratio is what the other side needs over what beholder needs, of the same work in the "
        "same round: 2 is twice as fast. ↓ marks those where less is better. Median and range of "
        f"the rounds. Compared with {since}.",
        _table(_HEADER, [_cells(change) for change in found]),
        _untold(now),
        _table(("benchmark", "arguments", "date", "minutes"), list(_efforts(now))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def readme_table(now: Results, file: str) -> str:
    """The headlines; `file` is the page of all results, from the README."""
    rows = [
        [row.what, row.against, f"{_ratio(row)}{_measure(row)}"]
        for row in now.ratios
        if row.headline
    ]
    told = _table(("what", "beside", "how many times as good: median [range]"), rows)
    return (
        f"{told}\n\nRatios of one machine ({now.machine}), both sides in the same round; "
        f"[all of them, with versions]({file}). `make bench` measures them anew.\n"
    )


def with_table(text: str, table: str) -> str:
    """A README with the table between its two markers; SystemExit if they are not there."""
    head, begun, rest = text.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not begun or not ended:
        raise SystemExit(f"the README has no {BEGIN} … {END} to write the table between")
    return f"{head}{BEGIN}\n{table}{END}{tail}"


def rewrite(readme: Path, now: Results, file: Path) -> None:
    """Put the table of results, whose page is `file`, into a README."""
    place = file.relative_to(readme.parent).as_posix()
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_table(text, readme_table(now, place)), encoding="utf-8")


def regressions(now: Results, before: Results | None) -> list[Change]:
    """What got worse or lost."""
    return [one for one in changes(now, before) if one.verdict in {"worse", "lost"}]


def told(change: Change) -> str:
    """A change in one line."""
    row = change.now or change.before
    assert row is not None
    before = f"{change.before.ratio.told()} before" if change.before else "not measured before"
    now = change.now.ratio.told() if change.now else "none now"
    return f"{change.verdict}: {row.area}, {row.what}, against {row.against}: {now}, {before}"


def _cells(change: Change) -> list[str]:
    row = change.now or change.before
    assert row is not None
    now = _ratio(change.now) + _measure(row) if change.now else "-"
    against = f"{row.against} ({row.peer})" if row.peer else row.against
    return [row.area, row.what, against, now, _goal(row), _last(change), row.agreement]


def _ratio(row: Row) -> str:
    return _range(row) + (" ↓" if row.better == "lower" else "")


def _range(row: Row) -> str:
    return row.ratio.told(2 if row.ratio.median < 20 else 0)


def _measure(row: Row) -> str:
    return "" if row.unit == "CPU time" else f" {row.unit}"


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    sign = "≥" if row.better == "higher" else "≤"
    return f"{sign} {row.goal:g}" + ("" if row.reaches_goal else ", **missed**")


def _last(change: Change) -> str:
    if change.before is None or change.now is None:
        return f"**{change.verdict}**" if change.verdict == "lost" else change.verdict
    before, now = change.before.ratio, change.now.ratio
    moved = f", {100 * (now.median / before.median - 1):+.0f} %" if before.median else ""
    word = f", **{change.verdict}**" if change.verdict else ""
    return f"{_range(change.before)}{moved}{word}"


def _untold(now: Results) -> str:
    """Benchmarks that failed, and comparisons that could not be made."""
    lines = [f"- {ran.name} failed: {ran.failure}" for ran in now.benchmarks if ran.failure]
    for ran in now.benchmarks:
        lines += [f"- not measured: {one.area}, {one.what}: {one.reason}" for one in ran.missing]
    return "\n".join(lines)


def _efforts(now: Results) -> Iterator[list[str]]:
    for ran in now.benchmarks:
        arguments = f"`{' '.join(ran.arguments)}`" if ran.arguments else ""
        yield [ran.name, arguments, ran.date, f"{ran.minutes:.1f}"]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["|".join(("", *(f" {cell.replace('|', '¦')} " for cell in row), "")) for row in rows]
    first = "|".join(("", *(f" {name} " for name in header), ""))
    return "\n".join((first, "|" + "---|" * len(header), *lines))
