"""The queue is bounded, in order, and answers each item once, by a clock of the test's own."""

import asyncio
import math

import pytest

from beholder.serving.items import Answer, Fault, Item, Picture, Scored
from beholder.serving.queueing import Job, Queue, Request
from beholder.serving.refusals import NotReadyError, QueueFullError, TooLargeError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def item(size: int = 1, *rewards: str) -> Item:
    return Item(picture=Picture(data=bytes(size)), prompt=None, rewards=rewards or ("r",))


def answer(total: float) -> Answer:
    return Answer({"r": Scored(total=total)})


async def entered(queue: Queue, *sizes: int, within: float = math.inf) -> Request:
    return queue.enter([item(size) for size in sizes], within)


def rows(queue: Queue) -> list[tuple[int, int]]:
    """Size and row of everything that waits, taken in order."""
    jobs = [queue.take() for _ in range(queue.waiting)]
    return [(job.size, job.row) for job in jobs]


def refusal(queue: Queue, *sizes: int, within: float = math.inf) -> float | None:
    with pytest.raises(QueueFullError) as refused:
        asyncio.run(entered(queue, *sizes, within=within))
    return refused.value.retry_after


def test_items_come_out_in_the_order_of_their_coming_and_requests_take_turns() -> None:
    queue = Queue(10, 1000)
    asyncio.run(entered(queue, 5, 6, 7))
    asyncio.run(entered(queue, 8, 9))
    asyncio.run(entered(queue, 10))
    assert rows(queue) == [(5, 0), (8, 0), (10, 0), (6, 1), (9, 1), (7, 2)]
    assert (queue.waiting, len(queue)) == (0, 6)


def test_a_reward_never_waits_behind_all_that_another_has_to_do() -> None:
    async def main() -> None:
        queue = Queue(100, 1000)
        queue.enter([item(k) for k in range(1, 6)])
        queue.enter([item(11, "s"), item(12, "s"), item(13, "s", "r"), item(14, "r", "s")])
        assert [size for size, _ in rows(queue)] == [1, 11, 13, 2, 12, 14, 3, 4, 5]

    asyncio.run(main())


def test_answers_come_together_in_the_order_of_the_items_and_the_first_counts() -> None:
    async def main() -> None:
        queue = Queue(10, 1000)
        fault = Fault("url", "refused")
        without = Item(picture=fault, prompt=None, rewards=("r",))
        request = queue.enter([item(1), without, item(2)])
        first, second = queue.take(), queue.take()
        queue.answer(second, answer(2))
        queue.answer(second, answer(9))
        assert not request.done.done()
        queue.answer(first, answer(1))
        assert await request.done == [answer(1), Answer(faults={"r": fault}), answer(2)]
        assert len(queue) == 0
        assert queue.empty.is_set()

    asyncio.run(main())


def test_a_request_is_taken_whole_or_not_at_all() -> None:
    queue = Queue(3, 1000)
    asyncio.run(entered(queue, 1, 1))
    assert refusal(queue, 1, 1) == 1.0  # no rate was measured
    asyncio.run(entered(queue, 1))
    assert len(queue) == 3


def test_bytes_are_bounded_as_items_are() -> None:
    queue = Queue(10, 100)
    asyncio.run(entered(queue, 60))
    assert refusal(queue, 41) is not None
    asyncio.run(entered(queue, 40))
    with pytest.raises(TooLargeError, match="1 pictures of 101 bytes"):
        asyncio.run(entered(queue, 101))


def test_what_never_fits_is_not_asked_to_come_again() -> None:
    with pytest.raises(TooLargeError, match="at most 2"):
        asyncio.run(entered(Queue(2, 100), 1, 1, 1))


