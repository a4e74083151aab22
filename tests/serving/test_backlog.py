"""Order, fairness and memory of what a worker has in hand; every item ends exactly once."""

import gc
import random
import weakref
from collections import Counter
from collections.abc import Sequence

import pytest
import torch

from beholder.rewards._preprocess import Preprocess
from beholder.serving import backlog as module
from beholder.serving.backlog import Backlog, Finished, Part, Shared, Ticket
from beholder.serving.decoding import Decoded
from beholder.serving.items import Answer, Fault, Picture, Scored

SMALL = Preprocess(size=8)
FITTINGS = {"a": None, "b": SMALL, "c": SMALL}


def ticket(number: int, since: float = 0.0) -> Ticket:
    return Ticket(id=number, prompt="p", detail=frozenset(), since=since or float(number))


def picture(number: int) -> Picture:
    return Picture(data=number.to_bytes(4))


def add(backlog: Backlog, number: int, rewards: Sequence[str] = ("a",), memory: int = 10) -> None:
    backlog.add(ticket(number), picture(number), rewards, memory)


def views(shared: Shared, side: int = 1) -> Decoded:
    """Three bytes for each fitting."""
    pixels = torch.zeros(3, side, side, dtype=torch.uint8)
    return Decoded(dict.fromkeys(shared.fittings, pixels), (side, side))


def decode_all(backlog: Backlog) -> list[Shared]:
    found = []
    while (shared := backlog.next_picture()) is not None:
        backlog.decoded(shared, views(shared))
        found.append(shared)
    return found


def numbers(parts: Sequence[Part]) -> list[int]:
    return [part.ticket.id for part in parts]


def score(backlog: Backlog, parts: Sequence[Part]) -> Finished:
    done = []
    for part in parts:
        done += backlog.done(part, Scored(total=float(part.ticket.id)))
    return done


def test_an_item_goes_from_its_picture_through_a_batch_to_its_answer() -> None:
    backlog = Backlog(FITTINGS)
    add(backlog, 1, memory=10)
    assert backlog.batch(4) == []
    shared = backlog.next_picture()
    assert shared is not None
    assert (shared.picture, backlog.memory, len(backlog)) == (picture(1), 10, 1)
    assert backlog.next_picture() is None
    assert backlog.decoded(shared, views(shared)) == []
    assert backlog.memory == 3
    (part,) = backlog.batch(4)
    assert backlog.batch(4) == []
    assert backlog.done(part, Scored(total=2.0)) == [(1, Answer({"a": Scored(total=2.0)}))]
    assert (backlog.memory, len(backlog)) == (0, 0)


def test_pictures_are_decoded_oldest_first_and_batches_take_the_oldest() -> None:
    backlog = Backlog(FITTINGS)
    for number in range(1, 6):
        add(backlog, number)
    shared = [backlog.next_picture() for _ in range(5)]
    assert [s.picture for s in shared if s] == [picture(k) for k in range(1, 6)]
    for s in (shared[4], shared[0], shared[2], shared[1], shared[3]):  # as threads finish them
        assert s is not None
        backlog.decoded(s, views(s))
    assert numbers(backlog.batch(3)) == [1, 2, 3]
    assert numbers(backlog.batch(3)) == [4, 5]


def test_rewards_take_turns_so_that_many_items_for_one_do_not_hold_up_another() -> None:
    backlog = Backlog(FITTINGS)
    for number in range(1, 8):
        add(backlog, number, ["a"])
    add(backlog, 8, ["b"])
    add(backlog, 9, ["c"])
    decode_all(backlog)
    batches = [backlog.batch(3) for _ in range(5)]
    assert [parts[0].reward for parts in batches] == ["a", "b", "c", "a", "a"]
    assert [numbers(parts) for parts in batches] == [[1, 2, 3], [8], [9], [4, 5, 6], [7]]


def test_a_picture_is_decoded_once_for_all_rewards_and_its_view_is_one_tensor() -> None:
    backlog = Backlog(FITTINGS)
    add(backlog, 1, ["a", "b", "c"])
    (shared,) = decode_all(backlog)
    assert shared.fittings == {None, SMALL}
    assert backlog.memory == 6
    batches = [backlog.batch(3) for _ in range(3)]
    first = score(backlog, batches[0]) + score(backlog, batches[1])
    assert first == []
    assert backlog.memory == 6
    ((number, answer),) = score(backlog, batches[2])
    assert (number, set(answer.scores), backlog.memory) == (1, {"a", "b", "c"}, 0)


