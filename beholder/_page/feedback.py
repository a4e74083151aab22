"""What a reward says of one picture: scores, maps of faults, misaligned words; drawn as HTML.

The poster of `beholder._page.poster` shows the same panels, words and bars as one PNG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup
from torch import Tensor

from beholder._page.document import template_environment
from beholder._page.plots import Axis
from beholder._page.thumbnails import FAULTS, Missing, check_map, fault_overlay, thumbnail
from beholder._page.wording import pieces
from beholder.errors import DataError, ImageError
from beholder.images import ImageSource
from beholder.types import Feedback, Scores, WordLabel

if TYPE_CHECKING:
    from jinja2 import Environment

UNIT = Axis(0.0, 1.0, (0.0, 0.5, 1.0))
"""The scale of every map and every bar."""

MAJORITY = 0.5
"""A word more probable than this to be misaligned is struck through."""

MARK, FILL, TINT = "#dc4a2f", "#4f7cac", 0.42
"""Colour of misaligned words and of bars; opacity of a word that is surely misaligned."""

WIDEST = 1.8
"""The most that a frame is wider than high, or higher than wide; longer pictures lie inside."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The picture once more: what it shows, and the map that lies over it, if any."""

    name: str
    marked: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One score and, where it is known, what it should be."""

    name: str
    value: float | None
    truth: float | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt cut into (text, word or None), and who says which words are misaligned."""

    said_by: str
    pieces: Sequence[tuple[str, WordLabel | None]]

    @property
    def misaligned(self) -> list[str]:
        """The words that are struck through."""
        return [text for text, word in self.pieces if is_struck(word)]


def is_struck(word: WordLabel | None) -> bool:
    """Whether this is a word, and more probably misaligned than not."""
    return word is not None and word.p_misaligned > MAJORITY


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureFeedback:
    """Rich feedback on one picture, as in RichHF; notebooks show it.

    Attributes:
        image: what `beholder.images.read_image` reads.
        scores: aspect -> score; bars show [0, 1], numbers show what is given.
        maps: kind -> faults (h, w) in [0, 1] of any size, stretched over the whole picture.
        words: the words of the prompt; one above 0.5 is struck through.
        truth: what people, or whoever planted the faults, say of the same picture.

    Raises:
        DataError: if a map is not (h, w) or leaves [0, 1].
    """

    image: ImageSource
    prompt: str
    scores: Mapping[str, float] = field(default_factory=dict)
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    words: Sequence[WordLabel] = ()
    truth: PictureFeedback | None = None

    def __post_init__(self) -> None:
        for kind, marked in self.maps.items():
            if marked.ndim != 2:
                raise DataError(f"the {kind} map is {tuple(marked.shape)}, expected one (h, w)")
            check_map(marked, kind)

    @classmethod
    def of(cls, image: ImageSource, prompt: str, scores: Scores, row: int = 0) -> PictureFeedback:
        """One row of a reward's scores; the total is shown where there are no aspects.

        Raises ImageError if the picture of that row could not be scored.
        """
        if why := scores.errors.get(row):
            code, _, reason = why.partition(": ")
            raise ImageError(code, reason)
        parts = scores.aspects or {"total": scores.total}
        return cls(
            image=image,
            prompt=prompt,
            scores={aspect: float(values[row]) for aspect, values in parts.items()},
            maps={kind: maps[row].detach().float().cpu() for kind, maps in scores.maps.items()},
            words=scores.words[row] if scores.words else (),
        )

    @classmethod
    def from_people(cls, feedback: Feedback, image: ImageSource | None = None) -> PictureFeedback:
        """What a group of annotators says; `image` is read in place of the record's."""
        return cls(
            image=feedback.image if image is None else image,
            prompt=feedback.prompt,
            scores=feedback.values,
            maps={kind: levels.float() / 255 for kind, levels in feedback.maps.items()},
            words=feedback.words,
        )

    def beside(self, truth: PictureFeedback | Feedback) -> PictureFeedback:
        """The same with the truth beside it."""
        if isinstance(truth, Feedback):
            truth = self.from_people(truth, self.image)
        return replace(self, truth=truth)

    @property
    def panels(self) -> list[Panel]:
        """The plain picture, then one panel for each map, the truth's beside the predicted."""
        if self.truth is None:
            return [Panel("picture"), *(Panel(kind, marked) for kind, marked in self.maps.items())]
        said = (("predicted", self.maps), ("truth", self.truth.maps))
        kinds = dict.fromkeys([*self.maps, *self.truth.maps])
        return [
            Panel("picture"),
            *(Panel(f"{k}, {by}", maps[k]) for k in kinds for by, maps in said if k in maps),
        ]

    @property
    def bars(self) -> list[Bar]:
        """One bar for each score, with the truth where it is known."""
        truth = {} if self.truth is None else self.truth.scores
        names = dict.fromkeys([*self.scores, *truth])
        return [Bar(name, self.scores.get(name), truth.get(name)) for name in names]

    @property
    def texts(self) -> list[Text]:
        """The prompt as it is judged; a second time if the truth judges its words."""
        mine = pieces(self.prompt, self.words)
        if self.truth is None or not self.truth.words:
            return [Text("", mine)]
        theirs = pieces(self.truth.prompt, self.truth.words)
        return [Text("predicted", mine), Text("truth", theirs)]

    def fragment(self) -> Markup:
        """The HTML without its style, for pages that include `feedback.css`."""
        drawn = thumbnail(self.image)
        ratio = 1.0 if isinstance(drawn, Missing) else drawn.width / drawn.height
        shape = min(max(ratio, 1 / WIDEST), WIDEST)
        template = _environment().get_template("feedback.html.j2")
        width = min(1.0, ratio / shape)
        return Markup(template.render(shown=self, drawn=drawn, shape=shape, width=width))

    def _repr_html_(self) -> str:
        """The picture in a notebook, in light and dark: no script, no request."""
        style = _environment().get_template("feedback.css").render()
        return f"<style>{style}</style>{self.fragment()}"


@cache
def _environment() -> Environment:
    environment = template_environment()
    environment.globals |= {
        "colours": f"--fb-mark: {MARK}; --fb-fill: {FILL}; --fb-tint: {TINT:.0%}",
        "fault_overlay": fault_overlay,
        "is_struck": is_struck,
        "ramp": _ramp(),
        "unit": UNIT,
    }
    return environment


def _ramp() -> str:
    """The colour map of faults as a CSS gradient."""
    stops = (
        f"rgb({red} {green} {blue} / {alpha / 255:.3f}) {100 * at:.1f}%"
        for at, (red, green, blue, alpha) in FAULTS
    )
    return f"linear-gradient(to right, {', '.join(stops)})"
