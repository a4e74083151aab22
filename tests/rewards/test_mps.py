from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import beholder
from beholder.errors import ConfigError, DataError, ImageError
from beholder.rewards.mps import MPS, default_conditions
from beholder.types import ASPECTS
from tests.rewards import tiny_towers
from tests.rewards.contract import check_reward
from tests.rewards.published_mps import published_score

PROMPTS = ["a cat", "three red cubes, a dog", "", "a cat"]


def tiny(**options: Any) -> MPS:
    torch.manual_seed(0)
    reward = beholder.load("mps", config=tiny_towers.CONFIG, **options)
    assert isinstance(reward, MPS)
    return spread(reward)


def spread(reward: MPS) -> MPS:
    """Random towers map every word to nearly the same state; this tells words apart."""
    for name, value in reward.towers.named_parameters():
        if "token_embedding" in name or "word_embeddings" in name:
            nn.init.normal_(value, std=1.0)
    return reward


def pixel_values(rows: int) -> Tensor:
    return torch.randn(rows, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def conditions_of(reward: MPS, aspect: str) -> Tensor:
    return reward.towers.tokenize([reward.conditions[aspect]])


def test_contract_over_clip() -> None:
    check_reward(tiny())


def test_contract_over_open_clip() -> None:
    torch.manual_seed(0)
    reward = beholder.load("mps", towers=tiny_towers.OPEN_CLIP, config=tiny_towers.HEAD)
    check_reward(reward)


def test_contract_over_a_timm_encoder_beside_a_text_encoder() -> None:
    torch.manual_seed(0)
    check_reward(beholder.load("mps", towers=tiny_towers.timm_text(), config=tiny_towers.HEAD))


def test_contract_of_the_soft_mask_without_padding() -> None:
    check_reward(tiny(mask="soft", padding="drop", condition_padding="drop"))


@pytest.mark.parametrize("threshold", [0.3, 0.8])
def test_scores_equal_the_published_evaluation_written_out(threshold: float) -> None:
    reward = tiny(threshold=threshold).double()
    values, ids = pixel_values(4).double(), reward.towers.tokenize(PROMPTS)
    scores = reward.score_prepared(values, PROMPTS)
    for aspect in ASPECTS:
        condition = conditions_of(reward, aspect)
        expected = [
            published_score(reward, values[k : k + 1], ids[k : k + 1], condition, threshold)
            for k in range(4)
        ]
        torch.testing.assert_close(scores.aspects[aspect], torch.cat(expected), atol=1e-5, rtol=0)
    assert torch.equal(scores.total, scores.aspects["overall"])


def test_the_aspects_differ_and_the_threshold_moves_them() -> None:
    values = pixel_values(4)
    strict = tiny(threshold=0.8).score_prepared(values, PROMPTS)
    lenient = tiny(threshold=0.0).score_prepared(values, PROMPTS)
    assert (strict.aspects["aesthetics"] - strict.aspects["alignment"]).abs().max() > 1e-3
    assert (strict.total - lenient.total).abs().max() > 1e-3


def test_one_condition_for_all_or_one_each() -> None:
    reward = tiny()
    values, ids = pixel_values(2), reward.towers.tokenize(["a cat", "a red cube"])
    aesthetics, detail = (conditions_of(reward, a) for a in ("aesthetics", "detail"))
    scores = reward.score_prepared(values, ["a cat", "a red cube"])
    shared = reward.forward_features(values, ids, aesthetics[0])
    torch.testing.assert_close(shared, scores.aspects["aesthetics"])
    torch.testing.assert_close(reward.forward_features(values, ids, aesthetics), shared)
    each = reward.forward_features(values, ids, torch.cat((aesthetics, detail)))
    expected = torch.stack((scores.aspects["aesthetics"][0], scores.aspects["detail"][1]))
    torch.testing.assert_close(each, expected)


def test_rows_that_do_not_match_are_refused() -> None:
    reward = tiny()
    ids = reward.towers.tokenize(["a", "b", "c"])
    with pytest.raises(DataError, match="2 pictures, 3 texts and 1 conditions"):
        reward.forward_features(pixel_values(2), ids, ids[0])


def test_with_batch_scope_a_prompt_that_keeps_no_word_has_no_score() -> None:
    reward = tiny(scope="batch")
    images, texts = reward.image_backbone(pixel_values(2)), reward.text_backbone(["a cat"] * 2)
    tenth = torch.tensor([1.0, 0.1])[:, None, None]
    weak = type(texts)(texts.tokens * tenth, texts.pooled)
    assert reward.score_features(images, weak).total.isnan().tolist() == [False, True]
    reward = tiny(scope="sample")
    assert reward.score_features(images, weak).total.isfinite().all()


def test_when_nothing_is_relevant_every_word_is_kept() -> None:
    reward = tiny()
    images, texts = reward.image_backbone(pixel_values(1)), reward.text_backbone(["a cat"])
    conditions = reward.condition_features()
    opposite = type(texts)(-texts.tokens.mean(dim=1, keepdim=True), texts.pooled)
    alike = type(texts)(texts.tokens.mean(dim=1, keepdim=True), texts.pooled)
    rows = type(conditions)(alike.tokens.expand(4, -1, -1), conditions.pooled)
    scores = reward.score_features(images, opposite, rows)
    assert scores.total.isfinite().all()
    view = reward._look(images, opposite, rows)
    assert (view.bias == 0).all()


ODD_PROMPTS = ["", "   ", "a " * 3000, "😀🎨", "一只红色的猫在桌子上", "<|endoftext|>", "\x00\n\t"]


@pytest.mark.parametrize("options", [{}, {"mask": "soft"}, {"padding": "drop"}])
def test_odd_prompts_score_the_same_alone_and_together(options: dict[str, Any]) -> None:
    reward = tiny(**options)
    pixels = torch.rand(len(ODD_PROMPTS), 3, 40, 32)
    whole = reward.score(pixels, ODD_PROMPTS)
    assert whole.errors == {}
    alone = [reward.score(pixels[k], prompt).total for k, prompt in enumerate(ODD_PROMPTS)]
    torch.testing.assert_close(torch.cat(alone), whole.total, atol=1e-5, rtol=0)


def test_the_gradient_to_the_pixels_equals_finite_differences() -> None:
    reward = tiny(threshold=0.5).double()
    values = pixel_values(2).double().requires_grad_()
    prompts = ["a cat", "three red cubes"]
    reward.score_prepared(values, prompts).total.sum().backward()
    assert values.grad is not None
    step, direction = 1e-5, torch.randn_like(values)
    with torch.no_grad():
        up, down = (
            reward.score_prepared(values + s * direction, prompts).total.sum()
            for s in (step, -step)
        )
    slope = (values.grad * direction).sum()
    torch.testing.assert_close((up - down) / (2 * step), slope, rtol=1e-5, atol=1e-8)


def test_a_picture_is_rounded_through_half_precision_as_published() -> None:
    values = tiny().preprocess(torch.rand(1, 3, 32, 32))
    assert torch.equal(values, values.half().float())


@pytest.mark.parametrize("options", [{}, {"mask": "soft"}])
def test_low_precision_moves_scores_little(options: dict[str, Any]) -> None:
    reward, pixels = tiny(**options), torch.rand(4, 3, 32, 32)
    expected = reward.score(pixels, PROMPTS).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = reward.score(pixels, PROMPTS).total
    whole = reward.bfloat16().score(pixels, PROMPTS).total
    for low in (mixed, whole):
        torch.testing.assert_close(low, expected, atol=0.3, rtol=0)


class Counter:
    """Counts the rows that pass a module."""

    def __init__(self, module: nn.Module) -> None:
        self.rows: list[int] = []
        module.register_forward_hook(self.count, with_kwargs=True)

    def count(self, _: nn.Module, args: Sequence[Any], kwargs: dict[str, Any], out: Any) -> None:
        given = args[0] if args else next(iter(kwargs.values()))
        self.rows.append(len(given))


def test_each_picture_and_each_distinct_text_is_encoded_once() -> None:
    reward = tiny()
    clip: Any = reward.towers.model
    pictures, texts = Counter(clip.vision_model), Counter(clip.text_model)
    reward.score_prepared(pixel_values(4), PROMPTS)
    assert pictures.rows == [4]
    assert texts.rows == [3, 4]  # three distinct prompts, four conditions


def test_padding_that_is_dropped_cannot_move_the_score() -> None:
    reward = tiny(padding="drop", condition_padding="drop")
    images, texts = reward.image_backbone(pixel_values(1)), reward.text_backbone(["a cat"])
    assert (texts.tokens[0, 4:] == 0).all()
    short = type(texts)(texts.tokens[:, :4], texts.pooled)
    whole, cut = (reward.score_features(images, t).total for t in (texts, short))
    torch.testing.assert_close(whole, cut)
    kept = tiny(condition_padding="drop").score_prepared(pixel_values(1), ["a cat"]).total
    assert (kept - whole).abs().item() > 1e-4


def test_conditions_are_data_and_overall_is_as_published() -> None:
    texts = default_conditions()
    assert tuple(texts) == ASPECTS
    assert texts["overall"].endswith("location, word, things.")
    assert len(texts["overall"].split(", ")) == 22
    derived = ", ".join(texts[a] for a in ASPECTS[:3])
    assert texts["overall"] == f"{derived}, word, things."


def test_own_conditions_become_the_aspects_of_scores_and_card() -> None:
    reward = tiny(conditions={"hands": "hands, fingers", "overall": "things"})
    assert reward.card.aspects == ("hands", "overall")
    assert list(reward.score(torch.rand(1, 3, 9, 9), "a hand").aspects) == ["hands", "overall"]
    assert MPS.card.aspects == ASPECTS


def test_explain_tells_words_and_places(tmp_path: Path) -> None:
    picture = torch.rand(3, 32, 32)
    prompt = "a red fox, sitting"
    first = sorted(w.relevance for w in tiny().explain(picture, prompt)[0].words)
    threshold = (first[1] + first[2]) / 2
    reward = tiny(threshold=threshold)
    told = reward.explain(picture, prompt)
    assert [e.condition for e in told] == list(ASPECTS)
    scores = reward.score(picture, prompt)
    for explanation in told:
        assert explanation.score == pytest.approx(scores.aspects[explanation.condition].item())
        assert [w.word for w in explanation.words] == ["a", "red", "fox,", "sitting"]
        assert all(prompt[w.start : w.end] == w.word for w in explanation.words)
        assert all(w.kept == (w.relevance > threshold) for w in explanation.words)
        assert explanation.attention.shape == (4, 4)
        assert explanation.attention.sum().item() == pytest.approx(1.0)
    assert sum(w.kept for w in told[0].words) == 2
    with pytest.raises(ImageError):
        reward.explain(tmp_path / "none.png", prompt)
    with pytest.raises(DataError, match="surrogate"):
        reward.explain(picture, "\ud800")


def test_a_word_that_appears_in_the_condition_is_the_most_relevant() -> None:
    reward = tiny()
    clip: Any = reward.towers.model
    nn.init.zeros_(clip.text_model.embeddings.position_embedding.weight)
    told = {e.condition: e for e in reward.explain(torch.rand(3, 32, 32), "a texture cat")}
    words = {w.word: w.relevance for w in told["detail"].words}
    assert max(words, key=lambda word: words[word]) == "texture"


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0.01, "scope": "batch", "condition_padding": "drop"},
        {"mask": "soft", "padding": "drop", "conditions": {"overall": "things"}},
    ],
)
def test_a_saved_reward_keeps_every_option(options: dict[str, Any], tmp_path: Path) -> None:
    reward = tiny(**options)
    reward.save_pretrained(tmp_path)
    again = beholder.load(str(tmp_path))
    assert isinstance(again, MPS)
    assert {k: v for k, v in again.options().items() if k in options} == options
    pixels = torch.rand(2, 3, 50, 40)
    first, second = (r.score(pixels, PROMPTS[:2]).total for r in (reward, again))
    assert torch.equal(first, second)


