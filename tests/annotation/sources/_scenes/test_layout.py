import numpy as np
import pytest

from beholder.annotation.sources._scenes.cutouts import CutOut, cut_out
from beholder.annotation.sources._scenes.layout import Group, lay_out
from beholder.annotation.sources._scenes.shapes import SHAPES

THINGS = [CutOut(shape, kind=shape) for shape in SHAPES]
MANY = [lay_out(THINGS, np.random.default_rng(seed)) for seed in range(300)]
GROUPS = [group for groups in MANY for group in groups]


def middle(group: Group) -> tuple[float, float]:
    return (
        float(np.mean([thing.x for thing in group.things])),
        float(np.mean([thing.y for thing in group.things])),
    )


def test_one_to_three_groups_of_different_things_in_different_places() -> None:
    assert {len(groups) for groups in MANY} == {1, 2, 3}
    for groups in MANY:
        assert len({g.what.kind for g in groups}) == len({g.place for g in groups}) == len(groups)


@pytest.mark.parametrize(
    ("place", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("top", 1, -1), ("bottom", 1, 1)]
)
def test_a_group_stands_on_its_side(place: str, axis: int, sign: int) -> None:
    found = [middle(group)[axis] for group in GROUPS if group.place == place]
    assert found
    assert all(sign * (value - 0.5) > 0.05 for value in found)


def test_the_middle_is_in_the_middle() -> None:
    for group in GROUPS:
        if group.place == "middle":
            assert all(abs(value - 0.5) < 0.25 for value in middle(group))


def test_a_size_is_named_only_if_it_is_plain() -> None:
    for group in GROUPS:
        extents = {thing.extent for thing in group.things}
        assert len(extents) == 1
        (extent,) = extents
        assert (group.size == "small") == (extent < 0.24)
        assert (group.size == "large") == (extent > 0.4)


def test_everything_stays_in_the_picture_and_apart() -> None:
    for groups in MANY:
        boxes = []
        for group in groups:
            width, height = cut_out(group.what).size
            for thing in group.things:
                half = thing.extent / 2 / max(width, height)
                x, y = half * width, half * height
                boxes.append((thing.x - x, thing.y - y, thing.x + x, thing.y + y))
        assert all(min(box) > -1e-9 and max(box) < 1 + 1e-9 for box in boxes)
        for k, a in enumerate(boxes):
            for b in boxes[k + 1 :]:
                overlap = [min(a[2 + i], b[2 + i]) - max(a[i], b[i]) for i in (0, 1)]
                assert min(overlap) < 1e-9


def test_there_are_fewer_groups_than_kinds_so_that_a_noun_can_be_wrong() -> None:
    few = THINGS[:2]
    assert {len(lay_out(few, np.random.default_rng(seed))) for seed in range(30)} == {1}


def test_a_drawn_thing_is_always_tinted() -> None:
    assert all(group.colour == group.tint is not None for group in GROUPS)
