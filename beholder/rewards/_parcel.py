"""What travels to the hub beside a reward's weights: its card, and what the card was made of."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beholder._page.document import write_whole
from beholder._page.places import without_places
from beholder.errors import DataError
from beholder.rewards._model_card import RECORDS, write_card

_LOG = logging.getLogger(__name__)
_OF_THIS_MACHINE = {"unreadable"}
"""Keys under which records list pictures by their paths."""


def pack(parcel: Path, source: Path | None, repo: str, weights: str) -> None:
    """Put the card, and the records of the folder a reward came from, beside its saved weights.

    Records of other weights stay behind: an evaluation says nothing of what was trained since.
    Folders of this machine are cut to their last name.

    Args:
        parcel: what `save_pretrained` has just written.
        source: where the reward was loaded from; None if it was built otherwise.
        repo: "user/name", where it will lie.
        weights: hash of its weights as evaluations write it down.

    Raises DataError naming a record that is damaged.
    """
    if source is not None:
        if _is_same(parcel, source):
            _take(parcel, source, weights)
        else:
            _LOG.warning("the weights changed since %s was written; its records stay", source)
    write_card(parcel, repo)


def _take(parcel: Path, source: Path, weights: str) -> None:
    import yaml  # noqa: PLC0415

    for name in RECORDS:
        found = _read(source / name)
        if name == "evaluation.json" and isinstance(found, list):
            found = [one for one in found if _is_of(one, weights)]
        if found is not None:
            text = json.dumps(_public(found), indent=1, ensure_ascii=False)
            write_whole(parcel / name, text + "\n")
    config = source / "config.yaml"
    if config.is_file():
        given = yaml.safe_load(config.read_text(encoding="utf-8"))
        told = yaml.safe_dump(_public(given), sort_keys=False, allow_unicode=True)
        write_whole(parcel / config.name, told)


def _is_of(record: Any, weights: str) -> bool:
    """Whether an evaluation is one of these weights, or does not say of which it is."""
    reward = record.get("reward") if isinstance(record, Mapping) else None
    said = reward.get("weights") if isinstance(reward, Mapping) else None
    return said in (None, weights)


def _is_same(parcel: Path, source: Path) -> bool:
    """Whether both folders hold the same weights with the same options."""
    here, there = (_read(folder / "config.json") for folder in (parcel, source))
    keys = ("reward", "options", "sha256")
    return isinstance(there, Mapping) and all(here.get(k) == there.get(k) for k in keys)


def _public(value: Any) -> Any:
    """A record without the paths of this machine."""
    return without_places(_without_pictures(value))


def _without_pictures(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {k: one for k, one in value.items() if k not in _OF_THIS_MACHINE}
        return {k: _without_pictures(one) for k, one in kept.items()}
    return [_without_pictures(one) for one in value] if isinstance(value, list) else value


def _read(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
