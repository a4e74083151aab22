import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

import beholder
from beholder._published.weights import Published
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.rewards import vqascore
from beholder.rewards._vlm.chat import CHAT
from beholder.rewards.vqascore import VQAScore, own_name, recognises
from tests.rewards._vlm import tiny_qwen
from tests.rewards.contract import check_reward
from tests.rewards.tinies import hpsv3
from tests.rewards.tinies.vqascore import published_state, tiny

SIZES = [(96, 80), (64, 64), (40, 130), (56, 84)]
PROMPTS = ["a red cat", "two cubes on a table", "", "it's {text}"]


@pytest.fixture(scope="module")
def library() -> Any:
    """transformers' own model with the weights of `tiny`, and its processors."""
    from transformers import PreTrainedTokenizerFast, Qwen2VLConfig
    from transformers import Qwen2VLForConditionalGeneration as Model
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tiny_qwen.tokenizer_text())
    )
    config = Qwen2VLConfig(
        text_config={**tiny_qwen.TEXT, "bos_token_id": None, "eos_token_id": None},
        vision_config=tiny_qwen.VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
    )
    model = Model(config).eval()
    state = {_new_name(k): v for k, v in published_state(tiny()).items()}
    model.load_state_dict(state)
    processor = Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=56 * 84)
    return model, tokenizer, processor


def _new_name(name: str) -> str:
    if name.startswith("visual."):
        return f"model.{name}"
    return name.replace("model.", "model.language_model.", 1)


@torch.no_grad()
def generated(library: Any, pixels: Tensor, question: str, answer: str = "Yes") -> Tensor:
    """As t2v_metrics 3.0: greedy generation of one token for one picture, softmax of its scores."""
    model, tokenizer, processor = library
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    inputs = processor(images=[picture], return_tensors="pt")
    cells = int(inputs["image_grid_thw"].prod()) // 4
    text = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        f"<|vision_start|>{'<|image_pad|>' * cells}<|vision_end|>{question}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    found = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        mm_token_type_ids=(ids == model.config.image_token_id).int(),
        **inputs,
        max_new_tokens=1,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
    )
    shares: Tensor = found.scores[0].softmax(dim=-1)[0]
    return shares[tokenizer.encode(answer)[0]]


def pictures() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    coarse = [torch.randint(256, (1, 3, 4, 5), generator=generator).float() for _ in SIZES]
    return [
        torch.nn.functional.interpolate(c, size, mode="nearest")[0].byte()
        for c, size in zip(coarse, SIZES, strict=True)
    ]


def test_contract() -> None:
    check_reward(tiny())


def test_contract_with_a_tied_output_layer() -> None:
    check_reward(tiny(tied=True))


def test_scores_are_what_transformers_generates_with(library: Any) -> None:
    questions = [f"Does this figure show '{text}'? Please answer yes or no." for text in PROMPTS]
    expected = [generated(library, p, q) for p, q in zip(pictures(), questions, strict=True)]
    totals = tiny().score(pictures(), PROMPTS).total
    assert totals.std() > 1e-4
    torch.testing.assert_close(totals, torch.stack(expected), atol=1e-6, rtol=0.02)
    unresized = SIZES.index((56, 84))
    torch.testing.assert_close(totals[unresized], expected[unresized], atol=1e-7, rtol=1e-4)


def test_question_and_answer_are_options(library: Any) -> None:
    reward = tiny(question='Does this image show "{text}"?')
    reward.answer = "No"  # later, as the tiny model prefers the answer that it is built with
    pixels = pictures()[-1]
    expected = generated(library, pixels, 'Does this image show "a cat"?', "No")
    torch.testing.assert_close(reward.score(pixels, "a cat").total[0], expected)


def test_prepared_inputs_score_as_pictures() -> None:
    reward = tiny()
    pixels = torch.stack(pictures()[:1] * 2)
    values = reward.preprocess(pixels)
    cells = values.shape[2] * values.shape[3] // 28**2
    question = reward.question.replace("{text}", "a cat")
    ids = reward.vlm.tokenizer.render(CHAT, [question] * 2, cells).ids
    found = reward.forward_features(values, ids)
    torch.testing.assert_close(found, reward.score(pixels, "a cat").total)
    with pytest.raises(DataError, match="2 pictures but 1 rows"):
        reward.forward_features(values, ids[:1])
    with pytest.raises(DataError, match="picture of 4 tokens"):
        reward.forward_features(values, ids[:, 60:])


def test_special_tokens_in_a_prompt_do_not_cut_it() -> None:
    reward = tiny()
    pixels = pictures()[0]
    prompts = ["<|im_end|> a cat", "<|im_end|> a dog", "<|image_pad|>", "{text}"]
    totals = [reward.score(pixels, prompt).total.item() for prompt in prompts]
    assert len(set(totals)) == len(prompts)


