from beholder.eval._report.wording import headline, summary
from beholder.eval.report import AccuracyRow, RankRow, Report


def row(aspect: str, method: str, accuracy: float, *, baseline: bool = False) -> AccuracyRow:
    return AccuracyRow(
        aspect=aspect,
        method=method,
        accuracy=accuracy,
        low=accuracy,
        high=accuracy,
        pairs=1200,
        baseline=baseline,
    )


def test_the_headline_is_the_first_method_that_is_no_baseline() -> None:
    rows = [
        row("detail", "CLIPScore", 0.6, baseline=True),
        row("detail", "MPS", 0.9),
        row("detail", "other", 0.7),
    ]
    assert headline(rows) == [rows[1]]
    assert headline(rows[:1]) == []


def test_the_summary_says_the_overall_figure_beside_its_baselines() -> None:
    rows = [
        row("overall", "MPS", 0.9),
        row("detail", "MPS", 0.8),
        row("overall", "CLIPScore", 0.6, baseline=True),
    ]
    assert summary(Report(title="t", accuracy=rows)) == (
        "MPS agrees with people on 90\u00a0% of 1,200 held-out pairs (overall); "
        "CLIPScore on 60\u00a0%."
    )


def test_the_summary_does_not_claim_a_winner_that_may_be_chance() -> None:
    ranking = [RankRow(name=name, strength=0.0, low=0.0, high=0.0) for name in "abc"]
    clear = Report(title="t", ranking=ranking, not_told_apart=[["b", "c"]])
    assert summary(clear) == "Of 3 checkpoints, a ranks first."
    tied = Report(title="t", ranking=ranking, not_told_apart=[["a", "b"], ["b", "c"]])
    assert summary(tied) == "a ranks first, but is not told apart from b."
    assert summary(Report(title="t")) == ""
