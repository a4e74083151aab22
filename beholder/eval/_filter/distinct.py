"""Rows that are of an evaluation set, or nearly the same picture as a better row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError
from beholder.eval._filter.decision import Parts
from beholder.eval._filter.evaluation_set import (
    EvaluationSet,
    has_prompt_of,
    pictures_at,
    prompts_of,
    read_evaluation_set,
)
from beholder.eval._filter.judging import Judged
from beholder.eval._filter.protocol import digest
from beholder.eval._filter.statistics import Rows
from beholder.eval.embedding import (
    Embeddings,
    aligned,
    default_threshold,
    embed,
    embedders,
    read_embeddings,
)
from beholder.eval.filter_card import SHOWN
from beholder.eval.near_duplicates import Near, contaminated, method_for, near_duplicates
from beholder.images import ImageSource
from beholder.located import each_picture
from beholder.tables import IMAGE, KEY, PROMPT

AGAINST = "decontamination"
NEAR = "near-duplicates"
"""Stages of the filter."""

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
        pictures: key and picture of the evaluation set, by number; of the `most_alike`.
        protocol: what it was found with.
    """

    near: Mapping[int, Near] = field(default_factory=dict)
    evaluation: Mapping[int, Near] = field(default_factory=dict)
    pictures: Mapping[int, tuple[str, ImageSource]] = field(default_factory=dict)
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
        DataError: if the evaluation set, prompts or embeddings cannot be read, or no picture of the
            evaluation set can be embedded.
    """
    known = read_embeddings(asked.embeddings) if asked.embeddings else None
    made_by = asked.embedder if known is None else known.name
    threshold = asked.against_threshold or (default_threshold(made_by) if asked.against else 1.0)
    evaluation, prompts = _evaluation_set(asked, made_by)
    _drop_prompts(judged, table, prompts)
    near: dict[int, Near] = {}
    found: dict[int, Near] = {}
    protocol = _of_embeddings(asked, made_by) | _of_evaluation(asked, evaluation, len(prompts))
    if asked.compares_pictures:
        rows, values = _embedded(judged, table, asked, known, progress)
        if asked.against:
            like = contaminated(values, evaluation.values, threshold)
            found = _dropped_for_evaluation(judged, rows, like, evaluation.keys)
            protocol |= {"against_threshold": threshold}
        if asked.dedup is not None:
            values[judged.codes[rows] != 0] = np.nan  # like nothing
            near, compared = _dropped_for_better(judged, table, rows, values, asked.dedup)
            protocol |= {"dedup": asked.dedup, "method": method_for(compared)}
    shown = pictures_at(asked.against, [found[row].of for row in most_alike(found)])
    return Likeness(near, found, shown, protocol)


def most_alike(found: Mapping[int, Near]) -> list[int]:
    """The rows that a card shows, the most alike first."""
    return sorted(found, key=lambda row: (-found[row].similarity, row))[:SHOWN]


def _evaluation_set(asked: Distinct, made_by: str) -> tuple[EvaluationSet, list[str]]:
    prompts = prompts_of(asked.against_prompts) if asked.against_prompts else []
    if not asked.against:
        return EvaluationSet(), prompts
    embedder = _same(made_by)
    found = read_evaluation_set(asked.against, lambda pictures: _embed(pictures, asked, embedder))
    return found, [*prompts, *found.prompts]


def _of_embeddings(asked: Distinct, made_by: str) -> dict[str, Any]:
    if not asked.compares_pictures:
        return {}
    if not asked.embeddings:
        return {"embedder": made_by}
    file = Path(asked.embeddings)
    return {
        "embedder": made_by or "unknown",
        "embeddings": file.name,
        "embeddings_sha256": digest(file),
    }


def _of_evaluation(asked: Distinct, evaluation: EvaluationSet, prompts: int) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if asked.against:
        said = {"against": asked.against, "evaluation_pictures": evaluation.embedded}
    if evaluation.failed:
        said["evaluation_pictures_failed"] = evaluation.failed
        said["evaluation_errors"] = list(evaluation.unread)
    if asked.against_prompts:
        said["against_prompts"] = asked.against_prompts
    return said | ({"evaluation_prompts": prompts} if prompts else {})


def _drop_prompts(judged: Judged, table: Parts, prompts: Sequence[str]) -> None:
    if not prompts:
        return
    same = [has_prompt_of(part[PROMPT], prompts) for part in table.parts([PROMPT])]
    rows = np.flatnonzero(np.concatenate(same) & (judged.codes == 0))
    judged.drop(rows, "prompt of the evaluation set", AGAINST)


def _embedded(
    judged: Judged,
    table: Parts,
    asked: Distinct,
    known: Embeddings | None,
    progress: Callable[[int], object],
) -> tuple[Rows, npt.NDArray[np.float32]]:
    """Rows that are left, and their embeddings: of rows without one, which are dropped, NaN."""
    rows = judged.left()
    if known is None:
        made = _embed(_pictures(judged, table), asked, asked.embedder, progress)
        values, whys = made.values, dict(made.errors)
    else:
        keys = [key for (key,) in _cells(judged, table, [KEY])]
        values, _ = aligned(known, keys)
        said = {known.keys[row]: why for row, why in known.errors.items()}
        absent = np.flatnonzero(np.isnan(values[:, :1]).any(1)).tolist()
        whys = {k: said.get(keys[k], "not in the file") for k in absent}
    for k, why in whys.items():
        judged.details[int(rows[k])] = f"{_UNEMBEDDED}: {why}"
    stage = NEAR if asked.dedup is not None else AGAINST
    judged.drop(rows[sorted(whys)], _UNEMBEDDED, stage)
    return rows, values


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
) -> tuple[dict[int, Near], int]:
    """What near-duplicates were found, and of how many rows."""
    compared = int((judged.codes[rows] == 0).sum())
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
    return found, compared


def _keys(judged: Judged, table: Parts, rows: set[int]) -> dict[int, str]:
    wanted = np.array(sorted(rows), np.int64)
    names: dict[int, str] = {}
    start = 0
    for part in table.parts([KEY]):
        here = wanted[(wanted >= start) & (wanted < start + len(part))]
        names |= dict(zip(here.tolist(), part[KEY].take(here - start).to_pylist(), strict=True))
        start += len(part)
    return names
