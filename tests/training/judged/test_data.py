from dataclasses import replace
from itertools import combinations, islice

import pytest
import torch

from beholder.errors import DataError
from beholder.training.judged.data import (
    Dropped,
    PairStream,
    counts,
    in_order,
    make_batch,
    pictures_of,
    usable,
)
from beholder.types import Preference


def pair(prompt: str, first: str, second: str, **p_first: float) -> Preference:
    answers = p_first or {"overall": 1.0}
    key = f"{prompt}/{first}/{second}"
    return Preference(key=key, prompt=prompt, first=first, second=second, p_first=answers)


def many(prompts: int, pictures: int = 4) -> list[Preference]:
    return [
        pair(f"prompt {p}", f"{p}-{i}", f"{p}-{j}")
        for p in range(prompts)
        for i, j in combinations(range(pictures), 2)
    ]


def asked(questions: int, pictures: int = 4) -> list[Preference]:
    """Whole rankings: the pictures of a question are named in their order."""
    return [replace(p, key=p.prompt) for p in many(questions, pictures)]


def keys(stream: PairStream, number: int) -> set[tuple[str, str]]:
    batch = stream.batch(number)
    pictures = [batch.pictures[k] for k in batch.picture_rows.tolist()]
    return {(pictures[i], pictures[j]) for i, j in batch.edges["overall"].pairs.tolist()}


def test_six_pairs_of_four_pictures_are_four_rows_and_one_prompt() -> None:
    batch = make_batch(many(1), ["overall"])
    assert batch.pictures == ("0-0", "0-1", "0-2", "0-3")
    assert batch.prompts == ("prompt 0",)
    assert batch.texts == ["prompt 0"] * 4
    assert batch.edges["overall"].pairs.tolist() == [list(p) for p in combinations(range(4), 2)]


def test_a_picture_with_two_prompts_has_two_rows_but_is_there_once() -> None:
    batch = make_batch([pair("x", "a", "b"), pair("y", "a", "c")], ["overall"])
    assert batch.pictures == ("a", "b", "c")
    assert batch.picture_rows.tolist() == [0, 1, 0, 2]
    assert batch.prompt_rows.tolist() == [0, 0, 1, 1]
    assert batch.edges["overall"].pairs.tolist() == [[0, 1], [2, 3]]


def test_each_aspect_has_the_pairs_that_were_answered_for_it() -> None:
    pairs = [pair("x", "a", "b", detail=0.2), pair("x", "b", "c", detail=1.0, overall=0.5)]
    batch = make_batch(pairs, ["detail", "overall"])
    assert batch.edges["detail"].pairs.tolist() == [[0, 1], [1, 2]]
    torch.testing.assert_close(batch.edges["detail"].p_first, torch.tensor([0.2, 1.0]))
    assert batch.edges["overall"].pairs.tolist() == [[1, 2]]
    assert set(make_batch(pairs, ["overall"]).edges) == {"overall"}


@pytest.mark.parametrize("pairs", [1, 4, 5, 7, 100])
def test_an_epoch_visits_every_pair_once(pairs: int) -> None:
    stream = PairStream(many(5), ["overall"], pairs, seed=0)
    numbers = range(stream.batches_per_epoch)
    seen = [edge for n in numbers for edge in keys(stream, n)]
    assert len(seen) == len(set(seen)) == 30


def test_the_order_is_a_function_of_seed_and_number_alone() -> None:
    one, two, other = (PairStream(many(6), ["overall"], 4, seed) for seed in (0, 0, 1))
    started_late = [keys(two, n) for n in (25, 3, 11)]
    assert [keys(one, n) for n in (25, 3, 11)] == started_late
    assert [keys(other, n) for n in (25, 3, 11)] != started_late
    assert keys(one, 0) != keys(one, one.batches_per_epoch)  # another epoch, another order


def test_processes_share_the_stream() -> None:
    stream = PairStream(many(6), ["overall"], 4, seed=0)
    shares = [list(islice(stream.batches(rank, 2), 3)) for rank in (0, 1)]
    interleaved = [b.pictures for both in zip(*shares, strict=True) for b in both]
    assert interleaved == [stream.batch(n).pictures for n in range(6)]


def test_pairs_of_a_prompt_stay_together_but_leave_room_for_another() -> None:
    stream = PairStream(many(4), ["overall"], 12, seed=0)
    assert [len(stream.batch(n).prompts) for n in range(2)] == [2, 2]
    assert len(stream.batch(0).pictures) == 8  # 12 pairs would be 24 pictures apart


def test_rankings_are_made_of_the_pairs_where_they_are_asked_for() -> None:
    stream = PairStream(asked(3), ["overall"], 6, seed=0, ranked=True)
    batch = stream.batch(0)
    assert batch.rankings["overall"].ranks.tolist() == [[1, 2, 3, 4]]
    assert batch.rankings["overall"].rows.tolist() == [batch.picture_rows.tolist()]
    assert len(batch.edges["overall"]) == 6
    assert PairStream(asked(3), ["overall"], 6, seed=0).batch(0).rankings == {}


@pytest.mark.parametrize("pairs", [1, 5, 6, 7, 13, 100])
def test_no_ranking_is_ever_torn_and_an_epoch_has_each_once(pairs: int) -> None:
    stream = PairStream(asked(7), ["overall"], pairs, seed=0, ranked=True)
    for epoch in range(3):
        numbers = range(epoch * stream.batches_per_epoch, (epoch + 1) * stream.batches_per_epoch)
        batches = [stream.batch(n) for n in numbers]
        found = [ranks for b in batches for ranks in b.rankings["overall"].ranks.tolist()]
        assert found == [[1, 2, 3, 4]] * 7
        assert sorted({p for b in batches for p in b.pictures}) == sorted(pictures_of(asked(7)))


