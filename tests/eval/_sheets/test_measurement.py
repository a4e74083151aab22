from beholder.eval.extraction import Failure
from beholder.eval.measures._base import Measurement
from beholder.eval.measuring import Comparison
from beholder.eval.sides import SideSummary

PROTOCOL = {"extractor": "inception", "weights": "<w>", "resize": "tf1", "clips": ""}


def fid(**more: object) -> Measurement:
    values: dict[str, object] = {"value": 12.5, "low": 11.0, "high": 14.0, "real": 50, "fake": 40}
    return Measurement(metric="fid", protocol=PROTOCOL, **{**values, **more})  # type: ignore[arg-type]


def test_a_measurement_shows_its_protocol_and_no_single_rows() -> None:
    found = fid(samples={str(k): 1.0 for k in range(5000)}, biased=True)
    assert repr(found).splitlines() == [
        "Measurement of fid",
        "fid        12.5 [11, 14]",
        "real       50",
        "fake       40",
        "extractor  inception",
        "weights    <w>",
        "resize     tf1",
        "compares only with values of as many rows: fid",
    ]
    assert "&lt;w&gt;" in found._repr_html_()


def test_a_comparison_names_its_sides_and_a_few_of_the_rows_that_failed() -> None:
    failures = [Failure(key=f"{k}.png", code="missing", reason="gone") for k in range(7)]
    sides = [
        SideSummary(source="real/", kind="reference", rows=None, used=None),
        SideSummary(source="out/", kind="pictures", rows=47, used=40, failures=failures),
    ]
    unknown = fid(value=None, low=None, high=None, why="too few pictures")
    compared = Comparison(measurements=[fid(), unknown], real=sides[0], fake=sides[1], versions={})
    said = repr(compared)
    assert said.splitlines()[0] == "out/ against real/"
    assert "12.5 [11, 14]" in said
    assert "too few pictures" in said
    assert "inception, <w>, tf1" in said
    assert "real/: a file of features or statistics" in said
    assert "out/: 47 pictures, 40 used" in said
    assert said.count("missing: gone") == 5
    assert "and 2 more failures" in said
    assert compared._repr_html_().count("<tr>") == 3
