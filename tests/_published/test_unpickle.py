import io
import os
import pickle
import random
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from beholder._published.unpickle import Call, read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def refuse(identity: tuple[object, ...]) -> object:
    raise ValueError(f"nothing is kept outside, but {len(identity)} parts are named")


def read(data: bytes) -> object:
    return read_pickle(io.BytesIO(data), refuse)


class Reduced:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Restored:
    """Pickles with a state that is code to run."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __setstate__(self, state: dict[str, str]) -> None:
        exec(state["code"])


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_of_every_protocol_come_back(protocol: int) -> None:
    shared = [1, 2]
    values: dict[object, object] = {
        "numbers": [0, -1, 255, 65_536, 2**40, -(2**70), 1.5, float("inf")],
        "texts": ("", "a cat", "кот"),
        "rest": [None, True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {}, []],
        "shared": [shared, shared],
        7: {"nested": {"deeper": [[[]]]}},
    }
    if protocol >= 3:  # before, bytes were pickled as a call
        values["bytes"] = (b"", b"\x00\xff", bytearray(b"ab") if protocol >= 5 else b"ab")
    found = read(pickle.dumps(values, protocol))
    assert found == values
    assert isinstance(found, dict)
    assert found["shared"][0] is found["shared"][1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_object_stays_a_call_with_its_state(protocol: int) -> None:
    found = read(pickle.dumps(Point(3), protocol))
    assert isinstance(found, Call)
    assert found.state == {"x": 3}
    assert found.function == (f"{__name__}.Point" if protocol > 1 else "copy_reg._reconstructor")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ordered_dicts_are_dicts_and_sets_are_lists(protocol: int) -> None:
    found = read(pickle.dumps([OrderedDict(b=1, a=2), {5}, frozenset({6})], protocol))
    assert found == [{"b": 1, "a": 2}, [5], [6]]


def test_a_cycle_is_kept() -> None:
    ring: list[object] = []
    ring.append(ring)
    found = read(pickle.dumps(ring))
    assert isinstance(found, list)
    assert found[0] is found


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("payload", ["system", "eval", "exec", "state", "import", "iterator"])
def test_no_payload_runs(
    payload: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    touch = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    (tmp_path / "trap.py").write_text(f"{touch}\nvalue = 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    attacks = {
        "system": pickle.dumps(Reduced(os.system, f"touch {canary}"), protocol),
        "eval": pickle.dumps(Reduced(eval, touch), protocol),
        "exec": pickle.dumps([{"model": Reduced(exec, touch)}], protocol),
        "state": pickle.dumps(Restored(touch), protocol),
        "import": b"ctrap\nvalue\n.",
        "iterator": pickle.dumps(Reduced(list, Reduced(map, eval, [touch])), protocol),
    }
    with suppress(ValueError):
        read(attacks[payload])
    assert "trap" not in sys.modules
    assert not canary.exists()
    pickle.loads(attacks[payload])  # the payloads are live: Python's own reader falls for each
    assert canary.exists()
    sys.modules.pop("trap", None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_truncation_is_an_error(protocol: int) -> None:
    data = pickle.dumps({"a": [1, (2.5, "x"), Point(1)], "b": OrderedDict(c=b"123")}, protocol)
    for length in range(len(data)):
        with pytest.raises(ValueError):
            read(data[:length])


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_changed_bytes_give_a_tree_or_a_value_error(protocol: int) -> None:
    data = pickle.dumps({"a": [1, (2.5, "x"), Point(1)], "b": OrderedDict(c=b"123")}, protocol)
    chance = random.Random(protocol)
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read(bytes(changed))
        except ValueError:
            continue


def test_a_deeply_nested_key_is_dropped_without_hashing_it() -> None:
    assert read(b"\x80\x02}N" + b"\x85" * 50_000 + b"K\x01s.") == {}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80\x02\x8d" + b"\xff" * 8 + b"x.", "byte count"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"h\x05.", "broken at byte 0"),
        (b"a.", "broken at byte 0"),
        (b".", "describes nothing"),
        (b"", "exhausted"),
        (b"K\x01K\x02K\x03s.", "an entry is set on a int"),
        (b"K\x01K\x02\x93.", "named by something other than text"),
        (b"cos\nsystem\nK\x01R.", "expected a tuple, got a int"),
        (b"K\x01Q.", "expected a tuple, got a int"),
        (b"(K\x01tQ.", "nothing is kept outside"),
    ],
)
def test_a_broken_or_huge_pickle_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(data)


def test_a_pickle_of_too_many_steps_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beholder._published.unpickle.MAX_OPCODES", 100)
    assert read(b"N" * 99 + b".") is None
    with pytest.raises(ValueError, match="more than 100 opcodes"):
        read(b"N" * 100 + b".")


def test_a_huge_memo_index_costs_no_memory() -> None:
    started = time.process_time()
    assert read(b"\x80\x02K\x07r\xff\xff\xff\x7f0j\xff\xff\xff\x7f.") == 7
    assert time.process_time() - started < 0.5


def test_the_stream_is_left_behind_the_pickle() -> None:
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps("two") + b"rest")
    assert [read_pickle(stream, refuse), read_pickle(stream, refuse)] == [1, "two"]
    assert stream.read() == b"rest"
