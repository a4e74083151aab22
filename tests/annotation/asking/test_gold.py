import json
from pathlib import Path

import pytest

from beholder.annotation.asking.gold import read_gold
from beholder.annotation.project import Template
from beholder.errors import AnnotationError
from tests.annotation.pictures import save_picture

PAIR = {"image_a": "a.png", "image_b": "b.png", "prompt": "a fox", "gold_overall": "b"}
SINGLE = {"image": "a.png", "prompt": "a fox", "gold_overall": 4, "gold_plausibility": ""}


def written(row: object, folder: Path) -> Path:
    for seed, name in enumerate(("a.png", "b.png")):
        save_picture(folder / name, seed)
    (folder / "gold.jsonl").write_text(json.dumps(row) + "\n")
    return folder / "gold.jsonl"


def test_a_gold_pair_keeps_its_answer_and_its_pictures(tmp_path: Path) -> None:
    (question,) = read_gold(written(PAIR, tmp_path), "pairwise", tmp_path)
    assert question.gold == {"overall": "b"}
    assert [p.source for p in question.pictures] == [str(tmp_path / n) for n in ("a.png", "b.png")]
    assert all((tmp_path / p.file).is_file() for p in question.pictures)


def test_a_gold_rating_is_a_share_and_an_empty_cell_is_none(tmp_path: Path) -> None:
    (question,) = read_gold(written(SINGLE, tmp_path), "richhf", tmp_path)
    assert question.gold == {"overall": "0.75"}  # (4 - 1) / 4


@pytest.mark.parametrize(
    ("row", "template", "reason"),
    [
        ({**PAIR, "gold_overall": "left"}, "pairwise", "row 1: gold_overall is 'left'"),
        ({**PAIR, "gold_beauty": "a"}, "pairwise", "gold_beauty is 'a'; aspects are aesthetics"),
        ({**PAIR, "gold_overall": ""}, "pairwise", "no gold_<aspect> has an answer"),
        ({**PAIR, "prompt": " "}, "pairwise", "prompt is ' ', expected text"),
        ({**PAIR, "image_b": "none.png"}, "pairwise", "image_b cannot be read: .*none.png"),
        ({**SINGLE, "gold_overall": 0}, "richhf", "gold_overall is '0'.* answers 1, 2, 3, 4, 5"),
        (PAIR, "richhf", "image is None, expected the path"),
    ],
)
def test_a_gold_row_that_is_wrong_is_named(
    row: object, template: Template, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(AnnotationError, match=reason):
        read_gold(written(row, tmp_path), template, tmp_path)


def test_a_missing_manifest_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="the gold tasks cannot be read"):
        read_gold(tmp_path / "none.jsonl", "pairwise", tmp_path)
