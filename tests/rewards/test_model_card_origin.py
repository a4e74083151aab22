"""What weights began with, told from the configuration of every kind of run."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import beholder.configs
from beholder.rewards._model_card_origin import origin_of
from beholder.rewards._towers._licences import UNKNOWN

TOWERS = {"kind": "open_clip", "name": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}
PRESETS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "aesthetic_head": ("mit", ("aesthetic's backbone, openai",)),
    "hps_v2": ("mit", ("open_clip ViT-H-14, laion2b_s32b_b79k",)),
    "imagereward": ("bsd-3-clause", ("BLIP, model_large.pth",)),
    "mps_vit_b_32_lora": ("mit", ("open_clip ViT-B-32, laion2b_s34b_b79k",)),
    "mps_vit_h_14": ("mit", ("published weights of mps",)),
    "pickscore": ("mit", ("open_clip ViT-H-14, laion2b_s32b_b79k",)),
    "richhf_scenes_cpu": (UNKNOWN, ("start",)),
    "richhf_tiny_cpu": (None, ()),
    "richhf_vit_b_t5_base": (
        "apache-2.0",
        ("vision, google/vit-base-patch16-224", "t5, google-t5/t5-base"),
    ),
    "richhf_vit_l_t5_base": (
        "apache-2.0",
        ("vision, google/vit-large-patch16-384", "t5, google-t5/t5-base"),
    ),
    "siglip2_head": ("apache-2.0", ("open_clip ViT-B-16-SigLIP2, webli",)),
    "tiny_cpu": (None, ()),
}


def presets() -> dict[str, dict[str, Any]]:
    """Every preset that starts from a reward."""
    folder = Path(beholder.configs.__file__).parent
    read = {path.stem: yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}
    return {name: config for name, config in read.items() if "reward" in config}


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_tells_what_it_begins_with(name: str) -> None:
    found = origin_of(presets()[name])
    assert (found.licence, tuple(one.what for one in found.licences)) == PRESETS[name]


@pytest.mark.parametrize(
    ("config", "licence", "models"),
    [
        (
            {"reward": "mps", "options": {"towers": TOWERS}},
            "mit",
            ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K",),
        ),
        ({"reward": "mps"}, "mit", ("RE-N-Y/mpsv1",)),
        ({"reward": "mps", "options": {"weights": "mine.bin"}}, UNKNOWN, ()),
        ({"reward": "mps", "options": {"config": {"cross": {}}}}, None, ()),
        ({"reward": "mps", "options": {"towers": {**TOWERS, "pretrained": None}}}, None, ()),
        ({"reward": "mps", "options": {"towers": {**TOWERS, "pretrained": "own.pt"}}}, UNKNOWN, ()),
        ({"reward": "tiny"}, None, ()),
        ({"reward": "runs/earlier"}, UNKNOWN, ()),
        ({"reward": "module:Class"}, UNKNOWN, ()),
        (
            {"reward": "richhf", "options": {"t5": {"folder": "google/t5-v1_1-base"}}},
            "apache-2.0",
            ("google/t5-v1_1-base",),
        ),
        ({}, UNKNOWN, ()),
        ({"reward": "richhf", "options": {"size": "small"}}, None, ()),
        ({"reward": "head"}, "apache-2.0", ("timm/ViT-B-16-SigLIP2",)),
        ({"reward": "head", "options": {"towers": {"kind": "clip"}}}, None, ()),
        ({"reward": "head", "options": {"towers": {"kind": "new"}}}, UNKNOWN, ()),
        (
            {
                "reward": "head",
                "options": {"towers": {"kind": "timm_text", "text": {"folder": "google/vit-x"}}},
            },
            "apache-2.0",
            ("google/vit-x",),
        ),
        (
            {"reward": "mps", "options": {"towers": {"kind": "timm_text", "projections": "x.bin"}}},
            UNKNOWN,
            (),
        ),
        ({"reward": "imagereward"}, "apache-2.0", ("THUDM/ImageReward",)),
        ({"reward": "imagereward", "options": {"backbone": "blip.pth"}}, UNKNOWN, ()),
        ({"reward": "imagereward", "options": {"config": {}}}, None, ()),
        ({"reward": "aesthetic", "options": {"version": "v2.5"}}, "agpl-3.0", ()),
        ({"reward": "aesthetic", "options": {"version": "v1-l14"}}, "mit", ()),
        ({"reward": "aesthetic", "options": {"version": "v9"}}, UNKNOWN, ()),
        ({"reward": "aesthetic"}, "apache-2.0", ()),
        ({"reward": "aesthetic", "options": {"weights": "mine.pth"}}, UNKNOWN, ()),
        ({"reward": "aesthetic", "options": {"config": {}}}, None, ()),
        ({"reward": "aesthetic", "options": {"config": {}, "backbone": "own.pt"}}, UNKNOWN, ()),
        ({"reward": "aesthetic", "options": {"config": None}}, "apache-2.0", ()),
        ({"reward": "cyclereward", "options": {"variant": "t2i"}}, "mit", ()),
        ({"reward": "mps", "options": "towers"}, UNKNOWN, ()),
    ],
)
def test_the_run_tells_what_the_weights_began_with(
    config: dict[str, Any], licence: str | None, models: tuple[str, ...]
) -> None:
    found = origin_of(config)
    assert found.licence == licence
    assert found.base_models == models