def test_a_saved_sentence_encoder_brings_its_tokenizer(tmp_path: Path) -> None:
    reward = beholder.load("mps", towers=tiny_towers.timm_text(), config=tiny_towers.HEAD)
    reward.save_pretrained(tmp_path)
    assert "Lowercase" not in (tmp_path / "config.json").read_text()
    again = beholder.load(str(tmp_path))
    assert torch.equal(again.towers.tokenize(["a cat"]), reward.towers.tokenize(["a cat"]))  # type: ignore[operator, union-attr]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"config": {"clips": {}}}, "clips"),
        ({"config": {"cross": {"dim": 31}, "clip": tiny_towers.CLIP}}, "31"),
        ({"config": {"cross": {"depth": 2}, "clip": tiny_towers.CLIP}}, "depth"),
        ({"config": {"cross": {"dim_head": 7}, "clip": tiny_towers.CLIP}}, "even"),
        ({"config": tiny_towers.CONFIG, "threshold": 1.5}, "threshold"),
        ({"config": tiny_towers.CONFIG, "treshold": 0.1}, "treshold"),
        ({"config": tiny_towers.CONFIG, "conditions": {"detail": "hair"}}, "overall"),
        ({"config": tiny_towers.CONFIG, "towers": tiny_towers.OPEN_CLIP}, "not both"),
        ({"towers": {"kind": "blip"}}, "blip"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        beholder.load("mps", **options)
