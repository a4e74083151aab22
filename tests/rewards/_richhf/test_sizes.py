import torch

from beholder.rewards._richhf.sizes import SIZES, sized, tiny_tokenizer
from beholder.rewards._richhf.tokens import WordTokenizer
from beholder.rewards.richhf import build


def test_every_size_can_be_built_in_both_variants() -> None:
    with torch.device("meta"):
        for size in SIZES:
            for variant in ("multi_head", "augmented"):
                reward = build(size=size, variant=variant, t5={"tokenizer": tiny_tokenizer()})
                assert reward.map_side >= 16


def test_the_tiny_tokenizer_spells_letters_and_the_mark() -> None:
    tokens = WordTokenizer(tiny_tokenizer())
    (word,) = tokens.spell(["ab"])
    assert word.marked[: len(word.plain)] == word.plain
    assert tokens.decode(word.marked) == "ab_0"


def test_options_go_over_a_size_value_by_value() -> None:
    given = sized("tiny", {"vision": {"hidden_size": 48}, "variant": "augmented"})
    assert given["variant"] == "augmented"
    assert given["vision"] == {**SIZES["tiny"]["vision"], "hidden_size": 48}  # type: ignore[dict-item]


def test_a_tower_of_its_own_kind_stands_alone() -> None:
    assert sized("tiny", {"t5": {"folder": "x"}})["t5"] == {"folder": "x"}
    assert sized(None, {"t5": {"folder": "x"}}) == {"t5": {"folder": "x"}}