def test_suspects_go_first_and_what_no_worker_saw_goes_before_what_came_later() -> None:
    queue = Queue(10, 1000)
    asyncio.run(entered(queue, 1, 2, 3, 4))
    seen, first, second = (queue.take() for _ in range(3))
    queue.put_back([first, second])
    seen.deaths = 1
    queue.suspect(seen)
    assert queue.has_suspects
    assert [size for size, _ in rows(queue)] == [1, 2, 3, 4]
    assert not queue.has_suspects


def test_a_suspect_that_was_put_back_is_still_one() -> None:
    queue = Queue(10, 1000)
    asyncio.run(entered(queue, 1, 2))
    suspect = queue.take()
    suspect.deaths = 1
    queue.put_back([suspect])
    assert queue.has_suspects
    assert queue.take() is suspect


def test_who_leaves_frees_what_waits_and_what_is_in_hand() -> None:
    async def main() -> None:
        queue = Queue(4, 100)
        gone, other = queue.enter([item(50), item(20)]), queue.enter([item(30)])
        in_hand = queue.take()
        assert [job.size for job in queue.leave(gone)] == [50, 20]
        assert (len(queue), queue.waiting) == (1, 1)
        queue.enter([item(70)] + [item(0)] * 2)
        queue.answer(in_hand, answer(1))
        queue.suspect(in_hand)
        queue.put_back([in_hand])
        assert (len(queue), queue.waiting) == (4, 4)
        assert not gone.done.done()
        queue.answer(queue.take(), answer(3))
        assert await other.done == [answer(3)]
        assert queue.leave(other) == []

    asyncio.run(main())


def test_only_requests_that_have_begun_are_taken_to_be_finished() -> None:
    queue = Queue(10, 1000)
    asyncio.run(entered(queue, 1, 2, 3))
    asyncio.run(entered(queue, 4))
    queue.take()
    assert [job.size for job in queue.begun()] == [2, 3]
    assert rows(queue) == [(4, 0)]


def test_closing_refuses_who_waits() -> None:
    async def main() -> None:
        queue = Queue(10, 1000)
        request = queue.enter([item()])
        queue.close(NotReadyError("over"))
        with pytest.raises(NotReadyError, match="over"):
            await request.done
        assert len(queue) == 0

    asyncio.run(main())


def worked(queue: Queue, clock: Clock, seconds: float, items: int) -> None:
    """Accept and answer items, one after another."""

    async def main() -> None:
        queue.enter([item()] * items)
        for _ in range(items):
            clock.now += seconds
            queue.answer(queue.take(), answer(0))

    asyncio.run(main())


def test_when_to_come_again_follows_from_the_rate_that_was_measured() -> None:
    clock = Clock()
    queue = Queue(100, 1000, clock)
    worked(queue, clock, 0.5, 100)
    clock.now += 1000  # idle time is no slowness
    asyncio.run(entered(queue, *[1] * 90))
    assert refusal(queue, *[1] * 30) == pytest.approx(20 * 0.5)
    assert refusal(queue, 1, 910) == pytest.approx(1 / 90 * 90 * 0.5)  # a byte over: an item of one


def test_a_request_whose_turn_comes_too_late_is_refused_at_once() -> None:
    clock = Clock()
    queue = Queue(100, 1000, clock)
    worked(queue, clock, 0.5, 50)
    asyncio.run(entered(queue, *[1] * 50, within=10))  # nothing is before it
    assert refusal(queue, 1, within=20) == pytest.approx(50 * 0.5 - 20)
    asyncio.run(entered(queue, 1, within=25.1))


def test_waits_that_are_told_are_neither_nothing_nor_for_ever() -> None:
    for seconds, told in [(1e-6, 0.1), (1e4, 60.0)]:
        clock = Clock()
        queue = Queue(2, 1000, clock)
        worked(queue, clock, seconds, 2)
        asyncio.run(entered(queue, 1, 1))
        assert refusal(queue, 1) == told


