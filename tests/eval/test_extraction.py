"""Each row is decoded once, counted, and in its place."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from beholder._pixels import Array
from beholder.errors import ConfigError, ImageError
from beholder.eval.extraction import Extraction, Pass, Views, extract
from beholder.eval.measures._base import Sampling
from beholder.images import read_image
from beholder.inputs import Row, read_inputs
from tests.eval.extractors.toy import Toy


def flat(level: int, side: int = 4) -> Array:
    return np.full((side, side, 3), level, np.uint8)


def rows(levels: Sequence[int]) -> Iterator[Row]:
    for number, level in enumerate(levels):
        yield Row(key=f"{number}.png", image=flat(level), prompt=None, name="")


def read(row: Row, passes: Sequence[Pass]) -> list[Views]:
    try:
        assert row.image is not None
        picture = read_image(row.image)
    except ImageError as error:
        return [error] * len(passes)
    return [[each.extractor.prepare(picture)] for each in passes]


def means(found: Extraction) -> list[float]:
    return [float(v) for v in found.features[0]["mean"].values[:, 0]]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_features_come_in_the_order_of_the_rows(batch_size: int) -> None:
    levels = [7, 3, 250, 0, 90, 90, 12]
    steps: list[int] = []
    found = extract(
        rows(levels),
        [Pass(extractor=Toy(), layers=("mean", "cells"))],
        read,
        batch_size=batch_size,
        progress=steps.append,
    )
    assert means(found) == levels
    assert found.features[0]["cells"].values.shape == (7, 12)
    assert found.features[0]["mean"].keys == tuple(f"{k}.png" for k in range(7))
    assert (sum(steps), found.rows, found.cached, list(found.failures)) == (7, 7, 0, [])
    assert found.features[0]["mean"].origin == Toy().origin("mean", "alpha=white")


def test_a_damaged_picture_is_a_failure_and_the_others_stay(tmp_path: Path) -> None:
    for number in range(5):
        Image.fromarray(flat(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:50])
    (tmp_path / "4.png").write_text("<html>not found</html>")
    found = extract(read_inputs(tmp_path), [Pass(extractor=Toy(), layers=("mean",))], read)
    assert means(found) == [0, 1, 3]
    assert found.rows == 5
    assert {f.key: f.code for f in found.failures} == {"2.png": "truncated", "4.png": "format"}
    assert "HTML" in found.failures[1].reason


def test_kept_features_are_not_computed_again(tmp_path: Path) -> None:
    toy = Toy()
    wanted = [Pass(extractor=toy, layers=("mean",))]
    first = extract(rows([1, 2, 3]), wanted, read, cache=tmp_path)
    again = extract(rows([1, 2, 9, 3]), wanted, read, cache=tmp_path, batch_size=2)
    assert (toy.seen, again.cached) == (3 + 1, 3)
    assert means(again) == [1, 2, 9, 3]
    assert means(first) == [1, 2, 3]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    toy = Toy()

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(
            rows([1, 2, 3, 4]),
            [Pass(extractor=toy, layers=("mean",))],
            read,
            batch_size=2,
            cache=tmp_path,
            progress=stop,
        )
    found = extract(
        rows([1, 2, 3, 4]), [Pass(extractor=toy, layers=("mean",))], read, cache=tmp_path
    )
    assert (found.cached, toy.seen, means(found)) == (2, 4, [1, 2, 3, 4])


def test_other_weights_or_another_decoding_are_other_features(tmp_path: Path) -> None:
    for extractor, decode in [
        (Toy(), "alpha=white"),
        (Toy(2.0), "alpha=white"),
        (Toy(), "alpha=drop"),
    ]:
        each = Pass(extractor=extractor, layers=("mean",), decode=decode)
        assert extract(rows([5]), [each], read, cache=tmp_path).cached == 0


def test_clips_of_one_video_are_rows_of_their_own_and_a_short_video_fails_one_pass() -> None:
    long, short = Sampling(frames=3, clips="segments"), Sampling(frames=2)

    def clips(row: Row, passes: Sequence[Pass]) -> list[Views]:
        frames = torch.full((2, 3, 4, 4), int(row.key), dtype=torch.uint8)
        found: list[Views] = []
        for each in passes:
            if each.sampling == long and row.key == "7":
                found.append(ImageError("too-short", "2 frames, 3 are needed"))
            else:
                found.append([each.extractor.prepare(frames)] * (2 if each.sampling == long else 1))
        return found

    found = extract(
        (
            Row(key=key, image=None, prompt=None, name="", extra={"label": f"class {key}"})
            for key in "573"
        ),
        [Pass(extractor=Toy(), layers=("mean",), sampling=s) for s in (long, short)],
        clips,
    )
    many, one = (each["mean"] for each in found.features)
    assert many.keys == ("5#0", "5#1", "3#0", "3#1")
    assert one.keys == ("5#0", "7#0", "3#0")
    assert many.origin.clips == "segments 3 frames, stride 1"
    assert [f.key for f in found.failures] == ["7"]
    assert found.labels["3#1"] == "class 3"


def test_features_that_are_not_finite_are_failures() -> None:
    found = extract(rows([1]), [Pass(extractor=Toy(float("inf")), layers=("mean",))], read)
    assert [f.code for f in found.failures] == ["non-finite"]
    assert len(found.features[0]["mean"].values) == 0


def test_unknown_layers_and_empty_batches_are_refused() -> None:
    with pytest.raises(ConfigError, match="no layer 'top'; it has mean, cells"):
        extract(rows([1]), [Pass(extractor=Toy(), layers=("top",))], read)
    with pytest.raises(ConfigError, match="batch_size"):
        extract(rows([1]), [], read, batch_size=0)


def test_networks_run_in_full_precision_whatever_was_set_before() -> None:
    class Asking(Toy):
        def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
            seen.append((torch.backends.cudnn.allow_tf32, torch.is_autocast_enabled("cpu")))
            return super().forward(prepared, layers)

    seen: list[tuple[bool, bool]] = []
    with torch.autocast("cpu"):
        extract(rows([1]), [Pass(extractor=Asking(), layers=("mean",))], read)
    assert seen == [(False, False)]


@pytest.mark.parametrize(
    ("label", "known"), [("cat", "cat"), (3, "3"), (["a"], None), ("", None), (None, None)]
)
def test_a_label_is_a_text_or_a_number(label: object, known: str | None) -> None:
    row = Row(key="a", image=flat(1), prompt=None, name="", extra={"label": label})
    found = extract([row], [Pass(extractor=Toy(), layers=("mean",))], read)
    assert found.labels.get("a") == known


def test_a_batch_closes_with_its_clips_and_by_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    finished: list[int] = []

    def videos() -> Iterator[Row]:
        for number in range(30):
            yield Row(key=str(number), image=None, prompt=None, name="")

    def clips(row: Row, passes: Sequence[Pass]) -> list[Views]:
        frames = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
        return [[each.extractor.prepare(frames) for _ in range(10)] for each in passes]

    wanted = [Pass(extractor=Toy(), layers=("mean",), sampling=Sampling(frames=2))]
    found = extract(videos(), wanted, clips, batch_size=8, progress=finished.append)
    assert len(found.features[0]["mean"].values) == 300
    assert set(finished) == {1}  # ten clips are more than a batch
    monkeypatch.setattr("beholder.eval.extraction.AHEAD_BYTES", 1)
    finished.clear()
    extract(videos(), wanted, clips, batch_size=1000, progress=finished.append)
    assert set(finished) == {1}


def test_nothing_is_hashed_where_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beholder.eval.extraction.content_of", None)
    assert means(extract(rows([4]), [Pass(extractor=Toy(), layers=("mean",))], read)) == [4]
