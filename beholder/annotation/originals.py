"""Judgements name the copies that annotators saw; here pictures get their own names back.

So what people said meets score tables, manifests and filters of the same pictures. A picture that
is gone, or shows something else by now, keeps the name of its copy: that is what was judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from beholder.annotation.asking.media import png_name
from beholder.annotation.forms.form import AnyRecord
from beholder.annotation.mapping import AnyTask, TaskPicture
from beholder.errors import ImageError
from beholder.images import read_images
from beholder.types import Comparison, Rating

_AT_ONCE = 32
Named = TypeVar("Named", Comparison, Rating)


@dataclass(frozen=True, slots=True)
class Originals:
    """Pictures that were found again.

    Attributes:
        names: (task's key, copy) -> original.
        lost: copies whose original is gone, changed or inside a data set.
    """

    names: Mapping[tuple[str, str], str]
    lost: frozenset[str]

    def named(self, record: Named) -> Named:
        """The same record with the original of each picture that was found again."""
        if isinstance(record, Comparison):
            return replace(record, images=tuple(self._name(record, i) for i in record.images))
        return replace(record, image=self._name(record, record.image))

    def _name(self, record: AnyRecord, image: str) -> str:
        return self.names.get((record.key, image), image)


def find_originals(asked: Iterable[AnyTask]) -> Originals:
    """Which pictures of the tasks still lie where they came from; each is decoded once."""
    told = [(task.task_key, *pair) for task in asked for pair in _pairs(task)]
    same = set(_still_the_same(list(dict.fromkeys((copy, source) for _, copy, source in told))))
    names = {(key, copy): source for key, copy, source in told if (copy, source) in same}
    return Originals(
        names, frozenset(copy for _, copy, source in told if (copy, source) not in same)
    )


def _pairs(task: AnyTask) -> Iterator[tuple[str, str]]:
    """Copy and original of each picture, if the original is known."""
    if isinstance(task, TaskPicture):
        images = {"source": task.image}
    else:
        images = {"source_a": task.image_a, "source_b": task.image_b}
    return ((copy, task.extra[name]) for name, copy in images.items() if name in task.extra)


def _still_the_same(pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Pairs whose original shows what the copy is named after."""
    left = iter(pairs)
    while batch := list(islice(left, _AT_ONCE)):
        pixels = read_images([source for _, source in batch])
        for (copy, source), shown in zip(batch, pixels, strict=True):
            if not isinstance(shown, ImageError) and png_name(shown) == Path(copy).name:
                yield copy, source
