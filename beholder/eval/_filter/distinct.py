"""Rows that are of an evaluation set, or nearly the same picture as a better row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, ImageError
from beholder.eval._filter.decision import Parts
from beholder.eval._filter.evaluation_set import has_prompt_of, prompts_of
from beholder.eval._filter.judging import Judged
from beholder.eval._filter.statistics import Rows
from beholder.eval.embedding import (
    Embeddings,
    aligned,
    default_threshold,
    embed,
    embedders,
    read_embeddings,
)
from beholder.eval.near_duplicates import Near, contaminated, method_for, near_duplicates
from beholder.images import ImageSource
from beholder.inputs import read_inputs
from beholder.located import each_picture
from beholder.tables import IMAGE, KEY, PROMPT

AGAINST = "decontamination"
NEAR = "near-duplicates"
"""Stages of the filter."""

_NO_PICTURE = ImageError("missing", "the evaluation set names no picture")
_UNEMBEDDED = "no embedding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distinct:
    """Which likeness drops a row, after the rule's conditions and before its top and budget.

    Attributes:
        dedup: cosine from which on the row that ranks lower is dropped; None for no comparison. Of
            equal rank, and without a score, the later row is.
        embeddings: a file of embeddings by key, see `eval.embedding`; "" makes them.
        embedder: what makes them otherwise, such as "thumbprint"; rows without an embedding are
            dropped.
        embedder_weights: a file for the embedder; "" takes what it has, or fetches it.
        device: where the embedder runs.
        against: an evaluation set, as `read_inputs` takes it: rows are dropped whose picture is
            like one of its pictures, or whose prompt is one of its prompts.
        against_threshold: that likeness, as a cosine; None takes the embedder's own.
        against_prompts: a file of further prompts.

    Raises ConfigError if they do not fit together.
    """

    dedup: float | None = None
    embeddings: str = ""
    embedder: str = "thumbprint"
    embedder_weights: str = ""
    device: str = "cpu"
    against: str = ""
    against_threshold: float | None = None
    against_prompts: str = ""

    def __post_init__(self) -> None:
        for name in ("dedup", "against_threshold"):
            cosine = getattr(self, name)
            if cosine is not None and not 0 < cosine <= 1:
                raise ConfigError(f"{name} is a cosine in (0, 1], such as 0.95; got {cosine}")
        if self.embedder not in embedders():
            raise ConfigError(f"no embedder {self.embedder!r}; known: {', '.join(embedders())}")
        if self.against_threshold is not None and not self.against:
            raise ConfigError("against_threshold needs an evaluation set to compare with")

    @property
    def compares_pictures(self) -> bool:
        """Whether embeddings are needed."""
        return self.dedup is not None or bool(self.against)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What was found to be alike.

    Attributes:
        near: dropped row -> the row that is kept for it, and their cosine.
        evaluation: dropped row -> the picture of the evaluation set, by number, and the cosine.
        pictures: key and picture of the evaluation set.
        protocol: what it was found with.
    """

    near: Mapping[int, Near] = field(default_factory=dict)
    evaluation: Mapping[int, Near] = field(default_factory=dict)
    pictures: Sequence[tuple[str, ImageSource]] = ()
    protocol: Mapping[str, Any] = field(default_factory=dict)


def keep_distinct(
    judged: Judged,
    table: Parts,
    asked: Distinct,
    progress: Callable[[int], object] = lambda rows: None,
) -> Likeness:
    """Drop rows of the evaluation set, then all but the best of those that are nearly the same.

    Embeddings are held in memory, so this is for tables up to some ten million rows; `progress`
    hears of pictures embedded.

    Raises:
        ConfigError: if a threshold must be given.
        DataError: if the evaluation set, prompts or embeddings cannot be read.
    """
    pictures, prompts = _evaluation_set(asked)
    _drop_prompts(judged, table, prompts)
    protocol: dict[str, Any] = {"evaluation_prompts": len(prompts)} if prompts else {}
    if not asked.compares_pictures:
        return Likeness(pictures=pictures, protocol=protocol)
    rows, values, made_by = _embedded(judged, table, asked, progress)
    protocol |= {"embedder": made_by}
    found: dict[int, Near] = {}
    if asked.against:
        threshold = asked.against_threshold or default_threshold(made_by)
        theirs = _embed(pictures, asked, _same(made_by)).values
        like = contaminated(values, theirs, threshold)
        found = _dropped_for_evaluation(judged, rows, like, [key for key, _ in pictures])
        protocol |= {"against_threshold": threshold, "evaluation_pictures": len(pictures)}
    near: dict[int, Near] = {}
    if asked.dedup is not None:
        left = judged.codes[rows] == 0
        near = _dropped_for_better(judged, table, rows[left], values[left], asked.dedup)
        protocol |= {"dedup": asked.dedup, "method": method_for(int(left.sum()))}
    return Likeness(near, found, pictures, protocol)


