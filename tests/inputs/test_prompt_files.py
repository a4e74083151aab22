"""Prompts find their pictures by place, by order or by name."""

from pathlib import Path

import pytest
from PIL import Image

from beholder.errors import DataError
from beholder.inputs import read_inputs


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)
    return path


def keys_and_prompts(inputs: object) -> list[tuple[str, str | None]]:
    return [(row.key, row.prompt) for row in inputs]  # type: ignore[attr-defined]


def test_text_files_beside_pictures_are_prompts(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    (tmp_path / "a.txt").write_text("a fox\n")
    assert keys_and_prompts(read_inputs(tmp_path)) == [("a.png", "a fox"), ("b.png", None)]
    assert read_inputs(tmp_path).has_prompts


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "a fox\na hen\n\n"),
        ("p.json", '["a fox", "a hen"]'),
        ("p.json", '{"a.png": "a fox", "sub/b.png": "a hen"}'),
        ("p.csv", "file_name,text\na.png,a fox\nb.png,a hen\n"),
        (
            "p.jsonl",
            '{"image": "a.png", "prompt": "a fox"}\n{"image": "sub/b.png", "prompt": "a hen"}',
        ),
    ],
)
def test_a_file_of_prompts_goes_by_order_or_by_name(
    tmp_path: Path, name: str, content: str
) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "sub" / "b.png")
    (tmp_path / name).write_text(content)
    found = keys_and_prompts(read_inputs(tmp_path / "in", tmp_path / name))
    assert found == [("a.png", "a fox"), ("sub/b.png", "a hen")]


def test_prompts_by_order_must_be_as_many_as_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "p.txt").write_text("a fox\na hen\n")
    with pytest.raises(DataError, match="holds 2 prompts, but there are 1 pictures"):
        read_inputs(tmp_path / "in", tmp_path / "p.txt")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("p.json", "{", "is not JSON"),
        ("p.json", "3", "must be a list of prompts or an object"),
        ("p.json", "[3]", "every prompt must be text"),
        ("p.csv", "image,model\na.png,b\n", "expected a picture column"),
    ],
)
def test_malformed_prompts_are_refused(tmp_path: Path, name: str, content: str, match: str) -> None:
    picture(tmp_path / "in" / "a.png")
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=match):
        read_inputs(tmp_path / "in", tmp_path / name)
