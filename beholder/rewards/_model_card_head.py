"""What the hub reads of a model card, and what a reward's weights began with."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beholder.rewards import names, reward_class
from beholder.rewards._towers._licences import (
    UNKNOWN,
    Licence,
    hub_name,
    licences_begun_with,
    repository_licence,
    strictest,
)

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_TASK = {"type": "other", "name": "human preference between generated pictures"}
_TAGS = ("beholder", "reward-model", "human-preference", "text-to-image", "evaluation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a reward's weights were before they were trained.

    Attributes:
        licences: of everything they began with; empty if they were random.
        base_models: repositories of the hub among it.
        is_known: whether the folder tells at all.
    """

    licences: tuple[Licence, ...] = ()
    base_models: tuple[str, ...] = ()
    is_known: bool = True

    @property
    def licence(self) -> str | None:
        """The strictest of them, as the hub spells it; None if the weights were random."""
        return strictest(one.name for one in self.licences) if self.is_known else UNKNOWN


def origin_of(config: Mapping[str, Any]) -> Origin:
    """What a run's `config.yaml` says; without one nothing is known.

    A reward's saved options do not tell: they rebuild an architecture, whatever filled it.
    """
    reward = config.get("reward")
    if not isinstance(reward, str):
        return Origin(is_known=False)
    options = config.get("options") or {}
    if reward not in names():
        return _of_another(reward)
    if isinstance(file := options.get("weights"), str):
        return Origin(licences=(Licence(f"{reward}, {Path(file).name}", UNKNOWN),))
    if found := licences_begun_with(options):
        return Origin(licences=tuple(found), base_models=tuple(_repositories(options)))
    card = reward_class(reward).card
    if "towers" in options or "config" in options or card.weights_license == "none":
        return Origin()
    licence = Licence(f"published weights of {reward}", hub_name(card.weights_license))
    return Origin(licences=(licence,), base_models=tuple(_REPOSITORY.findall(card.weights)[:1]))


def head(
    name: str,
    reward: str,
    origin: Origin,
    evaluations: list[Mapping[str, Any]],
) -> dict[str, Any]:
    """The YAML at the top of the card; what is not known is left out.

    Args:
        name: of the model, for its results.
        reward: its kind, such as "mps".
        origin: what its weights began with.
        evaluations: records of evaluation.json.
    """
    licence = origin.licence
    results = [one for record in evaluations for one in _results(record)]
    return {
        **({} if licence is None else {"license": licence}),
        **({"base_model": list(origin.base_models)} if origin.base_models else {}),
        "library_name": "beholder",
        "pipeline_tag": "other",
        "tags": [*_TAGS, *([reward] if reward in names() else [])],
        **({"model-index": [{"name": name, "results": results}]} if results else {}),
    }


def _results(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The aspects of one evaluation, as the hub shows results."""
    data = data_of(record)
    metrics = [
        {
            "type": "accuracy",
            "value": round(float(one["accuracy"]), 4),
            "name": f"{aspect}, protocol {protocol_of(record)}",
            "args": {"low": one.get("low"), "high": one.get("high"), "pairs": one.get("pairs")},
        }
        for aspect, one in aspects_of(record).items()
    ]
    if metrics:
        yield {"task": _TASK, "dataset": {"type": data, "name": data}, "metrics": metrics}


def aspects_of(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The aspects of an evaluation that have a number."""
    found = record.get("aspects")
    aspects = found if isinstance(found, Mapping) else {}
    return {
        str(name): one
        for name, one in aspects.items()
        if isinstance(one, Mapping) and is_number(one.get("accuracy"))
    }


def protocol_of(record: Mapping[str, Any]) -> str:
    """The id of the protocol that gave an evaluation."""
    return str(record.get("id") or record.get("protocol") or "not recorded")


def data_of(record: Mapping[str, Any]) -> str:
    """The name and split of the data that an evaluation was made on."""
    data = record.get("data")
    if isinstance(data, Mapping):
        return f"{data.get('name', '')} {data.get('split', '')}".strip() or "not recorded"
    return str(data) if data else "not recorded"


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _of_another(reward: str) -> Origin:
    """A reward that began as one in a folder, in a repository or of somebody's own code."""
    is_listed = _is_listed(reward)
    name = repository_licence(reward) if is_listed else UNKNOWN
    licence = Licence(reward if is_listed else Path(reward).name, name)
    return Origin(licences=(licence,), base_models=(reward,) if is_listed else ())


def _repositories(options: Mapping[str, Any]) -> Iterator[str]:
    """Repositories of the hub that hold the weights which options name."""
    towers = options.get("towers", options)
    if not isinstance(towers, Mapping):
        return
    if towers.get("kind") == "open_clip":
        if found := _open_clip_repository(towers):
            yield found
        return
    for given in towers.values():
        place = given.get("folder") if isinstance(given, Mapping) else None
        if isinstance(place, str) and _is_listed(place):
            yield place


def _is_listed(place: str) -> bool:
    """Whether it is a repository of the hub for sure: a folder may have such a name, too."""
    return repository_licence(place) != UNKNOWN and not Path(place).exists()


def _open_clip_repository(towers: Mapping[str, Any]) -> str:
    import open_clip  # noqa: PLC0415  (a second)

    name, tag = str(towers.get("name")), str(towers.get("pretrained"))
    found = open_clip.get_pretrained_cfg(name, tag) or {}
    return str(found.get("hf_hub") or "").strip("/")
