import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import beholder
from beholder.errors import ConfigError
from beholder.training.fit.learner import FitConfig, one_rate
from beholder.training.fit.loop import Progress
from beholder.training.fit.processes import Processes
from beholder.training.judged.data import Dropped, Sides
from beholder.training.run import (
    UNMOVED,
    RunConfig,
    note_inputs,
    own_folder,
    rate_of,
    save,
    tell_dropped,
    trainee,
)
from beholder.training.towers.freezing import Trains
from beholder.types import Preference
from tests.rewards import tiny_towers
from tests.training.spots import TINY

ALONE = Processes(cpu=True)


def config(folder: Path) -> RunConfig:
    return RunConfig(run=str(folder / "run"), reward="tiny", train="all")


def test_a_folder_goes_on_with_its_own_configuration_and_refuses_another(tmp_path: Path) -> None:
    given = config(tmp_path)
    with own_folder(asdict(given), ALONE) as folder:
        assert folder == tmp_path / "run"
        with (
            pytest.raises(ConfigError, match="another process trains"),
            own_folder(asdict(given), ALONE),
        ):
            pass
    other = replace(given, fit=FitConfig(steps=7))
    with (
        pytest.raises(ConfigError, match=r"fit\.steps was 500, now 7"),
        own_folder(asdict(other), ALONE),
    ):
        pass


def test_places_of_files_may_change(tmp_path: Path) -> None:
    given = replace(config(tmp_path), evaluation="here")
    with own_folder(asdict(given), ALONE, ("run", "evaluation")):
        pass
    with own_folder(asdict(replace(given, evaluation="there")), ALONE, ("run", "evaluation")):
        pass


def test_random_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    hashes: list[str] = []
    for seed in (0, 1, 0):
        torch.manual_seed(len(hashes))
        before = torch.get_rng_state()
        given = replace(config(tmp_path), reward="richhf", options=TINY, fit=FitConfig(seed=seed))
        reward, start, towers = trainee(given)
        assert torch.equal(torch.get_rng_state(), before)
        assert all(weight.requires_grad for weight in reward.parameters())
        assert towers == set()
        hashes.append(start)
    assert hashes[0] == hashes[2] != hashes[1]


def test_other_inputs_are_refused(tmp_path: Path) -> None:
    note_inputs(tmp_path, {"weights": "a"})
    assert json.loads((tmp_path / "versions.json").read_text())["beholder"] == beholder.__version__
    with pytest.raises(ConfigError, match="weights was 'a', now 'b'"):
        note_inputs(tmp_path, {"weights": "b"})


def test_what_was_dropped_is_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        tell_dropped(tmp_path, [], "records")
    assert caplog.text == ""
    with caplog.at_level("WARNING"):
        tell_dropped(tmp_path, [Dropped("a", "missing: x"), Dropped("b", "missing: y")], "records")
    assert "2 records cannot be used (2 missing); see dropped.json" in caplog.text
    told = json.loads((tmp_path / "dropped.json").read_text())
    assert told["rows"][1] == {"key": "b", "reason": "missing: y"}


def test_the_saved_reward_loads_and_the_summary_counts(tmp_path: Path) -> None:
    given = config(tmp_path)
    reward = beholder.load("tiny")
    pair = Preference(key="k", prompt="x", first="a", second="b", p_first={})
    progress = Progress(step=5, best_step=3, metrics={"eval/loss": 0.5})
    Path(given.run).mkdir()
    sides = Sides([pair, pair], [pair], [], {"sources": {"mine": 3}})
    save(given, reward, progress, sides, "pairs", ["the loss stands still"])
    loaded = beholder.load(given.run)
    assert loaded.state_dict().keys() == reward.state_dict().keys()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary == {
        "steps": 5,
        "best_step": 3,
        "stopped_early": False,
        "metrics": {"eval/loss": 0.5},
        "pairs": {"training": 2, "held_out": 1},
        "dropped": {},
        "warnings": ["the loss stands still"],
        "processes": 1,
        "sources": {"mine": 3},
    }


CLIP: dict[str, Any] = {"config": tiny_towers.CONFIG}
LAYERS = "towers.model.vision_model.encoder.layers"


def shares(config: RunConfig) -> dict[str, float]:
    reward, _, _ = trainee(config)
    share = rate_of(config, reward)
    return {name: share(name) for name, w in reward.named_parameters() if w.requires_grad}


def test_every_weight_learns_at_one_rate_unless_asked_otherwise() -> None:
    assert rate_of(RunConfig(), beholder.load("tiny")) is one_rate
    with pytest.raises(ConfigError, match="neither tower_rate, layer_decay nor checkpoint_"):
        rate_of(RunConfig(train="all", tower_rate=0.1), beholder.load("tiny"))


def test_weights_learn_slower_the_further_they_are_from_the_head() -> None:
    found = shares(RunConfig(options=CLIP, train="all", layer_decay=0.5, tower_rate=0.2))
    by_hand = {
        "cross_model.layers.0.0.fn.norm.weight": 1.0,
        "towers.model.visual_projection.weight": 1.0,
        "towers.model.logit_scale": 1.0,
        "towers.model.vision_model.post_layernorm.weight": 0.2,
        f"{LAYERS}.1.mlp.fc1.weight": 0.1,
        f"{LAYERS}.0.mlp.fc1.weight": 0.05,
        "towers.model.vision_model.embeddings.patch_embedding.weight": 0.025,
    }
    assert {name: found[name] for name in by_hand} == pytest.approx(by_hand)


