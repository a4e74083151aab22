import base64
import io

import torch
from PIL import Image

from beholder._notebook.colours import FAULTS, HEAT, coloured, data_address, fault_overlay, heat


def opened(address: str) -> Image.Image:
    kind, _, encoded = address.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def test_stops_are_met_and_between_them_it_is_linear() -> None:
    assert heat(0.0) == HEAT[0][1]
    assert heat(1.0, FAULTS) == FAULTS[-1][1]
    assert heat(0.45) == (143, 45, 90, 130)


def test_a_fault_map_is_clear_where_nothing_is_wrong_and_brightest_where_all_is() -> None:
    drawn = opened(fault_overlay(torch.tensor([[0.0, 1.0]]), (4, 2))).convert("RGBA")
    assert drawn.size == (4, 2)
    assert drawn.getpixel((0, 0))[3] == 0  # type: ignore[index]
    assert drawn.getpixel((3, 1)) == FAULTS[-1][1]


def test_a_picture_survives_its_address() -> None:
    grey = Image.new("L", (3, 5), 128)
    again = opened(data_address(coloured(grey, HEAT), "PNG"))
    assert again.size == (3, 5)
    assert again.convert("RGBA").getpixel((1, 1)) == heat(128 / 255)
