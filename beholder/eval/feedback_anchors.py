"""The numbers published for RichHF-18K, under the names of `beholder.eval.feedback`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from beholder.types import MAPS

Provenance = Literal["page", "source", "recalled"]
"""Read on a page of the paper, read beside the published code, or only remembered of the paper."""

_SCORED = ("plausibility", "aesthetics", "alignment", "overall")
_HEAT = ("mse", "mse_empty", "cc", "kld", "sim", "nss", "auc_judd")
_WORDS = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class Anchor:
    """One published number on the test split of RichHF-18K, and where we have it from."""

    value: float
    provenance: Provenance


def _anchors(
    provenance: Provenance,
    *,
    plcc: tuple[float, ...],
    srcc: tuple[float, ...],
    implausibility: tuple[float, ...],
    misalignment: tuple[float, ...],
    words: tuple[float, ...],
    read: Mapping[str, Provenance] = MappingProxyType({}),
) -> Mapping[str, Anchor]:
    """Anchors by name; `read` names those of another provenance. Words come in per cent."""
    values = {
        **_under(_SCORED, plcc, "{}.plcc"),
        **_under(_SCORED, srcc, "{}.srcc"),
        **_under(_HEAT, implausibility, f"{MAPS[0]}.{{}}"),
        **_under(_HEAT, misalignment, f"{MAPS[1]}.{{}}"),
        **_under(_WORDS, tuple(round(w / 100, 3) for w in words), "words.published.{}"),
    }
    return MappingProxyType(
        {name: Anchor(value, read.get(name, provenance)) for name, value in values.items()}
    )


def _under(names: tuple[str, ...], values: tuple[float, ...], form: str) -> dict[str, float]:
    return {form.format(name): value for name, value in zip(names, values, strict=True)}


PUBLISHED_RICHHF: Mapping[str, Mapping[str, Anchor]] = MappingProxyType(
    {
        "RAHF, augmented prompt (paper)": _anchors(
            "recalled",
            plcc=(0.693, 0.600, 0.474, 0.580),
            srcc=(0.681, 0.589, 0.496, 0.562),
            implausibility=(0.00920, 0.00095, 0.556, 1.652, 0.409, 2.085, 0.913),
            misalignment=(0.00304, 0.00006, 0.212, 2.933, 0.106, 1.411, 0.841),
            words=(61.3, 34.1, 43.9),
            read={
                **{f"{aspect}.plcc": "page" for aspect in _SCORED},
                "implausibility.mse": "page",
                "implausibility.cc": "page",
            },
        ),
        "RAHF, multi-head (paper)": _anchors(
            "recalled",
            plcc=(0.666, 0.605, 0.487, 0.582),
            srcc=(0.654, 0.591, 0.500, 0.561),
            implausibility=(0.01216, 0.00141, 0.425, 1.971, 0.302, 1.719, 0.877),
            misalignment=(0.00303, 0.00015, 0.206, 2.932, 0.093, 1.335, 0.838),
            words=(62.9, 33.0, 43.3),
        ),
        "RAHF, multi-head (author's PyTorch)": _anchors(
            "source",
            plcc=(0.739, 0.629, 0.565, 0.642),
            srcc=(0.726, 0.621, 0.564, 0.634),
            implausibility=(0.00724, 0.00078, 0.525, 1.649, 0.339, 2.029, 0.905),
            misalignment=(0.00324, 0.00035, 0.232, 2.848, 0.104, 1.256, 0.797),
            words=(56.5, 45.2, 47.5),
        ),
    }
)
"""Model -> figure -> published number (Liang et al., CVPR 2024, and the author's later code).

The author's code averages words over samples; which rule the paper follows is not known.
"""
