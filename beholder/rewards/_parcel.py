"""What travels to the hub beside a reward's weights: its card, and what the card was made of."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from beholder._page.document import write_whole
from beholder._page.places import without_places
from beholder.calibration import FILE as CALIBRATION
from beholder.calibration import read_calibration
from beholder.errors import DataError
from beholder.rewards._model_card import RECORDS, write_card

_LOG = logging.getLogger(__name__)
_OF_THIS_MACHINE = {"unreadable"}
"""Keys under which records list pictures by their paths."""

_MEASURED = ("evaluation.json", "fidelity.json")
"""Records that say of which weights and options they are."""

_PLACES = {"preferences", "ratings", "feedback", "evaluation", "judgements", "reference"}
_PLACES |= {"run", "feature_cache"}
"""Keys of a configuration that name a folder or file, even by a name that a repository may have."""

_SUFFIX = r"\.(?:bin|csv|html|jpe?g|jsonl?|parquet|png|pth?|safetensors|tsv|txt|webp|ya?ml)"
_FILES = re.compile(_SUFFIX + "$", re.IGNORECASE)
_INSIDE = re.compile(
    r"file:[^\s'\"]+"  # an address of this machine
    r"|(?<![\w.:/~])(?:~|\.{1,2})?/(?:[^\s/'\",;:()]+/)+[^\s/'\",;:()]*"  # /a/b, ~/a/b, ../a/b
    r"|(?<!\w)[A-Za-z]:\\[^\s'\",;]+"
    rf"|(?<![\w./:-])(?:[\w.-]+/)+[\w.-]+{_SUFFIX}\b"  # a/b.png
)
"""Paths inside a sentence, such as what a run warned of."""


def pack(parcel: Path, source: Path | None, repo: str, weights: str) -> None:
    """Put the card, and the records of the folder a reward came from, beside its saved weights.

    Records of other weights or options stay behind: an evaluation says nothing of what was trained
    since. Paths are cut to their last name, those in the reward's calibration too.

    Args:
        parcel: what `save_pretrained` has just written.
        source: where the reward was loaded from; None if it was built otherwise.
        repo: "user/name", where it will lie.
        weights: hash of its weights as evaluations write it down.

    Raises DataError naming a record that is damaged.
    """
    _clean_calibration(parcel / CALIBRATION)
    if source is not None:
        if _is_same(parcel, source):
            _take(parcel, source, weights)
        else:
            _LOG.warning("the weights changed since %s was written; its records stay", source)
    write_card(parcel, repo)


def _clean_calibration(path: Path) -> None:
    """Its owner stays as it is: it must equal the reward's own options."""
    if path.is_file():
        found = read_calibration(path)
        names = {key: _public(getattr(found, key), key) for key in ("judgements", "reference")}
        said = {aspect: _public(why) for aspect, why in found.left_out.items()}
        write_whole(path, replace(found, **names, left_out=said).to_json())


def _take(parcel: Path, source: Path, weights: str) -> None:
    import yaml  # noqa: PLC0415

    options = _read(parcel / "config.json").get("options")
    for name in RECORDS:
        found = _read(source / name)
        if name in _MEASURED:
            found = _measured(found, weights, options, name)
        if found is not None:
            text = json.dumps(_public(found), indent=1, ensure_ascii=False)
            write_whole(parcel / name, text + "\n")
    config = source / "config.yaml"
    if config.is_file():
        given = yaml.safe_load(config.read_text(encoding="utf-8"))
        told = yaml.safe_dump(_public(given), sort_keys=False, allow_unicode=True)
        write_whole(parcel / config.name, told)


def _measured(found: Any, weights: str, options: Any, name: str) -> Any:
    """What a record, or a list of them, measured of these weights with these options."""
    if found is None:
        return None
    rows = found if isinstance(found, list) else [found]
    kept = [one for one in rows if _is_of(one, weights, options)]
    if len(kept) < len(rows):
        _LOG.warning(
            "%d of %d records of %s are of other weights, types or options, and stay behind",
            *(len(rows) - len(kept), len(rows), name),
        )
    return kept if isinstance(found, list) else next(iter(kept), None)


def _is_of(record: Any, weights: str, options: Any) -> bool:
    """Whether it says that it was measured on these weights with these options."""
    reward = record.get("reward") if isinstance(record, Mapping) else None
    told = reward if isinstance(reward, Mapping) else {}
    return told.get("weights") == weights and told.get("options") == options


def _is_same(parcel: Path, source: Path) -> bool:
    """Whether both folders hold the same weights with the same options."""
    here, there = (_read(folder / "config.json") for folder in (parcel, source))
    keys = ("reward", "options", "sha256")
    return isinstance(there, Mapping) and all(here.get(k) == there.get(k) for k in keys)


def _public(value: Any, key: str = "") -> Any:
    """A record without the paths of this machine; `key` is the name under which it stands."""
    if isinstance(value, Mapping):
        kept = {k: one for k, one in value.items() if k not in _OF_THIS_MACHINE}
        told = {_public(k): _public(one, str(k)) for k, one in kept.items()}
        return without_places(told)  # secrets go, too
    if isinstance(value, (list, tuple)):
        return [_public(one, key) for one in value]
    if not isinstance(value, str):
        return value
    if _is_path(value, key):
        return _last(value)
    return without_places(_INSIDE.sub(lambda found: _last(found[0]), value))


def _is_path(text: str, key: str) -> bool:
    """Whether it is nothing but a path, relative ones included; a repository of the hub is none."""
    if "://" in text or not ({"/", "\\"} & set(text)):
        return False
    if key in _PLACES:
        return True
    if any(letter.isspace() for letter in text):
        return False
    deep = text.replace("\\", "/").strip("/").count("/") > 1
    return deep or "\\" in text or bool(_FILES.search(text)) or Path(text).exists()


def _last(text: str) -> str:
    return text.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _read(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
