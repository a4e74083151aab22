import math

import torch

from beholder.types import Edges, Rankings, Targets


def test_edges_of_two_rankings_by_hand() -> None:
    edges = Edges.from_ranks([[2, 1, 2], [1, 3]])
    assert edges.pairs.tolist() == [[0, 1], [0, 2], [1, 2], [3, 4]]
    assert edges.p_first.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert len(edges) == 4


def test_a_ranking_of_n_pictures_has_all_its_pairs() -> None:
    assert len(Edges.from_ranks([list(range(9))])) == math.comb(9, 2)
    assert len(Edges.from_ranks([[1], []])) == 0


def test_the_margin_is_the_difference_of_each_edge() -> None:
    edges = Edges.from_pairs([(0, 2), (2, 1)], [1.0, 0.0])
    assert edges.margin(torch.tensor([1.0, 2.0, 5.0])).tolist() == [-4, 3]


def test_no_edges_are_edges() -> None:
    edges = Edges.from_pairs([], [])
    assert edges.pairs.shape == (0, 2)
    assert edges.margin(torch.ones(3)).shape == (0,)


def test_edges_move_to_another_device() -> None:
    edges = Edges.from_pairs([(0, 1)], [0.5]).to("meta")
    assert edges.pairs.device.type == edges.p_first.device.type == "meta"


def test_what_counts_more_travels_along() -> None:
    edges = Edges.from_pairs([(0, 1), (1, 2)], [1, 0.5], [2, 3])
    assert edges.weight is not None
    assert edges.weight.tolist() == [2, 3]
    moved = edges.to("meta").weight
    assert moved is not None
    assert moved.is_meta


def test_rankings_and_targets_have_a_length_and_move_whole() -> None:
    rows = torch.tensor([[0, 1, 2], [3, 4, -1]])
    rankings = Rankings(rows, torch.tensor([[1, 2, 2], [2, 1, 0]]), torch.ones(2))
    targets = Targets(torch.arange(4), torch.rand(4), torch.ones(4))
    assert (len(rankings), len(targets)) == (2, 4)
    there, others = rankings.to("meta"), targets.to("meta")
    parts = (there.rows, there.ranks, there.weight, others.rows, others.values, others.weight)
    assert all(part.is_meta for part in parts)
