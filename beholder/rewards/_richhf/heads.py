"""The heads that read a picture's grid of joint tokens: a heatmap, and a score."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder.errors import ConfigError

STAGES = 4
"""Most doublings of the grid, as published: 24 to 384 cells a side."""

NARROWEST = 12
"""Fewest channels of a score's grid: the norm of a single one forgets its value."""


class ChannelNorm(nn.Module):
    """Values divided by the root mean square of their channels, times a learned scale a channel.

    T5's norm (Raffel et al., 2020; Zhang & Sennrich, 2019) on feature maps.
    """

    def __init__(self, channels: int, epsilon: float = 1e-8) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self._epsilon = epsilon

    @override
    def forward(self, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        square = maps.float().square().mean(dim=1, keepdim=True)
        return maps * torch.rsqrt(square + self._epsilon).to(maps.dtype) * self.scale


class HeatmapPredictor(nn.Module):
    """One heatmap, as logits, from a grid of tokens (Liang et al., CVPR 2024, section 4).

    Two convolutions, then `stages` doublings of the grid by a transposed convolution, each followed
    by a residual block, then two convolutions to one channel.

    Args:
        dim: of the tokens.
        width: channels of the first convolution; published is `dim`.
        stages: doublings, at most four; fewer leave out the first ones.
    """

    def __init__(self, dim: int, width: int, stages: int = STAGES) -> None:
        super().__init__()
        if not 0 < stages <= STAGES or width < STAGES or width % 4:
            raise ConfigError(
                f"a heatmap head has 1 to {STAGES} stages and a width divisible by 4, "
                f"got {stages} and {width}"
            )
        self.entrance = nn.ModuleList([_Entry(dim, width), _Entry(width, width // 2)])
        widths = [width // 2, *[width, width // 2, width // 2, width // 4][STAGES - stages :]]
        self.doublings = nn.ModuleList([_Doubling(given, made) for given, made in pairwise(widths)])
        self.last = _convolution(widths[-1], widths[-1])
        self.out = _convolution(widths[-1], 1)

    @override
    def forward(self, grid: Float[Tensor, "b d n n"]) -> Float[Tensor, "b m m"]:
        for block in (*self.entrance, *self.doublings):
            grid = block(grid)
        logits: Tensor = self.out(functional.relu(self.last(grid)))[:, 0]
        return logits


class ScorePredictor(nn.Module):
    """One score, as a logit, from a grid of tokens: six convolutions, then three linear layers.

    Args:
        dim: of the tokens.
        width: channels of the first convolution, halved by the next ones down to 12, the narrowest
            that was published; published is `dim`.
        side: cells of a side of the grid.
    """

    def __init__(self, dim: int, width: int, side: int) -> None:
        super().__init__()
        widths = [dim, *(max(width // share, NARROWEST) for share in (1, 2, 4, 8, 16, 64))]
        self.convolutions = nn.ModuleList(
            [_Entry(given, made, norm_first=True) for given, made in pairwise(widths)]
        )
        self.first = nn.Linear(widths[-1] * side * side, 512)
        self.second = nn.Linear(512, 128)
        self.out = nn.Linear(128, 1)

    @override
    def forward(self, grid: Float[Tensor, "b d n n"]) -> Float[Tensor, " b"]:
        for block in self.convolutions:
            grid = block(grid)
        hidden = functional.relu(self.first(grid.flatten(1)))
        logits: Tensor = self.out(functional.relu(self.second(hidden)))[:, 0]
        return logits


class PooledScore(nn.Module):
    """One score, as a logit, from means and maxima over the grid: it does not matter where.

    Two convolutions and two linear layers; it learns from fewer pictures than `ScorePredictor`,
    which weighs every cell by itself, and none of its channels can die.

    Args:
        dim: of the tokens.
        width: channels of the convolutions and of the hidden layer.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            _convolution(dim, width), nn.GELU(), _convolution(width, width), nn.GELU()
        )
        self.hidden = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, 1)

    @override
    def forward(self, grid: Float[Tensor, "b d n n"]) -> Float[Tensor, " b"]:
        cells = self.convolutions(grid).flatten(2)
        pooled = torch.cat((cells.mean(dim=2), cells.amax(dim=2)), dim=1)
        logits: Tensor = self.out(functional.gelu(self.hidden(pooled)))[:, 0]
        return logits


class _Entry(nn.Module):
    def __init__(self, given: int, made: int, *, norm_first: bool = False) -> None:
        super().__init__()
        self.convolution = _convolution(given, made)
        self.norm = ChannelNorm(made)
        self._norm_first = norm_first

    @override
    def forward(self, grid: Tensor) -> Tensor:
        grid = self.convolution(grid)
        if self._norm_first:
            return functional.relu(self.norm(grid))
        normed: Tensor = self.norm(functional.relu(grid))
        return normed


class _Doubling(nn.Module):
    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.transposed = nn.ConvTranspose2d(
            given, made, kernel_size=3, stride=2, padding=1, output_padding=1
        )
        self.norm = ChannelNorm(made)
        self.inner = _Entry(made, made, norm_first=True)
        self.convolution = _convolution(made, made)
        self.residual_norm = ChannelNorm(made)

    @override
    def forward(self, grid: Tensor) -> Tensor:
        grid = functional.relu(self.norm(self.transposed(grid)))
        residual = self.residual_norm(self.convolution(self.inner(grid)))
        return functional.relu(grid + residual)


def _convolution(given: int, made: int) -> nn.Conv2d:
    return nn.Conv2d(given, made, kernel_size=3, padding=1)
