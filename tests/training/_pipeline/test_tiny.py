import torch

from beholder.training._pipeline.tiny import tiny_pipeline, tokenizer
from beholder.training.pipeline import Driver
from tests.training.tiny_pipelines import tiny_sampling


def test_a_seed_has_its_weights_and_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (tiny_pipeline(seed).transformer.state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(same[name], value) for name, value in one.items())
    assert not all(torch.equal(other[name], value) for name, value in one.items())


def test_it_is_small_and_gives_small_pictures_of_its_own_size() -> None:
    pipe = tiny_pipeline()
    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    assert sum(w.numel() for part in parts for w in part.parameters()) < 100_000
    pixels = Driver(pipe).sample(["a fox"], tiny_sampling("sd3", height=None, width=None)).pixels
    assert pixels.shape == (1, 3, 32, 32)


def test_prompts_are_told_apart_letter_by_letter() -> None:
    read = tokenizer()
    fox, dog = (read(text)["input_ids"] for text in ("a fox", "a dog"))
    assert fox != dog
    assert len(fox) == len("<") + len("afox") + len(">")
    assert read("Ω")["input_ids"] == [0, 3, 1]  # unknown
