"""CLIPScore and its kin over many rows: as defined, per row, and nothing lost."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from beholder._verbs import text_metrics as _text_metrics
from beholder._verbs.text_metrics import METRICS, ask, measure_texts
from beholder._verbs.text_parts import Asked, TextRun
from beholder.errors import ConfigError, DataError
from beholder.eval.measures._base import Measurement
from beholder.inputs import read_inputs
from beholder.rewards.tiny import Tiny
from beholder.videos import read_video_rows
from tests.rewards import tiny_towers
from tests.rewards.tinies.clipscore import tiny

PROMPTS = ["a red fox", "a cup", "a blue car", "two dogs"]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Four pictures; the third is damaged, the fourth has no references."""
    rows = []
    for number, prompt in enumerate(PROMPTS):
        values = np.random.default_rng(number).integers(0, 255, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / f"{number}.png")
        references = [prompt, "a thing"] if number < 3 else []
        rows.append({"image": f"{number}.png", "prompt": prompt, "references": references})
    (tmp_path / "2.png").write_bytes(b"")
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def asked(metric: str, **settings: object) -> Asked:
    config = {"config": tiny_towers.OPEN_CLIP_SIZES}
    torch.manual_seed(0)
    return ask(metric, {**config, **settings}, None, None)


def run(manifest: Path, each: Mapping[str, Asked]) -> dict[str, Measurement]:
    found = measure_texts(read_inputs(manifest), each, TextRun(batch_size=2))
    return {m.metric: m for m in found.measurements}


def test_clipscore_is_the_mean_of_the_reward_by_that_name(manifest: Path) -> None:
    found = run(manifest, {"clipscore": asked("clipscore")})["clipscore"]
    pictures = [manifest.parent / f"{k}.png" for k in (0, 1, 3)]
    scores = tiny().score(pictures, [PROMPTS[k] for k in (0, 1, 3)]).total.numpy()
    assert found.value == pytest.approx(scores.mean(), abs=1e-3)
    assert found.samples["3.png"] == pytest.approx(scores[2], abs=1e-3)
    assert (found.fake, set(found.samples)) == (3, {"0.png", "1.png", "3.png"})
    assert found.low is not None
    assert found.protocol["protocol"] == "hessel"
    assert "weights" in found.protocol


def test_torchmetrics_rule_reads_the_bare_prompt(manifest: Path) -> None:
    found = run(manifest, {"clip": asked("clipscore", protocol="torchmetrics")})["clip"]
    pictures = [manifest.parent / f"{k}.png" for k in (0, 1, 3)]
    bare = tiny(protocol="torchmetrics").score(pictures, [PROMPTS[k] for k in (0, 1, 3)])
    positive = bare.total.numpy() > 0
    samples = np.array(list(found.samples.values()))
    np.testing.assert_allclose(samples[positive], bare.total.numpy()[positive], atol=0.05)


def test_every_row_without_a_value_has_its_reason(manifest: Path) -> None:
    each = {"ref": asked("refclipscore"), "clip": asked("clipscore")}
    found = measure_texts(read_inputs(manifest), each, TextRun())
    assert {f.key: f.code for f in found.fake.failures} == {
        "2.png": "empty",
        "3.png": "no-reference",
    }
    assert (found.fake.rows, found.fake.used) == (4, 2)
    ref = found.measurements[0]
    assert set(ref.samples) == {"0.png", "1.png"}
    clip = found.measurements[1].samples["0.png"]  # a reference equal to the prompt: cosine 1
    assert ref.samples["0.png"] == pytest.approx(2 * clip / (clip + 1), abs=1e-4)


