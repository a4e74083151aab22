import pytest

from beholder.eval._outputs.naming import Names, suffix_of


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a.png", "a"),
        ("sub/v1.0/A.png", "sub/v1.0/A"),
        ("../../etc/passwd", "etc/passwd"),
        ("/root/x.png", "root/x"),
        ("bad:name?.png", "bad_name_"),
        ("", "picture"),
        ("..", "picture"),
        ("x" * 400, "x" * 150),
        ("日本.png", "日本"),
    ],
)
def test_a_name_stays_in_the_folder_and_is_never_odd(key: str, name: str) -> None:
    assert Names().stem(key, ".png") == name


def test_no_name_occurs_twice_on_any_disk() -> None:
    names = Names()
    found = [
        names.stem(key, suffix)
        for key, suffix in [("a.png", ".png"), ("A.png", ".png"), ("a.jpg", ".jpg"), ("a", ".png")]
    ]
    assert found == ["a", "A-2", "a", "a-3"]


def test_stems_of_webdataset_have_no_dots_in_any_part() -> None:
    assert Names(dots=False).stem("v1.5/run.2/a.b.png", ".png") == "v1_5/run_2/a_b"


def test_the_suffix_is_that_of_the_name_or_else_of_the_first_bytes() -> None:
    assert suffix_of("x/a.JPEG", b"") == ".JPEG"
    assert suffix_of("data.parquet#3", b"\xff\xd8\xff\xe0") == ".jpg"
    assert suffix_of("a", b"RIFF1234WEBP") == ".webp"
    assert suffix_of("a", b"no picture") == ""
