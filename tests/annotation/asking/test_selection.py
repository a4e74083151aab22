import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from beholder.annotation.asking.candidates import Candidates
from beholder.annotation.asking.selection import LARGEST, Selection, SelectionConfig, select
from beholder.errors import ConfigError
from beholder.types import Preference
from tests.annotation.asking.pools import pool


def chosen(
    candidates: Candidates, *, seed: int = 0, judged: list[Preference] | None = None, **how: Any
) -> Selection:
    config = SelectionConfig(**{"random_share": 0.0, **how})
    return select(candidates, config, np.random.default_rng(seed), judged=judged or [])


def names(selection: Selection) -> list[tuple[str, str]]:
    return [(one.first, one.second) for one in selection.chosen]


def said(first: str, second: str, prompt: str, p_first: float) -> Preference:
    return Preference(
        key=f"{first} {second}",
        prompt=prompt,
        first=first,
        second=second,
        p_first={"overall": p_first},
    )


def random_pool(prompts: int, each: int, rewards: int = 1, seed: int = 0) -> Candidates:
    rng = np.random.default_rng(seed)
    texts = [f"prompt {k // each}" for k in range(prompts * each)]
    return pool(texts, *rng.standard_normal((rewards, len(texts))))


# pairs (0, 1) and (2, 3) with margins 2 and 0.1
FOXES = pool("xxyy", [2.0, 0.0, 0.1, 0.0])


def test_uncertainty_asks_what_the_reward_cannot_tell() -> None:
    found = chosen(FOXES, count=2, temperature=1.0)
    assert names(found) == [("/p/2", "/p/3"), ("/p/0", "/p/1")]
    p = 1 / (1 + math.exp(-2.0))
    gain = -p * math.log(p) - (1 - p) * math.log(1 - p)
    last = found.chosen[1]
    assert (last.prompt, last.reason) == ("x", "active")
    assert last.p_first == pytest.approx(p)
    assert last.gain == pytest.approx(gain)
    assert last.score == pytest.approx(1 - gain / math.log(2))


def test_disagreement_asks_where_rewards_contradict_each_other() -> None:
    """On x both are unsure alike; on y each is sure of the opposite."""
    candidates = pool("xxyy", [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, -3.0, 0.0])
    assert names(chosen(candidates, strategy="disagreement", count=1, temperature=1.0)) == [
        ("/p/2", "/p/3")
    ]


def test_disagreement_does_not_ask_the_same_thing_twice() -> None:
    """Prompts x and y split the rewards alike and strongest, z splits them another way."""
    candidates = pool(
        "xxyyzz",
        [4.0, 0, 4.0, 0, 3.0, 0],
        [4.0, 0, 4.0, 0, -3.0, 0],
        [-4.0, 0, -4.0, 0, 3.0, 0],
        [-4.0, 0, -4.0, 0, -3.0, 0],
    )
    found = chosen(candidates, strategy="disagreement", count=2, temperature=1.0)
    assert {one.prompt for one in found.chosen} in ({"x", "z"}, {"y", "z"})


def test_the_ranking_asks_close_checkpoints_more_than_far_ones() -> None:
    """The reward sees a and b alike and c far below: every answer about c is foreseen."""
    prompts = [f"{k // 3}" for k in range(600)]
    scores = np.tile([1.0, 0.8, -4.0], 200)
    candidates = pool(prompts, scores, checkpoints=["a", "b", "c"] * 200)
    found = chosen(candidates, strategy="ranking", count=60, temperature=1.0)
    met = Counter(one.checkpoint_first + one.checkpoint_second for one in found.chosen)
    assert met["ab"] > 10 * (met["ac"] + met["bc"])


