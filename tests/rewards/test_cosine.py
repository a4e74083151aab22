from typing import Any

import torch
from torch.nn import functional

from tests.rewards.tinies.clipscore import tiny

TEXTS = ["a cat", "a cat", "a red cube", ""]


@torch.no_grad()
def test_scores_of_prepared_inputs_are_those_of_the_doors() -> None:
    reward = tiny()
    values = torch.randn(4, 3, 64, 64)
    ids = reward.towers.tokenize([reward.prefix + text for text in TEXTS])
    torch.testing.assert_close(
        reward.forward_features(values, ids), reward.score_prepared(values, TEXTS).total
    )
    image = reward.towers.encode_image(values).pooled
    text = reward.towers.encode_text(ids).pooled
    cosine = functional.cosine_similarity(image, text)
    torch.testing.assert_close(reward.forward_features(values, ids), reward.from_cosine(cosine))


def test_prompts_are_encoded_once_even_between_calls() -> None:
    reward = tiny()
    counted: list[int] = []
    encode = reward.towers.pooled_text

    def counting(texts: Any) -> torch.Tensor:
        counted.append(len(texts))
        return encode(texts)

    reward.towers.pooled_text = counting  # type: ignore[method-assign]
    pictures = torch.rand(4, 3, 64, 64)
    first = reward.score(pictures, TEXTS, batch_size=2).total
    again = reward.score(pictures, TEXTS).total
    assert counted == [1, 2]
    torch.testing.assert_close(again, first)


def test_a_picture_is_encoded_once_for_all_its_prompts() -> None:
    reward = tiny()
    rows: list[int] = []
    encode = reward.towers.pooled_image

    def counting(pixel_values: torch.Tensor) -> torch.Tensor:
        rows.append(len(pixel_values))
        return encode(pixel_values)

    reward.towers.pooled_image = counting  # type: ignore[method-assign]
    picture = torch.rand(3, 64, 64)
    scores = reward.score([picture] * 3, ["a cat", "a dog", "a cube"]).total
    assert rows == [1]
    alone = [reward.score([picture], [text]).total for text in ("a cat", "a dog", "a cube")]
    torch.testing.assert_close(scores, torch.cat(alone), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_prompt_features_are_what_pictures_are_compared_with() -> None:
    reward = tiny()
    values = torch.randn(4, 3, 64, 64)
    features = reward.prompt_features(TEXTS)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(features[0], features[1])
    cosine = functional.cosine_similarity(reward.encode(values), features)
    torch.testing.assert_close(
        reward.from_cosine(cosine), reward.score_prepared(values, TEXTS).total
    )
    (prefixed,) = reward.towers.pooled_text([reward.prefix + "a red cube"])
    torch.testing.assert_close(features[2], functional.normalize(prefixed, dim=0))
