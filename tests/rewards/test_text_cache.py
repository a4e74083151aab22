import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from beholder.rewards._text_cache import TextCache


class Counting:
    """Encodes a text as its length times a weight, and remembers what it was asked."""

    def __init__(self) -> None:
        self.module = nn.Linear(1, 1, bias=False).eval()
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str]) -> tuple[Tensor, ...]:
        self.asked.append(texts)
        lengths = torch.tensor([[float(len(text))] for text in texts])
        return self.module(lengths), lengths[:, None].expand(-1, 3, 2)

    def through(self, cache: TextCache, texts: list[str]) -> tuple[Tensor, ...]:
        return cache.states(texts, self.module, self)


@torch.no_grad()
def test_each_text_is_encoded_once_and_given_in_every_row() -> None:
    cache, encode = TextCache(), Counting()
    first = encode.through(cache, ["a", "bbb", "a"])
    again = encode.through(cache, ["bbb", "cc", "a"])
    assert encode.asked == [["a", "bbb"], ["cc"]]
    assert first[1][:, 0, 0].tolist() == [1, 3, 1]
    assert again[1][:, 0, 0].tolist() == [3, 2, 1]
    assert again[1].shape == (3, 3, 2)
    assert torch.equal(again[0][0], first[0][1])


def changes() -> list[object]:
    def written(module: nn.Module) -> None:
        next(module.parameters()).mul_(2)

    def replaced(module: nn.Module) -> None:
        module.load_state_dict({"weight": torch.ones(1, 1)})

    def cast(module: nn.Module) -> None:
        module.double().float()

    return [written, replaced, cast]


@pytest.mark.parametrize("change", changes())
@torch.no_grad()
def test_new_weights_empty_the_cache(change: object) -> None:
    cache, encode = TextCache(), Counting()
    encode.through(cache, ["a"])
    change(encode.module)  # type: ignore[operator]
    states = encode.through(cache, ["a"])
    assert encode.asked == [["a"], ["a"]]
    assert torch.equal(states[0], encode.module(torch.ones(1, 1)))


def test_an_encoder_that_learns_is_always_asked() -> None:
    cache, encode = TextCache(), Counting()
    states = encode.through(cache, ["a", "a"])
    assert states[0].requires_grad
    encode.through(cache, ["a"])
    assert len(cache) == 0
    encode.module.requires_grad_(requires_grad=False)
    encode.through(cache, ["a"])
    encode.through(cache, ["a"])
    assert encode.asked == [["a"]] * 3
    encode.module.train()
    encode.through(cache, ["a"])
    assert len(encode.asked) == 4


@torch.no_grad()
def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    cache, encode = TextCache(limit_bytes=3 * 28), Counting()  # a text takes 7 numbers
    for text in ("a", "b", "c", "a", "d"):
        encode.through(cache, [text])
    assert len(cache) == 3
    encode.asked.clear()
    states = encode.through(cache, ["a", "b", "c", "d"])
    assert encode.asked == [["b"]]
    assert states[1][:, 0, 0].tolist() == [1, 1, 1, 1]
    many = encode.through(cache, [f"{k:04}" for k in range(9)])
    assert len(many[0]) == 9
    assert len(cache) == 3


@torch.no_grad()
def test_states_of_autocast_are_not_given_outside_it() -> None:
    cache, encode = TextCache(), Counting()
    with torch.autocast("cpu", torch.bfloat16):
        assert encode.through(cache, ["abc"])[0].dtype == torch.bfloat16
    assert encode.through(cache, ["abc"])[0].dtype == torch.float32
    assert len(encode.asked) == 2


@torch.no_grad()
def test_a_text_that_two_threads_encode_at_once_is_counted_once() -> None:
    cache, encode = TextCache(limit_bytes=2 * 28), Counting()

    def meanwhile(texts: list[str]) -> tuple[Tensor, ...]:
        encode.through(cache, texts)
        return encode(texts)

    cache.states(["a"], encode.module, meanwhile)
    encode.through(cache, ["b"])
    encode.asked.clear()
    encode.through(cache, ["a", "b"])
    assert encode.asked == []


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
@torch.no_grad()
def test_a_copy_starts_empty(copied: Callable[[TextCache], TextCache]) -> None:
    cache, encode = TextCache(), Counting()
    encode.through(cache, ["a"])
    again = copied(cache)
    assert (len(cache), len(again)) == (1, 0)
    encode.through(again, ["a"])
    assert encode.asked == [["a"], ["a"]]
