from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from beholder.configs._load import load_config, presets, read_config
from beholder.errors import ConfigError
from beholder.training.algorithms import config_class
from beholder.training.reward import RewardTraining
from beholder.training.richhf import RichHFTraining


@dataclass(frozen=True, kw_only=True)
class Inner:
    steps: int = 10
    rate: float = 0.5

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps must be above 0, got {self.steps}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = "a"
    kind: Literal["head", "all"] = "head"
    is_on: bool = True
    sizes: tuple[int, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)


def load(text: str, tmp_path: Path, *overrides: str) -> Outer:
    path = tmp_path / "given.yaml"
    path.write_text(text)
    return load_config(path, overrides, Outer)


def test_values_keep_their_types(tmp_path: Path) -> None:
    text = "name: b\nkind: all\nis_on: false\nsizes: [1, 2]\ninner: {steps: 3, rate: 2}"
    expected = Outer(name="b", kind="all", is_on=False, sizes=(1, 2), inner=Inner(steps=3, rate=2))
    assert load(text, tmp_path) == expected


def test_an_empty_file_and_no_file_give_the_defaults(tmp_path: Path) -> None:
    assert load("", tmp_path) == load_config(None, [], Outer) == Outer()


def test_overrides_reach_nested_keys_and_win(tmp_path: Path) -> None:
    text = "inner: {steps: 3}\noptions: {a: {b: 1}}"
    given = ("inner.steps=4", "options.a.c=[x, 1]", "name=n=m", "inner.rate=1e-5")
    loaded = load(text, tmp_path, *given)
    assert loaded.inner == Inner(steps=4, rate=1e-5)
    assert loaded.options == {"a": {"b": 1, "c": ["x", 1]}}
    assert loaded.name == "n=m"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("3E8", 3e8),
        (".5", 0.5),
        ("-1", -1),
        ("012", "012"),
        ("0", 0),
        ("1.", 1.0),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-02", "2024-01-02"),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("'1'", "1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    found = load(f"options: {{x: {text}}}", tmp_path).options["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inner: {steps: true}", "inner.steps is True, input should be a valid integer"),
        ("inner: {steps: 1.5}", "inner.steps is 1.5, input should be a valid integer"),
        ("inner: {steps: '3'}", "inner.steps is '3', input should be a valid integer"),
        ("inner: {rate: fast}", "inner.rate is 'fast', input should be a valid number"),
        ("name: 3", "name is 3, input should be a valid string"),
        ("is_on: 1", "is_on is 1, input should be a valid boolean"),
        ("kind: tail", "kind is 'tail', input should be 'head' or 'all'"),
        ("inner: 3", "inner is 3, input should be"),
        ("inner: {steps: 0}", "steps must be above 0, got 0"),
        ("nmae: b", "unknown key 'nmae'; did you mean 'name'?"),
        ("inner: {stesp: 3}", "unknown key 'inner.stesp'; did you mean 'inner.steps'?"),
        ("name: a\nname: b", "key 'name' is given twice"),
        ("inner: {steps: 1, steps: 2}", "key 'steps' is given twice"),
        ("options: {1: 2}", "key 1 must be a text"),
        ("options: {a: &x [1], b: *x}", "aliases"),
        ("options: {a: !!binary aGk=}", "b'hi' is no text"),
        ("[1, 2]", "expected keys with values"),
        ("name: [", "is not YAML"),
        ("name: !!python/object/apply:os.system ['x']", "is not YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name", "expected key=value, got 'name'"),
        ("=3", "expected key=value"),
        ("inner.=3", "expected key=value"),
        ("name.x=3", "name is 'b', it holds no keys"),
        ("inner.stps=3", "did you mean 'inner.steps'"),
    ],
)
def test_a_bad_override_is_refused(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("name: b", tmp_path, override)


def test_every_preset_is_a_valid_training(tmp_path: Path) -> None:
    rich = {name for name in presets() if name.startswith("richhf_")}
    loaded = {name: load_config(name, [], RewardTraining) for name in {*presets()} - rich}
    assert sorted(loaded) == [
        "aesthetic_head",
        "hps_v2",
        "imagereward",
        "mps_vit_b_32_lora",
        "mps_vit_h_14",
        "pickscore",
        "siglip2_head",
        "tiny_cpu",
    ]
    assert loaded["tiny_cpu"].fit.learning_rate == 3e-3
    big = loaded["mps_vit_h_14"]
    assert big.pairs_per_batch * big.fit.accumulation == 128
    richly = {name: load_config(name, [], RichHFTraining) for name in rich}
    paper = richly["richhf_vit_b_t5_base"]
    assert paper.pictures_per_batch * paper.fit.accumulation == 256
    author = richly["richhf_vit_l_t5_base"]
    assert author.fit.steps == 30 * -(-15_810 // author.pictures_per_batch)
    assert author.fit.final_rate == author.fit.learning_rate / 2
    assert len({config.run for config in (*loaded.values(), *richly.values())}) == len(presets())


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="not a text in UTF-8"):
        load_config(tmp_path / "a.yaml", [], Outer)


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tiny_cpu'"):
        load_config("tiny_gpu", [], RewardTraining)


def test_a_training_that_was_written_down_is_read_back(tmp_path: Path) -> None:
    import yaml

    config = load_config("tiny_cpu", ["aspect_weights.detail=2", "fit.seed=5"], RewardTraining)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(asdict(config)))
    assert load_config(path, [], RewardTraining) == config
    assert config.aspect_weights == {"detail": 2.0}


@pytest.mark.parametrize("name", presets("tune"))
def test_every_preset_of_tune_is_one_of_its_algorithm(name: str) -> None:
    algorithm = str(read_config(name, [], "tune")["algorithm"])
    config = load_config(name, [], config_class(algorithm), "tune")
    assert config.algorithm == algorithm
    assert config.held_out_reward


def test_presets_of_tune_have_folders_of_their_own() -> None:
    found = presets("tune")
    assert {"refl_sd15_lora", "refl_sdxl_lora", "refl_flux_lora", "draft_sd15"} < set(found)
    assert {"dpo_sdxl_lora", "dpo_online_sd35", "nft_sd35", "tiny_cpu"} < set(found)
    assert len({read_config(name, [], "tune")["run"] for name in found}) == len(found)


def test_what_a_configuration_gives_is_read_before_its_kind_is_known() -> None:
    assert read_config(None, ["feedback=x", "fit.steps=3"]) == {
        "feedback": "x",
        "fit": {"steps": 3},
    }
    assert read_config("tiny_cpu", ["preferences=x"])["preferences"] == "x"
    assert "feedback" in read_config("richhf_tiny_cpu", [])


def test_a_misspelt_key_of_a_named_part_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'mix.own.shre'; did you mean 'mix.own.share'"):
        load_config("tiny_cpu", ["mix.own.preferences=a", "mix.own.shre=0.3"], RewardTraining)
