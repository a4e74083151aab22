import json
import random
from itertools import chain

import pytest
import torch
from tokenizers import Tokenizer, models, trainers

from beholder.errors import ConfigError
from beholder.rewards._richhf.tokens import Spelling, WordTokenizer, padded
from beholder.rewards._towers._encoders import TextEncoder
from tests.rewards import tiny_towers
from tests.rewards._richhf.tiny_words import STRANGE, minilm, unigram, words_of

KINDS = {"t5": unigram, "bert": minilm}


def tokens_of(tokenizer: WordTokenizer, text: str) -> list[list[str | None]]:
    """The tokens of each word, as text."""
    (ids,), _ = tokenizer.encode([text])
    vocabulary = Tokenizer.from_str(bytes(tokenizer.get_extra_state().tolist()).decode())
    named = [vocabulary.id_to_token(int(at)) for at in ids]
    return [[named[at] for at in word] for word in tokenizer.word_tokens(text)]


def test_rows_are_padded_to_the_longest_and_know_it() -> None:
    ids, real = padded([[5, 6], [7, 8, 9], []], value=4)
    assert ids.tolist() == [[5, 6, 4], [7, 8, 9], [4, 4, 4]]
    assert real.tolist() == [[True, True, False], [True] * 3, [False] * 3]
    assert padded([], 0)[0].shape == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_no_prompt_is_cut_and_an_empty_one_is_an_end(kind: str) -> None:
    tokenizer = WordTokenizer(KINDS[kind]())
    ids, real = tokenizer.encode(["red cat " * 500, ""])
    assert real.sum(dim=1).tolist() == ([1001, 1] if kind == "t5" else [1002, 2])
    assert ids[~real].unique().tolist() == [tokenizer.pad_id]
    assert ids[1][real[1]][-1] == tokenizer.eos_id


def test_the_words_of_t5_know_their_tokens() -> None:
    tokenizer = WordTokenizer(unigram())
    assert tokens_of(tokenizer, "a red cow,fox") == [["▁a"], ["▁red"], list("▁cow"), list("fox")]


def test_the_words_of_bert_know_their_tokens() -> None:
    tokenizer = WordTokenizer(minilm())
    found = tokens_of(tokenizer, "A greenishly cat,it's 猫か")
    assert found == [["a"], ["greenish", "##ly"], ["cat"], ["it", "'", "s"], ["[UNK]"], ["か"]]


def test_words_of_unknown_characters_share_their_token() -> None:
    tokenizer = WordTokenizer(unigram())
    assert tokenizer.encode(["a 猫が fox"])[0].shape == (1, 5)
    assert tokenizer.word_tokens("a 猫が fox") == [[0], [1, 2], [2], [3]]


def test_a_word_that_the_tokenizer_drops_has_no_token() -> None:
    tokenizer = WordTokenizer(minilm())
    assert tokens_of(tokenizer, "a \x07 cat") == [["a"], [], ["cat"]]
    (dropped,) = tokenizer.spell(["\x07"])
    assert (dropped.plain, len(dropped.marked)) == ((), 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", [*STRANGE, "", " ,. ", "a " * 50])
def test_every_word_has_its_entry_and_tokens_in_order(kind: str, prompt: str) -> None:
    tokenizer = WordTokenizer(KINDS[kind]())
    found = tokenizer.word_tokens(prompt)
    (ids,), _ = tokenizer.encode([prompt])
    assert len(found) == len(words_of(prompt))
    positions = list(chain.from_iterable(found))
    assert positions == sorted(positions)
    assert all(0 <= at < len(ids) - 1 for at in positions)


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_that_a_prompt_spells_out_are_plain_text(kind: str) -> None:
    tokenizer = WordTokenizer(KINDS[kind]())
    text = "a </s> cat <pad> [SEP] [PAD] [CLS]"
    (ids,), _ = tokenizer.encode([text])
    (bare,), _ = tokenizer.encode(["a"])
    special = [tokenizer.pad_id, tokenizer.eos_id, tokenizer.start_id]
    assert torch.isin(ids, torch.tensor(special)).sum() == len(bare) - 1
    assert "pad" in tokenizer.decode(ids.tolist())
    assert all(tokenizer.word_tokens(text))


def test_words_one_by_one_are_t5s_tokens_of_the_joined_sentence() -> None:
    specials = ["<pad>", "</s>", "<unk>"]
    learner = Tokenizer.from_str(unigram())
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=specials, unk_token="<unk>", show_progress=False
    )
    sentences = ["a yellow_0 cat sat near two dogs_0", "the red fox_0 jumps", "0123456789 _0"]
    learner.train_from_iterator(sentences * 20, trainer)
    tokenizer = WordTokenizer(learner.to_str())
    generator = random.Random(0)
    for _ in range(50):
        words = ["".join(generator.choices("acdoxy_0猫é", k=5)) for _ in range(4)]
        marks = generator.choices([True, False], k=4)
        joined = " ".join(w + "_0" * is_marked for w, is_marked in zip(words, marks, strict=True))
        spelled = zip(tokenizer.spell(words), marks, strict=True)
        pieces = [at for word, is_marked in spelled for at in word.form(is_marked)]
        (ids,), _ = tokenizer.encode([joined])
        assert [*pieces, tokenizer.eos_id] == ids.tolist()


