"""What a request to /v1/score wants, whichever way it came."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from beholder.serving.documents import ItemAsked, PixelsAsked, asked
from beholder.serving.items import Detail, Fault, Picture
from beholder.serving.multipart import Part
from beholder.serving.pictures import decoded, decoded_pixels, pixels
from beholder.serving.refusals import MalformedError
from beholder.serving.settings import RequestLimits

PIXELS = "application/x-beholder-pixels"
"""The Content-Type of a part that holds bare pixels."""

_URL = 2_048
_DIGITS = 6
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Address:
    """Where a picture is that is still to be fetched."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Pictures with a prompt each, for some rewards; no reward named is the default one."""

    pictures: Sequence[Picture | Fault | Address]
    prompts: Sequence[str | None]
    rewards: tuple[str, ...] = ()
    detail: frozenset[Detail] = frozenset()


def of_document(document: object, limits: RequestLimits) -> Wanted:
    """Of JSON; raises MalformedError or TooLargeError if it is not what `ScoreAsked` says."""
    request = asked(document, limits.items)
    return _wanted(
        [_asked_picture(item, limits) for item in request.items],
        [item.prompt for item in request.items],
        request.rewards or (),
        request.detail,
        limits,
    )


def _asked_picture(item: ItemAsked, limits: RequestLimits) -> Picture | Fault | Address:
    if item.image is not None:
        return decoded(item.image)
    if item.image_url is not None:
        return _address(item.image_url)
    of = cast("PixelsAsked", item.pixels)
    return decoded_pixels(of.data, of.dtype, (of.height, of.width), limits.pictures)


def _address(url: str) -> Fault | Address:
    if len(url) > _URL:
        return Fault("url", f"{len(url):,} characters, at most {_URL:,} are followed")
    return Address(url)


def of_parts(parts: Sequence[Part], limits: RequestLimits) -> Wanted:
    """Of a form: `image` repeated, `prompt` none, one for all or one each, `reward`, `detail`.

    Raises MalformedError if it has other parts, or prompts that do not fit the pictures.
    """
    named: dict[str, list[Part]] = {"image": [], "prompt": [], "reward": [], "detail": []}
    for number, part in enumerate(parts, start=1):
        if part.name not in named:
            raise MalformedError(f"part {number}: {_unknown(part.name, named)}")
        named[part.name].append(part)
    pictures = [_picture_of(part, limits) for part in named["image"]]
    return _wanted(
        pictures,
        _spread([_text(part) for part in named["prompt"]], len(pictures)),
        [_text(part) for part in named["reward"]],
        [_detail(_text(part)) for part in named["detail"]],
        limits,
    )


def _unknown(name: str, known: Collection[str]) -> str:
    """What is said of a field that is none of the known; its name is the client's own text."""
    close = difflib.get_close_matches(name[:_SHOWN], known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"the fields are {', '.join(known)}"
    return f"{name[:_SHOWN]!r} is not known here; {hint}"


def _picture_of(part: Part, limits: RequestLimits) -> Picture | Fault:
    if part.kind != PIXELS:
        return Picture(data=part.data)
    dtype = part.parameters.get("dtype", "")
    if dtype not in ("uint8", "float32"):
        raise MalformedError(f"{PIXELS} needs dtype=uint8 or dtype=float32")
    size = _side(part.parameters, "height"), _side(part.parameters, "width")
    return pixels(part.data, cast("Literal['uint8', 'float32']", dtype), size, limits.pictures)


def _side(parameters: Mapping[str, str], key: str) -> int:
    digits = parameters.get(key, "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS and int(digits)):
        raise MalformedError(f"{PIXELS} needs {key}= and a whole number of pixels")
    return int(digits)


def _spread(prompts: Sequence[str], pictures: int) -> Sequence[str | None]:
    if len(prompts) < 2:
        return [prompts[0] if prompts else None] * pictures
    if len(prompts) != pictures:
        raise MalformedError(
            f"{pictures} pictures but {len(prompts)} prompts; give none, one for all or one each"
        )
    return prompts


def _text(part: Part) -> str:
    try:
        return part.data.decode()
    except UnicodeDecodeError:
        raise MalformedError(f"a part {part.name} is not UTF-8") from None


def _detail(text: str) -> Detail:
    if text not in get_args(Detail):
        raise MalformedError(f"detail must be one of {', '.join(get_args(Detail))}")
    return cast("Detail", text)


def _wanted(
    pictures: Sequence[Picture | Fault | Address],
    prompts: Sequence[str | None],
    rewards: Sequence[str],
    detail: Sequence[Detail],
    limits: RequestLimits,
) -> Wanted:
    heard = [_heard(*of, limits.prompt) for of in zip(pictures, prompts, strict=True)]
    return Wanted(
        pictures=[picture for picture, _ in heard],
        prompts=[prompt for _, prompt in heard],
        rewards=tuple(dict.fromkeys(rewards)),
        detail=frozenset(detail),
    )


def _heard(
    picture: Picture | Fault | Address, prompt: str | None, most: int
) -> tuple[Picture | Fault | Address, str | None]:
    """A prompt that is too long is not carried further, and its picture neither."""
    if prompt is None or len(prompt) <= most:
        return picture, prompt
    return Fault("prompt", f"{len(prompt):,} characters, at most {most:,} are accepted"), None