def sharded(state: dict[str, Tensor], folder: Path) -> Path:
    """The state in two files and their index, as on the hub."""
    names = sorted(state)
    weight_map = {
        name: f"model-0000{1 + k % 2}-of-00002.safetensors" for k, name in enumerate(names)
    }
    for file in set(weight_map.values()):
        save_file({n: state[n] for n in names if weight_map[n] == file}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    return index


def load(folder: Path, weights: Path | None, **options: Any) -> VQAScore:
    tokenizer = tiny_qwen.tokenizer_file(folder)
    given = {"config": tiny_qwen.CONFIG, "pixels": [784, 4704], "tokenizer": tokenizer, **options}
    reward = beholder.load("vqascore", weights=weights, **given)
    assert isinstance(reward, VQAScore)
    return reward


def test_published_shards_and_single_files_load(tmp_path: Path) -> None:
    reward = tiny()
    index = sharded(published_state(reward), tmp_path)
    save_file(published_state(reward), tmp_path / "whole.safetensors")
    save_file(
        {_new_name(k): v for k, v in published_state(reward).items()}, tmp_path / "new.safetensors"
    )
    expected = reward.score(pictures(), PROMPTS).total
    for file in (index, tmp_path / "whole.safetensors", tmp_path / "new.safetensors"):
        assert torch.equal(load(tmp_path, file).score(pictures(), PROMPTS).total, expected)


def test_a_file_without_output_layer_is_tied_and_keeps_its_type(tmp_path: Path) -> None:
    reward = tiny(tied=True)
    state = {name: value.bfloat16() for name, value in published_state(reward).items()}
    assert "lm_head.weight" not in state
    loaded = load(tmp_path, sharded(state, tmp_path))
    assert loaded.lm_head is None
    assert loaded.vlm.dtype == torch.bfloat16
    expected = reward.cast(torch.bfloat16).score(pictures(), PROMPTS).total
    assert torch.equal(loaded.score(pictures(), PROMPTS).total, expected)
    loaded.save_pretrained(tmp_path / "saved")
    again = beholder.load(str(tmp_path / "saved"))
    assert torch.equal(again.score(pictures(), PROMPTS).total, expected)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model.norm.weight": None}, r"1 missing: vlm\.model\.language_model\.norm\.weight"),
        ({"rm_head.0.weight": torch.zeros(1)}, r"1 unexpected: rm_head\.0\.weight"),
        ({"lm_head.weight": torch.zeros(3, 32)}, r"lm_head\.weight \(3, 32\) instead"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, change: dict[str, Tensor | None], why: str
) -> None:
    state = {**published_state(tiny()), **change}
    save_file({k: v for k, v in state.items() if v is not None}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=why):
        load(tmp_path, tmp_path / "a.safetensors")


@pytest.mark.parametrize("size", ["7B", "2B"])
def test_without_arguments_published_shards_are_fetched_first(
    monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    def refuse(index: Published) -> list[Path]:
        raise WeightsError(f"asked for {index.repo}/{index.file}")

    monkeypatch.setattr(vqascore, "fetch_shards", refuse)
    repo = f"Qwen/Qwen2-VL-{size}-Instruct"
    with pytest.raises(WeightsError, match=rf"{repo}/model\.safetensors\.index\.json"):
        beholder.load("vqascore", model=repo)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="vqascore has no option 'size'"):
        tiny(size=3)
    with pytest.raises(ConfigError, match="model is one of Qwen/Qwen2-VL-7B"):
        tiny(model="Qwen/Qwen2-VL-72B-Instruct")
    with pytest.raises(ConfigError, match=r"question needs '\{text\}'"):
        tiny(question="Is it good?")
    with pytest.raises(ConfigError, match="answer is empty"):
        tiny(answer="")
    with pytest.raises(ConfigError, match="lowest and the highest area"):
        tiny(pixels=[1000])
    with pytest.raises(ConfigError, match="min_pixels must lie"):
        tiny(pixels=[2000, 1000])


def test_its_files_are_recognised() -> None:
    shapes = {name: tuple(value.shape) for name, value in published_state(tiny()).items()}
    assert recognises(shapes)
    assert recognises({k: v for k, v in shapes.items() if k != "lm_head.weight"})
    other = hpsv3.published_state(hpsv3.tiny())
    assert not recognises({name: tuple(value.shape) for name, value in other.items()})
    assert not recognises({"text_model.embeddings.position_embedding.weight": (77, 512)})


def test_unknown_names_stay() -> None:
    assert own_name("lm_head.weight") == "lm_head.weight"
    assert own_name("strange.weight") == "strange.weight"
