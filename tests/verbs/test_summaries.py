from pathlib import Path

from beholder._verbs import summaries
from beholder.rewards.scoring import Summary


def test_failed_rows_are_counted_by_reward_and_reason() -> None:
    summary = Summary(
        rows=5, scored=3, skipped=2, failed=1, errors={"mps": {"truncated": 1}}, seconds=2.0
    )
    assert summaries.score_text(summary, Path("scores")) == (
        "scores: 5 rows, 2 scored now, 1 failed, 2 were done before, 2.0 s\n"
        "  mps: 1 file cut off before its end"
    )


def test_the_quickstart_shows_accuracy_beside_its_baselines() -> None:
    summary = {
        "accuracy": {"detail": 0.95},
        "intervals": {"detail": [0.92, 0.98]},
        "baselines": {"clipscore_style": {"detail": 0.65}, "chance": 0.5},
        "ranking": ["late", "early"],
        "seconds": 250.4,
    }
    text = summaries.quickstart_text(summary, Path("quickstart"))
    assert "detail  0.950 [0.920, 0.980]            0.650   0.500" in text
    assert "ranking, best first: late, early" in text
    assert "simulated" in text


def test_what_the_judge_says_stands_with_its_interval_and_the_page() -> None:
    told = {
        "judge": "the known truth",
        "win_rate": 0.75,
        "low": 0.6,
        "high": 0.9,
        "pictures": 40,
        "before": {"overall": 0.5},
        "after": {"overall": 0.625},
    }
    lines = summaries.tuned_text(told, Path("quickstart")).splitlines()
    assert lines[0] == (
        "the known truth prefers the tuned picture for 0.750 [0.600, 0.900] of 40 prompts"
    )
    assert lines[-2].split() == ["overall", "0.500", "0.625"]
    assert lines[-1] == "open quickstart/tuned/report.html"
