from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from PIL import Image

from beholder._tables.first_rows import shorten_path
from beholder.tables import ScoreTable


@pytest.fixture
def table(tmp_path: Path) -> ScoreTable:
    Image.new("RGB", (400, 200), "red").save(tmp_path / "fox.png")
    with ZipFile(tmp_path / "more.zip", "w") as packed:
        packed.write(tmp_path / "fox.png", "inside.png")
    named = ["fox.png", "more.zip/inside.png", "gone.png"]
    images = [str(tmp_path / name) for name in named]
    images += ["https://example.org/far.png", *(f"/p/{k}.png" for k in range(30))]
    found = ScoreTable(tmp_path / "scores")
    keys = [str(k) for k in range(len(images))]
    bad = [None, None, "missing: <gone.png>", *[None] * (len(images) - 3)]
    scores = [None if why else k / 4 for k, why in enumerate(bad)]
    with found.writing() as writer:
        writer.add_inputs(
            [
                {"key": key, "image": image, "prompt": "a <red> fox"}
                for key, image in zip(keys, images, strict=True)
            ]
        )
        for reward in ("mps", "hps"):
            writer.claim(reward, {})
            columns: dict[str, list[Any]] = {
                "key": keys,
                f"{reward}.total": scores,
                f"{reward}.error": bad,
            }
            writer.add_scores(reward, columns)
    return found


def test_a_notebook_shows_pictures_at_hand_and_names_those_that_are_not(table: ScoreTable) -> None:
    shown = table._repr_html_()
    assert shown.count("<img") == 2, "a file, and one in an archive; nothing is downloaded"
    assert "https://example.org/far.png" in shown
    assert "gone.png" in shown
    assert "a &lt;red&gt; fox" in shown
    assert len(shown) < 20_000


def test_a_table_says_how_large_it_is_and_what_failed(table: ScoreTable) -> None:
    sheet = table._sheet(pictures=False)
    lines = sheet.text().splitlines()
    assert lines[0].endswith("scores: 34 rows, scored by hps, mps")
    assert lines[1].split() == [
        "picture",
        "prompt",
        "hps.total",
        "mps.total",
        "no",
        "score",
        "because",
    ]
    assert lines[4].endswith("\N{EN DASH}          \N{EN DASH}  missing: <gone.png>"), (
        "both give one reason"
    )
    assert "and 14 more rows" in lines
    assert lines[-1] == "without a score of mps: 1 missing"


def test_a_table_that_is_not_there_says_so(tmp_path: Path) -> None:
    nowhere = ScoreTable(tmp_path / "none")
    assert repr(nowhere) == f"ScoreTable({str(tmp_path / 'none')!r})"
    assert "no score table" in nowhere._repr_html_() or "there is no" in nowhere._repr_html_()


def test_a_long_name_keeps_its_end() -> None:
    assert shorten_path("a.png") == "a.png"
    assert shorten_path("/very/long/folder/name/of/pictures/0001.png", 12) == "…es/0001.png"
