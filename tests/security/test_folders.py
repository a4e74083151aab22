"""Folders of rewards and weights that somebody else made: nothing in them runs, or is fetched."""

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

import beholder
from beholder.errors import ConfigError, WeightsError
from beholder.eval._lpips import load_lpips
from beholder.rewards import _weights
from beholder.rewards._towers import build_towers
from beholder.training._pipeline.loading import load_pipeline

OPEN_CLIP = {
    "embed_dim": 8,
    "vision_cfg": {"layers": 1, "width": 8, "head_width": 4, "patch_size": 16, "image_size": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}
SMALL = {"kind": "open_clip", "name": "ViT-B-32", "overrides": OPEN_CLIP}
BERT = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
BERT |= {"intermediate_size": 8, "vocab_size": 8}


class Canary:
    """What hostile code would leave behind."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "canary"

    @property
    def source(self) -> str:
        """Of a module that leaves it when imported, with every class that is asked for."""
        names = ("Tok", "Conf", "Net", "Pipe")
        classes = "\n".join(f"class {name}: pass" for name in names)
        return f"import pathlib\npathlib.Path({str(self.path)!r}).touch()\n{classes}\n"

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path(self.path).touch, ()


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    found = Canary(tmp_path)
    pickle.loads(pickle.dumps(found))
    assert found.path.exists(), "the payload is live"
    found.path.unlink()
    return found


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole folder of a reward."""
    folder = tmp_path_factory.mktemp("saved") / "reward"
    beholder.load("tiny").save_pretrained(folder)
    return folder


def altered(saved: Path, folder: Path, **changes: object) -> str:
    """A copy of a reward's folder whose config.json says something else."""
    folder.mkdir()
    for name in (_weights.CONFIG, _weights.WEIGHTS):
        (folder / name).write_bytes((saved / name).read_bytes())
    config = json.loads((folder / _weights.CONFIG).read_text())
    (folder / _weights.CONFIG).write_text(json.dumps(config | changes))
    return str(folder)


def hostile_repository(folder: Path, canary: Canary) -> Path:
    """What open_clip, transformers and diffusers would take code from."""
    folder.mkdir()
    for name in ("evil.py", "pipeline.py"):
        (folder / name).write_text(canary.source)
    config = {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Conf", "AutoModel": "evil.Net"},
    }
    clip = OPEN_CLIP["text_cfg"] | {  # type: ignore[operator]
        "hf_tokenizer_name": "x",
        "tokenizer_kwargs": {"trust_remote_code": True},
    }
    tokenizer = {"auto_map": {"AutoTokenizer": ["evil.Tok", None]}, "tokenizer_class": "Tok"}
    index = {"_class_name": ["pipeline", "Pipe"], "_diffusers_version": "0.42.0"}
    written: Mapping[str, object] = {
        "config.json": config,
        "tokenizer_config.json": tokenizer,
        "model_index.json": index,
        "open_clip_config.json": {"model_cfg": OPEN_CLIP | {"text_cfg": clip}},
    }
    for name, said in written.items():
        (folder / name).write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize("how", ["local-dir", "text", "extractor", "pipeline", "cost"])
def test_no_library_runs_the_code_that_a_repository_brings(
    tmp_path: Path, canary: Canary, how: str
) -> None:
    from beholder._verbs.networks import _transformers as cost_network
    from beholder.eval.extractors.custom import build as extractor

    where = hostile_repository(tmp_path / "evil", canary)
    text = {"kind": "timm_text", "image": {"name": "resnet18"}, "text": {"folder": str(where)}}
    doors: Mapping[str, Callable[[], object]] = {
        "local-dir": lambda: build_towers({"kind": "open_clip", "name": f"local-dir:{where}"}),
        "text": lambda: build_towers(text),
        "extractor": lambda: extractor(model=f"hf:{where}"),
        "pipeline": lambda: load_pipeline(
            str(where), {}, torch.device("cpu"), torch.float32, keep_scheduler=True
        ),
        "cost": lambda: cost_network(str(where), {}),
    }
    with pytest.raises((ConfigError, WeightsError)):
        doors[how]()
    assert not canary.path.exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"towers": {"kind": "open_clip", "name": "hf-hub:evil/repo"}}, "does not choose code"),
        ({"towers": SMALL | {"pretrained": "/etc/passwd"}}, "does not choose code"),
        ({"text": {"config": BERT | {"attn_implementation": "evil/k"}}}, "does not choose code"),
    ],
)
def test_a_folder_names_no_code_and_no_other_place(
    saved: Path, tmp_path: Path, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(WeightsError, match=reason):
        beholder.load(altered(saved, tmp_path / "r", options=options))


@pytest.mark.parametrize("name", ["os:system", "evil.module:Class", "../tiny", "scoring", "_base"])
def test_a_folder_does_not_choose_the_class(saved: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=r"does not choose code|unknown reward"):
        beholder.load(altered(saved, tmp_path / "r", reward=name))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 100_000, "9" * 5000, "{", "null", ""])