def test_updates_of_low_rank_learn_as_their_layers_do() -> None:
    config = RunConfig(options=CLIP, train="lora", lora_rank=2, layer_decay=0.5)
    found = {n: share for n, share in shares(config).items() if "lora_" in n and LAYERS in n}
    assert {(name.split(".")[5], share) for name, share in found.items()} == {
        ("0", 0.25),
        ("1", 0.5),
    }
    assert set(shares(config).values()) == {1.0, 0.5, 0.25}


def test_a_trainee_trains_as_its_configuration_says() -> None:
    given = RunConfig(
        options=CLIP, train="lora", lora_rank=2, lora_alpha=6, lora_towers=("picture",)
    )
    reward, _, _ = trainee(given)
    assert not any("lora_" in n for n, _ in reward.named_parameters() if "text_model" in n)
    layer: Any = reward.get_submodule(f"{LAYERS}.0.mlp.fc1")
    assert layer.scaling == {"default": 3.0}
    fixed, _, _ = trainee(RunConfig(options=CLIP, train="fix_rate", fix_rate=0.5))
    assert not fixed.get_parameter(f"{LAYERS}.0.mlp.fc1.weight").requires_grad
    assert fixed.get_parameter(f"{LAYERS}.1.mlp.fc1.weight").requires_grad
    last, _, _ = trainee(RunConfig(options=CLIP, train="last_blocks", last_blocks={"text": 2}))
    assert not last.get_parameter(f"{LAYERS}.1.mlp.fc1.weight").requires_grad


def test_a_checkpointed_trainee_is_saved_as_any_other(tmp_path: Path) -> None:
    given = RunConfig(
        run=str(tmp_path), options=CLIP, train="lora", lora_rank=2, checkpoint_activations=True
    )
    reward, _, _ = trainee(given)
    patched = [name for name, module in reward.named_modules() if "forward" in vars(module)]
    head = [f"cross_model.layers.{k}" for k in ("0.0", "0.1", "1.0")]
    assert sorted(patched) == [*head, "towers.model.text_model.encoder.layers.0", f"{LAYERS}.0"]
    save(given, reward, Progress(), Sides([], [], []), "pairs")
    loaded = beholder.load(given.run)
    plain = beholder.load("mps", **CLIP)
    assert loaded.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"last_blocks": 0}, "last_blocks must be at least 1, got 0"),
        ({"last_blocks": {"text": 0}}, r"last_blocks\.text must be at least 1, got 0"),
        (
            {"train": "all", "fix_rate": 0.5},
            "'all' does not read fix_rate, .* 0.5; .* it: fix_rate$",
        ),
        ({"train": "lora", "last_blocks": 2}, "'lora' does not read last_blocks, which is 2"),
        ({"tower_rate": 0.5}, "'head' does not .*: last_blocks, fix_rate, lora, all$"),
        ({"last_blocks": {}}, "last_blocks names no tower"),
        ({"fix_rate": 1.0}, "fix_rate must be above 0 and below 1"),
        ({"lora_alpha": -1}, "lora_alpha must be at least 0"),
        ({"lora_towers": ()}, "lora_towers names no tower"),
        ({"layer_decay": 1.1}, "layer_decay must be above 0 and at most 1"),
        ({"tower_rate": 0.0}, "tower_rate must be above 0"),
    ],
)
def test_training_that_no_reward_can_do_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        RunConfig(**given)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="lora_rank must be above 0"):
        RunConfig(lora_rank=0)
    with pytest.raises(ConfigError, match="held_out_share must be at least 0 and below 1"):
        RunConfig(held_out_share=1)


CHANGED: dict[str, Any] = {
    "last_blocks": 2,
    "fix_rate": 0.3,
    "lora_rank": 2,
    "lora_alpha": 3,
    "lora_towers": ("text",),
    "layer_decay": 0.5,
    "tower_rate": 0.5,
}


@pytest.mark.parametrize("train", get_args(Trains))
def test_an_option_is_taken_where_it_changes_the_training_and_refused_elsewhere(
    train: Trains,
) -> None:
    """Changes what trains, how it is wrapped, or at what share of the rate."""
    plain = RunConfig(options=CLIP, train=train)
    before = _what(plain)
    for name, value in CHANGED.items():
        if _what(plain, **{name: value}) == before:
            with pytest.raises(ConfigError, match=f"'{train}' does not read {name}"):
                replace(plain, **{name: value})
        else:
            replace(plain, **{name: value})


def _what(config: RunConfig, **changed: Any) -> object:
    """What a training without any refusal would be; the tiny towers have two blocks."""
    given = replace(config)
    for name, value in {"last_blocks": 1, **changed}.items():
        object.__setattr__(given, name, value)
    reward, _, _ = trainee(given)
    share = rate_of(given, reward)
    scaling = [getattr(module, "scaling", None) for module in reward.modules()]
    return [
        (name, tuple(weight.shape), share(name))
        for name, weight in reward.named_parameters()
        if weight.requires_grad
    ], scaling


@pytest.mark.parametrize(("best", "told"), [(0, [UNMOVED]), (3, [])])
def test_a_run_that_kept_the_weights_it_began_with_says_so(
    tmp_path: Path, best: int, told: list[str]
) -> None:
    progress = Progress(step=5, best_step=best, best=(0.5,), metrics={"eval/accuracy": 0.5})
    given = RunConfig(run=str(tmp_path), reward="tiny", train="all")
    save(given, beholder.load("tiny"), progress, Sides([], [], []), "pairs", processes=2)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["warnings"], summary["processes"]) == (told, 2)
