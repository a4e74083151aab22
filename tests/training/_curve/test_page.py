from pathlib import Path

from beholder.training._curve.judging import Standing
from beholder.training._curve.page import drawing, write_curve_page
from beholder.training.learning_curve import Curve, Point, curve_of


def found(shares: tuple[float, ...], aspect: str = "overall") -> Curve:
    """Runs over 10 held-out prompts of 10 answers each."""
    points = []
    for k, share in enumerate(shares):
        sums = {aspect: [[10 * share, 10.0]] * 10}
        points.append(
            Point(
                fraction=2.0 ** (k - len(shares) + 1),
                repeat=1,
                run=f"fraction-{k}",
                judgements=100 * 2**k,
                prompts=10 * 2**k,
                metrics={},
                standing=Standing("accuracy", sums),
            )
        )
    return curve_of(points, seed=0, draws=100)


def test_the_page_shows_the_curve_what_lies_ahead_and_every_figure(tmp_path: Path) -> None:
    page = write_curve_page(found((0.6, 0.7, 0.8, 0.9)), tmp_path)
    html = page.read_text()
    for text in ("twice the data", "extrapolated", "0.900", "fraction-3"):
        assert text in html
    assert "pairs 0" in html
    assert "http" not in html.replace("http-equiv", "")


def test_where_nothing_can_be_told_the_page_says_so_and_draws_no_promise(tmp_path: Path) -> None:
    html = write_curve_page(found((0.6, 0.7)), tmp_path).read_text()
    assert "What twice the data would give cannot be told: 2 sizes were measured" in html
    assert "extrapolated" not in html


def test_names_of_aspects_are_text_and_no_markup(tmp_path: Path) -> None:
    html = write_curve_page(found((0.6, 0.7, 0.8), "<script>alert(1)</script>"), tmp_path)
    assert "<script>" not in html.read_text()


def test_an_aspect_without_answers_has_no_plot() -> None:
    empty = Standing("accuracy", {"overall": [[1.0, 2.0]], "detail": [[0.0, 0.0]]})
    point = Point(
        fraction=1, repeat=1, run="r", judgements=2, prompts=1, metrics={}, standing=empty
    )
    curve = curve_of([point], seed=0, draws=10)
    assert drawing(curve, "detail") == ""
    assert drawing(curve, "overall")
