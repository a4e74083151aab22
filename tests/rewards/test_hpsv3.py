import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import beholder
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.rewards import hpsv3
from beholder.rewards._vlm.chat import CHAT
from beholder.rewards.hpsv3 import HPSv3, chat, own_name, recognises
from tests.rewards._vlm import tiny_qwen
from tests.rewards.contract import check_reward
from tests.rewards.tinies import vqascore
from tests.rewards.tinies.hpsv3 import published_state, tiny

OFFICIAL: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data/rewards/hpsv3.json").read_text(encoding="utf-8")
)
"""What the authors' package gave; its "made_with" says how."""

INSTRUCTION_SHA256 = "037da3f62d0d336bbfc51d06c35c8c4b9e9b45851c0d0c2491b138922204f7ad"
"""Of the authors' text from its first line feed to the token that is read, prompt as "{text}"."""


def official_pictures() -> list[Tensor]:
    return [tiny_qwen.picture(k, *size) for k, size in enumerate(OFFICIAL["sizes"])]


def rated(reward: HPSv3) -> Tensor:
    rows = []
    for picture, prompt in zip(official_pictures(), OFFICIAL["prompts"], strict=True):
        mean, deviation = reward.distribution(picture[None], prompt)
        rows.append(torch.cat([mean, deviation.log()]))
    return torch.stack(rows)


def test_contract() -> None:
    check_reward(tiny())


@pytest.mark.parametrize(("rotary", "official"), [("float32", "float32"), ("bfloat16", "rounded")])
@torch.no_grad()
def test_ratings_are_those_of_the_authors_package(rotary: str, official: str) -> None:
    ours, expected = rated(tiny(pixels=hpsv3.PIXELS, rotary=rotary)), Tensor(OFFICIAL[official])
    square = OFFICIAL["sizes"].index([64, 64])  # of equal pixels; others differ by grey levels
    torch.testing.assert_close(ours[square], expected[square], atol=5e-6, rtol=5e-6)
    torch.testing.assert_close(ours, expected, atol=1e-3, rtol=0)
    other = Tensor(OFFICIAL["rounded" if official == "float32" else "float32"])
    assert (ours - other).abs().max() > 0.03


@torch.no_grad()
def test_rounded_frequencies_come_nearer_to_the_published_bfloat16_model() -> None:
    def error(rotary: str) -> float:
        half = tiny(pixels=hpsv3.PIXELS, rotary=rotary)
        half.cast(torch.bfloat16)
        return (rated(half) - Tensor(OFFICIAL["bfloat16"])).abs().mean().item()

    assert error("bfloat16") < 0.7 * error("float32")


