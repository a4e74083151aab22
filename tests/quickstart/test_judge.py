import pytest
import torch

from beholder.quickstart.degrade import Faults, qualities
from beholder.quickstart.judge import Truth, TruthJudge, fresh_truth, train_judge, true_qualities
from beholder.quickstart.painter import SIDE
from beholder.quickstart.scenes import COLOURS, PLACES, SHAPES

RED_STAR = "a photo of a cat with a large red star up high"


def truth(faults: Faults, thing: tuple[str, str, str]) -> Truth:
    strengths = [faults.cast, faults.dull, faults.blur, faults.noise, faults.blocks]
    rows = [
        list(COLOURS).index(thing[0]),
        SHAPES.index(thing[1]),
        list(PLACES).index(thing[2]),
    ]
    return Truth(torch.zeros(1, 3, SIDE, SIDE), torch.tensor([strengths]), torch.tensor([rows]))


@pytest.mark.parametrize(
    ("thing", "wrong"),
    [
        (("red", "star", "up high"), 0),
        (("blue", "star", "up high"), 1),
        (("blue", "circle", "down low"), 3),
    ],
)
def test_the_truth_is_what_the_quickstart_calls_it(thing: tuple[str, str, str], wrong: int) -> None:
    faults = Faults(cast=0.5, dull=0.25, blur=1.0, noise=0.0, blocks=0.75, wrong=wrong)
    found = true_qualities(truth(faults, thing), [RED_STAR])
    for name, value in qualities(faults).items():
        assert float(found[name]) == pytest.approx(value, abs=1e-6)


def test_a_judge_sees_pictures_of_any_size_and_says_qualities() -> None:
    judge = TruthJudge()
    said = judge.score(torch.rand(2, 3, 96, 80), [RED_STAR, RED_STAR.replace("red", "blue")])
    assert list(said) == ["aesthetics", "detail", "alignment", "overall"]
    for values in said.values():
        assert values.shape == (2,)
        assert bool(((values >= 0) & (values <= 1)).all())
    same = torch.rand(1, 3, SIDE, SIDE).expand(5, -1, -1, -1)
    asked = [RED_STAR.replace("red", colour) for colour in COLOURS]
    shares = 3 * judge.score(same, asked)["alignment"]
    others = shares - (shares.sum() - 1) / 5  # every colour once: their probabilities add up to 1
    assert float((shares - others).std()) == pytest.approx(0, abs=1e-5)


def test_fresh_pictures_depend_on_the_seed_alone() -> None:
    one, two, other = (fresh_truth(4, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.pixels, two.pixels)
    assert torch.equal(one.faults, two.faults)
    assert not torch.equal(one.pixels, other.pixels)


@pytest.mark.long
def test_a_judge_that_learned_a_little_orders_new_pictures_better_than_chance() -> None:
    judge = train_judge(300, seed=0, steps=60)
    new = fresh_truth(150, seed=9)
    prompts = [RED_STAR] * 150
    said, true = judge.score(new.pixels, prompts), true_qualities(new, prompts)
    both = torch.stack([said["aesthetics"], true["aesthetics"]])
    assert float(torch.corrcoef(both)[0, 1]) > 0.5
