"""Pictures of every kind come to the networks as files do."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval._needed import Needed
from beholder.eval.measures._base import Need
from tests.eval.extractors.toy import Toy

MEAN = Need(extractor="toy", layer="mean")
CELLS = Need(extractor="toy", layer="cells")
PICTURES = torch.randint(0, 256, (3, 3, 8, 6), generator=torch.Generator().manual_seed(0)).byte()
COLOURS = PICTURES.float().mean((2, 3)).numpy()


class ToyClips(Toy):
    takes = "clips"


def test_every_kind_of_batch_has_the_same_features() -> None:
    needed = Needed({MEAN: Toy()}, "pictures")
    channels_last = PICTURES.permute(0, 2, 3, 1).numpy()
    for batch in (
        PICTURES,
        list(PICTURES),
        PICTURES.float() / 255,
        (PICTURES.double() / 255).requires_grad_(),
        channels_last,
        [Image.fromarray(values) for values in channels_last],
    ):
        (found,) = needed.features(batch)
        np.testing.assert_allclose(found, COLOURS, rtol=1e-5)
        assert found.dtype == np.float32


def test_floats_are_rounded_to_8_bit_not_cut() -> None:
    needed = Needed({MEAN: Toy()}, "pictures")
    (found,) = needed.features(torch.full((1, 3, 4, 4), 99.6 / 255))
    assert found.tolist() == [[100, 100, 100]]


def test_pictures_of_other_sizes_and_no_pictures() -> None:
    needed = Needed({MEAN: Toy()}, "pictures")
    (found,) = needed.features([PICTURES[0], torch.zeros(3, 20, 9)])
    np.testing.assert_allclose(found[1], 0)
    assert needed.features([]) == []
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        needed.features(torch.full((1, 3, 4, 4), 2.0))


def test_one_network_is_run_once_for_all_its_layers() -> None:
    toy = Toy()
    needed = Needed({MEAN: toy, CELLS: toy}, "pictures")
    mean, cells = needed.features(PICTURES)
    np.testing.assert_allclose(cells.reshape(3, 3, 4).mean(2), mean, rtol=1e-5)
    assert toy.seen == 3
    assert [origin.layer for origin in needed.origins()] == ["mean", "cells"]
    assert needed.needs == [MEAN, CELLS]


def test_a_network_without_the_layer_stands_in_by_its_first() -> None:
    needed = Needed({Need(extractor="inception", layer="2048"): Toy()}, "pictures")
    assert needed.stand_in() == "toy"
    assert needed.origins()[0].layer == "mean"
    usual = Needed({MEAN: Toy(), Need(extractor="toy"): Toy()}, "pictures")
    assert usual.stand_in() == ""


def test_clips_are_stacks_of_frames() -> None:
    needed = Needed({MEAN: ToyClips()}, "videos")
    clips = torch.stack([PICTURES, PICTURES.flip(0)])
    one: list[list[Tensor]] = [list(PICTURES), list(PICTURES.flip(0))]
    for batch in (clips, one):
        (found,) = needed.features(batch)
        np.testing.assert_allclose(found, np.tile(COLOURS.mean(0), (2, 1)), rtol=1e-5)
    assert needed.origins()[0].clips == "as they came"


class ToyProduct(Toy):
    """A matrix product, which autocast would round to 8 bits of mantissa."""

    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        (layer,) = layers
        return {layer: super().forward(prepared, layers)[layer] @ torch.eye(3)}


def test_autocast_around_a_loop_does_not_reach_the_networks() -> None:
    needed = Needed({MEAN: ToyProduct()}, "pictures")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        (found,) = needed.features(PICTURES)
    np.testing.assert_allclose(found, COLOURS, rtol=1e-6)


def test_networks_are_frozen_and_of_the_right_kind() -> None:
    toy = Toy().train()
    Needed({MEAN: toy}, "pictures")
    assert not toy.training
    assert not toy.gain.requires_grad
    with pytest.raises(ConfigError, match="the metric is of videos, but toy takes pictures"):
        Needed({MEAN: toy}, "videos")
