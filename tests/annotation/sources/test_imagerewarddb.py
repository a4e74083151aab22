from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.joining.aggregate import by_votes
from beholder.annotation.sources._source import Tally
from beholder.annotation.sources.imagerewarddb import ImageRewardDB
from beholder.types import Comparison
from tests.annotation.sources.published import touch, write_json, write_parquet

RANKS = [1, 2, 1, 4, 3, 4]  # of prompt 005695-0057 of the published test split


def picture(name: str, number: int, rank: Any, total: int, **changes: Any) -> dict[str, Any]:
    return {
        "image_path": f"images/test/test_1/{name}-{number}.webp",
        "prompt_id": name,
        "prompt": f"a {name}",
        "classification": "People",
        "image_amount_in_total": total,
        "rank": rank,
        "overall_rating": 4,
        "image_text_alignment_rating": 3,
        "fidelity_rating": 4,
        **changes,
    }


def prompt_rows(prompt: str, ranks: list[Any]) -> list[dict[str, Any]]:
    return [picture(prompt, i, rank, len(ranks)) for i, rank in enumerate(ranks)]


def read(folder: Path, tally: Tally | None = None) -> list[Comparison]:
    records = ImageRewardDB().records(folder, "test", tally)
    return [record for record in records if isinstance(record, Comparison)]


def test_pictures_of_one_prompt_are_one_ranking_and_equal_ranks_tie(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "metadata-test.parquet", prompt_rows("fox", RANKS) + prompt_rows("hen", [2, 1])
    )
    tally = Tally()
    fox, hen = read(tmp_path, tally)
    assert fox.ranks["overall"] == (1, 3, 1, 5, 4, 5)  # the same order, two firsts before a third
    assert fox.images[5] == str(tmp_path / "images/test/test_1/fox-5.webp")
    assert hen.ranks["overall"] == (2, 1)
    assert (tally.rows, tally.pairs, tally.ties) == (2, 15 + 1, 2)


def test_ties_are_half_a_preference(tmp_path: Path) -> None:
    rows = prompt_rows("fox", [1, 1])
    write_parquet(tmp_path / "metadata-test.parquet", rows)
    touch(tmp_path, *(row["image_path"] for row in rows))
    (preference,) = by_votes(read(tmp_path))
    assert preference.p_first == {"overall": 0.5}


def test_rows_that_lie_apart_are_joined(tmp_path: Path) -> None:
    fox, hen = prompt_rows("fox", [1, 2, 3]), prompt_rows("hen", [2, 1])
    mixed = [fox[0], hen[0], fox[1], hen[1], fox[2]]
    write_parquet(tmp_path / "metadata-test.parquet", mixed)
    records = read(tmp_path)
    assert [r.prompt for r in records] == ["a hen", "a fox"]
    assert records[1].ranks["overall"] == (1, 2, 3)


def test_every_published_layout_gives_the_same(tmp_path: Path) -> None:
    rows = prompt_rows("fox", RANKS) + prompt_rows("hen", [2, 1])
    write_parquet(tmp_path / "a" / "metadata-test.parquet", rows)
    write_json(tmp_path / "b" / "images/test/test_1/test_1.json", rows[:6])
    write_json(tmp_path / "b" / "images/test/test_2/test_2.json", rows[6:])
    grouped = [
        {
            "id": name,
            "prompt": f"a {name}",
            "generations": [row["image_path"] for row in rows if row["prompt_id"] == name],
            "ranking": [row["rank"] for row in rows if row["prompt_id"] == name],
        }
        for name in ("fox", "hen")
    ]
    write_json(tmp_path / "c" / "test.json", grouped)
    found = [
        [(r.prompt, r.ranks, [Path(i).name for i in r.images]) for r in read(tmp_path / layout)]
        for layout in "abc"
    ]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 2


def test_a_prompt_with_fewer_pictures_than_announced_is_noted(tmp_path: Path) -> None:
    write_parquet(tmp_path / "metadata-test.parquet", prompt_rows("fox", [1, 2, 3])[:2])
    tally = Tally()
    assert len(read(tmp_path, tally)) == 1
    assert tally.notes["fewer pictures than the prompt is said to have"] == 1


def test_malformed_prompts_are_counted_by_reason(tmp_path: Path) -> None:
    rows: list[Any] = [
        *prompt_rows("fox", [1, None]),
        *prompt_rows("hen", [1, 2])[:1],
        picture("owl", 0, 1, 2, prompt=""),
        picture("owl", 1, 2, 2),
        "junk",
        picture("cat", 0, 1, 2, prompt_id=None),
        picture("cat", 1, 2, 2, prompt_id=None),
        *prompt_rows("dog", [2, 1]),
    ]
    write_json(tmp_path / "images/test/test_1/test_1.json", rows)
    tally = Tally()
    (kept,) = read(tmp_path, tally)
    assert kept.prompt == "a dog"
    assert tally.left_out == {
        "ranking is no number": 1,
        "prompt is no text": 1,
        "the row is no object": 1,
        "id is no text": 1,
        "not as many ranks as pictures, or fewer than two": 1,
    }


@pytest.mark.parametrize(
    ("split", "prompts"), [("train", 8000), ("validation", 412), ("test", 466)]
)
def test_the_card_has_the_8878_prompts_of_the_paper(split: str, prompts: int) -> None:
    splits = ImageRewardDB().card.splits
    assert splits[split][0].count == prompts
    assert sum(published[0].count for published in splits.values()) == 8878
