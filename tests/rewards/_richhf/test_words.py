import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutput

from beholder.errors import DataError
from beholder.rewards._richhf import words as words_module
from beholder.rewards._richhf.joint import TextStates
from beholder.rewards._richhf.tokens import WordTokenizer
from beholder.rewards._richhf.words import (
    WordHead,
    fit_sigmoid,
    generate,
    guided_logits,
    guided_probabilities,
    mark_logits,
    sequence_loss,
    targets,
)
from tests.rewards._richhf.tiny_words import (
    STRANGE,
    minilm,
    text_states,
    tiny_t5,
    unigram,
    words_of,
)

PROMPTS = [
    "a yellow cat and two red foxes",
    "the fox",
    "",
    "painting of a cat, dog and fox",
    *STRANGE,
]
WORDS = [words_of(prompt) for prompt in PROMPTS]


def teacher(t5: Any, text: TextStates, given: torch.Tensor, row: int = 0) -> torch.Tensor:
    """The published model's logits of what follows some tokens, all computed anew."""
    mask = None if text.mask is None else text.mask[row : row + 1].long()
    states = BaseModelOutput(last_hidden_state=text.states[row : row + 1])
    logits: torch.Tensor = t5(
        encoder_outputs=states, attention_mask=mask, decoder_input_ids=given, use_cache=False
    ).logits
    return logits


@torch.no_grad()
def word_by_word(
    t5: Any, text: TextStates, tokens: WordTokenizer, words: list[str], row: int
) -> list[float]:
    """Probabilities by definition, for a tokenizer that only ever appends the mark's tokens."""
    written, found = [tokens.start_id], []
    mark = tokens.spell(["a"])[0].marked[1:]
    for word in words:
        written += tokens.spell([word])[0].plain
        p = teacher(t5, text, torch.tensor([written]), row)[0, -1].softmax(dim=0)
        found.append(float(p[mark[0]]))
        written += mark if found[-1] > 0.5 else ()
    return found


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_guided_probabilities_are_those_of_asking_word_by_word(seed: int, masked: bool) -> None:
    tokens = WordTokenizer(unigram())
    t5, text = tiny_t5(tokens, seed), text_states(tokens, PROMPTS, masked=masked)
    found = guided_probabilities(t5, text, tokens, WORDS)
    expected = [word_by_word(t5, text, tokens, w, row) for row, w in enumerate(WORDS)]
    assert any(p > 0.5 for row in expected for p in row)
    for got, wanted in zip(found, expected, strict=True):
        assert got == pytest.approx(wanted, abs=1e-5)
        assert all(0 <= p <= 1 for p in got)


