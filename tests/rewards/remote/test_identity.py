"""One digest on both sides of the wire."""

import json

import pytest

from beholder.rewards._remote.identity import CHANGED, canonical, difference, digest_of, digests_in

IDENTITY = {"reward": "mps", "options": {"sizes": (1, 2), "a": 0.1, 10: None, 9: True}, "b": "é"}


def test_a_digest_survives_the_wire_and_any_order() -> None:
    travelled = json.loads(json.dumps(IDENTITY))
    assert digest_of(travelled) == digest_of(IDENTITY)
    assert digest_of(dict(reversed(travelled.items()))) == digest_of(IDENTITY)
    assert digest_of(json.loads(canonical(IDENTITY))) == digest_of(IDENTITY)


def test_a_digest_is_that_of_the_sorted_text_without_blanks() -> None:
    assert canonical({"b": 1, "a": "x", "alpha": "white"}) == '{"a":"x","b":1}'
    known = "cdab067e9f3beb32d1252cfd63e492592fecbf591b0d08cadb24bb17f3864246"
    assert digest_of({"b": 1, "a": "x", "alpha": "white"}) == known


@pytest.mark.parametrize(
    ("change", "differs"),
    [({"reward": "hps"}, True), ({"options": {}}, True), ({"alpha": "drop"}, False)],
)
def test_only_what_decides_the_numbers_counts(change: dict[str, object], differs: bool) -> None:
    assert (digest_of(IDENTITY | change) != digest_of(IDENTITY)) is differs


def test_a_difference_is_told_shortly() -> None:
    one = {"reward": "mps", "weights": "1" * 64, "options": {"x": 1}, "alpha": "white", "v": "1.0"}
    two = {**one, "weights": "2" * 64, "options": {"x": 2}, "alpha": "black", "v": "1.1"}
    told = "weights 111111111111 then, 222222222222 now"
    assert difference(one, one | {"alpha": "drop"}) == ""
    assert difference(one, one | {"weights": "2" * 64}) == told
    assert difference(one, two) == (
        f'{told}; options {{"x":1}} then, {{"x":2}} now; v 1.0 then, 1.1 now'
    )


def test_a_difference_says_nothing_that_a_terminal_obeys_and_is_not_long() -> None:
    strange = {f"k{n}\x1b[2J"[: n % 9 + 1]: "\x1b[2J\n" * n for n in range(99)}
    told = difference(strange, {})
    assert told.isprintable()
    assert 0 < len(told) < 1000


def test_a_header_names_each_reward() -> None:
    mine, other = "0" * 64, "f" * 64
    assert digests_in(f"mps={mine}, hps={other}") == {"mps": mine, "hps": other}
    assert digests_in(f"mps={CHANGED},x.y-z={mine}") == {"mps": CHANGED, "x.y-z": mine}


@pytest.mark.parametrize("header", [None, "", "mps", "mps=12", f"mps={'0' * 64},", "mps=CHANGED"])
def test_another_header_says_nothing(header: str | None) -> None:
    assert digests_in(header) == {}
