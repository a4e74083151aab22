import json
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.errors import DataError
from beholder.training._tuning.prompts import divided, read_prompts


def test_a_text_file_gives_a_prompt_a_line_each_once(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\ufeffa red fox\n\n  a cat \r\na red fox\n", encoding="utf-8")
    assert read_prompts(str(path)) == ["a red fox", "a cat"]


def test_tables_lists_and_folders_of_parquet_have_a_prompt_column(tmp_path: Path) -> None:
    csv = tmp_path / "table.csv"
    csv.write_text("image,caption\na.png,a fox\nb.png,a cat\n")
    assert read_prompts(str(csv)) == ["a fox", "a cat"]
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps(["a fox", "a cat"]))
    assert read_prompts(str(listed)) == ["a fox", "a cat"]
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(pa.table({"prompt": ["a fox", None]}), folder / "0.parquet")
    pq.write_table(pa.table({"prompt": ["a cat"]}), folder / "1.parquet")
    assert read_prompts(str(folder)) == ["a fox", "a cat"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.txt", "\n \n", "holds no prompt"),
        ("table.csv", "image,label\na.png,1\n", "has image, label; expected a prompt column"),
        ("object.json", '{"a": "b"}', "must be a list"),
        ("broken.json", "[", "is not JSON"),
    ],
)
def test_a_source_without_prompts_says_what_it_has(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_prompts(str(path))


def test_what_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no prompts at .*nowhere\.txt"):
        read_prompts(str(tmp_path / "nowhere.txt"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="no parquet file"):
        read_prompts(str(tmp_path / "folder"))
    with pytest.raises(DataError, match="someone/prompts cannot be read"):
        read_prompts("someone/prompts")


def test_a_prompt_that_no_tokenizer_takes_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"a fox\n\xff\xfe broken\n")
    with caplog.at_level(logging.WARNING):
        assert read_prompts(str(path)) == ["a fox"]
    assert "1 of 2 prompts" in caplog.text


def test_at_most_a_fifth_is_held_out_and_never_learned() -> None:
    prompts = [f"prompt {k}" for k in range(20)]
    learned, held_out = divided(prompts, None, 32, seed=0)
    assert len(held_out) == 4
    assert set(learned) | set(held_out) == set(prompts)
    assert not set(learned) & set(held_out)
    assert divided(prompts, None, 32, seed=0) == (learned, held_out)
    assert divided(prompts, None, 32, seed=1)[1] != held_out


def test_given_validation_prompts_are_drawn_and_taken_out_of_the_others() -> None:
    learned, held_out = divided(["a", "b", "c"], ["c", "x", "y"], 2, seed=3)
    assert len(held_out) == 2
    assert set(held_out) <= {"c", "x", "y"}
    assert learned == [p for p in ["a", "b", "c"] if p not in held_out]


def test_few_prompts_leave_two_to_evaluate_on_and_fewer_are_refused() -> None:
    learned, held_out = divided(list("abcd"), None, 8, seed=0)
    assert (len(learned), len(held_out)) == (2, 2)
    with pytest.raises(DataError, match="2 prompts leave 0 to learn on and 2 to evaluate"):
        divided(["a", "b"], None, 8, seed=0)
    with pytest.raises(DataError, match=r"leave 1 to learn on and 1 to evaluate on.*must be 2"):
        divided(["a", "b"], ["b"], 8, seed=0)
