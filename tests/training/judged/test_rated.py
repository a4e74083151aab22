import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from beholder.annotation.joining.feedback import write_feedback
from beholder.errors import DataError
from beholder.training.judged.data import Dropped
from beholder.training.judged.rated import (
    Rated,
    RatingStream,
    make_batch,
    read_rated,
    usable_ratings,
)
from beholder.types import Feedback


def rated(image: str, prompt: str = "x", **values: float) -> Rated:
    return Rated(key=image, prompt=prompt, image=image, values=values or {"overall": 5.0})


def picture(path: Path, grey: int = 90) -> Path:
    Image.new("L", (8, 8), grey).save(path)
    return path


def test_a_manifest_gives_a_number_for_each_column_and_its_faults(tmp_path: Path) -> None:
    lines = [
        "image,prompt,overall,detail,who",
        "a.png,a cat,7.5,3,ann",
        "b.png,a dog,,nan,",
        ",a fox,1,2,bob",
        "c.png,,1e400,true,2",
    ]
    (tmp_path / "ratings.csv").write_text("\n".join(lines))
    one, two, three, four = read_rated(tmp_path / "ratings.csv")
    assert one == Rated(
        key="a.png",
        prompt="a cat",
        image=str(tmp_path / "a.png"),
        values={"overall": 7.5, "detail": 3.0},
        faults={"who": "ann"},
    )
    assert (two.values, two.faults) == ({}, {"detail": "nan"})
    assert (three.image, three.prompt) == ("", "a fox")
    assert (four.prompt, four.values) == ("", {"who": 2.0})
    assert four.faults == {"overall": "1e400", "detail": "true"}


def test_json_lines_may_leave_columns_out_and_a_truth_value_is_no_number(tmp_path: Path) -> None:
    rows = [{"file_name": "a.png", "overall": 3}, {"file_name": "b.png", "overall": True}]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    one, two = read_rated(tmp_path / "r.jsonl")
    assert (one.values, one.prompt) == ({"overall": 3.0}, "")
    assert two.faults == {"overall": "True"}


def test_pictures_inside_a_parquet_file_are_unpacked_once(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = picture(tmp_path / "a.png").read_bytes()
    cells = [{"bytes": data, "path": "a.png"}, {"bytes": data, "path": "other.png"}]
    pq.write_table(
        pa.table({"image": cells, "prompt": ["x", "y"], "overall": [1.0, 2.0]}),
        tmp_path / "r.parquet",
    )
    one, two = read_rated(tmp_path / "r.parquet")
    assert Path(one.image).read_bytes() == data
    assert one.image == two.image
    assert Path(one.image).parent == tmp_path / "pictures"
    elsewhere = read_rated(tmp_path / "r.parquet", tmp_path / "there")
    assert Path(elsewhere[0].image).parent == tmp_path / "there"


def test_a_folder_of_feedback_is_read_as_ratings(tmp_path: Path) -> None:
    told = [Feedback(key="k", prompt="a cat", image="a.png", values={"overall": 0.25})]
    write_feedback(told, tmp_path / "feedback")
    whole = Rated(key="k", prompt="a cat", image="a.png", values={"overall": 0.25})
    assert read_rated(tmp_path / "feedback") == [whole]
    assert read_rated(tmp_path) == [whole]


def test_what_cannot_be_learned_from_is_dropped_with_its_reason() -> None:
    rows = [
        rated("good"),
        rated("aside", who=3.0),
        Rated(
            key="text", prompt="x", image="p", values={"detail": 1.0}, faults={"overall": "good"}
        ),
        Rated(key="nameless", prompt="x", image="", values={"overall": 1.0}),
        rated("silent", ""),
        rated("odd", "\ud800"),
        rated("broken"),
    ]
    kept, dropped = usable_ratings(
        rows, ["overall", "detail"], {"broken": "truncated: it ends early"}, needs_prompt=True
    )
    assert [one.key for one in kept] == ["good"]
    assert dropped == [
        Dropped("aside", "no-answer: none of detail, overall was rated"),
        Dropped("text", "value: overall is 'good', expected a finite number"),
        Dropped("nameless", "picture: the row names no picture that can be read"),
        Dropped("silent", "prompt: the picture has none, and the reward reads it"),
        Dropped("odd", "prompt: it holds a lone surrogate and is not valid Unicode"),
        Dropped("broken", "truncated: it ends early"),
    ]


def test_a_picture_needs_no_prompt_where_the_reward_reads_none() -> None:
    kept, dropped = usable_ratings([rated("a", "")], ["overall"], {}, needs_prompt=False)
    assert (len(kept), dropped) == (1, [])


def test_a_fault_in_a_column_that_nobody_asked_for_does_not_matter() -> None:
    row = Rated(key="k", prompt="x", image="p", values={"overall": 1.0}, faults={"who": "ann"})
    assert usable_ratings([row], ["overall"], {}, needs_prompt=True) == ([row], [])


def test_ratings_without_a_column_of_the_reward_are_an_error_that_names_theirs() -> None:
    with pytest.raises(DataError, match="none of the columns overall; they have score, who"):
        usable_ratings([rated("a", score=1.0, who=2.0)], ["overall"], {}, needs_prompt=True)


def test_a_batch_has_a_row_a_rating_and_each_picture_and_prompt_once() -> None:
    rows = [
        rated("a", "x", overall=1.0, detail=9.0),
        rated("b", "x", overall=2.0),
        rated("a", "y", detail=3.0),
    ]
    batch = make_batch(rows, ["detail", "overall"], [1.0, 2.0, 3.0])
    assert batch.pictures == ("a", "b")
    assert batch.prompts == ("x", "y")
    assert batch.picture_rows.tolist() == [0, 1, 0]
    assert batch.texts == ["x", "x", "y"]
    found = {
        aspect: (t.rows.tolist(), t.values.tolist(), t.weight.tolist())
        for aspect, t in batch.targets.items()
    }
    assert found == {
        "detail": ([0, 2], [9.0, 3.0], [1.0, 3.0]),
        "overall": ([0, 1], [1.0, 2.0], [1.0, 2.0]),
    }
    assert batch.edges == {}
    assert torch.equal(make_batch(rows, ["overall"]).targets["overall"].weight, torch.ones(2))


@pytest.mark.parametrize("prompt", ["prompt {}", ""])
@pytest.mark.parametrize("size", [1, 4, 7, 50])
def test_an_epoch_visits_every_rating_once(size: int, prompt: str) -> None:
    rows = [rated(f"{k}", prompt.format(k % 5)) for k in range(20)]
    stream = RatingStream(rows, ["overall"], size, seed=0)
    numbers = range(-(-20 // size))
    assert sorted(p for n in numbers for p in stream.batch(n).pictures) == sorted(
        row.image for row in rows
    )
    again = RatingStream(rows, ["overall"], size, seed=0)
    assert again.batch(9).pictures == stream.batch(9).pictures


def test_pictures_without_prompts_are_mixed_like_any_others() -> None:
    rows = [rated(f"{k:02}", "") for k in range(40)]
    stream = RatingStream(rows, ["overall"], 10, seed=0)
    numbers = [int(p) for p in stream.batch(0).pictures]
    assert max(numbers) - min(numbers) > 20


def test_weights_follow_their_ratings() -> None:
    rows = [rated(f"{k}", f"p{k}", overall=float(k)) for k in range(9)]
    stream = RatingStream(rows, ["overall"], 4, seed=0, weights=[float(k) for k in range(9)])
    for number in range(3):
        targets = stream.batch(number).targets["overall"]
        assert targets.weight.tolist() == targets.values.tolist()
