from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from beholder.errors import DataError
from beholder.training.judged.data import Sides
from beholder.training.judged.splits import (
    divide,
    find_leaks,
    same_pictures,
    tied_by_pictures,
    without_leaks,
)
from beholder.types import Preference
from tests.training.judged.test_data import many, pair

Leaks = Literal["refuse", "drop", "allow"]


FRESH = [
    replace(p, prompt=f"new {p.prompt}", first=f"{p.first}!", second=f"{p.second}!")
    for p in many(1)
]


def both(p: Preference) -> tuple[str, str]:
    return p.first, p.second


def test_sides_are_held_out_or_given_and_never_without_an_answer() -> None:
    def sides(
        rows: list[Preference], given: list[Preference] | None, share: float
    ) -> Sides[Preference]:
        return divide(rows, given, ["overall"], {}, share=share, seed=0)

    own = sides([*many(5), pair("x", "a", "a")], None, 0.2)
    assert (len(own.training), len(own.held_out), len(own.dropped)) == (24, 6, 1)
    given = sides(many(2), [*FRESH, pair("x", "a", "b", detail=1.0)], 0.2)
    assert (len(given.training), len(given.held_out), len(given.dropped)) == (12, 6, 1)
    assert sides(many(1), None, 0.0).held_out == []
    with pytest.raises(DataError, match=r"no pair is left to learn from; dropped: .*same-picture"):
        sides([pair("x", "a", "a")], None, 0.2)
    with pytest.raises(DataError, match="not a tie"):
        sides(many(2), [pair("x", "a", "b", overall=0.5)], 0.2)


LEAKING = [pair("A  cat", "1", "2"), pair("a dog", "3", "held"), pair("a cow", "5", "6")]
HELD_OUT = [pair("a cat ", "7", "8"), pair("a fox", "held", "9")]


def leaking(leaks: Leaks) -> Sides[Preference]:
    return divide(LEAKING, HELD_OUT, ["overall"], {}, share=0.1, seed=0, leaks=leaks)


def test_a_leak_is_refused_with_how_many_and_which() -> None:
    with pytest.raises(DataError) as caught:
        leaking("refuse")
    text = str(caught.value)
    assert (
        "2 judgements to learn from leak into the held-out side, 1 by their prompt and 1 by" in text
    )
    assert "'A  cat'" in text
    assert "the picture held" in text
    assert "leaks=drop" in text


def test_dropping_leaks_never_touches_the_held_out_side() -> None:
    sides = leaking("drop")
    assert [p.prompt for p in sides.training] == ["a cow"]
    assert sides.held_out == HELD_OUT
    assert [d.key for d in sides.dropped] == [p.key for p in LEAKING[:2]]
    assert sides.dropped[0].reason == "leak: the prompt 'A  cat' is held out"
    assert sides.dropped[1].reason == "leak: the picture held is held out as held"


def test_leaks_may_be_allowed_and_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        sides = leaking("allow")
    assert sides.training == LEAKING
    assert sides.held_out == HELD_OUT
    assert "2 judgements to learn from leak" in caplog.text


def test_if_every_pair_leaks_nothing_is_left() -> None:
    with pytest.raises(DataError, match=r"no pair is left to learn from; dropped: \{'leak': 12\}"):
        divide(many(2), many(3), ["overall"], {}, share=0.1, seed=0, leaks="drop")


def own_split(pairs: list[Preference], share: float, leaks: Leaks = "refuse") -> Sides[Preference]:
    return divide(pairs, None, ["overall"], {}, share=share, seed=0, leaks=leaks)


def test_a_split_of_ones_own_never_leaks() -> None:
    """Each 4 of 20 prompts share a picture, two of them through another one."""
    pairs = [pair(f"prompt {k}", f"shared {k // 4}", f"{k}") for k in range(20)]
    pairs += [pair("Prompt  0", "a", "b"), pair("prompt 7", "b", "c")]
    sides = own_split(pairs, 0.3)
    assert sides.dropped == []
    assert find_leaks(sides.training, sides.held_out, both) == []
    assert len({p.prompt for p in sides.held_out}) == 4
    assert len(sides.training) + len(sides.held_out) == 22


def test_prompts_are_tied_by_copies_of_a_picture(tmp_path: Path) -> None:
    files = [tmp_path / f"{k}" for k in range(8)]
    for k, file in enumerate(files):
        file.write_bytes(f"picture {k // 4}".encode())
    pairs = [pair(f"prompt {k}", str(file), f"gone {k}") for k, file in enumerate(files)]
    tied = tied_by_pictures(pairs, lambda p: p.prompt, both)
    assert [len({tied[f"prompt {k}"] for k in half}) for half in (range(4), range(4, 8))] == [1, 1]
    assert len(set(tied.values())) == 2


def test_prompts_that_a_picture_ties_all_together_cannot_be_held_out() -> None:
    pairs = [pair(f"prompt {k}", "shared", f"{k}") for k in range(6)]
    with pytest.raises(DataError, match=r"all 6 prompts are tied .* give an evaluation set"):
        own_split(pairs, 0.1)
    assert len(own_split(pairs, 0.1, "allow").training) == 5
    with pytest.raises(DataError, match="no pair is left to learn from"):
        own_split(pairs, 0.1, "drop")
    assert len(divide(many(6), None, ["overall"], {}, share=0.1, seed=0).dropped) == 0


def test_pictures_without_a_prompt_do_not_leak_by_it() -> None:
    assert find_leaks([pair("", "1", "2")], [pair("", "3", "4")], both) == []


def test_a_copy_under_another_name_is_the_same_picture(tmp_path: Path) -> None:
    contents = {"a": b"one", "b": b"two", "copy": b"one", "longer": b"three"}
    files = {name: tmp_path / name for name in contents}
    for name, data in contents.items():
        files[name].write_bytes(data)
    paths = {name: str(path) for name, path in files.items()}
    training = {paths["a"], paths["b"], "gone"}
    found = same_pictures(training, {paths["copy"], paths["longer"], "gone too"})
    assert found == {paths["a"]: paths["copy"]}
    leaks = find_leaks([pair("x", paths["b"], paths["a"])], [pair("y", paths["copy"], "z")], both)
    assert [leak.kind for leak in leaks] == ["picture"]


def test_files_that_meet_in_size_alone_are_not_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 5)
    assert same_pictures({str(tmp_path / "a")}, {str(tmp_path / "b")}) == {}


def test_without_leaks_gives_the_same_list_back() -> None:
    pairs = many(2)
    assert without_leaks(pairs, [pair("other", "y", "z")], both, "refuse") == (pairs, [])
