"""What made features decides whether they compare."""

from dataclasses import replace

import pytest

from beholder.errors import DataError
from beholder.eval._origin import UNKNOWN, Origin, check_same

OURS = Origin(extractor="inception", weights="0f", layer="2048", resize="tf1", decode="alpha=white")


def test_equal_origins_compare_and_others_are_refused_field_by_field() -> None:
    check_same(OURS, replace(OURS))
    with pytest.raises(DataError, match=r"\(resize: tf1 and clean\).*one protocol") as found:
        check_same(OURS, replace(OURS, resize="clean"))
    assert "layer" not in str(found.value)


def test_what_is_unknown_compares_only_if_it_is_assumed_to_agree() -> None:
    theirs = replace(OURS, weights=UNKNOWN, resize=UNKNOWN)
    with pytest.raises(DataError, match=r"weights: 0f and unknown.*--assume-protocol"):
        check_same(OURS, theirs)
    check_same(OURS, theirs, assumed=True)
    with pytest.raises(DataError, match="layer: 2048 and 768"):
        check_same(OURS, replace(theirs, layer="768"), assumed=True)


def test_an_origin_comes_back_from_a_file_and_what_is_missing_is_unknown() -> None:
    assert Origin.from_dict(OURS.as_dict()) == OURS
    bare = Origin.from_dict({"layer": "2048"})
    assert (bare.resize, bare.clips, bare.layer) == (UNKNOWN, "", "2048")


def test_the_digest_differs_where_any_field_does() -> None:
    others = [replace(OURS, **{name: "x"}) for name in OURS.as_dict()]
    digests = {origin.digest for origin in (OURS, *others)}
    assert len(digests) == 1 + len(others)
    assert OURS.digest == replace(OURS).digest


def test_what_nobody_knows_compares_only_if_it_is_assumed_to_agree() -> None:
    theirs = replace(OURS, weights=UNKNOWN, resize=UNKNOWN)
    other = replace(theirs)
    with pytest.raises(DataError, match=r"weights: unknown and unknown; .*--assume-protocol"):
        check_same(theirs, other)
    check_same(theirs, other, assumed=True)


def test_parts_of_one_set_agree_in_what_nobody_knows_and_in_nothing_else() -> None:
    theirs = replace(OURS, weights=UNKNOWN, resize=UNKNOWN)
    check_same(theirs, replace(theirs), unknown_agrees=True)
    with pytest.raises(DataError, match=r"\(resize: unknown and tf1\)"):
        check_same(theirs, replace(theirs, resize="tf1"), unknown_agrees=True)


def test_fields_are_unsure_where_one_side_or_both_do_not_know_them() -> None:
    mine, theirs = replace(OURS, weights=UNKNOWN, layer="768"), replace(OURS, weights=UNKNOWN)
    theirs = replace(theirs, resize=UNKNOWN)
    assert mine.unsure(theirs) == {"weights": (UNKNOWN, UNKNOWN), "resize": ("tf1", UNKNOWN)}
    assert list(mine.differences(theirs)) == ["layer", "resize"]