@pytest.mark.parametrize("window", [1, 2, 7])
def test_windows_of_any_length_give_the_same(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = WordTokenizer(unigram("t_0"))  # "ca" "t_0": the mark changes the end of its word
    prompts = ["a cat and two cats", "the hat of a cat fox"]
    words = [words_of(prompt) for prompt in prompts]
    t5, text = tiny_t5(tokens), text_states(tokens, prompts)
    whole = guided_logits(t5, text, tokens, words)
    monkeypatch.setattr(words_module, "WINDOW", window)
    for got, wanted in zip(guided_logits(t5, text, tokens, words), whole, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("read", [guided_logits, mark_logits])
def test_words_do_not_depend_on_their_batch_or_order(read: Any) -> None:
    tokens = WordTokenizer(minilm())
    t5, text = tiny_t5(tokens), text_states(tokens, PROMPTS)
    together = read(t5, text, tokens, WORDS)
    order = list(range(len(PROMPTS)))[::-1]
    turned = read(t5, text_states(tokens, [PROMPTS[n] for n in order]), tokens, WORDS[::-1])
    for row, prompt in enumerate(PROMPTS):
        (alone,) = read(t5, text_states(tokens, [prompt]), tokens, [WORDS[row]])
        torch.testing.assert_close(alone, together[row], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(turned[order.index(row)], together[row], atol=1e-5, rtol=1e-5)


def test_one_pass_with_the_models_own_marks_gives_the_guided_logits() -> None:
    tokens = WordTokenizer(unigram())
    t5, text = tiny_t5(tokens), text_states(tokens, PROMPTS)
    guided = guided_logits(t5, text, tokens, WORDS)
    marks = [(logits > 0).tolist() for logits in guided]
    told = mark_logits(t5, text, tokens, WORDS, marks)
    unmarked = mark_logits(t5, text, tokens, WORDS)
    # Sums of many terms in another order: 2e-5 apart on some processors.
    torch.testing.assert_close(torch.cat(told), torch.cat(guided), atol=5e-5, rtol=1e-5)
    assert not torch.cat(unmarked).allclose(torch.cat(guided), atol=1e-3)


def test_words_that_cannot_be_told_from_their_mark_are_even() -> None:
    tokens = WordTokenizer(minilm())
    t5, text = tiny_t5(tokens), text_states(tokens, ["cat _0"])
    ((first, _),) = guided_probabilities(t5, text, tokens, [["cat", "_0"]])
    assert first == 0.5  # "_" comes next, be it the mark's or the next word's


def test_a_prompt_of_thousands_of_words_has_a_probability_for_each() -> None:
    tokens = WordTokenizer(minilm())
    prompt = "red fox cat dog yellow table " * 500
    t5, text = tiny_t5(tokens), text_states(tokens, [prompt])
    (found,) = guided_probabilities(t5, text, tokens, [words_of(prompt)])
    assert len(found) == 3000
    (head,) = WordHead(32)(text.states, [tokens.word_tokens(prompt)])
    assert len(head) == 3000


def test_gradients_pass_from_one_pass_to_the_prompts_states() -> None:
    tokens = WordTokenizer(unigram())
    text = text_states(tokens, PROMPTS[:2])
    text = replace(text, states=text.states.requires_grad_())
    logits = mark_logits(tiny_t5(tokens), text, tokens, WORDS[:2])
    torch.cat(logits).sum().backward()
    assert text.states.grad is not None
    assert (text.states.grad.abs().sum(dim=2) > 0).equal(text.real)


def test_the_decoder_has_to_write_the_words_with_their_marks() -> None:
    tokens = WordTokenizer(unigram())
    words = [["red", "cat"], ["fox"], []]
    ids, real = targets(tokens, words, [[True, False], [True], []])
    assert [tokens.decode(row) for row in ids.tolist()] == ["red_0 cat", "fox_0", ""]
    assert real.sum(dim=1).tolist() == [5, 4, 1]
    assert ids[real.logical_not()].tolist() == [tokens.pad_id] * 5
    assert [int(row[n - 1]) for row, n in zip(ids, [5, 4, 1], strict=True)] == [tokens.eos_id] * 3
    with pytest.raises(DataError, match="2 words has labels of 1"):
        targets(tokens, words, [[True], [True], []])
    with pytest.raises(DataError, match="3 prompts but labels of 1"):
        targets(tokens, words, [[True]])


@pytest.mark.parametrize("ignore_pads", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_the_loss_is_the_published_models(masked: bool, ignore_pads: bool) -> None:
    tokens = WordTokenizer(unigram())
    t5, text = tiny_t5(tokens), text_states(tokens, PROMPTS, masked=masked)
    marks = [[n % 2 == 0 for n in range(len(row))] for row in WORDS]
    ids, real = targets(tokens, WORDS, marks)
    labels = ids.masked_fill(~real, -100) if ignore_pads else ids
    published = t5(
        encoder_outputs=BaseModelOutput(last_hidden_state=text.states),
        attention_mask=None if text.mask is None else text.mask.long(),
        labels=labels,
    ).loss
    loss = sequence_loss(t5, text, tokens, WORDS, marks, ignore_pads=ignore_pads)
    torch.testing.assert_close(loss, published)


def test_the_loss_of_a_decoder_that_knows_nothing_is_that_of_guessing() -> None:
    tokens = WordTokenizer(unigram())
    t5, text = tiny_t5(tokens), text_states(tokens, ["red cat", ""])
    torch.nn.init.zeros_(t5.lm_head.weight)
    loss = sequence_loss(t5, text, tokens, [["red", "cat"], []], [[True, False], []])
    size = tokens.special_ids()["vocab_size"]
    assert float(loss.detach()) == pytest.approx(math.log(size), rel=1e-5)
    (pair, _) = guided_probabilities(t5, text, tokens, [["red", "cat"], []])
    assert pair == pytest.approx([1 / size, 1 / size])


@torch.no_grad()
def likeliest(t5: Any, text: TextStates, tokens: WordTokenizer, row: int) -> str:
    """Greedy writing, all computed anew for each token."""
    written = [tokens.start_id]
    while len(written) < 101 and (len(written) == 1 or written[-1] != tokens.eos_id):
        written.append(int(teacher(t5, text, torch.tensor([written]), row)[0, -1].argmax()))
    return tokens.decode(written)


@pytest.mark.parametrize("masked", [True, False])
def test_free_writing_takes_the_likeliest_token_each_time(masked: bool) -> None:
    tokens = WordTokenizer(unigram())
    t5, text = tiny_t5(tokens), text_states(tokens, PROMPTS[:4], masked=masked)
    written = generate(t5, text, tokens)
    assert written == [likeliest(t5, text, tokens, row) for row in range(4)]
    assert len(set(written)) > 1


def test_the_head_reads_a_word_from_the_mean_of_its_tokens() -> None:
    head, states = WordHead(8), torch.randn(2, 5, 8)
    ((first, none, shared), (), (other,)) = head(
        torch.cat((states, states[:1])), [[[0, 1], [], [1]], [], [[1]]]
    )
    features = head.token(states[0, :2]).mean(dim=0)
    torch.testing.assert_close(first, head.word(features)[0])
    torch.testing.assert_close(none, head.word(torch.zeros(8))[0])
    torch.testing.assert_close(shared, other)
    assert [len(row) for row in head(states, [[], []])] == [0, 0]


def test_a_head_learns_which_token_it_looks_for() -> None:
    head, states = WordHead(8, width=4), torch.randn(16, 3, 8)
    labels = (states[:, :, 0] > 0).float()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(80):
        logits = torch.stack(head(states, [[[0], [1], [2]]] * 16))
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1


def test_calibration_finds_the_temperature_and_bias_that_were_lost() -> None:
    logits = torch.linspace(-4, 4, 20001)
    slope, shift = fit_sigmoid(logits, (0.5 * logits - 1).sigmoid())
    assert (slope, shift) == pytest.approx((0.5, -1), abs=1e-2)


def test_calibration_of_what_is_calibrated_changes_nothing() -> None:
    head = WordHead(8)
    states, places = torch.randn(200, 3, 8), [[[0], [1], [2]]] * 200
    labels = (torch.rand(600) < 0.3).float()
    labels = torch.where(torch.cat(head(states, places)).detach() > 0, 1 - labels, labels)
    head.calibrate(torch.cat(head(states, places)), labels)
    once = torch.cat(head(states, places)).detach()
    assert float((once.sigmoid().mean() - labels.mean()).abs()) < 1e-2
    head.calibrate(once, labels)
    torch.testing.assert_close(torch.cat(head(states, places)).detach(), once, atol=1e-3, rtol=1e-3)
    copy = WordHead(8)
    copy.load_state_dict(head.state_dict())
    torch.testing.assert_close(torch.cat(copy(states, places)), torch.cat(head(states, places)))


def test_calibration_stays_finite_where_all_is_right() -> None:
    slope, shift = fit_sigmoid(torch.tensor([-2.0, -1.0, 1.0, 2.0]), torch.tensor([0.0, 0, 1, 1]))
    # Platt's targets are 1/4 and 3/4: the best line through the middle, far from infinity.
    assert 0 < slope < 2
    assert shift == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("logits", "labels", "why"),
    [
        ([1.0, 1.0], [0.0, 1.0], "different logits"),
        ([1.0, 2.0], [1.0, 1.0], "different logits"),
        ([], [], "got 0 and 0"),
        ([1.0, 2.0, 3.0], [1.0, 0.0, 0.0], "do not rise"),
    ],
)
def test_calibration_says_why_it_cannot(logits: list[float], labels: list[float], why: str) -> None:
    with pytest.raises(DataError, match=why):
        fit_sigmoid(torch.tensor(logits), torch.tensor(labels))