def test_ids_are_those_of_the_authors_package_up_to_the_token_that_is_read() -> None:
    tokenizer = tiny().vlm.tokenizer
    rows = zip(OFFICIAL["prompts"], OFFICIAL["grids"], OFFICIAL["input_ids"], strict=True)
    for prompt, (_, height, width), expected in rows:
        chats = tokenizer.render(chat(), [prompt], height * width // 4)
        ids = chats.ids[0].tolist()
        assert ids == expected[: len(ids)]
        assert ids[-1] == tokenizer.special(hpsv3.REWARD)


@torch.no_grad()
def test_prepared_inputs_of_the_authors_package_give_the_same() -> None:
    reward = tiny(pixels=hpsv3.PIXELS)
    square = OFFICIAL["sizes"].index([64, 64])
    values = reward.preprocess(official_pictures()[square][None])
    ids = torch.tensor([OFFICIAL["input_ids"][square]])
    found = reward.forward_features(values, ids)
    expected = Tensor([OFFICIAL["rounded"][square]])
    torch.testing.assert_close(found, expected, atol=5e-6, rtol=5e-6)
    with pytest.raises(DataError, match="each with one"):
        reward.forward_features(values, ids[:, :-100])
    with pytest.raises(DataError, match="256 tokens"):
        reward.forward_features(values, ids[:, 100:])


def test_the_instruction_is_the_published_text() -> None:
    begin, end = "<|vision_end|>", hpsv3.REWARD
    text = chat()[chat().index(begin) + len(begin) :]
    assert CHAT.startswith(chat()[: chat().index(begin)])
    assert text.endswith(f"Please provide the overall ratings of this image: {end}")
    assert text.count("{text}") == 1
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == INSTRUCTION_SHA256


def test_the_distribution_holds_the_score() -> None:
    reward = tiny()
    pixels = torch.rand(2, 3, 60, 60, requires_grad=True)
    mean, deviation = reward.distribution(pixels, "a cat")
    torch.testing.assert_close(mean, reward(pixels, "a cat").total)
    assert (deviation > 0).all()
    (mean.sum() + deviation.sum()).backward()
    assert pixels.grad is not None
    with pytest.raises(DataError, match="one each"):
        reward.distribution(pixels, ["a"])


def test_special_tokens_in_a_prompt_do_not_cut_it() -> None:
    reward = tiny()
    pixels = torch.rand(1, 3, 60, 60)
    prompts = [
        "<|im_end|> a cat",
        "<|im_end|> a dog",
        "<|Reward|> a cat",
        "<|image_pad|>",
        "{text}",
    ]
    totals = [reward.score(pixels, prompt).total.item() for prompt in prompts]
    assert len(set(totals)) == len(prompts)


def test_the_authors_package_names_its_weights_so() -> None:
    assert sorted(published_state(tiny())) == OFFICIAL["keys"]


@pytest.mark.parametrize("generation", ["4", "5"])
def test_the_published_file_loads(tmp_path: Path, generation: str) -> None:
    reward = tiny()
    state = published_state(reward)
    if generation == "5":
        state = {_new_name(name): value for name, value in state.items()}
    torch.save(state, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    pixels = torch.rand(2, 3, 70, 64)
    expected = reward.score(pixels, "a").total
    for file in ("a.pth", "a.safetensors"):
        assert torch.equal(load(tmp_path, file).score(pixels, "a").total, expected)


def _new_name(name: str) -> str:
    if name.startswith("visual."):
        return f"model.{name}"
    return name.replace("model.", "model.language_model.", 1)


def load(folder: Path, file: str, **options: Any) -> HPSv3:
    tokenizer = tiny_qwen.tokenizer_file(folder)
    given = {"config": tiny_qwen.CONFIG, "pixels": 56 * 84, "tokenizer": tokenizer, **options}
    reward = beholder.load("hpsv3", weights=folder / file, **given)
    assert isinstance(reward, HPSv3)
    return reward


def test_weights_keep_their_type_and_number_of_tokens(tmp_path: Path) -> None:
    def half(name: str, value: Tensor) -> Tensor:
        value = value if name.startswith("rm_head") else value.bfloat16()
        return value[:711].clone() if "embed_tokens" in name or "lm_head" in name else value

    state = {name: half(name, value) for name, value in published_state(tiny()).items()}
    save_file(state, tmp_path / "a.safetensors")
    reward = load(tmp_path, "a.safetensors")
    assert reward.vlm.dtype == torch.bfloat16
    assert reward.vlm.embeddings.shape == (711, 32)
    assert reward.rm_head[0].weight.dtype == torch.float32
    reward.save_pretrained(tmp_path / "saved")
    again = beholder.load(str(tmp_path / "saved"))
    pixels = torch.rand(1, 3, 70, 64)
    assert again.options() == reward.options()
    assert torch.equal(again.score(pixels, "a").total, reward.score(pixels, "a").total)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"visual.merger.ln_q.weight": None}, r"1 missing: vlm\.model\.visual\.merger\.ln_q"),
        ({"visual.extra.weight": torch.zeros(1)}, r"1 unexpected: vlm\.model\.visual\.extra"),
        ({"rm_head.5.weight": torch.zeros(3, 16)}, r"rm_head\.5\.weight \(3, 16\) instead"),
        ({"model.norm.weight": torch.full((32,), torch.nan)}, r"NaN .* model\.norm\.weight"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, change: dict[str, Tensor | None], why: str
) -> None:
    state = {**published_state(tiny()), **change}
    save_file({k: v for k, v in state.items() if v is not None}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=why):
        load(tmp_path, "a.safetensors")


def test_without_arguments_the_published_weights_are_fetched_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(published: object) -> Path:
        raise WeightsError(f"asked for {published}")

    monkeypatch.setattr(hpsv3, "fetch", refuse)
    with pytest.raises(WeightsError, match=r"MizzenAI/HPSv3.*HPSv3\.safetensors"):
        beholder.load("hpsv3")


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hpsv3 has no option 'size'"):
        tiny(size=3)
    with pytest.raises(ConfigError, match="rotary is one of float32, bfloat16; got 'exact'"):
        tiny(rotary="exact")
    with pytest.raises(ConfigError, match="one token of 28x28"):
        tiny(pixels=100)
    with pytest.raises(ConfigError, match="do not belong together"):
        tiny(config={**tiny_qwen.CONFIG, "text": {**tiny_qwen.TEXT, "vocab_size": 100}})
    with pytest.raises(WeightsError, match="cannot read the tokenizer"):
        beholder.load("hpsv3", config=tiny_qwen.CONFIG, tokenizer=tmp_path / "none.json")


def test_its_files_are_recognised() -> None:
    state = published_state(tiny())
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert recognises(shapes)
    assert recognises({f"module.{name}": shape for name, shape in shapes.items()})
    assert not recognises({k: v for k, v in shapes.items() if not k.startswith("rm_head")})
    other = vqascore.published_state(vqascore.tiny())
    assert not recognises({name: tuple(value.shape) for name, value in other.items()})


def test_unknown_names_stay_and_the_language_head_goes() -> None:
    assert own_name("lm_head.weight") is None
    assert own_name("strange.weight") == "strange.weight"
    assert own_name("module.rm_head.0.bias") == "rm_head.0.bias"
