"""A slow judge labels pairs once, from scores that a table holds; a fast head learns them.

`distill(ScoreTable("scores"), Labelling(judges=("vlm",)))` gives pairs; `write_distilled` writes
them as a folder that `train_reward` takes; `fidelity` says how well a student imitates its judge.
Distilling a large scorer of pictures into a small one follows Hinton et al. (2015): it learns the
judge's probabilities and not only its choices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from beholder.annotation.records.dataset import write_preferences
from beholder.calibration import Curve, certainty
from beholder.errors import ConfigError, DataError
from beholder.eval.evaluation_record import pairs_hash
from beholder.eval.preference import Evaluation, PictureScorer, evaluate
from beholder.eval.win_columns import table_calibrations
from beholder.tables import ScoreTable
from beholder.training._distill.columns import Group, Read, judging_columns, read_groups
from beholder.training._distill.pairing import (
    Floats,
    all_pairs,
    is_swapped,
    joint_probability,
    most_telling,
    spread,
    sureness,
)
from beholder.training.fit.learner import require
from beholder.training.judged.prompts import split_by_prompt
from beholder.training.run_folder import write_json
from beholder.types import Preference

TRAINING, HELD_OUT, ABOUT = "preferences", "held_out", "distillation.json"
"""What `write_distilled` makes in its folder."""
_UNASKED = "left out"  # no aspect: its answers are counted as "aspect: sure" and the like


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """How judges' scores become answers.

    Attributes:
        judges: names of rewards in the table.
        aspects: column -> aspect that it judges, such as {"vlm.total": "overall"}; empty: see
            `judging_columns`.
        curves: column -> how sure its margins are, from a calibration.
        temperature: of the columns without a curve: p = sigmoid(margin / temperature); 0 takes the
            spread of the column's own margins, so that a typical one is 0.73 sure.
        tie_threshold: an answer with |2p - 1| up to it is a tie; a curve has its own besides.
        least: probability that the winner must have for an answer to count; 0.5 keeps ties.
        disagreement: what judges that point opposite ways make of an answer: "unsure", p = 0.5, or
            "drop".
        pairs_per_prompt: the most telling ones; 0 takes all.
        held_out_share: of the prompts, for `fidelity`.
        seed: of the prompts held out and of which picture comes first.
    """

    judges: tuple[str, ...]
    aspects: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    temperature: float = 0.0
    tie_threshold: float = 0.0
    least: float = 0.5
    disagreement: str = "unsure"
    pairs_per_prompt: int = 0
    held_out_share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        require("temperature", self.temperature, least=0)
        require("tie_threshold", self.tie_threshold, least=0, below=1)
        require("least", self.least, least=0.5, below=1)
        require("pairs_per_prompt", self.pairs_per_prompt, least=0)
        require("held_out_share", self.held_out_share, least=0, below=1)
        if self.disagreement not in {"unsure", "drop"}:
            raise ConfigError(f"disagreement is {self.disagreement!r}; it must be unsure or drop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """Pairs that judges answered.

    Attributes:
        training, held_out: pairs of different prompts.
        about: how they were made: judges, columns, curves, what was skipped and dropped.
    """

    training: Sequence[Preference]
    held_out: Sequence[Preference]
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """How well a student imitates its judge, and how both agree with people.

    Attributes:
        judge: the student on the judge's answers to held-out prompts.
        people: the student on people's answers; None if there are none.
        judges_people: judge -> the judge on the same; a judge without their pictures is absent.
        pairs: hashes of what the student was measured on: "judge", and "people" if there are some.
    """

    judge: Evaluation
    people: Evaluation | None = None
    judges_people: Mapping[str, Evaluation] = field(default_factory=dict)
    pairs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether the student has a score for every picture."""
        measured = [self.judge, *([self.people] if self.people else [])]
        return not any(one.unreadable for one in measured)

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def judge_curves(
    table: ScoreTable, judges: Sequence[str], given: Mapping[str, Path] | None = None
) -> dict[str, Curve]:
    """Column -> how sure its margins are, by the calibrations that are known of the judges.

    Args:
        table: keeps the calibration of a reward that had one when it scored.
        judges: names of rewards in it.
        given: judge -> a calibration.json that takes the place of the kept one.

    Raises:
        ConfigError: if a file is of no judge, or of other weights or options.
        DataError: if a file is no calibration.
    """
    files = given or {}
    if strangers := set(files) - set(judges):
        raise ConfigError(f"a calibration is given for {min(strangers)!r}, which is no judge")
    known = table_calibrations(table, files)
    return {
        f"{judge}.{score}": one.curve
        for judge in judges
        if judge in known
        for score, one in known[judge].scores.items()
    }


