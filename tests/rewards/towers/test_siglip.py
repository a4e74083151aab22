import json
import string
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from beholder.errors import ConfigError
from beholder.rewards._towers import Towers, build_towers
from beholder.rewards._towers.siglip import SiglipTowers, canonical_text
from tests.rewards.contract import smooth_pictures
from tests.rewards.tinies.siglip import CONFIG
from tests.rewards.tiny_towers import word_tokenizer

FIXTURE = Path(__file__).parents[2] / "data/rewards/siglip_tokens.json"  # "how" says how
TEXT = {**CONFIG["text"], "projection_size": 32}
OPTIONS: dict[str, Any] = {
    "kind": "siglip",
    "text": TEXT,
    "vision": CONFIG["vision"],
    "pad_token": "[PAD]",
}


@pytest.fixture(scope="module")
def towers() -> Towers:
    torch.manual_seed(0)
    return build_towers({**OPTIONS, "tokenizer": word_tokenizer()}).eval()


def unigram(**changes: Any) -> SiglipTowers:
    saved = json.loads(FIXTURE.read_text(encoding="utf-8"))
    text = {**TEXT, "vocab_size": 400, "max_position_embeddings": 64}
    return SiglipTowers(text, CONFIG["vision"], tokenizer=json.dumps(saved["tokenizer"]), **changes)


def test_token_ids_are_those_of_the_published_tokenizer() -> None:
    saved = json.loads(FIXTURE.read_text(encoding="utf-8"))
    assert unigram().tokenize(saved["prompts"]).tolist() == saved["ids"]


def test_typed_specials_are_plain_text() -> None:
    reader = unigram()
    typed, plain = reader.tokenize(["red </s> car", "red s car"])
    assert torch.equal(typed, plain)


def test_only_what_follows_the_end_of_a_text_is_padding(towers: Towers) -> None:
    reader = unigram()
    ids = reader.tokenize(["a cat", ""])  # ▁a ▁c at </s>
    assert reader.padding(ids)[0].tolist() == [False] * 4 + [True] * 60
    assert reader.padding(ids)[1].tolist() == [False] + [True] * 63
    words = towers.tokenize(["a cat"])  # [CLS] a cat [SEP]
    assert towers.padding(words)[0].tolist() == [False] * 4 + [True] * 12


def test_spans_point_into_the_text_as_it_was_written() -> None:
    text = "A red  CAR!, İst"
    spans = [span for span in unigram().token_spans(text) if span]
    assert "".join(text[start:end] for start, end in spans).replace(" ", "") == "AredCARİİst"
    assert all(text[start:end].strip(string.punctuation) for start, end in spans)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  A Photo, of a DOG!! ", "a photo of a dog"),
        ("- a -", "a"),
        ("a . b", "a b"),
        ("?!", ""),
    ],
)
def test_texts_lose_capitals_punctuation_and_spaces(text: str, expected: str) -> None:
    assert canonical_text(text)[0] == expected


def test_a_letter_that_becomes_two_keeps_its_place() -> None:
    assert canonical_text(" İ,\tB") == ("i\u0307 b", [1, 1, 3, 4])


def test_states_and_pools_are_those_of_transformers(towers: Towers) -> None:
    model: Any = towers.model
    values, ids = torch.randn(2, 3, 32, 32), towers.tokenize(["a cat", "two red"])
    image, text = towers.encode_image(values), towers.encode_text(ids)
    expected_image = model.get_image_features(pixel_values=values)
    expected_text = model.get_text_features(input_ids=ids)
    torch.testing.assert_close(image.pooled, expected_image.pooler_output)
    torch.testing.assert_close(text.pooled, expected_text.pooler_output)
    torch.testing.assert_close(image.tokens[:, 0], image.pooled)
    torch.testing.assert_close(image.tokens[:, 1:], expected_image.last_hidden_state)
    torch.testing.assert_close(text.tokens[:, -1], text.pooled)
    torch.testing.assert_close(towers.pooled_text(["a cat", "two red"]), text.pooled)
    assert image.tokens.shape == (2, 17, 32)
    assert text.tokens.shape == (2, 16, 32)


def test_pixels_are_prepared_as_the_published_processor_does(towers: Towers) -> None:
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    pictures = smooth_pictures(3, 50, 77)
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    shown = [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in pictures]
    expected = processor(shown, return_tensors="pt")["pixel_values"]
    error = (towers.preprocess(pictures) - expected).abs()
    assert error.max() <= 2.01 / 255  # one grey level
    assert (error > 1e-6).float().mean() < 0.01


def test_options_rebuild_the_architecture_and_weights_bring_the_tokenizer(towers: Towers) -> None:
    again = build_towers(towers.options())
    with pytest.raises(ConfigError, match="have no tokenizer"):
        again.tokenize(["a cat"])
    again.load_state_dict(towers.state_dict())
    assert again.eval().options() == towers.options()
    assert torch.equal(again.pooled_text(["a cat"]), towers.pooled_text(["a cat"]))


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="projected to 8 values, pictures have 32"):
        build_towers({**OPTIONS, "text": {**TEXT, "projection_size": 8}})
    with pytest.raises(ConfigError, match=r"no token '<pad>'"):
        build_towers({**OPTIONS, "tokenizer": word_tokenizer(), "pad_token": "<pad>"})
    with pytest.raises(ConfigError, match="has no option 'size'"):
        build_towers({**OPTIONS, "size": 3})
