"""Under which licences pretrained weights stand, as their pages on the hub say.

What is not listed is unknown here: the weights' own page tells. A licence of weights says nothing
of the pictures and texts that they were trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from beholder._published.repository import may_be_repository

UNKNOWN = "unknown"
"""What the hub, too, calls a licence that nobody knows."""

_TAGS: Sequence[tuple[str, str]] = (
    ("openai", "mit"),
    ("laion400m_*", "mit"),
    ("laion2b_*", "mit"),
    ("laion5b_*", "mit"),
    ("frozen_laion5b_*", "mit"),
    ("laion_aesthetic_*", "mit"),
    ("mscoco_finetuned_laion2b_*", "mit"),
    ("datacomp_*", "mit"),
    ("commonpool_*", "mit"),
    ("merged2b_*", "mit"),
    ("webli", "apache-2.0"),
    ("metaclip_*", "cc-by-nc-4.0"),
    ("dfn2b", "apple-amlr"),
    ("dfn2b_*", "apple-amlr"),
    ("dfn5b", "apple-amlr"),
)
"""open_clip's tags; the first pattern that fits decides. Bare "laion2b", "datacomp1b" and the like
are of several owners and are not listed."""

_REPOSITORIES: Sequence[tuple[str, str]] = (
    ("openai/clip-*", "mit"),
    ("laion/clip-*", "mit"),
    ("google/siglip*", "apache-2.0"),
    ("timm/vit-*-siglip*", "apache-2.0"),
    ("timm/*metaclip*", "cc-by-nc-4.0"),
    ("timm/eva*", "mit"),
    ("facebook/metaclip*", "cc-by-nc-4.0"),
    ("apple/dfn*", "apple-amlr"),
    ("google/t5-v1_1-*", "apache-2.0"),
    ("google-t5/t5-*", "apache-2.0"),
    ("google/vit-*", "apache-2.0"),
)
"""Repositories of the hub, in small letters."""

_STRICTNESS = ("mit", "bsd-3-clause", "apache-2.0", "agpl-3.0", "cc-by-nc-4.0", "apple-amlr")
"""From the freest to the strictest: cc-by-nc-4.0 forbids commerce, apple-amlr all but research."""


@dataclass(frozen=True, slots=True)
class Licence:
    """Under which licence something stands that weights began with.

    Attributes:
        what: it is, such as "open_clip ViT-B-32, laion2b_s34b_b79k".
        name: as the hub spells it, such as "mit"; "unknown".
    """

    what: str
    name: str

    @property
    def told(self) -> str:
        """The name, or where to look."""
        return "unknown: see the weights' own page" if self.name == UNKNOWN else self.name


def tag_licence(tag: str) -> str:
    """The licence of the weights that open_clip calls by a tag; "unknown" if it is not listed."""
    return _first(_TAGS, tag)


def repository_licence(repository: str) -> str:
    """The licence of the weights in a repository of the hub; "unknown" if it is not listed."""
    return _first(_REPOSITORIES, repository.lower())


def licences_begun_with(options: Mapping[str, object]) -> list[Licence]:
    """What pretrained weights the options of towers, or of a reward made of parts, name.

    Random weights began with nothing; a file on a disk is unknown.
    """
    if options.get("kind") == "open_clip":
        return list(_open_clip(options))
    found: list[Licence] = []
    if isinstance(file := options.get("projections"), str):
        found.append(Licence(f"projections, {Path(file).name}", UNKNOWN))
    for part, given in options.items():
        if not isinstance(given, Mapping):
            continue
        if given.get("kind") == "open_clip":
            found += _open_clip(given)
        for key in ("folder", "weights"):
            if isinstance(place := given.get(key), str):
                found.append(_of_place(part, place))
    return found


def strictest(names: Iterable[str]) -> str | None:
    """The licence that allows least; "unknown" if any is, None if there is none."""
    found = set(names)
    if not found:
        return None
    if found - set(_STRICTNESS):
        return UNKNOWN
    return max(found, key=_STRICTNESS.index)


def hub_name(spdx: str) -> str:
    """The hub's spelling of an SPDX name; "unknown" for what the list here does not rank."""
    name = spdx.lower().removesuffix("-only").removesuffix("-or-later")
    return name if name in _STRICTNESS else UNKNOWN


def _open_clip(options: Mapping[str, object]) -> Iterable[Licence]:
    tag = options.get("pretrained")
    if isinstance(tag, str):
        is_file = "/" in tag or Path(tag).suffix != ""
        said = Path(tag).name if is_file else tag
        yield Licence(
            f"open_clip {options.get('name')}, {said}", UNKNOWN if is_file else tag_licence(tag)
        )


def _of_place(part: str, place: str) -> Licence:
    if may_be_repository(place):
        return Licence(f"{part}, {place}", repository_licence(place))
    return Licence(f"{part}, {Path(place).name}", UNKNOWN)


def _first(patterns: Sequence[tuple[str, str]], text: str) -> str:
    return next((name for pattern, name in patterns if fnmatchcase(text, pattern)), UNKNOWN)
