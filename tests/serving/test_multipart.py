"""Forms in memory: as clients write them, and as nobody should."""

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beholder.serving.multipart import Part, content_type, parts_of
from beholder.serving.refusals import MalformedError, TooLargeError

HEAD = b'--b\r\nContent-Disposition: form-data; name="image"\r\n'


def written(files: list[tuple[str, bytes]]) -> tuple[bytes, str]:
    """Body and boundary, as httpx writes the parts."""
    parts = [(name, ("0", data, "image/png")) for name, data in files]
    request = httpx.Request("POST", "http://x", files=parts)
    _, parameters = content_type(request.headers["content-type"])
    return request.read(), parameters["boundary"]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=300)), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
def test_parts_are_what_a_client_sent_in_order(files: list[tuple[str, bytes]]) -> None:
    assert parts_of(*written(files), 5) == [Part(name, data, "image/png") for name, data in files]


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"--b", b"\r\n--", b"\r\n--c--", b"\r\r\n\r" * 50, b"\x00\xff" * 40]
)
def test_bytes_that_look_like_a_boundary_stay_bytes(data: bytes) -> None:
    assert parts_of(HEAD + b"\r\n" + data + b"\r\n--b--\r\n", "b", 1) == [Part("image", data)]


def test_the_type_of_a_part_is_read_with_its_parameters() -> None:
    head = HEAD + b"content-TYPE: Application/X-Pixels; dtype=uint8; Height=2\r\n\r\n"
    (part,) = parts_of(head + b"x\r\n--b--", "b", 1)
    assert part == Part("image", b"x", "application/x-pixels", {"dtype": "uint8", "height": "2"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"nonsense",
        b"--c\r\n\r\n\r\n--c--",
        HEAD,
        HEAD + b"\r\nx",
        HEAD + b"\r\nx\r\n--b",
        HEAD + b"\r\nx\r\n--c--",
        HEAD + b"no colon\r\n\r\nx\r\n--b--",
        b'--b\r\nContent-Disposition: attachment; name="image"\r\n\r\nx\r\n--b--',
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
        b"--b\r\n\r\nx\r\n--b--",
        b"--b\r\nX: " + b"a" * 5_000 + b"\r\n\r\nx\r\n--b--",
        b"--b\r\n" + b"".join(b"X-%d: a\r\n" % k for k in range(40)) + b"\r\nx\r\n--b--",
    ],
)
def test_what_is_cut_off_or_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        parts_of(body, "b", 9)


def test_parts_are_counted_from_one() -> None:
    with pytest.raises(MalformedError, match="part 2 has no name"):
        parts_of(HEAD + b"\r\nx\r\n--b\r\n\r\nx\r\n--b--", "b", 9)


def test_a_form_without_parts_has_none() -> None:
    assert parts_of(b"--b--", "b", 9) == []


@pytest.mark.parametrize("boundary", ["", "b" * 71, "bä"])
def test_a_form_needs_a_boundary_that_the_standard_allows(boundary: str) -> None:
    with pytest.raises(MalformedError, match="needs its boundary"):
        parts_of(HEAD + b"\r\nx\r\n--b--", boundary, 9)


def test_ten_thousand_parts_are_refused_at_the_first_too_many() -> None:
    body = (HEAD + b"\r\nx\r\n") * 10_000 + b"--b--"
    with pytest.raises(TooLargeError, match="more than 3 parts"):
        parts_of(body, "b", 3)
