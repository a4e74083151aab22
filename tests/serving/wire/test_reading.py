import base64

import pytest

from beholder.errors import DataError
from beholder.serving._wire.reading import a_list, a_picture, a_text, an_object
from beholder.serving.items import Picture


def test_values_of_the_right_kind_are_given_back() -> None:
    fields = {"rows": [1], "text": "a"}
    assert an_object(fields, "the body") is fields
    assert a_list(fields, "rows") == [1]
    assert a_text(fields["text"], "text") == "a"


def test_others_are_named_with_what_came() -> None:
    with pytest.raises(DataError, match="the body must be a JSON object, got list"):
        an_object([], "the body")
    with pytest.raises(DataError, match="rows must be a list, got NoneType"):
        a_list({}, "rows")
    with pytest.raises(DataError, match="text must be a string, got int"):
        a_text(3, "text")


def test_a_picture_is_the_bytes_of_its_file() -> None:
    data = bytes(range(256))
    assert a_picture(base64.b64encode(data).decode(), "image") == Picture(data=data)


@pytest.mark.parametrize("text", ["/etc/passwd!", "a", "YQ==YQ==", "YQ", "ä", " YQ==", "YQ==\n"])
def test_what_is_not_exactly_base64_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="image is not base64") as caught:
        a_picture(text, "image")
    assert text not in str(caught.value) or text == "a"
