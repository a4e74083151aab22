import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from beholder._page.thumbnails import Thumbnail
from beholder.eval._report.album import STEPS, Album, album_of, elements, in_script
from beholder.eval._report.layers import Layer, pair_of
from beholder.eval.report import Gallery, ScoredPicture

HOSTILE = '</script><script>alert(1)</script>&<!-- "\u2028\u202e\ud800'


def noise(seed: int) -> torch.Tensor:
    values = np.random.default_rng(seed).integers(0, 256, (3, 600, 600), dtype=np.uint8)
    return torch.from_numpy(values)


def gallery(count: int, prompt: str = "p") -> Gallery:
    pictures = [
        ScoredPicture(image=noise(k), prompt=prompt, total=float(k), group="ba"[k % 2], name=f"{k}")
        for k in range(count)
    ]
    return Gallery(pictures=pictures, ranges={"total": (0.0, 1.0)}, of=99, checkpoints=["b", "a"])


def size(album: Album) -> int:
    return len(elements(album, {"total": "score"}, lambda _: "tone-0"))


@pytest.fixture(scope="module")
def roomy() -> Album:
    return album_of(gallery(3), {}, 10_000_000)


def test_with_room_enough_every_picture_has_the_best_quality(roomy: Album) -> None:
    assert (roomy.step, roomy.left_out) == (STEPS[0], 0)
    assert [max(d.width, d.height) for d in roomy.drawn if isinstance(d, Thumbnail)] == [512] * 3


def test_with_less_room_pictures_shrink_before_any_is_left_out(roomy: Album) -> None:
    room = size(roomy) // 2
    album = album_of(gallery(3), {}, room)
    assert STEPS.index(album.step) > 0
    assert album.left_out == 0
    assert size(album) <= room


def test_with_too_little_room_the_last_are_left_out() -> None:
    album = album_of(gallery(3), {}, 30_000)
    assert album.step == STEPS[-1]
    assert album.left_out >= 1
    assert [p.name for p in album.gallery.pictures] == ["0", "1", "2"][: 3 - album.left_out]
    assert size(album) <= 30_000


def test_the_texts_of_a_table_cannot_end_the_element(roomy: Album) -> None:
    shown = [replace(p, prompt=HOSTILE, name=HOSTILE) for p in roomy.gallery.pictures]
    html = elements(
        replace(roomy, gallery=replace(roomy.gallery, pictures=shown)), {"total": HOSTILE}, str
    )
    assert html.count("<script") == html.count("</script>") == 1 + 3
    found = re.search(r'<script type="application/json" id="album">(.*?)</script>', html)
    assert found is not None
    said = json.loads(found[1])
    assert said["scores"][0]["label"] == HOSTILE.replace("\u202e", "\\u202e").replace(
        "\ud800", "\\ud800"
    )
    assert said["checkpoints"] == ["b", "a"]


def test_numbers_that_are_not_finite_become_null() -> None:
    assert (
        in_script({"a": [math.nan, 1.0, -math.inf, 0.123456789]})
        == '{"a":[null,1.0,null,0.123457]}'
    )
    assert in_script("<&>") == '"\\u003c\\u0026\\u003e"'


def test_maps_and_missing_pictures_are_said() -> None:
    shown = ScoredPicture(image="/nowhere/a.png", prompt="p", total=math.nan, category="c")
    layer = Layer("detail", (25, 0, 50, 100), "data:image/png;base64,QUJD")
    gone = Gallery(pictures=[shown], ranges={"total": (0.0, 1.0)}, of=1)
    album = album_of(gone, {pair_of(shown.image, "p"): [layer]}, 10_000)
    html = elements(album, {"total": "score"}, lambda _: "tone-0")
    said = json.loads(html.split(">", 1)[1].split("</script>")[0])["pictures"][0]
    assert "a.png" in said["missing"]
    assert said["scores"] == [None]
    assert said["maps"] == [{"kind": "detail", "id": "map-0-0", "box": [25, 0, 50, 100]}]
    assert '<script type="text/plain" id="map-0-0">QUJD</script>' in html
    assert (album.kinds, album.categories, album.places) == (
        ["detail"],
        ["c"],
        {("/nowhere/a.png", "p"): 0},
    )
