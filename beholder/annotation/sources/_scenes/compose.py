"""Things pasted on a photograph, and where each of them is to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

from beholder.annotation.sources._scenes.cutouts import cut_out
from beholder.annotation.sources._scenes.layout import Group, Thing
from beholder.annotation.sources._scenes.pixels import Mask, to_values

_SHADOW = 0.35
_SOLID = 129


@dataclass(frozen=True, slots=True)
class Placed:
    """A thing as it was pasted: its pixels in RGBA, and where their top left corner lies."""

    group: int
    patch: Image.Image
    left: int
    top: int

    def cover(self, size: int) -> Mask:
        """How much of each pixel the thing covers."""
        canvas = Image.new("L", (size, size))
        canvas.paste(self.patch.getchannel("A"), (self.left, self.top))
        return to_values(canvas) / np.float32(255)

    @property
    def points(self) -> npt.NDArray[np.intp]:
        """Row and column in the patch of every pixel where the thing is solid, (n, 2)."""
        alpha = np.asarray(self.patch.getchannel("A"))
        return np.argwhere(alpha >= min(_SOLID, int(alpha.max())))


def compose(picture: Image.Image, groups: Sequence[Group]) -> list[Placed]:
    """Every thing, after it was pasted with a soft shadow into `picture`."""
    placed = [
        _placed(number, group, thing, picture.width)
        for number, group in enumerate(groups)
        for thing in group.things
    ]
    for one in placed:
        _cast_shadow(picture, one)
        picture.paste(one.patch, (one.left, one.top), one.patch)
    return placed


def _placed(number: int, group: Group, thing: Thing, size: int) -> Placed:
    picture = cut_out(group.what, group.tint)
    scale = thing.extent * size / max(picture.size)
    width, height = (max(2, round(length * scale)) for length in picture.size)
    patch = picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2)
    patch = ImageOps.mirror(patch) if thing.mirrored else patch
    patch = patch.rotate(thing.turn, Image.Resampling.BICUBIC, expand=True)
    left, top = round(thing.x * size - patch.width / 2), round(thing.y * size - patch.height / 2)
    return Placed(number, patch, left, top)


def _cast_shadow(picture: Image.Image, one: Placed) -> None:
    reach = max(2, picture.width // 60)
    alpha = ImageOps.expand(one.patch.getchannel("A"), 2 * reach)
    shadow = alpha.filter(ImageFilter.GaussianBlur(reach)).point(lambda a: int(a * _SHADOW))
    picture.paste((0, 0, 0), (one.left - reach, one.top - reach), shadow)
