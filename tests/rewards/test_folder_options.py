from pathlib import Path

import pytest

from beholder.errors import WeightsError
from beholder.rewards._folder_options import check_told

WHERE = Path("folder/config.json")


@pytest.mark.parametrize(
    "part",
    [
        {"name": "hf-hub:evil/repo"},
        {"name": "local-dir:/tmp/evil"},
        {"folder": "evil/repo"},
        {"pretrained": "/home/me/private.pt"},
        {"weights": "/home/me/private.pt"},
        {"projections": "/home/me/private.pt"},
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"trust_remote_code": False},
        {"attn_implementation": "evil/kernel"},
        {"text_cfg": {"hf_model_name": "evil/repo"}},
        {"text_cfg": {"tokenizer_kwargs": {}}},
        {"vision_cfg": {"timm_model_name": "hf-hub:evil/repo"}},
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 3000])
def test_code_and_places_are_refused_at_any_depth(part: dict[str, object], depth: int) -> None:
    for k in range(depth):
        part = {"rewards": [part]} if k % 2 else {"options": part}
    with pytest.raises(WeightsError, match=r"folder/config\.json sets .* does not choose code"):
        check_told(part, WHERE)


def test_sizes_choices_and_weights_of_an_ensemble_are_taken() -> None:
    check_told(
        {
            "towers": {"kind": "open_clip", "name": "ViT-B-32", "overrides": {"embed_dim": 8}},
            "image": {"name": "resnet18.a1_in1k", "levels": [1], "grid": 7, "last": True},
            "weights": [0.5, 0.5],
            "rewards": {"a": {"reward": "mps", "options": {"weights": {"mps": 1.0}}}},
            "pretrained": None,
        },
        WHERE,
    )
