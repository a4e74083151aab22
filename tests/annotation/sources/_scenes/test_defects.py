import numpy as np
import pytest
from PIL import Image

from beholder.annotation.sources._scenes.compose import compose
from beholder.annotation.sources._scenes.defects import KINDS, Defect, plant, plausibility
from beholder.annotation.sources._scenes.pixels import Mask, Values, to_values
from tests.annotation.sources._scenes.material import group


def planted(seed: int, count: int) -> tuple[Values, Values, Mask, list[Defect]]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((96, 96))
    placed = compose(picture, [group("star", colour="red", extent=0.5)])
    before = to_values(picture)
    return before, *plant(before, placed, count, rng)


MANY = [planted(seed, count=3) for seed in range(40)]


def test_the_picture_changes_only_where_the_map_shows_it() -> None:
    for before, after, heat, _ in MANY:
        assert (after == before)[heat == 0].all()
        strong = heat > 0.2
        assert np.abs(after - before)[strong].mean() > 5


def test_the_map_is_as_high_as_the_most_severe_defect() -> None:
    for _, _, heat, defects in MANY:
        assert heat.max() <= max(d.severity for d in defects) + 1e-6
        assert heat.max() > 0.6 * max(d.severity for d in defects)


def test_shares_add_up_to_what_the_map_covers() -> None:
    for seed in range(20):
        _, _, heat, defects = planted(seed, count=1)
        for defect in defects:
            assert heat.mean() == pytest.approx(defect.severity * defect.share, rel=1e-4)


def test_all_kinds_come_up_with_severities_of_the_whole_range() -> None:
    defects = [d for _, _, _, found in MANY for d in found]
    assert {d.kind for d in defects} == set(KINDS)
    severities = [d.severity for d in defects]
    assert min(severities) >= 0.3
    assert max(severities) > 0.9
    assert {d.group for d in defects} == {None, 0}


def test_no_defect_leaves_the_picture_and_an_empty_map() -> None:
    before, after, heat, defects = planted(0, count=0)
    assert (after == before).all()
    assert not heat.any()
    assert defects == []


def test_a_defect_that_cannot_be_seen_is_left_out() -> None:
    flat = np.full((96, 96, 3), 128, dtype=np.float32)
    white = Image.new("RGB", (96, 96), (128, 128, 128))
    placed = compose(white, [group("star", extent=0.02)])
    after, heat, defects = plant(flat, placed, 3, np.random.default_rng(0))
    assert (after == flat).all()
    assert not heat.any()
    assert defects == []


def test_plausibility_falls_with_severity_and_share_by_the_published_formula() -> None:
    assert plausibility([]) == 1
    # 1 - 0.5 * (0.35 + 0.55 * 0.04 / 0.08) = 1 - 0.5 * 0.625
    half = Defect("blur", 0.5, 0.04, 0)
    assert plausibility([half]) == pytest.approx(0.6875)
    # 1 - 1 * (0.35 + 0.55) = 0.1
    full = Defect("melt", 1.0, 0.5, None)
    assert plausibility([full]) == pytest.approx(0.1)
    assert plausibility([half, full]) == pytest.approx(0.06875)
