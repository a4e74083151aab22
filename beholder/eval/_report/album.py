"""A gallery as data in the page: small pictures within a budget of bytes, maps, and their texts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from beholder._ahead import ahead
from beholder._page.thumbnails import Thumbnail, thumbnail
from beholder._page.wording import decimals, visible
from beholder.eval._report.layers import Layer, Pair, pair_of
from beholder.eval._report.shown import Gallery, ScoredPicture
from beholder.eval._report.sources import Drawn, sources
from beholder.images import ImageSource

_TEXT_BYTES = 700  # of one picture's scores and names, beside its prompt
_SAMPLE = 12


@dataclass(frozen=True, slots=True)
class Step:
    """How small the pictures of an album are: longest side in pixels, and quality of WebP."""

    side: int
    quality: int


STEPS = (Step(512, 76), Step(448, 74), Step(384, 72), Step(320, 68), Step(256, 60))
"""From the best to the smallest that is still worth looking at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """What is drawn of a gallery.

    Attributes:
        gallery: with those pictures alone that fit.
        drawn: each picture.
        layers: the maps of each picture.
        step: how small the pictures are.
        left_out: pictures that did not fit.
    """

    gallery: Gallery
    drawn: Sequence[Drawn]
    layers: Sequence[Sequence[Layer]]
    step: Step
    left_out: int

    @property
    def places(self) -> dict[Pair, int]:
        """Where a picture with its prompt is."""
        pairs = [pair_of(p.image, p.prompt) for p in self.gallery.pictures]
        return {pair: k for k, pair in reversed(list(enumerate(pairs)))}

    @property
    def kinds(self) -> list[str]:
        """Every kind of map."""
        return list(dict.fromkeys(layer.kind for layers in self.layers for layer in layers))

    @property
    def categories(self) -> list[str]:
        """Every category, in the order of the alphabet."""
        return sorted({p.category for p in self.gallery.pictures} - {""})

    @property
    def checkpoints(self) -> list[str]:
        """Every checkpoint, in the order of the page."""
        found = {p.group for p in self.gallery.pictures} - {""}
        known = [name for name in self.gallery.checkpoints if name in found]
        return [*known, *sorted(found - set(known))]


def album_of(gallery: Gallery, layers: Mapping[Pair, Sequence[Layer]], room: int) -> Album:
    """The gallery within `room` bytes: all pictures shrink first, then the last are left out."""
    mine = [layers.get(pair_of(p.image, p.prompt), ()) for p in gallery.pictures]
    texts = [_text_bytes(p, own) for p, own in zip(gallery.pictures, mine, strict=True)]
    images = [p.image for p in gallery.pictures]
    step = _step_for(images, room - sum(texts))
    drawn = _draw(images, step)
    fitting = _fitting([t + _bytes(d) for t, d in zip(texts, drawn, strict=True)], room)
    return Album(
        gallery=replace(gallery, pictures=gallery.pictures[:fitting]),
        drawn=drawn[:fitting],
        layers=mine[:fitting],
        step=step,
        left_out=len(images) - fitting,
    )


def _text_bytes(picture: ScoredPicture, layers: Sequence[Layer]) -> int:
    """About what a picture takes beside its own bytes; JSON escapes take up to six for a letter."""
    letters = len(picture.prompt) + len(picture.name)
    return _TEXT_BYTES + 6 * letters + sum(len(layer.uri) + 120 for layer in layers)


def _step_for(images: Sequence[ImageSource], room: int) -> Step:
    """The best step at which all pictures should fit, judged by a few spread over them."""
    sample = images[:: max(1, len(images) // _SAMPLE)]
    for step in STEPS[:-1]:
        taken = sum(_bytes(one) for one in _draw(sample, step))
        if taken * len(images) <= 0.9 * room * len(sample):
            return step
    return STEPS[-1]


def _draw(images: Sequence[ImageSource], step: Step) -> list[Drawn]:
    """Each picture; read in the order of their names, in which archives hold them."""
    names = [image if isinstance(image, str) else "" for image in images]
    order = sorted(range(len(images)), key=names.__getitem__)
    drawn = ahead(
        lambda source: thumbnail(source, side=step.side, quality=step.quality),
        sources([images[k] for k in order]),
        most=32,
        size=_bytes,
    )
    found = {k: one for k, (_, one) in zip(order, drawn, strict=True)}
    return [found[k] for k in range(len(images))]


def _bytes(drawn: Drawn) -> int:
    return len(drawn.uri) if isinstance(drawn, Thumbnail) else 6 * len(drawn.reason)


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many of the first sizes fit together."""
    taken = 0
    for k, size in enumerate(sizes):
        taken += size
        if taken > room:
            return k
    return len(sizes)


def elements(album: Album, labels: Mapping[str, str], tone: Callable[[str], str]) -> Markup:
    """The album for the page's script: one JSON element, and one for the bytes of each picture.

    Args:
        album: what is drawn.
        labels: a score's name -> how readers know it.
        tone: a score's name -> the class of its colour.
    """
    said = {
        "scores": [
            {
                "label": labels[name],
                "tone": tone(name),
                "low": low,
                "high": high,
                "digits": decimals((low, high)),
            }
            for name, (low, high) in album.gallery.ranges.items()
        ],
        "checkpoints": album.checkpoints,
        "kinds": album.kinds,
        "pictures": [_said(k, album) for k in range(len(album.drawn))],
    }
    blobs = [
        _blob(name, uri)
        for k, one in enumerate(album.drawn)
        for name, uri in _addresses(k, one, album.layers[k])
    ]
    json_element = Markup('<script type="application/json" id="album">{}</script>')
    return Markup("\n").join([json_element.format(Markup(in_script(said))), *blobs])


def _said(k: int, album: Album) -> dict[str, object]:
    picture, drawn = album.gallery.pictures[k], album.drawn[k]
    said: dict[str, object] = {
        "prompt": picture.prompt,
        "checkpoint": picture.group,
        "category": picture.category,
        "seed": picture.seed,
        "name": picture.name,
        "scores": [picture.score(name) for name in album.gallery.ranges],
    }
    if isinstance(drawn, Thumbnail):
        said |= {"width": drawn.width, "height": drawn.height}
    else:
        said["missing"] = drawn.reason
    if album.layers[k]:
        said["maps"] = [
            {"kind": layer.kind, "id": f"map-{k}-{j}", "box": layer.box}
            for j, layer in enumerate(album.layers[k])
        ]
    return said


def _addresses(k: int, drawn: Drawn, layers: Sequence[Layer]) -> list[tuple[str, str]]:
    own = [(f"picture-{k}", drawn.uri)] if isinstance(drawn, Thumbnail) else []
    return own + [(f"map-{k}-{j}", layer.uri) for j, layer in enumerate(layers)]


def _blob(name: str, uri: str) -> Markup:
    """The bytes of a picture in base64, which knows no character of markup."""
    text = uri.partition(",")[2]
    return Markup('<script type="text/plain" id="{}">{}</script>').format(name, text)


def in_script(value: object) -> str:
    """JSON that can stand in a script element: no character of it can end the element.

    Numbers that are not finite become null, and hidden characters are spelt out as on the page.
    """
    text = json.dumps(_plain(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return visible(value)
