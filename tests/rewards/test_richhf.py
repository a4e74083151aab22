from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import beholder
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.rewards._towers._encoders import as_text
from beholder.rewards.richhf import RichHF, build
from beholder.types import MAPS, RATED
from beholder.words import word_spans
from tests.rewards import tiny_towers
from tests.rewards.contract import check_reward
from tests.rewards.published_richhf import Rahf
from tests.rewards.tinies.richhf import HEADS, tiny

PROMPTS = ["a red cat, on the left!", "two dogs", "猫 on a mat", ""]

AS_WIDE = {"heatmap_width": None, "heatmap_stages": 4, "score_width": None}
"""Heads as wide as T5, as published."""


def over_packages(**options: Any) -> RichHF:
    """Over a timm encoder and a BERT instead of a ViT and T5's embeddings."""
    text = {**tiny_towers.timm_text()["text"], "max_length": 8}
    vision = {"kind": "timm", "name": "test_efficientnet", "levels": [1, 2], "grid": 4, "size": 64}
    t5 = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2}
    torch.manual_seed(0)
    return build(vision=vision, t5=t5, text=text, heads=HEADS, **options).eval()


def pictures(rows: int) -> Tensor:
    return torch.rand(rows, 3, 70, 90, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("variant", ["multi_head", "augmented"])
def test_contract(variant: str) -> None:
    check_reward(tiny(variant=variant))


def test_contract_over_other_encoders() -> None:
    check_reward(over_packages())


@pytest.mark.parametrize("words", ["decoder", "head"])
@pytest.mark.parametrize("variant", ["multi_head", "augmented"])
def test_neighbours_and_order_change_no_score_map_or_word(variant: str, words: str) -> None:
    reward, shown = tiny(variant=variant, words=words), pictures(4)
    whole = reward.score(shown, PROMPTS)
    for row, prompt in enumerate(PROMPTS):
        alone = reward.score(shown[row : row + 1], prompt)
        for kind in MAPS:
            torch.testing.assert_close(
                alone.maps[kind][0], whole.maps[kind][row], atol=1e-5, rtol=0
            )
        for aspect in RATED:
            torch.testing.assert_close(alone.aspects[aspect][0], whole.aspects[aspect][row])
        mine, theirs = (
            torch.tensor([word.p_misaligned for word in said])
            for said in (alone.words[0], whole.words[row])
        )
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)
    backwards = reward.score(shown.flip(0), PROMPTS[::-1])
    torch.testing.assert_close(
        backwards.maps["implausibility"].flip(0), whole.maps["implausibility"]
    )


def test_everything_is_there_and_in_range() -> None:
    scores = tiny().score(pictures(4), PROMPTS)
    assert tuple(scores.aspects) == RATED
    assert tuple(scores.maps) == MAPS
    assert torch.equal(scores.total, scores.aspects["overall"])
    for values in (*scores.aspects.values(), *scores.maps.values()):
        assert ((values > 0) & (values < 1)).all()
    assert scores.picture_maps(0)["misalignment"].shape == (70, 90)
    for prompt, words in zip(PROMPTS, scores.words, strict=True):
        assert [(word.start, word.end) for word in words] == word_spans(prompt)
        assert all(prompt[word.start : word.end] == word.word for word in words)
        assert all(0 <= word.p_misaligned <= 1 for word in words)


def test_maps_save_and_load_to_the_bit(tmp_path: Path) -> None:
    for reward in (tiny(), over_packages()):
        reward.save_pretrained(tmp_path)
        again = beholder.load(str(tmp_path))
        mine, theirs = (r.score(pictures(4), PROMPTS) for r in (reward, again))
        assert all(torch.equal(mine.maps[kind], theirs.maps[kind]) for kind in MAPS)
        assert mine.words == theirs.words


def test_the_gradient_of_scores_and_of_a_map_s_mass_reaches_the_pixels() -> None:
    reward = tiny()
    for name in ("alignment", "implausibility"):
        pixels = pictures(2).requires_grad_()
        scores = reward(pixels, PROMPTS[:2])
        {**scores.aspects, **scores.maps}[name].sum().backward()
        assert pixels.grad is not None
        assert pixels.grad.isfinite().all()
        assert (pixels.grad.abs().sum((1, 2, 3)) > 0).all()


def test_words_are_not_read_where_a_gradient_is_asked_for() -> None:
    reward, pixels = tiny(), pictures(1)
    assert reward(pixels, ["a cat"]).words == ()
    with torch.no_grad():
        assert len(reward(pixels, ["a cat"]).words[0]) == 2


def test_as_published_a_score_depends_on_the_other_prompts_of_a_batch() -> None:
    prompts = ["a cat", "a very long prompt that fills many more tokens than the other one"]
    for batch, differs in (("published", True), ("exact", False)):
        reward = tiny(batch=batch)
        together = reward.score(pictures(2), prompts).total[0]
        alone = reward.score(pictures(2)[:1], prompts[:1]).total[0]
        assert (abs(together - alone) > 1e-5) == differs


def test_a_prompt_longer_than_the_text_encoder_s_window_counts_to_its_end() -> None:
    reward = over_packages()
    long = " ".join(["cat"] * 20)
    changed = f"{long[:-3]}dog"
    a, b = (reward.score(pictures(1), prompt) for prompt in (long, changed))
    assert a.total[0] != b.total[0]
    assert len(a.words[0]) == 20


