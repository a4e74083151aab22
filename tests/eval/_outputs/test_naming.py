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
        ("日" * 400, "日" * 50),
        ("a" * 148 + ". b", "a" * 148),
        ("\ud800\0.png", "__"),
        ("/".join(["d" * 150] * 9) + "/x.png", "/".join(["d" * 150] * 6) + "/x"),
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


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (["x.png", "x.png/y", "x.png/z"], ["x.png", "x.png-2/y.png", "x.png-2/z.png"]),
        (["x.png/y", "x.png", "x.png/z"], ["x.png/y.png", "x-2.png", "x.png/z.png"]),
        (["A.PNG/y", "a.png"], ["A.PNG/y.png", "a-2.png"]),
        (["\u1100\u1161.png", "\uac00.png"], ["\u1100\u1161.png", "\uac00-2.png"]),
    ],
)
def test_a_file_is_no_folder(keys: list[str], found: list[str]) -> None:
    names = Names()
    assert [f"{names.stem(key, '.png')}.png" for key in keys] == found


def test_members_of_a_tar_end_in_a_suffix_and_are_no_folders() -> None:
    names = Names(dots=False)
    assert [names.stem(key, "") for key in ("x", "x/y", "x")] == ["x", "x/y", "x-2"]


def test_many_keys_of_one_name_take_no_time_each() -> None:
    names = Names()
    last = [names.stem("日" * 400 + str(k), ".png") for k in range(3000)][-1]
    assert last == "日" * 50 + "-3000"
