"""CMMD as a measurement."""

import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval.kernel import cmmd
from beholder.eval.measures._base import Need
from beholder.eval.measures.cmmd import Options, compute, needs
from tests.eval.measures.sides import side_of


def test_it_is_the_figure_of_the_embeddings_with_its_settings() -> None:
    options = Options(sigma=2, scale=10, groups=4)
    (need,) = needs(options)
    draws = np.random.default_rng(0)
    real, fake = draws.normal(size=(30, 8)), draws.normal(0.5, 1, size=(25, 8))
    (found,) = compute(side_of("real", need, real), side_of("fake", need, fake), options)
    expected = cmmd(real, fake, sigma=2, scale=10, groups=4)
    assert found.value == expected.value
    assert expected.jackknife is not None
    assert found.high == expected.jackknife.high
    assert found.interval == (
        "jackknife over 4 groups of the real side and 4 groups of the fake side"
    )
    assert (found.protocol["sigma"], found.protocol["scale"]) == (2, 10)


def test_pictures_are_embedded_as_in_the_paper() -> None:
    settings = (("model", "ViT-L/14@336px"), ("resize", "cmmd"))
    assert needs(Options()) == [Need(extractor="clip", layer="embeds", settings=settings)]


def test_it_needs_a_real_side() -> None:
    (need,) = needs(Options())
    with pytest.raises(DataError, match=r"cmmd compares with real pictures"):
        compute(None, side_of("fake", need, np.ones((3, 2))), Options())
