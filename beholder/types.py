"""The words that every room shares. Nothing here imports a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from beholder._edges import Edges as Edges
from beholder._edges import Rankings as Rankings
from beholder._edges import Targets as Targets
from beholder._notebook.scores import scores_sheet
from beholder.errors import DataError

ASPECTS = ("aesthetics", "detail", "alignment", "overall")
"""The four dimensions of MPS (Zhang et al., CVPR 2024), in the order of the annotation template."""


def _check_shares(owner: str, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise DataError(f"{owner} {name} is {value}, expected a number in [0, 1]")


@dataclass(frozen=True, slots=True)
class WordLabel:
    """One word of a prompt, its span `prompt[start:end]` and its probability to be misaligned."""

    word: str
    start: int
    end: int
    p_misaligned: float


@dataclass(frozen=True, slots=True)
class WordRelevance:
    """One word of a prompt, its span `prompt[start:end]` and how much a condition looks at it.

    Attributes:
        relevance: the highest of the word's tokens, as a share of the picture's maximum.
        kept: whether the condition's mask lets the word through.
    """

    word: str
    start: int
    end: int
    relevance: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one condition of a reward sees one picture with its prompt.

    Attributes:
        condition: the aspect, such as "alignment".
        score: the score under this condition.
        words: every word of the prompt, in order.
        attention: where the score looks in the picture; a grid of weights that add up to 1.
    """

    condition: str
    score: float
    words: Sequence[WordRelevance]
    attention: Float[Tensor, "h w"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of `b` pictures; higher is better.

    Attributes:
        total: what a trainer maximises; NaN in a row of `errors`.
        aspects: named parts such as "aesthetics" or "alignment"; may be empty.
        maps: named heatmaps in [0, 1], such as "implausibility"; may be empty.
        words: for each picture the words of its prompt; may be empty.
        errors: row -> why that picture could not be scored; its scores are NaN.
        sizes: height and width of each picture, for `picture_maps`; may be empty.
        deviations: aspect -> how unsure its score is, as the standard deviation of a Gaussian
            around it; empty for a reward that does not say.
    """

    total: Float[Tensor, " b"]
    aspects: Mapping[str, Float[Tensor, " b"]] = field(default_factory=dict)
    maps: Mapping[str, Float[Tensor, "b h w"]] = field(default_factory=dict)
    words: Sequence[Sequence[WordLabel]] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    sizes: Sequence[tuple[int, int]] = ()
    deviations: Mapping[str, Float[Tensor, " b"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.total)

    def __repr__(self) -> str:
        return scores_sheet(self, pictures=False).text()

    def _repr_html_(self) -> str:
        return scores_sheet(self).html()

    def picture_maps(self, row: int) -> dict[str, Float[Tensor, "h w"]]:
        """The maps of one picture at its own size; gradients pass.

        `maps` hold all pictures at the resolution at which the reward draws them. Raises DataError
        if the sizes are not known.
        """
        if not self.sizes:
            raise DataError("these scores do not know their pictures' sizes")
        size = list(self.sizes[row])
        return {
            kind: functional.interpolate(
                maps[row][None, None], size, mode="bilinear", align_corners=False, antialias=True
            )[0, 0]
            for kind, maps in self.maps.items()
        }

    def named(self, aspect: str) -> Float[Tensor, " b"]:
        """The scores of an aspect, or those called "total"; KeyError if there is no such aspect."""
        return self.total if aspect == "total" else self.aspects[aspect]

    def detach(self) -> Scores:
        """The same numbers on the CPU in float32, without gradient."""

        def plain(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: value.detach().float().cpu() for name, value in values.items()}

        return replace(
            self,
            total=self.total.detach().float().cpu(),
            aspects=plain(self.aspects),
            maps=plain(self.maps),
            deviations=plain(self.deviations),
        )

    @staticmethod
    def concatenate(parts: Sequence[Scores]) -> Scores:
        """Scores of several batches one after another.

        A part in which no picture could be scored has no maps and words: NaN and none stand in.
        Raises DataError if there is no part, or the others carry different aspects, maps or
        deviations.
        """
        if not parts:
            raise DataError("there are no scores to concatenate")
        if any(p.aspects.keys() != parts[0].aspects.keys() for p in parts):
            raise DataError("the batches carry different aspects and cannot be one table")
        scored = [p for p in parts if len(p.errors) < len(p)]
        if any(p.maps.keys() != scored[0].maps.keys() for p in scored):
            raise DataError("the batches carry different maps and cannot be one table")
        if any(p.deviations.keys() != scored[0].deviations.keys() for p in scored):
            raise DataError("the batches carry different deviations and cannot be one table")
        offsets = [0]
        for part in parts:
            offsets.append(offsets[-1] + len(part))
        return Scores(
            total=torch.cat([p.total for p in parts]),
            aspects={a: torch.cat([p.aspects[a] for p in parts]) for a in parts[0].aspects},
            maps={
                m: torch.cat([p.maps.get(m, _unknown(len(p), like)) for p in parts])
                for m, like in (scored[0].maps.items() if scored else ())
            },
            words=tuple(
                words
                for p in parts
                for words in p.words or [()] * (len(p) if any(q.words for q in scored) else 0)
            ),
            errors={
                at + row: why
                for at, p in zip(offsets, parts, strict=False)
                for row, why in p.errors.items()
            },
            sizes=tuple(size for p in parts for size in p.sizes)
            if all(len(p.sizes) == len(p) for p in parts)
            else (),
            deviations={
                a: torch.cat([p.deviations.get(a, _unknown(len(p), like)) for p in parts])
                for a, like in (scored[0].deviations.items() if scored else ())
            },
        )


def _unknown(rows: int, like: Tensor) -> Tensor:
    return like.new_full((rows, *like.shape[1:]), math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One annotator's ranking of n >= 2 pictures of one prompt, an answer for each aspect.

    Attributes:
        key: names the question; several annotators who answer it share the key.
        images: picture ids or paths, resolved by whoever loads pixels.
        ranks: aspect -> one rank a picture: 1 is best, equal ranks are a tie.
        annotator: an opaque id, "unknown" if it was lost.
        seconds: how long the annotator took; None if unknown.
        source: where the record comes from (data set, export file, unique id).
        flags: doubts about this record, such as "skipped" or "edited_by_other"; clean if empty.
    """

    key: str
    prompt: str
    images: tuple[str, ...]
    ranks: Mapping[str, tuple[int, ...]]
    annotator: str = "unknown"
    seconds: float | None = None
    source: str = ""
    flags: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if len(self.images) < 2:
            raise DataError(
                f"comparison {self.key!r} has {len(self.images)} pictures; it needs two or more"
            )
        for aspect, ranks in self.ranks.items():
            if len(ranks) != len(self.images):
                raise DataError(
                    f"comparison {self.key!r} has {len(self.images)} pictures "
                    f"but {len(ranks)} ranks of {aspect}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What a group of annotators, taken together, says about one pair of pictures.

    Attributes:
        key: the question's key, as in `Comparison`.
        first, second: picture ids or paths.
        p_first: aspect -> how strongly `first` is preferred, in [0, 1]; 0.5 is a tie. An aspect
            that nobody answered is absent.
        votes: aspect -> number of clean answers behind it.
    """

    key: str
    prompt: str
    first: str
    second: str
    p_first: Mapping[str, float]
    votes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_shares(f"preference {self.key!r}: p_first of", self.p_first)


RATED = ("plausibility", "alignment", "aesthetics", "overall")
"""What RichHF rates (Liang et al., CVPR 2024), in the order of the annotation template."""

MAPS = ("implausibility", "misalignment")
"""The two kinds of points of RichHF: where a picture is implausible, where it misses the prompt."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a picture as shares of its width and height, from the top left; in [0, 1]."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One annotator's rich feedback on one picture of one prompt, as in RichHF.

    Attributes:
        key: names the question; several annotators who answer it share the key.
        image: picture id or path, resolved by whoever loads pixels.
        values: aspect -> rating in [0, 1]; higher is better. An unanswered aspect is absent.
        points: map kind -> where the annotator saw a fault.
        misaligned: spans `prompt[start:end]` of words that the picture misses, in code points.
        annotator, seconds, source, flags: as in `Comparison`.
    """

    key: str
    prompt: str
    image: str
    values: Mapping[str, float] = field(default_factory=dict)
    points: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    misaligned: tuple[tuple[int, int], ...] = ()
    annotator: str = "unknown"
    seconds: float | None = None
    source: str = ""
    flags: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _check_shares(f"rating {self.key!r}", self.values)
        for start, end in self.misaligned:
            if not 0 <= start < end <= len(self.prompt):
                raise DataError(
                    f"rating {self.key!r}: span ({start}, {end}) lies outside its prompt "
                    f"of {len(self.prompt)} characters"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a group of annotators, taken together, says about one picture, as in RichHF.

    Attributes:
        key: the question's key, as in `Rating`.
        image: picture id or path.
        values: aspect -> mean rating in [0, 1].
        maps: map kind -> grey levels 0 to 255 of how many annotators marked a place.
        words: every word of the prompt with the share of annotators who say it is missed, as
            `p_misaligned`; above 0.5 is the majority's "misaligned".
        votes: number of clean ratings behind it.
    """

    key: str
    prompt: str
    image: str
    values: Mapping[str, float]
    maps: Mapping[str, UInt8[Tensor, "h w"]] = field(default_factory=dict)
    words: Sequence[WordLabel] = ()
    votes: int = 0

    def __post_init__(self) -> None:
        _check_shares(f"feedback {self.key!r}", self.values)