def test_the_ranking_moves_on_once_judgements_told_two_checkpoints_apart() -> None:
    prompts = [f"{k // 3}" for k in range(600)]
    checkpoints = ["a", "b", "c"] * 200
    candidates = pool(prompts, np.zeros(600), checkpoints=checkpoints)
    judged = [said(f"/p/{3 * k}", f"/p/{3 * k + 1}", f"{k}", float(k % 10 > 0)) for k in range(100)]
    judged += [
        said(f"/p/{3 * k}", f"/p/{3 * k + 2}", f"{k}", float(k % 10 > 0)) for k in range(100)
    ]
    found = chosen(candidates, strategy="ranking", count=20, judged=judged)
    met = Counter(one.checkpoint_first + one.checkpoint_second for one in found.chosen)
    assert found.judged == 200
    assert met["bc"] >= 18


def test_the_ranking_works_before_there_is_any_reward() -> None:
    candidates = pool("xxx", checkpoints=["a", "b", "c"])
    found = chosen(candidates, strategy="ranking", count=3)
    assert [one.p_first for one in found.chosen] == [0.5, 0.5, 0.5]
    assert found.temperatures == {}


def test_within_two_checkpoints_the_ranking_leaves_pictures_to_chance() -> None:
    """Else only near ties would be judged, and the win rate would go to one half."""
    rng = np.random.default_rng(0)
    prompts = [f"{k // 2}" for k in range(4000)]
    scores = rng.standard_normal(4000)
    candidates = pool(prompts, scores, checkpoints=["a", "b"] * 2000)
    found = chosen(candidates, strategy="ranking", count=500, temperature=1.0)
    sure = np.mean([abs(one.p_first - 0.5) for one in found.chosen])
    margins = candidates.margins(candidates.pairs)[0]
    assert sure == pytest.approx(np.abs(1 / (1 + np.exp(-margins)) - 0.5).mean(), rel=0.1)


def test_the_random_share_is_drawn_from_all_candidates_alike() -> None:
    """Of 3 pairs, 1 of 2 is random: each as often, though the strategy prefers one by far."""
    candidates = pool("xxyyzz", [0.0, 0.0, 5.0, 0.0, 9.0, 0.0])
    drawn: Counter[str] = Counter()
    for seed in range(900):
        found = chosen(candidates, count=2, random_share=0.5, seed=seed, temperature=1.0)
        drawn.update(one.prompt for one in found.chosen if one.reason == "random")
    assert sum(drawn.values()) == 900
    # the chi-square of 2 degrees of freedom exceeds 13.8 once in 1,000
    assert sum((count - 300) ** 2 / 300 for count in drawn.values()) < 13.8


def test_random_pairs_lie_anywhere_in_the_order_of_asking() -> None:
    """Their place must not depend on their gain: half a batch holds half of them."""
    candidates = random_pool(400, 2)
    early = []
    for seed in range(20):
        found = chosen(candidates, count=100, random_share=0.5, seed=seed, temperature=0.3)
        early.append(sum(one.reason == "random" for one in found.chosen[:50]))
        scores = [one.score for one in found.chosen]
        assert scores == sorted(scores)
        assert 0 <= min(scores) <= max(scores) <= 1
    assert np.mean(early) == pytest.approx(25, abs=3)


def test_the_strategy_random_takes_no_notice_of_the_reward() -> None:
    found = chosen(random_pool(50, 2), strategy="random", count=20)
    assert {one.reason for one in found.chosen} == {"random"}
    assert len({one.score for one in found.chosen}) == 20


@pytest.mark.parametrize("strategy", ["uncertainty", "disagreement", "ranking", "random"])
def test_no_pair_is_chosen_twice_and_a_seed_repeats_the_batch(strategy: str) -> None:
    candidates = replace(random_pool(30, 4, rewards=3), checkpoints=["a", "b", "c", "d"] * 30)
    found = chosen(candidates, strategy=strategy, count=150, random_share=0.2, seed=1)
    again = chosen(candidates, strategy=strategy, count=150, random_share=0.2, seed=1)
    other = chosen(candidates, strategy=strategy, count=150, random_share=0.2, seed=2)
    assert found == again
    assert found != other
    assert len(set(names(found))) == len(found.chosen) == 150
    known = {(f"/p/{i}", f"/p/{j}") for i, j in candidates.pairs.tolist()}
    assert set(names(found)) <= known


