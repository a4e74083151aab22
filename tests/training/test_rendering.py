import json
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from beholder.errors import BeholderError, ConfigError
from beholder.inputs import read_inputs
from beholder.prompt_sets import PromptRow
from beholder.training import rendering
from beholder.training._pipeline.loading import load_pipeline
from beholder.training._pipeline.tiny import tiny_pipeline
from beholder.training._rendering.tasks import noise_seed
from beholder.training.pipeline import Driver, Lora, Sampling
from beholder.training.rendering import MANIFEST, Checkpoint, RenderConfig, Rendered, render
from tests.training.tiny_pipelines import tiny

SAMPLING = Sampling(steps=2, height=16, width=16)
CONFIG = RenderConfig(sampling=SAMPLING, batch_size=2, device="cpu")
PROMPTS = [
    PromptRow("a red fox", "animals", {"n": 1, "image": "fox.png"}),
    PromptRow("a cat", "animals", {"n": 2}),
    PromptRow("a house"),
]
SEEDS = [0, 1]
BASE = Checkpoint(name="base", pipeline="tiny")
FORGET = rendering._forget_pipelines
OTHER = Checkpoint(name="other", pipeline="tiny", options={"seed": 1})


@pytest.fixture(scope="module", autouse=True)
def _collecting_costs_more_than_drawing() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "_forget_pipelines", lambda: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Two checkpoints, drawn without a stop."""
    return render([BASE, OTHER], PROMPTS, SEEDS, tmp_path_factory.mktemp("whole"), CONFIG)


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


def pictures(folder: Path) -> dict[str, bytes]:
    paths = (folder / "pictures").rglob("*.png")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def failing(monkeypatch: pytest.MonkeyPatch, *fatal: str) -> list[list[str]]:
    """Pipelines that fail on prompts with certain words; gives the prompts of each call."""
    own_call, calls = Driver.own_call, []

    def call(self: Driver, prompts: Sequence[str], *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(list(prompts))
        if any(word in prompt for word in fatal for prompt in prompts):
            raise RuntimeError("too\nmuch")
        pixels = own_call(self, prompts, *args, **kwargs)
        for prompt, one in zip(prompts, pixels, strict=True):
            one.mul_(0.0 if "cat" in prompt else 1.0)
        return pixels

    monkeypatch.setattr(Driver, "own_call", call)
    return calls


def test_every_checkpoint_prompt_and_seed_has_its_row_and_picture(whole: Rendered) -> None:
    told = rows(whole.manifest.parent)
    assert [(r["model"], r["prompt"], r["seed"]) for r in told] == [
        (model, row.prompt, seed)
        for model in ("base", "other")
        for row in PROMPTS
        for seed in SEEDS
    ]
    assert (whole.models, whole.pictures, whole.done_before) == (("base", "other"), 12, 0)
    assert whole.failed == {}
    assert {r["category"] for r in told[:4]} == {"animals"}
    assert [r["n"] for r in told[:6:2]] == [1, 2, None]
    assert told[0]["prompt_image"] == "fox.png"
    assert all(r["render_seconds"] > 0 and r["render_error"] is None for r in told)
    assert len(set(pictures(whole.manifest.parent).values())) == 12
    assert whole.as_dict()["models"] == ["base", "other"]


def test_the_manifest_is_read_to_be_scored(whole: Rendered) -> None:
    read = list(read_inputs(whole.manifest))
    told = rows(whole.manifest.parent)
    assert [row.key for row in read] == [row["key"] for row in told]
    assert all(Path(row.name).is_file() for row in read)
    assert read[0].extra["model"] == "base"
    assert read[1].extra["seed"] == 1


def test_a_picture_is_that_of_the_pipelines_own_call(whole: Rendered) -> None:
    seeds = [noise_seed("a red fox", seed) for seed in SEEDS]
    pipe = tiny_pipeline(seed=1)
    pipe.set_progress_bar_config(disable=True)
    expected = pipe(
        ["a red fox"] * 2,
        num_inference_steps=2,
        height=16,
        width=16,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        output_type="np",
    ).images
    names = [row["image"] for row in rows(whole.manifest.parent)[6:8]]
    for name, pixels in zip(names, expected, strict=True):
        written = np.asarray(Image.open(whole.manifest.parent / name))
        # in another batch sums round otherwise, and so does a value halfway between two levels
        np.testing.assert_allclose(written, pixels * 255, rtol=0, atol=0.501)


def test_checkpoints_begin_with_the_same_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[torch.Tensor] = []
    generators = Driver.generators

    def noted(self: Driver, *args: Any) -> list[torch.Generator]:
        made = generators(self, *args)
        drawn.extend(torch.randn(4, generator=one.clone_state()) for one in made)
        assert all(one.device.type == "cpu" for one in made)
        return made

    monkeypatch.setattr(Driver, "generators", noted)
    render([BASE, OTHER], PROMPTS[:2], [5], tmp_path, CONFIG)
    assert torch.equal(torch.stack(drawn[:2]), torch.stack(drawn[2:]))
    assert not torch.equal(drawn[0], drawn[1])


def test_a_run_that_was_stopped_ends_with_the_same_bytes(whole: Rendered, tmp_path: Path) -> None:
    before = pictures(whole.manifest.parent)

    class StopError(Exception):
        pass

    counted: list[int] = []

    def stop(count: int) -> None:
        counted.append(count)
        if sum(counted) >= 4:
            raise StopError

    with pytest.raises(StopError):
        render([BASE, OTHER], PROMPTS, SEEDS, tmp_path, CONFIG, stop)
    assert len(pictures(tmp_path)) == 4
    (tmp_path / sorted(pictures(tmp_path))[1]).unlink()  # as if in the midst of a batch
    seen: list[int] = []
    again = render([BASE, OTHER], PROMPTS, SEEDS, tmp_path, CONFIG, seen.append)
    assert (again.pictures, again.done_before, sum(seen)) == (9, 3, 12)
    assert pictures(tmp_path) == before
    mine, theirs = rows(tmp_path), rows(whole.manifest.parent)
    assert [r["key"] for r in mine] == [r["key"] for r in theirs]


def test_nothing_is_loaded_where_all_is_there(
    whole: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beholder.training.rendering.load_pipeline", None)
    again = render([BASE, OTHER], PROMPTS, SEEDS, whole.manifest.parent, CONFIG)
    assert (again.pictures, again.done_before) == (0, 12)
    assert again.seconds.keys() == {"base", "other"}
    fewer = render([OTHER], PROMPTS[:1], [1], whole.manifest.parent, CONFIG)
    assert [row["model"] for row in rows(fewer.manifest.parent)] == ["other"]


def test_one_pipeline_is_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[Any]] = []

    def noted(*args: Any, **kwargs: Any) -> Driver:
        assert [ref for ref in loaded if ref() is not None] == []
        driver = load_pipeline(*args, **kwargs)
        loaded.append(weakref.ref(driver.denoiser))
        return driver

    monkeypatch.setattr(rendering, "load_pipeline", noted)
    monkeypatch.setattr(rendering, "_forget_pipelines", FORGET)
    render([BASE, OTHER], PROMPTS[:1], [0], tmp_path, CONFIG)
    assert len(loaded) == 2


def test_other_settings_or_another_checkpoint_of_the_name_are_refused(whole: Rendered) -> None:
    folder = whole.manifest.parent
    longer = RenderConfig(sampling=Sampling(steps=3, height=16, width=16), device="cpu")
    with pytest.raises(ConfigError, match=r"sampling\.steps was 2, now 3"):
        render([BASE], PROMPTS, SEEDS, folder, longer)
    changed = Checkpoint(name="base", pipeline="tiny", options={"seed": 2})
    with pytest.raises(ConfigError, match=r"base\.options\.seed was None, now 2"):
        render([changed], PROMPTS, SEEDS, folder, CONFIG)


def test_a_repository_whose_commit_one_side_does_not_know_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render([BASE], PROMPTS[:1], [0], tmp_path, CONFIG)
    said = json.loads((tmp_path / "render.json").read_text())
    said["checkpoints"]["base"]["commit"] = "abc"
    (tmp_path / "render.json").write_text(json.dumps(said))
    assert render([BASE], PROMPTS[:1], [0], tmp_path, CONFIG).done_before == 1
    monkeypatch.setattr("beholder.training._rendering.checkpoints._commit", lambda _: "def")
    with pytest.raises(ConfigError, match=r"base\.commit was 'abc', now 'def'"):
        render([BASE], PROMPTS[:1], [0], tmp_path, CONFIG)


def test_a_prompt_that_fails_is_a_row_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = failing(monkeypatch, "fox")
    bad = PromptRow("bad \udcff")
    made = render([BASE], [*PROMPTS, bad], [0], tmp_path, CONFIG)
    told = rows(tmp_path)
    whys = [row["render_error"] for row in told]
    assert whys[0] == "RuntimeError: too much"
    assert whys[1].startswith("black: every pixel is 0")
    assert whys[2] is None
    assert whys[3].startswith("prompt: it holds a lone surrogate")
    is_there = [(tmp_path / row["image"]).is_file() for row in told]
    assert is_there == [False, False, True, False]
    assert (made.pictures, len(made.failed)) == (1, 3)
    assert calls == [["a red fox", "a cat"], ["a red fox"], ["a cat"], ["a house"]]
    assert len(list(read_inputs(made.manifest))) == 4


def test_what_failed_is_tried_again_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = failing(monkeypatch, "fox")
    render([BASE], PROMPTS, [0], tmp_path, CONFIG)
    before = [(row["key"], row["image"]) for row in rows(tmp_path)]
    count = len(calls)
    assert render([BASE], PROMPTS, [0], tmp_path, CONFIG).pictures == 0
    assert len(calls) == count
    monkeypatch.undo()
    retried = RenderConfig(sampling=SAMPLING, batch_size=2, device="cpu", retry_failed=True)
    made = render([BASE], PROMPTS, [0], tmp_path, retried)
    assert (made.pictures, made.done_before, made.failed) == (2, 1, {})
    assert [(row["key"], row["image"]) for row in rows(tmp_path)] == before


def test_a_tuned_run_draws_with_its_adapters(tmp_path: Path) -> None:
    folder = tmp_path / "tuned"
    driver = Driver(tiny("sd3"))
    trained = driver.add_lora(Lora(rank=2))
    for _, weight in trained.named_parameters():
        torch.nn.init.normal_(weight, std=0.5)
    driver.save_lora(folder)
    (folder / "config.yaml").write_text("algorithm: refl\npipeline: tiny\n")
    made = render(["tiny", str(folder)], PROMPTS[:1], [0], tmp_path / "out", CONFIG)
    assert made.models == ("tiny", "tuned")
    seed = [noise_seed("a red fox", 0)]
    (expected,) = driver.own_call(["a red fox"], SAMPLING, seeds=seed)
    base, tuned = (
        np.asarray(Image.open(tmp_path / "out" / row["image"])).astype(float)
        for row in rows(tmp_path / "out")
    )
    np.testing.assert_allclose(tuned, expected.permute(1, 2, 0).numpy() * 255, atol=1)
    assert np.abs(base - tuned).max() > 5


def test_a_pipeline_keeps_its_own_scheduler(tmp_path: Path, monkeypatch: Any) -> None:
    found: list[str] = []
    own_call = Driver.own_call

    def noted(self: Driver, *args: Any, **kwargs: Any) -> torch.Tensor:
        found.append(type(self.pipe.scheduler).__name__)
        return own_call(self, *args, **kwargs)

    monkeypatch.setattr(Driver, "own_call", noted)
    spec = "tests.training.tiny_pipelines:sd"
    render([f"sd={spec}"], PROMPTS[:1], [0], tmp_path, CONFIG)
    assert found == ["PNDMScheduler"]


def test_a_setting_that_fits_no_picture_leaves_none_behind(tmp_path: Path) -> None:
    wrong = RenderConfig(sampling=Sampling(steps=2, call={"guidance_scal": 1}), device="cpu")
    with pytest.raises(ConfigError, match="did you mean 'guidance_scale'"):
        render([BASE], PROMPTS, SEEDS, tmp_path, wrong)
    assert pictures(tmp_path) == {}
    with pytest.raises(ConfigError, match="must be there and differ"):
        render([BASE], PROMPTS, [1, 1], tmp_path, CONFIG)
    with pytest.raises(ConfigError, match="share a name: base, BASE"):
        render([BASE, Checkpoint(name="BASE", pipeline="tiny")], PROMPTS, [0], tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TypeError("unexpected keyword"), TypeError),
        (torch.OutOfMemoryError("CUDA out of memory"), BeholderError),
        (OSError(28, "No space left on device"), OSError),
    ],
)
def test_what_is_not_the_prompts_fault_stops_the_run_and_is_nobodys_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, raised: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Driver, "own_call", fail)
    with pytest.raises(raised):
        render([BASE], PROMPTS, [0], tmp_path, CONFIG)
    assert not list(tmp_path.rglob("tries/*"))


def test_a_checkpoint_whose_first_prompts_all_fail_stops_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [PromptRow(f"a fox {k}") for k in range(7)]
    calls = failing(monkeypatch, "fox")
    with pytest.raises(BeholderError, match=r"base failed on its first 5 prompts.*too much"):
        render([BASE], bad, SEEDS, tmp_path, CONFIG)
    assert ["a fox 4"] in calls
    assert ["a fox 5"] not in calls
    monkeypatch.undo()
    again = RenderConfig(sampling=SAMPLING, batch_size=2, device="cpu", retry_failed=True)
    assert render([BASE], bad, SEEDS, tmp_path, again).pictures == 14


def test_a_checkpoint_that_draws_may_fail_on_many_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "fox")
    prompts = [PromptRow("a house"), *(PromptRow(f"a fox {k}") for k in range(6))]
    assert len(render([BASE], prompts, [0], tmp_path, CONFIG).failed) == 6
    retried = RenderConfig(sampling=SAMPLING, batch_size=2, device="cpu", retry_failed=True)
    assert len(render([BASE], prompts, [0], tmp_path, retried).failed) == 6
