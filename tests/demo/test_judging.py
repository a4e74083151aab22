import math

import pytest
import torch

from beholder.calibration import Curve
from beholder.demo.judging import NO_PICTURE, NO_PROMPT, Judges, refused
from beholder.errors import ServerError
from beholder.rewards import Reward, load
from tests.calibrations import calibration
from tests.rewards.tinies import richhf

RED = torch.zeros(3, 40, 60, dtype=torch.uint8)
NOISE = torch.randint(0, 256, (3, 40, 60), generator=torch.manual_seed(0), dtype=torch.uint8)


def calibrated(temperature: float = 1.0, tie_threshold: float = 0.0) -> Reward:
    reward = load("tiny")
    curve = Curve(temperature=temperature, tie_threshold=tie_threshold)
    reward.calibration = calibration(curve, reference=[-1.0, 1.0])
    return reward


def test_a_judgement_is_what_the_reward_scores() -> None:
    (said,) = Judges({"mine": load("tiny")}).picture(NOISE, "a fox")
    scores = load("tiny").score([NOISE], ["a fox"])
    assert (said.reward, said.total, said.why) == ("mine", scores.total.item(), "")
    assert said.aspects["detail"] == scores.aspects["detail"].item()
    assert said.wins is None
    assert said.seen is None


def test_a_calibrated_reward_says_how_often_a_picture_wins() -> None:
    (said,) = Judges({"tiny": calibrated()}).picture(NOISE, "a fox")
    wins = [1 / (1 + math.exp(-(said.total - other))) for other in (-1, 1)]
    assert said.wins == pytest.approx(sum(wins) / 2)


@pytest.mark.parametrize(
    ("picture", "prompt", "why"),
    [
        (None, "a fox", NO_PICTURE),
        (NOISE, " \n", NO_PROMPT),
        (b"not a picture", "a fox", "format: "),
        (NOISE, "a" * 20_001, "prompt: "),
    ],
)
def test_what_cannot_be_judged_has_its_reason(
    picture: torch.Tensor | bytes | None, prompt: str, why: str
) -> None:
    (said,) = Judges({"tiny": load("tiny")}).picture(picture, prompt)
    assert why.partition(":")[0] in said.why
    assert math.isnan(said.total)


def test_a_reward_that_reads_no_prompt_needs_none() -> None:
    (said,) = Judges({"niqe": load("niqe")}).picture(torch.rand(3, 200, 200), "")
    assert said.why == ""


def test_a_reward_that_fails_does_not_take_the_others_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = load("tiny")

    def score_rows(*_: object, **__: object) -> None:
        raise ServerError("nobody answers at http://127.0.0.1:1")

    monkeypatch.setattr(away, "score_rows", score_rows)
    lost, here = Judges({"away": away, "here": load("tiny")}).picture(NOISE, "a fox")
    assert lost.why == "nobody answers at http://127.0.0.1:1"
    assert here.why == ""
    assert refused([lost, here]) == ""
    assert refused([lost, lost]) == lost.why


def test_maps_and_words_are_kept_with_their_picture() -> None:
    (said,) = Judges({"rich": richhf.tiny()}).picture(NOISE, "a fox")
    assert said.seen is not None
    assert list(said.seen.maps) == ["implausibility", "misalignment"]
    assert [word.word for word in said.seen.words] == ["a", "fox"]


def test_the_preferred_picture_is_the_one_of_the_higher_score() -> None:
    (verdict,) = Judges({"tiny": load("tiny")}).pair(RED, NOISE, "a fox")
    better = "left" if verdict.left.total > verdict.right.total else "right"
    assert verdict.preferred == better
    assert verdict.likely is None
    (turned,) = Judges({"tiny": load("tiny")}).pair(NOISE, RED, "a fox")
    assert {verdict.preferred, turned.preferred} == {"left", "right"}
    (same,) = Judges({"tiny": load("tiny")}).pair(NOISE, NOISE, "a fox")
    assert same.preferred == "neither"


def test_a_calibration_says_how_likely_people_agree_and_what_is_a_tie() -> None:
    (verdict,) = Judges({"tiny": calibrated(temperature=2.0)}).pair(RED, NOISE, "a fox")
    margin = verdict.left.total - verdict.right.total
    assert verdict.likely == pytest.approx(1 / (1 + math.exp(-margin / 2)))
    assert verdict.judged == 150
    (tied,) = Judges({"tiny": calibrated(tie_threshold=1.0)}).pair(RED, NOISE, "a fox")
    assert tied.preferred == "neither"


def test_a_pair_that_lacks_a_picture_says_which() -> None:
    judges = Judges({"tiny": calibrated()})
    (verdict,) = judges.pair(RED, None, "a fox")
    assert verdict.why == f"right: {NO_PICTURE}"
    assert verdict.preferred == "neither"
    assert verdict.likely is None
    (none,) = judges.pair(None, None, "a fox")
    assert none.why == NO_PICTURE
