"""A picture that ended its workers is known again, for the same rewards, and nothing else is."""

from dataclasses import replace

from beholder.serving.items import Fault, Item, Picture
from beholder.serving.poison import Poison


def item(data: bytes, *rewards: str, prompt: str | None = None) -> Item:
    return Item(picture=Picture(data=data), prompt=prompt, rewards=rewards or ("r",))


def is_refused(poison: Poison, asked: Item) -> bool:
    found = poison.refused(asked)
    if found is asked:
        return False
    assert isinstance(found.picture, Fault)
    assert found.picture.code == "worker-died"
    assert replace(found, picture=asked.picture) == asked
    return True


def test_the_same_bytes_for_the_same_rewards_are_refused_whatever_the_prompt() -> None:
    poison = Poison()
    poison.remember(item(b"deadly", "r", "s"))
    assert is_refused(poison, item(b"deadly", "r", "s"))
    assert is_refused(poison, item(b"deadly", "s", "r", prompt="a cat"))
    for other in (item(b"deadly", "r"), item(b"lively", "r", "s"), item(b"", "r", "s")):
        assert not is_refused(poison, other)
    pixels = Picture(data=b"deadly", encoding="uint8", height=1, width=2)
    assert not is_refused(poison, replace(item(b"deadly", "r", "s"), picture=pixels))


def test_an_item_without_a_picture_is_let_through_and_never_remembered() -> None:
    poison = Poison()
    without = replace(item(b""), picture=Fault("url", "refused"))
    poison.remember(without)
    assert len(poison) == 0
    assert not is_refused(poison, without)


def test_so_many_are_remembered_those_that_were_asked_for_last() -> None:
    poison = Poison(most=2)
    for data in (b"1", b"22"):
        poison.remember(item(data))
    assert is_refused(poison, item(b"1"))
    poison.remember(item(b"333"))
    assert len(poison) == 2
    assert [is_refused(poison, item(data)) for data in (b"1", b"22", b"333")] == [True, False, True]


def test_a_reload_forgets_all() -> None:
    poison = Poison()
    poison.remember(item(b"1"))
    poison.forget()
    assert not is_refused(poison, item(b"1"))
    assert len(poison) == 0
