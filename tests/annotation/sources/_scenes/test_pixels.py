import numpy as np

from beholder.annotation.sources._scenes.pixels import to_bytes, to_picture, to_values


def test_values_become_the_nearest_grey_levels() -> None:
    values = np.array([[-3.0, 0.4], [254.6, 300.0]], dtype=np.float32)
    assert to_bytes(values).tolist() == [[0, 0], [255, 255]]


def test_a_picture_and_its_values_are_the_same() -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    assert (to_values(to_picture(values)) == values).all()
