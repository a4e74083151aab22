"""Before anybody waits, each reward has scored noise, alone and in a whole batch."""

import itertools
import time
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.images import LIMITS
from beholder.serving import warming
from beholder.serving.decoding import Decoded, decoded
from beholder.serving.items import Fault, Picture
from beholder.serving.warming import warm_decoders, warmed
from beholder.types import Scores, WordLabel
from tests.serving.engine_rewards import Clumsy, Mean, Picky


class Talkative(Mean):
    """Tells all that a reward can."""

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        rows = len(prompts)
        words = [[WordLabel(prompt, 0, len(prompt), 0.5)] for prompt in prompts]
        maps = {"dark": torch.zeros(rows, 2, 2)}
        return Scores(torch.zeros(rows), {}, maps, words, deviations={"total": torch.ones(rows)})


def test_each_kind_of_picture_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Decoded | Fault] = []

    def decode(picture: Picture, *rest: object) -> None:
        found.append(decoded(picture, *rest))  # type: ignore[arg-type]

    monkeypatch.setattr(warming, "decoded", decode)
    warm_decoders("white", LIMITS)
    assert [picture.size for picture in found if isinstance(picture, Decoded)] == [(64, 64)] * 3


def test_a_batch_is_of_different_pictures_and_prompts_of_the_size_that_is_served() -> None:
    reward = Mean()
    assert warmed("mine", reward, 5).details == ()
    assert reward.batches == [1, 1, 5]
    assert reward.encoded == 7
    assert len(set(reward.prompts[2:])) == 5


def test_one_at_a_time_has_no_batch_to_warm() -> None:
    reward = Mean()
    warmed("mine", reward, 1)
    assert reward.batches == [1, 1]


def test_what_a_reward_can_tell_is_found() -> None:
    assert set(warmed("mine", Talkative(), 2).details) == {"maps", "words", "deviations"}


def test_the_seconds_of_a_picture_are_those_of_the_largest_pass_unless_that_was_slower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for batch_seconds, told in [(8.0, 2.0), (40.0, 3.0)]:
        times = iter([0.0, 3.0, 10.0, 10.0 + batch_seconds])
        monkeypatch.setattr(time, "monotonic", lambda times=times: next(times))
        assert warmed("mine", Mean(), 4).seconds == told


def test_a_batch_that_would_take_minutes_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = Mean()
    monkeypatch.setattr(time, "monotonic", itertools.count(step=31).__next__)
    warmed("mine", reward, 2)
    assert reward.batches == [1, 1]
    assert warming.MOST_SECONDS < 2 * 31


def test_a_batch_that_does_not_fit_is_told_before_the_server_is_ready() -> None:
    with pytest.raises(ConfigError, match=r"mine cannot score 8 .* out of memory; lower --batch"):
        warmed("mine", Clumsy(most=2), 8)


def test_a_reward_that_scores_nothing_is_told_too() -> None:
    with pytest.raises(ConfigError, match=r"mine cannot score 1 pictures .* out of memory$"):
        warmed("mine", Clumsy(most=0), 8)


def test_a_broken_gpu_is_no_question_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Picky, "raised", {"a picture of 0 things": Picky.raised["broken"]})
    with pytest.raises(RuntimeError, match="CUDA error"):
        warmed("mine", Picky(), 2)