def test_a_config_that_is_no_config_says_so(saved: Path, tmp_path: Path, text: str) -> None:
    folder = Path(altered(saved, tmp_path / "r"))
    (folder / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=r"config\.json"):
        beholder.load(str(folder))


def test_weights_that_were_changed_are_refused(saved: Path, tmp_path: Path) -> None:
    folder = Path(altered(saved, tmp_path / "r"))
    state = load_file(folder / _weights.WEIGHTS)
    save_file({k: v + 1 for k, v in state.items()}, folder / _weights.WEIGHTS)
    with pytest.raises(WeightsError, match="damaged or was changed"):
        beholder.load(str(folder))


@pytest.mark.parametrize("repo", ["../evil", "evil/..", "e/a b", "x/\x1b[2J", "evil/repo:main"])
def test_names_of_repositories_lead_nowhere_else(
    repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, WeightsError)):
        beholder.load(repo)


def test_pickles_are_never_run_by_what_takes_weights(tmp_path: Path, canary: Canary) -> None:
    bare, plain = tmp_path / "bare.pt", tmp_path / "plain.pt"
    torch.save({"state_dict": {}, "evil": canary}, bare)
    plain.write_bytes(pickle.dumps(canary, 2))
    doors: list[Callable[[Path], object]] = [
        lambda path: build_towers(SMALL | {"pretrained": str(path)}),
        lambda path: beholder.load("mps", weights=path, config=TINY_MPS),
        load_lpips,
    ]
    for path in (bare, plain):
        for door in doors:
            with pytest.raises(WeightsError):
                door(path)
    assert not canary.path.exists()
    torch.load(bare, weights_only=False)
    assert canary.path.exists(), "the payload is live"


TINY_MPS: dict[str, Any] = {
    "clip": {
        "text": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
        | {"num_attention_heads": 1},
        "vision": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
        | {"num_attention_heads": 1, "image_size": 32, "patch_size": 16},
        "projection_dim": 8,
    }
}


def test_weights_that_are_not_finite_are_refused_at_every_door(tmp_path: Path) -> None:
    clip: Any = build_towers(SMALL)
    state = clip.model.state_dict()
    state["logit_scale"] = torch.tensor(float("nan"))
    torch.save(state, tmp_path / "clip.pt")
    with pytest.raises(WeightsError, match="NaN or infinite weights: logit_scale"):
        build_towers(SMALL | {"pretrained": str(tmp_path / "clip.pt")})
    bert = BertModel(BertConfig(**{k: v for k, v in BERT.items() if k != "model_type"}))
    bert.embeddings.word_embeddings.weight.data[3, 3] = torch.inf
    bert.save_pretrained(tmp_path / "bert")
    from beholder.eval.extractors.custom import build as extractor

    with pytest.raises(WeightsError, match="NaN or infinite weights: embeddings"):
        extractor(model=f"hf:{tmp_path / 'bert'}")
