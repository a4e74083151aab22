from beholder.eval.filtering import FilterSummary, Rule


def test_reasons_stand_with_the_commonest_first() -> None:
    done = FilterSummary(
        rows=1204,
        kept=1000,
        dropped=204,
        reasons={"<few>": 4, "many": 200},
        pictures_missing=3,
        missing={"unreadable": 3},
        rule=Rule(where="mps.total > 0"),
        scores={"mps": "0123456789abcdef"},
    )
    assert repr(done).splitlines() == [
        "1,000 of 1,204 rows kept, 204 dropped",
        "dropped for  rows",
        "many          200",
        "<few>           4",
        "kept without their picture: 3 (3 unreadable)",
        "scores of mps: 0123456789ab",
    ]
    assert "&lt;few&gt;" in done._repr_html_()