def test_rows_are_taken_in_parts(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(manifest, {"clip": asked("clipscore")})["clip"]
    monkeypatch.setattr(_text_metrics, "_CHUNK", 1)
    parts = run(manifest, {"clip": asked("clipscore")})["clip"]
    assert parts.value == pytest.approx(whole.value, abs=1e-5)


def test_a_reward_has_a_mean_in_total_and_of_each_aspect(manifest: Path) -> None:
    found = run(manifest, {"mine": Asked(model=Tiny(0))})
    scores = Tiny(0).score([manifest.parent / "0.png"], PROMPTS[:1])
    assert found["mine"].samples["0.png"] == pytest.approx(float(scores.total[0]), abs=1e-5)
    assert found["mine.detail"].fake == 3


def test_clipsim_takes_the_mean_over_frames_then_over_videos(tmp_path: Path) -> None:
    lines = []
    for number, frames in enumerate((4, 9, 2)):
        values = np.random.default_rng(number).integers(0, 255, (frames, 40, 40, 3))
        np.save(tmp_path / f"{number}.npy", values.astype(np.uint8))
        lines.append({"video": f"{number}.npy", "prompt": PROMPTS[number]})
    path = tmp_path / "videos.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    each = {"clipsim": asked("clipsim", frames=4)}
    found = measure_texts(read_video_rows(path), each, TextRun())
    (one,) = found.measurements
    assert set(one.samples) == {"0.npy", "1.npy"}
    assert one.value == pytest.approx(np.mean(list(one.samples.values())))
    assert [(f.key, f.code) for f in found.fake.failures] == [("2.npy", "too-short")]
    assert one.protocol["sampling"] == "spread 4 frames, stride 1"
    stills = list(torch.from_numpy(np.load(tmp_path / "0.npy")).permute(0, 3, 1, 2))
    bare = tiny(protocol="torchmetrics").score(stills, [PROMPTS[0]] * 4).total / 100
    if bool((bare > 0).all()):
        assert one.samples["0.npy"] == pytest.approx(float(bare.mean()), abs=1e-3)


def test_without_prompts_or_readable_rows_it_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="clip needs prompts"):
        measure_texts(read_inputs(tmp_path), {"clip": asked("clipscore")}, TextRun())
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "a.txt").write_text("a fox")
    with pytest.raises(DataError, match=r"none of the 1 rows .* no bytes"):
        measure_texts(read_inputs(tmp_path), {"clip": asked("clipscore")}, TextRun())


def test_unknown_settings_are_refused(manifest: Path) -> None:
    with pytest.raises(ConfigError, match="protokol"):
        asked("clipscore", protokol="hessel")
    with pytest.raises(ConfigError, match="protocol"):
        run(manifest, {"clip": asked("clipscore", protocol="other")})


@pytest.mark.parametrize(
    ("metric", "settings", "said"),
    [
        ("clipscore", {"draws": "many"}, "draws must be a whole number"),
        ("clipscore", {"draws": 0}, "draws must be 1 or more"),
        ("clipsim", {"frames": "abc"}, "clipsim: frames must be a whole number"),
        ("clipsim", {"scale": 1.5}, "scale must be a whole number"),
        ("refclipscore", {"seed": -1}, "seed must be 0 or more"),
        ("clipscore", {"protocol": 3}, "protocol must be a word"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused_before_anything_is_loaded(
    metric: str, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        ask(metric, settings, "no such file", None)


def test_a_metric_that_no_row_has_a_value_of_leaves_the_others_theirs(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a fox")
    each = {"ref": asked("refclipscore"), "clip": asked("clipscore")}
    found = measure_texts(read_inputs(tmp_path), each, TextRun())
    ref, clip = found.measurements
    assert (ref.value, clip.fake) == (None, 1)
    assert ref.why
    assert clip.value is not None


def test_rewards_with_other_options_do_not_compare(manifest: Path) -> None:
    each = {"a": asked("clipscore"), "b": Asked(model=tiny(protocol="torchmetrics"))}
    found = run(manifest, each)
    assert found["a"].protocol["options"] != found["b"].protocol["options"]


def test_every_metric_names_a_reward_that_exists() -> None:
    for metric in METRICS.values():
        options: dict[str, Any] = dict(metric.loading)
        assert metric.reward in {"clipscore", "blipscore", ""}
        assert not set(options) & set(metric.settings)
