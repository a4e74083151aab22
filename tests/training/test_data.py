from itertools import combinations, islice

import pytest
import torch

from beholder.errors import DataError
from beholder.training.data import (
    Dropped,
    PairStream,
    Sides,
    counts,
    divide,
    in_order,
    make_batch,
    pictures_of,
    split_by_prompt,
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


def test_no_pair_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="no pair"):
        PairStream([], ["overall"], 4, seed=0)


def test_evaluation_sees_every_pair_once_in_order() -> None:
    batches = in_order(many(3), ["overall"], 7)
    assert [len(b.edges["overall"]) for b in batches] == [7, 7, 4]
    assert [len(b.prompts) for b in batches] == [2, 2, 1]


def test_whole_prompts_are_held_out() -> None:
    train, held_out = split_by_prompt(many(10), 0.2, seed=0)
    assert len(train) == 48
    assert len(held_out) == 12
    assert not {p.prompt for p in train} & {p.prompt for p in held_out}
    backwards = split_by_prompt(many(10)[::-1], 0.2, seed=0)[1]
    assert {p.key for p in backwards} == {p.key for p in held_out}


def test_a_small_share_still_holds_one_prompt_out() -> None:
    assert len(split_by_prompt(many(3), 0.01, seed=0)[1]) == 6


def test_one_prompt_cannot_be_split() -> None:
    with pytest.raises(DataError, match="held_out_share=0"):
        split_by_prompt(many(1), 0.1, seed=0)


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


def test_sides_are_held_out_or_given_and_never_without_an_answer() -> None:
    def sides(
        rows: list[Preference], given: list[Preference] | None, share: float
    ) -> Sides[Preference]:
        return divide(rows, given, ["overall"], {}, share=share, seed=0)

    own = sides([*many(5), pair("x", "a", "a")], None, 0.2)
    assert (len(own.training), len(own.held_out), len(own.dropped)) == (24, 6, 1)
    given = sides(many(2), [*many(1), pair("x", "a", "b", detail=1.0)], 0.2)
    assert (len(given.training), len(given.held_out), len(given.dropped)) == (12, 6, 1)
    assert sides(many(1), None, 0.0).held_out == []
    with pytest.raises(DataError, match=r"no pair is left to learn from; dropped: .*same-picture"):
        sides([pair("x", "a", "a")], None, 0.2)
    with pytest.raises(DataError, match="not a tie"):
        sides(many(2), [pair("x", "a", "b", overall=0.5)], 0.2)


def test_pictures_are_distinct_and_sorted() -> None:
    assert pictures_of([pair("x", "c", "a"), pair("y", "a", "b")]) == ["a", "b", "c"]
