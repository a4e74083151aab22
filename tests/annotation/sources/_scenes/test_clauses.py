import numpy as np

from beholder.annotation.sources._scenes.clauses import (
    OPPOSITE,
    Claims,
    Clause,
    misread,
    shortened,
    strangers,
    truths,
)
from beholder.annotation.sources._scenes.cutouts import CutOut
from tests.annotation.sources._scenes.material import group

TRUE = Clause(0, "star", 2, "red", "small", "left")
KINDS = ("noun", "count", "colour", "size", "place")


def changed(before: Clause, after: Clause) -> list[str]:
    """What is said otherwise; a count of 0 says one."""
    values = [
        [max(getattr(c, k), 1) if k == "count" else getattr(c, k) for k in KINDS]
        for c in (before, after)
    ]
    return [kind for kind, a, b in zip(KINDS, *values, strict=True) if a != b]


def test_the_truth_holds_everything_of_a_group() -> None:
    two = group("star", count=2, colour="red", size="small", place="left")
    assert truths([two]) == [TRUE]


def test_what_is_said_is_true_or_left_out() -> None:
    for seed in range(50):
        claims = shortened([TRUE], np.random.default_rng(seed))
        (said,) = claims.clauses
        assert all(getattr(said, k) in {getattr(TRUE, k), None} for k in KINDS)
        assert (said.noun, said.count, claims.relation) == ("star", 2, None)


def test_two_groups_have_places_or_a_relation() -> None:
    pair = [TRUE, Clause(1, "key", 1, None, None, "right")]
    found = [shortened(pair, np.random.default_rng(seed)) for seed in range(50)]
    assert {claims.relation for claims in found} == {None, "left"}
    for claims in found:
        assert not claims.relation or not any(clause.place for clause in claims.clauses)


def test_misreading_changes_at_least_one_thing_and_the_facts_say_which() -> None:
    for seed in range(100):
        claims = misread(Claims([TRUE]), ["key", "dog"], np.random.default_rng(seed))
        wrong = changed(TRUE, claims.clauses[0])
        absent = claims.clauses[1:]
        assert bool(wrong) != bool(absent)
        facts = [claims.clauses[0].fact(kind, [TRUE]) for kind in KINDS]
        assert [fact.kind for fact in facts if fact.is_altered] == wrong
        for clause in absent:
            fact = clause.fact("noun", [TRUE])
            assert (fact.about, fact.is_altered) == ((), True)
            assert clause.noun in {"key", "dog"}


def test_a_relation_is_turned_round_or_stays() -> None:
    pair = [Clause(0, "star", 2), Clause(1, "key", 1)]
    found = [misread(Claims(pair, "top"), ["dog"], np.random.default_rng(s)) for s in range(60)]
    assert {claims.relation for claims in found} == {"top", OPPOSITE["top"]}
    assert all(
        claims.relation == "bottom" or any(map(changed, pair, claims.clauses)) for claims in found
    )


def test_a_stranger_is_of_another_kind_and_head() -> None:
    here = group("tiger")
    things = [
        CutOut("lion", kind="tiger"),
        CutOut("paper tiger", kind="paper"),
        CutOut("key", kind="household"),
    ]
    assert strangers([here], things) == ["key"]
