"""Options of towers that cost a test milliseconds."""

from typing import Any

WORDS = "a the cat dog red cube light color clarity shape number of , . two three quantity"
CLIP: dict[str, Any] = {
    "text": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_act": "gelu",
    },
    "vision": {
        "hidden_size": 40,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_act": "gelu",
        "image_size": 32,
        "patch_size": 8,
    },
    "projection_dim": 32,
}
CROSS: dict[str, Any] = {"dim": 32, "layer_num": 2, "heads": 4, "dim_head": 8, "ff_mult": 2}
CONFIG: dict[str, Any] = {"clip": CLIP, "cross": CROSS}
HEAD = {"cross": {"layer_num": 2, "heads": 4, "dim_head": 8, "ff_mult": 2}}
OPEN_CLIP_SIZES: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"layers": 2, "width": 64, "image_size": 64, "patch_size": 16},
    "text_cfg": {"layers": 2, "width": 32, "heads": 2},
}
OPEN_CLIP: dict[str, Any] = {
    "kind": "open_clip",
    "name": "ViT-B-32",
    "overrides": OPEN_CLIP_SIZES,
}


def word_tokenizer() -> str:
    """The tokenizer.json of a BERT-like tokenizer that knows a few words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS.split()]
    vocabulary = {word: at for at, word in enumerate(known)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(known[:4])
    text: str = tokenizer.to_str()
    return text


def timm_text(**changes: Any) -> dict[str, Any]:
    """Options of a small convolutional net beside a two-layer BERT."""
    bert = {
        "model_type": "bert",
        "vocab_size": 32,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 32,
    }
    return {
        "kind": "timm_text",
        "image": {"name": "test_efficientnet", "levels": [1, 3], "grid": 3},
        "text": {"config": bert, "tokenizer": word_tokenizer(), "max_length": 24},
        "dim": 24,
        "preprocess": {"size": 64},
        **changes,
    }
