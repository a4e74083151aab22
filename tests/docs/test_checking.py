from collections.abc import Sequence

import pytest

from tests.docs.blocks import Block
from tests.docs.checking import block_faults, data_faults, program_faults, verb_fault


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scor"], "no such command"),
        (["score", "a", "-r", "mps", "-o", "b", "--speed", "9"], "no such option: --speed"),
        (["score", "a", "-r", "mpz", "-o", "b"], "no reward named 'mpz'"),
        (["score", "a", "-r", "mps"], "missing option '--out'"),
        (["annotate", "pul", "judging"], "no such command"),
        (["train", "tiny_cpu", "fit.stepz=3"], "unknown key 'fit.stepz'"),
        (["train", "tiny_cpu", "fit.steps=many"], "fit.steps"),
        (["tune", "tiny_cpu", "lora.ranks=3"], "unknown key 'lora.ranks'"),
        (["generate", "MODEL", "-o", "out", "--steps", "few"], "should be a valid integer"),
    ],
)
def test_what_the_command_line_would_refuse_is_a_fault(words: Sequence[str], said: str) -> None:
    assert said in verb_fault(words)


@pytest.mark.parametrize(
    "words",
    [
        ["score", "a", "-r", "mine=runs/mine", "-r", "http://h:8000/mps", "-o", "b"],
        ["train", "pickscore", "preferences=judgements", "fit.steps=500"],
        ["filter", "scores", "--top", "0.2", "-o", "kept"],
        ["score", "--help"],
    ],
)
def test_what_it_would_take_is_none(words: Sequence[str]) -> None:
    assert verb_fault(words) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import beholder\nbeholder.lode('mps')", "beholder has no lode"),
        ("from beholder.eval import rankings", "beholder.eval has no rankings"),
        ("from beholder.evaluation import x", "there is no module beholder.evaluation"),
        ("import beholder\nbeholder.score_it", "beholder has no score_it"),
        (
            "from beholder.training.adapters import as_reward_fn\nas_reward_fn(r, aspects='x')",
            "as_reward_fn has no argument 'aspects'",
        ),
        ("if x:", "line 1: expected an indented block"),
    ],
)
def test_python_that_names_what_is_not_there_is_a_fault(text: str, said: str) -> None:
    assert said in "; ".join(program_faults(text))


def test_code_of_others_only_has_to_compile() -> None:
    assert program_faults("from beholder.evaluation import x", is_ours=False) == []
    assert program_faults("x = (", is_ours=False) != []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pip install 'beholder[surf]'", "there is no extra 'surf'"),
        ("make tests", "make has no target 'tests'"),
        ("beholder rewards && beholder reward", "no such command 'reward'"),
    ],
)
def test_extras_targets_and_every_verb_of_a_line_are_looked_up(text: str, said: str) -> None:
    assert said in "; ".join(block_faults(Block("a.md", 1, "bash", text)))


@pytest.mark.parametrize(
    ("language", "text"), [("yaml", "a: [1"), ("json", "{'a': 1}"), ("toml", "a = ")]
)
def test_data_that_cannot_be_read_is_a_fault(language: str, text: str) -> None:
    assert data_faults(language, text) != []
    assert data_faults("json", '{"a": 1}') == []
