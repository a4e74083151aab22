"""Which words of a prompt are misaligned: read from a T5 decoder, or from a light head.

The decoder writes the prompt word by word and puts "_0" behind those that the picture misses
(Liang et al., CVPR 2024). What it would write freely may leave the prompt, and tells no
probability. So it is guided: it is given the prompt's own words, and asked at the end of each one
whether the mark comes next or anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder.errors import DataError
from beholder.rewards._richhf.joint import TextStates
from beholder.rewards._richhf.sentences import Question, Sentence, Walk
from beholder.rewards._richhf.tokens import WordTokenizer, padded

Marks = Sequence[Sequence[bool]]
"""For each picture, for each word of its prompt: whether it is misaligned."""

WINDOW = 128
"""Tokens that are guessed and checked at once."""

NEW_TOKENS = 100
"""Most tokens of a freely written sentence, as published."""


def targets(
    tokens: WordTokenizer, words: Sequence[Sequence[str]], marks: Marks
) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    """What the decoder has to write: the words, those misaligned marked, and which ids are real.

    Raises DataError if a prompt has another number of marks than of words.
    """
    if len(words) != len(marks):
        raise DataError(f"{len(words)} prompts but labels of {len(marks)}; give those of each")
    pairs = zip(_sentences(tokens, words), marks, strict=True)
    return padded([sentence.written(told) for sentence, told in pairs], tokens.pad_id)


def sequence_loss(
    t5: nn.Module,
    text: TextStates,
    tokens: WordTokenizer,
    words: Sequence[Sequence[str]],
    marks: Marks,
    *,
    ignore_pads: bool = True,
) -> Float[Tensor, ""]:
    """-mean ln p(token | those before it) over the tokens of `targets`, in nats.

    With `ignore_pads=False`, as published, the padding behind short sentences counts as well.
    """
    ids, real = (part.to(text.states.device) for part in targets(tokens, words, marks))
    counted = real if ignore_pads else torch.ones_like(real)
    logits = cast("Any", t5).lm_head(decoder_states(t5, text, ids, tokens.start_id)[counted])
    return functional.cross_entropy(logits.float(), ids[counted])


def mark_logits(
    t5: nn.Module,
    text: TextStates,
    tokens: WordTokenizer,
    words: Sequence[Sequence[str]],
    marks: Marks | None = None,
) -> list[Float[Tensor, " w"]]:
    """For each picture ln p(mark) - ln p(none) of every word of its prompt, in one pass.

    Each word is asked about where it parts from its marked form: p(mark) is the probability of the
    mark's token there, p(none) that of all others. The words before it are marked as `marks` say,
    none by default. Gradients pass.
    """
    told = [[False] * len(row) for row in words] if marks is None else marks
    pairs = list(zip(_sentences(tokens, words), told, strict=True))
    ids, _ = padded([sentence.written(marks) for sentence, marks in pairs], tokens.pad_id)
    states = decoder_states(t5, text, ids.to(text.states.device), tokens.start_id)
    return _answers(t5, states, [sentence.questions(marks) for sentence, marks in pairs])


@torch.no_grad()
def guided_logits(
    t5: nn.Module, text: TextStates, tokens: WordTokenizer, words: Sequence[Sequence[str]]
) -> list[Float[Tensor, " w"]]:
    """`mark_logits` where each word follows the model's own decisions about those before it.

    A mark is taken if it is the likelier choice. The decisions of a window of tokens are guessed,
    checked in one pass, and replaced by those found, until they agree: what asking token by token
    gives, mostly in two or three passes (Jacobi decoding; Santilli et al., ACL 2023).
    """
    walks = [Walk(sentence) for sentence in _sentences(tokens, words)]
    decoder, begin = CachedDecoder(t5, text), 0
    while not all(walk.is_over for walk in walks):
        end = begin + WINDOW
        rows = [[tokens.start_id, *walk.sentence.written(walk.marks)][begin:end] for walk in walks]
        states = decoder(padded(rows, tokens.pad_id)[0], begin)
        answers = _answers(t5, states, [walk.questions(end) for walk in walks], begin)
        for walk, logits in zip(walks, answers, strict=True):
            walk.decide(logits.tolist(), end)
        begin = min(walk.known for walk in walks)
    return [text.states.new_tensor(walk.logits, dtype=torch.float32) for walk in walks]


def guided_probabilities(
    t5: nn.Module, text: TextStates, tokens: WordTokenizer, words: Sequence[Sequence[str]]
) -> list[list[float]]:
    """For each picture the probability of every word of its prompt to be misaligned."""
    return [z.sigmoid().tolist() for z in guided_logits(t5, text, tokens, words)]


@torch.no_grad()
def generate(
    t5: nn.Module, text: TextStates, tokens: WordTokenizer, max_new_tokens: int = NEW_TOKENS
) -> list[str]:
    """What the decoder writes freely, always taking the likeliest token: the published answer.

    It may leave the prompt; for words with probabilities see `guided_probabilities`.
    """
    from transformers.modeling_outputs import BaseModelOutput  # noqa: PLC0415

    seen = torch.ones_like(text.real) if text.mask is None else text.mask
    ids = cast("Any", t5).generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=text.states),
        attention_mask=seen.long(),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        pad_token_id=tokens.pad_id,
        eos_token_id=tokens.eos_id,
        decoder_start_token_id=tokens.start_id,
    )
    return [tokens.decode(row) for row in ids.tolist()]


def decoder_states(
    t5: nn.Module, text: TextStates, ids: Int[Tensor, "b t"], start_id: int
) -> Float[Tensor, "b t d"]:
    """States from which `t5.lm_head` tells each of `ids` from those before it, teacher forced."""
    given = functional.pad(ids[:, :-1], (1, 0), value=start_id)
    return _decode(t5, text, given, use_cache=False)


class CachedDecoder:
    """A decoder that goes through sentences once, and can go back to rewrite their ends."""

    def __init__(self, t5: nn.Module, text: TextStates) -> None:
        from transformers.cache_utils import DynamicCache, EncoderDecoderCache  # noqa: PLC0415

        self._t5, self._text = t5, text
        self._cache: Any = EncoderDecoderCache(DynamicCache(), DynamicCache())

    def __call__(self, given: Int[Tensor, "b t"], begin: int) -> Float[Tensor, "b t d"]:
        """States of tokens that follow the first `begin` ones; what came behind those is void."""
        seen = self._cache.get_seq_length()
        if seen > begin:
            self._cache.self_attention_cache.crop(begin - seen)
        forward = cast("Any", self._t5).decoder.forward
        is_new = "cache" in signature(forward).parameters  # its name since transformers 5.24
        cache = {"cache" if is_new else "past_key_values": self._cache}
        return _decode(self._t5, self._text, given, use_cache=True, **cache)


def _decode(
    t5: nn.Module, text: TextStates, given: Int[Tensor, "b t"], **options: object
) -> Float[Tensor, "b t d"]:
    model = cast("Any", t5)
    states: Tensor = model.decoder(
        input_ids=given.to(text.states.device),
        encoder_hidden_states=text.states,
        encoder_attention_mask=None if text.mask is None else text.mask.long(),
        **options,
    ).last_hidden_state
    config = model.config
    is_scaled = getattr(config, "scale_decoder_outputs", config.tie_word_embeddings)
    return states * model.model_dim**-0.5 if is_scaled else states


def _sentences(tokens: WordTokenizer, words: Sequence[Sequence[str]]) -> list[Sentence]:
    return [Sentence(tokens.spell(row), tokens.eos_id) for row in words]


def _answers(
    t5: nn.Module,
    states: Float[Tensor, "b t d"],
    questions: Sequence[Sequence[Question]],
    begin: int = 0,
) -> list[Float[Tensor, " w"]]:
    """Log of p(marked) / p(plain) for each question to each row; `states` start at `begin`."""
    counts = [len(asked) for asked in questions]
    flat = [(row, place - begin) for row, asked in enumerate(questions) for place, _ in asked]
    if not flat:
        return list(states.new_zeros(0, dtype=torch.float32).split(counts))
    rows, places = torch.tensor(flat, device=states.device).unbind(1)
    logits = cast("Any", t5).lm_head(states[rows, places]).float()
    choices = [choice for asked in questions for _, choice in asked]
    marked = _sum(logits, [yes for yes, _ in choices])
    named = _sum(logits, [yes if no is None else no for yes, no in choices])
    others = torch.tensor([no is None for _, no in choices], device=logits.device)
    plain = torch.where(others, _but(logits, [min(yes) for yes, _ in choices]), named)
    return list((marked - plain).split(counts))


def _sum(logits: Float[Tensor, "n v"], choices: Sequence[set[int]]) -> Float[Tensor, " n"]:
    """Log Σ exp of the chosen logits of each row."""
    ids, real = (part.to(logits.device) for part in padded([sorted(c) for c in choices], 0))
    return logits.gather(1, ids).masked_fill(~real, -torch.inf).logsumexp(dim=1)


def _but(logits: Float[Tensor, "n v"], left_out: Sequence[int]) -> Float[Tensor, " n"]:
    """Log Σ exp of all logits of each row but one."""
    ids = torch.tensor(left_out, device=logits.device)[:, None]
    return logits.scatter(1, ids, -torch.inf).logsumexp(dim=1)


class WordHead(nn.Module):
    """One logit a word from the states of its tokens: the light way, in one pass.

    Each token's state goes through a layer, the mean over a word's tokens through two more. The
    states have met the picture already. A word without a token gets the same logit everywhere.

    Args:
        dim: of the states.
        width: of the hidden layers; None takes `dim`.

    Attributes:
        temperature, bias: logits are z / temperature + bias; 1 and 0 until `calibrate` fits them.
    """

    temperature: Tensor
    bias: Tensor

    def __init__(self, dim: int, width: int | None = None) -> None:
        super().__init__()
        hidden = width or dim
        self.token = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU())
        self.word = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 1))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("bias", torch.zeros(()))

    @override
    def forward(
        self, states: Float[Tensor, "b l d"], places: Sequence[Sequence[Sequence[int]]]
    ) -> list[Float[Tensor, " w"]]:
        """For each picture the logit of every word, given the positions of its tokens."""
        length, device = states.shape[1], states.device
        bags = [[r * length + at for at in word] for r, row in enumerate(places) for word in row]
        members = torch.tensor([at for bag in bags for at in bag], device=device).long()
        sizes = torch.tensor([len(bag) for bag in bags], device=device).long()
        features = self.token(states).flatten(0, 1)
        starts = sizes.cumsum(0) - sizes
        pooled = functional.embedding_bag(members, features.float(), starts, mode="mean")
        logits = self.word(pooled.to(features.dtype))[:, 0].float() / self.temperature + self.bias
        return list(logits.split([len(row) for row in places]))

    @torch.no_grad()
    def calibrate(self, logits: Float[Tensor, " n"], labels: Float[Tensor, " n"]) -> None:
        """Make probabilities of held-out words as frequent as they say (Guo et al., ICML 2017).

        Temperature and bias of the least cross entropy against targets that Platt's rule (1999)
        draws a little to the middle, so that a perfect head stays finite.

        Args:
            logits: what this head gave for words that it was not trained on.
            labels: the share of annotators who call each of them misaligned.

        Raises:
            DataError: if all logits or all labels are the same, or do not rise together.
        """
        slope, shift = fit_sigmoid(logits, labels)
        self.temperature.div_(slope)
        self.bias.mul_(slope).add_(shift)


def fit_sigmoid(logits: Float[Tensor, " n"], labels: Float[Tensor, " n"]) -> tuple[float, float]:
    """Slope a > 0 and shift b of the likeliest sigmoid(a z + b); labels lie in [0, 1].

    A label t becomes t (n₁ + 1) / (n₁ + 2) + (1 - t) / (n₀ + 2), where n₁ = Σ t and n₀ = Σ (1 - t)
    (Platt, 1999, section 2.2).
    """
    z, t = logits.detach().double().cpu(), labels.detach().double().cpu()
    if len(z) != len(t) or len(z) < 2 or float(z.std()) == 0 or float(t.std()) == 0:
        raise DataError(
            f"calibration needs several different logits and labels, one each; got {len(z)} and "
            f"{len(t)}"
        )
    positive = t.sum()
    t = t * (positive + 1) / (positive + 2) + (1 - t) / (len(t) - positive + 2)
    x, line = (z - z.mean()) / z.std(), torch.zeros(2, dtype=torch.float64, requires_grad=True)
    fit = torch.optim.LBFGS(
        [line], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        with torch.enable_grad():
            fit.zero_grad()
            value = functional.binary_cross_entropy_with_logits(line[0] * x + line[1], t)
            value.backward()
        return value

    fit.step(loss)
    slope, shift = line.tolist()
    if slope <= 0:
        raise DataError("the logits do not rise with the labels; train the head before calibrating")
    return slope / float(z.std()), shift - slope * float(z.mean() / z.std())
