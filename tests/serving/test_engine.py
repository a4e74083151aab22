"""Batches of what is decoded, alone or together the same scores, one answer an item."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from beholder.rewards import Reward, load
from beholder.rewards.tiny import Tiny
from beholder.serving import engine as module
from beholder.serving import warming
from beholder.serving.backlog import Backlog
from beholder.serving.decoding import PEAK, Decoded, decoded
from beholder.serving.engine import PASS_SECONDS, Engine
from beholder.serving.items import Answer, Fault, Item, Picture
from beholder.serving.link import Batch
from beholder.serving.settings import WorkerSettings
from tests.serving.engine_rewards import (
    SECONDS,
    Clumsy,
    Gated,
    Mean,
    Picky,
    Promptless,
    Sluggish,
)
from tests.serving.fakes import png


class Bench:
    """An engine and what came out of it."""

    def __init__(
        self,
        rewards: Mapping[str, Reward],
        batch_size: int = 4,
        decoders: int = 2,
        pass_seconds: float = PASS_SECONDS,
    ) -> None:
        self.answers: dict[int, Answer] = {}
        self.batches: list[Batch] = []
        self.broken: list[BaseException] = []
        self.changed = threading.Condition()
        settings = WorkerSettings(rewards={}, batch_size=batch_size, decoders=decoders)
        told = self.batches.append
        self.engine = Engine(
            rewards, settings, self.answer, told, self.has_broken, pass_seconds=pass_seconds
        )

    def answer(self, number: int, answer: Answer) -> None:
        with self.changed:
            assert number not in self.answers
            self.answers[number] = answer
            self.changed.notify_all()

    def has_broken(self, error: BaseException) -> None:
        with self.changed:
            self.broken.append(error)
            self.changed.notify_all()

    def ask(self, number: int, prompt: str | None = "p", *rewards: str, level: int = 100) -> None:
        picture = Picture(data=png(level))
        self.engine.submit(number, Item(picture=picture, prompt=prompt, rewards=rewards or ("r",)))

    def wait(self, until: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(until, SECONDS)

    def wait_for(self, *numbers: int) -> None:
        self.wait(lambda: set(numbers) <= self.answers.keys())

    def total(self, number: int, reward: str = "r") -> float:
        return self.answers[number].scores[reward].total

    def fault(self, number: int, reward: str = "r") -> Fault:
        return self.answers[number].faults[reward]


@contextmanager
def held(reward: Gated, *others: tuple[str, Reward], batch_size: int = 4) -> Iterator[Bench]:
    """An engine whose model thread waits in a pass with item 0; the gate opens at the end."""
    made = Bench({"r": reward, **dict(others)}, batch_size)
    made.ask(0, "p", "r", level=0)
    assert reward.entered.wait(SECONDS)
    try:
        yield made
    finally:
        reward.gate.set()
        made.engine.close()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Picture]:
    """Pictures, as they are decoded."""
    found: list[Picture] = []

    def decode(picture: Picture, *rest: object) -> Decoded | Fault:
        found.append(picture)
        return decoded(picture, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "decoded", decode)
    return found


def test_a_batch_is_whatever_is_decoded_when_the_last_one_ends() -> None:
    reward = Gated()
    with held(reward) as made:
        for number in range(1, 7):
            made.ask(number, level=number)
        ready(made, "r", 6)
    assert reward.batches == [1, 4, 2]
    assert [(batch.reward, batch.size) for batch in made.batches] == [("r", n) for n in (1, 4, 2)]
    assert all(batch.waited >= 0 and batch.seconds > 0 for batch in made.batches)
    assert sorted(made.answers) == list(range(7))


def ready(made: Bench, reward: str, count: int) -> None:
    """Wait until so many pictures wait for a batch."""
    clock = threading.Event()
    for _ in range(SECONDS * 100):
        with made.engine._changed:
            if len(made.engine._backlog._ready[reward]) >= count:
                return
        clock.wait(0.01)
    raise AssertionError(f"{count} pictures were not decoded in {SECONDS} seconds")


def test_scores_are_those_of_the_reward_itself_whoever_shares_the_batch() -> None:
    reward = load("tiny")
    pictures = [png(level, (20 + level, 31)) for level in range(24)]
    prompts = [f"a {'cat' * (k % 5)} and {k // 3} dogs" for k in range(24)]
    expected = reward.score(pictures, prompts, batch_size=1)
    for batch_size, decoders in [(1, 1), (7, 3), (32, 2)]:
        made = Bench({"r": reward}, batch_size, decoders)
        for number, (data, prompt) in enumerate(zip(pictures, prompts, strict=True)):
            item = Item(picture=Picture(data=data), prompt=prompt, rewards=("r",))
            made.engine.submit(number, item)
        made.engine.close()
        totals = [made.total(k) for k in range(24)]
        assert totals == pytest.approx(expected.total.tolist(), abs=1e-6)
        for aspect, values in expected.aspects.items():
            mine = [made.answers[k].scores["r"].aspects[aspect] for k in range(24)]
            assert mine == pytest.approx(values.tolist(), abs=1e-6)
        assert [made.answers[k].scores["r"].size for k in range(24)] == list(expected.sizes)


def test_two_rewards_of_one_picture_decode_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = counted(monkeypatch)
    made = Bench({"r": Mean(), "whole": Promptless()})
    made.ask(1, "four", "r", "whole", "r", level=51)
    made.engine.close()
    assert len(pictures) == 1
    assert made.total(1) == pytest.approx(4.2)
    assert made.total(1, "whole") == pytest.approx(4.2)


def test_one_picture_with_many_prompts_is_decoded_and_encoded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = counted(monkeypatch)
    reward = Gated()
    with held(reward, batch_size=8) as made:
        for number in range(1, 6):
            made.ask(number, "x" * number, level=51)
        ready(made, "r", 5)
    assert len(pictures) == 2
    assert reward.encoded == 2
    assert [made.total(k) for k in range(1, 6)] == pytest.approx([k + 0.2 for k in range(1, 6)])


def test_rewards_take_turns() -> None:
    first, other = Gated(), Mean()
    with held(first, ("other", other), batch_size=2) as made:
        for number in range(1, 6):
            made.ask(number, "p", "r", level=number)
        made.ask(6, "p", "other")
        ready(made, "r", 5)
        ready(made, "other", 1)
    assert [b.reward for b in made.batches] == ["r", "other", "r", "r", "r"]


@pytest.mark.parametrize("word", ["key", "memory"])
def test_what_an_item_makes_a_reward_raise_is_its_own_fault(word: str) -> None:
    reward = Picky()
    made = Bench({"r": reward}, batch_size=8)
    for number, prompt in enumerate(["one", word, "three", "nothing", "five"]):
        made.ask(number, prompt)
    made.engine.close()
    assert [made.total(k) for k in (0, 2, 4)] == pytest.approx(
        [3 + 100 / 255] * 1 + [5.392157, 4.392157], abs=1e-5
    )
    assert made.fault(1).code == "reward-failed"
    assert made.fault(1).message.startswith(
        type(Picky.raised[word]).__name__ + " in engine_rewards.py"
    )
    assert "secret" not in made.fault(1).message
    assert made.fault(3) == Fault("non-finite", "the reward gave nan for this picture")


def test_a_batch_that_is_too_large_for_the_device_is_tried_in_parts() -> None:
    reward, gate = Clumsy(most=2), Gated()
    with held(gate, ("clumsy", reward), batch_size=8) as made:
        for number in range(1, 8):
            made.ask(number, "p", "clumsy", level=number)
        ready(made, "clumsy", 7)
    assert sorted(reward.batches) == [1, 2, 2, 2]
    assert all(made.total(k, "clumsy") == pytest.approx(1 + k / 255) for k in range(1, 8))


def test_a_broken_gpu_ends_the_engine_not_an_item() -> None:
    made = Bench({"r": Picky()})
    made.ask(1, "broken")
    made.wait(lambda: made.broken)
    assert "CUDA error" in str(made.broken[0])
    assert made.answers == {}


@pytest.mark.parametrize(
    ("prompt", "code"), [(None, "no-prompt"), ("a \ud800", "prompt"), ("x" * 20_001, "prompt")]
)
def test_a_prompt_that_cannot_be_scored_is_a_fault_before_anything_is_decoded(
    prompt: str | None, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = counted(monkeypatch)
    made = Bench({"r": Mean()})
    made.ask(1, prompt)
    assert made.fault(1).code == code
    made.engine.close()
    assert pictures == []


def test_a_reward_that_needs_no_prompt_scores_without_beside_one_that_does() -> None:
    made = Bench({"r": Mean(), "free": Promptless()})
    made.ask(1, None, "r", "free", level=51)
    made.engine.close()
    assert made.fault(1) == Fault("no-prompt", "mean needs a prompt, this item has none")
    assert made.total(1, "free") == pytest.approx(0.2)


def test_a_picture_that_never_came_is_answered_at_once() -> None:
    made = Bench({"r": Mean(), "free": Promptless()})
    refused = Fault("url", "refused")
    made.engine.submit(1, Item(picture=refused, prompt="p", rewards=("r", "free")))
    assert made.answers[1].faults == {"r": refused, "free": refused}
    made.engine.close()


def test_a_picture_that_cannot_be_read_is_a_fault_with_its_code() -> None:
    made = Bench({"r": Mean()})
    item = Item(picture=Picture(data=b"<html>"), prompt="p", rewards=("r",))
    made.engine.submit(1, item)
    made.ask(2)
    made.engine.close()
    assert made.fault(1).code == "format"
    assert "r" in made.answers[2].scores


def test_a_cancelled_item_is_answered_with_nothing_and_not_scored() -> None:
    reward = Gated()
    with held(reward) as made:
        for number in (1, 2, 3):
            made.ask(number, "x" * number, level=number)
        ready(made, "r", 3)
        made.engine.cancel(2)
        assert made.answers == {2: Answer()}
        made.engine.cancel(0)
        made.engine.cancel(77)
        assert made.answers.keys() == {2}
    assert reward.prompts == ["p", "x", "xxx"]
    assert made.answers[0] == Answer()
    assert [made.total(k) for k in (1, 3)] == pytest.approx([1 + 1 / 255, 3 + 3 / 255])


def test_pictures_are_not_decoded_further_ahead_than_memory_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = 300 * 300
    room = 3 * PEAK * pixels + 1000  # and a little for the picture that holds the models
    pictures = counted(monkeypatch)
    monkeypatch.setattr(module, "Backlog", lambda fittings: Backlog(fittings, room))
    with held(Gated(), ("whole", Promptless())) as made:
        for number in range(1, 21):
            picture = Picture(data=png(number, (300, 300)))
            made.engine.submit(number, Item(picture=picture, prompt="", rewards=("whole",)))
        ready(made, "whole", 9)
        assert 9 * 3 * pixels + PEAK * pixels > room
        assert made.engine._backlog.memory <= room
        assert len(pictures) == 1 + 9
    assert len(made.answers) == len(pictures) == 1 + 20


def test_noise_warms_each_reward_and_finds_what_it_can_tell() -> None:
    reward, other = Mean(), load("tiny")
    made = Bench({"r": reward, "t": other}, batch_size=6)
    assert made.engine.warm_up() == {"r": (), "t": ()}
    made.engine.close()
    assert reward.batches == [1, 1, 6]


def test_rewards_are_in_eval_mode_and_no_gradient_is_kept() -> None:
    reward = Tiny(0).train()
    made = Bench({"r": reward})
    assert not reward.training
    grad: list[bool] = []
    reward.heads.register_forward_hook(lambda *_: grad.append(torch.is_grad_enabled()))
    made.ask(1)
    made.engine.close()
    assert grad == [False]


def test_a_pass_of_a_slow_reward_takes_as_many_pictures_as_the_seconds_bid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reward = Sluggish(4.0)
    for place in (module, warming):
        monkeypatch.setattr(place, "time", SimpleNamespace(monotonic=reward.clock))
    made = Bench({"r": reward}, batch_size=32, pass_seconds=15.0)
    made.engine.warm_up()
    for number in range(8):
        made.ask(number, level=number)
    made.wait_for(*range(8))
    assert max(batch.size for batch in made.batches) <= 3
    reward.seconds = 0.25  # as it is once others have left the device
    for number in range(8, 12):
        made.ask(number, level=number)
    made.engine.close()
    assert made.engine._most == {"r": 32}
    assert sorted(made.answers) == list(range(12))


def test_a_pass_is_at_least_one_picture_and_at_most_a_batch() -> None:
    engine = Bench({}, batch_size=32, pass_seconds=15.0).engine
    seconds = [0.0, 0.1, 0.5, 1.0, 14.0, 100.0]
    assert [engine._most_of(s) for s in seconds] == [32, 32, 30, 15, 1, 1]
    engine.close()
