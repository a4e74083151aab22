"""What the hub reads of a model card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from beholder.rewards import names
from beholder.rewards._model_card_origin import Origin

_TASK = {"type": "other", "name": "human preference between generated pictures"}
_TAGS = ("beholder", "reward-model", "human-preference", "text-to-image", "evaluation")


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


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)
