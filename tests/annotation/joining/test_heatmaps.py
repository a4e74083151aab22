import math

import pytest
import torch

from beholder.annotation.joining.heatmaps import PAPER, HeatConfig, Shape, annotator_map, heatmap
from beholder.errors import ConfigError
from beholder.types import Point

SMALL = HeatConfig(radius=0.25)


def drawn(*rows: str) -> torch.Tensor:
    return torch.tensor([[float(mark == "#") for mark in row] for row in rows])


def test_a_disc_is_the_pixels_whose_centres_are_near_enough() -> None:
    middle = annotator_map([Point(0.5, 0.5)], (8, 8), SMALL)
    assert torch.equal(
        middle,
        drawn(
            "........",
            "........",
            "...##...",
            "..####..",
            "..####..",
            "...##...",
            "........",
            "........",
        ),
    )


def test_discs_are_cut_at_the_edge_and_united() -> None:
    corners = [Point(0, 0), Point(1, 1), Point(1, 1)]
    assert torch.equal(
        annotator_map(corners, (8, 6), SMALL),
        drawn("##....", "#.....", *["......"] * 4, ".....#", "....##"),
    )


def test_x_runs_along_the_width_and_discs_stay_round_in_a_wide_map() -> None:
    wide = annotator_map([Point(0.75, 0.5)], (4, 12), HeatConfig(radius=0.25))
    assert torch.equal(wide, drawn("." * 12, "........##..", "........##..", "." * 12))


def test_a_gaussian_falls_with_the_distance_and_the_highest_counts() -> None:
    heat = HeatConfig(shape="gaussian", radius=0.25)
    points = [Point(1 / 16, 1 / 16), Point(1 / 16, 9 / 16)]
    found = annotator_map(points, (8, 8), heat)
    assert found[0, 0] == found[4, 0] == 1
    assert found[0, 2].item() == pytest.approx(math.exp(-(2**2) / (2 * 2**2)))
    assert found[2, 1].item() == pytest.approx(math.exp(-(2**2 + 1**2) / (2 * 2**2)))
    assert found.max() == 1


def test_maps_are_averaged_over_all_annotators_those_without_points_too() -> None:
    here, there = Point(0.25, 0.25), Point(0.75, 0.75)
    found = heatmap([[here, here], [here, there], []], (8, 8), SMALL)
    assert [found[1, 1].item(), found[5, 5].item(), found[1, 5].item()] == [170, 85, 0]
    assert heatmap([[here]], (8, 8), SMALL).unique().tolist() == [0, 255]
    for people in (0, 2):
        assert heatmap([[]] * people, (2, 3), SMALL).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_the_papers_disc_has_the_area_of_a_circle() -> None:
    area = heatmap([[Point(0.5, 0.5)]], (512, 512), PAPER).gt(0).sum().item()
    assert area == pytest.approx(math.pi * (512 / 20) ** 2, rel=0.01)


@pytest.mark.parametrize("shape", ["disc", "gaussian"])
def test_only_pixels_without_a_grey_level_are_left_out(shape: Shape) -> None:
    heat = HeatConfig(shape=shape, radius=0.07)
    generator = torch.Generator().manual_seed(0)
    for x, y in torch.rand(20, 2, generator=generator).tolist():
        rows, columns = torch.meshgrid(
            torch.arange(50) + 0.5, torch.arange(40) + 0.5, indexing="ij"
        )
        squares = (rows - 50 * y).square() + (columns - 40 * x).square()
        radius = 0.07 * 50
        full = squares.sqrt() <= radius if shape == "disc" else (-squares / 2 / radius**2).exp()
        found = heatmap([[Point(x, y)]], (50, 40), heat)
        assert torch.equal(found, (full * 255).round().to(torch.uint8))


@pytest.mark.parametrize("shape", ["disc", "gaussian"])
def test_the_order_of_points_and_of_annotators_does_not_matter(shape: Shape) -> None:
    heat = HeatConfig(shape=shape, radius=0.1)
    places = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(0)).tolist()
    points = [[Point(x, y) for x, y in one] for one in places]
    found = heatmap(points, (40, 30), heat)
    assert torch.equal(found, heatmap([one[::-1] for one in points[::-1]], (40, 30), heat))


def test_mirrored_points_give_the_mirrored_map() -> None:
    points = [Point(0.3, 0.2), Point(0.9, 0.6)]
    mirrored = [Point(1 - p.x, p.y) for p in points]
    heat = HeatConfig(shape="gaussian")
    found, other = (heatmap([p], (20, 30), heat) for p in (points, mirrored))
    assert torch.equal(found, other.flip(1))


def test_a_card_can_say_how_the_maps_were_made() -> None:
    assert "disc of radius 0.05 of the height" in str(PAPER)
    assert "512 x 512" in str(PAPER)
    text = str(HeatConfig(shape="gaussian", radius=0.1, size=None))
    assert "Gaussian of standard deviation 0.1" in text
    assert "picture's own size" in text


def test_maps_that_cannot_be_made_are_refused() -> None:
    for radius in (0.0, -1.0, math.nan):
        with pytest.raises(ConfigError, match="expected a positive share"):
            HeatConfig(radius=radius)
    with pytest.raises(ConfigError, match="expected a height and a width"):
        HeatConfig(size=(0, 4))
