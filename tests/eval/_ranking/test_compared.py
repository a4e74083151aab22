from beholder.eval._ranking.cells import gather
from beholder.eval._ranking.compared import Compared

ROWS = [
    ("a", "both", 1.0),
    ("b", "both", 2.0),
    ("a", "both, one failed", None),
    ("b", "both, one failed", 1.0),
    ("a", "only a", 1.0),
    ("a", "only a", 2.0),
    ("b", "only b, failed", None),
]


def _compared(rows: list[tuple[str, str, float | None]]) -> Compared:
    model, prompt, score = (list(column) for column in zip(*rows, strict=True))
    return Compared.of(gather({"m": model, "p": prompt, "s": score}, "s", "m", "p"))


def test_every_prompt_is_counted_once_by_why_it_counts_or_not() -> None:
    found = _compared(ROWS)
    assert found == Compared(prompts=1, alone={"a": 1, "b": 1}, unscored=1)
    assert found.left_out() == (
        "1 that only a has, 1 that only b has, 1 on which fewer than two have a score"
    )


def test_nothing_is_said_where_all_prompts_are_compared() -> None:
    found = _compared(ROWS[:2])
    assert found == Compared(prompts=1)
    assert found.left_out() == ""
