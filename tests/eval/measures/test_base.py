"""Numbers are subtracted only where their difference means something."""

from dataclasses import replace

import pytest

from beholder.errors import DataError
from beholder.eval.measures import cmmd, fid, inception_score, kid, mifid, precision_recall
from beholder.eval.measures._base import Measurement, check_comparable
from tests.eval.measures.sides import positive, side_of

FID = Measurement(
    metric="fid", value=30.0, real=50_000, fake=50_000, protocol={"resize": "tf1"}, biased=True
)
KID = replace(FID, metric="kid", biased=False)


def test_numbers_of_one_protocol_and_as_many_rows_have_a_difference() -> None:
    assert FID.minus(replace(FID, value=12.5)) == 17.5
    with pytest.raises(DataError, match="resize: tf1 and clean"):
        FID.minus(replace(FID, protocol={"resize": "clean"}))
    with pytest.raises(DataError, match="fid has no value: too few"):
        FID.minus(replace(FID, value=None, why="too few"))


@pytest.mark.parametrize(
    ("real", "fake", "listed"),
    [
        (50_000, 1000, "fake: 50000 and 1000"),
        (1000, 50_000, "real: 50000 and 1000"),
        (None, 50_000, "real: 50000 and unknown"),
        (10, 1000, "real: 50000 and 10; fake: 50000 and 1000"),
    ],
)
def test_biased_numbers_of_other_counts_do_not_compare(
    real: int | None, fake: int, listed: str
) -> None:
    other = replace(FID, real=real, fake=fake)
    for one, another in ((FID, other), (replace(FID, biased=False), other)):
        with pytest.raises(DataError, match=rf"fid depends on how many.*\({listed}\)"):
            one.minus(another)
    check_comparable(KID, replace(KID, real=real, fake=fake))


def test_only_the_real_side_may_be_of_an_unknown_number() -> None:
    reference = replace(FID, real=None)
    assert reference.minus(reference) == 0
    nobody_knows = replace(FID, fake=None)
    with pytest.raises(DataError, match=r"\(fake: unknown and unknown\)"):
        nobody_knows.minus(nobody_knows)


@pytest.mark.parametrize(
    ("measure", "biased"),
    [
        (fid, {"fid"}),
        (mifid, {"mifid", "nearest_distance"}),
        (precision_recall, {"precision", "recall", "density", "coverage"}),
        (
            inception_score,
            {"inception_score", "inception_score_adm", "inception_score_whole"},
        ),
        (cmmd, {"cmmd"}),
        (kid, set()),
    ],
)
def test_metrics_say_whether_they_depend_on_the_number_of_rows(
    measure: object, biased: set[str]
) -> None:
    made = measure.MEASURE  # type: ignore[attr-defined]
    options = made.options()
    (need,) = made.needs(options)
    real, fake = (side_of("s", need, positive(40, 10, seed, 0.1)) for seed in (0, 1))
    found = made.compute(real if made.has_real else None, fake, options)
    assert {each.metric for each in found if each.biased} == biased