def _evaluation_set(asked: Distinct) -> tuple[list[tuple[str, ImageSource]], list[str]]:
    prompts = prompts_of(asked.against_prompts) if asked.against_prompts else []
    rows = list(read_inputs(asked.against)) if asked.against else []
    prompts += [row.prompt for row in rows if row.prompt]
    return [(row.key, _NO_PICTURE if row.image is None else row.image) for row in rows], prompts


def _drop_prompts(judged: Judged, table: Parts, prompts: Sequence[str]) -> None:
    if not prompts:
        return
    same = [has_prompt_of(part[PROMPT], prompts) for part in table.parts([PROMPT])]
    rows = np.flatnonzero(np.concatenate(same) & (judged.codes == 0))
    judged.drop(rows, "prompt of the evaluation set", AGAINST)


def _embedded(
    judged: Judged, table: Parts, asked: Distinct, progress: Callable[[int], object]
) -> tuple[Rows, npt.NDArray[np.float32], str]:
    """Rows that are left, their embeddings, and what made these; drops those without one."""
    rows = judged.left()
    if asked.embeddings:
        known = read_embeddings(asked.embeddings)
        keys = [key for (key,) in _cells(judged, table, [KEY])]
        values, _ = aligned(known, keys)
        at = {key: row for row, key in enumerate(known.keys)}
        said = [known.errors.get(at.get(key, -1), "not in the file") for key in keys]
        whys = dict(enumerate(said))
    else:
        known = _embed(_pictures(judged, table), asked, asked.embedder, progress)
        values, whys = known.values, dict(known.errors)
    absent = ~np.isfinite(values).all(1)
    for k in np.flatnonzero(absent).tolist():
        judged.details[int(rows[k])] = f"{_UNEMBEDDED}: {whys.get(k, 'not finite')}"
    judged.drop(rows[absent], _UNEMBEDDED, NEAR if asked.dedup is not None else AGAINST)
    return rows[~absent], values[~absent], known.name


def _embed(
    pictures: Iterable[tuple[str, ImageSource]],
    asked: Distinct,
    embedder: str,
    progress: Callable[[int], object] = lambda rows: None,
) -> Embeddings:
    weights = asked.embedder_weights or None
    return embed(pictures, embedder, weights=weights, device=asked.device, progress=progress)


def _same(embedder: str) -> str:
    """The embedder for the evaluation set; ConfigError if that of a file is not known here."""
    if embedder not in embedders():
        raise ConfigError(
            f"the evaluation set must be embedded as the table is, and {embedder or 'the maker'!r} "
            f"of the file of embeddings is not known here; known: {', '.join(embedders())}"
        )
    return embedder


def _pictures(judged: Judged, table: Parts) -> Iterator[tuple[str, ImageSource]]:
    keys: list[str] = []

    def images() -> Iterator[str]:
        for key, image in _cells(judged, table, [KEY, IMAGE]):
            keys.append(key)
            yield image or ""

    for picture in each_picture(images()):
        yield keys.pop(0), picture


def _cells(judged: Judged, table: Parts, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Cells of the rows that are left when this is begun."""
    kept, start = judged.codes == 0, 0
    for part in table.parts(columns):
        chosen = part.filter(kept[start : start + len(part)])
        start += len(part)
        yield from zip(*(chosen[name].to_pylist() for name in columns), strict=True)


def _dropped_for_evaluation(
    judged: Judged, rows: Rows, like: Mapping[int, Near], keys: Sequence[str]
) -> dict[int, Near]:
    found = {int(rows[k]): near for k, near in like.items()}
    for row, near in found.items():
        judged.details[row] = f"like {keys[near.of]} of the evaluation set ({near.similarity:.3f})"
    judged.drop(np.array(sorted(found), np.int64), "like a picture of the evaluation set", AGAINST)
    return found


def _dropped_for_better(
    judged: Judged,
    table: Parts,
    rows: Rows,
    values: npt.NDArray[np.float32],
    threshold: float,
) -> dict[int, Near]:
    priority = judged.scores[rows] if len(judged.scores) else np.zeros(len(rows))
    like = near_duplicates(values, priority, threshold)
    names = _keys(judged, table, {int(rows[near.of]) for near in like.values()})
    found = {
        int(rows[k]): Near(of=int(rows[near.of]), similarity=near.similarity)
        for k, near in like.items()
    }
    for row, near in found.items():
        judged.details[row] = f"near duplicate of {names[near.of]} ({near.similarity:.3f})"
    judged.drop(np.array(sorted(found), np.int64), "near duplicate", NEAR)
    return found


def _keys(judged: Judged, table: Parts, rows: set[int]) -> dict[int, str]:
    wanted = np.array(sorted(rows), np.int64)
    names: dict[int, str] = {}
    start = 0
    for part in table.parts([KEY]):
        here = wanted[(wanted >= start) & (wanted < start + len(part))]
        names |= dict(zip(here.tolist(), part[KEY].take(here - start).to_pylist(), strict=True))
        start += len(part)
    return names
