import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPVisionConfig

from tests.shell import Shell


def told(shell: Shell, *words: object) -> Any:
    return shell.json("cost", *words, "--repeats", "0")


def test_a_network_of_timm_costs_what_is_known_of_it(shell: Shell) -> None:
    pytest.importorskip("timm")
    cost = told(shell, "timm:resnet50", "--input", "1,3,224,224", "--device", "meta")
    assert cost["parameters"]["all"] / 1e6 == pytest.approx(25.557, abs=5e-4)
    assert cost["flops"]["total"] / 1e9 == pytest.approx(8.178, abs=5e-4)
    assert cost["per_step"] is None
    pictures = told(shell, "timm:resnet18", "--input", "1,3,32,32", "--batch-size", "3")
    assert pictures["pictures"] == 3


def test_options_and_named_inputs_reach_the_network(shell: Shell, tmp_path: Path) -> None:
    words = ["--set", "in_features=6", "--set", "out_features=4", "--input", "input=5,6"]
    cost = told(shell, "torch.nn:Linear", *words, "--backward", "--dtype", "fp32")
    assert cost["flops"]["total"] == 2 * (2 * 5 * 6 * 4)
    assert cost["protocol"]["inputs"] == {"input": "5,6 float32"}
    CLIPVisionConfig(patch_size=32).save_pretrained(tmp_path)
    clip = told(shell, tmp_path, "--input", "1,3,224,224", "--device", "meta")
    assert clip["flops"]["total"] / 1e9 == pytest.approx(8.817, abs=5e-4)


def test_a_reward_and_a_pipeline_are_measured(shell: Shell) -> None:
    reward = told(shell, "beholder.rewards.tiny:build", "--input", "2,3,24,24", "--prompt", "a fox")
    assert reward["pictures"] == 2
    assert reward["protocol"]["prompt"] == "a fox"
    size = ["--height", "32", "--width", "32"]
    run = told(shell, "tiny", "--steps", "3", "--guidance", "4", *size, "--batch-size", "2")
    assert run["pictures"] == 2
    assert run["per_step"]["flops"] == run["parts"]["transformer"]["flops"] / 3
    assert run["protocol"]["guidance"] == 4


def test_a_person_reads_a_table_with_times(shell: Shell) -> None:
    words = ["--set", "in_features=6", "--set", "out_features=4", "--input", "5,6"]
    assert shell("cost", "torch.nn:Linear", *words, "--repeats", "2", "--warm-up", "1") == 0
    assert shell.out.startswith("torch.nn:Linear: 0=5,6 float32")
    assert "median and quartiles of 2 runs after 1" in shell.out
    assert shell("cost", "tiny", "--steps", "1", "--repeats", "0") == 0
    assert "GFLOP in 1 call, guidance included" in shell.out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["tiny", "--input", "1,3,8,8"], "--input means nothing for a pipeline"),
        (["tiny", "--backward"], "--backward means nothing for a pipeline"),
        (["torch.nn:ReLU", "--steps", "4", "--input", "1"], "--steps means nothing for a network"),
        (["torch.nn:ReLU", "--prompt", "a", "--input", "1"], "--prompt means nothing for a net"),
        (["torch.nn:ReLU", "--height", "64", "--input", "1"], "--height means nothing for a net"),
        (["beholder.rewards.tiny:build", "--guidance", "0"], "--guidance means nothing for a rew"),
        (["beholder.rewards.tiny:build", "--input", "1", "--input", "2"], "takes one --input"),
        (["torch.nn:ReLU"], "needs --input SIZES"),
        (["torch.nn:ReLU", "--input", "1", "--dtype", "int8"], "dtype is one of"),
        (["torch.nn:ReLU", "--input", "1", "--device", "nowhere"], "there is no device"),
        (
            ["torch.nn:ReLU", "--input", "1", "--set", "inplace"],
            "--set takes OPTION=VALUE, got 'inplace'",
        ),
        (["nothing"], "no network named 'nothing'"),
    ],
)
def test_what_would_not_be_read_is_refused(shell: Shell, words: list[str], why: str) -> None:
    assert shell("cost", *words) == 2
    assert why in shell.err


def test_the_json_is_whole(shell: Shell) -> None:
    assert shell("cost", "torch.nn:ReLU", "--input", "1,2", "--json", "--repeats", "1") == 0
    cost = json.loads(shell.out)
    assert set(cost) == {
        *("parameters", "flops", "parts", "pictures", "runtime", "memory", "protocol"),
        *("machine", "versions", "pictures_per_second", "per_step"),
    }
    assert cost["versions"]["torch"] == torch.__version__.partition("+")[0]
