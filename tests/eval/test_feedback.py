"""A reward measured on records worked out by hand."""

import json
import math
from collections.abc import Iterator, Sequence

import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval.feedback import Answer, evaluate_feedback
from beholder.eval.heatmaps import truth_map
from beholder.types import Feedback, Scores, WordLabel
from beholder.words import word_spans

PROMPT = "a red cat"


def words(p: Sequence[float], prompt: str = PROMPT) -> list[WordLabel]:
    spans = word_spans(prompt)
    return [WordLabel(prompt[s:e], s, e, v) for (s, e), v in zip(spans, p, strict=True)]


def spot(row: int) -> torch.Tensor:
    """A picture-sized truth: a square of full marks at a place of its own; row 0 is empty."""
    grey = torch.zeros(32, 32, dtype=torch.uint8)
    if row:
        grey[4 * row : 4 * row + 8, 4 * row : 4 * row + 8] = 255
    return grey


def record(row: int, **parts: object) -> Feedback:
    given = {
        "values": {"overall": row / 8, "plausibility": 1 - row / 8},
        "maps": {"implausibility": spot(row)},
        "words": words([0.0, float(row % 2), 0.0]),
        **parts,
    }
    return Feedback(key=f"k{row}", prompt=PROMPT, image=str(row), **given)  # type: ignore[arg-type]


class Judge:
    """Knows the truth of each picture from its number; a picture named "bad" cannot be read."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        self.batches.append(len(images))
        rows = [math.nan if name == "bad" else float(name) for name in images]
        maps = [truth_map(spot(0 if math.isnan(row) else int(row)), (8, 8)) for row in rows]
        total = torch.tensor(rows)
        return Scores(
            total,
            {"overall": total},
            {"implausibility": torch.stack(maps)},
            [words([0.1, 0.9 * (row % 2), 0.2]) if row == row else () for row in rows],
            {k: "missing: gone" for k, row in enumerate(rows) if math.isnan(row)},
        )


def test_a_reward_that_knows_the_truth_is_measured_perfect() -> None:
    found = evaluate_feedback(Judge(), [record(k) for k in range(7)], batch_size=3, draws=50)
    figures = found.figures
    assert figures["overall.plcc"].value == pytest.approx(1)
    assert figures["overall.srcc"].value == pytest.approx(1)
    assert figures["implausibility.mse_empty"].value == 0
    assert figures["implausibility.mse_empty"].samples == 1
    assert figures["implausibility.cc"].samples == 6
    assert figures["implausibility.auc_judd"].value == pytest.approx(1, abs=0.03)
    assert figures["words.micro.f1"].value == 1
    assert figures["words.published.f1"].value == pytest.approx(3 / 7)
    assert figures["words.average_precision"].value == 1


def test_an_aspect_without_its_own_score_is_judged_by_the_total() -> None:
    found = evaluate_feedback(Judge(), [record(k) for k in range(7)], draws=10)
    assert found.figures["plausibility.plcc"].value == pytest.approx(-1)
    assert found.scored_by == {"overall": "overall", "plausibility": "total"}


def test_records_are_read_a_batch_at_a_time() -> None:
    judge, read = Judge(), list[int]()

    def stream() -> Iterator[Feedback]:
        for row in range(5):
            read.append(len(judge.batches))
            yield record(row)

    evaluate_feedback(judge, stream(), batch_size=2, draws=5)
    assert judge.batches == [2, 2, 1]
    assert read == [0, 0, 1, 1, 2]


def test_the_size_of_a_batch_changes_nothing() -> None:
    records = [record(k) for k in range(6)]
    whole = evaluate_feedback(Judge(), records, draws=20)
    assert evaluate_feedback(Judge(), records, batch_size=1, draws=20) == whole


def test_a_picture_that_cannot_be_scored_is_named_and_counts_nowhere() -> None:
    bad = Feedback(key="broken", prompt=PROMPT, image="bad", values={"overall": 0.1})
    found = evaluate_feedback(Judge(), [record(1), bad, record(2)], draws=5)
    assert found.records == 3
    assert [(u.key, u.image, u.why) for u in found.unscored] == [("broken", "bad", "missing: gone")]
    assert found.reasons() == {"missing": 1}
    assert found.figures["overall.plcc"].samples == 2


def test_a_record_takes_part_in_what_it_has() -> None:
    bare = record(3, maps={}, words=(), values={"overall": 0.3})
    found = evaluate_feedback(Judge(), [record(1), record(2), bare], draws=5).figures
    assert found["overall.plcc"].samples == 3
    assert found["plausibility.plcc"].samples == 2
    assert found["implausibility.mse"].samples == 2
    assert found["words.published.f1"].samples == 2


class Plain:
    """Only totals."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        return Scores(torch.tensor([float(name) for name in images]))


