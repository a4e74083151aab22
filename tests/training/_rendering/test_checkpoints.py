from pathlib import Path

import pytest

from beholder.errors import ConfigError
from beholder.training._rendering.checkpoints import Checkpoint, named_checkpoints
from beholder.training._tuning.record import LORA


def pipeline(folder: Path, weights: bytes = b"weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def run(folder: Path, base: str = "tiny", lora: bytes | None = b"lora") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(
        f"algorithm: refl\npipeline: {base}\npipeline_options: {{revision: v1}}\n"
    )
    if lora is not None:
        (folder / LORA).write_bytes(lora)
    return folder


def names(*specs: str) -> list[str]:
    return [checkpoint.name for checkpoint in named_checkpoints(specs)]


def test_names_are_the_last_part_of_a_path_and_more_where_they_clash(tmp_path: Path) -> None:
    paths = [pipeline(tmp_path / name) for name in ("a/model", "b/model", "b/other", "c/Other")]
    assert names(str(paths[0]), "someone/sd-turbo", "tiny") == ["model", "sd-turbo", "tiny"]
    assert names(*map(str, paths)) == ["a-model", "b-model", "b-other", "c-Other"]
    assert names(str(paths[0]), f"model={paths[1]}") == ["a-model", "model"]


def test_names_are_safe_whatever_the_path(tmp_path: Path) -> None:
    assert names(str(pipeline(tmp_path / ". ö$(rm) x"))) == ["rm-x"]
    assert names(str(pipeline(tmp_path / "狐"))) == ["model"]
    assert names("my.module:make_it") == ["make_it"]


def test_the_same_twice_must_be_named(tmp_path: Path) -> None:
    path = pipeline(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"two checkpoints would be called .*before=PATH"):
        named_checkpoints([str(path), str(path)])
    with pytest.raises(ConfigError, match="would be called 'x'"):
        named_checkpoints([f"x={path}", "X=tiny"])
    assert names(f"one={path}", f"two={path}") == ["one", "two"]


def test_a_run_of_tune_is_its_pipeline_with_its_adapters(tmp_path: Path) -> None:
    folder = run(tmp_path / "refl")
    (found,) = named_checkpoints([str(folder)])
    assert found == Checkpoint(
        name="refl", pipeline="tiny", lora=folder, options={"revision": "v1"}
    )
    (named,) = named_checkpoints([f"mine=someone/sd+{folder / LORA}"])
    assert (named.name, named.pipeline, named.lora) == ("mine", "someone/sd", folder / LORA)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere", "'nowhere' is no checkpoint; give a folder with model_index.json"),
        ("a/b/c", "is no checkpoint"),
        ("tiny+nowhere", "no LoRA at 'nowhere'"),
        ("a/b=tiny", "is no checkpoint"),
    ],
)
def test_what_cannot_be_loaded_is_told_at_once(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        named_checkpoints([spec])


def test_a_run_that_has_not_ended_or_tunes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the run has not ended"):
        named_checkpoints([str(run(tmp_path / "early", lora=None))])
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text("reward: mps\n")
    with pytest.raises(ConfigError, match="names no algorithm"):
        named_checkpoints([str(other)])
    with pytest.raises(ConfigError, match="there is no checkpoint"):
        named_checkpoints([])


def test_identity_follows_the_weights_and_not_their_place(tmp_path: Path) -> None:
    one, two = pipeline(tmp_path / "one"), pipeline(tmp_path / "two")
    other = pipeline(tmp_path / "other", b"weightS")
    ends = [Checkpoint(name="x", pipeline=str(p)).identity() for p in (one, two, other)]
    assert ends[0] == ends[1] != ends[2]


def test_identity_of_a_run_follows_its_adapters_and_not_its_logs(tmp_path: Path) -> None:
    (before,) = named_checkpoints([str(run(tmp_path / "a"))])
    first = before.identity()
    (tmp_path / "a" / "metrics.json").write_text("{}")
    assert before.identity() == first
    (tmp_path / "a" / LORA).write_bytes(b"l0ra")
    assert before.identity() != first


def test_identity_of_a_repository_is_its_commit_once_that_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (found,) = named_checkpoints(["someone/model"])
    assert found.identity() == {"options": {}, "pipeline": "someone/model", "commit": ""}
    place = "/cache/snapshots/0123abc/model_index.json"
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: place)
    assert found.identity()["commit"] == "0123abc"