def test_a_batch_spreads_over_prompts() -> None:
    """Alike in gain, 10 prompts of 6 pairs each: the first 10 choices take each prompt once."""
    candidates = pool([f"{k // 4}" for k in range(40)], np.zeros(40))
    found = chosen(candidates, count=10, prompt_decay=0.5, picture_decay=1.0)
    assert len({one.prompt for one in found.chosen}) == 10
    capped = chosen(candidates, count=100, per_prompt=2)
    assert max(Counter(one.prompt for one in capped.chosen).values()) == 2
    assert len(capped.chosen) == 20


def test_fewer_candidates_than_wanted_are_all_chosen() -> None:
    found = chosen(FOXES, count=10, random_share=0.5)
    assert len(found.chosen) == found.candidates == 2


def test_each_reward_has_the_temperature_that_judgements_give_it() -> None:
    """The second reward says the same ten times louder; both end at the same probability."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(400)
    candidates = pool([f"{k // 2}" for k in range(400)], scores, 10 * scores)
    judged = [
        said(f"/p/{k}", f"/p/{k + 1}", f"{k // 2}", float(scores[k] > scores[k + 1]))
        for k in range(0, 200, 2)
    ]
    found = chosen(candidates, count=1, judged=judged)
    assert found.temperatures["r1"] == pytest.approx(10 * found.temperatures["r0"])
    unjudged = chosen(candidates, count=1)
    assert found.temperatures["r0"] < unjudged.temperatures["r0"] / 2
    assert unjudged.temperatures["r0"] == pytest.approx(math.sqrt(2), rel=0.2)
    assert chosen(candidates, count=1, temperature=3.0).temperatures == {"r0": 3.0, "r1": 3.0}


def test_judgements_of_unknown_pictures_or_other_aspects_are_counted() -> None:
    judged = [
        said("/p/1", "/p/0", "x", 1.0),
        said("/p/0", "/p/9", "x", 1.0),
        said("/p/0", "/p/1", "another prompt", 1.0),
        replace(said("/p/2", "/p/3", "y", 1.0), p_first={"detail": 1.0}),
    ]
    found = chosen(FOXES, count=1, judged=judged)
    assert (found.judged, found.unmatched) == (1, 3)


def test_a_strategy_says_what_it_lacks() -> None:
    with pytest.raises(ConfigError, match="needs the scores of 1 or more rewards, not 0"):
        chosen(pool("xx"))
    with pytest.raises(ConfigError, match="needs the scores of 2 or more rewards, not 1"):
        chosen(FOXES, strategy="disagreement")
    with pytest.raises(ConfigError, match="compares checkpoints, but the candidates name 1"):
        chosen(FOXES, strategy="ranking")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0),
        ("random_share", 1.1),
        ("prompt_decay", 0.0),
        ("picture_decay", 1.5),
        ("per_prompt", 0),
        ("balance", -1.0),
        ("temperature", 0.0),
        ("spread", 0.0),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}, expected"):
        SelectionConfig(**{name: value})  # type: ignore[arg-type]


def test_a_gain_never_exceeds_one_answer() -> None:
    found = chosen(random_pool(20, 3, rewards=4), strategy="disagreement", count=60)
    assert all(0 <= one.gain <= LARGEST for one in found.chosen)


def test_tens_of_thousands_of_candidates_are_no_obstacle() -> None:
    candidates = random_pool(1200, 10, rewards=2)
    found = chosen(candidates, strategy="disagreement", count=300, random_share=0.2)
    assert (found.candidates, len(set(names(found)))) == (54_000, 300)
