"""A client learns what decides the numbers, and what it may ask."""

import math
from dataclasses import replace

import pytest
import torch

from beholder.rewards import load
from beholder.rewards._remote.fittings import fitting_of
from beholder.rewards.scoring import configuration
from beholder.serving.infos import info_of
from beholder.serving.link import Ready, encode
from beholder.types import ASPECTS
from tests.serving.engine_rewards import Mean, Promptless


def test_the_identity_is_what_a_table_of_local_scores_would_claim() -> None:
    reward = load("tiny", seed=3)
    info = info_of("mine", reward, "black", ())
    assert info.identity == configuration(reward, "black")
    assert info.identity != info_of("mine", load("tiny", seed=4), "black", ()).identity


def test_the_card_is_told_with_none_for_bounds_that_are_not_there() -> None:
    info = info_of("mine", load("tiny"), "white", ("maps",))
    assert (info.name, info.reward, info.dtype) == ("mine", "tiny", "float32")
    assert (info.score_range, info.aspects, info.details) == ((-1, 1), ASPECTS, ("maps",))
    assert info.needs_prompt
    unbounded = info_of("free", Promptless(), "white", ())
    assert (unbounded.score_range, unbounded.dtype) == ((None, None), "none")
    assert not unbounded.needs_prompt


def test_the_types_of_the_weights_are_told() -> None:
    reward = load("tiny", dtype=torch.bfloat16)
    reward.heads.float()
    assert info_of("mine", reward, "white", ()).dtype == "bfloat16, float32"


def test_a_client_can_shrink_pictures_as_the_reward_would() -> None:
    assert fitting_of(info_of("mine", Mean(), "white", ()).fitting) == Mean().fitting
    assert info_of("mine", Promptless(), "white", ()).fitting is None


def test_options_that_json_has_no_number_for_travel_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {"most": math.inf, "pair": (1, 2.5, None), "inner": {"on": True}}
    monkeypatch.setattr(Mean, "options", lambda self: options)
    card = replace(Mean.card, score_range=(-math.inf, 2.0))
    monkeypatch.setattr(Mean, "card", card)
    info = info_of("mine", Mean(), "white", ())
    plain = {"most": "inf", "pair": [1, 2.5, None], "inner": {"on": True}}
    assert info.identity["options"] == plain
    assert info.score_range == (None, 2.0)
    assert encode(Ready((info,)))
