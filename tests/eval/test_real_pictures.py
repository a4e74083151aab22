"""Real photographs and real features: what random numbers cannot tell of a metric.

The features are those of EfficientNet-Lite0, so these are no FID, KID or CMMD as published.
"""

from collections.abc import Callable
from itertools import pairwise

import pytest

from beholder.eval.frechet import from_features
from beholder.eval.kernel import cmmd, kid
from beholder.eval.precision_recall import Neighbourhoods, precision_recall
from tests.eval.photographs import DAMAGES, Rows, crops, damaged, features

pytestmark = [pytest.mark.weights, pytest.mark.slow]
EACH = 8  # cut-outs of each of eight photographs
STRENGTHS = (0.25, 0.5, 1.0)
DISTANCES: dict[str, Callable[[Rows, Rows], float]] = {
    "Fréchet": lambda real, fake: float(from_features(real, fake)),
    "KID": lambda real, fake: kid(real, fake, groups=0).value,
    "CMMD": lambda real, fake: cmmd(real, fake, groups=0).value,
}


@pytest.fixture(scope="module")
def real() -> Rows:
    return features([picture for group in crops(EACH, seed=0).values() for picture in group])


@pytest.fixture(scope="module")
def generated() -> dict[str, list[Rows]]:
    """Damage -> features of other cut-outs, clean first, then ever more damaged."""
    clean = [picture for group in crops(EACH, seed=1).values() for picture in group]
    first = features(clean)
    return {
        damage: [first, *(features(damaged(clean, damage, strength)) for strength in STRENGTHS)]
        for damage in DAMAGES
    }


@pytest.fixture(scope="module")
def fewer(real: Rows) -> list[Neighbourhoods]:
    """As many clean cut-outs of 8, 4, 2 and 1 photographs."""
    found = []
    for kept in (8, 4, 2, 1):
        pool = crops(EACH * 8 // kept, seed=1)
        shown = [picture for name in list(pool)[:kept] for picture in pool[name]]
        found.append(precision_recall(real, features(shown)))
    return found


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_distance_grows_with_every_damage(
    real: Rows, generated: dict[str, list[Rows]], damage: str
) -> None:
    for name, distance in DISTANCES.items():
        values = [distance(real, fake) for fake in generated[damage]]
        assert all(more > less for less, more in pairwise(values)), (name, values)


@pytest.mark.parametrize("damage", DAMAGES)
def test_precision_falls_with_damage(
    real: Rows, generated: dict[str, list[Rows]], damage: str
) -> None:
    values = [precision_recall(real, fake).precision for fake in generated[damage]]
    assert values[0] > 0.8
    assert values[-1] < values[0] - 0.15
    assert values[1] < values[0] + 0.05  # a faint blur only makes pictures more usual
    assert all(more < less for less, more in pairwise([values[0], *values[2:]])), values


def test_recall_falls_with_dropped_modes_and_precision_does_not(
    fewer: list[Neighbourhoods],
) -> None:
    recall = [each.recall for each in fewer]
    assert all(less < more for more, less in pairwise(recall)), recall
    assert recall[-1] < 0.25
    assert min(each.precision for each in fewer) > 0.8


def test_coverage_is_the_share_of_photographs_that_are_still_shown(
    fewer: list[Neighbourhoods],
) -> None:
    coverage = [each.coverage for each in fewer]
    assert coverage == pytest.approx([1, 1 / 2, 1 / 4, 1 / 8], abs=0.15)


def test_pictures_of_the_same_kind_are_closer_than_any_damaged_ones(
    real: Rows, generated: dict[str, list[Rows]]
) -> None:
    clean = float(from_features(real, generated["blur"][0]))
    assert all(float(from_features(real, rows[1])) > clean for rows in generated.values())
    # both sides have as many cut-outs of each photograph, which independent samples would not
    assert kid(real, generated["blur"][0], groups=0).value < 0
