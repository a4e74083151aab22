"""One extraction for all metrics, one protocol each, and nothing lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from beholder.errors import ConfigError, DataError, WeightsError
from beholder.eval import measuring
from beholder.eval.extractors._base import Extractor
from beholder.eval.measures._base import Measure, Measurement, Need, Sampling, Side
from beholder.eval.measures._chosen import Chosen
from beholder.eval.measuring import Setup, fill_cache, measure
from tests.eval.extractors.toy import Toy


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`resize` of the features; `least` pictures."""

    resize: str = "tf1"
    layer: str = "mean"
    least: int = 1


def gap_needs(options: Settings) -> list[Need]:
    return [
        Need(extractor="inception", layer=options.layer, settings=(("resize", options.resize),))
    ]


def gap(real: Side | None, fake: Side, options: Settings) -> list[Measurement]:
    """The difference of the two mean brightnesses."""
    assert real is not None
    (need,) = gap_needs(options)
    means = [side.features_of(need, "gap").values.mean() for side in (real, fake)]
    count = len(fake.features[need].values)
    if count < options.least:
        raise DataError(f"{count} pictures are too few")
    origin = fake.features[need].origin
    return [
        Measurement(
            metric="gap",
            value=float(means[1] - means[0]),
            real=len(real.features[need].values),
            fake=count,
            protocol=origin.as_dict(),
        )
    ]


def light(real: Side | None, fake: Side, options: Settings) -> list[Measurement]:
    (need,) = gap_needs(options)
    values = fake.features[need].values
    return [Measurement(metric="light", value=float(values.mean()), fake=len(values), protocol={})]


def chosen(
    name: str = "gap", *, metric: str = "gap", has_real: bool = True, **options: Any
) -> Chosen:
    found = Measure(
        title="",
        definition="",
        best="lower",
        options=Settings,
        needs=gap_needs,
        compute=gap if has_real else light,
        has_real=has_real,
    )
    return Chosen(metric=metric, name=name, measure=found, options=Settings(**options))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object, dict[str, object]]]:
    """Every extractor is a toy; what was asked for is written down."""
    asked: list[tuple[str, object, dict[str, object]]] = []

    def load(name: str, weights: object = None, **options: object) -> Extractor:
        asked.append((name, weights, options))
        toy = Toy()
        toy.resize = str(options.get("resize", "box"))
        return toy

    monkeypatch.setattr(measuring, "load_extractor", load)
    return asked


