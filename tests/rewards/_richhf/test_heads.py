import pytest
import torch

from beholder.errors import ConfigError
from beholder.rewards._richhf.heads import (
    ChannelNorm,
    HeatmapPredictor,
    PooledScore,
    ScorePredictor,
)


def test_the_norm_divides_by_the_root_mean_square_of_a_pixel_s_channels() -> None:
    norm = ChannelNorm(2)
    with torch.no_grad():
        norm.scale[1] = 10
    maps = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1).expand(1, 2, 1, 2) * torch.tensor(
        [1.0, 7.0]
    )
    root = 12.5**0.5  # sqrt((9 + 16) / 2)
    expected = torch.tensor([3 / root, 40 / root]).reshape(1, 2, 1, 1).expand(1, 2, 1, 2)
    torch.testing.assert_close(norm(maps), expected)


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_each_stage_doubles_the_grid(stages: int) -> None:
    head = HeatmapPredictor(8, 16, stages)
    assert head(torch.randn(2, 8, 3, 3)).shape == (2, 3 * 2**stages, 3 * 2**stages)


def test_the_published_heads_have_the_published_numbers_of_weights() -> None:
    with torch.device("meta"):
        heat, score = HeatmapPredictor(768, 768), ScorePredictor(768, 768, 24)
    assert sum(p.numel() for p in heat.parameters()) == 32_196_865
    assert sum(p.numel() for p in score.parameters()) == 12_446_969


def test_a_narrow_score_head_still_learns() -> None:
    torch.manual_seed(0)
    head, grid = ScorePredictor(8, 8, 4), torch.randn(4, 8, 4, 4)
    first = next(head.parameters())
    (gradient,) = torch.autograd.grad(head(grid).sum(), first)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(("width", "stages"), [(16, 0), (16, 5), (10, 2), (0, 2)])
def test_heads_that_cannot_be_are_refused(width: int, stages: int) -> None:
    with pytest.raises(ConfigError, match="divisible by 4"):
        HeatmapPredictor(8, width, stages)


def test_a_pooled_score_does_not_mind_where_a_fault_lies() -> None:
    torch.manual_seed(0)
    head, grid = PooledScore(8, 16), torch.zeros(2, 8, 9, 9)
    fault = torch.randn(8)
    grid[0, :, 3, 3] = grid[1, :, 5, 4] = fault
    first, second = head(grid)
    torch.testing.assert_close(first, second)
    assert (head(torch.zeros(1, 8, 9, 9)) - first).abs() > 1e-4
