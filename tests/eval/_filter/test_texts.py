"""Texts that are all numbers count as numbers where a rule wants them, and stay texts elsewhere."""

import pyarrow as pa
import pytest

from beholder.errors import ConfigError
from beholder.eval._filter.texts import number_column, with_numbers
from beholder.eval.filtering import Rule, select
from tests.eval.filtered import HeldRows

SEEDS = [str(seed) for seed in (2**53 + 1, 0, 1, 7)]
ROWS = [
    {"seed": seed, "niqe": niqe, "n": n, "model": model}
    for seed, niqe, n, model in zip(
        SEEDS, ["3.5", " 1e1", "", "-.5"], [7, 0, 2, 7], "abab", strict=True
    )
]


def kept(where: str = "", **asked: object) -> str:
    rule = Rule(where=where, **asked)  # type: ignore[arg-type]
    return "".join("abcd"[k] for k, why in enumerate(select(ROWS, rule)) if why is None)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("seed == 1", "c"),
        ("1 <= seed < 8", "cd"),
        ("seed in [0, 7.0]", "bd"),
        (f"seed == {2**53 + 1}", "a"),
        (f"seed == {2**53}", ""),
        ("seed == n", "bd"),
        ("n != seed", "ac"),
        ("niqe < 4", "ad"),
        ("-niqe + seed * 0 <= -3.5", "ab"),
        ("niqe >= quantile(niqe, 0.5)", "ab"),
        ("percentile(niqe, model) == 1", "ab"),
        ("max(niqe, 5) > 5", "b"),
        ('seed == "1"', "c"),
        ('seed < "2"', "bc"),
        ('seed == "1" or seed > 5', "acd"),
        ('seed in ["1", 7]', "c"),
        ('niqe == ""', "c"),
        ('model > "a"', "bd"),
    ],
)
def test_what_a_text_is_compared_with_decides_how_it_is_read(where: str, rows: str) -> None:
    assert kept(where) == rows


def test_texts_of_numbers_rank_rows_and_an_empty_one_is_no_value() -> None:
    assert kept(score="niqe", budget=2) == "ab"
    assert kept(score="2 * niqe + 0 * seed", top=1) == "b"
    assert select(ROWS, Rule(where="niqe < 4"))[2] == "no value in niqe"
    assert kept(score="niqe", budget=1, stratify="seed", shares="equal") == "a"


@pytest.mark.parametrize("text", ["x", "nan", "inf", "1e999", "0x1F", "1_000", "1,5", "--1"])
def test_one_text_that_is_no_finite_number_makes_the_column_text(text: str) -> None:
    rows = HeldRows(pa.table({"seed": ["1", "2", None, text]}), 1)
    with pytest.raises(ConfigError) as caught:
        with_numbers(rows, {"seed": "1"}, [])
    assert str(caught.value) == (
        f"seed holds texts such as {text!r}, which is no number, and numbers are asked for; "
        "a comparison of texts is written as seed == '1'"
    )
    with_numbers(rows, {}, [("seed", "seed", "equal")])


def test_the_whole_column_decides_however_it_is_cut() -> None:
    table = pa.table({"a b": ["1", "+2", None], "n": [1, 2, 3], "t": ["x", "y", "z"]})
    for size in (1, 2, 3):
        numbered = with_numbers(HeldRows(table, size), {"n": ""}, [("a b", "n", "less")])
        found = pa.concat_tables(numbered.parts(["a b", "n"]))
        assert number_column(found, "a b").to_pylist() == [1.0, 2.0, None]
        assert pa.types.is_float64(number_column(found, "a b").type)
        assert found["a b"].to_pylist() == ["1", "+2", None]
        assert number_column(found, "n").equals(found["n"])
    with pytest.raises(ConfigError, match=r"written as column\[\"a b\"\] == '\+2'"):
        with_numbers(HeldRows(table.set_column(0, "a b", [["1", "x", "+2"]])), {"a b": "+2"}, [])
