"""What the verbs tell a person: short texts and tables from the rooms' results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from beholder._terminal import interval, table
from beholder._verbs.reasons import in_words

if TYPE_CHECKING:
    from beholder._page.feedback import PictureFeedback
    from beholder.eval._estimate import Estimate
    from beholder.eval.feedback import FeedbackEvaluation
    from beholder.rewards._convert import Conversion
    from beholder.rewards.scoring import Summary


def conversion_text(done: Conversion) -> str:
    """What a published file became."""
    fates = ", ".join(f"{count} {fate}" for fate, count in done.fates.items())
    lines = [f"{done.folder}: {done.reward}, {len(done.keys)} keys: {fates}"]
    if done.own:
        lines.append(f"  its own, not in the file: {', '.join(done.own)}")
    return "\n".join(lines)


def score_text(summary: Summary, out: Path) -> str:
    """How many rows were scored, and why some were not."""
    lines = [
        f"{out}: {summary.rows} rows, {summary.scored - summary.failed} scored now, "
        f"{summary.failed} failed, {summary.skipped} were done before, {summary.seconds:.1f} s"
    ]
    for reward, codes in summary.errors.items():
        lines += [f"  {reward}: {count} {in_words(code)}" for code, count in sorted(codes.items())]
    return "\n".join(lines)


def tuned_text(told: object, folder: Path) -> str:
    """What the judge says of the quickstart's tuned pipeline."""
    values = cast("Mapping[str, Any]", told)
    rows = [
        [aspect, values["before"][aspect], values["after"][aspect]] for aspect in values["before"]
    ]
    share = interval(values["win_rate"], values["low"], values["high"])
    return "\n".join(
        [
            f"{values['judge']} prefers the tuned picture for {share} of "
            f"{values['pictures']} prompts",
            table(rows, ["quality", "before", "after"]),
            f"open {folder / 'tuned' / 'report.html'}",
        ]
    )


def quickstart_text(summary: Mapping[str, Any], folder: Path) -> str:
    """Held-out accuracy beside the baselines, the ranking, and where to look."""
    baselines = summary["baselines"]
    (name,) = (key for key in baselines if key != "chance")
    rows = [
        [aspect, interval(value, *summary["intervals"][aspect]), baselines[name][aspect], 0.5]
        for aspect, value in summary["accuracy"].items()
    ]
    return "\n".join(
        [
            "",
            "Held-out accuracy on photographs never trained on (simulated annotators):",
            table(rows, ["aspect", "accuracy [95%]", name, "chance"]),
            f"ranking, best first: {', '.join(summary['ranking'])}",
            f"{summary['seconds']:.0f} s; open {folder / 'report.html'}",
        ]
    )


def feedback_text(name: str, result: FeedbackEvaluation) -> str:
    """Every figure of a reward on rich feedback, and what it was not measured on."""
    rows = [[figure, _estimate(e), e.samples] for figure, e in result.figures.items()]
    said = [f"{name} on the feedback of {result.records} pictures:", ""]
    said += [table(rows, ["figure", "value and 95 % interval", "samples"]), ""]
    said += [f"no {part}: {count}" for part, count in result.unanswered.items()]
    said += [f"not scored, {in_words(code)}: {count}" for code, count in result.reasons().items()]
    return "\n".join(said).rstrip()


def _estimate(found: Estimate) -> str:
    if found.value is None:
        return found.why
    if found.low is None or found.high is None:
        return f"{found.value:.3f}"
    return interval(found.value, found.low, found.high)


def feedback_numbers(said: PictureFeedback) -> dict[str, object]:
    """Scores, words and the mean of each map of one picture, for programs."""
    return {
        "scores": dict(said.scores),
        "mean_of_map": {kind: drawn.mean().item() for kind, drawn in said.maps.items()},
        "words": [asdict(word) for word in said.words],
    }
