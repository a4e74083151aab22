import math

from beholder.annotation.trust.doubts import Check, doubts
from beholder.annotation.trust.intervals import UNDEFINED, Interval


def test_a_doubt_needs_the_whole_interval_beyond_its_limit() -> None:
    low = Interval(0.4, 0.3, 0.5)
    assert doubts([Check(what="right in", found=low, least=0.6)]) == (
        "right in 40% (30% to 50%), expected at least 60%",
    )
    assert doubts([Check(what="right in", found=low, least=0.45)]) == ()
    assert doubts([Check(what="left in", found=low, most=0.2)]) == (
        "left in 40% (30% to 50%), expected at most 20%",
    )
    assert doubts([Check(what="left in", found=low, least=0.1, most=0.45)]) == ()


def test_what_is_not_known_raises_no_doubt() -> None:
    unbounded = Interval(0.0, math.nan, math.nan)
    assert doubts([Check(what="x", found=UNDEFINED, least=0.9, most=0.1)]) == ()
    assert doubts([Check(what="x", found=unbounded, least=0.9, most=0.1)]) == ()