def test_a_batch_of_rankings_has_the_pairs_asked_for_give_or_take_a_question() -> None:
    stream = PairStream(asked(40), ["overall"], 20, seed=0, ranked=True)
    sizes = [len(stream.batch(n).edges["overall"]) for n in range(stream.batches_per_epoch)]
    assert sum(sizes) == 240
    assert 14 <= min(sizes) <= max(sizes) <= 26


def test_a_question_that_is_no_ranking_does_not_swell_the_batches() -> None:
    same_key = [replace(p, key="k", prompt="x") for p in many(50)]
    stream = PairStream(same_key, ["overall"], 10, seed=0, ranked=True)
    assert {len(stream.batch(n).edges["overall"]) for n in range(30)} == {10}
    assert [len(b.edges["overall"]) for b in in_order(same_key, ["overall"], 100, ranked=True)] == [
        100,
        100,
        100,
    ]


def test_held_out_rankings_stay_whole_even_if_they_fill_more_than_a_batch() -> None:
    batches = in_order(asked(3), ["overall"], 4, ranked=True)
    assert [b.rankings["overall"].ranks.tolist() for b in batches] == [[[1, 2, 3, 4]]] * 3


def test_weights_follow_their_pairs_into_every_order() -> None:
    pairs = many(6)
    weights = [float(k) for k in range(len(pairs))]
    stream = PairStream(pairs, ["overall"], 5, seed=3, weights=weights)
    place = {(p.first, p.second): weight for p, weight in zip(pairs, weights, strict=True)}
    for number in range(stream.batches_per_epoch):
        batch = stream.batch(number)
        edges = batch.edges["overall"]
        assert edges.weight is not None
        shown = [batch.pictures[k] for k in batch.picture_rows.tolist()]
        for (i, j), weight in zip(edges.pairs.tolist(), edges.weight.tolist(), strict=True):
            assert place[shown[i], shown[j]] == weight
    assert make_batch(pairs, ["overall"]).edges["overall"].weight is None


def test_a_batch_weighs_on_average_what_an_epoch_weighs_over_its_batches() -> None:
    pairs = [
        *many(3),
        pair("x", "a", "b", detail=1.0),
        pair("x", "b", "c", overall=1.0, detail=0.0),
    ]
    weights = [float(k) for k in range(len(pairs))]
    aspects = {"overall": 2.0, "detail": 10.0}
    expected = 2 * sum(weights[:18]) + 10 * weights[18] + 12 * weights[19]
    stream = PairStream(pairs, aspects, 6, seed=0, weights=weights)
    assert stream.batches_per_epoch == 4
    assert stream.mean_weight(aspects) == pytest.approx(expected / 4)
    assert PairStream(pairs, aspects, 6, seed=0).mean_weight(aspects) == (2 * 19 + 10 * 2) / 4
    ranked = PairStream(asked(7), aspects, 12, seed=0, ranked=True)
    assert ranked.mean_weight(aspects) == pytest.approx(2 * 7 / ranked.batches_per_epoch)


def test_an_aspect_that_some_pairs_lack_keeps_the_weights_of_the_others() -> None:
    pairs = [pair("x", "a", "b", detail=1.0), pair("x", "b", "c", overall=1.0)]
    edges = make_batch(pairs, ["detail", "overall"], [2.0, 5.0]).edges
    assert {a: e.weight.tolist() for a, e in edges.items() if e.weight is not None} == {
        "detail": [2.0],
        "overall": [5.0],
    }


def test_what_was_judged_moves_to_another_device_and_the_rest_stays() -> None:
    batch = make_batch(asked(1), ["overall"], ranked=True).judged_on("meta")
    assert batch.edges["overall"].pairs.is_meta
    assert batch.rankings["overall"].rows.is_meta
    assert not batch.picture_rows.is_meta


def test_no_pair_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="no pair"):
        PairStream([], ["overall"], 4, seed=0)


def test_evaluation_sees_every_pair_once_in_order() -> None:
    batches = in_order(many(3), ["overall"], 7)
    assert [len(b.edges["overall"]) for b in batches] == [7, 7, 4]
    assert [len(b.prompts) for b in batches] == [2, 2, 1]


def test_what_cannot_be_learned_from_is_dropped_with_its_reason() -> None:
    pairs = [
        pair("x", "a", "b"),
        pair("x", "a", "b", detail=1.0),
        pair("x", "a", "a"),
        pair("\ud800", "a", "b"),
        pair("x", "b", "broken"),
        pair("x", "broken", "gone"),
    ]
    bad = {"broken": "truncated: it ends early", "gone": "missing: there is no file"}
    kept, dropped = usable(pairs, ["overall"], bad)
    assert [p.key for p in kept] == ["x/a/b"]
    codes = [d.reason.partition(":")[0] for d in dropped]
    assert codes == ["no-answer", "same-picture", "prompt", "truncated", "truncated"]
    assert dropped[3] == Dropped("x/b/broken", "truncated: it ends early")
    assert counts(dropped)["truncated"] == 2


def test_pictures_are_distinct_and_sorted() -> None:
    assert pictures_of([pair("x", "c", "a"), pair("y", "a", "b")]) == ["a", "b", "c"]
