import numpy as np

from beholder.annotation.sources._scenes.cutouts import CutOut
from beholder.annotation.sources._scenes.facts import Statement
from beholder.annotation.sources._scenes.prompts import describe
from beholder.annotation.sources._scenes.shapes import SHAPES
from beholder.words import label_words
from tests.annotation.sources._scenes.material import group

THINGS = [CutOut(shape, kind=shape) for shape in SHAPES]
STAR = group("star", count=2, colour="red", size="small", place="left")
HEART = group("heart", colour="blue", size="large", place="right")
WORDS = {
    "count": {"1": {"one"}, "2": {"two"}, "3": {"three"}},
    "size": {"small": {"small", "tiny", "little"}, "large": {"large", "big", "huge"}},
    "place": {
        "left": {"left"},
        "right": {"right"},
        "top": {"top", "above"},
        "bottom": {"bottom", "below"},
        "middle": {"middle", "center"},
    },
}


def described(seed: int, setting: str | None = None) -> tuple[str, list[Statement]]:
    return describe([STAR, HEART], setting, THINGS, np.random.default_rng(seed))


MANY = [described(seed) for seed in range(300)]


def test_every_statement_covers_the_words_that_make_it() -> None:
    for prompt, statements in MANY:
        for statement in statements:
            words = prompt[statement.start : statement.end].lower()
            said = statement.fact.said
            if statement.fact.kind == "noun":
                assert words.startswith(said)
            else:
                assert words in WORDS.get(statement.fact.kind, {}).get(said, {said})


def test_about_half_of_the_prompts_are_wrong_somewhere() -> None:
    wrong = [any(s.fact.is_altered for s in statements) for _, statements in MANY]
    assert 0.4 < np.mean(wrong) < 0.6


def test_what_is_true_of_each_group_is_what_was_laid_out() -> None:
    true = [
        {"noun": "star", "count": "2", "colour": "red", "size": "small", "place": "left"},
        {"noun": "heart", "count": "1", "colour": "blue", "size": "large", "place": "right"},
    ]
    for _, statements in MANY:
        for fact in (statement.fact for statement in statements):
            if len(fact.about) == 1:
                assert fact.true == true[fact.about[0]][fact.kind]


def test_a_relation_says_where_the_group_named_first_lies_from_the_other() -> None:
    seen = set()
    for prompt, statements in MANY:
        relations = [s for s in statements if len(s.fact.about) == 2]
        for relation in relations:
            before = [s for s in statements if s.end < relation.start and s.fact.kind == "noun"]
            assert relation.fact.true == ("left" if before[-1].fact.about == (0,) else "right")
            seen.add(prompt[relation.start : relation.end])
    assert seen == {"left", "right"}


def test_only_words_of_altered_statements_are_misaligned() -> None:
    for prompt, statements in MANY:
        wrong = [(s.start, s.end) for s in statements if s.fact.is_altered]
        marked = {w.word for w in label_words(prompt, [wrong]) if w.p_misaligned}
        told = " ".join(prompt[start:end] for start, end in wrong).split()
        assert marked == set(told)


def test_prompts_vary_and_keep_to_plain_spacing() -> None:
    prompts = {prompt for prompt, _ in MANY}
    assert len(prompts) > 250
    assert any(prompt.endswith(".") for prompt in prompts)
    assert any("," in prompt for prompt in prompts)
    assert not any("  " in p or " ," in p or " ." in p or p != p.strip() for p in prompts)


def test_where_it_all_is_may_be_said() -> None:
    said = ["on grass" in described(seed, "on grass")[0] for seed in range(60)]
    assert {True, False} == set(said)
