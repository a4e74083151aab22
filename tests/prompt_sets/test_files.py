import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.errors import DataError
from beholder.prompt_sets import PromptRow, load_prompts


def rows(path: Path) -> list[PromptRow]:
    return list(load_prompts(path))


def test_parti_prompts_have_category_and_challenge(tmp_path: Path) -> None:
    path = tmp_path / "PartiPrompts.tsv"
    path.write_text(
        "Prompt\tCategory\tChallenge\tNote\n"
        "bond\tAbstract\tBasic\tBiology\n"
        'a sign that says "hi"\tArtifacts\tWriting\t\n'
    )
    assert rows(path) == [
        PromptRow("bond", "Abstract", {"Challenge": "Basic", "Note": "Biology"}),
        PromptRow('a sign that says "hi"', "Artifacts", {"Challenge": "Writing", "Note": ""}),
    ]


def test_draw_bench_has_prompts_and_their_category(tmp_path: Path) -> None:
    path = tmp_path / "drawbench.csv"
    path.write_text('Prompts,Category\nA red car.,Colors\n"A cat, and a dog.",Counting\n')
    assert rows(path) == [
        PromptRow("A red car.", "Colors"),
        PromptRow("A cat, and a dog.", "Counting"),
    ]


def test_geneval_keeps_what_its_checks_need(tmp_path: Path) -> None:
    path = tmp_path / "evaluation_metadata.jsonl"
    record = {
        "tag": "counting",
        "include": [{"class": "bench", "count": 2}],
        "exclude": [{"class": "bench", "count": 3}],
        "prompt": "a photo of two benches",
    }
    path.write_text(json.dumps(record) + "\n")
    (row,) = rows(path)
    assert (row.prompt, row.category) == ("a photo of two benches", "counting")
    assert row.further == {"include": record["include"], "exclude": record["exclude"]}


def test_hpsv2_is_a_folder_of_lists_by_style(tmp_path: Path) -> None:
    for style, texts in {"anime": ["a girl", "a boy"], "photo": ["a boat"]}.items():
        (tmp_path / f"{style}.json").write_text(json.dumps(texts))
    expected = [PromptRow("a girl", "anime"), PromptRow("a boy", "anime")]
    assert rows(tmp_path) == [*expected, PromptRow("a boat", "photo")]
    whole = tmp_path / "all.json"
    whole.write_text(json.dumps({"anime": ["a girl", "a boy"], "photo": ["a boat"]}))
    assert rows(whole) == [*expected, PromptRow("a boat", "photo")]


def test_compositional_prompts_are_filed_by_their_text_files(tmp_path: Path) -> None:
    (tmp_path / "color_val.txt").write_text("a red book and a yellow vase\n\n")
    (tmp_path / "shape_val.txt").write_text("an oval mirror\nan oval mirror\n")
    (tmp_path / "notes.md").write_text("not a prompt")
    found = load_prompts(tmp_path)
    assert [(row.prompt, row.category) for row in found] == [
        ("a red book and a yellow vase", "color"),
        ("an oval mirror", "shape"),
    ]
    assert found.duplicates == 1


def test_parquet_keeps_numbers_and_leaves_pictures_out(tmp_path: Path) -> None:
    table = {"caption": ["a fox", None], "style": ["photo", "photo"], "n": [3, 4]}
    pictures = [{"bytes": b"\x89PNG", "path": "a.png"}, None]
    pq.write_table(pa.table({**table, "jpg": pictures}), tmp_path / "0.parquet")
    assert rows(tmp_path / "0.parquet") == [PromptRow("a fox", "photo", {"n": 3})]


def test_a_list_of_categories_files_under_the_first_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text(json.dumps([{"prompt_en": "a fox", "dimension": ["scene", "background"]}]))
    assert rows(path) == [PromptRow("a fox", "scene", {"dimension": ["scene", "background"]})]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.txt", "\n \n", "holds no prompt"),
        ("table.csv", "image,label\na.png,1\n", "has image, label; expected a prompt column"),
        ("object.json", '{"a": "b"}', "must be a list of prompts"),
        ("mixed.json", '["a", 1]', "must be a list of prompts"),
        ("broken.json", "[", "is not JSON"),
    ],
)
def test_a_file_without_prompts_says_what_it_has(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load_prompts(path)


def test_what_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no prompts at .*nowhere\.txt"):
        load_prompts(tmp_path / "nowhere.txt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="no parquet file"):
        load_prompts(tmp_path / "folder")
    with pytest.raises(DataError, match="someone/prompts cannot be read"):
        load_prompts("someone/prompts")
