"""The published table holds together."""

import pytest

from beholder.eval.feedback_anchors import PUBLISHED_RICHHF
from beholder.types import MAPS, RATED

AUGMENTED, MULTI_HEAD, AUTHORS = PUBLISHED_RICHHF


def test_every_model_has_every_figure() -> None:
    names = {f"{aspect}.{name}" for aspect in RATED for name in ("plcc", "srcc")}
    heat = ("mse", "mse_empty", "cc", "kld", "sim", "nss", "auc_judd")
    names |= {f"{kind}.{name}" for kind in MAPS for name in heat}
    names |= {f"words.published.{name}" for name in ("precision", "recall", "f1")}
    for figures in PUBLISHED_RICHHF.values():
        assert set(figures) == names


def test_numbers_stand_at_their_names() -> None:
    assert PUBLISHED_RICHHF[AUGMENTED]["alignment.plcc"].value == 0.474
    assert PUBLISHED_RICHHF[MULTI_HEAD]["misalignment.auc_judd"].value == 0.838
    assert PUBLISHED_RICHHF[AUTHORS]["implausibility.kld"].value == 1.649
    assert PUBLISHED_RICHHF[AUTHORS]["words.published.recall"].value == 0.452


def test_what_was_read_and_what_is_only_recalled_are_told_apart() -> None:
    augmented = PUBLISHED_RICHHF[AUGMENTED]
    assert augmented["implausibility.cc"].provenance == "page"
    assert augmented["implausibility.auc_judd"].provenance == "recalled"
    assert {a.provenance for a in PUBLISHED_RICHHF[MULTI_HEAD].values()} == {"recalled"}
    assert {a.provenance for a in PUBLISHED_RICHHF[AUTHORS].values()} == {"source"}


@pytest.mark.parametrize("model", [AUGMENTED, MULTI_HEAD])
def test_the_papers_f1_is_that_of_its_precision_and_recall(model: str) -> None:
    precision, recall, f1 = (
        PUBLISHED_RICHHF[model][f"words.published.{name}"].value
        for name in ("precision", "recall", "f1")
    )
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-3)
