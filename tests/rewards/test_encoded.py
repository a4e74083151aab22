from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from beholder.rewards import RewardCard
from beholder.rewards._encoded import EncodedReward
from beholder.rewards._preprocess import Preprocess
from beholder.rewards._towers import Features
from beholder.types import Scores


class Counted(EncodedReward):
    """The picture's mean times the prompt's length; counts the pictures that it encodes."""

    card = RewardCard(name="counted", paper="none")

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    @property
    def fitting(self) -> Preprocess:
        return Preprocess(size=4, mean=(0,) * 3, std=(1,) * 3, resampling="antialiased")

    def encode(self, pixel_values: Tensor) -> Tensor:
        self.encoded += len(pixel_values)
        return pixel_values.mean((1, 2, 3))

    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        assert isinstance(encoded, Tensor)
        return Scores(encoded * torch.tensor([len(prompt) for prompt in prompts]))

    def options(self) -> dict[str, object]:
        return {}

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> "Counted":
        return cls()


def test_prepared_values_are_encoded_then_scored() -> None:
    values = torch.full((2, 3, 4, 4), 0.5)
    assert Counted().score_prepared(values, ["ab", "abcd"]).total.tolist() == [1, 2]


def test_a_picture_of_several_prompts_is_encoded_once() -> None:
    reward = Counted().eval()
    picture, other = torch.full((3, 4, 4), 0.5), torch.full((3, 4, 4), 1.0)
    scores = reward.score([picture, other, picture], ["ab", "a", "abcd"])
    assert scores.total.tolist() == [1, 1, 2]
    assert reward.encoded == 2


def test_both_halves_have_to_be_written() -> None:
    class Half(EncodedReward):
        card = RewardCard(name="half", paper="none")

    with pytest.raises(TypeError, match=r"encode.*score_encoded"):
        Half()  # type: ignore[abstract]
