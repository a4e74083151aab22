import numpy as np
import pytest

from beholder.annotation.sources._scenes.shapes import SHAPES, drawn


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_opaque_inside_and_fills_its_box(shape: str) -> None:
    picture = drawn(shape)
    alpha = np.asarray(picture.getchannel("A"))
    assert picture.getbbox() == (0, 0, *picture.size)
    assert 0.2 < float(np.mean(alpha == 255)) < 0.99
    assert max(picture.size) >= 100


def test_a_circle_covers_pi_quarters_of_its_box() -> None:
    alpha = np.asarray(drawn("circle").getchannel("A"), dtype=np.float64) / 255
    assert alpha.mean() == pytest.approx(np.pi / 4, abs=0.02)