def distill(table: ScoreTable, how: Labelling) -> Distilled:
    """Pairs of pictures of one prompt with the answers of judges, from their scores alone.

    A pair's probability is the mean of its judges'. The same table and labelling always give the
    same pairs.

    Raises:
        ConfigError: if a judge or column is not in the table.
        DataError: if a judge tells no picture of a prompt from another, or no pair is left.
    """
    columns = judging_columns(table, how.judges, how.aspects)
    order = list(dict.fromkeys(c for named in columns.values() for c in named))
    read = read_groups(table, how.judges, order)
    curves = {column: _curve(column, k, read, how) for k, column in enumerate(order)}
    counted: Counter[str] = Counter()
    pairs = [
        pair
        for group in read.groups
        for pair in _label(group, columns, order, curves, how, counted)
    ]
    if not pairs:
        raise DataError(f"no pair is left; answers: {dict(counted)}")
    training, held_out = pairs, list[Preference]()
    if how.held_out_share > 0:
        training, held_out = split_by_prompt(pairs, how.held_out_share, how.seed)
    about = {
        "judges": {judge: table.config(judge) for judge in how.judges},
        "aspects": columns,
        "curves": {column: asdict(curve) for column, curve in curves.items()},
        "labelling": {k: v for k, v in asdict(how).items() if k != "curves"},
        "rows": read.rows,
        "skipped_rows": dict(read.skipped),
        "answers": {k: n for k, n in counted.items() if k != _UNASKED},
        "prompts": len({pair.prompt for pair in pairs}),
        "pairs": {
            "training": len(training),
            "held_out": len(held_out),
            "left_out": counted[_UNASKED],
        },
    }
    return Distilled(training=training, held_out=held_out, about=about)


def write_distilled(made: Distilled, folder: Path) -> None:
    """Write preferences/, held_out/ and distillation.json; `train` takes the folder as it is.

    Raises DataError if a folder holds another data set.
    """
    told = notice(made.about)
    write_preferences(made.training, folder / TRAINING, notice=told)
    if made.held_out:
        write_preferences(made.held_out, folder / HELD_OUT, notice=told)
    write_json(folder / ABOUT, made.about)


def notice(about: Mapping[str, Any]) -> str:
    """What a reader of the pairs must know: that no person answered, and who did instead."""
    judges = ", ".join(f"`{name}`" for name in about["judges"])
    sure = {
        column: "a calibrated curve"
        if curve["knots"]
        else f"temperature {curve['temperature']:.4g}"
        for column, curve in about["curves"].items()
    }
    told = ", ".join(f"`{column}` ({how})" for column, how in sure.items())
    return (
        f"**A machine judged these pairs, no person.** Judges: {judges}, by the scores of {told}. "
        "What learns from them imitates the judges, their faults included; compare it with people "
        "before you trust it."
    )


