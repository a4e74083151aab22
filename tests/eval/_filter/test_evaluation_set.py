"""Prompts of an evaluation set are found however they are spelled."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from beholder.errors import DataError
from beholder.eval._filter.evaluation_set import (
    has_prompt_of,
    pictures_at,
    prompts_of,
    read_evaluation_set,
)
from beholder.eval.embedding import Embeddings
from beholder.images import ImageSource


def test_case_spacing_and_width_of_letters_do_not_hide_a_prompt() -> None:
    prompts = pa.chunked_array(
        [["A red  FOX", " a\tred fox\n", "a red foxes", None], ["\uff21 red fox", ""]]
    )
    assert has_prompt_of(prompts, ["a Red fox", ""]).tolist() == [
        True, True, False, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".txt", ".json", ".jsonl", ".csv"])
def test_prompts_are_read_from_any_file_of_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"prompts{suffix}"
    texts = {
        ".txt": "a fox\n\n two owls \n",
        ".json": json.dumps(["a fox", "two owls"]),
        ".jsonl": '{"caption": "a fox"}\n{"caption": "two owls"}\n',
        ".csv": "id,prompt\n1,a fox\n2,two owls\n",
    }
    path.write_text(texts[suffix])
    assert prompts_of(str(path)) == ["a fox", "two owls"]


def test_files_without_prompts_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        prompts_of(str(tmp_path / "nowhere.txt"))
    (tmp_path / "a.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match="must be a JSON list of prompts"):
        prompts_of(str(tmp_path / "a.json"))
    (tmp_path / "b.json").write_text("[")
    with pytest.raises(DataError, match="is not JSON"):
        prompts_of(str(tmp_path / "b.json"))
    (tmp_path / "c.csv").write_text("id,name\n1,x\n")
    with pytest.raises(DataError, match="expected a prompt column"):
        prompts_of(str(tmp_path / "c.csv"))


def test_pictures_inside_a_file_are_read_again_instead_of_kept(tmp_path: Path) -> None:
    files = {}
    for name, grey in (("a", 10), ("b", 200)):
        file = io.BytesIO()
        Image.new("L", (32, 32), grey).save(file, "PNG")
        files[f"{name}.png"] = file.getvalue()
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        for member, data in files.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    source = str(tmp_path / "set.tar")
    found = pictures_at(source, [1])
    assert list(found) == [1]
    assert found[1][1] == files["b.png"]
    seen: list[str] = []

    def embedded(pictures: Iterator[tuple[str, ImageSource]]) -> Embeddings:
        seen.extend(key for key, _ in pictures)
        return Embeddings(tuple(seen), np.eye(2, dtype=np.float32), {0: "empty: why"})

    read = read_evaluation_set(source, embedded)
    assert (read.embedded, read.failed, list(read.unread)) == (1, 1, [f"{seen[0]}: empty: why"])
