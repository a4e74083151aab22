from typing import Any

import pytest

from beholder._page.places import without_places


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("/home/me/secret/judgements", "judgements"),
        ("~/judgements", "judgements"),
        ("../judgements", "judgements"),
        (r"C:\Users\me\judgements", "judgements"),
        ("file:///home/me/weights.bin", "weights.bin"),
        ("user/repo", "user/repo"),
        ("a fox / an owl", "a fox / an owl"),
        (3, 3),
        (None, None),
    ],
)
def test_a_path_of_this_machine_keeps_its_last_name(given: Any, told: Any) -> None:
    assert without_places(given) == told


def test_paths_inside_are_found_and_secrets_left_out() -> None:
    given = {"run": "/x/run", "hub": {"token": "abc", "names": ["/y/z", "plain"]}}
    assert without_places(given) == {"run": "run", "hub": {"names": ["z", "plain"]}}
