from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from beholder.annotation.asking.design import (
    balanced,
    in_order,
    pair_questions,
    pair_tasks,
    picture_questions,
    picture_tasks,
    repeats,
)
from beholder.annotation.asking.media import Picture
from beholder.annotation.mapping import TaskPicture, TaskSides

SALT = "salt"


def pictures(prompts: int, checkpoints: int) -> list[Picture]:
    return [
        Picture(f"prompt {p}", f"{p}-{c}.png", f"/out/{c}/{p}.png", f"step-{c}")
        for p in range(prompts)
        for c in range(checkpoints)
    ]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tasks(count: int) -> list[TaskSides]:
    return pair_tasks(pair_questions(pictures(count, 2)), "ask", SALT, rng())


def test_pairs_are_of_one_prompt_and_two_checkpoints() -> None:
    twice = [*pictures(2, 3), Picture("prompt 0", "again.png", "/s", "step-0")]
    pairs = pair_questions(twice)
    assert len(pairs) == 3 + 3 + 2  # the second picture of step-0 meets step-1 and step-2
    assert all(q.pictures[0].prompt == q.pictures[1].prompt for q in pairs)
    assert all(len(set(q.checkpoints)) == 2 for q in pairs)


def test_without_checkpoints_all_pictures_of_a_prompt_meet_but_never_themselves() -> None:
    same = [Picture("p", f"{k}.png", f"/{k}") for k in range(3)] + [Picture("p", "0.png", "/x")]
    found = {(q.pictures[0].file, q.pictures[1].file) for q in pair_questions(same)}
    assert found == {("0.png", "1.png"), ("0.png", "2.png"), ("1.png", "2.png")}


def test_a_pair_is_asked_once_though_a_third_checkpoint_made_the_same_picture() -> None:
    made = [
        Picture("p", "x.png", "/1", "step-1"),
        Picture("p", "y.png", "/2", "step-2"),
        Picture("p", "x.png", "/3", "step-3"),
    ]
    (question,) = pair_questions(made)
    assert question.checkpoints == ("step-1", "step-2")


def test_a_picture_is_asked_about_once_though_two_checkpoints_made_it() -> None:
    same = [Picture("p", "x.png", "/a", "step-1"), Picture("p", "x.png", "/b", "step-2")]
    assert len(picture_questions(same)) == 1


@pytest.mark.parametrize("count", [10, 30, 60])
def test_prompts_checkpoints_and_pictures_are_asked_about_evenly(count: int) -> None:
    chosen = balanced(pair_questions(pictures(20, 4)), count, rng())
    assert len(set(chosen)) == count
    per_prompt = Counter(q.prompt for q in chosen)
    versus = Counter(q.checkpoints for q in chosen)
    assert max(per_prompt.values()) - min(per_prompt[f"prompt {k}"] for k in range(20)) <= 1
    assert len(versus) == 6
    assert max(versus.values()) - min(versus.values()) <= 1


def test_a_second_batch_makes_up_for_the_first() -> None:
    questions = pair_questions(pictures(6, 2))
    first = questions[:3]
    second = balanced(questions[3:], 3, rng(), asked=first)
    assert {q.prompt for q in first}.isdisjoint(q.prompt for q in second)


def test_each_checkpoint_stands_on_the_left_in_half_of_its_pairs() -> None:
    rows = pair_tasks(pair_questions(pictures(40, 3)), "ask", SALT, rng())
    left: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        left[row.extra["checkpoint_a"], row.extra["checkpoint_b"], row.left_is] += 1
    assert set(left.values()) == {20}
    runs = sum(one.left_is != other.left_is for one, other in pairwise(rows))
    assert 30 < runs < 90  # about half of 119: at random, not in turn


def test_a_key_tells_nothing_and_stays_the_same() -> None:
    (question, *_) = pair_questions(pictures(1, 2))
    (task,) = pair_tasks([question], "ask", SALT, rng(1))
    (again,) = pair_tasks([question], "ask", SALT, rng(2))
    assert task.task_key == again.task_key == question.key(SALT)
    others = {question.key(SALT, "gold"), question.key("other"), question.key(SALT)}
    assert len(others) == 3
    assert not any(name in task.task_key for name in ("ask", "step", "prompt"))


def test_a_mirrored_repeat_shows_the_same_pair_with_sides_exchanged() -> None:
    asked = tasks(20)
    again = repeats(asked, 10, SALT, rng())
    by_key = {task.task_key: task for task in asked}
    assert len(again) == 2
    for task in again:
        assert isinstance(task, TaskSides)
        original = by_key[task.repeats]
        assert (task.kind, task.image_a, task.image_b) == (
            "repeat",
            original.image_a,
            original.image_b,
        )
        assert {task.left_is, original.left_is} == {"a", "b"}
        assert task.task_key not in by_key


def test_a_picture_is_repeated_as_it_was() -> None:
    asked = picture_tasks(picture_questions(pictures(4, 1)), "ask", SALT)
    (again,) = repeats(asked, 25, SALT, rng())
    assert isinstance(again, TaskPicture)
    assert again.image in {task.image for task in asked}
    assert again.repeats != again.task_key


def test_a_repeat_comes_late_and_gold_is_spread() -> None:
    asked = tasks(40)
    again = repeats(asked, 20, SALT, rng())
    gold = pair_tasks(pair_questions(pictures(4, 2)), "gold", SALT, rng())
    order = in_order(asked, again, gold, rng())
    place = {task.task_key: k for k, task in enumerate(order)}
    assert len(order) == len(place) == 40 + 8 + 4
    assert all(place[t.task_key] - place[t.repeats] >= 20 for t in again)
    before = [sum(t.kind == "ask" for t in order[: place[t.task_key]]) for t in gold]
    assert all(10 * k <= count <= 10 * (k + 1) for k, count in enumerate(before))
    assert [task for task in order if task.kind == "ask"] == asked
