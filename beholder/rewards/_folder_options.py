"""Options that a reward's folder may hold: sizes and choices, never code, files or other folders.

Whoever publishes a folder writes its `config.json`, and the libraries below would fetch, or even
run, what some of their options name. A folder needs none of these: its weights lie beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from beholder.errors import WeightsError

_FROM_ELSEWHERE = frozenset(
    ("folder", "pretrained", "weights", "projections", "hf_model_name", "hf_tokenizer_name")
)
"""Refused where they hold a text; the weights of an ensemble are numbers."""

_CODE = frozenset(
    {
        *("auto_map", "trust_remote_code", "tokenizer_kwargs", "hf_tokenizer_kwargs"),
        *("attn_implementation", "_attn_implementation", "quantization_config"),
    }
)
"""Refused whatever they hold."""

_MODEL_NAMES = frozenset(("name", "timm_model_name"))
"""Refused with a colon: "hf-hub:user/repo" and "local-dir:path" are places, not names."""


def check_told(options: Mapping[str, object], where: Path) -> None:
    """Raise WeightsError if the options of a saved reward name code, or files elsewhere."""
    for key, value in _each(options):
        if key in _CODE or _is_elsewhere(key, value):
            raise WeightsError(
                f"{where} sets {key} to {str(value)[:60]!r}, and a folder does not choose code or "
                "files to load; if you trust it, build the reward with that option yourself"
            )


def _is_elsewhere(key: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    return key in _FROM_ELSEWHERE or (key in _MODEL_NAMES and ":" in value)


def _each(options: object) -> Iterator[tuple[str, object]]:
    """Every key with its value, at any depth; without recursion, since a file nests as it likes."""
    waiting = [options]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            yield from ((str(key), value) for key, value in part.items())
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
