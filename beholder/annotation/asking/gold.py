"""Tasks whose answer is known, from a manifest that its owner wrote.

Pairs need the columns image_a, image_b and prompt, single pictures image and prompt; both need
gold_<aspect> for one aspect or more: "a", "tie" or "b" for a pair, a rating from 1 to 5 for a
picture. An empty cell is no known answer. Paths are relative to the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from beholder._inputs.records import manifest_records
from beholder.annotation.asking.design import Question
from beholder.annotation.asking.media import Picture, save_png
from beholder.annotation.mapping import GOLD
from beholder.annotation.project import Template
from beholder.errors import AnnotationError, DataError, ImageError
from beholder.images import read_image
from beholder.types import ASPECTS, RATED

_IMAGES: Mapping[Template, Sequence[str]] = {
    "pairwise": ("image_a", "image_b"),
    "richhf": ("image",),
}
_ASPECTS: Mapping[Template, Sequence[str]] = {"pairwise": ASPECTS, "richhf": RATED}
_RATINGS = {str(stars): str((stars - 1) / 4) for stars in range(1, 6)}


def read_gold(path: Path, template: Template, media: Path) -> list[Question]:
    """The questions of a manifest with their answers; their pictures are copied to `media`.

    Unlike pictures to ask about, a gold row must be right: AnnotationError names one that is not.
    """
    questions = []
    try:
        for number, row in enumerate(manifest_records(path).read(), start=1):
            questions.append(_question(row, template, path, media, f"{path}, row {number}"))
    except (DataError, OSError) as error:
        raise AnnotationError(f"the gold tasks cannot be read: {error}") from error
    return questions


def _question(
    row: Mapping[str, object], template: Template, path: Path, media: Path, where: str
) -> Question:
    prompt = row.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise AnnotationError(f"{where}: prompt is {prompt!r}, expected text")
    pictures = [
        _picture(row.get(name), name, prompt, path.parent, media, where)
        for name in _IMAGES[template]
    ]
    return Question(tuple(pictures), gold=_answers(row, template, where))


def _picture(
    value: object, column: str, prompt: str, root: Path, media: Path, where: str
) -> Picture:
    if not isinstance(value, str) or not value:
        raise AnnotationError(f"{where}: {column} is {value!r}, expected the path of a picture")
    try:
        pixels = read_image(root / value)
    except ImageError as error:
        raise AnnotationError(f"{where}: {column} cannot be read: {error}") from error
    return Picture(prompt, save_png(pixels, media), str((root / value).absolute()))


def _answers(row: Mapping[str, object], template: Template, where: str) -> dict[str, str]:
    given = {name: str(v).strip() for name, v in row.items() if name.startswith("gold_")}
    answers = {name.removeprefix("gold_"): v for name, v in given.items() if v not in {"", "None"}}
    known = {g: g for g in GOLD} if template == "pairwise" else _RATINGS
    for aspect, answer in answers.items():
        if aspect not in _ASPECTS[template] or answer not in known:
            raise AnnotationError(
                f"{where}: gold_{aspect} is {answer!r}; aspects are "
                f"{', '.join(_ASPECTS[template])}, answers {', '.join(known)}"
            )
    if not answers:
        raise AnnotationError(f"{where}: no gold_<aspect> has an answer")
    return {aspect: known[answer] for aspect, answer in answers.items()}
