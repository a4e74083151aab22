"""Maps that lie over the pictures of a gallery: faults, and where conditions look."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from beholder._page.thumbnails import Fit, Thumbnail, fault_overlay, overlay
from beholder.eval._report.shown import ExplainedPicture, Report
from beholder.eval._report.sources import Drawings
from beholder.images import ImageSource

Box = tuple[float, float, float, float]
"""Left, top, width and height of a map in percent of its picture."""

Pair = tuple[Hashable, str]
"""What tells pictures of a report apart: the picture and its prompt."""

_MAP_SIDE = 160  # pixels; maps are smooth, and pages stretch them


@dataclass(frozen=True, slots=True)
class Layer:
    """A map over a picture: what it shows, where it lies, its address as data."""

    kind: str
    box: Box
    uri: str


def pair_of(image: ImageSource, prompt: str) -> Pair:
    """A path with its prompt; a picture in memory is only equal to itself."""
    return (image if isinstance(image, str) else id(image), prompt)


def layers_of(report: Report, drawings: Drawings) -> Mapping[Pair, Sequence[Layer]]:
    """Every map that the report has of a picture with its prompt."""
    found: dict[Pair, list[Layer]] = {}
    for said in report.feedback:
        own = found.setdefault(pair_of(said.image, said.prompt), [])
        for kind, marked in said.maps.items():
            height, width = (min(side, _MAP_SIDE) for side in marked.shape)
            own.append(Layer(kind, (0, 0, 100, 100), fault_overlay(marked, (width, height))))
    for explained in report.explanations:
        own = found.setdefault(pair_of(explained.image, explained.prompt), [])
        own += _attention(explained, drawings)
    return found


def _attention(explained: ExplainedPicture, drawings: Drawings) -> list[Layer]:
    whole = drawings(explained.image)
    if not isinstance(whole, Thumbnail):
        return []
    box = box_of(whole.width, whole.height, explained.fit)
    return [Layer(e.condition, box, overlay(e.attention)) for e in explained.explanations]


def box_of(width: int, height: int, fit: Fit) -> Box:
    """Where the square that a reward saw lies on a picture."""
    if fit == "squash":
        return (0, 0, 100, 100)
    side = min(width, height) if fit == "crop" else max(width, height)
    across, down = 100 * side / width, 100 * side / height
    return (round(50 - across / 2, 2), round(50 - down / 2, 2), round(across, 2), round(down, 2))
