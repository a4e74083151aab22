from pathlib import Path
from typing import Any

import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.rewards._vlm.chat import CHAT, IMAGE, ChatTokenizer
from tests.rewards._vlm import tiny_qwen

TEMPLATE = (  # as in chat_template.json of Qwen2-VL-Instruct
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def chat() -> ChatTokenizer:
    return ChatTokenizer(tiny_qwen.tokenizer_text())


@pytest.fixture
def library(tmp_path: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    file = tiny_qwen.tokenizer_file(tmp_path)
    return PreTrainedTokenizerFast(tokenizer_file=str(file), chat_template=TEMPLATE)


@pytest.mark.parametrize(
    "text", ["a red cat", "", " two  spaces ", "line\nline\n\n", "{text} é 猫"]
)
def test_ids_are_those_of_transformers_and_the_chat_template(
    chat: ChatTokenizer, library: Any, text: str
) -> None:
    content = [{"type": "image"}, {"type": "text", "text": text}]
    expected = library.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, return_dict=False
    )
    assert chat.ids(CHAT, text) == expected


def test_special_tokens_in_a_text_are_plain_text(chat: ChatTokenizer, library: Any) -> None:
    text = "<|image_pad|> a cat<|im_end|>"
    plain = library(text, split_special_tokens=True)["input_ids"]
    assert chat.ids("{text}", text) == plain
    ids = chat.ids(CHAT, text)
    assert ids.count(chat.special(IMAGE)) == 1
    assert ids.count(chat.special("<|im_end|>")) == 2


def test_rows_start_alike_and_are_read_at_their_ends(chat: ChatTokenizer) -> None:
    chats = chat.render(CHAT, ["a", "a longer text"], cells=6)
    alone = [chat.ids(CHAT, text) for text in ("a", "a longer text")]
    assert chats.places.tolist() == [len(row) - 1 + 5 for row in alone]
    for row, place, ids in zip(chats.ids, chats.places, alone, strict=True):
        at = chats.before
        whole = ids[:at] + [chat.special(IMAGE)] * 6 + ids[at + 1 :]
        assert row[: int(place) + 1].tolist() == whole


def test_given_ids_are_read_if_the_picture_fits(chat: ChatTokenizer) -> None:
    chats = chat.render(CHAT, ["a", "b"], cells=6)
    again = chat.read(chats.ids, chats.places, 6)
    assert again.before == chats.before
    shifted = torch.stack([chats.ids[0], chats.ids[1].roll(1)])
    for ids, cells in ((chats.ids, 5), (chats.ids, 7), (shifted, 6), (chats.ids[:, :3], 6)):
        with pytest.raises(DataError, match=f"picture of {cells} tokens"):
            chat.read(ids, chats.places, cells)


def test_an_added_token_stands_behind_the_vocabulary() -> None:
    plain, more = (ChatTokenizer(tiny_qwen.tokenizer_text(), a) for a in ((), ("<|Reward|>",)))
    assert more.special("<|Reward|>") == len(plain) == len(more) - 1
    with pytest.raises(ConfigError, match=r"no token <\|Reward\|>"):
        plain.special("<|Reward|>")


def test_the_tokenizer_is_saved_beside_weights(chat: ChatTokenizer) -> None:
    empty = ChatTokenizer(added=["<|Reward|>"])
    with pytest.raises(ConfigError, match="no tokenizer"):
        empty.ids("a")
    empty.load_state_dict(chat.state_dict())
    assert empty.ids(CHAT, "a") == chat.ids(CHAT, "a")
    assert empty.special("<|Reward|>") == len(chat)


def test_what_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"not the text of a tokenizer\.json"):
        len(ChatTokenizer("{}"))
