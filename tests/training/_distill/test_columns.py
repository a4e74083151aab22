from pathlib import Path

import pytest

from beholder.errors import ConfigError, DataError
from beholder.tables import ScoreTable
from beholder.training._distill.columns import judging_columns, read_groups
from tests.training.score_tables import Numbers, make_table

ROWS = [
    {"key": "a", "image": "a.png", "prompt": "fox"},
    {"key": "b", "image": "b.png", "prompt": "fox"},
    {"key": "c", "image": "c.png", "prompt": "owl"},
    {"key": "d", "image": "d.png", "prompt": "owl"},
    {"key": "e", "image": "e.png", "prompt": "elk"},
    {"key": "f", "image": "f.png", "prompt": ""},
    {"key": "g", "image": "a.png", "prompt": "fox"},
]


def table(folder: Path) -> ScoreTable:
    scores: dict[str, Numbers] = {
        "vlm": {
            "total": [1, 2, 3, None, 5, 6, 1],
            "alignment": [1, 2, 3, None, 5, 6, 1],
        },
        "mps": {
            "total": [1, 2, 3, 4, 5, 6, 1],
            "overall": [1, 2, 3, 4, 5, 6, 1],
            "detail": [1, 2, 3, 4, 5, 6, 1],
        },
    }
    return make_table(folder, ROWS, scores)


def test_scores_judge_the_aspect_of_their_name_and_a_total_stands_in_for_overall(
    tmp_path: Path,
) -> None:
    made = table(tmp_path)
    assert judging_columns(made, ["mps"], {}) == {
        "overall": ["mps.overall"],
        "detail": ["mps.detail"],
    }
    assert judging_columns(made, ["mps", "vlm"], {}) == {
        "overall": ["mps.overall", "vlm.total"],
        "detail": ["mps.detail"],
        "alignment": ["vlm.alignment"],
    }


def test_columns_that_are_named_judge_what_they_are_told(tmp_path: Path) -> None:
    found = judging_columns(table(tmp_path), ["vlm"], {"vlm.total": "alignment"})
    assert found == {"alignment": ["vlm.total"]}


@pytest.mark.parametrize(
    ("judges", "given", "text"),
    [
        ([], {}, "no judge is named; the table holds mps, vlm"),
        (["vml"], {}, "did you mean 'vlm'"),
        (["vlm"], {"vlm.alinment": "alignment"}, "did you mean 'vlm.alignment'"),
        (["vlm"], {"vlm.error": "overall"}, "no column named 'vlm.error'"),
        (["vlm"], {"mps.total": "overall"}, "is of no judge"),
        (["vlm", "mps"], {"mps.total": "overall"}, "judge 'vlm' judges no aspect"),
        (["vlm"], {"vlm.total": "x", "vlm.alignment": "x"}, "two columns for aspect 'x'"),
    ],
)
def test_what_cannot_judge_is_refused(
    tmp_path: Path, judges: list[str], given: dict[str, str], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        judging_columns(table(tmp_path), judges, given)


def test_rows_without_a_score_a_prompt_or_a_partner_are_counted_with_the_reason(
    tmp_path: Path,
) -> None:
    read = read_groups(table(tmp_path), ["vlm", "mps"], ["vlm.total", "mps.detail"])
    (group,) = read.groups
    assert (group.prompt, list(group.keys)) == ("fox", ["a", "b"])
    assert group.scores.tolist() == [[1, 1], [2, 2]]
    assert read.rows == 7
    assert read.skipped == {
        "vlm: truncated": 1,
        "no prompt": 1,
        "the same picture again": 1,
        "the only picture of its prompt": 2,
    }


def test_a_table_without_a_pair_is_an_error_that_says_why(tmp_path: Path) -> None:
    made = make_table(tmp_path, ROWS[2:5:2], {"vlm": {"total": [1, 2]}})
    with pytest.raises(DataError, match="the only picture of its prompt': 2"):
        read_groups(made, ["vlm"], ["vlm.total"])