def fidelity(
    student: PictureScorer,
    held_out: Sequence[Preference],
    people: Sequence[Preference] = (),
    judges: Mapping[str, PictureScorer] | None = None,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Fidelity:
    """Agreement with the judges on held-out prompts, and with people, by the protocol imagereward.

    Args:
        student: the reward that learned.
        held_out: pairs that judges answered and the student did not learn from.
        people: pairs that people answered.
        judges: what gives the judges' scores of those pictures, such as `TableScores`.
        draws: how often prompts are redrawn.
        seed: of the draws.

    Raises DataError if there is no held-out pair.
    """
    if not held_out:
        raise DataError("no pair is held out; distil with held_out_share above 0")
    imitated = evaluate(student, held_out, draws=draws, seed=seed)
    pairs = {"judge": pairs_hash(held_out)}
    if not people:
        return Fidelity(judge=imitated, pairs=pairs)
    beside = {
        name: evaluate(judge, people, draws=draws, seed=seed)
        for name, judge in (judges or {}).items()
    }
    return Fidelity(
        judge=imitated,
        people=evaluate(student, people, draws=draws, seed=seed),
        judges_people={k: e for k, e in beside.items() if e.pairs_left_out < len(people)},
        pairs={**pairs, "people": pairs_hash(people)},
    )


def _curve(column: str, at: int, read: Read, how: Labelling) -> Curve:
    """How sure the margins of a column are, ties included."""
    width = spread([group.scores[:, at] for group in read.groups])
    if width == 0:
        raise DataError(
            f"{column} gives all pictures of each prompt the same score; there is nothing to learn"
        )
    if column in how.curves:
        curve = how.curves[column]
        return replace(curve, tie_threshold=max(curve.tie_threshold, how.tie_threshold))
    return Curve(temperature=how.temperature or width, tie_threshold=how.tie_threshold)


def _label(
    group: Group,
    columns: Mapping[str, Sequence[str]],
    order: Sequence[str],
    curves: Mapping[str, Curve],
    how: Labelling,
    counted: Counter[str],
) -> list[Preference]:
    """The pairs of a prompt that are worth learning from."""
    ends = all_pairs(len(group.pictures))
    margins = group.scores[ends[:, 0]] - group.scores[ends[:, 1]]
    answers = {
        aspect: _answer(
            margins[:, [order.index(c) for c in named]], [curves[c] for c in named], how
        )
        for aspect, named in columns.items()
    }
    known = np.stack([np.isfinite(p) for p in answers.values()]).any(axis=0)
    rows = np.flatnonzero(known)
    if how.pairs_per_prompt:
        sure = sureness([p[rows] for p in answers.values()])
        chosen = rows[most_telling(sure, how.pairs_per_prompt)]
        counted[_UNASKED] += len(rows) - len(chosen)
        rows = chosen
    _count(counted, answers, rows)
    return [
        _preference(group, ends[k], {a: float(p[k]) for a, p in answers.items()}, columns, how.seed)
        for k in rows
    ]


def _answer(margins: Floats, curves: Sequence[Curve], how: Labelling) -> Floats:
    """Probability that the first is better, NaN where the answer does not count."""
    p, opposite = joint_probability(margins, curves)
    p = np.where(certainty(p) <= how.tie_threshold, 0.5, p)
    p = np.where(opposite, np.nan if how.disagreement == "drop" else 0.5, p)
    return np.where(np.maximum(p, 1 - p) < how.least, np.nan, p)


def _count(counted: Counter[str], answers: Mapping[str, Floats], rows: Any) -> None:
    for aspect, p in answers.items():
        said = p[rows]
        counted[f"{aspect}: sure"] += int((np.isfinite(said) & (said != 0.5)).sum())
        counted[f"{aspect}: unsure"] += int((said == 0.5).sum())
        counted[f"{aspect}: dropped"] += int(np.isnan(p).sum())


def _preference(
    group: Group,
    ends: Any,
    said: Mapping[str, float],
    columns: Mapping[str, Sequence[str]],
    seed: int,
) -> Preference:
    first, second = (int(k) for k in ends)
    known = {aspect: p for aspect, p in said.items() if np.isfinite(p)}
    if is_swapped(group.keys[first], group.keys[second], seed):
        first, second = second, first
        known = {aspect: 1 - p for aspect, p in known.items()}
    return Preference(
        key=f"{group.keys[first]} {group.keys[second]}",
        prompt=group.prompt,
        first=group.pictures[first],
        second=group.pictures[second],
        p_first=known,
        votes={aspect: len(columns[aspect]) for aspect in known},
    )
