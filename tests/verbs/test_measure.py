"""The verb `measure`: what a person types, reads, and gets back in exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from beholder._verbs.measure import default_cache
from tests.rewards import tiny_towers
from tests.shell import Shell

STAND_IN = [
    *("--features", "custom", "--set", "features.model=tests.eval.extractors.toy:network"),
    *("--set", "features.side=8", "--set", "features.mean=[0, 0, 0]"),
]
NAME = "on tests.eval.extractors.toy:network"


def pictures(folder: Path, count: int, brightness: float, seed: int) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(seed)
    for number in range(count):
        values = generator.normal(brightness, 30, (12, 10, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return pictures(tmp_path / "real", 20, 120, 0)


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    return pictures(tmp_path / "fake", 16, 140, 1)


def values(told: dict[str, Any]) -> dict[str, Any]:
    return {m["metric"].removesuffix(f" {NAME}"): m["value"] for m in told["measurements"]}


def test_several_metrics_of_two_folders(shell: Shell, real: Path, fake: Path) -> None:
    metrics = ["-m", "fid", "-m", "kid", "--set", "kid.size=10", "-m", "precision_recall"]
    told: dict[str, Any] = shell.json("measure", real, fake, *metrics, *STAND_IN)
    found = values(told)
    assert found["fid"] > 0
    assert 0 <= found["precision"] <= 1
    assert told["real"]["rows"] == 20
    assert shell("measure", real, fake, *metrics, *STAND_IN) == 0
    assert f"fid {NAME}" in shell.out
    assert "20 were known" in shell.out
    assert "jackknife" in shell.out


def test_a_damaged_picture_is_told_with_its_reason_and_code_3(
    shell: Shell, real: Path, fake: Path
) -> None:
    (fake / "03.png").write_bytes(b"")
    assert shell("measure", real, fake, "-m", "fid", *STAND_IN) == 3
    assert "16 pictures, 15 used, 1 failed" in shell.out
    assert "03.png': it has no bytes" in shell.out


def test_kept_statistics_are_a_side_and_mixing_protocols_is_refused(
    shell: Shell, real: Path, fake: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    first = shell.json("measure", real, fake, "-m", "fid", *STAND_IN, "--keep", kept)
    (sums,) = kept.glob("real-*.statistics.safetensors")
    again = shell.json("measure", sums, fake, "-m", "fid", *STAND_IN)
    assert values(again)["fid"] == pytest.approx(values(first)["fid"], rel=1e-9)
    other = [*STAND_IN, "--set", "features.resize=tf1"]
    assert shell("measure", sums, fake, "-m", "fid", *other) == 1
    assert "resize: clean to 8" in shell.err
    assert "tf1 to 8" in shell.err


def test_a_reward_and_metrics_of_prompts_beside_them(
    shell: Shell, real: Path, fake: Path, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red fox\n" * 16)
    told: dict[str, Any] = shell.json(
        *("measure", real, fake, "-m", "fid", *STAND_IN, "-m", "clip=clipscore"),
        *("--set", f"clip.config={json.dumps(tiny_towers.OPEN_CLIP_SIZES)}"),
        *("--reward", "tiny", "--prompts", prompts),
    )
    found = values(told)
    assert {"fid", "clip", "tiny", "tiny.overall"} <= set(found)
    assert found["tiny"] == found["tiny.overall"]
    assert len(told["measurements"][1]["samples"]) == 16


def test_a_metric_of_one_side_needs_no_other_and_its_value_goes_to_a_dashboard(
    shell: Shell, fake: Path, tmp_path: Path
) -> None:
    log, metric = tmp_path / "log", ["-m", "inception_score"]
    assert shell("measure", "-", fake, *metric, "--log", "nowhere") == 2
    assert "no dashboard at 'nowhere'" in shell.err
    words = [*metric, *STAND_IN, "--log", f"tensorboard:{log}"]
    told: dict[str, Any] = shell.json("measure", "-", fake, *words)
    assert f"tensorboard --logdir {log}" in shell.err
    assert b"measure/inception_score" in next(log.glob("events.*")).read_bytes()
    assert told["real"] is None
    assert values(told)["inception_score"] >= 1


def test_a_pipeline_is_measured_by_the_pictures_it_makes(
    shell: Shell, real: Path, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red fox\na cup\na blue car\n")
    words = [
        *("measure", real, "tiny", "--generate", tmp_path / "made", "--prompts", prompts),
        *("--steps", "1", "-m", "fid", *STAND_IN, "--reward", "tiny"),
    ]
    told: dict[str, Any] = shell.json(*words)
    assert told["fake"]["rows"] == 3
    assert len(list((tmp_path / "made").glob("*.png"))) == 3
    assert shell.json(*words)["measurements"] == told["measurements"]
    assert shell("measure", real, "tiny", "--generate", tmp_path / "x", "-m", "fid") == 2


def test_pictures_are_made_by_one_process(
    shell: Shell, real: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert shell("measure", real, "tiny", "--generate", tmp_path / "x", "-m", "fid") == 2
    assert "in one process" in shell.err


def test_an_npz_of_pictures_is_a_side(shell: Shell, real: Path, fake: Path, tmp_path: Path) -> None:
    stacked = np.stack([np.asarray(Image.open(p)) for p in sorted(fake.iterdir())])
    np.savez(tmp_path / "samples.npz", arr_0=stacked)
    packed = shell.json("measure", real, tmp_path / "samples.npz", "-m", "fid", *STAND_IN)
    folder = shell.json("measure", real, fake, "-m", "fid", *STAND_IN)
    assert values(packed) == values(folder)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "name a --metric"),
        (("-m", "fd"), 2, "unknown metric 'fd'"),
        (("-m", "fid", "-m", "fid"), 2, "share a name"),
        (("-m", "fid", "--set", "fid.groops=3"), 2, "fid has no setting 'groops'"),
        (("-m", "fid", "--set", "fid.groups=many"), 2, "fid: groups"),
        (("-m", "fid", "--set", "kid.size=3"), 2, "names 'kid'"),
        (("-m", "fid", "--weights", "inceptoin=a.pth"), 2, "EXTRACTOR=FILE"),
        (("-m", "fid", "--set", "features.side=3"), 2, "--features EXTRACTOR:LAYER"),
        (("-m", "fid", "--weights", "inception=none.pth"), 1, "there is no weights file"),
        (
            (
                "-m",
                "clipscore",
            ),
            1,
            "needs prompts",
        ),
        (("-m", "fid", "-m", "fvd"), 2, "do not go together"),
        (("-m", "fid", "-r", "tiny", "-m", "clipsim"), 2, "do not go together"),
        (("-m", "fid", "--prompts", "none.txt"), 2, "--prompts is read by"),
        (("-m", "fid", *STAND_IN, "--weights", "i3d=a.pt"), 2, "no metric reads the weights i3d"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    shell: Shell, real: Path, fake: Path, words: Sequence[str], code: int, said: str
) -> None:
    config = json.dumps(tiny_towers.OPEN_CLIP_SIZES)
    more = ["--set", f"clipscore.config={config}"] if "clipscore" in words else []
    assert shell("measure", real, fake, *words, *more) == code
    assert said in shell.err
    assert shell.err.count("\n") == 1


def test_the_catalogue_lists_every_metric_and_shows_one(shell: Shell) -> None:
    assert shell("metrics") == 0
    for name in ("fid", "clipscore", "fvd", "precision_recall"):
        assert f"\n{name} " in shell.out
    assert shell("metrics", "kid") == 0
    assert "--set kid.subsets=100" in shell.out
    assert shell.json("metrics", "fid")["needs_real"] is True
    assert shell("metrics", "fud") == 2


def test_features_lie_in_the_cache_of_the_user_unless_told_otherwise(
    shell: Shell, real: Path, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_cache() == tmp_path / "cache" / "beholder" / "features"
    shell("measure", real, fake, "-m", "fid", *STAND_IN, "--no-cache")
    assert not default_cache().exists()
    shell("measure", real, fake, "-m", "fid", *STAND_IN)
    assert list(default_cache().rglob("*.safetensors"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "beholder" / "features"


@pytest.mark.slow
@pytest.mark.timeout(900)  # three interpreters start on a busy machine
@pytest.mark.long
def test_two_processes_give_the_numbers_of_one(
    shell: Shell, real: Path, fake: Path, tmp_path: Path
) -> None:
    words = ["measure", str(real), str(fake), "-m", "fid", *STAND_IN, "--json"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    done = subprocess.run(
        [*command, "-m", "beholder", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout)
    assert (told["real"]["cached"], told["fake"]["cached"]) == (20, 16)
    alone = shell.json(*words[:-1], "--no-cache")
    assert told["measurements"] == alone["measurements"]