def test_the_free_sentence_is_written_for_each_picture() -> None:
    reward = tiny()
    with torch.no_grad():
        said = reward.predict(reward.preprocess(pictures(2)), PROMPTS[:2])
        written = reward.write(said)
    assert len(written) == 2
    assert all(isinstance(sentence, str) for sentence in written)


@pytest.mark.parametrize("variant", ["multi_head", "augmented"])
def test_a_published_checkpoint_gives_the_published_numbers(variant: str, tmp_path: Path) -> None:
    like = tiny(variant=variant, heads=AS_WIDE, t5={"d_model": 64})
    torch.manual_seed(3)
    theirs = rahf(like, variant).eval()
    path = tmp_path / "rahf_model.pt"
    torch.save(theirs.checkpoint(), path)
    options = {"heads": AS_WIDE, "t5": {"d_model": 64, **tokenizer_of(like)}}
    mine = build(path, size="tiny", batch="published", caption="words", **options).eval()
    assert mine.variant == variant
    values = mine.preprocess(pictures(3))
    with torch.no_grad():
        expected = theirs(values, ["a red cat on the left", "two dogs", "a"], encoder(mine))
        found = mine.score_prepared(values, ["a red, cat on the left!", "two dogs.", "a"])
    for name in RATED:
        torch.testing.assert_close(found.aspects[name], expected[name], atol=1e-6, rtol=1e-5)
    for name in MAPS:
        torch.testing.assert_close(found.maps[name], expected[name], atol=1e-6, rtol=1e-5)


def test_a_checkpoint_that_lacks_a_head_is_refused(tmp_path: Path) -> None:
    like = tiny(heads=AS_WIDE, t5={"d_model": 64})
    state = rahf(like, "multi_head").checkpoint()
    state = {k: v for k, v in state.items() if not k.startswith("score_predictor.overall")}
    torch.save(state, tmp_path / "rahf_model.pt")
    options = {"heads": AS_WIDE, "t5": {"d_model": 64, **tokenizer_of(like)}}
    with pytest.raises(WeightsError, match=r"missing: score_predictor\.overall"):
        build(tmp_path / "rahf_model.pt", size="tiny", **options)


def test_without_weights_or_a_size_it_says_what_to_give() -> None:
    with pytest.raises(WeightsError, match=r"rahf_model\.pt"):
        beholder.load("richhf")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": "huge"}, "no size 'huge'"),
        ({"size": "tiny", "variant": "both"}, "variant must be one of multi_head, augmented"),
        ({"size": "tiny", "words": "head"}, "heads="),
        ({"size": "tiny", "heads": {"width": 3}}, "no option 'width'"),
        ({"size": "tiny", "depth": 3}, "no option 'depth'"),
        ({"size": "tiny", "vision": {"kind": "cnn"}}, "kind 'cnn'"),
        ({"size": "tiny", "vision": {"patch_size": 17}}, "no multiple of patch_size"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(**options)


def test_a_head_that_is_not_there_cannot_be_asked() -> None:
    reward = tiny(heads={**HEADS, "words": False})
    said = reward.predict(reward.preprocess(pictures(1)), ["a cat"])
    with pytest.raises(ConfigError, match="word head"):
        reward.word_logits(said, ["a cat"])


def test_marks_must_be_as_many_as_words() -> None:
    reward = tiny()
    said = reward.predict(reward.preprocess(pictures(1)), ["a cat"])
    with pytest.raises(DataError, match="2 words has labels of 1"):
        reward.sequence_loss(said, ["a cat"], [[True]])


def test_the_sizes_have_the_published_numbers_of_parameters() -> None:
    from beholder.rewards._richhf.sizes import tiny_tokenizer

    counts = {}
    with torch.device("meta"):
        for variant in ("multi_head", "augmented"):
            reward = build(
                size="vit_l_t5_base", variant=variant, t5={"tokenizer": tiny_tokenizer()}
            )
            counts[variant] = sum(p.numel() for p in reward.parameters())
        small = build(size="small", t5={"tokenizer": tiny_tokenizer()})
    pooler = 1024 * 1024 + 1024  # published, and unused
    assert round((counts["multi_head"] + pooler) / 1e6, 1) == 642.6
    assert round((counts["augmented"] + pooler) / 1e6, 1) == 573.1
    assert 28e6 < sum(p.numel() for p in small.parameters()) < 32e6
    assert reward.map_side == 384


def tokenizer_of(reward: RichHF) -> dict[str, str]:
    return {"tokenizer": as_text(reward.tokens.get_extra_state())}


def encoder(reward: RichHF) -> Any:
    return lambda texts: reward.tokens.encode(texts)[0]


def rahf(like: RichHF, variant: str) -> Rahf:
    """The author's model of the same sizes."""
    vision: Any = like.vision
    return Rahf(vision.vit.config, like.joint.t5.config, variant)


def test_an_explanation_is_the_scores_of_that_picture_and_draws_itself() -> None:
    reward, shown = tiny(), pictures(1)[0]
    said, scores = reward.explain(shown, "a <b>cat</b>"), reward.score([shown], "a <b>cat</b>")
    assert said.scores["plausibility"] == scores.aspects["plausibility"][0].item()
    assert said.words == scores.words[0]
    assert "&lt;b&gt;" in said._repr_html_()
    with pytest.raises(DataError, match="surrogate"):
        reward.explain(shown, "\ud800")