def test_items_that_show_the_same_bytes_share_what_is_decoded() -> None:
    backlog = Backlog(FITTINGS)
    for number in (1, 2):
        backlog.add(ticket(number), picture(7), ["a"], 10)
    (shared,) = decode_all(backlog)
    backlog.add(ticket(3), picture(7), ["a"], 10)
    assert backlog.next_picture() is None
    parts = backlog.batch(4)
    assert [part.shared for part in parts] == [shared] * 3
    score(backlog, parts)
    assert backlog.memory == 0
    backlog.add(ticket(4), picture(7), ["a"], 10)
    assert len(decode_all(backlog)) == 1


def test_the_same_bytes_for_a_reward_that_sees_them_otherwise_are_another_picture() -> None:
    backlog = Backlog(FITTINGS)
    for number, reward in [(1, "a"), (2, "b"), (3, "c")]:
        backlog.add(ticket(number), picture(7), [reward], 10)
    assert [s.fittings for s in decode_all(backlog)] == [{None}, {SMALL}]


def test_pictures_wait_while_there_is_no_room_and_a_large_one_is_not_overtaken() -> None:
    backlog = Backlog(FITTINGS, room=100)
    for number, memory in [(1, 60), (2, 60), (3, 10)]:
        add(backlog, number, memory=memory)
    first = backlog.next_picture()
    assert first is not None
    assert backlog.next_picture() is None
    backlog.decoded(first, views(first, side=4))
    assert backlog.memory == 48
    assert backlog.next_picture() is None
    score(backlog, backlog.batch(1))
    assert len(decode_all(backlog)) == 2


def test_a_picture_that_is_larger_than_the_room_is_taken_alone() -> None:
    backlog = Backlog(FITTINGS, room=100)
    add(backlog, 1, memory=10)
    add(backlog, 2, memory=500)
    first = backlog.next_picture()
    assert first is not None
    assert backlog.next_picture() is None
    assert backlog.decoded(first, Fault("corrupt", "x")) != []
    assert backlog.next_picture() is not None
    assert backlog.memory == 500


def test_a_batch_of_large_pictures_is_small_even_if_they_are_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", 5 * 48)
    backlog = Backlog(FITTINGS)
    for number in range(1, 9):
        backlog.add(ticket(number), picture(7), ["a"], 10)
    shared = backlog.next_picture()
    assert shared is not None
    backlog.decoded(shared, views(shared, side=4))
    assert numbers(backlog.batch(8)) == [1, 2, 3, 4, 5]
    assert numbers(backlog.batch(8)) == [6, 7, 8]


def test_a_picture_that_cannot_be_decoded_is_the_fault_of_every_item_that_shows_it() -> None:
    backlog = Backlog(FITTINGS)
    backlog.add(ticket(1), picture(7), ["a", "b"], 10)
    backlog.add(ticket(2), picture(7), ["b", "a"], 10)
    shared = backlog.next_picture()
    assert shared is not None
    fault = Fault("corrupt", "damaged")
    both = Answer(faults={"a": fault, "b": fault})
    assert dict(backlog.decoded(shared, fault)) == {1: both, 2: both}
    assert (backlog.memory, len(backlog), backlog.batch(9)) == (0, 0, [])


@pytest.mark.parametrize("stage", ["waiting", "decoding", "ready", "running"])
def test_a_cancelled_item_is_answered_once_and_harms_no_neighbour(stage: str) -> None:
    backlog = Backlog(FITTINGS)
    for number in (1, 2):
        backlog.add(ticket(number), picture(7), ["a"], 10)
    add(backlog, 3)
    ended: Finished = []
    if stage == "waiting":
        ended += backlog.cancel(1)
    shared = backlog.next_picture()
    assert shared is not None
    if stage == "decoding":
        ended += backlog.cancel(1)
    ended += backlog.decoded(shared, views(shared))
    if stage == "ready":
        ended += backlog.cancel(1)
    decode_all(backlog)
    parts = backlog.batch(4)
    if stage == "running":
        assert backlog.cancel(1) == []
    else:
        assert ended == [(1, Answer())]
        assert numbers(parts) == [2, 3]
    answers = dict(ended + score(backlog, parts))
    assert answers[1] == Answer()
    assert [answers[k].scores["a"].total for k in (2, 3)] == [2, 3]
    assert (backlog.memory, len(backlog)) == (0, 0)
    assert backlog.cancel(1) == []


