import math

import pytest
import torch
from torch import Tensor

from beholder.errors import DataError
from beholder.types import Comparison, Feedback, Preference, Rating, Scores, WordLabel


def scores(*total: float, errors: dict[int, str] | None = None) -> Scores:
    values = torch.tensor(total)
    words = [[WordLabel(str(value), 0, 1, 0.5)] for value in total]
    maps = {"dark": values[:, None, None].expand(-1, 2, 2)}
    return Scores(values, {"detail": -values}, maps, words, errors or {})


def test_concatenated_scores_are_one_after_another_with_their_errors_shifted() -> None:
    parts = [scores(1.0, 2.0, errors={1: "x"}), scores(), scores(3.0, errors={0: "y"})]
    whole = Scores.concatenate(parts)
    assert len(whole) == 3
    assert whole.total.tolist() == [1, 2, 3]
    assert whole.aspects["detail"].tolist() == [-1, -2, -3]
    assert whole.maps["dark"][:, 0, 0].tolist() == [1, 2, 3]
    assert [words[0].word for words in whole.words] == ["1.0", "2.0", "3.0"]
    assert whole.errors == {1: "x", 2: "y"}


def test_a_part_without_a_scored_picture_keeps_every_row_in_place() -> None:
    failed = Scores(torch.tensor([math.nan, math.nan]), {"detail": torch.full((2,), math.nan)},
                    errors={0: "x", 1: "y"})  # fmt: skip
    whole = Scores.concatenate([failed, scores(1.0), failed])
    assert whole.total.isnan().tolist() == [True, True, False, True, True]
    assert whole.maps["dark"].shape == (5, 2, 2)
    assert whole.maps["dark"].isnan().flatten(1).all(1).tolist() == [True, True, False, True, True]
    assert [len(words) for words in whole.words] == [0, 0, 1, 0, 0]
    assert sorted(whole.errors) == [0, 1, 3, 4]
    assert Scores.concatenate([failed, failed]).maps == {}


def test_concatenation_refuses_nothing_and_unequal_parts() -> None:
    with pytest.raises(DataError, match="there are no scores to concatenate"):
        Scores.concatenate([])
    with pytest.raises(DataError, match="different aspects"):
        Scores.concatenate([scores(1.0), Scores(torch.ones(1))])
    with pytest.raises(DataError, match="different maps"):
        Scores.concatenate([scores(1.0), Scores(torch.ones(1), {"detail": torch.ones(1)})])
    sure, unsure = (Scores(torch.ones(1), deviations=d) for d in ({}, {"overall": torch.ones(1)}))
    for parts in ([sure, unsure], [unsure, sure]):
        with pytest.raises(DataError, match="different deviations"):
            Scores.concatenate(parts)


def test_detached_scores_are_float32_without_gradient() -> None:
    leaf = torch.ones(2, dtype=torch.float64, requires_grad=True)
    plain = Scores(leaf * 2, {"detail": leaf * 3}, errors={0: "x"}).detach()
    assert plain.total.dtype == plain.aspects["detail"].dtype == torch.float32
    assert not plain.total.requires_grad
    assert plain.total.tolist() == [2, 2]
    assert plain.errors == {0: "x"}


def test_a_comparison_needs_two_pictures_and_a_rank_for_each() -> None:
    fine = Comparison(key="q", prompt="", images=("a", "b"), ranks={"detail": (1, 1)})
    assert (fine.annotator, fine.seconds, fine.flags) == ("unknown", None, frozenset())
    with pytest.raises(DataError, match="'q' has 1 pictures; it needs two or more"):
        Comparison(key="q", prompt="", images=("a",), ranks={})
    with pytest.raises(DataError, match="'q' has 2 pictures but 3 ranks of detail"):
        Comparison(key="q", prompt="", images=("a", "b"), ranks={"detail": (1, 2, 3)})


@pytest.mark.parametrize("p", [-0.01, 1.01, math.nan, math.inf])
def test_a_preference_is_a_probability(p: float) -> None:
    with pytest.raises(DataError, match=r"'q': p_first of overall is .*, expected a number in"):
        Preference(key="q", prompt="", first="a", second="b", p_first={"overall": p})


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_the_ends_of_a_preference_are_allowed(p: float) -> None:
    assert Preference(key="q", prompt="", first="a", second="b", p_first={"d": p}).votes == {}


def test_shapes_are_checked_in_the_tests() -> None:
    wrong: Tensor = torch.ones(2, 2)
    with pytest.raises(Exception, match="Type-check error"):
        Scores(wrong)


def test_a_rating_refuses_values_and_spans_that_cannot_be() -> None:
    words = ((2, 5),)
    assert Rating(key="q", prompt="a fox", image="a", misaligned=words).misaligned == words
    with pytest.raises(DataError, match=r"rating 'q' overall is 5, expected a number in \[0, 1\]"):
        Rating(key="q", prompt="a fox", image="a", values={"overall": 5})
    for span in ((2, 6), (3, 3), (-1, 2)):
        with pytest.raises(DataError, match="lies outside its prompt of 5 characters"):
            Rating(key="q", prompt="a fox", image="a", misaligned=(span,))


def test_feedback_refuses_a_value_that_is_no_share() -> None:
    with pytest.raises(DataError, match=r"feedback 'q' overall is nan, expected a number in"):
        Feedback(key="q", prompt="a fox", image="a", values={"overall": float("nan")})


def test_the_maps_of_a_picture_come_at_its_own_size_and_keep_their_mean() -> None:
    ramp = torch.linspace(0, 1, 16).reshape(1, 4, 4)
    scores = Scores(torch.zeros(1), maps={"implausibility": ramp}, sizes=((8, 12),))
    (found,) = scores.picture_maps(0).values()
    assert found.shape == (8, 12)
    torch.testing.assert_close(found.mean(), ramp.mean())


def test_maps_without_sizes_say_so() -> None:
    with pytest.raises(DataError, match="sizes"):
        Scores(torch.zeros(1), maps={"implausibility": torch.zeros(1, 4, 4)}).picture_maps(0)


def test_sizes_stay_with_their_rows() -> None:
    parts = [Scores(torch.zeros(1), sizes=((3, 4),)), Scores(torch.zeros(1), sizes=((5, 6),))]
    assert Scores.concatenate(parts).sizes == ((3, 4), (5, 6))


def test_scores_are_found_by_name() -> None:
    total, detail = torch.tensor([1.0]), torch.tensor([2.0])
    scores = Scores(total, {"detail": detail})
    assert scores.named("total") is total
    assert scores.named("detail") is detail
    with pytest.raises(KeyError):
        scores.named("colour")


def test_how_unsure_scores_are_survives_failed_batches() -> None:
    sure = Scores(torch.ones(2), deviations={"overall": torch.tensor([0.1, 0.2])})
    failed = Scores(torch.full((1,), math.nan), errors={0: "damaged: cut short"})
    told = Scores.concatenate([failed, sure]).detach().deviations["overall"]
    assert told[0].isnan()
    assert told[1:].tolist() == pytest.approx([0.1, 0.2])
