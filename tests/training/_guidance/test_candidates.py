import math
from collections.abc import Sequence

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError, DataError
from beholder.training._guidance.candidates import Candidate, Candidates, Choice, scored
from beholder.training._tuning.signal import Signal
from beholder.types import Scores
from tests.training._guidance.drivers import redness
from tests.training.toy import Redness


class Moody(Redness):
    """Redness, but nothing to say of pictures of a "ghost", and infinity for all blue ones."""

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        total = super().score_prepared(pixel_values, prompts).total
        is_ghost = torch.tensor([prompt == "ghost" for prompt in prompts])
        total = torch.where(total > 0, total, math.inf)
        return Scores(total.where(~is_ghost, math.nan))


def reds(*shares: float) -> Tensor:
    """Pictures whose redness these are."""
    pictures = torch.zeros(len(shares), 3, 2, 2)
    for picture, share in zip(pictures, shares, strict=True):
        picture[0], picture[2] = share, 1 - share
    return pictures


def test_first_candidates_are_plain_pictures_and_more_come_beside_the_same_ones() -> None:
    one, four = Candidates(each=1, seed=7), Candidates(each=4, seed=7)
    assert [c.seed for c in one.of(["a", "b", "a"])] == [7, 8, 9]
    for row in range(3):
        assert four.seeds(row)[0] == one.seeds(row)[0]
        assert Candidates(each=9, seed=7).seeds(row)[:4] == four.seeds(row)
    seeds = [c.seed for c in four.of(["a"] * 50)]
    assert len(set(seeds)) == 200


def test_batches_hold_every_candidate_once_in_order() -> None:
    candidates = Candidates(each=3, batch_size=4)
    tried = candidates.of(["a", "b", "c"])
    batches = list(candidates.batches(tried))
    assert [len(batch) for batch in batches] == [4, 4, 1]
    assert [c for batch in batches for c in batch] == tried
    assert tried[4] == Candidate(1, 1, "b", 1_000_001)


def test_what_cannot_be_tried_is_refused() -> None:
    for wrong in ({"each": 0}, {"batch_size": 0}, {"seed": -1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Candidates(**wrong)
    with pytest.raises(DataError, match="no prompts; give one or more"):
        Candidates().of([])


def test_scores_that_are_not_numbers_are_unknown_with_a_reason() -> None:
    values, unknown = scored(Signal(Moody()), reds(0.25, 0.0, 0.5), ["a", "b", "ghost"])
    assert values[0] == 0.25
    assert values[1:].isnan().all()
    assert set(unknown) == {1, 2}
    assert "gave inf" in unknown[1]


def test_the_best_picture_of_each_prompt_is_kept_whatever_the_order() -> None:
    candidates = Candidates(each=2)
    tried = candidates.of(["a", "b"])
    pictures = reds(0.2, 0.6, 0.9, 0.3)
    for order in ([0, 1, 2, 3], [3, 1, 2, 0]):
        choice = Choice(2, 2)
        for k in order:
            choice.offer([tried[k]], pictures[k : k + 1], redness())
        chosen = choice.chosen(candidates, steps_run=10, steps=5)
        assert torch.equal(chosen.pixels, pictures[[1, 2]])
        assert torch.allclose(chosen.scores, torch.tensor([0.6, 0.9]))
        assert torch.allclose(chosen.candidate_scores, torch.tensor([[0.2, 0.6], [0.9, 0.3]]))
        assert chosen.seeds == (1_000_000, 1)
        assert (chosen.steps_full, chosen.saved) == (20, 0.5)
        assert chosen.errors == {}


def test_no_score_never_wins_and_a_prompt_without_any_is_an_error_in_its_place() -> None:
    candidates = Candidates(each=3)
    choice = Choice(3, 3)
    pictures = reds(0.0, 0.4, 0.3, 0.5, 0.6, 0.7, 0.2, 0.0, 0.1)
    choice.offer(candidates.of(["a", "ghost", "b"]), pictures, Signal(Moody()))
    chosen = choice.chosen(candidates, steps_run=1, steps=1)
    assert torch.allclose(chosen.scores[[0, 2]], torch.tensor([0.4, 0.2]))
    assert chosen.scores[1].isnan()
    assert chosen.candidate_scores[1].isnan().all()
    assert list(chosen.errors) == [1]
    assert "non-finite" in chosen.errors[1]
    assert torch.equal(chosen.pixels, pictures[[1, 3, 6]])
    assert chosen.seeds == (1_000_000, 1, 2)
