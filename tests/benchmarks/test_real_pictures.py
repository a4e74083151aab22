"""How a distance answers to damage, as a row."""

from benchmarks.real_pictures import DISTANCES, STRENGTHS, _rows
from tests.eval.photographs import DAMAGES


def test_a_row_counts_the_steps_at_which_a_distance_grows() -> None:
    names = ["none 0", *(f"{d} {s:g}" for d in DAMAGES for s in STRENGTHS)]
    found = {name: dict.fromkeys(DISTANCES, float(k)) for k, name in enumerate(names)}
    found["blur 0.5"]["KID"] = -1.0  # one step down, then up again
    ratios = {row.what.split()[0]: row.ratio for row in _rows(found, 48)}
    assert (ratios["CMMD"].low, ratios["CMMD"].high) == (1, 1)
    assert (ratios["KID"].low, ratios["KID"].median, ratios["KID"].high) == (0.8, 1, 1)