def pictures(folder: Path, levels: Sequence[int]) -> Path:
    folder.mkdir()
    for number, level in enumerate(levels):
        Image.fromarray(np.full((6, 5, 3), level, np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return pictures(tmp_path / "real", [10, 20, 30])


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    return pictures(tmp_path / "fake", [40, 60])


def test_two_folders_are_compared(real: Path, fake: Path, loads: list[Any]) -> None:
    found = measure(real, fake, [chosen()])
    (one,) = found.measurements
    assert (one.metric, one.value, one.real, one.fake) == ("gap", 30.0, 3, 2)
    assert found.real is not None
    assert (found.real.rows, found.real.used, found.fake.rows) == (3, 3, 2)
    assert found.failures == 0
    assert loads == [("inception", None, {"resize": "tf1"})]
    assert found.versions["torch"]


def test_metrics_share_networks_and_layers(real: Path, fake: Path, loads: list[Any]) -> None:
    found = measure(
        real, fake, [chosen(), chosen("cells", layer="cells"), chosen("clean", resize="clean")]
    )
    assert [m.metric for m in found.measurements] == ["gap", "cells", "clean"]
    assert [options["resize"] for _, _, options in loads] == ["tf1", "clean"]
    assert found.measurements[1].protocol["layer"] == "cells"
    assert found.measurements[2].protocol["resize"] == "clean"


def test_a_damaged_picture_is_named_and_the_rest_counts(
    real: Path, fake: Path, loads: list[Any]
) -> None:
    (real / "1.png").write_bytes(b"")
    found = measure(real, fake, [chosen()])
    assert found.measurements[0].value == 30.0
    assert found.measurements[0].real == 2
    assert found.real is not None
    assert [(f.key, f.code) for f in found.real.failures] == [("1.png", "empty")]
    assert found.failures == 1


def test_a_side_without_any_readable_picture_is_an_error(
    real: Path, fake: Path, loads: list[Any]
) -> None:
    for path in fake.iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 2 rows .* 0\.png"):
        measure(real, fake, [chosen()])


def test_a_metric_that_cannot_be_computed_says_why_and_the_others_stand(
    real: Path, fake: Path, loads: list[Any]
) -> None:
    found = measure(real, fake, [chosen("many", least=5), chosen()])
    assert (found.measurements[0].metric, found.measurements[0].value) == ("many", None)
    assert found.measurements[0].why == "2 pictures are too few"
    assert found.measurements[1].value == 30.0


def test_a_metric_of_one_side_does_not_read_the_other(fake: Path, loads: list[Any]) -> None:
    found = measure(None, fake, [chosen("light", metric="light", has_real=False)])
    assert (found.measurements[0].value, found.real) == (50.0, None)
    with pytest.raises(ConfigError, match="gap compares with a real side"):
        measure(None, fake, [chosen()])


def test_kept_features_stand_for_their_pictures(
    real: Path, fake: Path, tmp_path: Path, loads: list[Any]
) -> None:
    keep = tmp_path / "kept"
    first = measure(real, fake, [chosen()], Setup(keep=keep))
    (kept,) = keep.glob("real-*.features.safetensors")
    again = measure(kept, fake, [chosen()])
    assert again.measurements == first.measurements
    assert again.real is not None
    assert (again.real.kind, again.real.rows) == ("reference", 3)
    loads.clear()
    both = measure(kept, next(keep.glob("fake-*.features.safetensors")), [chosen()])
    assert both.measurements == first.measurements
    assert loads == []  # no network for two files


def test_sides_of_two_protocols_are_refused_before_any_work(
    real: Path, fake: Path, tmp_path: Path, loads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(real, fake, [chosen()], Setup(keep=tmp_path / "kept"))
    (kept,) = (tmp_path / "kept").glob("real-*.features.safetensors")
    monkeypatch.setattr(measuring, "side_of", None)
    with pytest.raises(DataError, match="resize: tf1 and clean"):
        measure(kept, fake, [chosen(resize="clean")])
    with pytest.raises(DataError, match="resize: tf1 and clean"):
        measure(kept, fake, [chosen(resize="clean")], Setup(assume=True))


def test_a_file_that_does_not_say_its_protocol_needs_an_assurance(
    fake: Path, tmp_path: Path, loads: list[Any]
) -> None:
    np.save(tmp_path / "theirs.npy", np.full((4, 3), 20.0))
    with pytest.raises(DataError, match="assume-protocol"):
        measure(tmp_path / "theirs.npy", fake, [chosen()])
    found = measure(tmp_path / "theirs.npy", fake, [chosen()], Setup(assume=True))
    assert found.measurements[0].value == 30.0


def test_a_file_of_another_layer_is_named(
    real: Path, fake: Path, tmp_path: Path, loads: list[Any]
) -> None:
    measure(real, fake, [chosen()], Setup(keep=tmp_path / "kept"))
    (kept,) = (tmp_path / "kept").glob("real-*.features.safetensors")
    with pytest.raises(DataError, match="holds mean, but the layer cells of inception is needed"):
        measure(kept, fake, [chosen(layer="cells")])


def test_a_stand_in_for_inception_gives_its_name_to_the_number(
    real: Path, fake: Path, loads: list[Any]
) -> None:
    stand_in = Need(extractor="dinov2", layer="cells")
    found = measure(real, fake, [chosen(), chosen("mine")], Setup(features=stand_in))
    assert [m.metric for m in found.measurements] == ["gap on toy", "mine on toy"]
    assert found.measurements[0].protocol["layer"] == "cells"
    assert loads == [("dinov2", None, {})]


def test_weights_are_given_by_extractor_or_model(real: Path, fake: Path, loads: list[Any]) -> None:
    stand_in = Need(extractor="clip", layer="mean", settings=(("model", "ViT-B/32"),))
    weights = {"clip": Path("all.pt"), "clip.ViT-B/32": Path("b32.pt")}
    measure(real, fake, [chosen()], Setup(features=stand_in, weights=weights))
    del weights["clip.ViT-B/32"]
    measure(real, fake, [chosen()], Setup(features=stand_in, weights=weights))
    assert [path for _, path, _ in loads] == [Path("b32.pt"), Path("all.pt")]


def test_processes_fill_one_cache_and_one_of_them_finishes(
    real: Path, fake: Path, tmp_path: Path, loads: list[Any]
) -> None:
    setup = Setup(cache=tmp_path / "cache")
    (fake / "1.png").write_bytes(b"")
    for share in range(2):
        fill_cache(real, fake, [chosen()], setup, share=share, shares=2)
    found = measure(real, fake, [chosen()], setup)
    assert found.real is not None
    assert (found.real.cached, found.fake.cached) == (3, 1)
    assert found.measurements == measure(real, fake, [chosen()]).measurements
    with pytest.raises(ConfigError, match="by a cache"):
        fill_cache(real, fake, [chosen()], Setup(), share=0, shares=2)


def test_metrics_of_pictures_and_videos_do_not_go_together(real: Path, fake: Path) -> None:
    video = Chosen(
        metric="clips",
        name="clips",
        measure=Measure(
            title="",
            definition="",
            best="",
            options=Settings,
            needs=lambda _: [Need(extractor="i3d", sampling=Sampling())],
            compute=gap,
            takes="videos",
        ),
        options=Settings(),
    )
    with pytest.raises(ConfigError, match="gap of pictures"):
        measure(real, fake, [chosen(), video])
    with pytest.raises(ConfigError, match="at least one metric"):
        measure(real, fake, [])


def test_features_can_be_written_for_use_as_a_side(tmp_path: Path, loads: list[Any]) -> None:
    folder = pictures(tmp_path / "a", [1, 2])
    measure(folder, folder, [chosen()], Setup(keep=tmp_path / "kept"))
    names = sorted(path.name.split("-")[0] for path in (tmp_path / "kept").iterdir())
    assert names == ["fake", "fake", "real", "real"]


def test_a_list_of_pictures_is_a_side_and_one_metric_needs_no_list(
    real: Path, fake: Path, loads: list[Any]
) -> None:
    folder = measure(real, fake, [chosen()])
    paths = sorted(fake.iterdir())
    listed = measure([str(p) for p in sorted(real.iterdir())], paths, chosen())
    assert listed.measurements == folder.measurements
    arrays = [np.asarray(Image.open(path)) for path in paths]
    assert measure(real, [*arrays, b""], chosen()).fake.failures[0].key == "2"
    with pytest.raises(DataError, match="an empty list"):
        measure(real, [], chosen())


def test_weights_that_cannot_be_fetched_say_how_to_give_a_file(
    real: Path, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str, weights: object = None, **options: object) -> Extractor:
        raise WeightsError("cannot fetch it")

    monkeypatch.setattr(measuring, "load_extractor", load)
    with pytest.raises(WeightsError, match=r"cannot fetch it; .*--weights inception=FILE"):
        measure(real, fake, [chosen()])
    with pytest.raises(WeightsError, match=r"^cannot fetch it$"):
        measure(real, fake, [chosen()], Setup(weights={"inception": Path("a.pth")}))


def test_weights_that_no_metric_reads_are_refused(real: Path, fake: Path, loads: list[Any]) -> None:
    with pytest.raises(ConfigError, match="no metric reads the weights inceptoin"):
        measure(real, fake, [chosen()], Setup(weights={"inceptoin": Path("a.pth")}))
