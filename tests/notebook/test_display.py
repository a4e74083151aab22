"""What IPython makes of results: HTML for a notebook, text for a terminal."""

from pathlib import Path
from typing import Any

import pytest
import torch

from beholder.calibration import Curve
from beholder.eval.report import Report, ScoredPicture
from beholder.rewards import load, reward_class
from beholder.tables import ScoreTable
from beholder.types import Scores
from tests.calibrations import calibration
from tests.eval._filter_card.sample import sample
from tests.eval._sheets.test_evaluation import evaluation
from tests.eval._sheets.test_measurement import fid
from tests.eval._sheets.test_ranking import board, ranking

PIXELS = torch.zeros(3, 8, 8, dtype=torch.uint8)


def shown(result: object) -> dict[str, Any]:
    """What a cell that ends with the result puts out, by its kind."""
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    data, _ = formatter.format(result)
    return dict(data)


def report() -> Report:
    picture = ScoredPicture(image=PIXELS, prompt="a <fox>", total=1.0, aspects={}, name="a.png")
    return Report(title="What <mine> sees", best=[picture])


@pytest.mark.parametrize(
    "result",
    [
        Scores(torch.rand(3), {"detail": torch.rand(3)}),
        ranking(),
        board(ranking()),
        evaluation(),
        fid(),
        calibration(Curve()),
        reward_class("hps").card,
        load("tiny"),
        report(),
        sample([PIXELS] * 8),
    ],
    ids=lambda result: type(result).__name__,
)
def test_a_notebook_shows_html_and_a_terminal_a_few_lines(result: object) -> None:
    found = shown(result)
    assert found["text/html"].startswith(('<div class="bh">', "<iframe "))
    assert len(found["text/plain"]) < 4000


def test_a_table_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    found = shown(ScoreTable(tmp_path / "none"))
    assert "ScoreTable(" in found["text/plain"]
    assert "text/html" in found


def test_a_report_is_one_small_frame_whose_texts_are_escaped_twice() -> None:
    html = shown(report())["text/html"]
    assert html.count("<") == 2
    assert "a &amp;lt;fox&amp;gt;" in html
    assert len(html) < 200_000
    assert repr(report()) == "Report 'What <mine> sees': 1 drawing; write_report writes the page"