def test_a_picture_that_nobody_waits_for_is_not_decoded_and_frees_its_room() -> None:
    backlog = Backlog(FITTINGS, room=100)
    for number in (1, 2, 3):
        add(backlog, number, memory=100)
    backlog.cancel(2)
    first = backlog.next_picture()
    assert first is not None
    assert backlog.cancel(1) == []  # a thread has it
    assert backlog.decoded(first, views(first)) == [(1, Answer())]
    assert backlog.memory == 0
    third = backlog.next_picture()
    assert third is not None
    assert third.picture == picture(3)


def test_an_item_that_leaves_before_its_batch_takes_its_bytes_along() -> None:
    backlog = Backlog(FITTINGS)
    seen = []
    for number in (1, 2, 3):
        backlog.add(ticket(number), picture(number), ["a", "b"], 10)
        (shared,) = decode_all(backlog)
        seen.append(weakref.ref(shared))
    del shared
    running = backlog.batch(1)
    assert backlog.cancel(2) == [(2, Answer())]
    gc.collect()
    assert [ref() is None for ref in seen] == [False, True, False]
    assert numbers(backlog.batch(9)) == [1, 3]
    assert [part.reward for part in running] == ["a"]


def test_of_a_reward_with_a_bound_fewer_are_taken_at_once() -> None:
    backlog = Backlog(FITTINGS)
    for number in range(1, 8):
        add(backlog, number, ["ab"[number % 2]])
    decode_all(backlog)
    taken = [numbers(backlog.batch(3, {"a": 2, "b": 9})) for _ in range(3)]
    assert taken == [[2, 4], [1, 3, 5], [6]]


def test_cancelling_an_item_that_is_unknown_changes_nothing() -> None:
    assert Backlog(FITTINGS).cancel(5) == []


class Weather:
    """A backlog to which anything happens, in the order of a seed."""

    def __init__(self, backlog: Backlog) -> None:
        self.backlog = backlog
        self.rng = random.Random(0)
        self.ended: Counter[int] = Counter()
        self.decoding: list[Shared] = []
        self.running: list[list[Part]] = []

    def end(self, finished: Finished) -> None:
        self.ended.update(number for number, _ in finished)

    def come(self, number: int) -> None:
        rewards = self.rng.sample(sorted(FITTINGS), self.rng.randint(1, 3))
        shown = picture(self.rng.randint(0, 9))
        self.backlog.add(ticket(number), shown, rewards, self.rng.choice([3, 20, 40]))

    def leave(self, number: int) -> None:
        self.end(self.backlog.cancel(number))

    def go_on(self) -> None:
        self.rng.choice([self.begin_picture, self.end_picture, self.begin_batch, self.end_batch])()

    def begin_picture(self) -> None:
        if shared := self.backlog.next_picture():
            self.decoding.append(shared)

    def end_picture(self) -> None:
        if self.decoding:
            shared = self.decoding.pop(self.rng.randrange(len(self.decoding)))
            is_good = self.rng.random() < 0.5
            found = views(shared) if is_good else Fault("corrupt", "x")
            self.end(self.backlog.decoded(shared, found))

    def begin_batch(self) -> None:
        if parts := self.backlog.batch(self.rng.randint(1, 5)):
            self.running.append(parts)

    def end_batch(self) -> None:
        if self.running:
            self.end(score(self.backlog, self.running.pop()))


def test_whatever_happens_every_item_ends_once_and_memory_stays_within_the_room() -> None:
    weather = Weather(Backlog(FITTINGS, room=60))
    for number in range(600):
        weather.come(number)
        if weather.rng.random() < 0.3:
            weather.leave(weather.rng.randint(0, number))
        for _ in range(5):
            weather.go_on()
            assert weather.backlog.memory <= 60
    while weather.backlog:
        weather.go_on()
    assert weather.ended == Counter(range(600))
    assert weather.backlog.memory == sum(shared.memory for shared in weather.decoding)
