from itertools import combinations, permutations

import pytest
import torch

from beholder.annotation.joining.aggregate import by_votes
from beholder.training.judged.rankings import (
    apart,
    count_orders,
    make_rankings,
    order_of,
    orders_weight,
    questions,
)
from beholder.types import Comparison, Preference

P = "a cat"


def asked(ranks: dict[str, int], key: str = "q", aspect: str = "overall") -> list[Preference]:
    """The pairs of one annotator's ranking."""
    pairs = combinations(ranks, 2)
    return [pair(i, j, 0.5 + (ranks[j] - ranks[i]) / 10, key, aspect) for i, j in pairs]


def pair(
    first: str, second: str, p_first: float, key: str = "q", aspect: str = "overall"
) -> Preference:
    return Preference(key=key, prompt=P, first=first, second=second, p_first={aspect: p_first})


def ranks_of(pairs: list[Preference]) -> dict[str, int] | str:
    order = order_of(pairs, "overall")
    if isinstance(order, str):
        return order
    nodes, ranks = order
    return {picture: rank for (picture, _), rank in zip(nodes, ranks, strict=True)}


@pytest.mark.parametrize("given", [[1, 2, 3, 4], [3, 1, 4, 2], [1, 1, 2, 3], [2, 1, 1, 1], [1] * 4])
def test_the_pairs_of_a_ranking_give_it_back_whatever_their_order(given: list[int]) -> None:
    ranks = dict(zip("abcd", given, strict=True))
    assert ranks_of(asked(ranks)) == ranks
    assert ranks_of(asked(ranks)[::-1]) == ranks
    turned = [pair(p.second, p.first, 1 - p.p_first["overall"]) for p in asked(ranks)]
    assert ranks_of(turned) == ranks


def test_every_ranking_of_four_with_and_without_ties_survives() -> None:
    for given in {tuple(x) for n in (1, 2, 3, 4) for x in permutations([1, 2, 3, 4, *[n] * 2], 4)}:
        dense = {value: k for k, value in enumerate(sorted(set(given)), 1)}
        ranks = {name: dense[value] for name, value in zip("abcd", given, strict=True)}
        assert ranks_of(asked(ranks)) == ranks


def test_what_one_annotator_ranked_comes_back_from_the_votes() -> None:
    ranks = {"overall": (2, 1, 3, 2), "detail": (1, 2, 3, 4)}
    comparison = Comparison(key="q", prompt=P, images=("a", "b", "c", "d"), ranks=ranks)
    pairs = by_votes([comparison])
    nodes = {(picture, P): row for row, picture in enumerate("abcd")}
    found = make_rankings(pairs, nodes, frozenset({"overall", "detail"}))
    assert found["overall"].rows.tolist() == [[0, 1, 2, 3]]
    assert found["overall"].ranks.tolist() == [[2, 1, 3, 2]]
    assert found["detail"].ranks.tolist() == [[1, 2, 3, 4]]


def test_a_cycle_is_no_order() -> None:
    cycle = [pair("a", "b", 1), pair("b", "c", 1), pair("c", "a", 1)]
    assert ranks_of(cycle) == "cyclic"


def test_equal_pictures_must_be_equal_to_all_others() -> None:
    assert ranks_of([pair("a", "b", 0.5), pair("b", "c", 0.5), pair("a", "c", 1)]) == "cyclic"


def test_a_pair_answered_twice_counts_if_both_agree() -> None:
    whole = asked({"a": 1, "b": 2, "c": 3})
    assert ranks_of([*whole, pair("b", "a", 0.3)]) == {"a": 1, "b": 2, "c": 3}
    assert ranks_of([*whole, pair("b", "a", 0.7)]) == "cyclic"
    assert ranks_of([*whole, pair("a", "b", 0.5)]) == "cyclic"


def test_a_pair_that_is_missing_leaves_the_order_open() -> None:
    assert ranks_of(asked({"a": 1, "b": 2, "c": 3})[:-1]) == "incomplete"


def test_a_question_is_a_key_and_a_prompt() -> None:
    pairs = [pair("a", "b", 1, "q"), pair("a", "b", 1, "r"), pair("b", "c", 1, "q")]
    other = Preference(key="q", prompt="a dog", first="a", second="b", p_first={"overall": 1.0})
    assert questions([*pairs, other], range(4)) == [[0, 2], [1], [3]]


NODES = {(picture, P): row for row, picture in enumerate("abcde")}


