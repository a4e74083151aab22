"""What people read: every number with how it was made, each set of features told once."""

from pathlib import Path

from beholder._verbs.measure_text import card_text, cards, comparison_text
from beholder.eval.extraction import Failure
from beholder.eval.measures._base import Measurement
from beholder.eval.measuring import Comparison
from beholder.eval.sides import SideSummary

ORIGIN = {
    "extractor": "inception",
    "weights": "0123456789abcdef",
    "layer": "2048",
    "resize": "tf1",
    "decode": "alpha=white",
    "clips": "",
}


def compared(*measurements: Measurement, failures: int = 0) -> Comparison:
    failed = [Failure(key=f"{k}.png", code="empty", reason="no bytes") for k in range(failures)]
    fake = SideSummary(
        source="fake/", kind="pictures", rows=20, used=20 - failures, failures=failed
    )
    real = SideSummary(source="ref.npz", kind="reference", rows=None, used=None)
    return Comparison(measurements=measurements, real=real, fake=fake, versions={})


def test_features_stand_once_and_numbers_refer_to_them() -> None:
    fid = Measurement(
        metric="fid",
        value=12.3456789,
        low=11.0,
        high=13.5,
        interval="jackknife",
        fake=20,
        protocol={**ORIGIN, "ddof": 1},
        details={"branch": "gram", "closest": [{"not": "told"}], "assumed": ["weights", "resize"]},
    )
    sfid = Measurement(metric="sfid", value=3e-9, protocol={**ORIGIN, "layer": "sfid"})
    kid = Measurement(metric="kid", value=0.5, protocol=ORIGIN)
    text = comparison_text(compared(fid, sfid, kid))
    assert "12.3457  [11, 13.5]" in text
    assert "3e-09" in text
    assert text.count("0123456789abcdef") == 2
    assert "fid: features [1], ddof 1; interval: jackknife; branch gram" in text
    assert "sfid: features [2]" in text
    assert "kid: features [1]" in text
    assert "closest" not in text
    assert "assumed weights, resize" in text
    assert "ref.npz: a file of features or statistics" in text


def test_a_number_that_is_missing_says_why() -> None:
    text = comparison_text(compared(Measurement(metric="kid", value=None, protocol={}, why="few")))
    assert "kid     none" in text
    assert "kid: few" in text


def test_ten_failures_are_listed_and_the_others_counted() -> None:
    text = comparison_text(compared(failures=12))
    assert "9.png: empty: no bytes" in text
    assert "10.png" not in text
    assert "and 2 more; --json lists all" in text


def test_every_card_has_a_definition_with_its_paper_and_tells_its_options() -> None:
    for name, card in cards().items():
        assert any(year in card.definition for year in map(str, range(2014, 2027))), name
        text = card_text(name, card)
        assert all(f"--set {name}.{option}=" in text for option in card.options), name
        assert len(card.about.splitlines()) >= 1, name


def test_the_page_of_the_metrics_defines_every_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert set(cards()) <= rows