@pytest.mark.parametrize(
    ("plain", "marked", "shared"),
    [((5, 6), (5, 6, 1, 2), 2), ((5, 6), (5, 7), 1), ((5,), (6, 7), 0), ((), (1, 2), 0)],
)
def test_a_word_and_its_marked_form_part_at_the_first_other_token(
    plain: tuple[int, ...], marked: tuple[int, ...], shared: int
) -> None:
    spelling = Spelling(plain, marked)
    assert spelling.shared == shared
    assert (spelling.form(True), spelling.form(False)) == (marked, plain)  # noqa: FBT003


def test_a_mark_of_unknown_characters_is_told_from_its_word() -> None:
    described = json.loads(unigram())
    described["model"]["vocab"] = [["<pad>", 0], ["</s>", 0], ["<unk>", -9], ["▁", -1]]
    tokenizer = WordTokenizer(json.dumps(described))
    (spelling,) = tokenizer.spell(["猫"])
    assert spelling.plain == (3, 2)
    assert spelling.marked[: len(spelling.plain)] == spelling.plain
    assert len(spelling.marked) > 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_marked_sentence_reads_as_published(kind: str) -> None:
    tokenizer = WordTokenizer(KINDS[kind]())
    ids, _ = tokenizer.encode(["a yellow_0 cat_0 and fox"])
    assert tokenizer.decode(ids[0].tolist()) == "a yellow_0 cat_0 and fox"


def test_the_tokenizer_travels_with_the_weights() -> None:
    source, target = WordTokenizer(unigram()), WordTokenizer()
    assert target.special_ids() == {}
    with pytest.raises(ConfigError, match="no tokenizer"):
        target.encode(["a"])
    target.load_state_dict(source.state_dict())
    assert target.special_ids() == source.special_ids()
    assert target.encode(["a red fox"])[0].equal(source.encode(["a red fox"])[0])
    target.load_state_dict(WordTokenizer(minilm()).state_dict())
    assert target.special_ids()["decoder_start_token_id"] == 101


def test_a_text_encoders_tokenizer_is_used_and_saved_once() -> None:
    options = tiny_towers.timm_text()["text"]
    encoder = TextEncoder.from_options(options)
    tokenizer = WordTokenizer.beside(encoder)
    assert tokenizer.special_ids() == {
        "vocab_size": 21,
        "pad_token_id": 0,
        "eos_token_id": 3,
        "decoder_start_token_id": 2,
    }
    assert len(tokenizer.get_extra_state()) == 0
    assert list(tokenizer.parameters()) == []
    with pytest.raises(ConfigError, match="its own tokenizer"):
        WordTokenizer.beside(encoder, unigram())
    empty = TextEncoder.from_options({"config": options["config"], "max_length": 24})
    later = WordTokenizer.beside(empty)
    assert later.special_ids() == {}
    empty.load_state_dict(encoder.state_dict())
    assert later.encode(["red cat"])[0].tolist() == tokenizer.encode(["red cat"])[0].tolist()


def test_a_tokenizer_without_an_end_is_refused() -> None:
    text = Tokenizer(
        models.WordLevel({"<pad>": 0, "</s>": 1, "[UNK]": 2}, unk_token="[UNK]")
    ).to_str()
    with pytest.raises(ConfigError, match="end every text"):
        WordTokenizer(text).encode(["a"])