def test_what_is_no_order_stays_pairs_with_ties_and_winners_in_their_places() -> None:
    cycle = [pair("a", "b", 0.9), pair("b", "c", 0.5), pair("c", "a", 0.8)]
    found = make_rankings([*cycle, *asked({"d": 1, "e": 2}, "r")], NODES, frozenset({"overall"}))
    assert found["overall"].rows.tolist() == [[0, 1], [1, 2], [2, 0], [3, 4]]
    assert found["overall"].ranks.tolist() == [[1, 2], [1, 1], [1, 2], [1, 2]]


def test_shorter_rankings_are_filled_and_orders_weigh_1() -> None:
    pairs = [*asked({"a": 2, "b": 1, "c": 3}, "q"), *asked({"d": 2, "e": 1}, "r")]
    found = make_rankings(pairs, NODES, frozenset({"overall"}))["overall"]
    assert found.rows.tolist() == [[0, 1, 2], [3, 4, -1]]
    assert found.ranks.tolist() == [[2, 1, 3], [2, 1, 0]]
    assert found.weight.tolist() == [1, 1]


def test_an_order_weighs_as_its_pairs_together_so_that_prompts_stay_even() -> None:
    cycle = [pair("a", "b", 1), pair("b", "c", 1), pair("c", "a", 1)]
    pairs = [*asked({"a": 1, "b": 2, "c": 3}, "r"), *cycle]
    found = make_rankings(pairs, NODES, frozenset({"overall"}), [0.5] * 3 + [2.0, 3.0, 4.0])
    torch.testing.assert_close(found["overall"].weight, torch.tensor([1.5, 2, 3, 4]))


def test_an_aspect_may_have_an_order_where_another_has_none() -> None:
    pairs = [
        Preference(key="q", prompt=P, first=i, second=j, p_first={"overall": 1.0, "detail": d})
        for i, j, d in [("a", "b", 1.0), ("b", "c", 1.0), ("a", "c", 0.0)]
    ]
    found = make_rankings(pairs, NODES, frozenset({"overall", "detail"}))
    assert found["overall"].ranks.tolist() == [[1, 2, 3]]
    assert found["detail"].ranks.shape == (3, 2)
    assert count_orders(pairs, frozenset({"overall", "detail"})) == {
        "rankings": 1,
        "pairs": 3,
        "incomplete": 0,
        "cyclic": 1,
        "soft": 0,
    }


def test_orders_are_counted_by_kind() -> None:
    ranking, two = asked({"a": 1, "b": 2, "c": 3}, "q"), asked({"a": 1, "b": 2}, "r")
    open_ = asked({"a": 1, "b": 2, "c": 3}, "s")[:2]
    assert count_orders([*ranking, *two, *open_], ["overall"]) == {
        "rankings": 1,
        "pairs": 3,
        "incomplete": 1,
        "cyclic": 0,
        "soft": 6,
    }


def test_answers_that_an_order_takes_for_certain_are_counted() -> None:
    pairs = [pair(str(k), "b", p) for k, p in enumerate((0, 0.25, 0.5, 0.9, 1))]
    assert count_orders(pairs, ["overall"])["soft"] == 2
    assert count_orders(pairs, ["detail"])["soft"] == 0


def test_orders_weigh_together_as_the_rankings_that_are_made_of_them() -> None:
    cycle = [pair("a", "b", 1), pair("b", "c", 1), pair("c", "a", 1)]
    pairs = [*asked({"a": 1, "b": 2, "c": 3}, "r"), *cycle]
    weights = [0.5] * 3 + [2.0, 3.0, 4.0]
    assert orders_weight(pairs, {"overall": 2.0, "detail": 1.0}, weights) == 2 * 10.5
    assert orders_weight(pairs, {"overall": 2.0}) == 2 * 4


def test_questions_without_an_order_fall_apart_and_the_others_keep_their_key() -> None:
    open_ = asked({"a": 1, "b": 2, "c": 3, "d": 4}, "s")[:-1]
    whole = asked({"a": 1, "b": 2, "c": 3}, "q")
    found = apart([*open_, *whole], ["overall"])
    assert len({p.key for p in found[:5]}) == 5
    assert found[5:] == whole
    # a, b and c of the open question are all compared, but people were asked for an order of four
    rankings = make_rankings(found, NODES, frozenset({"overall"}))["overall"]
    assert (rankings.ranks > 0).sum(dim=1).tolist() == [2] * 5 + [3]