def test_no_two_jobs_have_one_number() -> None:
    queue = Queue(10, 1000)
    for _ in range(3):
        asyncio.run(entered(queue, 1, 1))
    jobs: list[Job] = [queue.take() for _ in range(6)]
    assert len({job.id for job in jobs}) == 6


def test_what_passes_take_counts_also_if_nobody_waited_for_their_end() -> None:
    queue = Queue(100, 1000)
    queue.rate.passed("r", 4, 2.0)
    asyncio.run(entered(queue, *[1] * 40, within=1))  # nothing is before it
    assert refusal(queue, 1, within=21.9) == pytest.approx(40 * 0.5 + 2.0 - 21.9)
    queue.rate.workers = 2
    asyncio.run(entered(queue, 1, within=40 * 0.5 / 2 + 2.1))


def test_what_waits_for_another_reward_makes_a_request_late_by_turns_alone() -> None:
    async def main() -> None:
        queue = Queue(100, 1000)
        queue.rate.passed("s", 1, 5.0)
        queue.rate.passed("r", 10, 0.1)
        queue.enter([item(1, "s")] * 30)
        queue.enter([item(1, "r")], within=1)
        with pytest.raises(QueueFullError) as refused:
            queue.enter([item(1, "r")], within=5)  # one of the other reward goes before it
        assert refused.value.retry_after == pytest.approx(5.0 + 0.01 + 0.1 - 5)
        queue.enter([item(1, "r")], within=6)

    asyncio.run(main())


def test_a_share_of_the_places_is_kept_for_rewards_of_which_few_items_wait() -> None:
    async def main() -> None:
        queue = Queue(16, 1600, kept=0.25)
        with pytest.raises(TooLargeError, match="at most 12 of together 1200"):
            queue.enter([item(1, "s")] * 13)
        flood = queue.enter([item(1, "s")] * 12)
        for _ in range(4):
            with pytest.raises(QueueFullError):
                queue.enter([item(1, "s")])
            queue.enter([item(1, "r")])
        with pytest.raises(QueueFullError):
            queue.enter([item(1, "r")])
        queue.leave(flood)
        queue.enter([item(1, "s")] * 4)

    asyncio.run(main())


class Overload:
    """A slow reward by a clock of the test's own: clients give up after a while and ask again."""

    seconds, patience, batch = 1.0, 20.0, 4

    def __init__(self) -> None:
        self.clock = Clock()
        self.queue = Queue(1000, 10**6, self.clock)
        self.asked: list[tuple[float, Request]] = []
        self.in_time = self.late = self.refused = 0

    def ask(self) -> None:
        try:
            request = self.queue.enter([item()], self.patience)
        except QueueFullError:
            self.refused += 1
        else:
            self.asked.append((self.clock.now, request))

    def give_up(self) -> None:
        for since, request in list(self.asked):
            if request.done.done() or self.clock.now - since > self.patience:
                self.in_time += request.done.done()
                self.late += not request.done.done()
                self.queue.leave(request)
                self.asked.remove((since, request))

    def one_pass(self) -> None:
        """Twice as many come as can be scored."""
        jobs = [self.queue.take() for _ in range(min(self.batch, self.queue.waiting))]
        for _ in range(2 * len(jobs)):
            self.clock.now += self.seconds / 2
            self.ask()
            self.give_up()
        self.queue.rate.passed("r", len(jobs), len(jobs) * self.seconds)
        for job in jobs:
            self.queue.answer(job, answer(0))
        self.give_up()


def test_a_reward_that_cannot_keep_up_refuses_and_answers_what_it_took_in_time() -> None:
    async def main() -> None:
        load = Overload()
        for _ in range(60):  # more than the reward scores within their patience
            load.ask()
        for _ in range(100):
            load.one_pass()
        assert load.late <= 60 - load.patience + 2 * load.batch  # of those that came at once
        assert load.in_time >= 0.95 * (400 - load.patience)
        assert load.refused >= 0.9 * 400

    asyncio.run(main())
