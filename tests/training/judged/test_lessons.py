from beholder.training.judged.lessons import hash_of
from beholder.types import Preference


def pair(p_first: float) -> Preference:
    return Preference(key="k", prompt="x", first="a", second="b", p_first={"overall": p_first})


def test_a_hash_tells_judgements_and_their_order() -> None:
    one, two = pair(1.0), pair(0.5)
    assert hash_of([one, two]) == hash_of([pair(1.0), pair(0.5)])
    assert len({hash_of(rows) for rows in ([one, two], [two, one], [one], [])}) == 4
