import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import beholder
from beholder.errors import ConfigError, DataError, ImageError, WeightsError
from beholder.rewards._cross import CrossModel
from beholder.rewards._weights import Published
from beholder.rewards.mps import CLIP_H, MPS, canonical_names, default_conditions
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


def published_state(reward: MPS, prefix: str) -> dict[str, Tensor]:
    state = {k.removeprefix("towers."): v for k, v in reward.state_dict().items()}
    state["model.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    return {prefix + key: value.clone() for key, value in state.items()}


@pytest.mark.parametrize("prefix", ["", "mps.", "module.", "model."])
def test_published_names_load_with_any_wrapper(prefix: str, tmp_path: Path) -> None:
    reward = tiny()
    save_file(published_state(reward, prefix), tmp_path / "mps.safetensors")
    loaded = beholder.load("mps", weights=tmp_path / "mps.safetensors", config=tiny_towers.CONFIG)
    pixels = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded.score(pixels, "a cat").total, reward.score(pixels, "a cat").total)


def test_without_anything_given_the_published_weights_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = beholder.load("mps", config={"clip": tiny_towers.CLIP})
    assert isinstance(source, MPS)
    save_file(published_state(source, "mps."), tmp_path / "model.safetensors")
    fetched: list[Published] = []

    def fetch(published: Published) -> Path:
        fetched.append(published)
        return tmp_path / "model.safetensors"

    monkeypatch.setattr("beholder.rewards.mps.fetch", fetch)
    monkeypatch.setattr("beholder.rewards.mps.CLIP_H", tiny_towers.CLIP)
    pixels = torch.rand(1, 3, 32, 32)
    loaded = beholder.load("mps")
    assert [published.repo for published in fetched] == ["RE-N-Y/mpsv1"]
    assert torch.equal(loaded.score(pixels, "a").total, source.score(pixels, "a").total)


def test_the_published_sizes_are_those_of_the_paper() -> None:
    from transformers import CLIPTextConfig, CLIPVisionConfig

    text, vision = (CLIP_H[name] for name in ("text", "vision"))
    assert isinstance(text, dict)
    assert isinstance(vision, dict)
    known = CLIPTextConfig(**text), CLIPVisionConfig(**vision)
    assert [c.num_hidden_layers for c in known] == [24, 32]
    assert (known[0].vocab_size, known[0].max_position_embeddings) == (49408, 77)
    assert (known[1].image_size, known[1].patch_size) == (224, 14)
    head = CrossModel()
    assert sum(p.numel() for p in head.parameters()) == pytest.approx(118.5e6, rel=1e-3)


def test_tables_that_are_computed_may_be_absent(tmp_path: Path) -> None:
    state = published_state(tiny(), "")
    lean = {k: v for k, v in state.items() if not k.endswith(("inv_freq", "norm.bias"))}
    assert len(lean) < len(state)
    save_file(lean, tmp_path / "mps.safetensors")
    beholder.load("mps", weights=tmp_path / "mps.safetensors", config=tiny_towers.CONFIG)


def test_keys_that_are_missing_or_unexpected_are_named(tmp_path: Path) -> None:
    state = published_state(tiny(), "mps.")
    del state["mps.cross_model.layers.1.0.fn.to_q.weight"]
    state["mps.head.weight"] = torch.zeros(1)
    save_file(state, tmp_path / "mps.safetensors")
    with pytest.raises(WeightsError, match=r"layers\.1\.0\.fn\.to_q\.weight.*head\.weight"):
        beholder.load("mps", weights=tmp_path / "mps.safetensors", config=tiny_towers.CONFIG)


def test_two_keys_of_one_meaning_are_refused() -> None:
    with pytest.raises(WeightsError, match="logit_scale"):
        canonical_names({"logit_scale": torch.ones(()), "model.logit_scale": torch.ones(())})


class Evil:
    """Creates a folder if its pickle is executed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.folder,)


def test_the_published_pickled_module_loads_without_being_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = tiny()
    trainer = ModuleType("trainer.models.clip_model")

    class CLIPModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = reward.towers.model
            self.cross_model = reward.cross_model
            self.config = Evil(tmp_path / "executed")

    CLIPModel.__module__, CLIPModel.__qualname__ = "trainer.models.clip_model", "CLIPModel"
    trainer.CLIPModel = CLIPModel  # type: ignore[attr-defined]
    for name in ("trainer", "trainer.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "trainer.models.clip_model", trainer)
    path = tmp_path / "MPS_overall_checkpoint.pth"
    torch.save(CLIPModel().half(), path)
    torch.load(path, weights_only=False)
    (tmp_path / "executed").rmdir()  # so that is what an ordinary load does
    expected = {k: v.float().clone() for k, v in reward.state_dict().items()}
    for name in ("trainer.models.clip_model", "trainer.models", "trainer"):
        monkeypatch.delitem(sys.modules, name)
    loaded = beholder.load("mps", weights=path, config=tiny_towers.CONFIG)
    assert not (tmp_path / "executed").exists()
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[name])


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
