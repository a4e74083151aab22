"""Rankings worked out by hand, and strengths compared with a general optimiser."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import Floats
from beholder.eval.ranking import (
    Ranking,
    bradley_terry,
    corrected_together,
    prompt_means,
    rank,
    tiers,
)

# two prompts, three checkpoints; c fails on the second prompt
ROWS = [
    ("a", "p", 1.0), ("b", "p", 2.0), ("c", "p", 2.0),
    ("a", "q", 5.0), ("b", "q", 3.0), ("c", "q", math.nan),
]  # fmt: skip


def ranked(rows: Sequence[tuple[object, object, object]], **options: object) -> Ranking:
    model, prompt, score = (list(column) for column in zip(*rows, strict=True))
    columns = {"model": model, "prompt": prompt, "mps.overall": score}
    return rank(columns, score="mps.overall", **options)  # type: ignore[arg-type]


def graded(prompts: int, quality: Sequence[float], seed: int = 0) -> list[tuple[str, str, float]]:
    noise = np.random.default_rng(seed).normal(size=(prompts, len(quality)))
    return [
        (f"m{k}", f"p{i}", q + float(noise[i, k]))
        for i in range(prompts)
        for k, q in enumerate(quality)
    ]


def test_means_wins_and_gaps_are_those_of_the_hand() -> None:
    result = ranked(ROWS)
    by_name = {s.name: s for s in result.standings}
    assert [by_name[n].mean for n in "abc"] == [3, 2.5, 2]
    # a: lost to b and c on p, won against b on q; b: won, tied with c on p, lost on q
    assert [by_name[n].win_rate for n in "abc"] == pytest.approx([1 / 3, 1.5 / 3, 1.5 / 2])
    assert [by_name[n].prompts for n in "abc"] == [2, 2, 1]
    assert [by_name[n].missing for n in "abc"] == [0, 0, 1]
    assert [s.name for s in result.standings] == ["c", "b", "a"]
    assert result.wins == [[0, 0.5, 1], [0.5, 0, 1], [0, 1, 0]]
    first = {(m.first, m.second): m for m in result.meetings}
    assert set(first) == {("c", "b"), ("c", "a"), ("b", "a")}
    assert first["b", "a"].mean_difference == pytest.approx((1 - 2) / 2)
    assert first["b", "a"].prompts == 2
    assert first["c", "a"].prompts == 1


def test_two_checkpoints_have_the_log_odds_of_their_wins() -> None:
    wins = np.array([[0, 30], [10, 0]], dtype=np.float64)
    met = ~np.eye(2, dtype=bool)
    assert bradley_terry(wins, met) == pytest.approx([math.log(3) / 2, -math.log(3) / 2])
    # one virtual tie: 30.5 to 10.5
    half = math.log(30.5 / 10.5) / 2
    assert bradley_terry(wins, met, 1.0) == pytest.approx([half, -half])


@pytest.mark.parametrize("seed", range(4))
def test_strengths_are_the_maximum_that_an_optimiser_finds(seed: int) -> None:
    m = 5
    wins = np.random.default_rng(seed).integers(1, 40, (m, m)).astype(np.float64)
    np.fill_diagonal(wins, 0)

    def loss(s: Floats) -> float:
        return float((wins * np.logaddexp(0, s[None, :] - s[:, None])).sum())

    best = minimize(loss, np.zeros(m), method="BFGS", options={"gtol": 1e-8}).x
    found = bradley_terry(wins, ~np.eye(m, dtype=bool))
    assert found == pytest.approx(best - best.mean(), abs=1e-5)
    stacked = bradley_terry(np.stack([wins, wins.T]), ~np.eye(m, dtype=bool))
    assert stacked[0] == pytest.approx(found)
    assert stacked[1] == pytest.approx(-found)


def test_a_clean_sweep_stays_finite_and_needs_its_virtual_tie() -> None:
    wins = np.array([[0, 1000], [0, 0]], dtype=np.float64)
    met = ~np.eye(2, dtype=bool)
    assert bradley_terry(wins, met, 1.0)[0] == pytest.approx(math.log(1000.5 / 0.5) / 2)
    with pytest.raises(DataError, match="add virtual ties"):
        bradley_terry(wins, met)


def test_clear_differences_are_told_apart_and_equals_are_not() -> None:
    result = ranked(graded(80, [0.0, 2.0, 2.0]))
    apart = {frozenset((m.first, m.second)): m.told_apart for m in result.meetings}
    assert apart[frozenset(("m0", "m1"))]
    assert apart[frozenset(("m0", "m2"))]
    assert not apart[frozenset(("m1", "m2"))]
    assert result.standings[-1].name == "m0"
    for standing in result.standings:
        assert standing.strength_interval.holds(standing.strength)
        assert standing.win_rate_interval.holds(standing.win_rate)
        assert standing.mean_interval.holds(standing.mean)


def test_pairing_by_prompt_sees_through_differences_between_prompts() -> None:
    """A constant gain of 0.1 under a spread of 10 between prompts is found: prompts are shared."""
    rows: list[tuple[str, str, float]] = []
    for i in range(40):
        hard = 10 * math.sin(i)
        rows += [("old", f"p{i}", hard), ("new", f"p{i}", hard + 0.1)]
    (meeting,) = ranked(rows).meetings
    assert meeting.first == "new"
    assert meeting.told_apart
    assert meeting.mean_difference_interval.low == pytest.approx(0.1)
    assert meeting.mean_difference_interval.high == pytest.approx(0.1)


def test_several_pictures_of_a_prompt_count_as_one_meeting() -> None:
    rows = [("a", "p", s) for s in (1.0, 3.0)] + [("b", "p", s) for s in (2.0, 3.0)]
    # a against b: 1<2, 1<3, 3>2, 3=3: one and a half of four
    result = ranked(rows)
    assert result.standings[0].name == "b"
    assert result.standings[1].win_rate == pytest.approx(1.5 / 4)
    assert result.meetings[0].prompts == 1
    assert result.standings[0].pictures == 2


def test_order_of_rows_does_not_matter() -> None:
    rows = graded(20, [0.0, 0.3, 0.6])
    one, other = ranked(rows), ranked(rows[::-1])
    assert [s.name for s in one.standings] == [s.name for s in other.standings]
    strengths = [s.strength for s in one.standings]
    assert strengths == pytest.approx([s.strength for s in other.standings])


def test_rows_without_checkpoint_or_prompt_are_counted_and_left_out() -> None:
    result = ranked([*ROWS, (None, "p", 1.0), ("a", None, 1.0), ("a", math.nan, 1.0)])
    assert result.left_out == 3
    assert result.wins == ranked(ROWS).wins


def test_the_result_is_json() -> None:
    loaded = json.loads(json.dumps(ranked(ROWS).as_dict()))
    assert loaded["standings"][0]["name"] == "c"
    assert set(loaded["standings"][0]["strength_interval"]) == {"low", "high"}


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(DataError, match="two or more checkpoints, found a"):
        ranked(ROWS[:1])
    with pytest.raises(DataError, match="c and a share no prompt"):
        ranked([*ROWS[:2], ("c", "r", 1.0)])
    with pytest.raises(DataError, match="b and a share no prompt"):
        ranked([("a", "p", None), ("b", "p", None)])
    with pytest.raises(ConfigError, match="no column named 'model'"):
        rank({"mps.total": [1.0]}, score="mps.total")
    with pytest.raises(ConfigError, match="holds text"):
        ranked([("a", "p", "good"), ("b", "p", "bad")])


def test_prompt_means_are_of_each_checkpoint_on_each_prompt() -> None:
    columns: dict[str, list[object]] = {
        "model": ["a", "a", "b", "b"],
        "prompt": [0, 0, 0, 1],
        "s": [1.0, 3.0, 5.0, 7.0],
    }
    names, means = prompt_means(columns, score="s")
    assert names == ["a", "b"]
    np.testing.assert_equal(means, [[2.0, 5.0], [np.nan, 7.0]])


def test_told_apart_is_the_corrected_test() -> None:
    """Seven prompts swept: 2 / 2^7 each; three such pairs are corrected to three times that."""
    swept = ranked([(m, p, s) for p in range(7) for m, s in (("a", 3.0), ("b", 2.0), ("c", 1.0))])
    assert [m.p_value for m in swept.meetings] == pytest.approx([2 / 128] * 3)
    assert [m.p_adjusted for m in swept.meetings] == pytest.approx([6 / 128] * 3)
    assert all(m.told_apart for m in swept.meetings)
    strict = ranked([(m, p, s) for p in range(7) for m, s in (("a", 3.0), ("b", 2.0))], alpha=0.01)
    assert strict.meetings[0].p_adjusted == pytest.approx(2 / 128)
    assert not strict.meetings[0].told_apart


def test_rankings_that_are_looked_at_together_are_corrected_together() -> None:
    one = ranked([(m, p, s) for p in range(6) for m, s in (("a", 3.0), ("b", 2.0))])
    assert one.meetings[0].told_apart  # 2 / 64
    for together in corrected_together([one, one]):
        assert together.meetings[0].p_adjusted == pytest.approx(4 / 64)
        assert not together.meetings[0].told_apart


def test_tiers_are_runs_of_neighbours_that_are_not_told_apart() -> None:
    rows = graded(60, [0.0, 0.1, 1.5, 1.6])
    found = [set(tier) for tier in tiers(ranked(rows))]
    assert found == [{"m2", "m3"}, {"m0", "m1"}]
    result = ranked(graded(40, [3.0, 6.0, 0.0]))
    assert tiers(result) == [["m1"], ["m0"], ["m2"]]
    a, b, c = result.meetings  # m1-m0, m1-m2, m0-m2
    chain = replace(
        result, meetings=[replace(a, told_apart=False), b, replace(c, told_apart=False)]
    )
    assert tiers(chain) == [["m1", "m0"], ["m0", "m2"]]
    every = replace(result, meetings=[replace(m, told_apart=False) for m in result.meetings])
    assert tiers(every) == [["m1", "m0", "m2"]]


@pytest.mark.parametrize("resample", ["prompts", "seeds", "both"])
def test_other_names_give_the_same_ranking(resample: str) -> None:
    rows = [row for seed in range(3) for row in graded(8, [0.0, 0.4], seed)]
    other = [("z" if name == "m0" else "a", prompt, score) for name, prompt, score in rows]
    one, two = (ranked(each, resample=resample, draws=200) for each in (rows, other))
    assert [s.strength for s in one.standings] == pytest.approx([s.strength for s in two.standings])
    assert one.meetings[0].p_value == pytest.approx(two.meetings[0].p_value)
    if resample == "prompts":
        highs = [s.strength_interval.high for s in one.standings]
        assert highs == pytest.approx([s.strength_interval.high for s in two.standings])


def test_what_is_redrawn_decides_what_is_uncertain() -> None:
    """Prompts on which one is always better by 0 to 7: certain for these, less so for others."""
    rng = np.random.default_rng(0)
    rows = [
        (name, f"p{p}", p * gain + 0.1 * float(rng.normal()))
        for p in range(8)
        for name, gain in (("a", 0.0), ("b", 1.0))
        for _ in range(3)
    ]
    widths = {}
    for resample in ("seeds", "prompts", "both"):
        (meeting,) = ranked(rows, resample=resample, draws=300).meetings
        interval = meeting.mean_difference_interval
        widths[resample] = interval.high - interval.low
    assert widths["seeds"] < 0.2 < 2 < widths["prompts"]
    assert widths["both"] >= 0.9 * widths["prompts"]
    assert ranked(rows, resample="seeds", draws=2).meetings[0].p_value < 1e-4


def test_unknown_redraws_and_levels_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="resample is 'all'; expected one of prompts, seeds, both"
    ):
        ranked(ROWS, resample="all")
    with pytest.raises(ConfigError, match="alpha is 1"):
        ranked(ROWS, alpha=1)


def test_one_prompt_tells_nothing_apart_and_has_no_interval() -> None:
    (meeting,) = ranked([("a", "p", 1.0), ("b", "p", 2.0)]).meetings
    assert meeting.p_value == 1.0
    assert math.isnan(meeting.mean_difference_interval.low)


def test_standard_errors_are_those_of_a_mean_over_prompts() -> None:
    values = [1.0, 2.0, 4.0, 9.0, 4.0]
    result = ranked([row for p, v in enumerate(values) for row in (("a", p, v), ("b", p, 0.0))])
    first, second = result.standings
    assert first.mean_error == pytest.approx(np.std(values) / math.sqrt(5), rel=0.05)
    assert (second.mean_error, first.win_rate_error) == (0.0, 0.0)
