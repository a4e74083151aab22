"""A wrapped metric is one of torchmetrics' own, in collections too."""

import copy
import math
import pickle
import sys

import pytest
import torch
from torch import Tensor, nn

from beholder.errors import MissingDependencyError
from beholder.eval import _torchmetrics
from beholder.eval._torchmetrics import as_torchmetrics
from beholder.eval.metrics import metric
from tests.eval.extractors.toy import Toy
from tests.eval.two_processes import pictures

REAL, FAKE = pictures(0), pictures(1)


def expected() -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name in ("fid", "precision_recall"):
        plain = metric(name, Toy())
        plain.update(REAL, real=True)
        plain.update(FAKE)
        value = plain.compute()
        found |= value if isinstance(value, dict) else {name: value}
    return found


def test_without_torchmetrics_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _torchmetrics._wrapper.cache_clear()
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(MissingDependencyError, match="pip install torchmetrics"):
        as_torchmetrics(metric("fid", Toy()))


def test_a_collection_takes_wrapped_metrics() -> None:
    torchmetrics = pytest.importorskip("torchmetrics", reason="the wrapper is of torchmetrics")
    wrapped = [as_torchmetrics(metric(name, Toy())) for name in ("fid", "precision_recall")]
    collection = torchmetrics.MetricCollection(wrapped)
    assert all(isinstance(each, torchmetrics.Metric) for each in collection.values())
    assert (wrapped[0].higher_is_better, wrapped[1].higher_is_better) == (False, True)
    for batch in REAL.split(16):
        collection.update(batch, real=True)
    for batch in FAKE.split(16):
        stepped = collection(batch, real=False)
    assert all(math.isnan(value) for value in stepped.values())
    found = collection.compute()
    assert found.keys() == expected().keys()
    for name, value in expected().items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=0)
    collection.reset()
    assert wrapped[0].inner.update_count == 0


def test_copies_pickles_merges_and_checkpoints_go_on() -> None:
    pytest.importorskip("torchmetrics", reason="the wrapper is of torchmetrics")
    toy = Toy()
    first, second = (as_torchmetrics(metric("fid", toy)) for _ in range(2))
    first.update(REAL, real=True)
    first.update(FAKE[:20])
    second.update(FAKE[20:])
    first.merge_state(second)
    value = expected()["fid"]
    for found in (first, copy.deepcopy(first), pickle.loads(pickle.dumps(first)), first.clone()):
        torch.testing.assert_close(found.compute(), value, rtol=1e-6, atol=0)
        assert found.update_called
    assert first.state_dict() == {}
    first.persistent(mode=True)
    second.load_state_dict(first.state_dict())
    second.persistent(mode=False)
    torch.testing.assert_close(second.compute(), value, rtol=1e-6, atol=0)
    first.sync()
    assert not first._is_synced


class Colours(nn.Module):
    """The toy as torchmetrics takes networks."""

    num_features = 3

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3))


def test_the_distance_is_that_of_torchmetrics_on_the_same_features() -> None:
    image = pytest.importorskip("torchmetrics.image", reason="the oracle of this test")
    theirs = image.FrechetInceptionDistance(feature=Colours(), normalize=False)
    theirs.set_dtype(torch.float64)
    collection = {"theirs": theirs, "ours": as_torchmetrics(metric("fid", Toy()))}
    for found in collection.values():
        for batch in REAL.split(16):
            found.update(batch, real=True)
        for batch in FAKE.split(16):
            found.update(batch, real=False)
    torch.testing.assert_close(
        collection["ours"].compute(), collection["theirs"].compute().float(), rtol=1e-5, atol=1e-6
    )
