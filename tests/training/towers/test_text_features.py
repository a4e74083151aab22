from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from beholder.errors import ConfigError
from beholder.rewards._towers import Features, build_towers
from beholder.rewards.mps import MPS
from beholder.rewards.pickscore import PickScore
from beholder.training.towers import features as module
from beholder.training.towers.features import (
    TextFeatures,
    filled,
    text_hash,
)
from beholder.training.towers.freezing import tower_weights
from tests.rewards.tinies import aesthetic
from tests.rewards.tiny_towers import timm_text
from tests.training.brightness import tiny_mps
from tests.training.towers.test_features import fp32


def test_a_prompt_has_the_same_states_in_any_company(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = tiny_mps().eval()
    texts = TextFeatures(reward, fp32)
    alone = texts.of(["a cat"])
    monkeypatch.setattr(MPS, "text_backbone", None)  # it is not asked again
    assert torch.equal(texts.of(["a cat", "a cat"]).tokens[1:], alone.tokens)


PROMPTS = [f"a picture of {k} cats" for k in range(6)]


def count_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Those of PROMPTS that go through the text tower, in order."""
    seen: list[str] = []
    whole = MPS.text_backbone

    def counted(reward: MPS, texts: Any) -> Features:
        seen.extend(text for text in texts if text in PROMPTS)
        return whole(reward, texts)

    monkeypatch.setattr(MPS, "text_backbone", counted)
    return seen


def test_prompts_are_encoded_once_in_any_number_of_epochs_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = tiny_mps().eval()
    seen = count_texts(monkeypatch)
    monkeypatch.setattr(module, "TEXT_BYTES", 0)  # nothing is held in memory
    first = TextFeatures(reward, fp32, tmp_path)
    first.survey(PROMPTS, 0, 1)
    states = [first.of(PROMPTS) for _ in range(3)]
    assert seen == PROMPTS
    second = TextFeatures(reward, fp32, tmp_path)
    second.survey(PROMPTS[::-1], 0, 1)
    states.append(second.of(PROMPTS))
    assert seen == PROMPTS
    alone = filled([TextFeatures(reward, fp32).of([prompt]) for prompt in PROMPTS])
    for found in states:
        assert torch.equal(found.tokens, alone.tokens)
        assert torch.equal(found.pooled, alone.pooled)


def test_what_memory_holds_of_prompts_is_bounded_and_reused_by_the_next_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reward = tiny_mps().eval()
    one = reward.text_backbone(["a"])
    size = one.tokens.nbytes + one.pooled.nbytes + 1024
    monkeypatch.setattr(module, "TEXT_BYTES", 4 * size)
    seen = count_texts(monkeypatch)
    texts = TextFeatures(reward, fp32)
    for _ in range(2):
        for prompt in PROMPTS:
            texts.of([prompt])
    assert seen == [*PROMPTS, *PROMPTS[4:]]


def test_processes_share_the_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = count_texts(monkeypatch)
    reward = tiny_mps().eval()
    processes = [TextFeatures(deepcopy(reward), fp32, tmp_path) for _ in range(2)]
    for rank, texts in enumerate(processes):
        texts.survey(PROMPTS, rank, 2)
    assert sorted(seen) == PROMPTS
    states = [texts.of(PROMPTS).tokens for texts in processes]
    assert torch.equal(*states)
    assert sorted(seen) == PROMPTS


def test_a_prompt_that_was_not_surveyed_has_the_bits_that_it_would_have_had(tmp_path: Path) -> None:
    reward = tiny_mps().eval()
    some, all_of_them = (TextFeatures(reward, fp32, tmp_path / k, "fp32", "fp16") for k in "ab")
    some.survey(PROMPTS[:2], 0, 1)
    all_of_them.survey(PROMPTS, 0, 1)
    assert torch.equal(some.of(PROMPTS).tokens, all_of_them.of(PROMPTS).tokens)


def test_a_reward_that_reads_no_texts_keeps_none(tmp_path: Path) -> None:
    texts = TextFeatures(aesthetic.tiny().eval(), fp32, tmp_path)
    texts.survey(PROMPTS, 0, 1)
    assert list(tmp_path.iterdir()) == []
    assert texts.of(PROMPTS).pooled.shape == (6, 0)


def test_prompts_without_a_folder_cannot_be_kept() -> None:
    with pytest.raises(ConfigError, match="kept in a folder, but none is given"):
        TextFeatures(tiny_mps().eval(), fp32).survey(PROMPTS, 0, 1)


def test_shorter_texts_are_filled_with_zeros() -> None:
    ones = [Features(torch.ones(1, n, 2), torch.ones(1, 2)) for n in (1, 3)]
    assert filled(ones).tokens[..., 0].tolist() == [[1, 0, 0], [1, 1, 1]]


def test_text_states_lie_by_text_tower_padding_tokenizer_and_precision() -> None:
    reward = tiny_mps()
    other = deepcopy(reward)
    first = text_hash(reward, "fp32")
    assert text_hash(other, "fp32") == first
    assert text_hash(reward, "bf16") != first
    other.padding = "drop" if other.padding == "keep" else "keep"
    assert text_hash(other, "fp32") != first
    image, text = tower_weights(reward)
    with torch.no_grad():
        dict(reward.named_parameters())[min(image)].add_(1)
        assert text_hash(reward, "fp32") == first
        dict(reward.named_parameters())[min(text)].add_(1)
    assert text_hash(reward, "fp32") != first
    words = PickScore(build_towers(timm_text()))
    before = text_hash(words, "fp32")
    name = next(k for k in words.state_dict() if k.endswith("_extra_state"))
    part = words.get_submodule(name.rpartition(".")[0])
    told: Any = words.state_dict()[name].clone()
    told[0] ^= 1
    part.get_extra_state = lambda: told  # type: ignore[method-assign]
    assert text_hash(words, "fp32") != before