def test_what_the_reward_lacks_is_counted() -> None:
    found = evaluate_feedback(Plain(), [record(1), record(2)], draws=5)
    assert found.unanswered == {"maps.implausibility": 2, "words": 2}
    assert set(found.figures) == {
        f"{aspect}.{name}" for aspect in ("overall", "plausibility") for name in ("plcc", "srcc")
    }


def test_a_true_word_that_the_reward_does_not_reach_is_counted() -> None:
    class Short(Judge):
        def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
            return Scores(torch.ones(len(images)), words=[words([0.1, 0.9, 0.2])[:2]] * len(images))

    found = evaluate_feedback(Short(), [record(1), record(3)], draws=5)
    assert found.unanswered["words.without_prediction"] == 2


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(values={"overall": math.nan}), "non-finite: the score of overall is nan"),
        (Answer(maps={"a": torch.tensor([[2.0]])}), "range: the map of a"),
        (Answer(maps={"a": torch.tensor([[math.nan]])}), "range: the map of a"),
        (Answer(words=[WordLabel("a", 0, 1, math.nan)]), "range: the probability of 'a' is nan"),
        (Answer(values={"overall": -7.0}, maps={"a": torch.ones(1, 1)}), ""),
    ],
)
def test_an_answer_that_cannot_be_measured_says_why(answer: Answer, fault: str) -> None:
    assert answer.fault().startswith(fault)
    assert bool(answer.fault()) == bool(fault)


def test_one_answer_at_fault_does_not_stop_the_others() -> None:
    class Loud(Judge):
        def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
            scale = torch.tensor([float(name) for name in images])[:, None, None]
            return Scores(torch.ones(len(images)), maps={"implausibility": scale.expand(-1, 4, 4)})

    found = evaluate_feedback(Loud(), [record(1), record(2)], draws=5)
    assert found.reasons() == {"range": 1}
    assert found.figures["implausibility.mse"].samples == 1


def test_the_result_is_json_and_rows() -> None:
    found = evaluate_feedback(Judge(), [record(k) for k in range(4)], draws=5)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["records"] == 4
    row = found.rows()[0]
    assert list(row) == ["figure", "value", "low", "high", "samples", "why"]
    assert row["figure"] == "overall.plcc"


def test_no_record_is_refused() -> None:
    with pytest.raises(DataError, match="no feedback"):
        evaluate_feedback(Judge(), [])


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"draws": 0}])
def test_sizes_that_make_no_sense_are_refused_before_any_work(option: dict[str, int]) -> None:
    judge = Judge()
    with pytest.raises(ConfigError, match="must be 1 or more, got 0"):
        evaluate_feedback(judge, [record(1)], **option)
    assert judge.batches == []


def test_a_reward_that_loses_pictures_is_refused() -> None:
    class Lossy(Plain):
        def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
            return super().score(images[:1], prompts[:1])

    with pytest.raises(DataError, match="answered 1 of 2 pictures"):
        evaluate_feedback(Lossy(), [record(1), record(2)])
