from typing import Any

import pytest
import torch

from beholder.errors import ConfigError
from beholder.rewards._towers import Towers, build_towers
from beholder.rewards._towers.clip import after_highest, clip_encoding, clip_spans, prepare
from tests.rewards import tiny_towers

PROMPTS = [
    "",
    "a cat",
    "A Photo, of a DOG!!",
    " lots   of\tspace\n",
    "don't stop, it's 12.5% off",
    "😀 a cat",
    "一只猫在桌子上",
    "café naïve Ünïcode İstanbul",
    "_under_score_ a_b",
    "x" * 300,
    "a cat " * 60,
    "red <|endoftext|> car",
]


@pytest.fixture(scope="module")
def towers() -> Towers:
    torch.manual_seed(0)
    return build_towers({"kind": "clip", **tiny_towers.CLIP}).eval()


def test_token_ids_equal_those_of_open_clip_but_for_the_padding() -> None:
    from open_clip.tokenizer import SimpleTokenizer

    found, expected = clip_encoding(PROMPTS, 77)["input_ids"], SimpleTokenizer()(PROMPTS)
    for ids, reference in zip(found, expected, strict=True):
        length = int((reference != 0).sum())
        assert ids[:length].tolist() == reference[:length].tolist()
        assert (ids[length:] == 49407).all()


def test_a_typed_end_of_text_is_plain_text() -> None:
    typed, plain = clip_encoding(["a cat <|endoftext|> of low quality", "a cat"], 77)["input_ids"]
    assert typed.tolist().index(49407) > plain.tolist().index(49407) + 4


def test_spans_cover_the_words_they_come_from() -> None:
    text = "A red fox, sitting"
    spans = clip_spans(text, 12)
    assert [text[s:e] for s, e in (span for span in spans if span)] == [
        "A",
        "red",
        "fox",
        ",",
        "sitting",
    ]
    assert [span is None for span in spans] == [True] + [False] * 5 + [True] * 6


def test_states_and_projections_are_those_of_transformers(towers: Towers) -> None:
    clip: Any = towers.model
    pixel_values, ids = torch.randn(2, 3, 32, 32), towers.tokenize(["a cat", "two red cubes"])
    image, text = towers.encode_image(pixel_values), towers.encode_text(ids)
    expected_image = clip.get_image_features(pixel_values=pixel_values)
    expected_text = clip.get_text_features(input_ids=ids)
    torch.testing.assert_close(image.pooled, expected_image.pooler_output)
    torch.testing.assert_close(text.pooled, expected_text.pooler_output)
    torch.testing.assert_close(
        image.tokens, clip.visual_projection(expected_image.last_hidden_state)
    )
    torch.testing.assert_close(text.tokens, clip.text_projection(expected_text.last_hidden_state))
    assert image.tokens.shape == (2, 17, 32)


def test_a_text_is_pooled_at_its_highest_id_whatever_the_vocabulary() -> None:
    text = {**tiny_towers.CLIP["text"], "vocab_size": 50}
    small = build_towers({"kind": "clip", **tiny_towers.CLIP, "text": text}).eval()
    features = small.text_backbone(torch.tensor([[1, 7, 49, 49]]))
    torch.testing.assert_close(features.pooled[0], features.tokens[0, 2])


def test_padding_lies_behind_the_end_of_the_text(towers: Towers) -> None:
    ids = towers.tokenize(["a cat"])
    assert towers.padding(ids)[0].tolist() == [False] * 4 + [True] * 73
    assert after_highest(torch.tensor([[5, 9, 9, 0]])).tolist() == [[False, False, True, True]]


def test_options_rebuild_the_same_architecture(towers: Towers) -> None:
    again = build_towers(towers.options())
    again.load_state_dict(towers.state_dict())
    assert again.preprocess == towers.preprocess
    pixel_values = torch.randn(1, 3, 32, 32)
    expected = towers.encode_image(pixel_values).tokens
    assert torch.equal(again.eval().encode_image(pixel_values).tokens, expected)


def test_preprocessing_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="32 pixels"):
        prepare(32, (0, 0, 0), (1, 1, 1), {"size": 64})
    with pytest.raises(ConfigError, match="crop_fraction"):
        prepare(32, (0, 0, 0), (1, 1, 1), {"crop_fraction": 1})
