from typing import Any

import torch

from beholder.rewards._pooled_reward import unit
from beholder.rewards._towers import Features
from tests.rewards.tinies import clipscore, head, pickscore


def test_unit_vectors_have_length_one_and_float32_at_least() -> None:
    vectors = unit(torch.tensor([[3.0, 4.0]], dtype=torch.bfloat16))
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors, torch.tensor([[0.6, 0.8]]))
    assert unit(torch.ones(1, 4, dtype=torch.float64)).dtype == torch.float64


@torch.no_grad()
def test_texts_get_the_prefix_and_each_distinct_one_a_single_pass() -> None:
    reward = clipscore.tiny()
    whole = reward.towers.pooled_text_backbone
    seen: list[list[str]] = []

    def watched(texts: Any) -> Features:
        seen.append(texts)
        return whole(texts)

    reward.towers.pooled_text_backbone = watched  # type: ignore[method-assign]
    states = reward.text_backbone(["a cat", "a dog", "a cat"])
    assert seen == [["A photo depicts a cat", "A photo depicts a dog"]]
    assert torch.equal(states.pooled[0], states.pooled[2])
    assert not torch.equal(states.pooled[0], states.pooled[1])


def test_rewards_on_the_same_towers_name_the_same_states() -> None:
    one, two = pickscore.tiny(), head.tiny()
    assert one.feature_options()["states"] == two.feature_options()["states"] == "pooled"
    assert one.feature_options() == two.feature_options()


def test_there_are_no_texts_of_its_own() -> None:
    assert len(pickscore.tiny().condition_features()) == 0
