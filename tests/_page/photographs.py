"""Photographs that ship with scikit-image, and texts that try a page."""

import pytest
from PIL import Image

PHOTOGRAPHS = {
    "chelsea": "a ginger tabby cat looks into the camera, soft daylight",
    "coffee": "a white cup of black coffee on a wooden table, seen from above",
    "rocket": "a white rocket lifts off from its launch pad at dusk",
    "astronaut": "portrait of a smiling astronaut in an orange suit before a flag",
}
LONG = "an ornate still life with " + ", ".join(f"{n} silver spoons" for n in range(2, 130))
HOSTILE = '<script>alert("1")</script> קפה "حليب" ☕🧑‍🚀 bell\x07 \u202egnp.exe'


def photograph(name: str) -> Image.Image:
    skimage = pytest.importorskip("skimage", reason="the photographs ship with scikit-image")
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
