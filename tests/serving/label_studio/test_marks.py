import math

import numpy as np
import pytest
import torch

from beholder.annotation.joining.heatmaps import PAPER, annotator_map
from beholder.serving._label_studio.marks import MOST_POINTS, points
from beholder.serving.items import Map
from beholder.types import Point


def made(values: object) -> Map:
    grid = np.asarray(values, "<f4")
    height, width = grid.shape
    return Map(height, width, grid.tobytes())


@pytest.mark.parametrize("size", [(64, 64), (40, 96), (512, 512)])
def test_points_are_found_where_people_set_them(size: tuple[int, int]) -> None:
    given = [Point(0.3, 0.4), Point(0.71, 0.2), Point(0.5, 0.85)]
    found = points(made(annotator_map(given, size, PAPER)))
    assert len(found) == len(given)
    for point in given:
        nearest = min(math.hypot(f.x - point.x, f.y - point.y) for f in found)
        assert nearest <= 2 / min(size)


def test_one_cell_is_its_own_middle() -> None:
    grid = np.zeros((4, 8))
    grid[1, 6] = 1
    assert points(made(grid)) == [Point(6.5 / 8, 1.5 / 4)]


def test_the_heavier_place_comes_first_and_weak_ones_do_not_count() -> None:
    grid = np.zeros((100, 100))
    grid[20, 20], grid[20, 80], grid[80, 20] = 0.6, 0.9, 0.4999
    assert points(made(grid)) == [Point(0.805, 0.205), Point(0.205, 0.205)]


def test_nothing_is_marked_where_nothing_is_likely() -> None:
    assert points(made(np.full((8, 8), 0.4))) == []
    assert points(made(np.zeros((1, 1)))) == []


def test_a_map_that_is_all_red_has_a_bounded_number_of_points_inside() -> None:
    found = points(made(np.ones((100, 200))))
    assert len(found) == MOST_POINTS
    assert all(0 < p.x < 1 and 0 < p.y < 1 for p in found)
    apart = [
        math.hypot((a.x - b.x) * 200, (a.y - b.y) * 100) for a in found for b in found if a is not b
    ]
    assert min(apart) > 10


def test_a_map_of_a_tensor_is_read_row_by_row() -> None:
    grid = torch.zeros(2, 3)
    grid[0, 2] = 1
    assert points(Map(2, 3, grid.numpy().astype("<f4").tobytes())) == [Point(2.5 / 3, 0.25)]
