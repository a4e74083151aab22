"""JSON of strangers: what the standard allows and no more, at a price that is bounded."""

import json
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beholder.serving.json_text import strict_json
from beholder.serving.refusals import MalformedError, TooLargeError

MOST = 10_000
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda of: st.lists(of, max_size=4) | st.dictionaries(st.text(), of, max_size=4),
    max_leaves=20,
)


@given(JSON)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_what_python_writes_is_read_back_as_it_was(value: object) -> None:
    assert strict_json(json.dumps(value).encode(), MOST) == value


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON at character 0"),
        (b'{"a": NaN}', "NaN, which is not JSON"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "too large for 64 bits"),
        (b"[" + b"1" * 401 + b"]", "more than 400 digits"),
        (b"[0." + b"1" * 400 + b"]", "more than 400 digits"),
        (b'{"a": 1, "b": {"a": 1, "a": 2}}', "same key twice"),
        (b"[" * 5_000, "nested too deeply"),
        (b'{"a":' * 5_000, "nested too deeply"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"a\nb"', "not JSON"),
        (b"{'a': 1}", "not JSON at character 1"),
        (b"[1,]", "not JSON"),
        (b"{} {}", "not JSON at character 3: extra data"),
        (b"01", "extra data"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(body: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        strict_json(body, MOST)


def test_no_complaint_quotes_what_was_sent() -> None:
    for body in (b'{"prompt": "secret" nonsense}', b'["secret\\q"]', b'{"secret": 1, "secret": 1}'):
        with pytest.raises(MalformedError) as caught:
            strict_json(body, MOST)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("bomb", [b"[[],", b"[{},", b"[0,", b'{"a":[],'])
def test_a_bomb_of_brackets_is_refused_before_anything_is_built(bomb: bytes) -> None:
    body = bomb[:1] + bomb[1:] * (8 * 2**20 // len(bomb))
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(TooLargeError, match="more than 10,000 commas"):
        strict_json(body, MOST)
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
    assert seconds < 1


def test_as_many_values_as_are_allowed_are_read() -> None:
    assert strict_json(b"[0,0,0]", 3) == [0, 0, 0]
    with pytest.raises(TooLargeError):
        strict_json(b"[0,0,0]", 2)


def test_an_object_of_a_thousand_keys_is_read_and_no_larger_one() -> None:
    keys = {str(k): k for k in range(1_001)}
    with pytest.raises(MalformedError, match="more than 1,000 keys"):
        strict_json(json.dumps(keys).encode(), MOST)
    del keys["0"]
    assert strict_json(json.dumps(keys).encode(), MOST) == keys


def test_lone_surrogates_come_through_for_whoever_has_to_judge_them() -> None:
    assert strict_json(b'"\\ud800"', MOST) == "\ud800"
