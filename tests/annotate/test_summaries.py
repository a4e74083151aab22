from pathlib import Path

from beholder._annotate import summaries
from beholder.annotation.asking.media import Refused
from beholder.annotation.asking.plan import Planned
from beholder.annotation.judgements import Aggregated
from beholder.annotation.reading.archive import Added
from beholder.annotation.reading.label_studio import ImportReport, Problem
from beholder.annotation.server.pull import Pulled
from beholder.annotation.server.push import Pushed


def test_an_import_names_its_problems() -> None:
    problem = Problem("pair-7", "id", "no prompt")
    report = ImportReport(tasks=2, comparisons=1, clean=1, flags={"skipped": 1}, problems=[problem])
    text = summaries.import_text(report, Path("out"))
    assert "1 comparisons of 2 tasks, 1 clean" in text
    assert "pair-7: no prompt" in text


def test_a_push_says_what_is_asked_where_and_what_cannot_be() -> None:
    refused = [Refused(f"/p/{k}.png", "truncated: half") for k in range(7)]
    planned = Planned(pictures=9, asked=4, repeats=1, gold=0, before=2, possible=8, refused=refused)
    pushed = Pushed(number=3, address="http://host/projects/3/data?labeling=1", sent=5, before=2)
    assert summaries.push_text(planned, pushed, Path("j")).splitlines() == [
        "j: 9 pictures, 8 possible questions; 2 tasks before, new: 4 questions, 1 repeats",
        "7 pictures cannot be asked about:",
        *(f"  /p/{k}.png: truncated: half" for k in range(5)),
        "  and 2 more",
        "sent 5 tasks, 2 were there before",
        "annotators answer at http://host/projects/3/data?labeling=1",
    ]


def test_a_pull_says_how_far_the_project_has_come() -> None:
    report = ImportReport(comparisons=4, clean=3, flags={"skipped": 1})
    pulled = Pulled(tasks={0: 5, 3: 1}, added=Added(changed=2), foreign=1, report=report)
    assert summaries.pull_text(pulled, Path("j")).splitlines() == [
        "j: 2 changed",
        "answers: 4, 3 clean; tasks: 5 with 0, 1 with 3",
        "  1 tasks are not of this project",
        "  1 skipped",
    ]


def test_an_aggregate_says_whom_it_trusts() -> None:
    done = Aggregated(
        kind="preferences",
        method="by votes",
        judgements=5,
        counted=4,
        rows=2,
        reliability={"overall": {"b": 0.5, "a": 0.9}},
    )
    assert summaries.aggregate_text(done, Path("out")).splitlines() == [
        "out/preferences: 2 rows of 4 judgements that count; 1 do not",
        "  overall: a 0.90, b 0.50",
    ]
