from collections import Counter
from pathlib import Path

import pytest

from beholder.errors import ConfigError
from beholder.prompt_sets import load_prompts, names


def test_forty_different_prompts_in_eight_categories_of_five() -> None:
    found = load_prompts("starter")
    assert (len(found), found.duplicates) == (40, 0)
    assert set(Counter(row.category for row in found).values()) == {5}
    assert len(found.categories) == 8


def test_a_part_by_its_category() -> None:
    assert [row.prompt for row in load_prompts("starter:counting")] == [
        row.prompt for row in load_prompts("starter") if row.category == "counting"
    ]
    with pytest.raises(ConfigError, match=r"no part 'spelling'; known: object, colour"):
        load_prompts("starter:spelling")


def test_a_file_goes_before_a_set_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("starter").write_text("my own prompt\n")
    assert [row.prompt for row in load_prompts("starter")] == ["my own prompt"]
    assert names() == ["starter", "vbench"]
