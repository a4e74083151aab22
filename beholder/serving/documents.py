"""The JSON of /v1: what is asked, strictly, and what the answers are, for the OpenAPI document."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, model_validator

from beholder.serving.refusals import MalformedError, TooLargeError

_TOLD = 3
_MANY = 50
_SHOWN = 40
_NAMES = 64
_KEYS = 8
_SIDE = 1_000_000  # which no limit reaches
_SAID = {
    "extra_forbidden": "is not known here",
    "is_instance_of": "must be text",
    "list_type": "must be a list",
    "missing": "is missing",
    "model_type": "must be an object",
    "too_short": "must not be empty",
}

Text = InstanceOf[str]
"""Any text, also with lone surrogates: a bad prompt or picture has an error of its own."""

Detail = Literal["maps", "words", "deviations"]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PixelsAsked(_Asked):
    """sRGB pixels, row by row, three values each, as a trainer has them."""

    data: Text = Field(
        description="Base64 of height x width x 3 values; float32 is little-endian, in [0, 1]."
    )
    dtype: Literal["uint8", "float32"]
    height: int = Field(ge=1, le=_SIDE)
    width: int = Field(ge=1, le=_SIDE)


class ItemAsked(_Asked):
    """A picture in exactly one of three forms, and its prompt."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [key], "properties": {key: {"not": {"type": "null"}}}}
                for key in ("image", "image_url", "pixels")
            ]
        }
    )

    image: Text | None = Field(
        default=None,
        description="Base64 (standard alphabet, padded, no line breaks) of a JPEG, PNG, WebP, GIF "
        "or BMP file.",
    )
    image_url: Text | None = Field(
        default=None, description="Where the file is, if the server may fetch from there."
    )
    pixels: PixelsAsked | None = None
    prompt: Text | None = None

    @model_validator(mode="after")
    def _has_one_picture(self) -> ItemAsked:
        given = [each for each in (self.image, self.image_url, self.pixels) if each is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of image, image_url and pixels")
        return self


class ScoreAsked(_Asked):
    """Pictures to be scored, together."""

    items: list[ItemAsked] = Field(min_length=1)
    rewards: Annotated[list[Text], Field(min_length=1, max_length=_NAMES)] | None = Field(
        default=None, description="By name; left out, the default of GET /v1/rewards."
    )
    detail: list[Detail] = Field(
        default=[],
        max_length=_NAMES,
        description="What is told beside total and aspects, of rewards that have it.",
    )


def asked(document: object, most: int) -> ScoreAsked:
    """The request.

    Args:
        document: the JSON that came.
        most: items that it may have.

    Raises:
        MalformedError: with the places that are wrong; it quotes nothing.
        TooLargeError: if it has more items.
    """
    _check_extent(document, most)
    try:
        return ScoreAsked.model_validate(document)
    except ValidationError as error:
        raise MalformedError(_explained(error)) from None


def _check_extent(document: object, most: int) -> None:
    """A mistake costs a hundred times the three bytes that make it: few can be made."""
    items = document.get("items") if isinstance(document, dict) else None
    items = items if isinstance(items, list) else []
    check_items(len(items), most)
    pixels = [item.get("pixels") for item in items if isinstance(item, dict)]
    for part in (document, *items, *pixels):
        if isinstance(part, dict) and len(part) > _KEYS:
            raise MalformedError("the body has an object with keys that are not known here")


def check_items(count: int, most: int) -> None:
    """Raise TooLargeError if there are more than one request may have."""
    if count > most:
        raise TooLargeError(f"{count:,} pictures, at most {most:,} are taken in one request")


def _explained(error: ValidationError) -> str:
    count = error.error_count()
    if count > _MANY:
        return f"the body has {count} mistakes; GET /docs shows what it must be"
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"{_place(f['loc'])}: {_said(f['type'], f['msg'])}{_meant(f['type'], f['loc'])}"
        for f in faults[:_TOLD]
    ]
    return "; ".join([*told, *([f"and {count - _TOLD} more"] if count > _TOLD else [])])


def _meant(kind: str, path: tuple[int | str, ...]) -> str:
    known = (*ScoreAsked.model_fields, *ItemAsked.model_fields)
    close = difflib.get_close_matches(str(path[-1]), known, n=1) if path else []
    return f"; did you mean {close[0]}?" if kind == "extra_forbidden" and close else ""


def _place(path: tuple[int | str, ...]) -> str:
    return ".".join(_step(step) for step in path) or "the body"


def _step(step: int | str) -> str:
    """Keys that we do not know are the client's own text."""
    if isinstance(step, str) and not (step.isascii() and step.isidentifier()):
        return repr(step[:_SHOWN])
    return str(step)[:_SHOWN]


def _said(kind: str, message: str) -> str:
    own = _SAID.get(kind) or message.removeprefix("Value error, ")
    return own[:1].lower() + own[1:]


class MapTold(BaseModel):
    """A heatmap in [0, 1]."""

    height: int
    width: int
    data: str = Field(description="Base64 of little-endian float32, row by row.")


class WordTold(BaseModel):
    """A word of the prompt."""

    word: str
    start: int
    end: int
    p_misaligned: float


class ScoredTold(BaseModel):
    """What one reward says of one picture; numbers are exact: float32 comes back as it was."""

    total: float = Field(description="What a trainer maximises.")
    aspects: dict[str, float | None] = Field(description="Null is unknown.")
    size: tuple[int, int] = Field(description="Height and width of the picture.")
    deviations: dict[str, float] | None = None
    maps: dict[str, MapTold] | None = None
    words: list[WordTold] | None = None


class FaultTold(BaseModel):
    """Why a picture has no score."""

    code: str
    message: str


class ResultTold(BaseModel):
    """Of one picture: each reward that was asked is in exactly one of the two."""

    scores: dict[str, ScoredTold]
    errors: dict[str, FaultTold]


class ScoresTold(BaseModel):
    """One result a picture, in order."""

    request_id: str
    results: list[ResultTold]


class RewardTold(BaseModel):
    """A served reward."""

    name: str
    reward: str = Field(description="Its name in the catalogue.")
    identity: dict[str, object] = Field(description="What decides its numbers.")
    dtype: str
    measures: str
    weights_license: str
    score_range: tuple[float | None, float | None]
    aspects: list[str]
    details: list[Detail]
    needs_prompt: bool
    fitting: dict[str, object] | None = Field(
        description="What may shrink 8-bit pictures before they are sent."
    )


class RewardsTold(BaseModel):
    """What is served, the default first."""

    rewards: list[RewardTold]


class ReloadedTold(BaseModel):
    """The weights were loaded anew."""

    rewards: list[str]


class HealthTold(BaseModel):
    """How the server is."""

    status: Literal["ok"]
